"""Initial connections: a uniformly drawn subset of the positions, and the strengths on it."""

import numpy as np

from neurosim.kernels.exchange import fill_scope
from neurosim.kernels.initial import choose_positions, occupy_positions, set_strengths
from neurosim.kernels.rounding import load_strengths
from neurosim.random import Stream, stream_key


def draw_connections(store):
    """Activate ``n_start`` uniformly drawn positions of every segment and set their strengths.

    Sparse segments use the same proposals as rewiring. Segments with a quarter of their positions or
    more (and no binding limit) use selection sampling, which reads every position once. Small segments come
    first where the segments of a core share limits, so that a large one leaves them their room. What finds no place
    is noted in ``store.n_unplaced``.
    """
    n_unplaced = _draw(store)
    segments = store.segments
    set_strengths(store.slots, segments, store.matrices, np.uint64(stream_key(store.seed, Stream.INITIAL_THETA)))
    load_strengths(store.slots, store.matrices, np.uint64(stream_key(store.seed, Stream.INITIAL_ROUNDING)))
    _begin(store, n_unplaced)


def fill_up(store):
    """Draw what is missing of the ``n_start`` positions of every segment, with weight 0; returns how many came.

    For a store that has some connections already. What finds no place is noted in ``store.n_unplaced``.
    """
    before = store.n_active
    n_unplaced = _draw(store)
    _begin(store, n_unplaced)
    return store.n_active - before


def _begin(store, n_unplaced):
    store.n_unplaced, store.unplaced_by = int(n_unplaced), store.unfilled_by
    # Placing the first synapses is loading, not training.
    store.tally.by_segment[:] = 0
    store.tally.unfilled_by[:] = 0
    store.slots.disorder[:] = 0


def _draw(store):
    """Activate drawn positions; returns how many found no place."""
    plan, segments = store.plan, store.segments
    key = stream_key(store.seed, Stream.INITIAL_POSITION)
    # Initial draws are per segment, whatever the scope of rewiring is.
    per_segment = segments._replace(
        n_wanted=np.array(plan.n_start, np.int64),
        scope_start=np.arange(len(plan.segments) + 1, dtype=np.int64),
    )
    order = range(len(plan.segments))
    if segments.is_limited:
        order = sorted(order, key=lambda g: plan.segments[g].n_active)
    n_unplaced = 0
    for g in order:
        segment, n_start = plan.segments[g], plan.n_start[g]
        n_pre = plan.matrices[segment.matrix].n_pre
        limit = plan.matrices[segment.matrix].fan_in_limit
        n_positions = int(segments.n_possible[g])
        if not store.n_active_by_segment[g] and 4 * n_start >= n_positions and (limit is None or limit >= n_pre) and not segments.is_limited:
            chosen = np.empty(n_start, np.int64)
            choose_positions(chosen, int(segments.n_possible[g]), np.uint64(key) + np.uint64(g))
            if plan.matrices[segment.matrix].skips_self:
                chosen = _without_own(segment, n_pre)[chosen]
            occupy_positions(store.slots, segments, store.matrices, store.tally, g, chosen)
        else:
            n_unplaced += fill_scope(store.slots, per_segment, store.matrices, store.tally, g, n_start, np.uint64(key), np.float32(0.0), True)
    return n_unplaced


def _without_own(segment, n_pre):
    """Positions of a segment, in the order of `occupy_positions`, without those of neurons to themselves: int64 array."""
    n_posts = segment.post_stop - segment.post_start
    positions = np.arange(n_pre * n_posts, dtype=np.int64)
    return positions[positions // n_posts != positions % n_posts + segment.post_start]
