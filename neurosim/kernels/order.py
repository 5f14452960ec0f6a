"""Keep slots sorted, so that passes over them read rows of a tile from near caches.

Slots are sorted by strips of pre neurons, and within a strip by post neuron. The strip's rows stay in the
cache while the rows of the post neurons stream by, each once a strip for all its slots there. A matrix
with few pre neurons is one strip.

Arrivals take the slots of those that left and so break the order. Any order gives the same sums to
float rounding, but a run that is cut and a row of another strip cost time. The slots that lie out of order are
few, so order is restored by merging: they are taken out, sorted, and put back where they belong, in two walks of
all slots (Ernerfeldt 2017, "Drop-Merge sort"). This happens as soon as disorder has cost about as much time as that
takes. Both are counted, never measured, so results stay reproducible.
"""

import numpy as np

from neurosim.kernels.compile import inlined, kernel

#: Rows of a strip: at 64 lanes 512 rows of activations and as many of errors take a quarter of a second-level
#: cache, 2048 rows all of it, 16384 rows as much of a third-level cache.
LEAST_ROWS, NEAR_ROWS, MOST_ROWS = 512, 2048, 16384

#: Slots that a post neuron should have in a strip, so that its row is not read for one slot only.
RUN = 5

#: A slot out of order costs a tile so many times what merging costs a slot: three wrong guesses where runs end, against two walks.
_STRAY_COST = 3

#: Slots dropped in a row before the walk doubts the slot that it kept before them.
_PATIENCE = 8


@inlined
def _run_rows(n_pre, n_post, n_slots):
    """Pre neurons in which a post neuron has `RUN` slots."""
    return RUN * n_pre * n_post // max(n_slots, 1)


@inlined
def is_scattered(n_pre, n_post, n_slots):
    """Whether a matrix is so large and so sparse that post neurons have no runs in strips that a near cache holds.

    Tiles of half the width then move fewer bytes: strips of twice as many rows stay near (`nn.mlp.choose_tile`).
    """
    return n_pre > MOST_ROWS and _run_rows(n_pre, n_post, n_slots) > NEAR_ROWS


