"""Proposals are uniform over the free feasible positions; draws and counters equal a plain Python replay.

Every chi-squared test uses fixed seeds, 40 expected arrivals a position or more, and fails below p = 1e-4.
"""

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from neurosim.kernels.compile import kernel
from neurosim.kernels.exchange import MAX_PROPOSALS, fill_scope, release_slot
from neurosim.kernels.initial import choose_positions
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.random import fold
from neurosim.random import mix64
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore, layered_plan

P_LEAST = 1e-4
MASK64, GOLDEN = (1 << 64) - 1, 0x9E3779B97F4A7C15


@kernel
def draw_arrivals(slots, segments, matrices, tally, scope, n_wanted, key, out):
    """Fill, note the arrivals, release them; row of `out` (n, n_missing, 3): matrix, pre, post."""
    first, last = segments.scope_start[scope], segments.scope_start[scope + 1]
    n_free = slots.n_free[:, 0].copy()
    for i in range(out.shape[0]):
        missing = fill_scope(slots, segments, matrices, tally, scope, n_wanted, fold(key, i), np.float32(0.0), True)
        j = 0
        for segment in range(first, last):
            while slots.n_free[segment, 0] < n_free[segment]:
                slot = slots.free_slot[segments.slot_start[segment] + slots.n_free[segment, 0]]
                out[i, j, 0] = segments.matrix[segment]
                out[i, j, 1], out[i, j, 2] = slots.pre[slot], slots.post[slot]
                release_slot(slots, segments, matrices, tally, segment, slot)
                j += 1
        if missing > 0 or j != out.shape[1]:
            return i
    return out.shape[0]


def arrivals_of(store, n, scope=0, key=1):
    """Positions of n independent fills of the slots that are missing in a scope: int64 (n, missing, 3)."""
    starts = store.plan.scope_start
    missing = int(store.segments.n_wanted[scope] - store.n_active_by_segment[starts[scope] : starts[scope + 1]].sum())
    out = np.empty((n, missing, 3), np.int64)
    done = draw_arrivals(store.slots, store.segments, store.matrices, store.tally, scope, store.segments.n_wanted[scope], np.uint64(key), out)
    assert done == n
    assert store.violations() == []
    return out


def feasible_positions(store, scope=0):
    """All (matrix, pre, post) that a free slot of the scope may take, by looking at every position."""
    starts, found = store.plan.scope_start, []
    taken = {(m, int(p), int(q)) for m in range(len(store.plan.matrices)) for p, q in zip(*store.connections(m)[:2], strict=True)}
    for g in range(starts[scope], starts[scope + 1]):
        segment = store.plan.segments[g]
        matrix = store.plan.matrices[segment.matrix]
        if store.slots.n_free[g, 0] == 0:
            continue
        for post in range(segment.post_start, segment.post_stop):
            fan_in = sum(m == segment.matrix and q == post for m, _, q in taken)
            if matrix.fan_in_limit is not None and fan_in >= matrix.fan_in_limit:
                continue
            found += [(segment.matrix, pre, post) for pre in range(matrix.n_pre) if (segment.matrix, pre, post) not in taken]
    return found


def p_of_uniform(arrivals, feasible):
    """p of the chi-squared test that every feasible position is equally likely.

    With m arrivals drawn without replacement from F positions, an inclusion has variance
    n (m/F)(1 - m/F) and the counts are negatively correlated: the statistic is scaled to keep F - 1
    degrees of freedom.
    """
    n, m, _ = arrivals.shape
    index = {position: i for i, position in enumerate(feasible)}
    counts = np.zeros(len(feasible))
    for position, count in zip(*np.unique(arrivals.reshape(-1, 3), axis=0, return_counts=True), strict=True):
        counts[index[tuple(position.tolist())]] = count
    f = len(feasible)
    expected = n * m / f
    assert expected >= 40
    statistic = ((counts - expected) ** 2).sum() / (expected * (1 - m / f)) * (f - 1) / f
    return stats.chi2.sf(statistic, f - 1)


def store_with_missing(plan, n_missing, seed=1):
    store = SynapseStore.random(plan, seed)
    rng = np.random.default_rng(seed)
    store.release(rng.choice(np.flatnonzero(store.slots.active), n_missing, replace=False))
    return store


