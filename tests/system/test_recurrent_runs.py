"""Recurrent networks on recordings from the scenario to the files of a run."""

import json
import signal
import time

import numpy as np
import pytest
from test_resume import kill, lasting, needs_two_threads, progress_of, result_of, start, wait_for

from neurosim.scenario import load_scenario, prepare, run_scenario

__all__ = ["start"]  # a fixture

SCENARIO = """\
name: words
dataset: {{name: "{folder}", max_steps: 9, features: {{bands: 8}}}}
network: {{type: lstm, units: 16, connectivity: 0.25}}
hardware: {{profile: spinnaker2, cores: 2}}
training: {{epochs: 8, batch_size: 20, optimizer: adam, learning_rate: 0.03, clip: 1.0}}
rewiring: {{l1: 1e-4, noise_std: 1e-5}}
report: {{figures: false}}
"""


@pytest.fixture
def words(recordings, tmp_path):
    """Path of a scenario on the recordings."""
    path = tmp_path / "words.yaml"
    path.write_text(SCENARIO.format(folder=recordings), encoding="utf-8")
    return path


def run(words, *overrides, out="run"):
    return run_scenario(load_scenario(str(words), overrides), out=words.parent / out)[0]


def test_it_learns_and_its_record_says_what_ran(words):
    record = run(words)
    data, net = record.dataset, record.connectivity
    assert (data.n_train, data.n_test, data.n_features, data.n_classes) == (96, 60, 72, 6)
    assert record.accuracy.test > 0.6  # of six words
    assert [m.name for m in net.matrices] == ["inputs to lstm 1", "lstm 1 to itself", "lstm 1 to outputs"]
    assert [(m.n_pre, m.n_post) for m in net.matrices] == [(8, 64), (16, 64), (16, 6)]
    assert [m.active for m in net.matrices] == [128, 256, 24]
    assert net.rewired > 50 and net.least_active == net.most_active == net.active == 408
    assert min(core.packets["sent"] for core in record.cores) > 0
    assert not any("clip" in line for line in record.profile.not_modelled)
    assert all("unrolled_state" in core.memory_bytes.sections for core in record.cores)


@pytest.mark.parametrize(
    "overrides",
    [
        ("network.type=rnn", "network.readout=mean", "training.window=3"),
        ("network.units=[8, 6]", "network.connectivity=[0.3, 0.3, 0.4, 0.4, 1.0]", "training.batch_size=1", "training.optimizer=sgd"),
        ("rewiring={rule: dense}", "training.optimizer=momentum"),
        ("rewiring={rule: rigl, period: 3}", "hardware.cores=1"),
        ("rewiring={rule: set, period: 3}", "rewiring.scope=network", "hardware.headroom=0.5"),
        ("rewiring={rule: soft_deep_r, noise_std: 1e-3}",),
        ("rewiring={rule: prune, period: 2}",),
        ("rewiring={rule: static}", "hardware.weight_format=int8", "hardware.rounding=stochastic"),
        ("network.connectivity=fit", "hardware.code_bytes=122000", "hardware.cores=1"),
    ],
    ids=lambda overrides: " ".join(overrides),
)
def test_every_kind_of_training_works(overrides, words):
    scenario = load_scenario(str(words), ("training.epochs=3", *overrides))
    record, _ = run_scenario(scenario, out=words.parent / "run")
    assert all(np.isfinite(epoch.train_loss) for epoch in record.epochs)
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    promised = prepare(scenario).placement.workload.n_active
    if scenario.rewiring.rule in ("deep_r", "set", "rigl", "static", "dense"):
        assert record.connectivity.active == sum(promised)
    if scenario.rewiring.rule == "dense":
        assert record.connectivity.fraction == 1.0


