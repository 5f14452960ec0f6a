"""What rules need that choose positions by themselves: dense gradients, and arrivals in a given order."""

import numpy as np

from neurosim.kernels.compile import kernel
from neurosim.kernels.exchange import feasible_place, occupy_at
from neurosim.kernels.layout import SegmentEvent

_PLACED = int(SegmentEvent.PLACED)


@kernel
def place_first(slots, segments, matrices, tally, segment, positions, n_wanted, theta):
    """Put up to `n_wanted` arrivals at the first feasible of the given positions; returns how many.

    `positions` : int64 (n,), (post - first post of the segment) * n_pre + pre. Writes `slots` and `tally`.
    """
    n_pre = matrices.n_pre[segments.matrix[segment]]
    n_placed = np.int64(0)
    for position in positions:
        if n_placed == n_wanted:
            break
        pre, post = position % n_pre, segments.post_start[segment] + position // n_pre
        place, entry = feasible_place(slots, segments, matrices, tally, segment, pre, post)
        if place >= 0:
            occupy_at(place, entry, slots, segments, matrices, tally, segment, pre, post, np.float32(theta))
            n_placed += 1
    tally.by_segment[segment, _PLACED] += n_placed
    return n_placed


@kernel
def dense_gradient(act, err, n_samples, n_lanes, pre_first, n_pre, post_first, n_post, gradient):
    """Write dE/dweight of every position of a segment: float32 (n_post * n_pre,), in the order of `place_first`.

    `act`, `err` : float32 (n_tiles, N * n_lanes) of `n_samples` samples; `pre_first`, `post_first`: the first neurons in the
    numbering of all neurons. Sums over samples run in their order, in one thread. Returns the (sample, pre neuron) pairs with a
    non-zero activation.
    """
    gradient[:] = np.float32(0.0)
    n_nonzero = np.int64(0)
    for sample in range(n_samples):
        tile, lane = sample // n_lanes, sample % n_lanes
        for post in range(n_post):
            error = err[tile, (post_first + post) * n_lanes + lane]
            row = gradient[post * n_pre : (post + 1) * n_pre]
            for pre in range(n_pre):
                row[pre] += error * act[tile, (pre_first + pre) * n_lanes + lane]
        for pre in range(n_pre):
            n_nonzero += np.int64(act[tile, (pre_first + pre) * n_lanes + lane] != np.float32(0.0))
    return n_nonzero
