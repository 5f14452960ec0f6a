"""Forward and backward pass of a feed-forward network on one tile of samples.

A tile of one network is a flat float32 array of (all neurons, n_lanes), inputs first. Errors have the
same layout. Lanes without a sample hold zeros everywhere, so they add nothing to any sum or count.

`activate` and `turn_back` are the functions of the network's cells (`cells.join_cells`).
"""

from typing import NamedTuple

import numpy as np

from neurosim.kernels.bits import count_bits
from neurosim.kernels.compile import inlined
from neurosim.kernels.lanes import backward_slots, gradient_slots, nonzero_lanes
from neurosim.kernels.load import load_and_mark, load_tile, prefetch_samples  # noqa: F401  (part of this module's interface)
from neurosim.kernels.marks import mark_above, mark_rows
from neurosim.kernels.products import multiply
from neurosim.kernels.softmax import softmax_errors  # noqa: F401


#: No value but zero is taken for zero.
_NO_LEAST = np.zeros(64, np.float32)


class Layers(NamedTuple):
    """What is to be known of a network's layers. Read only."""

    n_steps: int  #: 1: a sample takes one pass
    kinds: np.ndarray  #: int64 (hidden layers + 1,), number of each layer's cell; of the outputs, which have none, the last counts for nothing
    sends_zeros: np.ndarray  #: uint8 (hidden layers + 1,), whether a value of zero counts as any other
    least: np.ndarray = _NO_LEAST  #: float32 (hidden layers + 1 or more,), up to where values are zero but for rounding, see `nn.Mlp`


class Tiles(NamedTuple):
    """Tiles of a network: float32, shape (n_tiles, N * n_lanes)."""

    act: np.ndarray
    err: np.ndarray


