"""The samples of a step forward and backward through a perceptron, in the two ways that threads can share them.

By tiles: every group of tiles has a thread and sums its gradient apart. By rows: the threads share one tile after the other
(`kernels.shares`), so that only one at a time competes for the last cache, and there is one gradient. The functions are inlined
into the training steps (`kernels.mlp_train`), for parallel loops must stand where they are compiled.
"""

from functools import partial as with_options

import numpy as np
from numba import prange

from neurosim.kernels import mlp, single
from neurosim.kernels.compile import inlined, kernel
from neurosim.kernels.marks import PLACE
from neurosim.kernels.shares import backward_share, forward_share

_pasted = with_options(kernel, inline="always")


@inlined
def _keep(loss, correct, t, outcome):
    """Write the loss and the correct samples of a tile.

    A call, because numba takes an element that a pasted function stores in an array of a tuple for dead, and drops it without a word.
    """
    loss[t], correct[t] = outcome


@_pasted
def pass_by_tiles(
    slots, segments, matrices, tally, batch, counting, work, act, err, partial, lanes, first, n_batch, first_watched, is_marking,
    marks_pairs, n_shares,
):  # fmt: skip
    """One thread a group of tiles.

    Parameters
    ----------
    work : Work
        Written: what is counted of each tile and of single samples.
    act, err : float32 array, shape (n_tiles, N * n_lanes)
        Written.
    partial : float32 array, shape (n_groups - 1, S)
        Gradients of all groups but the first, whose gradient is `slots.gradient`. Added to.
    first, n_batch : int
        The samples batch.order[first : first + n_batch].
    first_watched : int
        Neurons from here on are marked.
    is_marking, marks_pairs : bool
        Whether activations and errors are marked in the places of `tally` from `n_open` on.
    """
    n_lanes = len(lanes)
    n_inputs = matrices.n_pre[0]
    out, n_classes = matrices.post_neuron[matrices.n_pre.size - 1], matrices.n_post[matrices.n_pre.size - 1]
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
            mlp.load_and_mark(act[t], batch.data, batch.order, begin, n, n_inputs, batch.scale, lanes, tally.live, input_place)
            # The samples that this thread loads next come from memory while it works on these.
            is_last = t + 1 == min((group + 1) * tiles_a_group, n_tiles)
            after = first + batch.size + group * tiles_a_group * n_lanes if is_last else begin + n_lanes
            mlp.prefetch_samples(batch.data, batch.order, after, min(n_lanes, batch.size))
            if n_lanes == 1:
                single.forward_single(slots, segments, matrices, act[t], work.live)
            else:
                mlp.forward(slots, matrices, act[t], lanes)
            outcome = mlp.softmax_errors(
                act[t], err[t], out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_batch, n_lanes
            )
            _keep(work.loss, work.correct, t, outcome)
            if n_lanes == 1:
                single.backward_single(slots, segments, matrices, act[t], err[t], work.live, pairs)
            else:
                mlp.backward_of_group(
                    slots, segments, matrices, act[t], err[t], partial, group, lanes, tally.live, place if is_marking else -1,
                    tally.wrong, place if marks_pairs else -1,
                )  # fmt: skip
            if n_lanes == 1:
                mlp.count_nonzero(act[t], counting.first_neuron, out, lanes, work.nonzero)


@_pasted
def pass_by_rows(
    slots, segments, matrices, tally, batch, counting, work, act, err, partial, lanes, first, n_batch, first_watched, is_marking,
    marks_pairs, n_shares,
):  # fmt: skip
    """As `pass_by_tiles`, one thread a share of the rows; for tiles that keep slots in order. `partial` : shape (0, S)."""
    n_lanes = len(lanes)
    n_matrices, n_inputs = matrices.n_pre.size, matrices.n_pre[0]
    out, n_classes = matrices.post_neuron[n_matrices - 1], matrices.n_post[n_matrices - 1]
    n_places = n_lanes // PLACE
    n_tiles = (n_batch + n_lanes - 1) // n_lanes
    n_open = tally.n_open[0]
    for t in prange(n_tiles):
        begin = first + t * n_lanes
        n = min(n_lanes, n_batch - t * n_lanes)
        input_place = n_open + t * n_places if is_marking and first_watched < n_inputs else -1
        mlp.load_and_mark(act[t], batch.data, batch.order, begin, n, n_inputs, batch.scale, lanes, tally.live, input_place)
    for t in range(n_tiles):
        begin = first + t * n_lanes
        n = min(n_lanes, n_batch - t * n_lanes)
        place = n_open + t * n_places if is_marking else -1
        error_place = n_open + t * n_places if marks_pairs else -1
        for m in range(n_matrices):
            for share in prange(n_shares):
                forward_share(slots, segments, matrices, m, np.int64(share), n_shares, act[t], lanes)
        outcome = mlp.softmax_errors(
            act[t], err[t], out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_batch, n_lanes
        )
        _keep(work.loss, work.correct, t, outcome)
        mlp.mark_rows(err[t], out, out + n_classes, tally.wrong, error_place, lanes)
        for m in range(n_matrices - 1, -1, -1):
            for share in prange(n_shares):
                backward_share(
                    slots, segments, matrices, m, np.int64(share), n_shares, act[t], err[t], lanes, tally.live, place, tally.wrong,
                    error_place,
                )  # fmt: skip
