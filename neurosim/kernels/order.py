"""Keep slots sorted by post neuron, so that runs are long.

Arrivals take the slots of those that left and so break the order. Any order gives the same sums to
float rounding, but a run that is cut costs time: sorting pays once enough slots moved. When it happens
depends on counts only, never on time, so results stay reproducible.
"""

import numpy as np

from neurosim.kernels.compile import inlined, kernel
from neurosim.kernels.membership import rebuild_table


@inlined
def _bucket(slots, slot, post_start, n_posts):
    return np.int64(slots.post[slot]) - post_start if slots.active[slot] else n_posts


@kernel
def sort_slots(slots, segments, matrices):
    """Sort every segment by post neuron, free slots last. Writes `slots`; all gradients must be zero.

    An in-place counting sort: every swap brings one slot to its bucket, so the cost is O(slots), and the
    memory O(post neurons).
    """
    for segment in range(segments.matrix.size):
        start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
        post_start = segments.post_start[segment]
        n_posts = segments.n_positions[segment] // matrices.n_pre[segments.matrix[segment]]
        end = np.zeros(n_posts + 1, np.int64)
        for slot in range(start, stop):
            end[_bucket(slots, slot, post_start, n_posts)] += 1
        place = np.empty(n_posts + 1, np.int64)
        total = start
        for bucket in range(n_posts + 1):
            place[bucket] = total
            total += end[bucket]
            end[bucket] = total
        for bucket in range(n_posts + 1):
            while place[bucket] < end[bucket]:
                a = place[bucket]
                target = _bucket(slots, a, post_start, n_posts)
                b = place[target]
                if target != bucket:
                    slots.pre[a], slots.pre[b] = slots.pre[b], slots.pre[a]
                    slots.post[a], slots.post[b] = slots.post[b], slots.post[a]
                    slots.weight[a], slots.weight[b] = slots.weight[b], slots.weight[a]
                    slots.active[a], slots.active[b] = slots.active[b], slots.active[a]
                    for i in range(slots.moments.shape[0]):
                        slots.moments[i, a], slots.moments[i, b] = slots.moments[i, b], slots.moments[i, a]
                place[target] += 1
        # The lowest free slot lies on top of the stack.
        for i in range(slots.n_free[segment]):
            slots.free_slot[start + i] = np.int32(stop - 1 - i)
    rebuild_table(slots, matrices)
    slots.n_exchanged[0] = 0
