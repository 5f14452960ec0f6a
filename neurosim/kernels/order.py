"""Keep slots sorted, so that passes over them read rows of a tile from near caches.

Slots are sorted by strips of pre neurons, and within a strip by post neuron. The strip's rows stay in the
cache while the rows of the post neurons stream by, each once a strip for all its slots there. A matrix
with few pre neurons is one strip.

Arrivals take the slots of those that left and so break the order. Any order gives the same sums to
float rounding, but a run that is cut and a row of another strip cost time: sorting pays once enough slots
moved. When it happens depends on counts only, never on time, so results stay reproducible.
"""

import numpy as np

from neurosim.kernels.compile import inlined, kernel

#: Rows of a strip: at 64 lanes 512 rows of activations and as many of errors take a quarter of a second-level
#: cache, 16384 rows as much of a third-level cache.
LEAST_ROWS, MOST_ROWS = 512, 16384

#: Slots that a post neuron should have in a strip, so that its row is not read for one slot only.
RUN = 5


@inlined
def count_strips(matrices, matrix):
    """Strips that a matrix is cut into: int64, a function of its shape and its number of slots."""
    n_pre, n_slots = matrices.n_pre[matrix], matrices.slot_start[matrix + 1] - matrices.slot_start[matrix]
    n_rows = RUN * n_pre * matrices.n_post[matrix] // max(n_slots, 1)
    return max(n_pre // min(max(n_rows, LEAST_ROWS), MOST_ROWS), 1)


@inlined
def _strip(slots, slot, n_pre, n_strips):
    """Strip of a slot, `n_strips` for a free one."""
    return np.int64(slots.pre[slot]) * n_strips // n_pre if slots.active[slot] else n_strips


@inlined
def _swap(values, a, b):
    values[a], values[b] = values[b], values[a]


@inlined
def _group(slots, start, stop, is_by_strip, n_pre, n_strips, post_start, n_buckets, place, end):
    """Bring the slots [start, stop) into the order of their buckets: strips, or post neurons.

    An in-place counting sort: every swap brings one slot to its bucket. Writes `slots`, `place` and `end`,
    int64 (n_buckets,); `end` then says where each bucket ends.
    """
    end[:n_buckets] = 0
    for slot in range(start, stop):
        end[_strip(slots, slot, n_pre, n_strips) if is_by_strip else np.int64(slots.post[slot]) - post_start] += 1
    total = start
    for bucket in range(n_buckets):
        place[bucket] = total
        total += end[bucket]
        end[bucket] = total
    for bucket in range(n_buckets):
        while place[bucket] < end[bucket]:
            a = place[bucket]
            target = _strip(slots, a, n_pre, n_strips) if is_by_strip else np.int64(slots.post[a]) - post_start
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


@kernel
def sort_slots(slots, segments, matrices):
    """Sort every segment by strip and post neuron, free slots last. Writes `slots`; all gradients must be zero.

    The cost is O(slots + strips * post neurons), the memory O(strips + post neurons).
    """
    for segment in range(segments.matrix.size):
        start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
        matrix = segments.matrix[segment]
        n_pre, n_strips = matrices.n_pre[matrix], count_strips(matrices, matrix)
        post_start = segments.post_start[segment]
        n_posts = segments.n_positions[segment] // n_pre
        strip_end = np.empty(n_strips + 1, np.int64)
        end = np.empty(n_posts, np.int64)
        place = np.empty(max(n_strips + 1, n_posts), np.int64)
        _group(slots, start, stop, True, n_pre, n_strips, post_start, n_strips + 1, place, strip_end)
        first = start
        for strip in range(n_strips):
            _group(slots, first, strip_end[strip], False, n_pre, n_strips, post_start, n_posts, place, end)
            first = strip_end[strip]
        # The lowest free slot lies on top of the stack.
        for i in range(slots.n_free[segment]):
            slots.free_slot[start + i] = np.int32(stop - 1 - i)
    slots.n_exchanged[0] = 0