@pytest.mark.parametrize(
    ("layers", "n_active", "n_missing", "exact"),
    [
        ((20, 15), 30, 1, "never"),
        ((20, 15), 150, 1, "never"),
        ((20, 15), 150, 7, "never"),
        ((20, 15), 295, 1, "sometimes"),
        ((20, 15), 295, 3, "sometimes"),
        ((100, 90), 8996, 1, "mostly"),
        ((100, 90), 8996, 3, "mostly"),
        ((1, 300), 200, 1, "never"),
        ((300, 1), 200, 1, "never"),
    ],
)
def test_arrivals_are_uniform(layers, n_active, n_missing, exact):
    """Sparse, half full and nearly full matrices, one and several slots at once, n = 20,000 fills."""
    n = 20_000
    store = store_with_missing(layered_plan(layers, (n_active,)), n_missing)
    feasible = feasible_positions(store)
    assert len(feasible) == layers[0] * layers[1] - n_active + n_missing
    assert p_of_uniform(arrivals_of(store, n), feasible) > P_LEAST
    share = store.tally.by_segment[0, SegmentEvent.EXACT] / (n * n_missing)
    low, high = {"never": (0, 0), "sometimes": (0.02, 0.5), "mostly": (0.9, 1)}[exact]
    assert low <= share <= high
    # The first proposals are fair too: the share of exact draws is that of 64 misses in a row.
    if n_missing == 1:
        miss = (1 - len(feasible) / (layers[0] * layers[1])) ** MAX_PROPOSALS
        assert abs(share - miss) < 5 * math.sqrt(miss * (1 - miss) / n) + 1e-9


@pytest.mark.parametrize(("n_active", "exact"), [(50, False), (59, True)])
def test_arrivals_are_uniform_under_a_fan_in_limit(n_active, exact):
    """15 columns of at most 4: only free positions of columns with room, equally often."""
    store = store_with_missing(layered_plan((20, 15), (n_active,), fan_in_limit=4), 1)
    feasible = feasible_positions(store)
    assert len(feasible) < 300 - n_active
    assert len({post for _, _, post in feasible}) < 15
    assert p_of_uniform(arrivals_of(store, 20_000), feasible) > P_LEAST
    assert (store.tally.by_segment[0, SegmentEvent.EXACT] > 0) == exact


def two_core_plan(scope, n_active, n_slots, fan_in_limit=None):
    """One matrix of 12 x 10 over two cores with 3 and 7 columns."""
    matrix = MatrixPlan(12, 10, 0, 12, fan_in_limit)
    segments = tuple(SegmentPlan(0, core, a, b, k, s) for core, (a, b), k, s in zip((0, 1), ((0, 3), (3, 10)), n_active, n_slots, strict=True))
    return StorePlan((matrix,), segments, scope, (-1,) * 12 + (0,) * 3 + (1,) * 7, 2)