@inlined
def count_strips(matrices, matrix):
    """Strips that a matrix is cut into: int64, a function of its shape and its number of slots."""
    n_pre, n_post = matrices.n_pre[matrix], matrices.n_post[matrix]
    n_slots = matrices.slot_start[matrix + 1] - matrices.slot_start[matrix]
    n_rows = _run_rows(n_pre, n_post, n_slots)
    if is_scattered(n_pre, n_post, n_slots):
        n_rows //= 2  # nobody walks runs: the rows of a strip shall be near
    return max(n_pre // min(max(n_rows, LEAST_ROWS), MOST_ROWS), 1)


@inlined
def _strip(pre, n_strips, factor):
    """Strip of a pre neuron: pre * n_strips // n_pre without a division; above 65536 rows a strip may begin a row earlier."""
    return min((np.int64(pre) * factor) >> np.int64(32), n_strips - 1)


@inlined
def _key(slots, slot, n_strips, factor):
    """What slots are sorted by."""
    return (_strip(slots.pre[slot], n_strips, factor) << np.int64(32)) + np.int64(slots.post[slot])


@inlined
def _swap(values, a, b):
    values[a], values[b] = values[b], values[a]


@inlined
def _bucket(slots, slot, is_by_strip, n_strips, factor, post_start):
    if not is_by_strip:
        return np.int64(slots.post[slot]) - post_start
    return _strip(slots.pre[slot], n_strips, factor) if slots.active[slot] else n_strips


@inlined
def _group(slots, start, stop, is_by_strip, n_strips, factor, post_start, n_buckets, place, end):
    """Bring the slots [start, stop) into the order of their buckets: strips, free slots last, or post neurons.

    An in-place counting sort: every swap brings one slot to its bucket. Writes `slots`, `place` and `end`,
    int64 (n_buckets,); `end` then says where each bucket ends.
    """
    end[:n_buckets] = 0
    for slot in range(start, stop):
        end[_bucket(slots, slot, is_by_strip, n_strips, factor, post_start)] += 1
    total = start
    for bucket in range(n_buckets):
        place[bucket] = total
        total += end[bucket]
        end[bucket] = total
    for bucket in range(n_buckets):
        while place[bucket] < end[bucket]:
            a = place[bucket]
            target = _bucket(slots, a, is_by_strip, n_strips, factor, post_start)
            b = place[target]
            if target != bucket:
                _swap(slots.pre, a, b)
                _swap(slots.post, a, b)
                _swap(slots.weight, a, b)
                _swap(slots.active, a, b)
                if slots.master.size > 0:
                    _swap(slots.master, a, b)
                for i in range(slots.moments.shape[0]):
                    _swap(slots.moments[i], a, b)
            place[target] += 1


@inlined
def _cut(segments, matrices, segment):
    """How a segment is sorted: number of strips, factor of `_strip`, number of post neurons."""
    matrix = segments.matrix[segment]
    n_pre, n_strips = matrices.n_pre[matrix], count_strips(matrices, matrix)
    return n_strips, ((n_strips << np.int64(32)) + n_pre - 1) // n_pre, segments.n_positions[segment] // n_pre


@kernel
def _sort_range(slots, segments, matrices, segment, start, stop):
    """Sort slots [start, stop) of a segment. The cost is O(slots + strips * post neurons)."""
    n_strips, factor, n_posts = _cut(segments, matrices, segment)
    post_start = segments.post_start[segment]
    strip_end = np.empty(n_strips + 1, np.int64)
    end = np.empty(n_posts, np.int64)
    place = np.empty(max(n_strips + 1, n_posts), np.int64)
    _group(slots, start, stop, True, n_strips, factor, post_start, n_strips + 1, place, strip_end)
    first = start
    for strip in range(n_strips):
        if strip_end[strip] > first:
            _group(slots, first, strip_end[strip], False, n_strips, factor, post_start, n_posts, place, end)
        first = strip_end[strip]


@inlined
def _list_free(slots, segments, segment):
    """The free slots are the last ones; the lowest lies on top of the stack. Writes `slots.free_slot`."""
    start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
    for i in range(slots.n_free[segment]):
        slots.free_slot[start + i] = np.int32(stop - 1 - i)


@kernel
def sort_slots(slots, segments, matrices):
    """Sort every segment by strip and post neuron, free slots last. Writes `slots`; all gradients must be zero.

    The cost is O(slots + strips * post neurons), the memory O(strips + post neurons).
    """
    for segment in range(segments.matrix.size):
        _sort_range(slots, segments, matrices, segment, segments.slot_start[segment], segments.slot_start[segment + 1])
        _list_free(slots, segments, segment)
    slots.disorder[:] = 0


@inlined
def _move(slots, a, b):
    """Copy the contents of slot `a` to slot `b`."""
    slots.pre[b], slots.post[b], slots.weight[b] = slots.pre[a], slots.post[a], slots.weight[a]
    if slots.master.size > 0:
        slots.master[b] = slots.master[a]
    for i in range(slots.moments.shape[0]):
        slots.moments[i, b] = slots.moments[i, a]


@inlined
def _take(slots, slot, indices, strengths, i):
    """Copy the contents of a slot aside: int32 (2, n), float32 (1 to 4, n)."""
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
def _drop(slots, start, stop, n_strips, factor, indices, strengths):
    """Move slots that are in order together, from `start` on, and take the others out.

    Returns how many were kept, how many were taken out, and the first slot that was not looked at: less than `stop` if there
    was no room to take more out. A slot is kept if it does not belong before the one kept last; when too many in a row do,
    that one was wrong and is taken out instead.
    """
    n_kept, n_out, n_row, row_start, slot = np.int64(0), np.int64(0), np.int64(0), np.int64(0), np.int64(start)
    last = np.int64(-1)  # key of the slot kept last
    while slot < stop and n_out < indices.shape[1]:
        if not slots.active[slot]:
            slot += 1
            continue
        key = _key(slots, slot, n_strips, factor)
        if key >= last:
            _move(slots, slot, start + n_kept)
            n_kept += 1
            n_row, last = np.int64(0), key
            slot += 1
        elif n_row == 0 and (n_kept < 2 or key >= _key(slots, start + n_kept - 2, n_strips, factor)):
            # Without the slot kept last this one would be in order: that one, alone, lay too far in front.
            _take(slots, start + n_kept - 1, indices, strengths, n_out)
            n_out += 1
            _move(slots, slot, start + n_kept - 1)
            last = key
            slot += 1
        elif n_row < _PATIENCE:
            if n_row == 0:
                row_start = slot
            _take(slots, slot, indices, strengths, n_out)
            n_out += 1
            n_row += 1
            slot += 1
        else:
            n_out -= n_row
            slot, n_row = row_start, np.int64(0)
            n_kept -= 1
            _take(slots, start + n_kept, indices, strengths, n_out)
            n_out += 1
            last = _key(slots, start + n_kept - 1, n_strips, factor) if n_kept > 0 else np.int64(-1)
    return n_kept, n_out, slot


@inlined
def _merge(slots, start, n_kept, n_out, n_strips, factor, indices, strengths):
    """Merge `n_kept` slots from `start` on with the `n_out` that follow; both are sorted. The others are work space."""
    for i in range(n_out):
        _take(slots, start + n_kept + i, indices, strengths, i)
    slot = start + n_kept - 1
    for i in range(n_out - 1, -1, -1):
        key = (_strip(indices[0, i], n_strips, factor) << np.int64(32)) + np.int64(indices[1, i])
        while slot >= start and _key(slots, slot, n_strips, factor) > key:
            _move(slots, slot, slot + i + 1)
            slot -= 1
        _put(slots, slot + i + 1, indices, strengths, i)


@inlined
def _close(slots, first, last, stop):
    """Mark slots [first, last) as active and [last, stop) as free. Writes `slots`."""
    slots.active[first:last] = 1
    slots.active[last:stop] = 0
    slots.weight[last:stop] = np.float32(0.0)
    if slots.master.size > 0:
        slots.master[last:stop] = np.float32(0.0)
    for i in range(slots.moments.shape[0]):
        for slot in range(last, stop):
            slots.moments[i, slot] = np.float32(0.0)


@kernel
def merge_segment(slots, segments, matrices, segment):
    """Sort a segment that is nearly sorted, as `sort_slots` does. Writes `slots`; all gradients must be zero.

    Two walks of the slots; memory for an eighth of them. Where more lie out of order the segment is sorted as a whole.
    """
    n_strips, factor, _ = _cut(segments, matrices, segment)
    start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
    end = stop - slots.n_free[segment]
    most = (stop - start) // 8 + 8
    indices = np.empty((2, most), np.int32)
    strengths = np.empty((2 + slots.moments.shape[0], most), np.float32)
    n_kept, n_out, rest = _drop(slots, start, stop, n_strips, factor, indices, strengths)
    for i in range(n_out):
        _put(slots, start + n_kept + i, indices, strengths, i)
    _close(slots, start, start + n_kept + n_out, rest)
    if rest < stop:
        _sort_range(slots, segments, matrices, segment, start, stop)
    elif n_out > 0:
        _sort_range(slots, segments, matrices, segment, start + n_kept, end)
        _merge(slots, start, n_kept, n_out, n_strips, factor, indices, strengths)
    _list_free(slots, segments, segment)


@inlined
def note_disorder(slots, n_tiles):
    """Book what disorder costs a step of `n_tiles` tiles; whether merging is due. Writes `slots.disorder`.

    Both costs grow in step with the square of the time between two merges and with its inverse: their sum is smallest where
    they are equal, whatever the rate of exchanges.
    """
    slots.disorder[1] += slots.disorder[0] * n_tiles
    return slots.disorder[1] * _STRAY_COST > slots.pre.size
