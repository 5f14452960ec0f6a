"""Networks that take a sample in one pass: what their training step is made of, and their evaluation.

Threads share the samples of a step in two ways. By tiles: every group of tiles has a thread and sums its gradient apart. By rows: the
threads share one tile after the other (`kernels.shares`), so that only one at a time competes for the last cache, and there is one gradient.
The passes are pasted into the step (`kernels.train`), for parallel loops must stand where they are compiled.
"""

from functools import cache
from functools import partial as with_options

import numpy as np
from numba import prange

from neurosim.kernels import mlp, single
from neurosim.kernels.cells import join_cells
from neurosim.kernels.compile import bind, inlined, kernel, parallel_kernel
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.marks import LINE, PLACE, count_marks, settle_marks
from neurosim.kernels.membership import count_active
from neurosim.kernels.pairs import count_exchanged, count_line, gather_line
from neurosim.kernels.shares import make_shares
from neurosim.kernels.train import keep_outcome, make_steps

_SLOTS, _PAIR, _WORDS = int(SegmentEvent.SLOTS), int(SegmentEvent.PAIR_NONZERO), int(SegmentEvent.WORDS)

_pasted = with_options(kernel, inline="always")

# The functions of the cells (`cells.join_cells`) and what is made of them, which `FeedforwardKernels` puts in.
activate = turn_back = forward_share = backward_share = None


@inlined
def _first_watched(counting, out):
    """First neuron whose activations are marked; `out` for none. A pair takes both of its neurons."""
    return 0 if counting.pairs else counting.first_neuron if counting.is_on else out


@inlined
def _add_pairs(tally, pairs):
    """Add to the pairs of every segment, and set `pairs` to zero: int64 (G,).

    They go through an array of their own: what a parallel loop of numba adds to `tally.by_segment` itself is lost.
    """
    for segment in range(pairs.size):
        tally.by_segment[segment, _PAIR] += pairs[segment]
        pairs[segment] = 0


def _pass_by_tiles(
    slots, segments, matrices, tally, batch, counting, work, biases, layers, tiles, partial, lanes, first, n_batch, n_shares,
):  # fmt: skip
    """One thread a group of tiles.

    Parameters
    ----------
    work : Work
        Written: what is counted of each tile and of single samples.
    tiles : mlp.Tiles
        Written.
    partial : float32 array, shape (n_groups - 1, S)
        Gradients of all groups but the first, whose gradient is `slots.gradient`. Added to.
    first, n_batch : int
        The samples batch.order[first : first + n_batch].

    Activations and errors are marked in the places of `tally` from `n_open` on.
    """
    act, err = tiles.act, tiles.err
    n_lanes = len(lanes)
    n_inputs = matrices.n_pre[0]
    out, n_classes = matrices.post_neuron[matrices.n_pre.size - 1], matrices.n_post[matrices.n_pre.size - 1]
    first_watched = _first_watched(counting, out)
    is_marking, marks_pairs = n_lanes > 1 and first_watched < out, n_lanes > 1 and counting.pairs
    n_places = n_lanes // PLACE
    n_tiles = (n_batch + n_lanes - 1) // n_lanes
    n_groups = partial.shape[0] + 1
    pairs = work.pairs[: work.pairs.size if counting.pairs else 0]
    tiles_a_group = (act.shape[0] + n_groups - 1) // n_groups
    n_open = tally.n_open[0]
    for group in prange(n_groups):
        for t in range(group * tiles_a_group, min((group + 1) * tiles_a_group, n_tiles)):
            begin = first + t * n_lanes
            n = min(n_lanes, n_batch - t * n_lanes)
            place = n_open + t * n_places
            input_place = place if is_marking and first_watched < n_inputs else -1
            mlp.load_and_mark(act[t], batch, begin, n, n_inputs, lanes, tally.live, input_place)
            # The samples that this thread loads next come from memory while it works on these.
            is_last = t + 1 == min((group + 1) * tiles_a_group, n_tiles)
            after = first + batch.size + group * tiles_a_group * n_lanes if is_last else begin + n_lanes
            mlp.prefetch_samples(batch, after, min(n_lanes, batch.size))
            if n_lanes == 1:
                single.forward_single(slots, segments, matrices, biases.value, act[t], work.live)
            else:
                mlp.forward(slots, matrices, layers, biases.value, act[t], n, lanes, activate)
            loss, correct = mlp.softmax_errors(act[t], err[t], out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_batch, n_lanes)
            keep_outcome(work, t, (loss, correct, 0))
            if n_lanes == 1:
                single.backward_single(slots, segments, matrices, layers, act[t], err[t], work.live, pairs)
            else:
                mlp.backward_of_group(
                    slots, segments, matrices, layers, act[t], err[t], partial, group, n, lanes, turn_back, tally.live,
                    place if is_marking else -1, tally.wrong, place if marks_pairs else -1,
                )  # fmt: skip
            mlp.bias_gradient(matrices, err[t], biases.of_tile[t], n_lanes)
            if n_lanes == 1:
                mlp.count_nonzero(matrices, layers, act[t], counting.first_neuron, out, n, lanes, work.nonzero)


