"""Networks that take a sample step by step and learn back through time: what their training step is made of, and their evaluation.

Every tile of sequences goes forward and backward through time, one thread a tile; every chunk of slots gathers its gradient
from all tiles and steps (`kernels.recurrent`). The pass is pasted into the step (`kernels.train`).
"""

from functools import partial as with_options

import numpy as np
from numba import prange

from neurosim.kernels import recurrent
from neurosim.kernels.compile import inlined, kernel, parallel_kernel
from neurosim.kernels.load import load_tile
from neurosim.kernels.mlp import add_counts
from neurosim.kernels.softmax import softmax_errors
from neurosim.kernels.train import keep_outcome, make_steps
from neurosim.kernels.walks import add_walks, book_walks

_pasted = with_options(kernel, inline="always")


@inlined
def _run_tile(slots, matrices, shape, bias, tile, batch, begin_sample, n, n_batch, lanes):
    """Forward pass and errors of the logits; returns loss, correct samples and first step."""
    n_lanes = len(lanes)
    load_tile(tile.inputs, batch, begin_sample, n, shape.n_steps * shape.n_inputs, n_lanes)
    begin = recurrent.mark_steps(shape, tile, batch.lengths, batch.order, begin_sample, n, n_lanes)
    recurrent.forward(slots, matrices, shape, bias, tile, begin, lanes)
    top = shape.n_units[shape.n_units.size - 1] * n_lanes
    n_classes = matrices.n_post[shape.output_matrix]
    loss, correct = softmax_errors(tile.head, tile.head_err, top, batch.labels, batch.order, begin_sample, n, n_classes, n_batch, n_lanes)
    return loss, correct, begin


@_pasted
def _pass_through_time(
    slots, segments, matrices, tally, batch, counting, work, biases, shape, tiles, partial, lanes, first, n_batch, n_shares,
):  # fmt: skip
    """The sequences batch.order[first : first + n_batch]. Writes `work`, `biases.of_tile` and `tiles`."""
    n_lanes = len(lanes)
    n_tiles = (n_batch + n_lanes - 1) // n_lanes
    for t in prange(n_tiles):
        tile = recurrent.tile_of(tiles, t)
        start = first + t * n_lanes
        n = min(n_lanes, n_batch - t * n_lanes)
        loss, correct, begin = _run_tile(slots, matrices, shape, biases.value, tile, batch, start, n, n_batch, lanes)
        keep_outcome(work, t, (loss, correct, begin))
        recurrent.backward(slots, matrices, shape, tile, begin, lanes)
        recurrent.bias_gradient(shape, tile, begin, biases.of_tile[t], n_lanes)


@inlined
def _count_batch(slots, segments, matrices, tally, batch, counting, work, shape, tiles, lanes, first, n_batch):
    """Book the walks of the samples. Writes `tally`, `work`."""
    add_walks(work.walks, shape.walks, batch.lengths, batch.order, first, n_batch)
    book_walks(slots, segments, matrices, tally, work.walks)


@inlined
def _gather_chunk(slots, matrices, work, shape, tiles, partial, n_tiles, start, stop, lanes):
    """Add the gradients of all tiles for the slots [start, stop). Writes `slots.gradient`."""
    for t in range(n_tiles):
        recurrent.add_gradient(slots, matrices, shape, recurrent.tile_of(tiles, t), work.begins[t], start, stop, lanes)


@inlined
def _close_counts(slots, segments, matrices, tally, counting, work, lanes, is_last):
    """Nothing is open: values travel whether they are zero or not, so every walk is booked when it is made."""


train_sequences = parallel_kernel(
    make_steps("train_sequences", pass_batch=_pass_through_time, count_batch=_count_batch, gather_chunk=_gather_chunk, close_counts=_close_counts)
)


@parallel_kernel
def evaluate_sequences(slots, matrices, shape, bias, batch, n_nonzero, tiles, lanes, result):
    """Accuracy and loss over all samples of `batch`.

    `n_nonzero` : int64 (N,), written: walks of its matrix in which a pre neuron was non-zero.
    `result` : float64 (2,), written: sum of losses in nats, number of correct samples.
    """
    n_lanes = len(lanes)
    n_samples, n_at_once = batch.order.size, tiles.act.shape[0]
    n_tiles = (n_samples + n_lanes - 1) // n_lanes
    loss, correct = np.zeros(n_tiles, np.float64), np.zeros(n_tiles, np.int64)
    nonzero = np.zeros((n_at_once, n_nonzero.size), np.int32)
    n_nonzero[:] = 0
    for group in range(0, n_tiles, n_at_once):
        n_here = min(n_at_once, n_tiles - group)
        for i in prange(n_here):
            tile = recurrent.tile_of(tiles, i)
            start = (group + i) * n_lanes
            n = min(n_lanes, n_samples - start)
            loss[group + i], correct[group + i], begin = _run_tile(slots, matrices, shape, bias, tile, batch, start, n, n_samples, lanes)
            recurrent.count_nonzero(shape, tile, matrices, begin, nonzero[i], lanes)
        for i in range(n_here):
            add_counts(n_nonzero, nonzero[i], n_nonzero.size)
    result[0], result[1] = np.float64(0.0), np.float64(0.0)
    for t in range(n_tiles):
        result[0] += loss[t]
        result[1] += np.float64(correct[t])
