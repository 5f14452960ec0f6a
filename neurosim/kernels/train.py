"""Many training steps of a network in one compiled call: one step for every network.

A network brings what leads to the gradient, as *verbs* that `bind` puts into the step below:

    pass_batch     the samples of a step forward and backward
    count_batch    what of that is counted, step by step
    gather_chunk   the gradient of a chunk of slots, summed from wherever the pass left it
    close_counts   what is counted only now and then
    follow_update  what learns from the new weights, before any of them leaves; nothing of most networks

Everything after the gradient is the same: its norm, where it is clipped; optimizer, noise, rounding and who fell below
zero, one thread a chunk of slots; biases; release and re-use, one thread a matrix where matrices share nothing (`kernels.rewire`); order.
No two threads ever write to the same place, and every sum has one order, so results do not depend on the number of threads.
"""

from typing import NamedTuple

import numpy as np
from numba import prange

from neurosim.kernels.compile import bind, inlined
from neurosim.kernels.lanes import keeps_order
from neurosim.kernels.merge import merge_segment
from neurosim.kernels.optimizer import bias_corrections, direct_chunk
from neurosim.kernels.order import note_disorder, note_order
from neurosim.kernels.random import fold
from neurosim.kernels.rewire import begin_exchange, close_exchange, deal_share, exchange_share
from neurosim.kernels.rounding import count_saturated
from neurosim.kernels.step import step_slots
from neurosim.kernels.threads import N_SHARES, first_of_share
from neurosim.kernels.update import CHUNK, count_update

_NO_LENGTHS = np.zeros(0, np.int32)
_NO_BYTES, _NO_FLOATS = np.zeros((0, 0), np.uint8), np.zeros((0, 0), np.float32)
_SAME_FOR_ALL = np.zeros((0, 4), np.float32)


class Batch(NamedTuple):
    """The samples of an epoch. Read only."""

    data: np.ndarray  #: uint8 or float32 (n, n_inputs); of sequences (n, n_steps * n_inputs), padded in front
    labels: np.ndarray  #: int32 (n,)
    order: np.ndarray  #: int64 (n,), the samples in the order of this epoch
    scale: np.float32  #: stored value -> input of the network
    size: int  #: samples in a batch; the last batch of an epoch may be smaller
    lengths: np.ndarray = _NO_LENGTHS  #: int32 (n,), steps of each sequence; empty where a sample is no sequence
    values: np.ndarray = _NO_FLOATS  #: float32, the samples where `data` holds none; see `for_kernels`

    def for_kernels(self):
        """The same batch with uint8 samples in `data` and float32 samples in `values`, so that one build of a kernel takes both."""
        return self if self.data.dtype == np.uint8 else self._replace(data=_NO_BYTES, values=self.data)


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
    clip: np.float32 = np.float32(np.inf)  #: largest norm of the gradient of a batch
    by_matrix: np.ndarray = _SAME_FOR_ALL  #: float32 (M, 4), eta, l1, noise_std and 1 for free signs of each matrix; or no rows


class Counting(NamedTuple):
    """Which events are counted. Read only."""

    is_on: bool  #: slots walked, updated and drawn
    first_neuron: int  #: neurons from here on are watched for being non-zero (rows, packets)
    pairs: bool  #: slots with a non-zero activation and a non-zero error, needed by event-driven execution
    merge_entries: int  #: arrivals that one merge pass of a sorted layout can take


class Biases(NamedTuple):
    """Biases of the sums, population by population; they belong to neurons and are never rewired."""

    value: np.ndarray  #: float32 (n_biases,), written; none for a network without biases
    moments: np.ndarray  #: float32 (0 to 2, n_biases), state of the optimizer, written
    active: np.ndarray  #: uint8 (n_biases,), ones: a bias is updated like a slot
    gradient: np.ndarray  #: float32 (n_biases,), work space
    of_tile: np.ndarray  #: float32 (n_tiles, n_biases), work space


class Work(NamedTuple):
    """Work space of the training steps of a network: nothing in it outlives a step."""

    below: np.ndarray  #: int32 (chunks,), slots of each chunk that fell below zero
    square: np.ndarray  #: float64 (chunks,), squared norm of the gradient of each chunk
    saturated: np.ndarray  #: int32 (chunks + M,), see `rounding.round_chunk`
    before: np.ndarray  #: int64 (G,), see `rewire.exchange_share`
    unfilled: np.ndarray  #: int64 (scopes,), the same
    loss: np.ndarray  #: float64 (tiles,)
    correct: np.ndarray  #: int64 (tiles,)
    begins: np.ndarray  #: int64 (tiles,), first step of the longest sequence of each tile
    walks: np.ndarray  #: int64 (3, M), see `walks.add_walks`
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


