"""Arrivals are uniform over the positions that every limit leaves, and a scope without one says which limits bind.

The oracle looks at every position, with its own count of axons and words; chi-squared tests as in test_kernels_exchange.
"""

from dataclasses import replace

import numpy as np
import pytest
from kernel_calls import call_of
from test_kernels_exchange import P_LEAST, arrivals_of, p_of_uniform

from neurosim.kernels.exchange import _rank_draw_by_rows, occupy
from neurosim.kernels.layout import Binding, Resource, SegmentEvent
from neurosim.synapses.recount import recount
from neurosim.synapses import CorePlan, MatrixPlan, SegmentPlan, StorePlan, SynapseStore

run_occupy, rank_draw_by_rows = call_of(occupy), call_of(_rank_draw_by_rows)

N = 20_000
PACKED = {"header_bits": 10, "block_synapses": 4, "word_bits": 64}


def words_of(n, bits):
    """Words of a list, block by block, with the numbers of `PACKED`."""
    return sum(-(-(min(4, n - i) * bits + 10) // 64) for i in range(0, n, 4))


def chip(scope="core", fan_in=None, n_active=(30, 12, 14, 6), room=4, **limits):
    """Two matrices 12-10-6 on two cores; `room` free slots in each segment."""
    matrices = (MatrixPlan(12, 10, 0, 12, fan_in), MatrixPlan(10, 6, 12, 22, fan_in))
    bounds = ((0, 0, 0, 5), (0, 1, 5, 10), (1, 0, 0, 3), (1, 1, 3, 6))
    segments = tuple(SegmentPlan(*b, k, k + room) for b, k in zip(bounds, n_active, strict=True))
    home = (-1,) * 12 + (0,) * 5 + (1,) * 5 + (0,) * 3 + (1,) * 3
    return StorePlan(matrices, segments, scope, home, 2, limits=CorePlan(**limits))


def rows_of(store):
    """Synapses of each row: dict of (segment, pre) to their post neurons, from the slots alone."""
    rows = {}
    for g in range(len(store.plan.segments)):
        for k in range(store.segments.slot_start[g], store.segments.slot_start[g + 1]):
            if store.slots.active[k]:
                rows.setdefault((g, int(store.slots.pre[k])), set()).add(int(store.slots.post[k]))
    return rows


def used_by(store, rows):
    """(in-axons, out-axons, words, routing entries by chip, most targets of a neuron) per core, from the rows."""
    plan = store.plan
    use = np.zeros((5, plan.n_cores), np.int64)
    routed, reached = set(), {}
    for (g, pre), posts in rows.items():
        segment = plan.segments[g]
        home = plan.home[plan.matrices[segment.matrix].pre_neuron + pre]
        use[0, segment.core] += 1
        if home not in (-1, segment.core):
            use[1, home] += 1
        if plan.limits.word_bits:
            use[2, segment.core] += words_of(len(posts), plan.limits.synapse_bits[segment.core])
        if home not in (-1, segment.core) and plan.limits.routing_entries:
            chip = plan.limits.chip
            routed |= {(segment.matrix, pre, chip[home]), (segment.matrix, pre, chip[segment.core])}
        if home >= 0 and plan.limits.targets:
            reached.setdefault((home, segment.matrix, pre), set()).add(plan.limits.target_place[segment.core])
    for *_, chip in routed:
        use[3, chip] += 1
    for (home, *_), places in reached.items():
        use[4, home] = max(use[4, home], len(places))
    return use


def feasible_positions(store, scope):
    """Every (matrix, pre, post) of a scope that one more synapse may take: tried one by one."""
    plan, rows, found = store.plan, rows_of(store), []
    names = ("in_axons", "out_axons", "words", "routing_entries", "targets")
    most = [getattr(plan.limits, name) or (10**9,) * plan.n_cores for name in names]
    for g in range(plan.scope_start[scope], plan.scope_start[scope + 1]):
        segment, matrix = plan.segments[g], plan.matrices[plan.segments[g].matrix]
        if sum(len(posts) for (h, _), posts in rows.items() if h == g) >= segment.n_slots:
            continue
        for pre in range(matrix.n_pre):
            for post in range(segment.post_start, segment.post_stop):
                fan_in = sum(post in posts for (h, _), posts in rows.items() if h == g)
                if post in rows.get((g, pre), ()) or (matrix.fan_in_limit and fan_in >= matrix.fan_in_limit):
                    continue
                more = {**rows, (g, pre): rows.get((g, pre), set()) | {post}}
                if (used_by(store, more) <= np.array(most)).all():
                    found.append((segment.matrix, pre, post))
    return found


#: Room above what the first draw uses, per limit; the scope that is filled, and the plan.
CASES = {
    "in-axons bind": ({"in_axons": 0}, 0, {"n_active": (9, 9, 14, 6)}),
    "out-axons bind": ({"out_axons": 0}, 3, {"n_active": (30, 12, 4, 6)}),
    "words bind": ({"words": 0}, 0, {"n_active": (26, 12, 14, 6)}),
    "words and fan-in": ({"words": 0}, 0, {"fan_in": 5, "n_active": (19, 12, 14, 6)}),
    "axons and fan-in": ({"in_axons": 0}, 0, {"fan_in": 3, "n_active": (12, 9, 6, 6)}),
    "axons of both kinds and words": ({"in_axons": 0, "out_axons": 0, "words": 0}, 2, {"n_active": (26, 12, 12, 6)}),
    "axons, a layer's scope": ({"in_axons": 0}, 0, {"scope": "layer", "n_active": (12, 9, 6, 6)}),
    "words, the network's scope": ({"words": 0}, 0, {"scope": "network", "fan_in": 5, "n_active": (20, 12, 14, 6)}),
    "entries of one router": ({"routing_entries": 0}, 3, {"n_active": (30, 12, 4, 4)}),
    "entries of two routers, and fan-in": ({"routing_entries": 0}, 3, {"fan_in": 3, "n_active": (12, 9, 4, 5), "chip": (0, 1)}),
    "one target": ({"targets": 0}, 3, {"n_active": (30, 12, 6, 4), "target_place": (0, 1), "targets": (1, 1)}),
    "one target, a layer's scope": ({"targets": 0}, 1, {"scope": "layer", "n_active": (30, 12, 6, 4), "target_place": (0, 1), "targets": (1, 1)}),
    "entries, targets and words": (
        {"words": 2, "targets": 0, "routing_entries": 1}, 3, {"n_active": (20, 12, 5, 5), "target_place": (0, 1), "targets": (1, 1), "chip": (0, 1)},
    ),
}  # fmt: skip


LIMIT_ARRAYS = {"in_axons": "in_axon_limit", "out_axons": "out_axon_limit", "words": "word_limit", "routing_entries": "entry_limit"}


def without_row_limits(store):
    """The same slots under a plan whose cores have no limits."""
    other = SynapseStore(replace(store.plan, limits=CorePlan()), store.seed)
    other.restore(store.state())
    return other


def binding_store(name, seed=3):
    """A store of a case in which one slot of the scope waits, and limits of rows exclude free positions; and the scope."""
    slack, scope, more = CASES[name]
    generous = {limit: (10**6, 10**6) for limit in slack} | ({"synapse_bits": (21, 13), **PACKED} if "words" in slack else {})
    store = SynapseStore.random(chip(**(generous | {"chip": (0, 0)} | more)), seed)
    unlimited = len(feasible_positions(without_row_limits(store), scope))
    tight = {limit: (most, most) for limit, most in (("targets", 1),) if limit in slack}
    for limit, room in slack.items():
        if limit != "targets":  # they have their limit already, which is the same for every neuron
            array = getattr(store.segments, LIMIT_ARRAYS[limit])
            array[:] = getattr(store.slots, limit) + room
            tight[limit] = tuple(array.tolist())
    store.plan = replace(store.plan, limits=replace(store.plan.limits, **tight))
    store.segments = store.segments._replace(is_limited=True)
    recount(store)  # what was not limited was not counted
    store.tally.peak[:2] = np.maximum(store.tally.peak[:2], (store.slots.in_axons, store.slots.out_axons))
    assert store.violations() == []
    starts = store.segments.scope_start
    store.segments.n_wanted[scope] = int(store.n_active_by_segment[starts[scope] : starts[scope + 1]].sum()) + 1
    feasible = feasible_positions(store, scope)
    assert 1 < len(feasible) < unlimited, "the limits of rows must exclude something and leave something"
    return store, scope, feasible


@pytest.mark.parametrize("name", CASES)
def test_arrivals_are_uniform_over_the_positions_that_all_limits_leave(name):
    store, scope, feasible = binding_store(name)
    assert p_of_uniform(arrivals_of(store, N, scope), feasible) > P_LEAST


@pytest.mark.parametrize("name", CASES)
def test_exact_draws_are_uniform_too(name):
    """The draw after `MAX_PROPOSALS` rejections, called directly."""
    store, scope, feasible = binding_store(name)
    draws = [
        rank_draw_by_rows(store.slots, store.segments, store.matrices, store.tally, scope, bits)
        for bits in np.random.default_rng(1).integers(0, 2**64, N, dtype=np.uint64)
    ]
    arrivals = np.array([[(store.segments.matrix[segment], pre, post)] for segment, pre, post in draws])
    assert p_of_uniform(arrivals, feasible) > P_LEAST


@pytest.mark.parametrize("name", ["words bind", "words and fan-in"])
def test_a_row_first_and_then_a_column_is_not_uniform(name):
    """Control: a feasible row, then a feasible column of it, favours the positions of rows with few of them."""
    store, scope, feasible = binding_store(name)
    rows = {}
    for m, pre, post in feasible:
        rows.setdefault((m, pre), []).append(post)
    assert len({len(posts) for posts in rows.values()}) > 1
    rng, keys = np.random.default_rng(0), list(rows)
    draws = [keys[i] for i in rng.integers(0, len(keys), N)]
    arrivals = np.array([[(m, pre, rows[m, pre][rng.integers(len(rows[m, pre]))])] for m, pre in draws])
    assert p_of_uniform(arrivals, feasible) < 1e-10
    assert p_of_uniform(arrivals_of(store, N, scope), feasible) > P_LEAST


@pytest.mark.parametrize(
    ("limits", "more", "binding"),
    [
        ({"in_axons": (9, 9)}, {}, {Binding.IN_AXONS}),
        ({"out_axons": (0, 0)}, {"n_active": (30, 12, 14, 16)}, {Binding.OUT_AXONS}),
        ({"words": (8, 8), "synapse_bits": (21, 21), **PACKED}, {}, {Binding.WORDS}),
        ({}, {"fan_in": 4}, {Binding.FAN_IN}),
        ({"chip": (0, 0), "routing_entries": (3, 0)}, {"n_active": (30, 12, 14, 18)}, {Binding.ROUTING_ENTRIES}),
        ({"chip": (0, 1), "routing_entries": (9, 3)}, {"n_active": (30, 12, 14, 16)}, {Binding.ROUTING_ENTRIES}),
        ({"target_place": (0, 1), "targets": (1, 1)}, {"n_active": (30, 12, 14, 18)}, {Binding.TARGETS}),
    ],
)
def test_a_slot_without_a_position_stays_dormant_and_says_why(limits, more, binding):
    store = SynapseStore.random(chip(**more, **limits), 1)
    assert store.violations() == []
    store.tally.unfilled_by[:] = 0
    n_active, n_wanted = store.n_active, sum(store.plan.n_wanted)
    missing = store.fill(5)
    assert missing == n_wanted - n_active > 0 and store.n_active == n_active
    assert store.tally.by_segment[:, SegmentEvent.UNFILLED].sum() == missing
    assert {b for b in Binding if store.tally.unfilled_by[b]} == binding
    assert max(store.tally.unfilled_by) <= missing
    short = [g for g in range(4) if store.n_active_by_segment[g] < store.plan.segments[g].n_active]
    assert short and all(feasible_positions(store, g) == [] for g in short)


def test_a_full_segment_is_named():
    store = SynapseStore.random(chip(scope="layer", room=0), 1)
    store.segments.n_wanted[0] += 2
    assert store.fill(1) == 2
    assert {b for b in Binding if store.tally.unfilled_by[b]} == {Binding.SLOTS}


def test_a_lone_synapse_costs_a_word_and_the_second_is_free():
    """Loihi's list: 31 bits a synapse, 10 of a header, words of 64; the release of one of two frees nothing."""
    plan = StorePlan(
        (MatrixPlan(4, 8, 0, 4),), (SegmentPlan(0, 0, 0, 8, 4, 4),), "core", (-1,) * 4 + (0,) * 8, 1,
        limits=CorePlan(words=(100,), synapse_bits=(23,), header_bits=10, block_synapses=64, word_bits=64),
    )  # fmt: skip
    store = SynapseStore(plan, 0)
    used = [0]

    def arrive(pre, post):
        run_occupy(store.slots, store.segments, store.matrices, store.tally, 0, pre, post, np.float32(1))
        used.append(int(store.slots.words[0]))

    arrive(1, 3)  # 33 bits: one word
    arrive(1, 5)  # 56 bits: the same word
    arrive(1, 6)  # 79 bits: two words
    arrive(2, 6)
    assert used == [0, 1, 1, 2, 3]
    for slot, words in ((2, 2), (1, 2), (0, 1), (3, 0)):
        store.release([slot])
        assert store.slots.words[0] == words
    assert store.tally.peak[Resource.WORDS, 0] == 3 and store.violations() == []


def test_a_wrong_counter_is_a_violation():
    store = SynapseStore.random(chip(in_axons=(14, 17), out_axons=(9, 9), words=(30, 30), synapse_bits=(21, 9), **PACKED), 3)
    assert store.violations() == []
    for name in ("in_axons", "out_axons", "words", "segment_words"):
        assert_miscount_is_seen(store, name)
    store.tally.peak[Resource.WORDS, 1] = 31
    assert any("core 1: words" in line and "above its limit 30" in line for line in store.violations())


def assert_miscount_is_seen(store, name):
    array = getattr(store.slots, name)
    array.flat[-1] += 1
    assert any(line.startswith(f"{name} differs") for line in store.violations())
    array.flat[-1] -= 1
    assert store.violations() == []


def test_a_wrong_count_of_routes_is_a_violation():
    routes = {"chip": (0, 1), "routing_entries": (9, 8), "target_place": (0, 1), "targets": (2, 2)}
    store = SynapseStore.random(chip(**routes), 3)
    assert store.violations() == [] and store.slots.routing_entries.all() and store.slots.targets.any()
    for name in ("routed", "routing_entries", "reached", "targets"):
        assert_miscount_is_seen(store, name)
    store.tally.peak[Resource.ROUTING_ENTRIES, 1] = 9
    assert any("chip 1: routing_entries" in line and "above its limit 8" in line for line in store.violations())


def test_a_limit_on_routes_that_no_draw_reaches_is_counted_and_changes_nothing():
    """The kernel tests it only where it can bind, so results without it keep their bits."""
    wide = {"chip": (0, 1), "routing_entries": (10, 10), "target_place": (0, 1), "targets": (2, 2)}
    for change, binds in (({}, False), ({"routing_entries": (10, 9)}, True), ({"targets": (2, 1)}, True)):
        assert SynapseStore(chip(**(wide | change)), 3).segments.is_limited == binds
    plain, counted = SynapseStore.random(chip(), 3), SynapseStore.random(chip(**wide), 3)
    for key in range(20):
        for store in (plain, counted):
            store.release(np.flatnonzero(store.slots.active)[::3])
            store.fill(key)
    assert all(np.array_equal(a, b) for a, b in zip(plain.state().values(), counted.state().values(), strict=True))
    assert counted.violations() == [] and counted.rows_used(0)["routing_entries"][1:] == (int(counted.tally.peak[3, 0]), 10)
    assert 0 < counted.tally.peak[Resource.TARGETS].max() <= 2 and not plain.tally.peak.any()
