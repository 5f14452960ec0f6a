"""Real training runs on digits, one step at a time: every limit of every storage family holds after every step.

The counts are those of `test_store_limits.count_anew`, from the slots alone. Limits are below what uniform draws
would use, so that they bind; the profiles are those of `tests/profiles`, made smaller.
"""

from pathlib import Path

import numpy as np
import pytest
from test_store_limits import RESOURCES, count_anew

from neurosim.kernels.layout import Resource
from neurosim.scenario.experiment import prepare
from neurosim.scenario.trainer import make_trainer as trainer_of
from neurosim.scenario.schema import Scenario
from neurosim.synapses.violations import used_by_core

PROFILES = Path(__file__).parents[1] / "profiles"
ROUTES = """\
  routing_entries:
    max: {value: 30, unit: "1", kind: specified, source: test, confidence: V}
    kind: wall
    action: error
  targets_per_neuron:
    max: {value: 1, unit: "1", kind: specified, source: test, confidence: V}
    kind: wall
    action: error
    of: core
"""
#: Family, changes of its profile, cores, synapses, and the limits that must bind.
CASES = {
    "packed_lists, words": ("packed_lists", (("value: 65536", "value: 33280"),), 1, 940, ("words",)),
    "packed_lists, axons": (
        "packed_lists", (("max: {value: 400", "max: {value: 180"), ("max: {value: 400", "max: {value: 12")), 2, 700, ("in_axons", "out_axons"),
    ),
    "packed_lists, routes": (
        "packed_lists", (("limits:\n", f"limits:\n{ROUTES}"),), 3, 700, ("routing_entries", "targets"),
    ),
    "crossbar_binary": ("crossbar_binary", (), 1, 940, ("in_axons",)),
    "crossbar_multibit": ("odin", (), 1, 940, ("in_axons",)),
    "cam_per_neuron": ("cam_per_neuron", (), 1, 940, ("fan_in",)),
}  # fmt: skip


def make_trainer(name, folder, **rewiring):
    family, changes, cores, synapses, binding = CASES[name]
    source = PROFILES / f"{family}.yaml"
    if source.exists():
        text = source.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new, 1)
        (folder / source.name).write_text(text, encoding="utf-8")
    scenario = Scenario.model_validate(
        {
            "name": "limits",
            "dataset": {"name": "digits", "limit": 400},
            "network": {"layers": (64, 100, 10), "synapses": synapses},
            "hardware": {"profile": str(folder / source.name) if source.exists() else family, "cores": cores},
            "training": {"epochs": 3, "batch_size": 10, "learning_rate": 0.2},
            "rewiring": rewiring or {"noise_std": 0.1, "l1": 1e-4},
        }
    )
    experiment = prepare(scenario)
    assert experiment.verdict.fits
    return trainer_of(experiment, None)[0], binding


@pytest.mark.parametrize("name", CASES)
def test_every_limit_holds_after_every_step(name, tmp_path):
    trainer, binding = make_trainer(name, tmp_path)
    store, n_steps, seen = trainer.store, 0, set()
    is_done = False
    while not is_done:
        is_done = trainer.run(should_stop=lambda: True)
        n_steps += 1
        used = count_anew(store)
        for row, resource in zip(used, RESOURCES, strict=True):
            limit, peak = getattr(store.plan.limits, resource), store.tally.peak[Resource[resource.upper()]]
            if limit is None:
                continue
            assert used_by_core(store)[Resource[resource.upper()]].tolist() == row.tolist()
            assert (row <= peak).all() and (peak <= limit).all()
            seen |= {resource} if (row >= np.array(limit) - 1).any() else set()
        for m, matrix in enumerate(store.plan.matrices):
            fan_in = np.bincount(store.connections(m)[1], minlength=matrix.n_post)
            if matrix.fan_in_limit is not None:
                assert fan_in.max() <= matrix.fan_in_limit
                seen |= {"fan_in"} if fan_in.max() == matrix.fan_in_limit else set()
        assert n_steps % 20 or store.violations() == []
    assert n_steps >= 120 and store.violations() == []
    assert seen >= set(binding), "a limit that does not bind proves nothing"
    assert sum(record.n_arrived for record in trainer.history) > 300
    assert trainer.history[-1].train_loss < trainer.history[0].train_loss


@pytest.mark.parametrize("name", ["packed_lists, words", "packed_lists, axons", "packed_lists, routes"])
def test_a_resumed_run_keeps_counts_and_peaks(name, tmp_path):
    whole, _ = make_trainer(name, tmp_path)
    assert whole.run()
    first, _ = make_trainer(name, tmp_path)
    for _ in range(55):
        assert not first.run(should_stop=lambda: True)
    arrays, values = first.state()
    arrays = {key: array.copy() for key, array in arrays.items()}
    second, _ = make_trainer(name, tmp_path)
    second.restore(arrays, values)
    assert second.store.violations() == [] and second.run()
    for key, array in whole.state()[0].items():
        assert np.array_equal(array, second.state()[0][key]), key
    for key in ("in_axons", "out_axons", "words", "segment_words", "routed", "routing_entries", "reached", "targets"):
        assert np.array_equal(getattr(whole.store.slots, key), getattr(second.store.slots, key)), key
    assert second.store.tally.peak.any()


@pytest.mark.parametrize("rule", ["set", "rigl"])
@pytest.mark.parametrize("name", ["packed_lists, words", "packed_lists, axons"])
def test_other_rules_keep_the_limits(name, rule, tmp_path):
    trainer, _ = make_trainer(name, tmp_path, rule=rule, period=5)
    assert trainer.run() and trainer.store.violations() == []
    assert sum(record.n_arrived for record in trainer.history) > 0
