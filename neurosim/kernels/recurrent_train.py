"""Training steps and evaluation of a recurrent network in one compiled call.

One step: every tile of sequences goes forward and backward through time, one thread a tile; then every
chunk of slots gathers its gradient from all tiles and steps, one thread a chunk; the gradient is clipped by
its norm; chunks are updated; slots below zero are released and re-used as in `mlp_train`. No two threads
write to the same place and every sum has one order: results do not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from neurosim.kernels import recurrent
from neurosim.kernels.compile import inlined, parallel_kernel
from neurosim.kernels.lanes import keeps_order
from neurosim.kernels.load import load_tile
from neurosim.kernels.mlp import add_counts
from neurosim.kernels.mlp_train import book_samples
from neurosim.kernels.merge import merge_segment
from neurosim.kernels.optimizer import bias_corrections, direct_chunk
from neurosim.kernels.order import note_disorder, note_order
from neurosim.kernels.random import fold
from neurosim.kernels.rewire import finish_step
from neurosim.kernels.rounding import count_saturated
from neurosim.kernels.softmax import softmax_errors
from neurosim.kernels.step import draws_a_slot, step_chunk
from neurosim.kernels.threads import N_SHARES, first_of_share
from neurosim.kernels.update import CHUNK, count_update
from neurosim.kernels.walks import add_walks, book_walks


class Sequences(NamedTuple):
    """The samples of an epoch. Read only."""

    data: np.ndarray  #: uint8 or float32 (n, n_steps * n_inputs), padded in front
    lengths: np.ndarray  #: int32 (n,), steps of each sequence
    labels: np.ndarray  #: int32 (n,)
    order: np.ndarray  #: int64 (n,)
    scale: np.float32
    size: int  #: samples in a batch


class Biases(NamedTuple):
    """Biases of the gates and logits; they belong to neurons and are never rewired."""

    value: np.ndarray  #: float32 (n_biases,), written
    moments: np.ndarray  #: float32 (0 to 2, n_biases), state of the optimizer, written
    active: np.ndarray  #: uint8 (n_biases,), ones: a bias is updated like a slot
    gradient: np.ndarray  #: float32 (n_biases,), work space
    of_tile: np.ndarray  #: float32 (n_tiles, n_biases), work space


@inlined
def _run_tile(slots, matrices, shape, bias, tile, batch, begin_sample, n, n_batch, lanes):
    """Forward pass and errors of the logits; returns loss, correct samples and first step."""
    n_lanes = len(lanes)
    load_tile(
        tile.inputs, batch.data, batch.order, begin_sample, n, shape.n_steps * shape.n_inputs, batch.scale, n_lanes
    )
    begin = recurrent.mark_steps(shape, tile, batch.lengths, batch.order, begin_sample, n, n_lanes)
    recurrent.forward(slots, matrices, shape, bias, tile, begin, lanes)
    top = shape.n_units[shape.n_units.size - 1] * n_lanes
    n_classes = matrices.n_post[shape.output_matrix]
    loss, correct = softmax_errors(
        tile.head, tile.head_err, top, batch.labels, batch.order, begin_sample, n, n_classes, n_batch, n_lanes
    )
    return loss, correct, begin


@inlined
def _square_sum(values, start, stop):
    total = np.float64(0.0)
    for k in range(start, stop):
        total += np.float64(values[k]) * np.float64(values[k])
    return total


@inlined
def _scale(values, start, stop, factor):
    for k in range(start, stop):
        values[k] *= factor


@parallel_kernel
def train_sequences(
    slots, segments, matrices, tally, shape, biases, batch, rule, counting, progress, clip, tiles, begins, lanes,
    first_step, n_steps, offset,
):  # fmt: skip
    """Run steps [first_step, first_step + n_steps); step s takes samples from offset on.

    `clip` : float32, largest norm of the gradient of a batch; infinity for none.
    `begins` : int64 (n_tiles,), written: first step of the longest sequence of each tile.
    Stops early, after the step, when the loss is not finite. Returns the number of steps done.
    """
    n_lanes = len(lanes)
    n_slots, n_biases = slots.pre.size, biases.value.size
    n_chunks = (n_slots + CHUNK - 1) // CHUNK
    n_tiles_most = tiles.act.shape[0]
    below, square = np.zeros(n_chunks, np.int32), np.zeros(n_chunks, np.float64)
    saturated = np.zeros(n_chunks + matrices.n_pre.size, np.int32)
    before, unfilled = np.zeros(segments.matrix.size, np.int64), np.zeros(segments.n_wanted.size, np.int64)
    walks = np.zeros((3, matrices.n_pre.size), np.int64)
    loss, correct = np.zeros(n_tiles_most, np.float64), np.zeros(n_tiles_most, np.int64)

    for done in range(n_steps):
        step = first_step + done
        first = offset + done * batch.size
        n_batch = min(batch.size, batch.order.size - first)
        n_tiles = (n_batch + n_lanes - 1) // n_lanes

        for t in prange(n_tiles):
            tile = recurrent.tile_of(tiles, t)
            start = first + t * n_lanes
            n = min(n_lanes, n_batch - t * n_lanes)
            loss[t], correct[t], begins[t] = _run_tile(
                slots, matrices, shape, biases.value, tile, batch, start, n, n_batch, lanes
            )
            recurrent.backward(slots, matrices, shape, tile, begins[t], lanes)
            recurrent.bias_gradient(shape, tile, begins[t], biases.of_tile[t], n_lanes)

        if counting.is_on:
            add_walks(walks, shape.walks, batch.lengths, batch.order, first, n_batch)
            book_walks(slots, segments, matrices, tally, walks)
            count_update(slots, segments, tally, draws_a_slot(rule))

        for chunk in prange(n_chunks):
            start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, n_slots)
            for t in range(n_tiles):
                recurrent.add_gradient(slots, matrices, shape, recurrent.tile_of(tiles, t), begins[t], start, stop, lanes)
            square[chunk] = _square_sum(slots.gradient, start, stop)
        biases.gradient[:] = np.float32(0.0)
        for t in range(n_tiles):
            for i in range(n_biases):
                biases.gradient[i] += biases.of_tile[t, i]
        norm = np.float32(np.sqrt(square.sum() + _square_sum(biases.gradient, 0, n_biases)))
        shrink = min(np.float32(1.0), clip / norm) if norm > np.float32(0.0) else np.float32(1.0)

        step_key, rounding_key = fold(rule.noise_key, step), fold(rule.rounding_key, step)
        correct_first, correct_second = bias_corrections(slots, rule, step)
        for chunk in prange(n_chunks):
            start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, n_slots)
            if shrink < np.float32(1.0):
                _scale(slots.gradient, start, stop, shrink)
            below[chunk] = step_chunk(
                slots, matrices, chunk, start, stop, rule, step_key, rounding_key, correct_first, correct_second, saturated
            )
        if rule.is_rounded:
            count_saturated(matrices, tally, saturated, CHUNK)
        _scale(biases.gradient, 0, n_biases, shrink)
        direct_chunk(biases, 0, n_biases, rule, correct_first, correct_second)
        for i in range(n_biases):
            biases.value[i] -= rule.eta * biases.gradient[i]

        is_ordered = keeps_order(lanes)
        finish_step(
            slots, segments, matrices, tally, progress, rule, step, below, is_ordered, counting.merge_entries, before, unfilled
        )
        if is_ordered and note_disorder(slots, n_tiles * shape.n_steps):
            for share in prange(N_SHARES):
                for segment in range(first_of_share(share), segments.matrix.size, N_SHARES):
                    merge_segment(slots, segments, matrices, segment)
            note_order(slots)

        if not book_samples(progress, loss, correct, n_tiles, n_batch):
            return done + 1
    return n_steps


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
            loss[group + i], correct[group + i], begin = _run_tile(
                slots, matrices, shape, bias, tile, batch, start, n, n_samples, lanes
            )
            recurrent.count_nonzero(shape, tile, matrices, begin, nonzero[i], lanes)
        for i in range(n_here):
            add_counts(n_nonzero, nonzero[i], n_nonzero.size)
    result[0], result[1] = np.float64(0.0), np.float64(0.0)
    for t in range(n_tiles):
        result[0] += loss[t]
        result[1] += np.float64(correct[t])
