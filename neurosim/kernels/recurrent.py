"""Forward and backward pass of a recurrent network through time, on one tile of sequences.

Sequences end together: they are padded in front, so that step ``n_steps - 1`` is the last of every
sequence, the states before a sequence begins are zero, and a window of the last steps is the same for all.

Layout of one tile, all flat float32, rows of `n_lanes`:

    inputs   (n_steps, n_inputs)               samples
    act      (n_steps, n_rows)                 gates and outputs h of every layer, step after step
    err      (n_steps, n_rows)                 errors of the same
    cell     (n_steps + 1, n_units)            c of an LSTM; entry 0 of a step is the state before it
    squashed (n_steps, n_units)                tanh(c)
    head     (units of the top layer + n_classes)   what is read out, and the logits; `head_err` likewise
"""

from typing import NamedTuple

import numpy as np

from neurosim.kernels.cells import gated as cells
from neurosim.kernels.bits import count_bits
from neurosim.kernels.compile import inlined
from neurosim.kernels.lanes import nonzero_lanes
from neurosim.kernels.products import gradient_over_steps, multiply, multiply_back

LAST, MEAN = 0, 1


class Shape(NamedTuple):
    """Where things of a recurrent network lie. Read only; L layers."""

    kind: int  #: `cells.LSTM` or `cells.RNN`
    n_steps: int  #: steps of the longest sequence
    n_inputs: int  #: inputs of one step
    n_rows: int  #: rows of `act` per step
    readout: int  #: `LAST` state, or `MEAN` over the steps of a sequence
    window: int  #: steps through which errors flow back; `n_steps` for all
    n_units: np.ndarray  #: int64 (L,)
    unit_start: np.ndarray  #: int64 (L + 1,), first unit of a layer among all
    gate_row: np.ndarray  #: int64 (L,), first row of the gates
    hidden_row: np.ndarray  #: int64 (L,), first row of the outputs h
    input_matrix: np.ndarray  #: int64 (L,)
    recurrent_matrix: np.ndarray  #: int64 (L,)
    output_matrix: int
    bias_start: np.ndarray  #: int64 (L + 1,), biases of the gates of each layer, then those of the logits
    walks: np.ndarray  #: int64 (n_steps + 1, 3, M), forward, backward and gradient walks of one sequence, by its length


class Tile(NamedTuple):
    """Work space of one tile, or of several along a first axis."""

    inputs: np.ndarray
    act: np.ndarray
    err: np.ndarray
    cell: np.ndarray
    squashed: np.ndarray
    carry: np.ndarray  #: (n_units,) rows, dE/dc on its way back
    alive: np.ndarray  #: (n_steps,) rows, 1 from the first step of the lane's sequence on, else 0
    share: np.ndarray  #: (1,) row, weight of a step in the mean: 1 / length
    head: np.ndarray
    head_err: np.ndarray


@inlined
def tile_of(tiles, t):
    """Tile `t` of the work space."""
    return Tile(
        tiles.inputs[t], tiles.act[t], tiles.err[t], tiles.cell[t], tiles.squashed[t], tiles.carry[t],
        tiles.alive[t], tiles.share[t], tiles.head[t], tiles.head_err[t],
    )  # fmt: skip


@inlined
def mark_steps(shape, tile, lengths, order, first, n_samples, n_lanes):
    """Write `alive` and `share` of a tile; returns the first step of its longest sequence.

    `lengths` : int32 (n,), steps of each sequence.
    """
    begin = shape.n_steps
    for lane in range(n_lanes):
        length = np.int64(lengths[order[first + lane]]) if lane < n_samples else np.int64(0)
        start = shape.n_steps - length
        begin = min(begin, start)
        for t in range(shape.n_steps):
            tile.alive[t * n_lanes + lane] = np.float32(t >= start)
        tile.share[lane] = np.float32(1.0) / np.float32(max(length, 1))
    return begin


