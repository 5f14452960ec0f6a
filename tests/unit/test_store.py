"""The synapse store: exact budgets, canonical form after many exchanges, and a check that can fail."""

import collections

import numba
import numpy as np
import pytest
from kernel_calls import call_of

from neurosim.kernels import order
from neurosim.kernels.membership import is_taken, remove_position
from neurosim.nn import Mlp
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore, layered_plan

SCOPES = ("core", "layer", "network")


def three_core_plan(scope="core", headroom=6, fan_in_limit=None):
    """(9, 6, 4) neurons; each matrix is cut over three cores in unequal parts."""
    matrices = (MatrixPlan(9, 6, 0, 9, fan_in_limit), MatrixPlan(6, 4, 9, 15, fan_in_limit))
    cuts = ((0, 1, 3, 6), (0, 1, 2, 4))
    segments = []
    for m, bounds in enumerate(cuts):
        for core, (a, b) in enumerate(zip(bounds, bounds[1:], strict=False)):
            n_positions = matrices[m].n_pre * (b - a)
            n_active = n_positions // 3
            segments.append(SegmentPlan(m, core, a, b, n_active, min(n_positions, n_active + headroom)))
    home = (-1,) * 9 + (0, 1, 1, 2, 2, 2) + (0, 1, 2, 2)
    return StorePlan(matrices, tuple(segments), scope, home, 3)


def check_by_recount(store):
    """Membership, counters and stacks against dictionaries filled slot by slot."""
    slots, segments, matrices, plan = store.slots, store.segments, store.matrices, store.plan
    holder, destinations = {}, set()
    fan_in, fan_out = collections.Counter(), collections.Counter()
    for g, segment in enumerate(plan.segments):
        free = []
        for slot in range(segments.slot_start[g], segments.slot_start[g + 1]):
            pre, post = int(slots.pre[slot]), int(slots.post[slot])
            if slots.active[slot] == 0:
                assert slots.weight[slot] == 0
                free.append(slot)
                continue
            assert slots.active[slot] == 1
            assert 0 <= pre < plan.matrices[segment.matrix].n_pre
            assert segment.post_start <= post < segment.post_stop
            assert (segment.matrix, pre, post) not in holder, "two slots hold one position"
            holder[segment.matrix, pre, post] = slot
            assert np.copysign(1.0, slots.weight[slot]) == store.sign(segment.matrix, pre, post)
            fan_in[segment.matrix, post] += 1
            fan_out[g, pre] += 1
            neuron = plan.matrices[segment.matrix].pre_neuron + pre
            if plan.home[neuron] not in (-1, segment.core):
                destinations.add((neuron, segment.core, segment.matrix))
        start = segments.slot_start[g]
        assert sorted(slots.free_slot[start : start + slots.n_free[g, 0]].tolist()) == free
    for m, matrix in enumerate(plan.matrices):
        for pre in range(matrix.n_pre):
            for post in range(matrix.n_post):
                assert is_taken(slots, matrices, m, pre, post) == ((m, pre, post) in holder)
        for post in range(matrix.n_post):
            assert slots.fan_in[matrices.fan_in_start[m] + post] == fan_in[m, post]
            assert matrix.fan_in_limit is None or fan_in[m, post] <= matrix.fan_in_limit
    for g, segment in enumerate(plan.segments):
        for pre in range(plan.matrices[segment.matrix].n_pre):
            assert slots.fan_out[segments.fan_out_start[g] + pre] == fan_out[g, pre]
    for neuron in range(plan.n_neurons):
        assert store.tally.n_destinations[neuron] == sum(n == neuron for n, _, _ in destinations)
    assert store.violations() == []
    return holder


def active_by_scope(store):
    starts = store.plan.scope_start
    counts = store.n_active_by_segment
    return tuple(int(counts[a:b].sum()) for a, b in zip(starts, starts[1:], strict=False))


