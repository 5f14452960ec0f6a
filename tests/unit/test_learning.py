"""Honest learning: choices on a validation set, sick learning named, rates that follow the fan-in."""

import json

import numpy as np
import pytest
from sklearn.datasets import make_classification

import neurosim as ns
from neurosim.datasets import make_dataset
from neurosim.results import read_record
from neurosim.scenario.experiment import prepare
from neurosim.scenario.learning import auto_rate, find_warnings, mean_fan_in
from neurosim.scenario.trainer import learning_rate, make_trainer

FAST = {"training.epochs": 4, "report.figures": False}
VALID = {**FAST, "dataset.validation_fraction": 0.2}


def digits(**overrides):
    return ns.load_scenario("digits_santos", {**FAST, **overrides})


# --- validation ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def chosen(tmp_path_factory):
    """A run that keeps its best epoch of a validation set."""
    scenario = ns.load_scenario(
        "digits_santos", {**VALID, "training.keep": "best", "training.learning_rate": 1.5, "training.schedule": {"kind": "constant"}}
    )
    return ns.run(scenario, out=tmp_path_factory.mktemp("valid") / "run")


def test_the_test_set_is_seen_once(chosen):
    record = chosen.record
    assert record.dataset.n_validation + record.dataset.n_train == 1437 and record.dataset.n_validation == pytest.approx(287, abs=5)
    assert record.accuracy.per_epoch[:-1] == [None] * 3 and record.accuracy.per_epoch[-1] == record.accuracy.test
    assert [epoch.test_accuracy for epoch in record.epochs[:-1]] == [None] * 3
    assert [epoch.validation_accuracy for epoch in record.epochs] == record.accuracy.validation_per_epoch
    assert sum(record.classes.n_samples) == record.dataset.n_test


def test_the_weights_of_the_best_epoch_are_kept(chosen):
    accuracy, data = chosen.accuracy, chosen.record.scenario
    seen = accuracy.validation_per_epoch
    assert accuracy.best == accuracy.validation == max(seen) and accuracy.best_epoch == int(np.argmax(seen))
    scenario = ns.Scenario(**data)
    dataset = scenario.dataset.load()
    # In memory and in the files, the network is that of the best epoch.
    for run in (chosen, ns.open_run(chosen.folder)):
        assert (run.predict(dataset.x_validation) == dataset.y_validation).mean() == accuracy.validation
        assert (run.predict(dataset.x_test) == dataset.y_test).mean() == accuracy.test


def test_the_last_epoch_is_kept_without_a_word(tmp_path):
    last = ns.run(ns.load_scenario("digits_santos", VALID))
    assert last.accuracy.validation == last.accuracy.validation_per_epoch[-1]
    # The same training samples as any, so the same weights as where each epoch is evaluated on the test set.
    assert len(last.epochs) == 4 and "validation_accuracy" in last.epochs.columns


def test_an_interrupted_run_comes_to_the_same(chosen, tmp_path):
    scenario = ns.Scenario(**chosen.record.scenario)

    class Stop(ns.Callback):
        def on_epoch_end(self, run, epoch):
            return epoch.epoch == 1

    stopped = ns.run(scenario, out=tmp_path / "run", callbacks=[Stop()])
    assert stopped.accuracy.per_epoch[0] is None and stopped.accuracy.per_epoch[1] == stopped.accuracy.test
    resumed = ns.run(scenario, out=tmp_path / "run", resume=True)
    left = {"timing", "environment"}
    assert resumed.record.model_dump(exclude=left) == chosen.record.model_dump(exclude=left)
    assert resumed.network.npz_bytes() == chosen.network.npz_bytes()


def test_evaluations_of_both_parts_are_charged(chosen):
    """Each epoch the validation samples, once the test samples: 64 inputs of each are sent by the host."""
    n = 4 * chosen.record.dataset.n_validation + chosen.record.dataset.n_test
    host = chosen.record.traffic_bytes.by_level_and_phase["host"]["evaluate"]
    train = chosen.record.traffic_bytes.by_level_and_phase["host"]["input"] / (4 * chosen.record.dataset.n_train)
    assert host / n == pytest.approx(train, rel=0.1)


def test_keeping_the_best_needs_a_validation_set():
    with pytest.raises(ns.InputError, match=r"training.keep: found best without a validation set"):
        ns.load_scenario("digits_santos", {"training.keep": "best"})


