"""Exchange of synapses inside fixed-capacity segments: release, propose, place.

A scope is a range of segments with a promised number of active synapses. Released slots go onto the
stack of free slots of their segment; an arrival takes the top of the stack of the segment in which its
position lies. Nothing is allocated.
"""

import numpy as np

from neurosim.kernels.compile import inlined, inlined_and_called, kernel, part, prefetch
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.limits import count_routes, count_use, list_words, note_binding, row_has_room
from neurosim.kernels.membership import AHEAD, count_active, enter, is_far, is_taken, look_up, prefetch_entry, remove_position
from neurosim.kernels.marks import count_seen
from neurosim.kernels.optimizer import forget
from neurosim.kernels.pairs import book_pairs
from neurosim.kernels.random import below, bits64, fold
from neurosim.kernels.rounding import nearest_on_grid

_RELEASED, _ACCEPTED, _REJECTED = int(SegmentEvent.RELEASED), int(SegmentEvent.ACCEPTED), int(SegmentEvent.REJECTED)
_PRE_REPLAYED = int(SegmentEvent.PRE_REPLAYED)
_PRE_NONZERO, _ROWS_NONZERO = int(SegmentEvent.PRE_NONZERO), int(SegmentEvent.ROWS_NONZERO)
_EXACT, _ROWS_CHECKED, _UNFILLED = int(SegmentEvent.EXACT), int(SegmentEvent.ROWS_CHECKED), int(SegmentEvent.UNFILLED)
_WORDS_NONZERO, _WORDS_READ = int(SegmentEvent.WORDS_NONZERO), int(SegmentEvent.WORDS_READ)

#: Proposals by rejection before the exact draw; both are uniform, so the number affects only speed.
MAX_PROPOSALS = 64


@inlined_and_called
def sign_of(matrices, matrix, pre, post):
    """Constant sign of a position, as float32 -1 or +1."""
    position = np.int64(pre) * matrices.n_post[matrix] + np.int64(post) * matrices.sign_step[matrix]
    return np.float32(1.0) if bits64(matrices.sign_key[matrix], position) & np.uint64(1) else np.float32(-1.0)


@inlined
def is_own(matrices, matrix, pre, post):
    """Whether a position would connect a neuron to itself in a matrix where that is none."""
    return matrices.skips_self[matrix] == 1 and pre == post


@inlined
def count_synapse(slots, segments, matrices, tally, segment, pre, post, change):
    """Keep fan-in, fan-out and the running sums over active rows when a synapse comes (+1) or goes (-1).

    The sum over steps of (non-zero samples of a neuron) x (its synapses in a segment) is not computed
    step by step: with n = `marks.count_seen`, a synapse adds n at its end minus n at its beginning.
    `settle_tally` adds what is still open.
    """
    matrix = segments.matrix[segment]
    slots.fan_in[matrices.fan_in_start[matrix] + post] += np.int32(change)
    row = segments.fan_out_start[segment] + pre
    neuron = matrices.pre_neuron[matrix] + pre
    seen = count_seen(tally, neuron)
    before = slots.fan_out[row]
    after = before + np.int32(change)
    slots.fan_out[row] = after
    tally.by_segment[segment, _PRE_NONZERO] -= change * seen
    if tally.replayed.size > 0:
        tally.by_segment[segment, _PRE_REPLAYED] -= change * tally.replayed[neuron]
    book_pairs(tally, segment, neuron, matrices.post_neuron[matrix] + post, change)
    # Whether a row comes or goes cannot be predicted, where its neuron lies can: no branch on the first alone.
    is_edge = (before == 0) | (after == 0)
    tally.by_segment[segment, _ROWS_NONZERO] -= np.int64(is_edge) * change * seen
    home, core = tally.home[neuron], segments.core[segment]
    if home >= 0 and home != core:
        if is_edge:
            tally.n_destinations[neuron] += np.int32(change)
            tally.sent[matrix, home] -= change * seen
            tally.received[matrix, core] -= change * seen
            if tally.pairs.size > 0:
                tally.pairs[home, core] -= change * seen
    if segments.counts_routes and is_edge and home >= 0:
        count_routes(slots, segments, tally, neuron, core, np.int32(change))
    if segments.is_limited:
        count_use(slots, segments, tally, segment, neuron, before, after)


