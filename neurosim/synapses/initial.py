"""Initial connections: a uniformly drawn subset of the positions, and the strengths on it."""

import numpy as np

from neurosim.kernels.compile import kernel
from neurosim.kernels.exchange import fill_scope, sign_of
from neurosim.kernels.random import bits32, bits64, fold, normal_from_bits
from neurosim.kernels.order import sort_slots
from neurosim.random import Stream, stream_key
from neurosim.synapses.recount import recount


@kernel
def _choose_dense(positions, n_positions, key):
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
def _set_strengths(slots, segments, matrices, key):
    """theta = abs(N(0, 1)) / sqrt(n_pre), with the sign of each position. Writes `slots.weight`."""
    for segment in range(segments.matrix.size):
        m = segments.matrix[segment]
        scale = np.float32(1.0 / np.sqrt(np.float64(matrices.n_pre[m])))
        segment_key = fold(key, segment)
        for slot in range(segments.slot_start[segment], segments.slot_start[segment + 1]):
            if slots.active[slot]:
                theta = abs(normal_from_bits(bits32(segment_key, slot - segments.slot_start[segment]))) * scale
                slots.weight[slot] = theta * sign_of(matrices, m, slots.pre[slot], slots.post[slot])


def draw_connections(store):
    """Activate ``n_active`` uniformly drawn positions of every segment and set their strengths.

    Sparse segments use the same proposals as rewiring. Segments with a quarter of their positions or
    more (and no binding fan-in limit) use selection sampling, which reads every position once.
    """
    plan, segments = store.plan, store.segments
    key = stream_key(store.seed, Stream.INITIAL_POSITION)
    # Initial draws are per segment, whatever the scope of rewiring is.
    per_segment = segments._replace(
        n_wanted=np.array([s.n_active for s in plan.segments], np.int64),
        scope_start=np.arange(len(plan.segments) + 1, dtype=np.int64),
    )
    for g, segment in enumerate(plan.segments):
        n_pre = plan.matrices[segment.matrix].n_pre
        limit = plan.matrices[segment.matrix].fan_in_limit
        n_positions = int(segments.n_positions[g])
        if 4 * segment.n_active >= n_positions and (limit is None or limit >= n_pre):
            _place_chosen(store, g, n_pre, n_positions, np.uint64(key))
        else:
            fill_scope(
                store.slots, per_segment, store.matrices, store.tally, g, segment.n_active, np.uint64(key), np.float32(0.0)
            )
    sort_slots(store.slots, segments, store.matrices)
    _set_strengths(store.slots, segments, store.matrices, np.uint64(stream_key(store.seed, Stream.INITIAL_THETA)))
    # Placing the first synapses is loading, not training.
    store.tally.by_segment[:] = 0


def _place_chosen(store, g, n_pre, n_positions, key):
    segment, slots = store.plan.segments[g], store.slots
    chosen = np.empty(segment.n_active, np.int64)
    _choose_dense(chosen, n_positions, key + np.uint64(g))
    start = store.segments.slot_start[g]
    rows = slice(start, start + chosen.size)
    slots.pre[rows] = chosen % n_pre
    slots.post[rows] = segment.post_start + chosen // n_pre
    slots.active[rows] = 1
    slots.n_free[g] -= chosen.size
    recount(store)
