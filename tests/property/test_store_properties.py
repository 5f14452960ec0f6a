"""Any plan, any sequence of exchanges: the store stays canonical and keeps its budget."""

import numpy as np
from hypothesis import event, given, settings
from hypothesis import strategies as st

from neurosim.kernels.membership import is_taken
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore


@st.composite
def plans(draw):
    """Up to three matrices of up to 9 x 9, each over up to three cores, with and without fan-in limits.

    The initial counts respect the limits, so every scope can always be filled.
    """
    layers = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    n_cores = draw(st.integers(1, 3))
    matrices, segments, home = [], [], [-1] * layers[0]
    for m, (n_pre, n_post) in enumerate(zip(layers, layers[1:], strict=False)):
        limit = draw(st.none() | st.integers(1, n_pre))
        matrices.append(MatrixPlan(n_pre, n_post, sum(layers[:m]), sum(layers[: m + 1]), limit))
        cuts = sorted({0, n_post, *draw(st.lists(st.integers(0, n_post), max_size=n_cores - 1))})
        for core, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False)):
            n_positions = n_pre * (b - a)
            n_active = draw(st.integers(0, min(n_positions, (limit or n_pre) * (b - a))))
            segments.append(SegmentPlan(m, core, a, b, n_active, min(n_positions, n_active + draw(st.integers(0, 5)))))
            home += [core] * (b - a)
    scope = draw(st.sampled_from(["core", "layer", "network"]))
    return StorePlan(tuple(matrices), tuple(segments), scope, tuple(home), n_cores)


def members(store):
    """{(matrix, pre, post): slot} of the active slots, read slot by slot; no position twice."""
    found = {}
    for g, segment in enumerate(store.plan.segments):
        for slot in range(store.segments.slot_start[g], store.segments.slot_start[g + 1]):
            if store.slots.active[slot]:
                position = (segment.matrix, int(store.slots.pre[slot]), int(store.slots.post[slot]))
                assert position not in found
                found[position] = slot
    return found


def check(store):
    assert store.violations() == []
    found = members(store)
    assert len(found) == store.n_active
    for m, matrix in enumerate(store.plan.matrices):
        for pre in range(matrix.n_pre):
            for post in range(matrix.n_post):
                assert is_taken(store.slots, store.matrices, m, pre, post) == ((m, pre, post) in found)
        columns = [post for (matrix_of, _, post) in found if matrix_of == m]
        counts = np.bincount(columns, minlength=matrix.n_post)
        assert matrix.fan_in_limit is None or counts.max() <= matrix.fan_in_limit
    assert np.all(store.slots.weight[store.slots.active == 0] == 0)
    return found


def check_full(store):
    starts = store.plan.scope_start
    counts = store.n_active_by_segment
    assert tuple(int(counts[a:b].sum()) for a, b in zip(starts, starts[1:], strict=False)) == store.plan.n_wanted


OPERATIONS = st.lists(st.tuples(st.sampled_from(["exchange", "release", "sort", "restore"]), st.integers(0, 2**64 - 1)), max_size=8)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(plan=plans(), seed=st.integers(0, 2**32), operations=OPERATIONS)
def test_any_sequence_keeps_the_canonical_form(plan, seed, operations):
    store = SynapseStore.random(plan, seed)
    assert tuple(store.n_active_by_segment) == tuple(s.n_active for s in plan.segments)
    check(store)
    for name, number in operations:
        rng = np.random.default_rng(number)
        before = {p: store.slots.weight[k].view(np.uint32) for p, k in check(store).items()}
        if name in ("exchange", "release"):
            active = np.flatnonzero(store.slots.active)
            leaving = rng.permutation(active)[: rng.integers(active.size + 1)]
            store.release(leaving)
            assert len(check(store)) == active.size - leaving.size
            if leaving.size:
                event("released")
        if name == "exchange":
            assert store.fill(number) == 0
            check_full(store)
        elif name == "sort":
            store.sort()
        elif name == "restore":
            state = {k: v.copy() for k, v in store.state().items()}
            store = SynapseStore(plan, seed)
            store.restore(state)
        after = {p: store.slots.weight[k].view(np.uint32) for p, k in check(store).items()}
        if name in ("sort", "restore"):
            assert after == before
        if name == "release":
            assert after.items() <= before.items()
    assert store.fill(1) == 0
    check_full(store)
    check(store)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(plan=plans(), seed=st.integers(0, 2**32), number=st.integers(0, 2**32))
def test_what_stays_is_not_touched(plan, seed, number):
    """An exchange changes the slots that left, and no others, bit by bit."""
    store = SynapseStore.random(plan, seed)
    rng = np.random.default_rng(number)
    active = np.flatnonzero(store.slots.active)
    leaving = rng.permutation(active)[: rng.integers(active.size + 1)]
    staying = np.setdiff1d(active, leaving)
    before = [a[staying].tobytes() for a in (store.slots.pre, store.slots.post, store.slots.weight)]
    store.release(leaving)
    store.fill(number, 0.5)
    assert before == [a[staying].tobytes() for a in (store.slots.pre, store.slots.post, store.slots.weight)]
    arrived = np.setdiff1d(np.flatnonzero(store.slots.active), staying)
    assert arrived.size == leaving.size
    assert np.all(np.abs(store.slots.weight[arrived]) == np.float32(0.5))
