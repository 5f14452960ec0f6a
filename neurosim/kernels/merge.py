"""Put arrivals where they belong among slots that are in order.

`Slots.is_stray` says which slots are arrivals; with free slots they are the *gaps* of the order. The strays are taken out and sorted, each
looks for its place among the slots that stay, and what lies between two gaps or places is moved as a block: by as many
slots as have gone in, less those that have gone out, before it.
"""

import numpy as np
from numba import types
from numba.core import cgutils
from numba.cpython.unsafe.numbers import trailing_zeros
from numba.extending import intrinsic

from neurosim.kernels.bits import count_bits, free_bits, keep_within
from neurosim.kernels.compile import allocating_part, inlined, kernel, prefetch
from neurosim.kernels.order import cut_of, key_of, list_free, note_order, sort_range

_DIGIT = np.int64(11)

#: How far ahead of their use slots of strays, in words of marks, and slots to be searched are asked for: no processor foresees either.
_WORDS_AHEAD, _SLOTS_AHEAD = 4, 256

#: Slots of a cache line.
_LINE = 16


@intrinsic
def _move(typingctx, values, source, target, n):
    """Copy `n` elements of a flat array to another place in it, as if at once."""

    def codegen(context, builder, sig, args):
        array = context.make_array(sig.args[0])(context, builder, args[0])
        size = context.get_abi_sizeof(context.get_data_type(sig.args[0].dtype))
        source, target = (builder.gep(array.data, [place]) for place in args[1:3])
        cgutils.raw_memmove(builder, target, source, args[3], size)
        return context.get_dummy_value()

    return types.void(values, types.int64, types.int64, types.int64), codegen


@inlined
def _gaps(slots, word, start, stop):
    """Which of the 64 slots of a word, as far as they lie in [start, stop), are strays or free: bits."""
    return keep_within(slots.is_stray[word] | free_bits(slots.active, word), word, start, stop)


@inlined
def _take(slots, slot, indices, strengths, i):
    """Copy the contents of a slot aside: int32 (2, n), float32 (2 to 4, n)."""
    indices[0, i], indices[1, i], strengths[0, i] = slots.pre[slot], slots.post[slot], slots.weight[slot]
    if slots.master.size > 0:
        strengths[1, i] = slots.master[slot]
    for k in range(slots.moments.shape[0]):
        strengths[2 + k, i] = slots.moments[k, slot]


@inlined
def _put(slots, slot, indices, strengths, i):
    """Undo `_take`, in another slot."""
    slots.pre[slot], slots.post[slot], slots.weight[slot] = indices[0, i], indices[1, i], strengths[0, i]
    if slots.master.size > 0:
        slots.master[slot] = strengths[1, i]
    for k in range(slots.moments.shape[0]):
        slots.moments[k, slot] = strengths[2 + k, i]


@inlined
def _ask_for_slot(slots, slot):
    prefetch(slots.pre, slot)
    prefetch(slots.post, slot)
    prefetch(slots.weight, slot)


@inlined
def _ask_for_strays(slots, word):
    bits = slots.is_stray[word]
    while bits != 0:
        _ask_for_slot(slots, word * 64 + np.int64(trailing_zeros(bits)))
        bits &= bits - np.uint64(1)