@inlined
def prefetch_position(slots, segments, matrices, tally, segment, pre, post):
    """Ask for the table entry and the counters of a position, ahead of their use."""
    matrix = segments.matrix[segment]
    neuron = matrices.pre_neuron[matrix] + pre
    prefetch_entry(slots, matrices, matrix, pre, post)
    prefetch(slots.fan_in, matrices.fan_in_start[matrix] + post)
    prefetch(slots.fan_out, segments.fan_out_start[segment] + pre)
    prefetch(tally.by_neuron, neuron)
    prefetch(tally.recent, neuron)
    prefetch(tally.home, neuron)


@kernel
def settle_tally(slots, segments, matrices, tally):
    """Close the running sums of `count_synapse` at this moment. Writes `tally`, zeroes `by_neuron`.

    The sender's side is summed over neurons and their destinations, the receiver's side over the rows
    of the segments: the two totals agree only if every exchange was booked on both sides.
    """
    for matrix in range(matrices.n_pre.size):
        for neuron in range(matrices.pre_neuron[matrix], matrices.pre_neuron[matrix] + matrices.n_pre[matrix]):
            if tally.home[neuron] >= 0:
                tally.sent[matrix, tally.home[neuron]] += tally.by_neuron[neuron] * tally.n_destinations[neuron]
    for segment in range(segments.matrix.size):
        matrix = segments.matrix[segment]
        for pre in range(matrices.n_pre[matrix]):
            n = np.int64(slots.fan_out[segments.fan_out_start[segment] + pre])
            neuron = matrices.pre_neuron[matrix] + pre
            if n > 0:
                seen = tally.by_neuron[neuron]
                if segments.word_bits > 0:
                    words = list_words(segments, segments.core[segment], n)
                    tally.by_segment[segment, _WORDS_NONZERO] += words * seen
                tally.by_segment[segment, _PRE_NONZERO] += n * seen
                if tally.replayed.size > 0:
                    tally.by_segment[segment, _PRE_REPLAYED] += n * tally.replayed[neuron]
                tally.by_segment[segment, _ROWS_NONZERO] += seen
                home, core = tally.home[neuron], segments.core[segment]
                if home >= 0 and home != core:
                    tally.received[matrix, core] += seen
                    if tally.pairs.size > 0:
                        tally.pairs[home, core] += seen
    for neuron in range(tally.by_neuron.size):
        tally.nonzero[neuron] += tally.by_neuron[neuron]
        tally.by_neuron[neuron] = 0
    tally.replayed[:] = 0


@inlined
def release_slot(slots, segments, matrices, tally, segment, slot):
    """Free one slot: its position may be proposed again at once. Writes `slots` and `tally`.

    The weight becomes a zero; `pre` and `post` keep a valid index, so kernels need no test for it.
    """
    matrix = segments.matrix[segment]
    remove_position(slots, matrices, matrix, slots.pre[slot], slots.post[slot])
    count_synapse(slots, segments, matrices, tally, segment, slots.pre[slot], slots.post[slot], -1)
    slots.active[slot] = 0
    slots.weight[slot] = np.float32(0.0)
    if slots.master.size > 0:
        slots.master[slot] = np.float32(0.0)
    forget(slots, slot)
    slots.free_slot[segments.slot_start[segment] + slots.n_free[segment, 0]] = np.int32(slot)
    slots.n_free[segment, 0] += 1
    tally.by_segment[segment, _RELEASED] += 1


@inlined
def _mark_stray(slots, slot):
    """Note that a slot is out of order. Writes `slots`."""
    slots.disorder[0] += 1
    slots.is_stray[slot >> 6] |= np.uint64(1) << np.uint64(slot & 63)