@pytest.mark.parametrize("fan_in_limit", [None, 9])
@pytest.mark.parametrize("n_active", [(10, 40), (33, 82), (35, 83)])
def test_arrivals_are_uniform_over_two_cores_of_a_layer(n_active, fan_in_limit):
    if fan_in_limit:
        n_active = (n_active[0] * 3 // 4, n_active[1] * 3 // 4)
    store = store_with_missing(two_core_plan("layer", n_active, (36, 84), fan_in_limit), 1)
    feasible = feasible_positions(store)
    arrivals = arrivals_of(store, 20_000)
    assert p_of_uniform(arrivals, feasible) > P_LEAST
    assert 0 < (arrivals[:, 0, 2] < 3).mean() < 1


def test_a_full_core_takes_no_arrival():
    """The first core has free positions but no free slot: all arrivals go to the second, uniformly."""
    store = SynapseStore.random(two_core_plan("layer", (10, 80), (10, 84)), 1)
    store.release([store.n_slots - 10])
    feasible = feasible_positions(store)
    assert len(feasible) == 5 and all(post >= 3 for _, _, post in feasible)
    arrivals = arrivals_of(store, 20_000)
    assert np.all(arrivals[:, 0, 2] >= 3)
    assert p_of_uniform(arrivals, feasible) > P_LEAST
    assert store.tally.by_segment[:, SegmentEvent.EXACT].tolist()[0] == 0 < store.tally.by_segment[1, SegmentEvent.EXACT]


@pytest.mark.parametrize("n_active", [(30, 20, 10), (298, 148, 38)])
def test_arrivals_are_uniform_over_the_matrices_of_a_network(n_active):
    """Not proportional to connectivity, as the authors' global script does, but to free positions."""
    store = store_with_missing(layered_plan((20, 15, 10, 4), n_active, scope="network", headroom=0.01 if n_active[0] > 100 else 0.5), 3)
    store.release(np.flatnonzero(store.slots.active)[-3:])
    feasible = feasible_positions(store)
    assert {m for m, _, _ in feasible} == {0, 1, 2}
    one_slot = store.segments._replace(n_wanted=np.array([store.n_active + 1]))
    store.segments = one_slot
    assert p_of_uniform(arrivals_of(store, 30_000), feasible) > P_LEAST


def slide_to_next_free(store, n, seed=0):
    """The defect of the authors' C program: a draw on a taken cell takes the next free cell."""
    n_pre, n_post = store.plan.matrices[0].n_pre, store.plan.matrices[0].n_post
    taken = np.zeros(n_pre * n_post, bool)
    pre, post, _ = store.connections(0)
    taken[pre * n_post + post] = True
    free = np.flatnonzero(~taken)
    draws = np.random.default_rng(seed).integers(0, taken.size, n)
    cell = free[np.searchsorted(free, draws) % free.size]
    return np.stack([np.zeros(n, np.int64), cell // n_post, cell % n_post], axis=1)[:, None, :]


@pytest.mark.parametrize("n_active", [30, 150, 290])
def test_sliding_to_the_next_free_cell_fails_the_same_test(n_active):
    store = store_with_missing(layered_plan((20, 15), (n_active,)), 1)
    feasible = feasible_positions(store)
    assert p_of_uniform(slide_to_next_free(store, 20_000), feasible) < 1e-10
    assert p_of_uniform(arrivals_of(store, 20_000), feasible) > P_LEAST


def test_arrivals_of_successive_keys_are_independent():
    """Pairs (arrival, next arrival) over 10 x 10 free positions, n = 20,000."""
    store = store_with_missing(layered_plan((8, 5), (31,)), 1)
    feasible = feasible_positions(store)
    assert len(feasible) == 10
    index = {p: i for i, p in enumerate(feasible)}
    sequence = np.array([index[tuple(a)] for a in arrivals_of(store, 20_001)[:, 0].tolist()])
    pairs = np.bincount(sequence[:-1] * 10 + sequence[1:], minlength=100)
    assert stats.chisquare(pairs).pvalue > P_LEAST


# initial draws


@pytest.mark.parametrize(("layers", "k"), [((2, 3), 3), ((3, 2), 2), ((1, 6), 1), ((3, 3), 2), ((4, 2), 7)])
def test_initial_subsets_are_uniform(layers, k):
    """All subsets of k positions equally often over 6000 seeds, by selection and by proposals."""
    n, positions = 6000, [(p, q) for p in range(layers[0]) for q in range(layers[1])]
    subsets = {frozenset(c): i for i, c in enumerate(combinations(positions, k))}
    counts = np.zeros(len(subsets))
    plan = layered_plan(layers, (k,))
    for seed in range(n):
        pre, post, _ = SynapseStore.random(plan, seed).connections(0)
        counts[subsets[frozenset(zip(pre.tolist(), post.tolist(), strict=True))]] += 1
    assert n / len(subsets) >= 40
    assert stats.chisquare(counts).pvalue > P_LEAST


def test_choose_positions_is_exact_and_ascending():
    for n_positions, n in ((1, 1), (10, 1), (10, 9), (10, 10), (5000, 1250), (5000, 4999), (5000, 0)):
        for key in range(20):
            out = np.full(n, -1, np.int64)
            choose_positions(out, n_positions, np.uint64(key))
            assert np.all(np.diff(out) > 0) and np.all((out >= 0) & (out < n_positions))


# a replay of the draws


def bits64(key, index):
    return mix64(mix64((key + index * GOLDEN) & MASK64) ^ key)


def replay_fill(store, scope, key, holder, fan_in, fan_out, n_free, booked):
    """`fill_scope` on dictionaries, for scopes that proposals can fill. Writes its arguments."""
    starts, segments = store.plan.scope_start, store.plan.segments
    here = range(starts[scope], starts[scope + 1])
    sizes = [store.plan.matrices[segments[g].matrix].n_pre * (segments[g].post_stop - segments[g].post_start) for g in here]
    missing = store.plan.n_wanted[scope] - sum(segments[g].n_slots - n_free[g] for g in here)
    scope_key, n_draws, arrived = mix64((key + scope * GOLDEN) & MASK64), 0, []
    while missing:
        position = bits64(scope_key, n_draws) % sum(sizes)
        n_draws += 1
        g = starts[scope]
        while position >= sizes[g - starts[scope]]:
            position -= sizes[g - starts[scope]]
            g += 1
        m = segments[g].matrix
        matrix = store.plan.matrices[m]
        pre, post = position % matrix.n_pre, segments[g].post_start + position // matrix.n_pre
        booked[g, "ROWS_CHECKED"] = booked.get((g, "ROWS_CHECKED"), 0) + fan_out.get((g, pre), 0)
        is_open = matrix.fan_in_limit is None or fan_in.get((m, post), 0) < matrix.fan_in_limit
        if (m, pre, post) in holder or not is_open or n_free[g] == 0:
            booked[g, "REJECTED"] = booked.get((g, "REJECTED"), 0) + 1
            continue
        booked[g, "ACCEPTED"] = booked.get((g, "ACCEPTED"), 0) + 1
        holder.add((m, pre, post))
        fan_in[m, post] = fan_in.get((m, post), 0) + 1
        fan_out[g, pre] = fan_out.get((g, pre), 0) + 1
        n_free[g] -= 1
        missing -= 1
        arrived.append((m, pre, post))
    return arrived


@pytest.mark.parametrize("fan_in_limit", [None, 6])
@pytest.mark.parametrize("scope", ["core", "layer", "network"])
def test_fill_equals_a_replay_on_dictionaries(scope, fan_in_limit):
    """Same arrivals and the same integers for accepted, rejected and checked rows, over 200 fills."""
    matrices = (MatrixPlan(12, 10, 0, 12, fan_in_limit), MatrixPlan(10, 6, 12, 22, fan_in_limit))
    segments = (
        SegmentPlan(0, 0, 0, 3, 10, 14), SegmentPlan(0, 1, 3, 10, 25, 40), SegmentPlan(1, 0, 0, 4, 14, 18), SegmentPlan(1, 1, 4, 6, 7, 9),
    )  # fmt: skip
    plan = StorePlan(matrices, segments, scope, (-1,) * 12 + (0,) * 3 + (1,) * 7 + (0,) * 4 + (1,) * 2, 2)
    store = SynapseStore.random(plan, 6)
    holder, fan_in, fan_out, booked, n_released = set(), {}, {}, {}, np.zeros(4, np.int64)
    slot_start = store.segments.slot_start

    def positions():
        for g, segment in enumerate(segments):
            for k in range(slot_start[g], slot_start[g + 1]):
                if store.slots.active[k]:
                    yield k, g, segment.matrix, int(store.slots.pre[k]), int(store.slots.post[k])

    for _, g, m, p, q in positions():
        holder.add((m, p, q))
        fan_in[m, q] = fan_in.get((m, q), 0) + 1
        fan_out[g, p] = fan_out.get((g, p), 0) + 1
    rng = np.random.default_rng(0)
    for i in range(200):
        leaving = [row for row in positions() if rng.random() < 0.2]
        store.release([row[0] for row in leaving])
        for _, g, m, p, q in leaving:
            holder.remove((m, p, q))
            fan_in[m, q] -= 1
            fan_out[g, p] -= 1
            n_released[g] += 1
        n_free = store.slots.n_free[:, 0].tolist()
        key = mix64(1000 + i)
        assert store.fill(key) == 0
        for s in range(len(plan.n_wanted)):
            replay_fill(store, s, key, holder, fan_in, fan_out, n_free, booked)
        assert {(m, p, q) for _, _, m, p, q in positions()} == holder
        assert n_free == store.slots.n_free[:, 0].tolist()
    tally = store.tally.by_segment
    for name in ("ACCEPTED", "REJECTED", "ROWS_CHECKED"):
        assert tally[:, SegmentEvent[name]].tolist() == [booked.get((g, name), 0) for g in range(4)]
    assert booked[0, "REJECTED"] > 100
    assert tally[:, SegmentEvent.EXACT].sum() == 0
    assert tally[:, SegmentEvent.RELEASED].tolist() == n_released.tolist()
    assert tally[:, SegmentEvent.ACCEPTED].sum() == n_released.sum() > 1000


def test_a_scope_that_cannot_be_filled_says_so():
    """Free slots, but every position of the scope is taken or in a full column."""
    store = SynapseStore.random(layered_plan((6, 5), (12,), fan_in_limit=2, headroom=0.5), 1)
    assert store.n_active == 10
    before = store.tally.by_segment[0].copy()
    for i in range(3):
        assert store.fill(i) == 2
    booked = store.tally.by_segment[0] - before
    assert booked[SegmentEvent.UNFILLED] == 6
    assert booked[SegmentEvent.REJECTED] == 3 * MAX_PROPOSALS
    assert booked[SegmentEvent.ACCEPTED] == booked[SegmentEvent.EXACT] == 0
    assert store.violations() == []
