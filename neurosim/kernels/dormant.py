"""Dormant parameters that walk: the part of soft DEEP R that plain stores do not need.

theta of every position of every segment lies in one float32 array, in the order of `kernels.growth`; an active
position holds `AWAKE` there, its theta is that of its slot.
"""

import numpy as np

from neurosim.kernels.compile import fma, inlined, kernel, part
from neurosim.kernels.exchange import feasible_place, occupy_at, release_slot, sign_of
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.limits import note_refusal
from neurosim.kernels.membership import count_active
from neurosim.kernels.normal import normal_from_bits
from neurosim.kernels.random import below, bits32, bits64, fold

#: Mark of an active position.
AWAKE = np.float32(np.inf)

#: theta of a parameter that reached zero and found no room.
_JUST_BELOW = -np.finfo(np.float32).tiny

_DORMANT, _PLACED, _UNFILLED = int(SegmentEvent.DORMANT), int(SegmentEvent.PLACED), int(SegmentEvent.UNFILLED)


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
        # A neuron's position to itself, where that is none, never sleeps and never wakes.
        n_own = segments.n_positions[segment] - segments.n_possible[segment]
        for i in range(n_own):
            dormant[first + i * matrices.n_pre[segments.matrix[segment]] + segments.post_start[segment] + i] = AWAKE
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


@inlined
def _wake(slots, segments, matrices, tally, dormant, lowest, segment, key):
    """Wake the parameters of a segment that are not below zero any more, as far as there is room; returns how many found none."""
    matrix, n_positions = segments.matrix[segment], segments.n_positions[segment]
    n_pre = matrices.n_pre[matrix]
    first = np.int64(0)
    for before in range(segment):
        first += segments.n_positions[before]
    theta = dormant[first : first + n_positions]
    is_limited = segments.is_limited or matrices.fan_in_limit[matrix] < n_pre
    turn = below(bits64(fold(key, segment), n_positions), n_positions) if is_limited else np.int64(0)
    n_refused = np.int64(0)
    for i in range(n_positions):
        position = turn + i if turn + i < n_positions else turn + i - n_positions
        if np.float32(0.0) <= theta[position] < AWAKE:
            pre, post = position % n_pre, segments.post_start[segment] + position // n_pre
            place, entry = feasible_place(slots, segments, matrices, tally, segment, pre, post)
            if place >= 0:
                occupy_at(place, entry, slots, segments, matrices, tally, segment, pre, post, theta[position])
                tally.by_segment[segment, _PLACED] += 1
                theta[position] = AWAKE
            else:
                note_refusal(slots, segments, matrices, tally, segment, pre, post)
                tally.by_segment[segment, _UNFILLED] += 1
                theta[position] = max(_JUST_BELOW, lowest)
                n_refused += 1
    return n_refused


@kernel
def walk_dormant(slots, segments, matrices, tally, dormant, theta_min, noise_std, key):
    """Move every dormant theta by noise, put slots below zero to sleep, wake what is not below zero any more.

    Every parameter takes one update a step: a slot that falls asleep here has had its own. A wake obeys what every arrival obeys:
    where slots, fan-in or a limit of the cores leave no room, the parameter stays just below zero and walks on from there.
    Writes `slots`, `tally` and `dormant`; `theta_min` : float32 (G,). Returns how many found no room.
    """
    n_segments = segments.matrix.size
    first = np.int64(0)
    for segment in range(n_segments):
        matrix, n_positions = segments.matrix[segment], segments.n_positions[segment]
        start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
        theta = dormant[first : first + n_positions]
        first += n_positions
        tally.by_segment[segment, _DORMANT] += segments.n_possible[segment] - count_active(slots, segments, segment)
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
    # Segments and positions that compete for room take turns in being the first.
    turn = below(bits64(key, n_segments), n_segments) if segments.is_limited else np.int64(0)
    n_refused = np.int64(0)
    for i in range(n_segments):
        segment = (turn + i) % n_segments
        n_refused += _wake(slots, segments, matrices, tally, dormant, theta_min[segment], segment, key)
    return n_refused
