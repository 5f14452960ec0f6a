"""Dormant parameters that walk: the part of soft DEEP R that plain stores do not need.

theta of every position of every segment lies in one float32 array, in the order of `kernels.growth`; an active
position holds `AWAKE` there, its theta is that of its slot.
"""

import numpy as np

from neurosim.kernels.compile import fma, inlined, kernel, part
from neurosim.kernels.exchange import occupy, release_slot, sign_of
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.normal import normal_from_bits
from neurosim.kernels.random import bits32, bits64, fold

#: Mark of an active position.
AWAKE = np.float32(np.inf)

_DORMANT, _PLACED = int(SegmentEvent.DORMANT), int(SegmentEvent.PLACED)


@kernel
def draw_dormant(slots, segments, matrices, dormant, theta_min, key):
    """Draw every dormant theta uniformly between `theta_min` and 0: float32 (all positions,), written.

    `theta_min` : float32 (G,).
    """
    first = np.int64(0)
    for segment in range(segments.matrix.size):
        segment_key = fold(key, segment)
        for position in range(segments.n_positions[segment]):
            u = np.float32((bits64(segment_key, position) >> np.uint64(40)) + np.uint64(1)) * np.float32(2.0**-24)
            dormant[first + position] = u * theta_min[segment]  # above 0, at most 1, times a negative number
        for slot in range(segments.slot_start[segment], segments.slot_start[segment + 1]):
            if slots.active[slot]:
                dormant[first + position_of(slots, segments, matrices, segment, slot)] = AWAKE
        first += segments.n_positions[segment]


@part
def position_of(slots, segments, matrices, segment, slot):
    """Place of a slot's position among all positions of its segment."""
    n_pre = matrices.n_pre[segments.matrix[segment]]
    return (np.int64(slots.post[slot]) - segments.post_start[segment]) * n_pre + np.int64(slots.pre[slot])


@inlined
def _walk(theta, noise_std, lowest, key):
    """Move the dormant values, those below zero, by noise. Writes `theta`: float32 (positions of a segment,)."""
    for position in range(theta.size):
        old = theta[position]
        new = max(fma(noise_std, normal_from_bits(bits32(key, position)), old), lowest)
        theta[position] = new if old < np.float32(0.0) else old


@kernel
def walk_dormant(slots, segments, matrices, tally, dormant, theta_min, noise_std, key):
    """Move every dormant theta by noise, put slots below zero to sleep, wake what is not below zero any more.

    Every parameter takes one update a step: a slot that falls asleep here has had its own.
    Writes `slots`, `tally` and `dormant`; `theta_min` : float32 (G,).
    """
    first = np.int64(0)
    for segment in range(segments.matrix.size):
        matrix, n_positions = segments.matrix[segment], segments.n_positions[segment]
        n_pre, start, stop = matrices.n_pre[matrix], segments.slot_start[segment], segments.slot_start[segment + 1]
        theta = dormant[first : first + n_positions]
        first += n_positions
        tally.by_segment[segment, _DORMANT] += n_positions - (stop - start - slots.n_free[segment])
        _walk(theta, noise_std, theta_min[segment], fold(key, segment))
        for slot in range(start, stop):
            if slots.active[slot]:
                sign = sign_of(matrices, matrix, slots.pre[slot], slots.post[slot])
                moved = sign * slots.weight[slot]
                if moved < np.float32(0.0):
                    theta[position_of(slots, segments, matrices, segment, slot)] = max(moved, theta_min[segment])
                    release_slot(slots, segments, matrices, tally, segment, slot)
                else:
                    slots.weight[slot] = sign * abs(moved)
        for position in range(n_positions):
            if np.float32(0.0) <= theta[position] < AWAKE:
                pre, post = position % n_pre, segments.post_start[segment] + position // n_pre
                occupy(slots, segments, matrices, tally, segment, pre, post, theta[position])
                tally.by_segment[segment, _PLACED] += 1
                theta[position] = AWAKE
