"""Keep slots sorted, so that passes over them read rows of a tile from near caches.

Slots are sorted by strips of pre neurons, and within a strip by post neuron. The strip's rows stay in the
cache while the rows of the post neurons stream by, each once a strip for all its slots there. A matrix
with few pre neurons is one strip.

Arrivals take the slots of those that left and so break the order. Any order gives the same sums to
float rounding, but a run that is cut and a row of another strip cost time. They are few, so order is restored by
merging (`neurosim.kernels.merge`) as soon as disorder has cost about as much time as that
takes. Both are counted, never measured, so results stay reproducible.
"""

import numpy as np

from neurosim.kernels.compile import allocating_part, inlined, inlined_and_called, kernel

#: Rows of a strip: at 64 lanes 512 rows of activations and as many of errors take a quarter of a second-level
#: cache, 2048 rows all of it, 16384 rows as much of a third-level cache.
LEAST_ROWS, NEAR_ROWS, MOST_ROWS = 512, 2048, 16384

#: Slots that a post neuron should have in a strip, so that its row is not read for one slot only.
RUN = 5

#: A slot out of order costs a tile so many times what merging costs a slot: three wrong guesses where runs end, against a move.
_STRAY_COST = 7


@inlined
def _run_rows(n_pre, n_post, n_slots):
    """Pre neurons in which a post neuron has `RUN` slots."""
    return RUN * n_pre * n_post // max(n_slots, 1)


@inlined_and_called
def is_scattered(n_pre, n_post, n_slots):
    """Whether a matrix is so large and so sparse that post neurons have no runs in strips that a near cache holds.

    Tiles of half the width then move fewer bytes: strips of twice as many rows stay near (`nn.mlp.choose_tile`).
    """
    return n_pre > MOST_ROWS and _run_rows(n_pre, n_post, n_slots) > NEAR_ROWS


@inlined_and_called
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
def key_of(pre, post, n_strips, factor, n_posts):
    """What slots are sorted by: int64. `post` counts from the first post neuron of the segment."""
    return _strip(pre, n_strips, factor) * n_posts + np.int64(post)


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
def _factor(n_strips, n_pre):
    return ((n_strips << np.int64(32)) + n_pre - 1) // n_pre


@inlined
def first_row(matrices, matrix, strip):
    """The first pre neuron of a strip; of the strip behind the last one, the number of pre neurons."""
    n_pre, n_strips = matrices.n_pre[matrix], count_strips(matrices, matrix)
    factor = _factor(n_strips, n_pre)
    return n_pre if strip == n_strips else ((strip << np.int64(32)) + factor - 1) // factor


@inlined
def cut_of(segments, matrices, segment):
    """How a segment is sorted: number of strips, factor of `_strip`, number of post neurons."""
    matrix = segments.matrix[segment]
    n_pre, n_strips = matrices.n_pre[matrix], count_strips(matrices, matrix)
    return n_strips, _factor(n_strips, n_pre), segments.n_positions[segment] // n_pre


@allocating_part
def sort_range(slots, segments, matrices, segment, start, stop):
    """Sort slots [start, stop) of a segment. The cost is O(slots + strips * post neurons)."""
    n_strips, factor, n_posts = cut_of(segments, matrices, segment)
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
def list_free(slots, segments, segment):
    """The free slots are the last ones; the lowest lies on top of the stack. Writes `slots.free_slot`."""
    start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
    for i in range(slots.n_free[segment, 0]):
        slots.free_slot[start + i] = np.int32(stop - 1 - i)


@inlined
def note_order(slots):
    """Every slot is where it belongs. Writes `slots`."""
    slots.disorder[:] = 0
    slots.is_stray[:] = np.uint64(0)


@kernel
def sort_slots(slots, segments, matrices):
    """Sort every segment by strip and post neuron, free slots last. Writes `slots`; all gradients must be zero.

    The cost is O(slots + strips * post neurons), the memory O(strips + post neurons).
    """
    for segment in range(segments.matrix.size):
        sort_range(slots, segments, matrices, segment, segments.slot_start[segment], segments.slot_start[segment + 1])
        list_free(slots, segments, segment)
    note_order(slots)


@inlined
def note_disorder(slots, n_tiles):
    """Book what disorder costs a step of `n_tiles` tiles; whether merging is due. Writes `slots.disorder`.

    Both costs grow in step with the square of the time between two merges and with its inverse: their sum is smallest where
    they are equal, whatever the rate of exchanges.
    """
    slots.disorder[1] += slots.disorder[0] * n_tiles
    return slots.disorder[1] * _STRAY_COST > slots.pre.size
