"""Tasks that change: phases add up to the run, resume to the same bits inside any of them, and say what they should."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from neurosim.datasets import change_task, load_dataset
from neurosim.errors import InputError
from neurosim.results import read_record
from neurosim.scenario import load_scenario, prepare, run_scenario
from neurosim.scenario.record import settle, settle_phases
from neurosim.scenario.runner import train_scenario
from neurosim.scenario.trainer import make_trainer
from neurosim.training.phases import compare_weights, find_place, positions_of

SHORT = [
    {"name": "first", "epochs": 2},
    {"name": "labels", "epochs": 2, "relabel": 1},
    {"name": "pixels", "epochs": 1, "permute_inputs": 2, "learning_rate": 0.05},
    {"name": "two", "epochs": 2, "classes": [3, 7]},
]


def scenario(**changes):
    changes.setdefault("phases", SHORT)
    return load_scenario("digits_tasks").with_(**{"report": {"figures": False}, "control": False, **changes})


def bits(trainer):
    arrays, values = trainer.state()
    history = [{k: v for k, v in row.items() if not k.endswith("_s")} for row in values["history"]]
    return {name: np.asarray(a).tobytes() for name, a in arrays.items()}, {**values, "history": history, "seconds": 0}


# --- what a phase is ---


def test_places_of_epochs():
    trainer, _ = make_trainer(prepare(scenario()))
    found = [find_place(trainer.phases, epoch) for epoch in range(8)]
    assert [(p.phase, p.epoch, p.first) for p in found] == [(0, 0, 0), (0, 1, 0), (1, 0, 2), (1, 1, 2), (2, 0, 4), (3, 0, 5), (3, 1, 5), (3, 1, 5)]
    assert [trainer._rate(epoch) for epoch in range(7)] == [0.2, 0.2, 0.2, 0.2, 0.05, 0.2, 0.2]
    sizes = [phase.dataset.n_train for phase in trainer.phases]
    assert sizes[:3] == [1437] * 3 and 200 < sizes[3] < 400
    assert trainer.n_steps == 5 * 144 + 2 * -(-sizes[3] // 10)


def test_a_task_is_the_samples_under_another_name():
    data = load_dataset("digits")
    new = change_task(data, relabel=1)
    assert new.x_train is data.x_train and sorted(set(zip(data.y_train.tolist(), new.y_train.tolist()))) == sorted(
        set(zip(data.y_test.tolist(), new.y_test.tolist()))
    )
    assert (new.y_train != data.y_train).mean() > 0.5 and len({a for _, a in set(zip(data.y_train.tolist(), new.y_train.tolist()))}) == 10
    pixels = change_task(data, permute_inputs=2)
    assert (pixels.x_train != data.x_train).any() and (np.sort(pixels.x_train, 1) == np.sort(data.x_train, 1)).all()
    order = [int(np.flatnonzero((data.x_train == pixels.x_train[:, [i]]).all(0))[0]) for i in range(64) if pixels.x_train[:, i].any()]
    assert (pixels.x_test[:, [i for i in range(64) if pixels.x_train[:, i].any()]] == data.x_test[:, order]).all()
    pair = change_task(data, classes=(3, 7))
    assert set(pair.y_train.tolist()) == set(pair.y_test.tolist()) == {3, 7} and pair.n_classes == 10
    digests = {each.sha256 for each in (data, new, pixels, pair, change_task(data, relabel=2))}
    assert len(digests) == 5 and change_task(data) is data


def test_phases_without_a_change_are_the_run_without_phases():
    plain, net = train_scenario(load_scenario("digits_tasks").with_(phases=None, control=False, training={"epochs": 4}))
    phased, twin = train_scenario(scenario(phases=[{"name": "a", "epochs": 1}, {"name": "b", "epochs": 3}]))
    assert all((a.weight != b.weight).nnz == 0 for a, b in zip(net.matrices, twin.matrices, strict=True))
    assert plain.events == phased.events and plain.energy == phased.energy and plain.traffic_bytes == phased.traffic_bytes
    assert plain.phases is None and len(phased.phases.phases) == 2


def test_epochs_in_parts_see_every_sample_once_a_pass():
    trainer, _ = make_trainer(
        prepare(scenario(training={"epoch_samples": 500}, phases=[{"name": "a", "epochs": 6}, {"name": "b", "epochs": 2, "relabel": 1}]))
    )
    assert trainer.steps_per_epoch == 50 and trainer.n_steps == 400
    seen = np.concatenate([trainer.order_of(epoch) for epoch in range(6)])
    assert (np.sort(seen[:1437]) == np.arange(1437)).all() and (np.sort(seen[1437:2874]) == np.arange(1437)).all()
    trainer.run()
    assert trainer.step == 400 and trainer.store.violations() == []


@pytest.mark.parametrize("horizon, expected", [("phase", [True, True]), ("run", [True, False])])
def test_rules_that_anneal_do_so_over_the_phase_unless_told_otherwise(horizon, expected):
    rewiring = {"rule": "set", "period": 10, "stop": 0.5, "horizon": horizon}
    record, _ = train_scenario(scenario(rewiring=rewiring, phases=[{"name": "a", "epochs": 2}, {"name": "b", "epochs": 2, "relabel": 1}]))
    assert [part.n_arrived > 0 for part in record.phases.phases] == expected


# --- phases add up ---

CHIPS = {
    "one core": {},
    "four cores": {"hardware": {"profile": "spinnaker2", "cores": 4}},
    "events": {"hardware": {"profile": "loihi1", "cores": 2}},
    "event-driven": {"hardware": {"execution": "event_driven"}},
    "host": {"hardware": {"profile": "loihi2", "learning": "host"}},
    "Adam, prune": {
        "training": {"optimizer": "adam", "learning_rate": 0.002},
        "rewiring": {"rule": "prune", "period": 20},
        "hardware": {"on_violation": "report"},
    },
    "parts of epochs": {"training": {"epoch_samples": 400}},
    "shrinkage": {"rewiring": {"rule": "l1_shrinkage", "period": 20}, "hardware": {"on_violation": "report"}},
}


@pytest.mark.parametrize("chip", CHIPS)
def test_phases_add_up_to_the_run(chip):
    experiment = prepare(scenario(**CHIPS[chip]))
    trainer, _ = make_trainer(experiment)
    trainer.run()
    whole, parts = settle(experiment, trainer), settle_phases(experiment, trainer)
    steps = [parts[0].events, *(b.events - a.events for a, b in zip(parts, parts[1:]))]
    assert (sum(steps) == whole.events).all() and all((step >= 0).all() and step.any() for step in steps)
    traffic = [parts[0].traffic, *(b.traffic - a.traffic for a, b in zip(parts, parts[1:]))]
    assert (sum(traffic) == whole.traffic).all() and all((step >= 0).all() for step in traffic)
    from neurosim.scenario.record import make_record

    record = make_record(experiment, trainer, 1)
    for key, total in (("n_samples", record.n_trained), ("traffic_bytes", record.traffic_bytes.read + record.traffic_bytes.write)):
        assert sum(getattr(part, key) for part in record.phases.phases) == total
    assert sum(part.energy_j for part in record.phases.phases) == pytest.approx(record.energy.total_j, rel=1e-12)
    assert sum(part.n_steps for part in record.phases.phases) == trainer.step
    for phase, kinds in record.events.items():
        for kind, n in kinds.items():
            assert sum(part.events.get(phase, {}).get(kind, 0) for part in record.phases.phases) == n
    assert sum(part.n_arrived for part in record.phases.phases) == record.connectivity.rewired


# --- accuracies, likeness, control ---


def test_the_matrix_of_accuracies_and_what_follows_from_it():
    record, _ = train_scenario(scenario(control=True))
    phases = record.phases
    table = np.array(phases.accuracy)
    assert table.shape == (4, 4)
    last = [part.first_epoch + part.n_epochs - 1 for part in phases.phases]
    assert [table[i, i] for i in range(4)] == [record.accuracy.per_epoch[epoch] for epoch in last]
    assert phases.average_accuracy == pytest.approx(table[3].mean())
    assert phases.forgetting == pytest.approx(np.mean([table[:, j].max() - table[3, j] for j in range(3)]))
    assert phases.backward_transfer == pytest.approx(np.mean([table[3, j] - table[j, j] for j in range(3)]))
    assert record.accuracy.test == table[3, 3] and record.classes.n_samples[0] == 0 and sum(record.classes.n_samples) > 50
    for part in phases.phases:
        seen = record.accuracy.per_epoch[part.first_epoch : part.first_epoch + part.n_epochs]
        for recovery, whole in zip(part.recovery, (table[0, 0], seen[-1]), strict=True):
            good = [i + 1 for i, a in enumerate(seen) if a >= 0.95 * whole]
            assert recovery.n_epochs == (good[0] if good else None)
    moved = [part.weights[1].correlation_before for part in phases.phases[1:]]
    still = [weights[1].correlation_before for weights in phases.control.weights[1:]]
    assert moved[0] < still[0] - 0.05 and phases.control.per_epoch[-1] > phases.control.per_epoch[0]
    assert phases.control.per_epoch[:2] == record.accuracy.per_epoch[:2]  # the first phase is the same


def test_likeness_by_hand():
    before = np.array([1, 4, 6]), np.array([1.0, -2.0, 3.0], np.float32)
    now = np.array([1, 5, 6]), np.array([2.0, 1.0, 3.0], np.float32)
    a, b = np.zeros(8), np.zeros(8)
    a[before[0]], b[now[0]] = before[1], now[1]
    overlap, correlation = compare_weights(before, now, 8)
    assert overlap == 2 / 3 and correlation == pytest.approx(np.corrcoef(a, b)[0, 1])
    assert compare_weights(before, before, 8) == (1.0, pytest.approx(1.0))
    assert compare_weights((np.empty(0, np.int64), np.empty(0, np.float32)), now, 8) == (None, None)


# --- interruptions ---


@pytest.mark.parametrize(
    "rule", [{"rule": "deep_r", "l1": 1e-3, "noise_std": 1e-3}, {"rule": "set", "period": 7}, {"rule": "soft_deep_r", "noise_std": 1e-3}]
)
def test_stopped_in_the_middle_of_every_phase(rule):
    """A new trainer at every 97th step, with nothing but the state of the one before."""
    experiment = prepare(scenario(rewiring=rule, hardware={"on_violation": "report"}, dataset={"augment": None}))
    whole, _ = make_trainer(experiment)
    whole.run()
    trainer, _ = make_trainer(experiment)
    seen = set()
    while not trainer.is_done:
        goal = trainer.step + 97
        trainer.run(should_stop=lambda: trainer.step >= goal)
        seen.add(trainer.phase)
        arrays, values = trainer.state()
        arrays, values = {name: np.array(a) for name, a in arrays.items()}, json.loads(json.dumps(values))
        trainer, _ = make_trainer(experiment)
        trainer.restore(arrays, values)
    assert seen == {0, 1, 2, 3}
    assert bits(trainer) == bits(whole)


def test_killed_at_file_operations_of_every_phase(cli_environment, tmp_path):
    """SIGKILL at every second file operation, through all phases and the control, then --resume: equal records, equal bits."""
    phases = json.dumps([dict(phase, epochs=1) for phase in SHORT])
    command = ["run", "digits_tasks", "--quiet", "--set", f"phases={phases}", "--set", "report.figures=false", "--out", "OUT"]
    script = Path(__file__).with_name("killed_at.py")
    done = subprocess.run(
        [sys.executable, str(script), str(tmp_path), json.dumps(command), json.dumps([*command, "--resume"]), "2"],
        env=cli_environment, capture_output=True, text=True, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["problems"] == [] and found["n_kills"] > 10


# --- starting from another run ---


def test_a_run_goes_on_from_another_one(tmp_path):
    """Constant rate, no end of annealing: two runs of two epochs are, but for the order of the samples, one of four."""
    first = load_scenario("digits_tasks").with_(
        phases=None, control=False, training={"epochs": 2, "optimizer": "adam", "learning_rate": 0.002}, report={"figures": False}
    )
    record, folder = run_scenario(first, out=tmp_path / "first")
    second = first.with_(start_from=str(folder))
    experiment = prepare(second)
    trainer, identity = make_trainer(experiment)
    before, _ = make_trainer(prepare(first))
    before.run()
    assert all((a == b).all() for (_, a), (_, b) in zip(before.store.state().items(), trainer.store.state().items(), strict=True))
    assert trainer.store.state()["moments"].any() and trainer._clock == before.step and trainer.step == 0
    start = positions_of(trainer.store)
    trainer.run()
    assert trainer.store.violations() == [] and any(
        (a[0].size != b[0].size) or (a[0] != b[0]).any() for a, b in zip(start, positions_of(trainer.store))
    )
    assert trainer.history[0].train_loss < record.epochs[0].train_loss and trainer.history[-1].n_arrived > 0
    settle(experiment, trainer)  # it closes
    _, other = make_trainer(prepare(first))
    assert identity != other
    again, folder2 = run_scenario(second, out=tmp_path / "second")
    assert again.accuracy.test == trainer.history[-1].test_accuracy and read_record(folder2).scenario["start_from"] == str(folder)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"network": {"layers": [64, 50, 10]}}, r"network.layers is \[64, 100, 10\] in .* and \[64, 50, 10\] here"),
        ({"hardware": {"profile": "loihi1"}}, "hardware.profile is spinnaker2_santos in .* and loihi1 here"),
        ({"training": {"optimizer": "momentum"}}, r"found shape \(0, 940\) of float32 for slots.moments"),
        ({"seed": 1}, "has seed 0, which decides the signs of rule deep_r; found 1 here"),
        ({"start_from": "nowhere"}, "nowhere"),
    ],
)
def test_what_does_not_fit_is_no_start(changes, complaint, tmp_path):
    first = load_scenario("digits_tasks").with_(phases=None, control=False, training={"epochs": 1}, report={"figures": False})
    run_scenario(first, out=tmp_path / "first")
    with pytest.raises(InputError, match=complaint) as caught:
        make_trainer(prepare(first.with_(**{"start_from": str(tmp_path / "first"), **changes})))
    assert "\n" not in str(caught.value)


# --- bad input ---


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"phases": []}, "phases: found no phase"),
        ({"phases": [{"name": "a", "epochs": 1}, {"name": "a", "epochs": 1}]}, r"phases.1.name: found a twice"),
        ({"phases": [{"name": "a", "epochs": 0}]}, "phases.0.epochs"),
        ({"phases": [{"name": "a", "epochs": 1, "relable": 1}]}, "relable.*nearest: .*relabel"),
        ({"phases": [{"name": "a", "epochs": 1, "classes": []}]}, "phases.0.classes"),
        ({"phases": [{"name": "a", "epochs": 2}], "training": {"epochs": 3}}, "training.epochs: found 3 beside phases of 2 epochs"),
        (
            {"phases": [{"name": "a", "epochs": 2, "permute_inputs": 1}], "dataset": {"augment": {"shift": 1}}},
            "pixels that are permuted are no image",
        ),
        ({"phases": None, "control": True, "training": {"epochs": 1}}, "control: found true in a scenario without phases"),
        ({"phases": None, "rewiring": {"horizon": "run"}}, "rewiring.horizon: found run in a scenario without phases"),
        ({"phases": None, "training": {"schedule": {"kind": "cosine", "restart": "run"}}}, "restart: found run in a scenario without phases"),
    ],
)
def test_phases_that_make_no_sense_are_one_line(changes, complaint):
    with pytest.raises(InputError, match=complaint) as caught:
        scenario(**changes)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "phase, complaint",
    [
        ({"dataset": "OTHER"}, r"phases.1.dataset: found 5 features and 2 classes in .*; expected 64 features and 10 classes in digits, because"),
        ({"classes": [3, 10]}, "phases.1.classes: found class 10; expected 0 to 9"),
    ],
)
def test_phases_of_another_shape_are_one_line(phase, complaint, tmp_path):
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "other.npz",
        x_train=rng.random((8, 5), np.float32),
        y_train=np.arange(8) % 2,
        x_test=rng.random((4, 5), np.float32),
        y_test=np.arange(4) % 2,
    )
    phase = {key: str(tmp_path / "other.npz") if value == "OTHER" else value for key, value in phase.items()}
    with pytest.raises(InputError, match=complaint) as caught:
        make_trainer(prepare(scenario(phases=[{"name": "a", "epochs": 1}, {"name": "b", "epochs": 1, **phase}])))
    assert "\n" not in str(caught.value)