def test_check_knows_all_sizes_without_opening_a_recording(words, recordings, main_cli, tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    for path in recordings.iterdir():
        (folder / path.name).touch()
    used = []
    for steps in (9, 49, 89):
        result = main_cli("check", words, "--set", f"dataset.name={folder}", "--set", f"dataset.max_steps={steps}", "--json")
        verdict = json.loads(result.out)
        assert result.code == 0 and verdict["n_active"] == [128, 256, 24]
        used.append(verdict["cores"][0]["sections"]["unrolled_state"])
    # 8 units: gates, c and h, and the copies of 8 states of the other core.
    assert used[1] - used[0] == used[2] - used[1] == 40 * (8 * 6 + 8) * 4


def test_reports_speak_of_steps_and_units(words, main_cli, tmp_path):
    result = main_cli("run", words, "--set", "training.epochs=1", "--set", "report={figures: true, html: true}", "--out", "run")
    assert result.code == 0, result
    assert "lstm of 16 units over 9 steps of 8 inputs" in " ".join(result.out.split())
    page = (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
    assert "lstm of 16 units over 9 steps of 8 inputs" in page and "lstm 1 to itself" in page
    assert (tmp_path / "run" / "figures" / "weights.png").stat().st_size > 10_000


def test_a_sweep_over_the_keys_of_recurrent_networks(words, main_cli, tmp_path):
    (tmp_path / "trial.yaml").write_text(
        "name: trial\nbase: words.yaml\nset: {training.epochs: 1}\naxes:\n  - grid:\n      network.type: [lstm, rnn]\n"
        "      training.window: [2, 9]\n  - list:\n      - {network.units: 6, network.readout: mean}\n      - {dataset.features.bands: 5}\n"
        "      - {network.units: [300, 300], network.connectivity: 1.0}\n",
        encoding="utf-8",
    )
    result = main_cli("sweep", "trial.yaml", "--jobs", "1", "--json")
    assert result.code == 0, result
    points = json.loads(result.out)["points"]
    assert len(points) == 12
    status = {(p["overrides"]["network.type"], str(p["overrides"].get("network.units"))): p["status"] for p in points}
    assert status[("lstm", "6")] == status[("lstm", "None")] == "done"
    assert status[("lstm", "[300, 300]")] == "unfit"
    unfit = next(p for p in points if p["status"] == "unfit")
    assert unfit["metrics"]["n_possible"] == unfit["metrics"]["n_active"] > 10**6


def test_export_for_sanafe_is_refused(words, main_cli):
    run(words, "training.epochs=1")
    result = main_cli("export", "run", "--format", "sanafe", "--out", "replay")
    assert result.code == 2 and len(result.err.splitlines()) == 1 and "type lstm works step by step" in result.err
    assert main_cli("export", "run", "--format", "action-counts").code == 0


# --- reproducibility ---

LONG = ("--set", "training.epochs=40", "--set", "training.batch_size=32", "--set", "network.units=[24, 24]", "--quiet")


@needs_two_threads
def test_killed_with_two_threads_and_resumed_with_one(words, start, run_cli, tmp_path):
    command = ("run", "words.yaml", *LONG)
    whole = run_cli(*command, "--out", "whole", "--threads", "1", cwd=tmp_path)
    assert (whole.returncode, whole.stdout, whole.stderr) == (0, "", "")
    process = start(*command, "--out", "run", "--threads", "2")
    wait_for(process, tmp_path / "run", 3)
    time.sleep(0.02)
    kill(process)
    assert 3 <= progress_of(tmp_path / "run")[0] < 40
    resumed = run_cli(*command, "--out", "run", "--threads", "1", "--resume", cwd=tmp_path)
    assert (resumed.returncode, resumed.stderr) == (0, "")
    left_alone = result_of(tmp_path / "whole")
    assert left_alone["connectivity"]["rewired"] > 100
    assert lasting(result_of(tmp_path / "run")) == lasting(left_alone)


def test_interrupted_within_an_epoch_and_resumed(words, start, run_cli, tmp_path):
    command = ("run", "words.yaml", *LONG, "--set", "training.batch_size=1", "--set", "training.learning_rate=0.002")
    process = start(*command, "--out", "run")
    wait_for(process, tmp_path / "run", 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 130 and "checkpoint written" in err
    for out, more in (("run", ["--resume"]), ("whole", [])):
        assert run_cli(*command, "--out", out, *more, cwd=tmp_path).returncode == 0
    assert lasting(result_of(tmp_path / "run")) == lasting(result_of(tmp_path / "whole"))
