"""One step of gradient descent on theta, with L1 and noise, and who fell below zero.

    theta <- theta - eta * dE/dtheta - eta * alpha + noise_std * nu        nu ~ N(0, 1)

(Bellec et al. 2018, algorithm 1, with noise_std = sqrt(2 eta T).) theta = |weight| and
dE/dtheta = sign * dE/dweight; only active slots move. An optimizer with state has put its direction in the
place of dE/dweight before (`kernels.optimizer`). Where weights are stored narrower than float32, the new theta is
rounded between `move_chunk` and `settle_chunk` unless it is below zero: who leaves is decided by what was computed, not
by what could be stored. With a master copy, that copy learns and leaves, and the weight is read out of it
(`kernels.rounding`).
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from neurosim.kernels.bits import equal_bytes
from neurosim.kernels.compile import fma, inlined, prefetch
from neurosim.kernels.exchange import prefetch_position, release_slot
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.membership import AHEAD, count_active, is_far
from neurosim.kernels.normal import add_normals

_UPDATED, _DRAWN, _WORDS = int(SegmentEvent.UPDATED), int(SegmentEvent.DRAWN), int(SegmentEvent.WORDS_UPDATED)

_SIGN = np.uint32(0x80000000)

#: Slots that are updated as one piece; a piece in which nobody fell below zero is not searched.
CHUNK = 256

#: Mark in `Slots.active` of a slot that fell below zero, until `release_marked` frees it.
MARKED = np.uint8(2)


@inlined
def move_chunk(slots, start, stop, eta, l1, noise_std, step_key):
    """Write the new theta of slots [start, stop), whatever its sign, in the place of their gradient."""
    wide = slots.master if slots.master.size > 0 else slots.weight
    weight, gradient = wide[start:stop], slots.gradient[start:stop]
    # Passes over a chunk that stays in the cache: shorter loops keep their constants in registers. They count from 0
    # on: numba must not need a test for negative indices. The sign is handled as a bit: the library's
    # copysign is a call. Each of the two would keep a loop scalar.
    for k in range(stop - start):
        bits = np.float32(weight[k]).view(np.uint32)
        theta = np.uint32(bits & ~_SIGN).view(np.float32)
        slope = np.uint32(np.float32(gradient[k]).view(np.uint32) ^ (bits & _SIGN)).view(np.float32)
        gradient[k] = fma(-eta, slope + l1, theta)
    if noise_std > np.float32(0.0):
        add_normals(gradient, step_key, start, noise_std)


@inlined
def settle_chunk(slots, start, stop, has_free_signs=False):
    """Take over the new theta of slots [start, stop), mark those below zero; returns how many.

    With `has_free_signs` nobody is marked: a weight whose theta falls below zero changes its sign.

    Writes the strengths that learn and `slots.active`, zeroes `slots.gradient`.
    """
    wide = slots.master if slots.master.size > 0 else slots.weight
    weight, gradient, active = wide[start:stop], slots.gradient[start:stop], slots.active[start:stop]
    n_below = np.int32(0)
    if has_free_signs:
        for k in range(stop - start):
            sign = np.float32(weight[k]).view(np.uint32) & _SIGN
            moved = gradient[k] if active[k] == 1 else np.float32(0.0)
            weight[k] = np.uint32(np.float32(moved).view(np.uint32) ^ sign).view(np.float32)
            gradient[k] = np.float32(0.0)
        return n_below
    for k in range(stop - start):
        theta = gradient[k]
        sign = np.float32(weight[k]).view(np.uint32) & _SIGN
        is_active = np.uint8(active[k] == 1)
        is_below = is_active & np.uint8(theta < np.float32(0.0))
        kept = theta if is_active > is_below else np.float32(0.0)
        # A theta that underflows to -0.0 brings a sign bit of its own.
        weight[k] = np.uint32((np.float32(kept).view(np.uint32) & ~_SIGN) | sign).view(np.float32)
        active[k] = is_active + is_below
        gradient[k] = np.float32(0.0)
        n_below += np.int32(is_below)
    return n_below


@inlined
def update_chunk(slots, start, stop, eta, l1, noise_std, step_key, has_free_signs=False):
    """Update slots [start, stop) of float32 weights; returns how many fell below zero, which are marked."""
    move_chunk(slots, start, stop, eta, l1, noise_std, step_key)
    return settle_chunk(slots, start, stop, has_free_signs)


@inlined
def release_marked(slots, segments, matrices, tally, below, first_matrix=0, stride=1):
    """Free the slots that `settle_chunk` marked, of every matrix or of each `stride` after the first. Writes `slots` and `tally`.

    `below` : int32, marked slots of each chunk.
    """
    for segment in range(segments.matrix.size):
        if segments.matrix[segment] % stride != first_matrix:
            continue
        start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
        first_chunk, last_chunk, is_waiting = start // CHUNK, (stop - 1) // CHUNK, is_far(slots)
        # They are listed where `release_slot` will put them: on top of the stack of free slots.
        leaving, n_leaving = slots.free_slot[start + slots.n_free[segment, 0] : stop], np.int64(0)
        for chunk in range(first_chunk, last_chunk + 1):
            if is_waiting and chunk + AHEAD <= last_chunk and below[chunk + AHEAD] > 0:
                for line in range(CHUNK // 64):
                    prefetch(slots.active, (chunk + AHEAD) * CHUNK + line * 64)
            if below[chunk] > 0:
                slot, end = max(start, chunk * CHUNK), min(stop, (chunk + 1) * CHUNK)
                while slot + 64 <= end:
                    marks = equal_bytes(slots.active, slot, MARKED)
                    while marks != 0:
                        leaving[n_leaving] = np.int32(slot + trailing_zeros(marks))
                        n_leaving += 1
                        marks &= marks - np.uint64(1)
                    slot += 64
                while slot < end:
                    if slots.active[slot] == MARKED:
                        leaving[n_leaving] = np.int32(slot)
                        n_leaving += 1
                    slot += 1
        for i in range(n_leaving):
            if is_waiting:
                # Of a slot its indices are asked for, and when these have come, what belongs to its position.
                later, soon = leaving[min(i + 2 * AHEAD, n_leaving - 1)], leaving[min(i + AHEAD, n_leaving - 1)]
                prefetch(slots.pre, later)
                prefetch(slots.post, later)
                prefetch(slots.weight, later)
                prefetch_position(slots, segments, matrices, tally, segment, slots.pre[soon], slots.post[soon])
            release_slot(slots, segments, matrices, tally, segment, np.int64(leaving[i]))


@inlined
def count_update(slots, segments, tally, rule):
    """Book one update step: active slots, and the random draws of each for its noise and its rounding. Writes `tally`.

    `rule` : StepRule.
    """
    n_rounding = np.int64(rule.is_rounded and rule.is_stochastic)
    for segment in range(segments.matrix.size):
        noise_std = rule.by_matrix[segments.matrix[segment], 2] if rule.by_matrix.shape[0] > 0 else rule.noise_std
        n = count_active(slots, segments, segment)
        tally.by_segment[segment, _UPDATED] += n
        tally.by_segment[segment, _WORDS] += slots.segment_words[segment]
        tally.by_segment[segment, _DRAWN] += n * (np.int64(noise_std > np.float32(0.0)) + n_rounding)
