"""Recurrent networks trained from scenarios, one step at a time: every budget holds in every matrix after every step."""

from collections import Counter

import numpy as np
import pytest

from neurosim.scenario.experiment import prepare
from neurosim.scenario.trainer import make_trainer as trainer_of
from neurosim.scenario.schema import Scenario


def make_trainer(folder, **changes):
    scenario = Scenario.model_validate(
        {
            "name": "words",
            "dataset": {"name": str(folder), "max_steps": 9, "features": {"bands": 8}},
            "network": {"type": "lstm", "units": 12, "connectivity": (0.2, 0.15, 0.5)},
            "hardware": {"profile": "spinnaker2", "cores": 2, "headroom": 0.5},
            "training": {"epochs": 4, "batch_size": 8, "optimizer": "adam", "learning_rate": 0.02, "clip": 1.0, "window": 5},
            "rewiring": {"noise_std": 0.05, "l1": 1e-3},
            **changes,
        }
    )
    experiment = prepare(scenario)
    assert experiment.verdict.fits
    return trainer_of(experiment, None)[0]


def positions(store):
    """Positions of the active slots of each matrix, counted from the slots alone; none twice, all weights finite."""
    found, slots = Counter(), store.slots
    for g, segment in enumerate(store.plan.segments):
        part = np.arange(store.segments.slot_start[g], store.segments.slot_start[g + 1])
        part = part[slots.active[part] == 1]
        assert np.isfinite(slots.weight[part]).all()
        found.update(zip([segment.matrix] * part.size, slots.pre[part].tolist(), slots.post[part].tolist()))
    assert not found or max(found.values()) == 1
    return set(found)


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
@pytest.mark.parametrize("scope", ["core", "layer", "network"])
@pytest.mark.parametrize("rule", ["deep_r", "set", "rigl"])
def test_the_promised_number_is_active_in_every_matrix_after_every_step(cell, scope, rule, recordings):
    rewiring = {"noise_std": 0.05, "l1": 1e-3} if rule == "deep_r" else {"rule": rule, "period": 3}
    trainer = make_trainer(
        recordings,
        network={"type": cell, "units": 12, "connectivity": (0.2, 0.15, 0.5)},
        rewiring={**rewiring, "scope": scope},
    )  # fmt: skip
    store, plan = trainer.store, trainer.store.plan
    promised = [sum(s.n_active for s in plan.segments if s.matrix == m) for m in range(3)]
    per_core = [s.n_active for s in plan.segments]
    before, moved, n_steps = positions(store), Counter(), 0
    is_done = False
    while not is_done:
        is_done = trainer.run(should_stop=lambda: True)
        n_steps += 1
        now = positions(store)
        have = Counter(matrix for matrix, _, _ in now)
        if scope == "network":
            assert sum(have.values()) == sum(promised)
        else:
            assert [have[m] for m in range(3)] == promised
        if scope == "core":
            assert store.n_active_by_segment.tolist() == per_core
        assert n_steps % 10 or store.violations() == []
        moved.update(matrix for matrix, _, _ in now - before)
        before = now
    assert n_steps >= 48 and store.violations() == []
    assert min(moved[m] for m in range(3)) > 0, "a matrix that never rewires proves nothing"
    assert trainer.history[-1].train_loss < trainer.history[0].train_loss