@inlined
def _fill_rows(rows, values, n_lanes):
    for i in range(values.size):
        row = rows[i * n_lanes : (i + 1) * n_lanes]
        for k in range(n_lanes):
            row[k] = values[i]


@inlined
def _copy(target, source):
    for k in range(target.size):
        target[k] = source[k]


@inlined
def _add_scaled(target, source, alive, share):
    n_lanes = alive.size
    for i in range(target.size // n_lanes):
        to, of = target[i * n_lanes : (i + 1) * n_lanes], source[i * n_lanes : (i + 1) * n_lanes]
        for k in range(n_lanes):
            to[k] += of[k] * alive[k] * share[k]


@inlined
def forward(slots, matrices, shape, bias, tile, begin, lanes):
    """From the inputs to the logits, steps `begin` on. Writes all of `tile` but the errors."""
    n_lanes, n_layers, act = len(lanes), shape.n_units.size, tile.act
    step = shape.n_rows * n_lanes
    all_units = shape.unit_start[-1] * n_lanes
    tile.cell[begin * all_units : (begin + 1) * all_units] = np.float32(0.0)
    for t in range(begin, shape.n_steps):
        alive = tile.alive[t * n_lanes : (t + 1) * n_lanes]
        for layer in range(n_layers):
            n_units, unit = shape.n_units[layer], shape.unit_start[layer] * n_lanes
            biases = bias[shape.bias_start[layer] : shape.bias_start[layer + 1]]
            g_base = t * step + shape.gate_row[layer] * n_lanes
            h_base = t * step + shape.hidden_row[layer] * n_lanes
            gates = act[g_base : g_base + biases.size * n_lanes]
            hidden = act[h_base : h_base + n_units * n_lanes]
            _fill_rows(gates, biases, n_lanes)
            m = shape.input_matrix[layer]
            if layer == 0:
                multiply(slots, matrices, m, tile.inputs, t * shape.n_inputs * n_lanes, act, g_base, lanes)
            else:
                multiply(slots, matrices, m, act, t * step + shape.hidden_row[layer - 1] * n_lanes, act, g_base, lanes)
            if t > begin:
                multiply(slots, matrices, shape.recurrent_matrix[layer], act, h_base - step, act, g_base, lanes)
            if shape.kind == cells.LSTM:
                before = tile.cell[t * all_units + unit : t * all_units + unit + n_units * n_lanes]
                cell = tile.cell[(t + 1) * all_units + unit : (t + 1) * all_units + unit + n_units * n_lanes]
                squashed = tile.squashed[t * all_units + unit : t * all_units + unit + n_units * n_lanes]
                cells.lstm_forward(gates, hidden, cell, squashed, before, alive, n_units, n_lanes)
            else:
                cells.rnn_forward(gates, hidden, alive, n_units, n_lanes)
    top = shape.n_units[n_layers - 1] * n_lanes
    read = tile.head[:top]
    read[:] = np.float32(0.0)
    first = shape.n_steps - 1 if shape.readout == LAST else begin
    for t in range(first, shape.n_steps):
        h_base = t * step + shape.hidden_row[n_layers - 1] * n_lanes
        if shape.readout == LAST:
            _copy(read, act[h_base : h_base + top])
        else:
            _add_scaled(read, act[h_base : h_base + top], tile.alive[t * n_lanes : (t + 1) * n_lanes], tile.share)
    _fill_rows(tile.head[top:], bias[shape.bias_start[n_layers] :], n_lanes)
    multiply(slots, matrices, shape.output_matrix, tile.head, 0, tile.head, top, lanes)


@inlined
def first_with_error(shape, begin):
    """First step that an error reaches."""
    return max(begin, shape.n_steps - shape.window) if shape.readout == LAST else begin


@inlined
def backward(slots, matrices, shape, tile, begin, lanes):
    """From the errors of the logits in `head_err` to those of all gate sums. Writes `err` and `carry`.

    Errors flow from a step to the one before inside windows of ``shape.window`` steps, counted from the
    end of the sequences; with a window of all steps this is back-propagation through time in full.
    """
    n_lanes, n_layers, act, err = len(lanes), shape.n_units.size, tile.act, tile.err
    step = shape.n_rows * n_lanes
    all_units = shape.unit_start[-1] * n_lanes
    top = shape.n_units[n_layers - 1] * n_lanes
    read = tile.head_err[:top]
    read[:] = np.float32(0.0)
    multiply_back(slots, matrices, shape.output_matrix, tile.head_err, top, tile.head_err, 0, lanes)
    low = first_with_error(shape, begin)
    for t in range(low, shape.n_steps):
        for layer in range(n_layers):
            h_base = t * step + shape.hidden_row[layer] * n_lanes
            hidden = err[h_base : h_base + shape.n_units[layer] * n_lanes]
            hidden[:] = np.float32(0.0)
            if layer == n_layers - 1:
                if shape.readout == MEAN:
                    _add_scaled(hidden, read, tile.alive[t * n_lanes : (t + 1) * n_lanes], tile.share)
                elif t == shape.n_steps - 1:
                    _copy(hidden, read)
    tile.carry[:] = np.float32(0.0)
    for back in range(shape.n_steps - low):
        t = shape.n_steps - 1 - back
        alive = tile.alive[t * n_lanes : (t + 1) * n_lanes]
        is_cut = (back + 1) % shape.window == 0
        for from_top in range(n_layers):
            layer = n_layers - 1 - from_top
            n_units, unit = shape.n_units[layer], shape.unit_start[layer] * n_lanes
            n_sums = shape.bias_start[layer + 1] - shape.bias_start[layer]
            g_base = t * step + shape.gate_row[layer] * n_lanes
            h_base = t * step + shape.hidden_row[layer] * n_lanes
            errors = err[g_base : g_base + n_sums * n_lanes]
            d_hidden = err[h_base : h_base + n_units * n_lanes]
            if shape.kind == cells.LSTM:
                gates = act[g_base : g_base + n_sums * n_lanes]
                squashed = tile.squashed[t * all_units + unit : t * all_units + unit + n_units * n_lanes]
                before = tile.cell[t * all_units + unit : t * all_units + unit + n_units * n_lanes]
                carry = tile.carry[unit : unit + n_units * n_lanes]
                cells.lstm_backward(errors, carry, d_hidden, gates, squashed, before, alive, n_units, n_lanes)
            else:
                cells.rnn_backward(errors, d_hidden, act[h_base : h_base + n_units * n_lanes], alive, n_units, n_lanes)
            if layer > 0:
                below = t * step + shape.hidden_row[layer - 1] * n_lanes
                multiply_back(slots, matrices, shape.input_matrix[layer], err, g_base, err, below, lanes)
            if t > low and not is_cut:
                multiply_back(slots, matrices, shape.recurrent_matrix[layer], err, g_base, err, h_base - step, lanes)
        if is_cut:
            tile.carry[:] = np.float32(0.0)


@inlined
def add_gradient(slots, matrices, shape, tile, begin, start, stop, lanes):
    """Add this tile's dE/dweight to `slots.gradient` of the slots [start, stop)."""
    n_lanes, act, err = len(lanes), tile.act, tile.err
    step = shape.n_rows * n_lanes
    low = first_with_error(shape, begin)
    pre, post, gradient = slots.pre, slots.post, slots.gradient
    for layer in range(shape.n_units.size):
        gates, hidden = shape.gate_row[layer] * n_lanes, shape.hidden_row[layer] * n_lanes
        m = shape.input_matrix[layer]
        a, b = max(start, matrices.slot_start[m]), min(stop, matrices.slot_start[m + 1])
        n = shape.n_steps - low
        if layer == 0:
            wide = shape.n_inputs * n_lanes
            gradient_over_steps(gradient, tile.inputs, low * wide, wide, err, low * step + gates, step, n, pre, post, a, b, lanes)
        else:
            below = low * step + shape.hidden_row[layer - 1] * n_lanes
            gradient_over_steps(gradient, act, below, step, err, low * step + gates, step, n, pre, post, a, b, lanes)
        # The state before the first step of a sequence is zero and was never written.
        m = shape.recurrent_matrix[layer]
        a, b = max(start, matrices.slot_start[m]), min(stop, matrices.slot_start[m + 1])
        first = max(low, begin + 1)
        gradient_over_steps(
            gradient, act, (first - 1) * step + hidden, step, err, first * step + gates, step,
            shape.n_steps - first, pre, post, a, b, lanes,
        )  # fmt: skip
    m = shape.output_matrix
    a, b = max(start, matrices.slot_start[m]), min(stop, matrices.slot_start[m + 1])
    top = shape.n_units[shape.n_units.size - 1] * n_lanes
    gradient_over_steps(gradient, tile.head, 0, 0, tile.head_err, top, 0, 1, pre, post, a, b, lanes)


@inlined
def _sum_rows(sums, rows, n_lanes):
    for i in range(sums.size):
        total = np.float32(0.0)
        row = rows[i * n_lanes : (i + 1) * n_lanes]
        for k in range(n_lanes):
            total += row[k]
        sums[i] += total


@inlined
def bias_gradient(shape, tile, begin, gradient, n_lanes):
    """Write this tile's dE/dbias: float32 (n_biases,)."""
    gradient[:] = np.float32(0.0)
    step, n_layers = shape.n_rows * n_lanes, shape.n_units.size
    for t in range(first_with_error(shape, begin), shape.n_steps):
        for layer in range(n_layers):
            sums = gradient[shape.bias_start[layer] : shape.bias_start[layer + 1]]
            base = t * step + shape.gate_row[layer] * n_lanes
            _sum_rows(sums, tile.err[base : base + sums.size * n_lanes], n_lanes)
    top = shape.n_units[n_layers - 1] * n_lanes
    _sum_rows(gradient[shape.bias_start[n_layers] :], tile.head_err[top:], n_lanes)


@inlined
def _count_rows(n_nonzero, neuron, values, base, n, lanes):
    for i in range(n):
        n_nonzero[neuron + i] += np.int32(count_bits(nonzero_lanes(values, base + i * len(lanes), lanes)))


@inlined
def count_nonzero(shape, tile, matrices, begin, n_nonzero, lanes):
    """Write how often each pre neuron of each matrix was non-zero when the matrix was walked forward: int32 (N,).

    A recurrent matrix sees the states that a next step uses, the read-out one value per lane.
    """
    n_lanes, n_layers = len(lanes), shape.n_units.size
    n_nonzero[:] = np.int32(0)
    step = shape.n_rows * n_lanes
    for t in range(begin, shape.n_steps):
        base = t * shape.n_inputs * n_lanes
        _count_rows(n_nonzero, matrices.pre_neuron[shape.input_matrix[0]], tile.inputs, base, shape.n_inputs, lanes)
        for layer in range(n_layers):
            base = t * step + shape.hidden_row[layer] * n_lanes
            if t < shape.n_steps - 1:
                neuron = matrices.pre_neuron[shape.recurrent_matrix[layer]]
                _count_rows(n_nonzero, neuron, tile.act, base, shape.n_units[layer], lanes)
            if layer < n_layers - 1:
                neuron = matrices.pre_neuron[shape.input_matrix[layer + 1]]
                _count_rows(n_nonzero, neuron, tile.act, base, shape.n_units[layer], lanes)
    neuron = matrices.pre_neuron[shape.output_matrix]
    _count_rows(n_nonzero, neuron, tile.head, 0, shape.n_units[n_layers - 1], lanes)
