"""Any rule under any limits of cores, on stores of any shape: what a rewiring leaves keeps every limit, and says what found no room."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st
from test_store_limits import RESOURCES, check, limited_plans

from neurosim.kernels.layout import SegmentEvent
from neurosim.rewiring import RULES, Moment
from neurosim.synapses import CorePlan, MatrixPlan, SegmentPlan, StorePlan, SynapseStore

#: Rules that the loop calls, with keys under which connections move at every step; deep_r is tested by `test_store_limits`.
KEYS = {
    "soft_deep_r": {"l1": 1e-3, "noise_std": 0.1, "theta_min": -0.2},
    "set": {"period": 1, "drop_fraction": 0.5, "stop": 1.0},
    "rigl": {"period": 1, "drop_fraction": 0.5, "stop": 1.0},
    "prune": {"period": 1, "start": 0.0, "end": 1.0},
    "prune_retrain": {"start": 0.2, "end": 0.8, "rounds": 3},
    "l1_shrinkage": {"period": 1, "l1": 0.5, "end": 0.8},
}
N_STEPS = 12


def make_store(plan, rule, seed):
    segments = plan.segments
    if rule.has_places:
        n_pre = [plan.matrices[s.matrix].n_pre for s in segments]
        segments = tuple(replace(s, n_slots=n * (s.post_stop - s.post_start)) for s, n in zip(segments, n_pre, strict=True))
    options = {"signs": rule.signs, "starts_dense": rule.starts_dense, "is_strict": rule.is_strict}
    return SynapseStore.random(replace(plan, segments=segments, **options), seed)


def rewire_often(store, rule, seed):
    """Weights move, then the rule exchanges, a dozen times; yields what found no room."""
    rng, state = np.random.default_rng(seed), rule.first_state(store, 0.1, 7)
    for step in range(1, N_STEPS + 1):
        # What a training step leaves: soft DEEP R finds weights below zero as weights of the other sign.
        used = store.slots.active == 1
        store.slots.weight[used] += rng.normal(0, 0.1, used.sum()).astype(np.float32)

        def gradient(segment):
            return rng.normal(size=store.segments.n_positions[segment]).astype(np.float32)

        yield rule.rewire(store, Moment(step, N_STEPS, 0.1, int(rng.integers(2**63)), int(rng.integers(2**63)), state, gradient))


@given(limited_plans(), st.sampled_from(sorted(KEYS)), st.integers(0, 2**32))
@settings(max_examples=150, deadline=None)
def test_every_rule_keeps_every_limit(plan, name, seed):
    rule = RULES[name](**KEYS[name])
    store = make_store(plan, rule, seed)
    assert store.n_active + store.n_unplaced == sum(store.plan.n_start)
    assert bool(store.n_unplaced) == bool(store.unplaced_by)
    for n_unfilled in rewire_often(store, rule, seed):
        check(store)
        if name in ("set", "rigl"):
            assert store.n_active + n_unfilled == sum(plan.n_wanted)
        event(f"{name}: {'some found no room' if n_unfilled else 'all found room'}")


def tight_plan(limits, fan_in=None):
    """12 -> 8 on two cores -> 4 on the first: 30 + 10 connections, a slot for every position."""
    matrices = (MatrixPlan(12, 8, 0, 12, fan_in), MatrixPlan(8, 4, 12, 20, fan_in))
    bounds = ((0, 0, 0, 4, 15), (0, 1, 4, 8, 15), (1, 0, 0, 4, 10))
    segments = tuple(SegmentPlan(*b, matrices[b[0]].n_pre * (b[3] - b[2])) for b in bounds)
    return StorePlan(matrices, segments, "core", (-1,) * 12 + (0,) * 4 + (1,) * 4 + (0,) * 4, 2, limits=CorePlan(**limits))


LIMITS = {
    "in_axons": {"in_axons": (14, 9)},
    "out_axons": {"out_axons": (2, 2)},
    "words": {"words": (14, 8), "synapse_bits": (20, 20), "header_bits": 4, "block_synapses": 4, "word_bits": 32},
    "routing_entries": {"routing_entries": (2, 3), "chip": (0, 1)},
    "targets": {"targets": (0, 1), "target_place": (0, 1)},
    "fan_in": {},
}


@pytest.mark.parametrize("limit", [*RESOURCES, "fan_in"])
def test_soft_deep_r_wakes_up_to_the_limit_and_says_what_bound(limit):
    """The walk alone would wake half of all positions: the limit binds, is reached, and is named."""
    rule = RULES["soft_deep_r"](**KEYS["soft_deep_r"])
    store = make_store(tight_plan(LIMITS[limit], fan_in=4 if limit == "fan_in" else None), rule, 1)
    store.slots.weight[:] = np.abs(store.slots.weight) * 0  # everybody falls asleep and wakes many times
    state, n_refused, n_awake = rule.first_state(store, 0.1, 7), 0, []
    for step in range(1, 200):
        n_refused += rule.rewire(store, Moment(step, 200, 0.1, step, 10**6 + step, state, None))
        check(store)
        n_awake.append(store.n_active)
        dormant = state["dormant"]
        assert (np.isinf(dormant) | (dormant < 0)).all() and int(np.isinf(dormant).sum()) == store.n_active
    assert n_refused > 10
    assert store.unfilled_by.keys() == {limit}
    assert store.unfilled_by[limit] == n_refused == store.tally.by_segment[:, SegmentEvent.UNFILLED].sum()


def test_positions_take_turns_where_few_may_wake():
    """One place in a row of limited fan-in is not the lowest position's by right."""
    rule = RULES["soft_deep_r"](l1=1e-3, noise_std=1.0, theta_min=-0.5)
    first = np.zeros(12, int)
    for seed in range(60):
        matrix = MatrixPlan(12, 1, 0, 12, 1)
        plan = StorePlan((matrix,), (SegmentPlan(0, 0, 0, 1, 1, 12),), "core", (-1,) * 12 + (0,), 1)
        store = make_store(plan, rule, seed)
        store.release(np.flatnonzero(store.slots.active))
        state = {"dormant": np.full(12, -1e-3, np.float32)}
        rule.rewire(store, Moment(1, 10, 0.1, 0, seed, state, None))
        assert store.n_active == 1
        first[store.slots.pre[store.slots.active == 1][0]] += 1
    assert first.max() <= 20 and np.count_nonzero(first) >= 8