@inlined
def _take_strays(slots, start, stop, post_start, gap, indices, strengths):
    """List the gaps of [start, stop) in `gap`, int64, and copy the strays aside.

    A gap becomes a copy of the slot before it, or of the first position there is: then all indices are in order and can be searched.
    """
    n_gaps, n_strays, last_word = np.int64(0), np.int64(0), (stop - 1) // 64
    for word in range(start // 64, last_word + 1):
        if word + _WORDS_AHEAD <= last_word:
            _ask_for_strays(slots, word + _WORDS_AHEAD)
        bits = _gaps(slots, word, start, stop)
        while bits != 0:
            slot = np.int64(word * 64 + trailing_zeros(bits))
            bits &= bits - np.uint64(1)
            gap[n_gaps] = slot
            n_gaps += 1
            if slots.active[slot]:
                _take(slots, slot, indices, strengths, n_strays)
                n_strays += 1
            if slot > start:
                slots.pre[slot], slots.post[slot] = slots.pre[slot - 1], slots.post[slot - 1]
            else:
                slots.pre[slot], slots.post[slot] = np.int32(0), np.int32(post_start)


@allocating_part
def _rank(keys):
    """Indices that sort int64 keys of zero or more, equal ones in their order: a radix sort, int64."""
    n = keys.size
    order, other = np.arange(n), np.empty(n, np.int64)
    place = np.empty(1 << _DIGIT, np.int64)
    shift = np.int64(0)
    while keys.max() >> shift > 0:
        place[:] = 0
        for i in range(n):
            place[(keys[i] >> shift) & (place.size - 1)] += 1
        total = np.int64(0)
        for digit in range(place.size):
            n_here = place[digit]
            place[digit] = total
            total += n_here
        for i in range(n):
            digit = (keys[order[i]] >> shift) & (place.size - 1)
            other[place[digit]] = order[i]
            place[digit] += 1
        order, other = other, order
        shift += _DIGIT
    return order


@inlined
def _find_places(slots, start, stop, post_start, n_strips, factor, n_posts, keys, rank, place):
    """Write before which slot of [start, stop) each key belongs, behind its equals: int64. Strides double until they are too long."""
    low, asked = np.int64(start), np.int64(start)
    for i in range(rank.size):
        asked = max(asked, low)
        while asked < min(low + _SLOTS_AHEAD, stop):
            _ask_for_slot(slots, asked)
            asked += _LINE
        key, stride, high = keys[rank[i]], np.int64(1), np.int64(stop)
        while low + stride <= stop:
            probe = low + stride - 1
            if key_of(slots.pre[probe], slots.post[probe] - post_start, n_strips, factor, n_posts) > key:
                high = probe
                break
            low += stride
            stride *= 2
        while low < high:
            middle = (low + high) // 2
            if key_of(slots.pre[middle], slots.post[middle] - post_start, n_strips, factor, n_posts) > key:
                high = middle
            else:
                low = middle + 1
        place[i] = low


@inlined
def _cut_blocks(start, stop, gap, place, first, end, shift):
    """Write where the blocks between gaps and places begin and end, and by how much each moves: int64. Returns how many.

    `place` then says where each stray goes.
    """
    n, moved, begin = np.int64(0), np.int64(0), np.int64(start)
    g, p = 0, 0
    while g < gap.size or p < place.size:
        is_place = g == gap.size or (p < place.size and place[p] <= gap[g])
        event = place[p] if is_place else gap[g]
        if event > begin:
            first[n], end[n], shift[n] = begin, event, moved
            n += 1
        if is_place:
            place[p] = event + moved
            begin = event
            moved += 1
            p += 1
        else:
            begin = event + 1
            moved -= 1
            g += 1
    if stop > begin:
        first[n], end[n], shift[n] = begin, stop, moved
        n += 1
    return n


@inlined
def _move_block(slots, first, end, shift):
    target, n = first + shift, end - first
    _move(slots.pre, first, target, n)
    _move(slots.post, first, target, n)
    _move(slots.weight, first, target, n)
    if slots.master.size > 0:
        _move(slots.master, first, target, n)
    for i in range(slots.moments.shape[0]):
        _move(slots.moments[i], first, target, n)


@inlined
def _move_blocks(slots, first, end, shift, n):
    """Move each block before another needs its place: neighbours that go up from the last on, the others from the first on."""
    block = np.int64(0)
    while block < n:
        after = block
        while after < n and shift[after] > 0:
            after += 1
        for i in range(after - 1, block - 1, -1):
            _move_block(slots, first[i], end[i], shift[i])
        block = after
        while block < n and shift[block] <= 0:
            if shift[block] < 0:
                _move_block(slots, first[block], end[block], shift[block])
            block += 1


@inlined
def _close(slots, start, end, stop):
    """Slots [start, end) are active, [end, stop) free. Writes `slots`."""
    slots.active[start:end] = 1
    slots.active[end:stop] = 0
    slots.weight[end:stop] = np.float32(0.0)
    if slots.master.size > 0:
        slots.master[end:stop] = np.float32(0.0)
    for i in range(slots.moments.shape[0]):
        for slot in range(end, stop):
            slots.moments[i, slot] = np.float32(0.0)


@allocating_part
def merge_segment(slots, segments, matrices, segment):
    """Sort a segment as `order.sort_slots` does, where only slots marked in `Slots.is_stray` are out of order.

    Writes `slots`, but the marks (see `order.note_order`); all gradients must be zero. Where more than an eighth of the slots are out of
    order the segment is sorted as a whole.
    """
    n_strips, factor, n_posts = cut_of(segments, matrices, segment)
    start, stop, post_start = segments.slot_start[segment], segments.slot_start[segment + 1], segments.post_start[segment]
    end = stop - slots.n_free[segment, 0]
    while stop > start and not slots.active[stop - 1]:
        stop -= 1  # free slots at the end stay
    n_gaps = np.int64(0)
    for word in range(start // 64, (stop + 63) // 64):
        n_gaps += count_bits(_gaps(slots, word, start, stop))
    n_strays = end - (stop - n_gaps)
    if 8 * n_strays > stop - start:
        sort_range(slots, segments, matrices, segment, start, stop)
    elif n_gaps > 0:
        gap = np.empty(n_gaps, np.int64)
        indices = np.empty((2, n_strays), np.int32)
        strengths = np.empty((2 + slots.moments.shape[0], n_strays), np.float32)
        _take_strays(slots, start, stop, post_start, gap, indices, strengths)
        keys, place = np.empty(n_strays, np.int64), np.empty(n_strays, np.int64)
        for i in range(n_strays):
            keys[i] = key_of(indices[0, i], indices[1, i] - post_start, n_strips, factor, n_posts)
        rank = _rank(keys) if n_strays > 0 else place
        _find_places(slots, start, stop, post_start, n_strips, factor, n_posts, keys, rank, place)
        blocks = np.empty((3, n_gaps + n_strays + 1), np.int64)
        n_blocks = _cut_blocks(start, stop, gap, place, blocks[0], blocks[1], blocks[2])
        _move_blocks(slots, blocks[0], blocks[1], blocks[2], n_blocks)
        for i in range(n_strays):
            _put(slots, place[i], indices, strengths, rank[i])
        _close(slots, start, end, stop)
    list_free(slots, segments, segment)


@allocating_part
def deal_arrivals(slots, segments, matrices, segment, n_before):
    """Deal the arrivals of an exchange to the slots that they took, in the order of both: near where a merge will bring them.

    A pass then finds their rows in the caches that hold the rows of their neighbours. `n_before` : free slots of the segment
    before they came. Writes `slots`; a matrix of one strip is left alone, all its rows are near.
    """
    n_strips, factor, n_posts = cut_of(segments, matrices, segment)
    start, post_start = segments.slot_start[segment], segments.post_start[segment]
    # They still stand on the stack, above its height; those that were released together, as a rule all, lie in order.
    taken = slots.free_slot[start + slots.n_free[segment, 0] : start + n_before]
    if n_strips == 1 or taken.size < 2:
        return
    indices = np.empty((2, taken.size), np.int32)
    strengths = np.empty((2 + slots.moments.shape[0], taken.size), np.float32)
    keys = np.empty(taken.size, np.int64)
    for i in range(taken.size):
        _take(slots, np.int64(taken[i]), indices, strengths, i)
        keys[i] = key_of(indices[0, i], indices[1, i] - post_start, n_strips, factor, n_posts)
    rank = _rank(keys)
    for i in range(taken.size):
        _put(slots, np.int64(taken[i]), indices, strengths, rank[i])


@kernel
def merge_all(slots, segments, matrices):
    """`merge_segment` of every segment, after which all are in order. Writes `slots`."""
    for segment in range(segments.matrix.size):
        merge_segment(slots, segments, matrices, segment)
    note_order(slots)
