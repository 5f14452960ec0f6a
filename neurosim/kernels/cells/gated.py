"""Recurrent cells on one tile of sequences: one step forward and one step back, element by element.

A *row* is one value of one unit for all lanes of a tile. The gate sums of unit j lie in the rows
``4 j .. 4 j + 3`` of an LSTM (input, forget, cell, output gate) or in row ``j`` of a plain cell, so that the
rows of neighbouring units stay together and a range of units can live on one core.

    LSTM   i, f, o = sigmoid(z_i), sigmoid(z_f), sigmoid(z_o)    g = tanh(z_g)
           c = f * c_before + i * g                              h = o * tanh(c)
    RNN    h = tanh(z)

(Hochreiter and Schmidhuber 1997 with the forget gate of Gers, Schmidhuber and Cummins 2000; the same
equations as `torch.nn.LSTM`.) Lanes whose sequence has not begun hold zeros in every row.
"""

import numpy as np

from neurosim.kernels.compile import inlined
from neurosim.kernels.softmax import fast_exp

RNN, LSTM = 0, 1

_ONE = np.float32(1.0)


@inlined
def sigmoid(x):
    """1 / (1 + exp(-x)), float32, within 1e-7; vectorizes."""
    e = fast_exp(-abs(x))
    return (_ONE if x >= np.float32(0.0) else e) / (_ONE + e)


@inlined
def tanh(x):
    """Hyperbolic tangent, float32, within 2e-7; vectorizes."""
    e = fast_exp(np.float32(-2.0) * abs(x))
    t = (_ONE - e) / (_ONE + e)
    return t if x >= np.float32(0.0) else -t


@inlined
def _sigmoid_rows(rows):
    for k in range(rows.size):
        rows[k] = sigmoid(rows[k])


@inlined
def _tanh_rows(rows):
    for k in range(rows.size):
        rows[k] = tanh(rows[k])


@inlined
def _new_state(cell, squashed, hidden, before, i, f, g, o, alive):
    for k in range(hidden.size):
        c = (f[k] * before[k] + i[k] * g[k]) * alive[k]
        cell[k] = c
        t = tanh(c)
        squashed[k] = t
        hidden[k] = o[k] * t


@inlined
def lstm_forward(gates, hidden, cell, squashed, before, alive, n_units, n_lanes):
    """One step: gate sums to gate values in place, new cell state, its tanh and the output.

    Parameters
    ----------
    gates : float32 (4 * n_units * n_lanes,)
        Sums; becomes the gates' values. Written.
    hidden, cell, squashed : float32 (n_units * n_lanes,)
        h, c and tanh(c) of this step. Written.
    before : float32 (n_units * n_lanes,)
        c of the step before, zeros at the first.
    alive : float32 (n_lanes,)
        1 in lanes whose sequence has begun, else 0.
    """
    for j in range(n_units):
        z = gates[4 * j * n_lanes : 4 * (j + 1) * n_lanes]
        i, f, g, o = z[:n_lanes], z[n_lanes : 2 * n_lanes], z[2 * n_lanes : 3 * n_lanes], z[3 * n_lanes :]
        _sigmoid_rows(z[: 2 * n_lanes])
        _tanh_rows(g)
        _sigmoid_rows(o)
        here = slice(j * n_lanes, (j + 1) * n_lanes)
        _new_state(cell[here], squashed[here], hidden[here], before[here], i, f, g, o, alive)


@inlined
def _gate_errors(e_i, e_f, e_g, e_o, carry, d_hidden, squashed, before, i, f, g, o, alive):
    for k in range(d_hidden.size):
        d_h = d_hidden[k] * alive[k]
        t, out = squashed[k], o[k]
        d_c = d_h * out * (_ONE - t * t) + carry[k] * alive[k]
        e_i[k] = d_c * g[k] * i[k] * (_ONE - i[k])
        e_f[k] = d_c * before[k] * f[k] * (_ONE - f[k])
        e_g[k] = d_c * i[k] * (_ONE - g[k] * g[k])
        e_o[k] = d_h * t * out * (_ONE - out)
        carry[k] = d_c * f[k]


@inlined
def lstm_backward(errors, carry, d_hidden, gates, squashed, before, alive, n_units, n_lanes):
    """One step back: dE/dh to dE/d(gate sums), and dE/dc carried to the step before.

    `errors` : float32 (4 * n_units * n_lanes,), written. `carry` : float32 (n_units * n_lanes,), dE/dc from
    the step after, replaced by that for the step before. The others are those of `lstm_forward`.
    """
    for j in range(n_units):
        z, e = gates[4 * j * n_lanes : 4 * (j + 1) * n_lanes], errors[4 * j * n_lanes : 4 * (j + 1) * n_lanes]
        here = slice(j * n_lanes, (j + 1) * n_lanes)
        _gate_errors(
            e[:n_lanes], e[n_lanes : 2 * n_lanes], e[2 * n_lanes : 3 * n_lanes], e[3 * n_lanes :],
            carry[here], d_hidden[here], squashed[here], before[here],
            z[:n_lanes], z[n_lanes : 2 * n_lanes], z[2 * n_lanes : 3 * n_lanes], z[3 * n_lanes :], alive,
        )  # fmt: skip


@inlined
def rnn_forward(gates, hidden, alive, n_units, n_lanes):
    """One step of a plain cell: h = tanh(z). Writes `hidden`: float32 (n_units * n_lanes,)."""
    for j in range(n_units):
        z, h = gates[j * n_lanes : (j + 1) * n_lanes], hidden[j * n_lanes : (j + 1) * n_lanes]
        for k in range(n_lanes):
            h[k] = tanh(z[k]) * alive[k]


@inlined
def rnn_backward(errors, d_hidden, hidden, alive, n_units, n_lanes):
    """One step back of a plain cell: writes dE/dz to `errors`, float32 (n_units * n_lanes,)."""
    for j in range(n_units):
        here = slice(j * n_lanes, (j + 1) * n_lanes)
        e, d, h = errors[here], d_hidden[here], hidden[here]
        for k in range(n_lanes):
            e[k] = d[k] * (_ONE - h[k] * h[k]) * alive[k]