@inlined
def fill_sums(sums, matrices, m, low, biases, n_samples, n_lanes):
    """Where sums begin: at their biases in the first `n_samples` lanes, elsewhere and without biases at zero.

    `sums` : float32 (rows * n_lanes,), of the post neurons of matrix `m` from `low` on; written. `biases` : float32 (sums of all layers,),
    or none.
    """
    sums[:] = np.float32(0.0)
    if biases.size > 0:
        first = matrices.post_neuron[m] - matrices.n_pre[0] + low
        for i in range(sums.size // n_lanes):
            row = sums[i * n_lanes : i * n_lanes + n_samples]
            for k in range(row.size):
                row[k] = biases[first + i]


@inlined
def forward(slots, matrices, layers, biases, act, n_samples, lanes, activate):
    """From the input rows of `act` to the logits, in place: float32 (N * n_lanes,)."""
    n_lanes = len(lanes)
    n_matrices = matrices.n_pre.size
    for m in range(n_matrices):
        x_base, z_base = matrices.pre_neuron[m] * n_lanes, matrices.post_neuron[m] * n_lanes
        # Slices: numba must not need a test for negative indices, which would keep loops scalar.
        fill_sums(act[z_base : z_base + matrices.n_post[m] * n_lanes], matrices, m, 0, biases, n_samples, n_lanes)
        multiply(slots, matrices, m, act, x_base, act, z_base, lanes)
        if m < n_matrices - 1:
            first = matrices.post_neuron[m]
            activate(layers.kinds[m], act, first, first + matrices.n_post[m], lanes)


@inlined
def backward(
    slots, segments, matrices, layers, act, err, gradient, n_samples, lanes, turn_back, live=None, live_place=-1, wrong=None, wrong_place=-1
):  # fmt: skip
    """From the errors of the outputs to those of the hidden layers, and to this tile's dE/dweight.

    Writes the hidden rows of `err`, dE/d(input sum), and adds to `gradient`: float32 (S,). Marks which hidden activations
    (`live`) and which errors (`wrong`) are not zero, each if its place is not negative: see `kernels.marks`.
    """
    n_lanes = len(lanes)
    out = matrices.post_neuron[matrices.n_post.size - 1]
    mark_rows(err, out, out + matrices.n_post[matrices.n_post.size - 1], wrong, wrong_place, lanes)
    pre, post, weight = slots.pre, slots.post, slots.weight
    for m in range(matrices.n_pre.size - 1, -1, -1):
        e_base, d_base = matrices.pre_neuron[m] * n_lanes, matrices.post_neuron[m] * n_lanes
        e_end = e_base + matrices.n_pre[m] * n_lanes
        if m > 0:
            err[e_base:e_end] = np.float32(0.0)
        for segment in range(segments.matrix.size):
            if segments.matrix[segment] != m:
                continue
            start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
            if m == 0:
                gradient_slots(gradient, act, e_base, err, d_base, pre, post, start, stop, lanes)
            else:
                backward_slots(gradient, act, err, e_base, d_base, pre, post, weight, start, stop, lanes)
        if m > 0:
            first = matrices.pre_neuron[m]
            turn_back(layers.kinds[m - 1], err, act, first, first + matrices.n_pre[m], live, live_place, wrong, wrong_place, n_samples, lanes)
            mark_something(layers, m - 1, act, first, first + matrices.n_pre[m], live, live_place, lanes)


@inlined
def mark_something(layers, layer, act, start, stop, live, live_place, lanes):
    """Mark values of a hidden layer anew where some are zero but for rounding: a chip whose sums are exact does not send them."""
    if layers.least[layer] > np.float32(0.0):
        mark_above(act, start, stop, layers.least[layer], live, live_place, lanes)


@inlined
def backward_of_group(
    slots, segments, matrices, layers, act, err, partial, group, n_samples, lanes, turn_back, live=None, live_place=-1, wrong=None,
    wrong_place=-1,
):  # fmt: skip
    """`backward` of a tile, with the gradient summed where its group of tiles does.

    `partial` : float32 (n_groups - 1, S); the first group writes `slots.gradient`. A function of its own, because
    a choice between two arrays inside a parallel loop is taken for a race.
    """
    gradient = slots.gradient if group == 0 else partial[group - 1]
    backward(slots, segments, matrices, layers, act, err, gradient, n_samples, lanes, turn_back, live, live_place, wrong, wrong_place)


@inlined
def bias_gradient(matrices, err, gradient, n_lanes):
    """Write a tile's dE/dbias: float32 (n_biases,), or none."""
    rows = err[matrices.n_pre[0] * n_lanes :]
    for i in range(gradient.size):
        total = np.float32(0.0)
        for k in range(n_lanes):
            total += rows[i * n_lanes + k]
        gradient[i] = total


@inlined
def gather_groups(slots, matrices, work, layers, tiles, partial, n_tiles, start, stop, lanes):
    """Add the gradients of the groups of tiles but the first, in their order, for the slots [start, stop), and set them to zero.

    `partial` : float32 (n_groups - 1, S). Writes `slots.gradient`.
    """
    for group in range(partial.shape[0]):
        total, part = slots.gradient[start:stop], partial[group, start:stop]
        for k in range(total.size):
            total[k] += part[k]
            part[k] = np.float32(0.0)


@inlined
def count_nonzero(matrices, layers, act, start, stop, n_samples, lanes, n_nonzero):
    """Write the number of lanes that count as not zero, of the neurons [start, stop) of a tile: int32 (N,)."""
    for i in range(start, stop):
        n_nonzero[i] = np.int32(count_bits(nonzero_lanes(act, i * len(lanes), lanes)))
    for m in range(matrices.n_pre.size - 1):
        if layers.least[m] > np.float32(0.0):
            first = matrices.post_neuron[m]
            for i in range(max(start, first), min(stop, first + matrices.n_post[m])):
                n = np.int32(0)
                for k in range(i * len(lanes), (i + 1) * len(lanes)):
                    n += np.int32(act[k] > layers.least[m])
                n_nonzero[i] = n
        if layers.sends_zeros[m] == 1:
            first = matrices.post_neuron[m]
            n_nonzero[max(start, first) : min(stop, first + matrices.n_post[m])] = np.int32(n_samples)


@inlined
def add_counts(total, counts, n):
    """Add the first `n` int32 counts to int64 totals, in place."""
    for i in range(n):
        total[i] += np.int64(counts[i])