def _pass_by_rows(
    slots, segments, matrices, tally, batch, counting, work, biases, layers, tiles, partial, lanes, first, n_batch, n_shares,
):  # fmt: skip
    """As `_pass_by_tiles`, one thread a share of the rows; for tiles that keep slots in order. `partial` : shape (0, S)."""
    act, err = tiles.act, tiles.err
    n_lanes = len(lanes)
    n_matrices, n_inputs = matrices.n_pre.size, matrices.n_pre[0]
    out, n_classes = matrices.post_neuron[n_matrices - 1], matrices.n_post[n_matrices - 1]
    first_watched = _first_watched(counting, out)
    is_marking, marks_pairs = first_watched < out, counting.pairs
    n_places = n_lanes // PLACE
    n_tiles = (n_batch + n_lanes - 1) // n_lanes
    n_open = tally.n_open[0]
    for t in prange(n_tiles):
        begin = first + t * n_lanes
        n = min(n_lanes, n_batch - t * n_lanes)
        input_place = n_open + t * n_places if is_marking and first_watched < n_inputs else -1
        mlp.load_and_mark(act[t], batch, begin, n, n_inputs, lanes, tally.live, input_place)
    for t in range(n_tiles):
        begin = first + t * n_lanes
        n = min(n_lanes, n_batch - t * n_lanes)
        place = n_open + t * n_places if is_marking else -1
        error_place = n_open + t * n_places if marks_pairs else -1
        for m in range(n_matrices):
            for share in prange(n_shares):
                forward_share(slots, segments, matrices, layers, biases.value, m, np.int64(share), n_shares, act[t], n, lanes)
        loss, correct = mlp.softmax_errors(act[t], err[t], out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_batch, n_lanes)
        keep_outcome(work, t, (loss, correct, 0))
        mlp.mark_rows(err[t], out, out + n_classes, tally.wrong, error_place, lanes)
        for m in range(n_matrices - 1, -1, -1):
            for share in prange(n_shares):
                backward_share(
                    slots, segments, matrices, layers, m, np.int64(share), n_shares, act[t], err[t], n, lanes, tally.live, place, tally.wrong,
                    error_place,
                )  # fmt: skip
        mlp.bias_gradient(matrices, err[t], biases.of_tile[t], n_lanes)


@inlined
def _count_batch(slots, segments, matrices, tally, batch, counting, work, layers, tiles, lanes, first, n_batch):
    """Book the walk of every active slot for each sample, and what single samples and marks say of neurons. Writes `tally`, `work`."""
    for segment in range(segments.matrix.size):
        n = count_active(slots, segments, segment)
        tally.by_segment[segment, _SLOTS] += n * n_batch
        tally.by_segment[segment, _WORDS] += slots.segment_words[segment] * n_batch
    out, n_lanes = matrices.post_neuron[matrices.n_pre.size - 1], len(lanes)
    if n_lanes == 1:
        if counting.first_neuron < out:
            mlp.add_counts(tally.by_neuron, work.nonzero, out)
        if counting.pairs:
            _add_pairs(tally, work.pairs)
    elif _first_watched(counting, out) < out:
        n_places = (n_batch + n_lanes - 1) // n_lanes * (n_lanes // PLACE)
        if counting.first_neuron < out:
            count_marks(tally, counting.first_neuron, out, tally.n_open[0], n_places)
        if counting.pairs:
            tally.n_open[0] += n_places