def exchange(store, rng, share=0.3):
    """Release a random part of the synapses (some, none or all) and fill again; returns how many."""
    active = np.flatnonzero(store.slots.active)
    leaving = active[rng.random(active.size) < rng.choice([0.0, share, 1.0], p=[0.05, 0.9, 0.05])]
    store.release(leaving)
    assert store.n_active == active.size - leaving.size
    assert store.fill(int(rng.integers(2**63))) == 0
    return leaving.size


# initial draw


@pytest.mark.parametrize("seed", [0, 1, 2**40])
@pytest.mark.parametrize("n_active", [(1, 1), (30, 20), (74, 37), (75, 38), (299, 149), (300, 150), (0, 0)])
@pytest.mark.parametrize("scope", SCOPES)
def test_initial_draw_is_exact_and_canonical(scope, n_active, seed):
    store = SynapseStore.random(layered_plan((20, 15, 10), n_active, scope=scope, headroom=0.2), seed)
    assert tuple(store.n_active_by_segment) == n_active
    assert active_by_scope(store) == store.plan.n_wanted
    check_by_recount(store)
    assert np.all(store.tally.by_segment == 0)


def test_initial_draw_follows_the_seed():
    plan = layered_plan((50, 40), (200,))
    positions = [set(zip(*SynapseStore.random(plan, seed).connections(0)[:2], strict=True)) for seed in (7, 7, 8)]
    assert positions[0] == positions[1]
    assert 1 <= len(positions[0] & positions[2]) < 60


def test_initial_strengths_are_half_normal():
    """theta = abs(N(0, 1)) / sqrt(n_pre): mean sqrt(2 / pi), mean square 1, n = 40,000, 5 sigma."""
    store = SynapseStore.random(layered_plan((400, 500), (40_000,)), 3)
    theta = store.theta.astype(np.float64) * np.sqrt(400)
    n = theta.size
    assert abs(theta.mean() - np.sqrt(2 / np.pi)) < 5 * np.sqrt((1 - 2 / np.pi) / n)
    assert abs((theta**2).mean() - 1) < 5 * np.sqrt(2 / n)
    np.testing.assert_array_equal(np.abs(store.slots.weight), store.theta)


@pytest.mark.parametrize("n_active", [30, 29, 12])
def test_initial_draw_with_a_binding_fan_in_limit(n_active):
    """10 columns of at most 3: with 30 synapses every column is full."""
    store = SynapseStore.random(layered_plan((20, 10), (n_active,), fan_in_limit=3), 5)
    assert store.n_active == n_active
    check_by_recount(store)
    assert store.slots.fan_in.max() == 3
    if n_active == 30:
        assert np.all(store.slots.fan_in == 3)


def test_more_synapses_than_the_fan_in_limits_allow():
    """31 synapses in 10 columns of at most 3: one slot stays free, and every fill says so."""
    store = SynapseStore.random(layered_plan((20, 10), (31,), fan_in_limit=3), 5)
    assert store.n_active == 30
    assert store.fill(1) == 1
    check_by_recount(store)


# exchanges


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize(
    ("layers", "n_active"),
    [((20, 15, 10), (60, 30)), ((20, 15, 10), (299, 149)), ((12, 9, 6), (105, 50)), ((1, 40, 1), (10, 20)), ((40, 1, 7), (39, 7))],
)
def test_thousands_of_exchanges_keep_the_budget(scope, layers, n_active):
    store = SynapseStore.random(layered_plan(layers, n_active, scope=scope, headroom=0.3), 1)
    rng = np.random.default_rng(2)
    wanted, n_exchanged = store.plan.n_wanted, 0
    while n_exchanged < 3000:
        n_exchanged += exchange(store, rng)
        assert active_by_scope(store) == wanted
        if rng.random() < 0.1:
            check_by_recount(store)
        if rng.random() < 0.1:
            store.sort()
    check_by_recount(store)


