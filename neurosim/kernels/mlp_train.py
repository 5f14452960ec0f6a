"""Many training steps of a perceptron in one compiled call, for mini-batches.

One step: the tiles go forward and backward, shared among threads by tiles or by rows (`kernels.passes`); then
every chunk of slots adds up the gradients of the groups of tiles and is updated, one thread a chunk; then the slots
below zero are released and re-used, one thread a matrix where matrices share nothing (`kernels.rewire`). No two threads ever
write to the same place, and every sum has one order, so results do not depend on the number of threads.
"""

from types import FunctionType
from typing import NamedTuple

import numpy as np
from numba import prange

from neurosim.kernels import mlp, single
from neurosim.kernels.compile import inlined, kernel, parallel_kernel
from neurosim.kernels.lanes import keeps_order
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.merge import merge_segment
from neurosim.kernels.optimizer import bias_corrections
from neurosim.kernels.order import note_disorder, note_order
from neurosim.kernels.marks import LINE, PLACE, count_marks, settle_marks
from neurosim.kernels.pairs import count_exchanged, count_line, gather_line
from neurosim.kernels.passes import pass_by_rows, pass_by_tiles
from neurosim.kernels.random import fold
from neurosim.kernels.rewire import begin_exchange, close_exchange, deal_share, exchange_share
from neurosim.kernels.rounding import count_saturated
from neurosim.kernels.step import draws_a_slot, step_chunk
from neurosim.kernels.threads import N_SHARES, first_of_share
from neurosim.kernels.update import CHUNK, count_update

_SLOTS, _PAIR, _WORDS = int(SegmentEvent.SLOTS), int(SegmentEvent.PAIR_NONZERO), int(SegmentEvent.WORDS)


class Batch(NamedTuple):
    """The samples of an epoch. Read only."""

    data: np.ndarray  #: uint8 or float32 (n, n_inputs)
    labels: np.ndarray  #: int32 (n,)
    order: np.ndarray  #: int64 (n,), the samples in the order of this epoch
    scale: np.float32  #: stored value -> input of the network
    size: int  #: samples in a batch; the last batch of an epoch may be smaller


class StepRule(NamedTuple):
    """Numbers of one epoch's steps. Read only."""

    eta: np.float32  #: learning rate
    l1: np.float32  #: alpha
    noise_std: np.float32  #: standard deviation of the noise of one step, 0 for none
    theta_born: np.float32  #: strength of an arrival
    period: int  #: steps between rewirings
    noise_key: np.uint64
    proposal_key: np.uint64
    # The numbers of an `OptimizerStep`, side by side: a parallel loop cannot take a tuple out of a tuple.
    decay: np.float32 = np.float32(0.0)
    decay_square: np.float32 = np.float32(0.0)
    epsilon: np.float32 = np.float32(0.0)
    has_free_signs: bool = False  #: weights change their signs, and nobody leaves in a step
    is_rounded: bool = False  #: weights are stored narrower than float32
    is_stochastic: bool = False  #: how they are rounded
    rounding_key: np.uint64 = np.uint64(0)


class Counting(NamedTuple):
    """Which events are counted. Read only."""

    is_on: bool  #: slots walked, updated and drawn
    first_neuron: int  #: neurons from here on are watched for being non-zero (rows, packets)
    pairs: bool  #: slots with a non-zero activation and a non-zero error, needed by event-driven execution
    merge_entries: int  #: arrivals that one merge pass of a sorted layout can take


class Work(NamedTuple):
    """Work space of the training steps of a network: nothing in it outlives a step."""

    below: np.ndarray  #: int32 (chunks,), slots of each chunk that fell below zero
    saturated: np.ndarray  #: int32 (chunks + M,), see `rounding.round_chunk`
    before: np.ndarray  #: int64 (G,), see `rewire.exchange_share`
    unfilled: np.ndarray  #: int64 (scopes,), the same
    loss: np.ndarray  #: float64 (tiles,)
    correct: np.ndarray  #: int64 (tiles,)
    # What single samples (tiles of one lane) are counted in, and empty for others but for the pairs.
    nonzero: np.ndarray  #: int32 (N,)
    live: np.ndarray  #: uint64 (words,), see `single.forward_single`
    pairs: np.ndarray  #: int64 (G,), zero between steps


class Progress(NamedTuple):
    """Running results of an epoch; written by kernels."""

    loss: np.ndarray  #: float64 (1,), sum over samples, nats
    n_correct: np.ndarray  #: int64 (1,)
    n_samples: np.ndarray  #: int64 (1,)
    least_active: np.ndarray  #: int64 (1,), fewest active synapses after any rewiring
    most_active: np.ndarray  #: int64 (1,), most active synapses after any step
    n_unfilled: np.ndarray  #: int64 (1,), slots that found no feasible position, last rewiring