def test_files_and_pages_say_it(chosen, main_cli):
    text = (chosen.folder / "log.txt").read_text()
    assert "validation accuracy" in text and text.count("test accuracy") == 1
    assert "seen once" in chosen.page() and "validation samples" in chosen.page()
    assert main_cli("compare", chosen.folder, chosen.folder).code == 0
    header = (chosen.folder / "epochs.csv").read_text().splitlines()[0]
    assert "validation_accuracy" in header
    assert read_record(chosen.folder) == chosen.record
    json.dumps(chosen.record.model_dump(), allow_nan=False)


def test_sweeps_choose_on_the_validation_set(tmp_path):
    from neurosim.reports.sweep_facts import score_of

    sweep = ns.sweep(
        ns.load_scenario("digits_santos", {**VALID, "training.epochs": 1}), {"network.connectivity": [0.05, 0.3]}, out=tmp_path / "s", jobs=1
    )
    frame = sweep.to_frame()
    assert frame.validation_accuracy.between(0, 1).all()
    for group, value in zip(sweep.record.summary, frame.validation_accuracy):
        assert score_of(group) == value


# --- rates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("optimizer", "fan_in", "rate"), [("sgd", 0.1, 4), ("sgd", 1, 3.2), ("sgd", 100, 0.16), ("momentum", 100, 0.016), ("adam", 25, 0.01)]
)
def test_the_automatic_rate(optimizer, fan_in, rate):
    assert auto_rate(optimizer, fan_in) == pytest.approx(rate, rel=0.06)
    assert auto_rate(optimizer, fan_in) > auto_rate(optimizer, 20 * fan_in)


@pytest.mark.parametrize("name", ["digits_santos", "fsdd_lstm_spinnaker2"])
def test_plan_and_record_agree_on_the_fan_in(name, tiny_run):
    experiment = prepare(ns.load_scenario(name, {"training.learning_rate": "auto"}))
    assert learning_rate(experiment) == auto_rate(experiment.scenario.training.optimizer, _fan_in(experiment))
    if name == "digits_santos":
        assert _fan_in(experiment) == pytest.approx(mean_fan_in(tiny_run.record)) == 940 / 110


def _fan_in(experiment):
    topology = experiment.placement.workload.topology
    # By hand: sums of the hidden layers and of the outputs.
    n_sums = {"digits_santos": 110, "fsdd_lstm_spinnaker2": 4 * 128 + 10}[experiment.scenario.name]
    assert n_sums == sum(p.n_sums for p in topology.populations[1:])
    return experiment.placement.workload.n_synapses / n_sums


def test_auto_stands_in_the_record_as_a_number():
    run = ns.run(digits(**{"training.learning_rate": "auto"}))
    assert run.record.scenario["training"]["learning_rate"] == "auto"
    assert run.record.epochs[0].learning_rate == auto_rate("sgd", 940 / 110)
    with pytest.raises(ns.InputError, match="training.learning_rate"):
        digits(**{"training.learning_rate": "automatic"})


# --- sick learning ---------------------------------------------------------------------------------------------------


def wide():
    """A table as sensors give it, standardized, 561 features: (x, y)."""
    x, y = make_classification(1200, 561, n_informative=60, n_redundant=200, n_classes=6, class_sep=1.5, random_state=0)
    return ((x - x.mean(0)) / x.std(0)).astype(np.float32), y


def dense(rate, epochs=6, **changes):
    return ns.Scenario(
        name="wide", dataset={"name": "wide", "test_fraction": 0.25}, network={"layers": [561, 100, 6], "connectivity": 1.0},
        hardware="spinnaker2", training={"epochs": epochs, "learning_rate": rate}, rewiring={"rule": "dense"}, **changes,
    )  # fmt: skip


def test_a_rate_too_large_for_the_fan_in_is_named():
    x, y = wide()
    sick = ns.run(dense(0.3), data=(x, y))
    assert "learning rate 0.3 is too large for" in sick.warnings[0] and "training.learning_rate: 0.0" in sick.warnings[0]
    healthy = ns.run(dense("auto"), data=(x, y))
    assert healthy.warnings == [] and healthy.accuracy.test > sick.accuracy.test + 0.15