@pytest.mark.parametrize("scope", SCOPES)
def test_exchanges_over_three_cores(scope):
    store = SynapseStore.random(three_core_plan(scope), 4)
    rng = np.random.default_rng(3)
    n_exchanged, seen = 0, set()
    while n_exchanged < 3000:
        n_exchanged += exchange(store, rng)
        assert active_by_scope(store) == store.plan.n_wanted
        check_by_recount(store)
        seen.add(tuple(store.n_active_by_segment.tolist()))
    # In a core the count of a segment is fixed; in wider scopes it must have moved.
    assert len(seen) == 1 if scope == "core" else len(seen) > 50


@pytest.mark.parametrize("scope", SCOPES)
def test_exchanges_with_a_fan_in_limit(scope):
    store = SynapseStore.random(three_core_plan(scope, fan_in_limit=4), 4)
    rng = np.random.default_rng(3)
    n_exchanged, n_at_limit = 0, 0
    while n_exchanged < 3000:
        n_exchanged += exchange(store, rng)
        assert active_by_scope(store) == store.plan.n_wanted
        check_by_recount(store)
        n_at_limit += int((store.slots.fan_in == 4).sum())
    assert n_at_limit > 100


@pytest.mark.parametrize("scope", SCOPES)
@pytest.mark.parametrize("layers", [(12, 8), (1, 60), (60, 1), (1, 1)])
@pytest.mark.parametrize("n_missing", [0, 1])
def test_full_and_nearly_full_matrices(scope, layers, n_missing):
    """With K = N a synapse that leaves can only come back to its own position."""
    n = layers[0] * layers[1]
    store = SynapseStore.random(layered_plan(layers, (n - n_missing,), scope=scope), 9)
    rng = np.random.default_rng(1)
    for _ in range(200):
        exchange(store, rng)
        assert store.n_active == n - n_missing
        check_by_recount(store)


def test_single_exchanges_with_one_free_position():
    """K = N - 1: one of two positions is open each time, and both are taken at times."""
    store = SynapseStore.random(layered_plan((6, 4), (23,)), 9)
    rng, returned = np.random.default_rng(1), 0
    for i in range(400):
        slot = int(rng.integers(store.n_slots))
        old = store.slots.pre[slot], store.slots.post[slot]
        store.release([slot])
        store.fill(i)
        returned += (store.slots.pre[slot], store.slots.post[slot]) == old
    check_by_recount(store)
    # 400 fair coins, 5 sigma.
    assert abs(returned - 200) < 5 * np.sqrt(400) / 2


def test_equal_keys_give_equal_draws():
    stores = [SynapseStore.random(layered_plan((30, 20), (100,)), 1) for _ in range(3)]
    for store, key in zip(stores, (5, 5, 6), strict=True):
        store.release(range(0, 100, 2))
        store.fill(key)
    a, b, c = (set(zip(*s.connections(0)[:2], strict=True)) for s in stores)
    assert a == b and len(a - c) > 30


def test_arrivals_start_clean():
    """Strength as asked, sign of the position (also of a zero), no gradient of the synapse that left."""
    store = SynapseStore.random(layered_plan((30, 20), (100,)), 1)
    for theta in (0.0, 0.25):
        store.slots.gradient[:] = 3.0
        before = set(zip(*store.connections(0)[:2], strict=True))
        store.release(range(0, 100, 2))
        assert np.all(store.slots.weight[::2] == 0)
        store.fill(17 + int(theta * 4), theta)
        arrived = np.arange(0, 100, 2)
        assert np.all(store.theta[arrived] == np.float32(theta))
        assert np.all(store.slots.gradient[arrived] == 0)
        signs = np.copysign(1.0, store.slots.weight[arrived])
        want = [store.sign(0, p, q) for p, q in zip(store.slots.pre[arrived], store.slots.post[arrived], strict=True)]
        np.testing.assert_array_equal(signs, want)
        assert 10 < (signs > 0).sum() < 40
        assert len(set(zip(*store.connections(0)[:2], strict=True)) - before) > 20