def make_work(slots, segments, matrices, n_tiles, n_single=0, n_words=0):
    """Work space for the training steps of a network whose batches take up to `n_tiles` tiles.

    `n_single`, `n_words` : neurons, and words of live slots, of a network that takes samples one by one.
    """
    n_chunks, n_segments, n_matrices = -(-slots.pre.size // CHUNK), segments.matrix.size, matrices.n_pre.size
    return Work(
        below=np.zeros(n_chunks, np.int32),
        square=np.zeros(n_chunks),
        saturated=np.zeros(n_chunks + n_matrices, np.int32),
        before=np.zeros(n_segments, np.int64),
        unfilled=np.zeros(segments.n_wanted.size, np.int64),
        loss=np.zeros(n_tiles),
        correct=np.zeros(n_tiles, np.int64),
        begins=np.zeros(n_tiles, np.int64),
        walks=np.zeros((3, n_matrices), np.int64),
        nonzero=np.zeros(n_single, np.int32),
        live=np.zeros(n_words, np.uint64),
        pairs=np.zeros(n_segments, np.int64),
    )


@inlined
def keep_outcome(work, t, outcome):
    """Write the loss, the correct samples and the first step of a tile. Writes `work`.

    A call, because numba takes an element that a pasted function stores in an array of a tuple for dead, and drops it without a word.
    """
    work.loss[t], work.correct[t], work.begins[t] = outcome


@inlined
def _book_samples(progress, loss, correct, n_tiles, n_samples):
    """Add a step's losses and correct samples, tile by tile, to `progress`; returns whether the loss is finite."""
    total = np.float64(0.0)
    for t in range(n_tiles):
        total += loss[t]
        progress.n_correct[0] += correct[t]
    progress.loss[0] += total
    progress.n_samples[0] += n_samples
    return np.isfinite(total)


@inlined
def _square_sum(values, active, start, stop):
    """Squared norm of the gradient of [start, stop): of active slots, for a free one holds what its last neurons would give it."""
    total = np.float64(0.0)
    for k in range(start, stop):
        value = np.float64(values[k]) if active[k] == 1 else np.float64(0.0)
        total += value * value
    return total


@inlined
def _scale(values, start, stop, factor):
    for k in range(start, stop):
        values[k] *= factor


@inlined
def _add_tiles(biases, n_tiles):
    """Sum the gradients of the biases over the tiles. Writes `biases.gradient`."""
    n_biases = biases.value.size
    biases.gradient[:] = np.float32(0.0)
    for t in range(n_tiles):
        for i in range(n_biases):
            biases.gradient[i] += biases.of_tile[t, i]


@inlined
def share_chunks(n_chunks, n_steps):
    """In how many pieces threads share the chunks of slots, and how many chunks are a piece.

    What one thread takes at a time must be worth waking it; a slot of a sequence is gathered at each of its `n_steps`.
    """
    most = max(1, 32 // n_steps)
    n_pieces = (n_chunks + most - 1) // most
    return n_pieces, (n_chunks + n_pieces - 1) // max(n_pieces, 1)


@inlined
def _shrink(work, biases, clip):
    """What a gradient is multiplied with so that its norm, over all weights and biases, is at most `clip`."""
    norm = np.float32(np.sqrt(work.square.sum() + _square_sum(biases.gradient, biases.active, 0, biases.value.size)))
    return min(np.float32(1.0), clip / norm) if norm > np.float32(0.0) else np.float32(1.0)


@inlined
def _step_biases(biases, rule, shrink, correct_first, correct_second):
    """Move the biases: no noise, no L1 and no rounding. Writes `biases`."""
    n_biases = biases.value.size
    _scale(biases.gradient, 0, n_biases, shrink)
    direct_chunk(biases, 0, n_biases, rule, correct_first, correct_second)
    for i in range(n_biases):
        biases.value[i] -= rule.eta * biases.gradient[i]


@inlined
def _follow_nothing(slots, matrices, shape, tiles):
    """Nothing but slots and biases learns."""


# The verbs, which `bind` replaces.
pass_batch = count_batch = gather_chunk = close_counts = follow_update = None


def _train_steps(
    slots, segments, matrices, tally, batch, rule, counting, progress, work, biases, shape, tiles, partial, lanes, first_step, n_steps,
    offset, n_shares,
):  # fmt: skip
    """Run steps [first_step, first_step + n_steps); step s takes samples from offset on.

    Parameters
    ----------
    slots, segments, matrices, tally : Slots, Segments, Matrices, Tally
        `slots` and `tally` are written.
    batch, rule, counting : Batch, StepRule, Counting
    progress : Progress
        Written.
    work : Work
        Written.
    biases : Biases
        Written.
    shape, tiles : tuple of arrays and numbers, tuple of arrays
        How the network lies in a tile, and the tiles. What they are is up to the verbs; ``shape.n_steps`` is asked for.
    partial : float32 array, shape (n_groups - 1, S)
        Gradients of all groups of tiles but the first; zero between steps.
    lanes : tuple
        As many elements as a tile has lanes.
    n_shares : int
        Shares of the rows, where threads share a tile; changes no result.

    Returns
    -------
    int
        Steps done: fewer after a loss that is not finite.
    """
    n_lanes = len(lanes)
    n_slots = slots.pre.size
    n_chunks = (n_slots + CHUNK - 1) // CHUNK
    n_pieces, chunks_a_piece = share_chunks(n_chunks, shape.n_steps)
    below, saturated, before, unfilled, square = work.below, work.saturated, work.before, work.unfilled, work.square
    is_clipped = rule.clip < np.float32(np.inf)

    for done in range(n_steps):
        step = first_step + done
        first = offset + done * batch.size
        n_batch = min(batch.size, batch.order.size - first)
        n_tiles = (n_batch + n_lanes - 1) // n_lanes
        pass_batch(
            slots, segments, matrices, tally, batch, counting, work, biases, shape, tiles, partial, lanes, first, n_batch, n_shares,
        )  # fmt: skip
        if counting.is_on:
            count_batch(slots, segments, matrices, tally, batch, counting, work, shape, tiles, lanes, first, n_batch)
            count_update(slots, segments, tally, rule)

        _add_tiles(biases, n_tiles)
        step_key, rounding_key = fold(rule.noise_key, step), fold(rule.rounding_key, step)
        correct_first, correct_second = bias_corrections(slots, rule, step)
        shrink = np.float32(1.0)
        # A norm takes the whole gradient before anybody moves; without it, a chunk is gathered and moved while it is near.
        for turn in range(2 if is_clipped else 1):
            gathers, moves = turn == 0, turn == 1 or not is_clipped
            for piece in prange(n_pieces):
                for chunk in range(piece * chunks_a_piece, min((piece + 1) * chunks_a_piece, n_chunks)):
                    start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, n_slots)
                    if gathers:
                        gather_chunk(slots, matrices, work, shape, tiles, partial, n_tiles, start, stop, lanes)
                    if is_clipped and gathers:
                        square[chunk] = _square_sum(slots.gradient, slots.active, start, stop)
                    if moves:
                        if shrink < np.float32(1.0):
                            _scale(slots.gradient, start, stop, shrink)
                        below[chunk] = step_slots(
                            slots, matrices, chunk, start, stop, rule, step_key, rounding_key, correct_first, correct_second, saturated
                        )
            if not moves:
                shrink = _shrink(work, biases, rule.clip)
        if rule.is_rounded:
            count_saturated(matrices, tally, saturated, CHUNK)
        _step_biases(biases, rule, shrink, correct_first, correct_second)
        follow_update(slots, matrices, shape, tiles)

        is_rewiring = (step + 1) % rule.period == 0
        n_exchanging = begin_exchange(slots, segments, tally, rule, below, is_rewiring)
        for share in prange(n_exchanging):
            exchange_share(share, n_exchanging, slots, segments, matrices, tally, rule, step, below, is_rewiring, before, unfilled)
            if is_rewiring and keeps_order(lanes):
                deal_share(share, n_exchanging, slots, segments, matrices, before)
        close_exchange(n_exchanging, slots, segments, matrices, tally, progress, is_rewiring, counting.merge_entries, before, unfilled)
        if keeps_order(lanes) and note_disorder(slots, n_tiles * shape.n_steps):
            for share in prange(N_SHARES):
                for segment in range(first_of_share(share), segments.matrix.size, N_SHARES):
                    merge_segment(slots, segments, matrices, segment)
            note_order(slots)

        is_finite = _book_samples(progress, work.loss, work.correct, n_tiles, n_batch)
        close_counts(slots, segments, matrices, tally, counting, work, lanes, not is_finite or done + 1 == n_steps)
        if not is_finite:
            return done + 1
    return n_steps


def make_steps(name, *, pass_batch, count_batch, gather_chunk, close_counts, follow_update=_follow_nothing):
    """The training steps of a network, to be compiled; see `_train_steps`."""
    verbs = {"pass_batch": pass_batch, "count_batch": count_batch, "gather_chunk": gather_chunk, "close_counts": close_counts}
    return bind(_train_steps, name, **verbs, follow_update=follow_update)