def test_a_network_that_does_not_learn_is_named():
    run = ns.run(digits(**{"training.learning_rate": 1e-5, "training.epochs": 6}))
    assert any("low and stays so" in w or "never predicted" in w for w in run.warnings)
    flat = run.record.model_copy(update={"classes": run.record.classes.model_copy(update={"n_predicted": [36] * 10})})
    (only,) = find_warnings(flat)
    assert "training accuracy is low and stays so" in only and "chance is 10" in only


def test_more_than_the_whole_network_rewired_is_named():
    run = ns.run(digits(**{"rewiring.l1": 0.05, "rewiring.noise_std": 0.02, "training.schedule": {"kind": "constant"}}))
    assert any("times the whole network is rewired in an epoch" in w for w in run.warnings), (run.warnings, run.accuracy)


def test_steps_that_round_to_nothing_are_named():
    overrides = {**FAST, "training.learning_rate": 1e-3, "hardware.rounding": "nearest", "rewiring.l1": 0, "rewiring.noise_std": 0}
    run = ns.run(ns.load_scenario("digits_brainscales2", overrides))
    assert run.record.epochs[0].unmoved > 0.9
    assert any("round to nothing in int7" in w for w in run.warnings)
    for cure in ({"hardware.rounding": "stochastic"}, {"hardware.master": "float32"}):
        assert not any("round to nothing" in w for w in ns.run(ns.load_scenario("digits_brainscales2", {**overrides, **cure})).warnings)


def test_a_class_that_is_never_predicted_is_named():
    draw = np.random.default_rng(0)
    x = draw.normal(size=(300, 4)).astype(np.float32)
    x[:, 0] += 3 * np.sign(x[:, 0])
    y = np.where(np.arange(300) % 20 == 0, "rare", np.where(x[:, 0] > 0, "up", "down"))
    scenario = ns.Scenario(
        name="rare", dataset={"name": "rare", "test_fraction": 0.4}, network={"layers": [4, 3], "connectivity": 1.0}, hardware="spinnaker2",
        training={"epochs": 5, "learning_rate": 0.05}, rewiring={"rule": "dense"},
    )  # fmt: skip
    run = ns.run(scenario, data=(x, y))
    assert run.warnings == ["class rare is never predicted (6 test samples)"]
    assert "never predicted" in run.page()


def test_features_that_are_not_scaled_are_named():
    x, y = wide()
    data = make_dataset(x[:900] * 50, y[:900], x[900:] * 50, y[900:])
    run = ns.run(dense(1e-5, epochs=1), data=data)
    assert any(w.startswith("features are not scaled: values from") for w in run.warnings)


def test_weights_wider_than_the_chip_are_named():
    run = ns.run(
        ns.load_scenario(
            "digits_brainscales2", {**FAST, "hardware.weight_format": "float32", "hardware.rounding": "nearest", "hardware.on_violation": "report"}
        )
    )
    assert any("wider than the chip's" in w and "weight_format" in w for w in run.warnings)


@pytest.mark.parametrize("name", ["digits_santos", "digits_brainscales2"])
def test_healthy_runs_are_left_alone(name):
    assert ns.run(ns.load_scenario(name, {"report.figures": False})).warnings == []


#: Weights of one bit: nearly every update brings one below zero, and it stays far behind the others.
_SICK = "mnist_morphic"


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ns.scenarios() if name.startswith("mnist") and "rows" not in name])
def test_healthy_bundled_scenarios_are_left_alone(name, mnist_dir):
    scenario = ns.load_scenario(name, {"report.figures": False})
    if scenario.phases:
        scenario = scenario.with_(phases=[{"name": "first", "epochs": 5}])  # five times 12,000 images
    else:
        scenario = scenario.with_(training={"epochs": 2})
    if not ns.check(scenario):
        return  # refused: nobody trains it
    warnings = ns.run(scenario, data_dir=mnist_dir).warnings
    if name == _SICK:
        assert any("times the whole network is rewired" in w for w in warnings)
    else:
        assert warnings == []


def test_what_is_watched_changes_no_bit(tiny_run):
    """Counting weights that stay costs copies, and no draw."""
    scenario = ns.load_scenario("digits_brainscales2", {**FAST, "hardware.rounding": "nearest"})
    trainer, _ = make_trainer(prepare(scenario))
    assert trainer._positions() and not make_trainer(prepare(tiny_run.scenario))[0]._positions()
