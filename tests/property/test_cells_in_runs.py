"""Runs of perceptrons with several cells, biases and clipping: budgets and limits after every step, the same bits after an interruption,
and a forward pass in NumPy that says what the run said."""

from pathlib import Path

import numpy as np
import pytest
from test_store_limits import RESOURCES, count_anew

from neurosim.kernels.layout import Resource
from neurosim.scenario.experiment import prepare
from neurosim.scenario.schema import Scenario
from neurosim.scenario.trainer import make_trainer
from neurosim.scenario.weights import network_of

LISTS = Path(__file__).parents[1] / "profiles" / "packed_lists.yaml"
SCENARIO = {
    "name": "cells",
    "dataset": {"name": "digits", "limit": 300},
    "network": {"layers": (64, 40, 30, 24, 10), "activation": ("tanh", "relu", "leaky_relu"), "bias": True, "connectivity": (0.1, 0.1, 0.2, 0.4)},
    "hardware": {"profile": "spinnaker2_santos", "cores": 3, "headroom": 0.2},
    "training": {"epochs": 4, "batch_size": 10, "learning_rate": (0.3, 0.2, 0.2, 0.1), "optimizer": "momentum", "clip": 1.0},
    "rewiring": {"noise_std": 0.1, "l1": (1e-4, 1e-4, 1e-3, 0.0), "scope": "layer", "period": 2},
}


def trainer_of(**parts):
    scenario = Scenario.model_validate({**SCENARIO, **{key: {**SCENARIO[key], **value} for key, value in parts.items()}})
    experiment = prepare(scenario)
    assert experiment.verdict.fits
    return experiment, make_trainer(experiment, None)[0]


def outcome(trainer):
    arrays, values = trainer.state()
    return {key: array.copy() for key, array in arrays.items()}, [{k: v for k, v in e.items() if not k.endswith("_s")} for e in values["history"]]


def step_by_step(trainer):
    """The store after each step."""
    while not trainer.is_done:
        before = trainer.step
        trainer.run(should_stop=lambda: True)
        if trainer.step > before:  # the last call evaluates alone
            yield trainer.store


@pytest.fixture(scope="module")
def whole():
    """A finished run, watched step by step: experiment, trainer, connections of each matrix after every step."""
    experiment, trainer = trainer_of()
    counts, first = [], trainer.network.biases.copy()
    for store in step_by_step(trainer):
        counts.append([store.connections(m)[0].size for m in range(4)])
        assert len(counts) % 20 or store.violations() == []
    assert not first.any() and (trainer.network.biases != 0).all()
    return experiment, trainer, counts


def test_the_number_of_connections_is_exact(whole):
    _, trainer, counts = whole
    promised = list(trainer.store.plan.n_wanted)
    assert len(counts) == 120 and counts[1::2] == [promised] * 60, "after every rewiring, in every matrix"
    assert all(np.less_equal(row, promised).all() for row in counts) and any(row != promised for row in counts[::2])
    assert trainer.store.violations() == [] and sum(record.n_arrived for record in trainer.history) > 100
    assert trainer.history[-1].train_loss < 0.9 * trainer.history[0].train_loss


def test_a_resumed_run_is_the_same(whole):
    _, first = trainer_of()
    for _ in range(47):
        assert not first.run(should_stop=lambda: True)
    arrays, values = first.state()
    assert arrays["network.biases"].any() and arrays["network.bias_moments"].any()
    _, second = trainer_of()
    second.restore({key: array.copy() for key, array in arrays.items()}, values)
    assert second.run()
    (found, history), (wanted, whole_history) = outcome(second), outcome(whole[1])
    assert history == whole_history and set(found) == set(wanted)
    for key, array in wanted.items():
        np.testing.assert_array_equal(found[key], array, err_msg=key)


def test_numpy_says_what_the_run_said(whole):
    experiment, trainer, _ = whole
    network, data = network_of(experiment, trainer), trainer.dataset
    assert network.cells == ("tanh", "relu", "leaky_relu") and sorted(network.biases) == [1, 2, 3, 4]
    probabilities = network.predict_proba(data.x_test)
    assert probabilities.dtype == np.float32 and np.allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    seen = trainer.last_evaluation
    assert (probabilities.argmax(axis=1) == data.y_test).mean() == seen.accuracy
    loss = -np.log(probabilities[np.arange(data.n_test), data.y_test].astype(np.float64)).mean()
    assert loss == pytest.approx(seen.loss, rel=1e-4)
    # In float64, from dense matrices, by hand.
    x = data.x_test.astype(np.float64) * data.scale
    outputs = (np.tanh, lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, z, 0.01 * z), lambda z: z)
    for m, output in enumerate(outputs):
        x = output(x @ trainer.store.dense(m).astype(np.float64) + network.biases[m + 1])
    np.testing.assert_allclose(network.logits(data.x_test), x, atol=3e-5, rtol=3e-5)


def test_limits_of_lists_hold_after_every_step(tmp_path):
    """Room for hardly more words than the first connections take."""
    profile = {"profile": str(LISTS), "cores": 2, "headroom": 0.0}
    rewiring = {"scope": "core", "period": 1, "l1": 1e-4}
    _, roomy = trainer_of(hardware=profile, rewiring=rewiring)
    words = int(count_anew(roomy.store)[RESOURCES.index("words")].max()) + 2
    text = LISTS.read_text(encoding="utf-8")
    assert "value: 65536" in text
    tight = tmp_path / "tight.yaml"
    tight.write_text(text.replace("value: 65536", f"value: {64 * words}", 1), encoding="utf-8")
    _, trainer = trainer_of(hardware={**profile, "profile": str(tight)}, rewiring=rewiring, training={"epochs": 2})
    most, row = 0, RESOURCES.index("words")
    for store in step_by_step(trainer):
        used = count_anew(store)[row]
        assert (used <= store.tally.peak[Resource.WORDS]).all() and store.tally.peak[Resource.WORDS].max() <= words
        most = max(most, int(used.max()))
        assert store.n_active <= sum(store.plan.n_wanted)
    assert most >= words - 1, "a limit that does not bind proves nothing"
    assert trainer.store.violations() == [] and sum(record.n_arrived for record in trainer.history) > 50