@inlined
def count_slots(slots, segments, tally, n_samples):
    """Book the walk of every active slot for each of `n_samples` samples. Writes `tally`."""
    for segment in range(segments.matrix.size):
        n = segments.slot_start[segment + 1] - segments.slot_start[segment] - slots.n_free[segment]
        tally.by_segment[segment, _SLOTS] += n * n_samples
        tally.by_segment[segment, _WORDS] += slots.segment_words[segment] * n_samples


@inlined
def add_pairs(tally, pairs):
    """Add to the pairs of every segment, and set `pairs` to zero: int64 (G,).

    They go through an array of their own: what a parallel loop of numba adds to `tally.by_segment` itself is lost.
    """
    for segment in range(pairs.size):
        tally.by_segment[segment, _PAIR] += pairs[segment]
        pairs[segment] = 0


@inlined
def book_samples(progress, loss, correct, n_tiles, n_samples):
    """Add a step's losses and correct samples, tile by tile, to `progress`; returns whether the loss is finite."""
    total = np.float64(0.0)
    for t in range(n_tiles):
        total += loss[t]
        progress.n_correct[0] += correct[t]
    progress.loss[0] += total
    progress.n_samples[0] += n_samples
    return np.isfinite(total)


def make_work(slots, segments, matrices, n_neurons, n_tiles, n_lanes):
    """Work space for the training steps of a network whose batches take up to `n_tiles` tiles."""
    n_chunks, n_segments = -(-slots.pre.size // CHUNK), segments.matrix.size
    return Work(
        below=np.zeros(n_chunks, np.int32),
        saturated=np.zeros(n_chunks + matrices.n_pre.size, np.int32),
        before=np.zeros(n_segments, np.int64),
        unfilled=np.zeros(segments.n_wanted.size, np.int64),
        loss=np.zeros(n_tiles),
        correct=np.zeros(n_tiles, np.int64),
        nonzero=np.zeros(n_neurons if n_lanes == 1 else 0, np.int32),
        live=np.zeros(single.n_words.py_func(slots, segments) if n_lanes == 1 else 0, np.uint64),
        pairs=np.zeros(n_segments, np.int64),
    )


pass_batch = pass_by_tiles  # `_copy` binds another


def _train_steps(
    slots, segments, matrices, tally, batch, rule, counting, progress, work, act, err, partial, lanes, first_step, n_steps, offset, n_shares,
):  # fmt: skip
    """Run steps [first_step, first_step + n_steps); step s takes samples from offset on.

    `act`, `err` : float32, shape (n_tiles, N * n_lanes), work space.
    `partial` : float32, shape (n_groups - 1, S), gradients of all groups of tiles but the first; zero between steps.
    `n_shares` : shares of the rows, where threads share a tile; changes no result.
    Stops early, after the step, when the loss is not finite. Returns the number of steps done.
    """
    n_lanes = len(lanes)
    n_matrices = matrices.n_pre.size
    n_inputs = matrices.n_pre[0]
    n_neurons = tally.by_neuron.size
    out = matrices.post_neuron[n_matrices - 1]
    n_slots = slots.pre.size
    n_chunks = (n_slots + CHUNK - 1) // CHUNK
    n_pieces = (n_chunks + 31) // 32
    chunks_a_piece = (n_chunks + n_pieces - 1) // n_pieces
    n_tiles_most = act.shape[0]
    n_groups = partial.shape[0] + 1
    below, saturated, before, unfilled, pairs = work.below, work.saturated, work.before, work.unfilled, work.pairs
    first_counted = counting.first_neuron if counting.is_on else out
    first_watched = 0 if counting.pairs else first_counted  # a pair takes both of its neurons
    is_marking, marks_pairs = n_lanes > 1 and first_watched < out, n_lanes > 1 and counting.pairs
    n_places = n_lanes // PLACE  # of a tile

    for done in range(n_steps):
        step = first_step + done
        first = offset + done * batch.size
        n_batch = min(batch.size, batch.order.size - first)
        n_tiles = (n_batch + n_lanes - 1) // n_lanes
        n_open = tally.n_open[0]
        pass_batch(
            slots, segments, matrices, tally, batch, counting, work, act, err, partial, lanes, first, n_batch, first_watched, is_marking,
            marks_pairs, n_shares,
        )  # fmt: skip

        if counting.is_on:
            count_slots(slots, segments, tally, n_batch)
            if n_lanes == 1 and counting.first_neuron < out:
                mlp.add_counts(tally.by_neuron, work.nonzero, out)
            if counting.pairs and n_lanes == 1:
                add_pairs(tally, pairs)
            count_update(slots, segments, tally, draws_a_slot(rule))
        if is_marking:
            if first_counted < out:
                count_marks(tally, first_counted, out, n_open, n_tiles * n_places)
            if marks_pairs:
                tally.n_open[0] += n_tiles * n_places

        step_key, rounding_key = fold(rule.noise_key, step), fold(rule.rounding_key, step)
        correct_first, correct_second = bias_corrections(slots, rule, step)
        for piece in prange(n_pieces):
            for chunk in range(piece * chunks_a_piece, min((piece + 1) * chunks_a_piece, n_chunks)):
                start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, n_slots)
                for group in range(n_groups - 1):
                    mlp.move_gradient(slots.gradient[start:stop], partial[group, start:stop])
                below[chunk] = step_chunk(
                    slots, matrices, chunk, start, stop, rule, step_key, rounding_key, correct_first, correct_second, saturated
                )
        if rule.is_rounded:
            count_saturated(matrices, tally, saturated, CHUNK)

        is_rewiring = (step + 1) % rule.period == 0
        n_exchanging = begin_exchange(slots, segments, tally, below, is_rewiring)
        for share in prange(n_exchanging):
            exchange_share(share, n_exchanging, slots, segments, matrices, tally, rule, step, below, is_rewiring, before, unfilled)
            if is_rewiring and keeps_order(lanes):
                deal_share(share, n_exchanging, slots, segments, matrices, before)
        close_exchange(
            n_exchanging, slots, segments, matrices, tally, progress, is_rewiring, counting.merge_entries, before, unfilled
        )
        if keeps_order(lanes) and note_disorder(slots, n_tiles):
            for share in prange(N_SHARES):
                for segment in range(first_of_share(share), segments.matrix.size, N_SHARES):
                    merge_segment(slots, segments, matrices, segment)
            note_order(slots)

        is_finite = book_samples(progress, work.loss, work.correct, n_tiles, n_batch)
        is_full = tally.n_open[0] + n_tiles_most * n_places > tally.live.shape[0]
        if marks_pairs and (is_full or not is_finite or done + 1 == n_steps):
            for line in range((tally.n_open[0] + LINE - 1) // LINE):
                gather_line(tally, line, n_inputs, out, n_neurons)
                for segment in prange(segments.matrix.size):
                    pairs[segment] = count_line(slots, segments, matrices, tally, segment)
                add_pairs(tally, pairs)
                count_exchanged(tally, line)
            tally.n_open[0], tally.n_exchanged[0] = 0, 0
        if is_marking and (not is_finite or done + 1 == n_steps):
            settle_marks(tally)
        if not is_finite:
            return done + 1
    return n_steps


def _copy(name, pass_batch):
    """`_train_steps` with a way to pass a batch, under a name of its own: numba's disk cache tells functions apart by their names."""
    code = _train_steps.__code__.replace(co_name=name, co_qualname=name)
    copy = FunctionType(code, globals() | {"pass_batch": pass_batch}, name)
    copy.__doc__, copy.__module__, copy.__qualname__ = _train_steps.__doc__, __name__, name
    return copy


# The same steps in one thread, in several, and in several that share a tile. Which one runs must not depend on the number of
# threads: two builds may round differently, while one build gives the same bits with any number of threads.
train_steps = kernel(_copy("train_steps", pass_by_tiles), _nrt=False)  # reference counts took 5 % of a step of ten samples
train_steps_parallel = parallel_kernel(_copy("train_steps_parallel", pass_by_tiles))
train_steps_by_rows = parallel_kernel(_copy("train_steps_by_rows", pass_by_rows))


@parallel_kernel
def evaluate(slots, matrices, batch, n_neurons, n_nonzero, act, err, lanes, result):
    """Accuracy and loss over all samples of `batch`.

    `n_nonzero` : int64 (N,), written: samples in which a neuron (not an output) was non-zero.
    `act`, `err` : float32, shape (n_tiles at once, N * n_lanes), work space.
    `result` : float64 (2,), written: sum of losses in nats, number of correct samples.
    """
    n_lanes = len(lanes)
    n_matrices = matrices.n_pre.size
    out, n_classes = matrices.post_neuron[n_matrices - 1], matrices.n_post[n_matrices - 1]
    n_samples, n_at_once = batch.order.size, act.shape[0]
    n_tiles = (n_samples + n_lanes - 1) // n_lanes
    loss = np.zeros(n_tiles, np.float64)
    correct = np.zeros(n_tiles, np.int64)
    nonzero = np.zeros((n_at_once, n_neurons), np.int32)
    n_nonzero[:] = 0
    for group in range(0, n_tiles, n_at_once):
        n_here = min(n_at_once, n_tiles - group)
        for i in prange(n_here):
            begin = (group + i) * n_lanes
            n = min(n_lanes, n_samples - begin)
            mlp.load_tile(act[i], batch.data, batch.order, begin, n, matrices.n_pre[0], batch.scale, n_lanes)
            mlp.forward(slots, matrices, act[i], lanes)
            loss[group + i], correct[group + i] = mlp.softmax_errors(
                act[i], err[i], out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_samples, n_lanes
            )
            mlp.count_nonzero(act[i], 0, out, lanes, nonzero[i])
        for i in range(n_here):
            mlp.add_counts(n_nonzero, nonzero[i], out)
    result[0], result[1] = np.float64(0.0), np.float64(0.0)
    for t in range(n_tiles):
        result[0] += loss[t]
        result[1] += np.float64(correct[t])