@inlined
def mark_arrivals(slots, segments, segment, n_before):
    """Note that the slots of a segment that were taken since it had `n_before` free ones are out of order. Writes `slots`.

    They still stand on the stack, above its height.
    """
    start = segments.slot_start[segment]
    for i in range(slots.n_free[segment, 0], n_before):
        _mark_stray(slots, np.int64(slots.free_slot[start + i]))


@inlined
def occupy_at(place, entry, slots, segments, matrices, tally, segment, pre, post, theta, is_alone=True):
    """Put a synapse at a free, feasible position into the top free slot; `place` and `entry` are from `feasible_place`.

    Unless it `is_alone`, others work on other matrices at the same time, and `mark_arrivals` is left to the caller.
    """
    matrix = segments.matrix[segment]
    slots.n_free[segment, 0] -= 1
    slot = np.int64(slots.free_slot[segments.slot_start[segment] + slots.n_free[segment, 0]])
    slots.pre[slot], slots.post[slot] = np.int32(pre), np.int32(post)
    sign = sign_of(matrices, matrix, pre, post)
    slots.weight[slot] = nearest_on_grid(np.float32(theta), matrices.step[matrix], matrices.top[matrix], matrices.ulp[matrix]) * sign
    if slots.master.size > 0:
        slots.master[slot] = np.float32(theta) * sign
    slots.gradient[slot] = np.float32(0.0)
    forget(slots, slot)
    slots.active[slot] = 1
    enter(slots, matrices, matrix, place, entry)
    count_synapse(slots, segments, matrices, tally, segment, pre, post, 1)
    if is_alone:
        _mark_stray(slots, slot)


@inlined
def occupy(slots, segments, matrices, tally, segment, pre, post, theta, is_alone=True):
    """As `occupy_at`, and find the place in the table."""
    _, place, entry = look_up(slots, matrices, segments.matrix[segment], pre, post)
    occupy_at(place, entry, slots, segments, matrices, tally, segment, pre, post, theta, is_alone)