# order


@pytest.mark.parametrize("scope", SCOPES)
def test_sort_keeps_every_synapse(scope):
    store = SynapseStore.random(three_core_plan(scope), 4)
    rng = np.random.default_rng(8)
    n_unsorted = 0
    for i in range(50):
        exchange(store, rng)
        if i % 2:
            active = np.flatnonzero(store.slots.active)
            store.release(rng.choice(active, active.size // 2, replace=False))
        before = [set(zip(*store.connections(m), strict=True)) for m in (0, 1)]
        n_free = store.slots.n_free[:, 0].copy()
        n_unsorted += np.any(np.diff(store.slots.post) < 0)
        store.sort()
        assert [set(zip(*store.connections(m), strict=True)) for m in (0, 1)] == before
        np.testing.assert_array_equal(store.slots.n_free[:, 0], n_free)
        check_by_recount(store)
        for g in range(len(store.plan.segments)):
            start, stop = store.segments.slot_start[g : g + 2]
            n = stop - start - n_free[g]
            assert np.all(np.diff(store.slots.post[start : start + n]) >= 0)
            assert np.all(store.slots.active[start + n : stop] == 0)
            if n_free[g]:
                top = store.slots.free_slot[start + n_free[g] - 1]
                assert top == start + n, "the lowest free slot is used first"
        assert np.all(store.slots.disorder == 0)
        store.fill(i)
    assert n_unsorted > 10


def test_stores_of_one_matrix_and_of_several_share_their_kernels():
    """Kernels are compiled for types, and whether an array is contiguous is a part of its type."""
    one, several = (SynapseStore.random(layered_plan(layers, [5] * (len(layers) - 1)), 0) for layers in ([6, 4], [6, 5, 4]))
    for part in ("slots", "segments", "matrices", "tally"):
        assert numba.typeof(getattr(one, part)) == numba.typeof(getattr(several, part)), part


def test_sort_by_strips_of_many_inputs():
    """3000 inputs are cut into strips of at least 512 rows; within a strip slots are sorted by post neuron."""
    store = SynapseStore.random(layered_plan((3000, 40, 700), (9000, 4000), headroom=0.1), 5)
    store.release(np.flatnonzero(store.slots.active)[::7])
    before = [set(zip(*store.connections(m), strict=True)) for m in (0, 1)]
    store.sort()
    assert [set(zip(*store.connections(m), strict=True)) for m in (0, 1)] == before
    check_by_recount(store)
    for m, n_strips in ((0, 5), (1, 1)):
        assert order.count_strips(store.matrices, m) == n_strips
        pre, post, _ = (a.astype(np.int64) for a in store.connections(m))
        strip = pre * n_strips // store.plan.matrices[m].n_pre
        assert np.unique(strip).size == n_strips
        assert np.all(np.diff(strip * 700 + post) >= 0)
        start, stop = store.segments.slot_start[m : m + 2]
        n_free = store.slots.n_free[m, 0]
        assert n_free > 0 and np.all(store.slots.active[stop - n_free : stop] == 0)


def test_large_sparse_matrices_are_scattered():
    """Five slots a post neuron lie in 10,000 of 100,000 rows at 50 inputs each, in 500 at 1 %."""
    assert order.is_scattered(100_000, 100_000, 5_000_000)
    assert not order.is_scattered(100_000, 100_000, 100_000_000)
    assert not order.is_scattered(10_000, 10_000, 500_000)
    plan = layered_plan((100_000, 100_000, 10), (5000, 100))
    store = SynapseStore.random(plan, 0)
    assert Mlp(store, 128).n_lanes == 32
    assert np.all(np.diff(store.slots.pre[:5000] // (100_000 // order.count_strips(store.matrices, 0))) >= 0)


# signs


def test_signs_are_constant_and_balanced():
    """100 x 100 positions of two matrices and two seeds: 5 sigma of n = 10,000 fair coins."""
    plan = layered_plan((100, 100, 100), (50, 50))
    store, again, other = (SynapseStore.random(plan, seed) for seed in (1, 1, 2))
    signs = [np.array([[s.sign(m, p, q) for q in range(100)] for p in range(100)]) for s, m in ((store, 0), (store, 1), (other, 0))]
    assert set(np.unique(signs)) == {-1.0, 1.0}
    for a in signs:
        assert abs(a.sum()) < 5 * np.sqrt(a.size)
        # Also row by row, column by column, and between neighbours.
        assert np.abs(a.sum(0)).max() < 5 * 10 and np.abs(a.sum(1)).max() < 5 * 10
        assert abs((a[1:] * a[:-1]).sum()) < 5 * np.sqrt(9900) and abs((a[:, 1:] * a[:, :-1]).sum()) < 5 * np.sqrt(9900)
    for a, b in ((0, 1), (0, 2)):
        assert abs((signs[a] * signs[b]).sum()) < 5 * 100
    exchange(store, np.random.default_rng(0))
    assert all(store.sign(0, p, q) == again.sign(0, p, q) == signs[0][p, q] for p in range(100) for q in range(0, 100, 7))


def test_sign_does_not_depend_on_the_slot():
    """The same positions come back after exchanges in other slots, with the same sign."""
    store = SynapseStore.random(layered_plan((6, 5), (15,)), 3)
    rng, seen = np.random.default_rng(0), {}
    slots_of = collections.defaultdict(set)
    for _ in range(300):
        exchange(store, rng)
        for k in range(15):
            position = int(store.slots.pre[k]), int(store.slots.post[k])
            sign = float(np.copysign(1.0, store.slots.weight[k]))
            assert seen.setdefault(position, sign) == sign
            slots_of[position].add(k)
    assert len(seen) == 30 and all(len(s) > 5 for s in slots_of.values())


# state


@pytest.mark.parametrize("scope", SCOPES)
def test_state_round_trip(scope):
    """A restored store goes on exactly as the one it was taken from."""
    store = SynapseStore.random(three_core_plan(scope), 4)
    rng = np.random.default_rng(8)
    for _ in range(20):
        exchange(store, rng)
    store.release(np.flatnonzero(store.slots.active)[::3])
    state = {name: array.copy() for name, array in store.state().items()}
    other = SynapseStore.random(store.plan, 4)
    assert set(zip(*other.connections(0), strict=True)) != set(zip(*store.connections(0), strict=True))
    other.restore(state)
    check_by_recount(other)
    for i in range(20):
        for s in (store, other):
            s.fill(1000 + i)
            s.release(np.flatnonzero(s.slots.active)[i % 3 :: 3])
    for name, array in store.state().items():
        np.testing.assert_array_equal(array, other.state()[name], err_msg=name)
        assert array.dtype == other.state()[name].dtype
    np.testing.assert_array_equal(store.slots.weight.view(np.uint32), other.slots.weight.view(np.uint32))
    check_by_recount(other)


def test_views():
    """`dense`, `connections` and `n_active` say the same."""
    store = SynapseStore.random(layered_plan((20, 15, 10), (60, 30), headroom=0.2), 4)
    for m in (0, 1):
        pre, post, weight = store.connections(m)
        dense = store.dense(m)
        assert np.count_nonzero(dense) == pre.size == (60, 30)[m]
        np.testing.assert_array_equal(dense[pre, post], weight)
    assert store.n_active == 90 and store.n_slots == 108


def test_memory_does_not_grow_with_the_matrix():
    """A million by a million positions with 100 synapses: arrays of slots and of neurons only."""
    n = 1_000_000
    store = SynapseStore.random(layered_plan((n, n), (100,)), 1)
    arrays = (*store.slots, *store.segments, *store.matrices, *store.tally)
    assert max(np.size(a) for a in arrays) <= 2 * n
    assert store.n_active == 100 and store.violations() == []
    assert store.slots.pre.max() > n // 2 and store.slots.post.max() > n // 2
    store.release(range(50))
    assert store.fill(3) == 0 and store.n_active == 100 and store.violations() == []


# violations() finds what is wrong


def _duplicate(s):
    s.slots.pre[1], s.slots.post[1] = s.slots.pre[0], s.slots.post[0]


def _free_count(s):
    s.slots.n_free[2, 0] -= 1


def _stack(s):
    s.slots.free_slot[s.segments.slot_start[1]] = s.segments.slot_start[1]


def _sign(s):
    s.slots.weight[1] = -s.slots.weight[1]


def _sign_of_zero(s):
    s.slots.weight[1] = -np.copysign(np.float32(0), s.slots.weight[1])


def _table_entry_lost(s):
    call_of(remove_position)(s.slots, s.matrices, 0, s.slots.pre[2], s.slots.post[2])


def _table_entry_left_over(s):
    s.slots.table[np.flatnonzero(s.slots.table < 0)[0]] = 0


def _set(name, slot, value):
    def inject(s):
        getattr(s.slots, name)[slot] = value

    return inject


def _free_slot_with_weight(s):
    s.slots.weight[np.flatnonzero(s.slots.active == 0)[0]] = 0.5


def _destinations(s):
    s.tally.n_destinations[10] += 1


def _more_than_promised(s):
    s.segments.n_wanted[0] -= 1


def _fan_in_limit(s):
    object.__setattr__(s.plan.matrices[0], "fan_in_limit", int(s.slots.fan_in[:6].max()) - 1)


FAULTS = {
    "position held twice": (_duplicate, "held twice"),
    "free slots miscounted": (_free_count, "free slots counted"),
    "stack lists an active slot": (_stack, "stack of free slots"),
    "wrong sign": (_sign, "sign differs"),
    "wrong sign of a zero": (_sign_of_zero, "sign differs"),
    "table entry lost": (_table_entry_lost, "not found under its position"),
    "table entry lost, counted": (_table_entry_lost, "membership table holds"),
    "table entry left over": (_table_entry_left_over, "membership table holds"),
    "pre negative": (_set("pre", 0, -1), "pre index out of range"),
    "pre beyond its layer": (_set("pre", 0, 9), "pre index out of range"),
    "pre far beyond its layer": (_set("pre", 0, 10**6), "pre index out of range"),
    "post of the next core": (_set("post", 0, 1), "outside the core's neurons"),
    "post beyond its layer": (_set("post", -7, 4), "outside the core's neurons"),
    "post far beyond its layer": (_set("post", 0, 10**6), "outside the core's neurons"),
    "post negative": (_set("post", 0, -1), "outside the core's neurons"),
    "free slot with weight": (_free_slot_with_weight, "free slot with a weight"),
    "weight not a number": (_set("weight", 2, np.nan), "weight not finite"),
    "weight infinite": (_set("weight", 2, np.inf), "weight not finite"),
    "flag of a slot that is being released": (_set("active", 2, 2), "active flags"),
    "slot switched off": (_set("active", 2, 0), "free slots counted"),
    "fan-in miscounted": (_set("fan_in", 3, 99), "fan_in differs"),
    "fan-out miscounted": (_set("fan_out", 3, 99), "fan_out differs"),
    "destinations miscounted": (_destinations, "n_destinations differs"),
    "more synapses than promised": (_more_than_promised, "promised"),
    "fan-in above its limit": (_fan_in_limit, "above its limit"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_violations_name_the_fault(name):
    inject, words = FAULTS[name]
    store = SynapseStore.random(three_core_plan(), 4)
    assert store.violations() == [] and np.any(store.slots.active == 0)
    inject(store)
    found = store.violations()
    assert any(words in line for line in found), found
    assert all("\n" not in line for line in found)
