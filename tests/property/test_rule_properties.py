"""Every rule on every chip, in every scope: budgets, limits and optimizer state after each step of a real training."""

from functools import cache

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from neurosim.datasets import load_dataset
from neurosim.rewiring import RULES
from neurosim.scenario import Scenario, prepare
from neurosim.scenario.network import make_store
from neurosim.scenario.trainer import training_plan
from neurosim.training import Trainer

#: Keys with which a rule moves something in a dozen steps.
KEYS = {
    "deep_r": {"l1": 1e-3, "noise_std": 0.05},
    "soft_deep_r": {"l1": 1e-3, "noise_std": 0.05},
    "set": {"period": 3, "drop_fraction": 0.5, "stop": 1.0},
    "rigl": {"period": 3, "drop_fraction": 0.5, "stop": 1.0},
    "prune": {"period": 3, "start": 0.1, "end": 0.7},
    "prune_retrain": {"start": 0.2, "end": 0.7, "rounds": 3},
    "l1_shrinkage": {"period": 3, "l1": 0.05, "end": 0.7},
}
STRICT = ("deep_r", "set", "rigl", "static", "dense")
PROFILES = ("spinnaker2_santos", "spinnaker2", "brainscales2")


@cache
def digits(n):
    return load_dataset("digits", limit=n)


@st.composite
def scenarios(draw, profiles):
    rule, scope = draw(st.sampled_from(sorted(RULES))), draw(st.sampled_from(["core", "layer", "network"]))
    layers = [64, *draw(st.lists(st.integers(2, 12), min_size=0, max_size=2)), 10]
    has_places = RULES[rule].has_places
    return Scenario.model_validate(
        {
            "name": "property",
            "seed": draw(st.integers(0, 2**31)),
            "dataset": {"name": "digits", "limit": draw(st.integers(20, 60))},
            "network": {"layers": layers, "connectivity": draw(st.sampled_from([0.05, 0.2, 0.6, 0.95]))},
            "hardware": {
                "profile": draw(st.sampled_from(profiles)),
                "cores": draw(st.integers(1, 3)),
                "execution": "scan" if has_places else draw(st.sampled_from(["scan", "event_driven"])),
                "headroom": draw(st.sampled_from([0.1, 0.5])) if scope != "core" else draw(st.sampled_from([0.0, 0.2])),
                "on_violation": "report",
            },
            "training": {
                "epochs": 2,
                "batch_size": draw(st.sampled_from([1, 8])),
                "learning_rate": 0.05,
                "optimizer": draw(st.sampled_from(["sgd", "momentum"])),
            },
            "rewiring": {"rule": rule, "scope": scope, **KEYS.get(rule, {})},
        }
    )


def members(store):
    """{(matrix, pre, post): slot} of the active slots; no position twice."""
    found, slots = {}, store.slots
    for g, segment in enumerate(store.plan.segments):
        part = np.arange(store.segments.slot_start[g], store.segments.slot_start[g + 1])
        for k in part[slots.active[part] == 1].tolist():
            position = (segment.matrix, int(slots.pre[k]), int(slots.post[k]))
            assert position not in found
            found[position] = k
    return found


def counts(store):
    """Active connections of each scope."""
    starts = store.plan.scope_start
    return [int(store.n_active_by_segment[a:b].sum()) for a, b in zip(starts, starts[1:])]


def check_run(scenario):
    experiment = prepare(scenario)
    store = make_store(experiment)
    trainer = Trainer(store, digits(scenario.dataset.limit), training_plan(experiment))
    rule, first, before = scenario.rewiring.rule, counts(store), members(store)
    assert store.violations() == []
    n_arrived = n_left = 0
    while not trainer.is_done and trainer.step < 25:
        step = trainer.step
        trainer.run(should_stop=lambda: True)
        if trainer.step == step:
            continue
        assert store.violations() == []
        after = members(store)
        arrived = [slot for position, slot in after.items() if position not in before]
        # Momentum grows again from the next step on.
        assert np.all(store.slots.moments[:, arrived] == 0)
        n_arrived, n_left = n_arrived + len(arrived), n_left + len(before.keys() - after.keys())
        if rule in ("static", "dense"):
            assert after.keys() == before.keys()
        if rule in STRICT:
            n_unfilled = int(trainer.progress.n_unfilled[0]) if trainer.step_in_epoch else trainer.history[-1].n_unfilled
            assert sum(counts(store)) + n_unfilled >= sum(first)
            assert all(have <= wanted for have, wanted in zip(counts(store), store.plan.n_wanted))
            if n_unfilled == 0:
                assert counts(store) == first or sum(first) < sum(store.plan.n_wanted)
        if rule in ("prune", "prune_retrain", "l1_shrinkage"):
            assert counts(store) <= first
        before = after
    return n_arrived, n_left


@settings(max_examples=60, deadline=None, derandomize=True)
@given(scenario=scenarios(PROFILES))
def test_any_rule_keeps_budget_limits_and_state(scenario):
    moved = any(check_run(scenario))
    event(f"{scenario.rewiring.rule}: {'moved' if moved else 'nothing moved'}")


@pytest.mark.parametrize("name", ["deep_r", "soft_deep_r", "set", "rigl"])
def test_the_rules_of_this_test_move(name):
    """Against empty passes: with the keys above each rule has arrivals."""
    scenario = Scenario.model_validate(
        {
            "name": "moves",
            "dataset": {"name": "digits", "limit": 60},
            "network": {"layers": [64, 12, 10], "connectivity": 0.2},
            "hardware": {"profile": "spinnaker2_santos", "cores": 2},
            "training": {"epochs": 2, "batch_size": 8, "learning_rate": 0.05, "optimizer": "momentum"},
            "rewiring": {"rule": name, **KEYS[name]},
        }
    )
    assert check_run(scenario)[0] > 10
