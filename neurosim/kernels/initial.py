"""Draws for the first connections of a store."""

import numpy as np

from neurosim.kernels.compile import kernel
from neurosim.kernels.exchange import occupy, sign_of
from neurosim.kernels.normal import normal_from_bits
from neurosim.kernels.random import bits32, bits64, fold


@kernel
def choose_positions(positions, n_positions, key):
    """Write a uniformly drawn subset of range(n_positions), ascending: int64 (n,).

    Selection sampling (Knuth, The Art of Computer Programming 2, 3.4.2, algorithm S).
    """
    n_left = positions.size
    place = 0
    for position in range(n_positions):
        u = np.float64(bits64(key, position) >> np.uint64(11)) * 2.0**-53
        if u * np.float64(n_positions - position) < np.float64(n_left):
            positions[place] = position
            place += 1
            n_left -= 1
            if n_left == 0:
                break


@kernel
def set_strengths(slots, segments, matrices, key):
    """theta = abs(N(0, 1)) / sqrt(n_pre), with the sign of each position. Writes `slots.weight`."""
    for segment in range(segments.matrix.size):
        m = segments.matrix[segment]
        scale = np.float32(1.0 / np.sqrt(np.float64(matrices.n_pre[m])))
        segment_key = fold(key, segment)
        for slot in range(segments.slot_start[segment], segments.slot_start[segment + 1]):
            if slots.active[slot]:
                theta = abs(normal_from_bits(bits32(segment_key, slot - segments.slot_start[segment]))) * scale
                slots.weight[slot] = theta * sign_of(matrices, m, slots.pre[slot], slots.post[slot])


@kernel
def occupy_positions(slots, segments, matrices, tally, segment, positions):
    """Activate the given positions of an empty segment, theta = 0.

    `positions` : int64 (n,), pre * (post neurons of the segment) + post counted from the segment's first, so
    that neighbouring slots get different post neurons: narrow tiles are slow otherwise (`kernels.lanes`).
    Writes `slots` and `tally`.
    """
    n_posts = segments.n_positions[segment] // matrices.n_pre[segments.matrix[segment]]
    for position in positions:
        pre, post = position // n_posts, segments.post_start[segment] + position % n_posts
        occupy(slots, segments, matrices, tally, segment, pre, post, np.float32(0.0))