@part
def _rank_draw(slots, segments, matrices, scope, random):
    """Position of a uniformly drawn free feasible position: (segment, pre, post), or (-1, -1, -1).

    Works column by column: a post neuron with room has n_pre - fan_in free positions. Costs
    O(slots of the segment + post neurons of the scope); used only after `MAX_PROPOSALS` rejections.
    """
    n_free_positions = np.int64(0)
    for count_only in (True, False):
        if not count_only:
            if n_free_positions == 0:
                return np.int64(-1), np.int64(-1), np.int64(-1)
            rank = below(random, n_free_positions)
        for segment in range(segments.scope_start[scope], segments.scope_start[scope + 1]):
            if slots.n_free[segment, 0] == 0:
                continue
            matrix = segments.matrix[segment]
            n_pre, skips_self = matrices.n_pre[matrix], np.int64(matrices.skips_self[matrix])
            first = segments.post_start[segment]
            for post in range(first, first + segments.n_positions[segment] // n_pre):
                fan_in = np.int64(slots.fan_in[matrices.fan_in_start[matrix] + post])
                room = n_pre - skips_self - fan_in
                if fan_in >= matrices.fan_in_limit[matrix]:
                    continue
                if count_only:
                    n_free_positions += room
                elif rank >= room:
                    rank -= room
                else:
                    for pre in range(n_pre):
                        if not (is_taken(slots, matrices, matrix, pre, post) or is_own(matrices, matrix, pre, post)):
                            if rank == 0:
                                return np.int64(segment), np.int64(pre), np.int64(post)
                            rank -= 1
    return np.int64(-1), np.int64(-1), np.int64(-1)


@inlined
def count_full_columns(slots, segments, matrices, segment):
    """Post neurons of a segment at their fan-in; where there are any, `row_work` gets the synapses of each row on them.

    Writes `slots.row_work`. Costs O(post neurons), and O(slots) where there are any.
    """
    matrix, work = segments.matrix[segment], slots.row_work
    n_pre, first = matrices.n_pre[matrix], segments.post_start[segment]
    n_full = np.int64(0)
    for post in range(first, first + segments.n_positions[segment] // n_pre):
        n_full += slots.fan_in[matrices.fan_in_start[matrix] + post] >= matrices.fan_in_limit[matrix]
    work[:n_pre] = 0
    if n_full > 0:
        for slot in range(segments.slot_start[segment], segments.slot_start[segment + 1]):
            if slots.active[slot] and slots.fan_in[matrices.fan_in_start[matrix] + slots.post[slot]] >= matrices.fan_in_limit[matrix]:
                work[slots.pre[slot]] += 1
    return n_full


@part
def _rank_draw_by_rows(slots, segments, matrices, tally, scope, random):
    """As `_rank_draw`, with limits on rows: a row is feasible or not, a column is full or not.

    A feasible row has as many free feasible positions as columns that are not full, less its synapses on those.
    Costs O(pre + post neurons of the scope), and O(slots) where a column is full. Writes `slots.row_work`.
    """
    n_free_positions = np.int64(0)
    for count_only in (True, False):
        if not count_only:
            if n_free_positions == 0:
                return np.int64(-1), np.int64(-1), np.int64(-1)
            rank = below(random, n_free_positions)
        for segment in range(segments.scope_start[scope], segments.scope_start[scope + 1]):
            if slots.n_free[segment, 0] == 0:
                continue
            matrix = segments.matrix[segment]
            n_pre, first = matrices.n_pre[matrix], segments.post_start[segment]
            n_posts = segments.n_positions[segment] // n_pre
            n_open = n_posts - count_full_columns(slots, segments, matrices, segment)
            for pre in range(n_pre):
                if not row_has_room(slots, segments, matrices, tally, segment, pre):
                    continue
                room = n_open - slots.fan_out[segments.fan_out_start[segment] + pre] + slots.row_work[pre]
                if matrices.skips_self[matrix] and first <= pre < first + n_posts:
                    room -= slots.fan_in[matrices.fan_in_start[matrix] + pre] < matrices.fan_in_limit[matrix]
                if count_only:
                    n_free_positions += room
                elif rank >= room:
                    rank -= room
                else:
                    for post in range(first, first + n_posts):
                        is_open = slots.fan_in[matrices.fan_in_start[matrix] + post] < matrices.fan_in_limit[matrix]
                        if is_open and not (is_taken(slots, matrices, matrix, pre, post) or is_own(matrices, matrix, pre, post)):
                            if rank == 0:
                                return np.int64(segment), np.int64(pre), np.int64(post)
                            rank -= 1
    return np.int64(-1), np.int64(-1), np.int64(-1)


@inlined
def feasible_place(slots, segments, matrices, tally, segment, pre, post):
    """Place in the table and entry for a synapse at a position: two int64.

    The place is -1 unless the position is free, and slots, fan-in and the cores' limits have room.
    """
    matrix = segments.matrix[segment]
    if slots.n_free[segment, 0] == 0 or slots.fan_in[matrices.fan_in_start[matrix] + post] >= matrices.fan_in_limit[matrix]:
        return np.int64(-1), np.int64(-1)
    taken, place, entry = look_up(slots, matrices, matrix, pre, post)
    if taken or is_own(matrices, matrix, pre, post) or (segments.is_limited and not row_has_room(slots, segments, matrices, tally, segment, pre)):
        return np.int64(-1), np.int64(-1)
    return place, entry


@inlined
def _proposal(segments, matrices, first, n_positions, scope_key, draw):
    """A uniform draw of the scope that begins with segment `first`: (segment, pre, post)."""
    position = below(bits64(scope_key, draw), n_positions)
    segment = first
    while position >= segments.n_positions[segment]:
        position -= segments.n_positions[segment]
        segment += 1
    matrix = segments.matrix[segment]
    # Unsigned: numba's signed division would test for signs.
    column = np.int64(np.uint64(position) // np.uint64(matrices.n_pre[matrix]))
    return segment, position - column * matrices.n_pre[matrix], segments.post_start[segment] + column


@inlined
def _ask_for_proposal(slots, segments, matrices, tally, first, n_positions, scope_key, draw):
    """Ask for what a later proposal will need."""
    segment, pre, post = _proposal(segments, matrices, first, n_positions, scope_key, draw)
    prefetch_position(slots, segments, matrices, tally, segment, pre, post)


@inlined_and_called
def fill_scope(slots, segments, matrices, tally, scope, n_wanted, key, theta, is_alone):
    """Activate uniformly drawn free feasible positions until `n_wanted` are active in the scope.

    Parameters
    ----------
    slots, segments, matrices, tally : Slots, Segments, Matrices, Tally
        `slots` and `tally` are written.
    scope, n_wanted : int
        Scope, and how many active synapses it shall have.
    key : uint64
        Key of this step's proposals (`kernels.random.fold`) .
    theta : float
        Strength of an arrival.
    is_alone : bool
        Whether nobody else works on the store. Otherwise what several matrices share is left to the caller: `mark_arrivals` of each
        segment, and `note_binding` where synapses found no position.

    Returns
    -------
    int
        Synapses that found no feasible position.
    """
    first, last = segments.scope_start[scope], segments.scope_start[scope + 1]
    n_positions, n_missing = np.int64(0), n_wanted
    for segment in range(first, last):
        n_positions += segments.n_positions[segment]
        n_missing -= count_active(slots, segments, segment)
    scope_key = fold(key, scope)
    n_draws = 0
    is_waiting = is_far(slots) and n_missing > 1
    if is_waiting:
        for draw in range(min(AHEAD, n_missing)):
            _ask_for_proposal(slots, segments, matrices, tally, first, n_positions, scope_key, draw)
    while n_missing > 0:
        placed = False
        for _ in range(MAX_PROPOSALS):
            if is_waiting:
                _ask_for_proposal(slots, segments, matrices, tally, first, n_positions, scope_key, n_draws + AHEAD)
            segment, pre, post = _proposal(segments, matrices, first, n_positions, scope_key, n_draws)
            n_draws += 1
            tally.by_segment[segment, _ROWS_CHECKED] += slots.fan_out[segments.fan_out_start[segment] + pre]
            if segments.word_bits > 0:
                n = np.int64(slots.fan_out[segments.fan_out_start[segment] + pre])
                tally.by_segment[segment, _WORDS_READ] += list_words(segments, segments.core[segment], n)
            place, entry = feasible_place(slots, segments, matrices, tally, segment, pre, post)
            if place >= 0:
                tally.by_segment[segment, _ACCEPTED] += 1
                occupy_at(place, entry, slots, segments, matrices, tally, segment, pre, post, theta, is_alone)
                placed = True
                break
            tally.by_segment[segment, _REJECTED] += 1
        if not placed:
            random = bits64(scope_key, n_draws)
            n_draws += 1
            if segments.is_limited:
                segment, pre, post = _rank_draw_by_rows(slots, segments, matrices, tally, scope, random)
            else:
                segment, pre, post = _rank_draw(slots, segments, matrices, scope, random)
            if segment < 0:
                tally.by_segment[first, _UNFILLED] += n_missing
                if is_alone:
                    note_binding(slots, segments, matrices, tally, scope, n_missing)
                return n_missing
            tally.by_segment[segment, _EXACT] += 1
            tally.by_segment[segment, _WORDS_READ] += 2 * slots.segment_words[segment]
            occupy(slots, segments, matrices, tally, segment, pre, post, theta, is_alone)
        n_missing -= 1
    return np.int64(0)


@kernel
def release_one(slots, segments, matrices, tally, segment, slot):
    """`release_slot`, for Python. Writes `slots` and `tally`."""
    release_slot(slots, segments, matrices, tally, segment, slot)