@inlined
def _are_places_due(tally, counting, work, lanes, is_last):
    """Whether pairs are to be counted: the next step would find no place, or none comes."""
    n_places = work.loss.size * (len(lanes) // PLACE)
    return len(lanes) > 1 and counting.pairs and (is_last or tally.n_open[0] + n_places > tally.live.shape[0])


@inlined
def _keep_pairs(pairs, segment, n):
    """Write one element; a call for the reason of `train.keep_outcome`."""
    pairs[segment] = n


@inlined
def _close_places(tally):
    tally.n_open[0], tally.n_exchanged[0] = 0, 0


@_pasted
def _close_counts(slots, segments, matrices, tally, counting, work, lanes, is_last):
    """Count the pairs in the open places, where they are due. Writes `tally`."""
    out = matrices.post_neuron[matrices.n_pre.size - 1]
    if _are_places_due(tally, counting, work, lanes, is_last):
        for line in range((tally.n_open[0] + LINE - 1) // LINE):
            gather_line(tally, line, matrices.n_pre[0], out, tally.by_neuron.size)
            for segment in prange(segments.matrix.size):
                _keep_pairs(work.pairs, segment, count_line(slots, segments, matrices, tally, segment))
            _add_pairs(tally, work.pairs)
            count_exchanged(tally, line)
        _close_places(tally)
    if is_last and len(lanes) > 1 and _first_watched(counting, out) < out:
        settle_marks(tally)


def _evaluate(slots, matrices, layers, biases, batch, n_neurons, n_nonzero, act, err, lanes, result):
    """Accuracy and loss over all samples of `batch`.

    `n_nonzero` : int64 (N,), written: samples in which a neuron (not an output) counts as not zero.
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
            mlp.load_tile(act[i], batch, begin, n, matrices.n_pre[0], n_lanes)
            mlp.forward(slots, matrices, layers, biases, act[i], n, lanes, activate)
            loss[group + i], correct[group + i] = mlp.softmax_errors(
                act[i], err[i], out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_samples, n_lanes
            )
            mlp.count_nonzero(matrices, layers, act[i], 0, out, n, lanes, nonzero[i])
        for i in range(n_here):
            mlp.add_counts(n_nonzero, nonzero[i], out)
    result[0], result[1] = np.float64(0.0), np.float64(0.0)
    for t in range(n_tiles):
        result[0] += loss[t]
        result[1] += np.float64(correct[t])


class FeedforwardKernels:
    """Kernels of feed-forward networks whose layers have the given cells; each is compiled when it is first called.

    The same steps stand here in one thread, in several, and in several that share a tile. Which one runs must not depend on the number of
    threads: two builds may round differently, while one build gives the same bits with any number of threads.
    """

    def __init__(self, names):
        cells = join_cells(names)
        end = "" if cells.name == "relu" else f"_{cells.name}"
        forward_share, backward_share = make_shares(cells)
        functions = {"activate": cells.forward, "turn_back": cells.backward, "forward_share": forward_share, "backward_share": backward_share}
        verbs = {"count_batch": _count_batch, "gather_chunk": mlp.gather_groups, "close_counts": _close_counts}

        def steps(name, function):
            pass_batch = _pasted(bind(function, f"{function.__name__}{end}", **functions))
            return make_steps(f"{name}{end}", pass_batch=pass_batch, **verbs)

        # Without reference counts, which took 5 % of a step of ten samples.
        self.train_steps = kernel(steps("train_steps", _pass_by_tiles), _nrt=False)
        self.train_steps_parallel = parallel_kernel(steps("train_steps_parallel", _pass_by_tiles))
        self.train_steps_by_rows = parallel_kernel(steps("train_steps_by_rows", _pass_by_rows))
        self.evaluate = parallel_kernel(bind(_evaluate, f"evaluate{end}", **functions))


@cache
def kernels_of(names):
    """The `FeedforwardKernels` of some different cells, a tuple of str."""
    return FeedforwardKernels(names)
