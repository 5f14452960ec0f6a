"""Forward and backward pass of a multilayer perceptron on one tile of samples.

A tile of one network is a flat float32 array of (all neurons, n_lanes), inputs first. Errors have the
same layout. Lanes without a sample hold zeros everywhere, so they add nothing to any sum or count.
"""

import numpy as np

from neurosim.kernels.bits import count_bits
from neurosim.kernels.compile import inlined
from neurosim.kernels.lanes import backward_slots, gradient_slots, nonzero_lanes
from neurosim.kernels.load import load_and_mark, load_tile, prefetch_samples  # noqa: F401  (part of this module's interface)
from neurosim.kernels.marks import mark_rows, mask_rows, rectify_rows
from neurosim.kernels.products import multiply
from neurosim.kernels.softmax import softmax_errors  # noqa: F401


@inlined
def forward(slots, matrices, act, lanes):
    """From the input rows of `act` to the logits, in place: float32 (N * n_lanes,)."""
    n_lanes = len(lanes)
    n_matrices = matrices.n_pre.size
    for m in range(n_matrices):
        x_base, z_base = matrices.pre_neuron[m] * n_lanes, matrices.post_neuron[m] * n_lanes
        # Slices: numba must not need a test for negative indices, which would keep loops scalar.
        sums = act[z_base : z_base + matrices.n_post[m] * n_lanes]
        sums[:] = np.float32(0.0)
        multiply(slots, matrices, m, act, x_base, act, z_base, lanes)
        if m < n_matrices - 1:
            first = matrices.post_neuron[m]
            rectify_rows(act, first, first + matrices.n_post[m], lanes)


@inlined
def backward(slots, segments, matrices, act, err, gradient, lanes, live=None, live_place=-1, wrong=None, wrong_place=-1):
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
            mask_rows(err, act, first, first + matrices.n_pre[m], live, live_place, wrong, wrong_place, lanes)


@inlined
def backward_of_group(
    slots, segments, matrices, act, err, partial, group, lanes, live=None, live_place=-1, wrong=None, wrong_place=-1
):  # fmt: skip
    """`backward` of a tile, with the gradient summed where its group of tiles does.

    `partial` : float32 (n_groups - 1, S); the first group writes `slots.gradient`. A function of its own, because
    a choice between two arrays inside a parallel loop is taken for a race.
    """
    gradient = slots.gradient if group == 0 else partial[group - 1]
    backward(slots, segments, matrices, act, err, gradient, lanes, live, live_place, wrong, wrong_place)


@inlined
def move_gradient(total, part):
    """Add the gradient of one group of tiles to the total, and set it to zero: float32 (n_slots,)."""
    for k in range(total.size):
        total[k] += part[k]
        part[k] = np.float32(0.0)


@inlined
def count_nonzero(act, start, stop, lanes, n_nonzero):
    """Write the number of non-zero lanes of the neurons [start, stop) of a tile: int32 (N,)."""
    for i in range(start, stop):
        n_nonzero[i] = np.int32(count_bits(nonzero_lanes(act, i * len(lanes), lanes)))


@inlined
def add_counts(total, counts, n):
    """Add the first `n` int32 counts to int64 totals, in place."""
    for i in range(n):
        total[i] += np.int64(counts[i])
