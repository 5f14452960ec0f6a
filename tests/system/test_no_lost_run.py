"""Finished training is never lost, and figures that cannot be true are never written."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
from test_recurrent_runs import SCENARIO

from neurosim.errors import InputError, LedgerError, TrainingDivergedError
from neurosim.nn import Mlp
from neurosim.results import read_record
from neurosim.scenario import load_scenario, prepare, record, run_scenario

SHORT = ("run", "digits_santos", "--set", "training.epochs=2", "--out", "run")
PLAIN = (*SHORT, "--set", "report.figures=false")
RESULTS = {"result.json", "epochs.csv", "cores.csv", "traffic.csv", "energy.csv"}


def names(folder):
    return {path.name for path in folder.iterdir()}


# --- all that a record needs is computed before training ---


@pytest.mark.parametrize("kind", ["rnn", "lstm"])
def test_more_cores_than_units(kind, recordings, tmp_path, main_cli):
    path = tmp_path / "words.yaml"
    path.write_text(SCENARIO.format(folder=recordings), encoding="utf-8")
    command = ("words.yaml", "--set", f"network.type={kind}", "--set", "network.units=2", "--set", "hardware.cores=12", "--json")
    check = main_cli("check", *command)
    assert (check.code, check.err) == (0, "")
    done = main_cli("run", *command, "--set", "training.epochs=1", "--out", "run")
    assert (done.code, done.err) == (0, "")
    found = json.loads(done.out)
    assert len(found["cores"]) == 12 and min(core["n_neurons"] for core in found["cores"]) == 0
    assert found["verdict"]["unrolling"] == json.loads(check.out)["unrolling"]


@pytest.mark.parametrize("part", ["_core_parts", "_metrics", "price_sensitivity", "render_record"])
def test_a_record_that_cannot_be_made_is_told_before_training(part, tmp_path, monkeypatch):
    """Whatever the reason: it fails before the first step, and before anything is written."""

    def broken(*arguments):
        raise KeyError(part)

    monkeypatch.setattr(record, part, broken)
    monkeypatch.setattr(Mlp, "train", lambda *arguments: pytest.fail("trained"))
    with pytest.raises(KeyError, match=part):
        run_scenario(load_scenario("digits_santos"), out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_the_rehearsal_leaves_the_training_alone():
    from neurosim.scenario.trainer import make_trainer

    experiment = prepare(load_scenario("digits_santos", ["training.epochs=1"]))
    trainers = [make_trainer(experiment, None)[0] for _ in range(2)]
    record.rehearse_record(experiment, trainers[0], 1)
    for trainer in trainers:
        trainer.compile()
        trainer.run()
    one, two = (trainer.state() for trainer in trainers)
    assert all((one[0][name] == two[0][name]).all() for name in two[0]) and one[0].keys() == two[0].keys()
    assert {**one[1], "history": 0, "seconds": 0} == {**two[1], "history": 0, "seconds": 0}


# --- figures come last, and in our own way ---


@pytest.mark.parametrize(
    "settings",
    [{"MPLBACKEND": "module://matplotlib_inline.backend_inline"}, {"MPLBACKEND": "nonsense"}, {"MATPLOTLIBRC": "matplotlibrc"}],
    ids=["of Jupyter", "unknown", "LaTeX"],
)
def test_settings_of_matplotlib_change_nothing(settings, tiny_run, cli_environment, tmp_path):
    (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.size: 30\naxes.facecolor: red\n")
    command = [sys.executable, "-W", "error", "-m", "neurosim.cli", *SHORT]
    done = subprocess.run(command, cwd=tmp_path, env={**cli_environment, **settings}, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr) == (0, "")
    figures = sorted(path.name for path in (tmp_path / "run" / "figures").iterdir())
    assert figures == sorted(path.name for path in (tiny_run.folder / "figures").iterdir()) != []
    for name in figures:  # but for those that say how long this computer took
        assert (tmp_path / "run" / "figures" / name).read_bytes() == (tiny_run.folder / "figures" / name).read_bytes()


@pytest.mark.parametrize("problem", [RuntimeError("no font\nof this name"), MemoryError(), InputError("figures/cores.png: cannot be written")])
def test_a_drawing_problem_is_one_line_and_costs_no_result(problem, main_cli, tmp_path, monkeypatch):
    def draw(*arguments, **options):
        assert names(tmp_path / "run") >= RESULTS, "the result is written first"
        raise problem

    monkeypatch.setattr("neurosim.reports.publish.publish_run", draw)
    done = main_cli(*SHORT, "--quiet")
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert "the figures could not be drawn" in done.err and done.err.endswith("the result is complete: neurosim report run\n")
    assert read_record(tmp_path / "run").accuracy.test > 0.5
    monkeypatch.undo()
    os.chdir(tmp_path)
    assert main_cli("report", "run").code == 0
    assert len(names(tmp_path / "run" / "figures")) > 5


def test_a_point_of_a_sweep_is_done_without_its_figures(tmp_path, monkeypatch):
    from neurosim.sweeps.point import run_point, status_of

    monkeypatch.setattr("neurosim.reports.publish.publish_run", lambda *arguments, **options: 1 / 0)
    scenario = load_scenario("digits_santos", ["training.epochs=1"])
    assert run_point(str(tmp_path), scenario.model_dump(mode="json", exclude_none=True)) == status_of(tmp_path) == "done"


# --- figures that cannot be true ---


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("accuracy", "test", 4.6e16),
        ("accuracy", "best", 1.5),
        ("accuracy", "per_epoch", [0.5, -0.1]),
        ("accuracy", "train_per_epoch", [0.5, float("nan")]),
        ("epochs", "test_accuracy", 1.0001),
        ("epochs", "train_loss", -0.1),
        ("epochs", "test_loss", float("inf")),
    ],
)
def test_a_record_has_bounds(part, key, value, tiny_run, tmp_path):
    data = tiny_run.record.model_dump(by_alias=True)
    where = data[part][0] if part == "epochs" else data[part]
    where[key] = value
    (tmp_path / "result.json").write_text(json.dumps(data))
    with pytest.raises(
        InputError, match=rf"result.json: ({part}\.[\w.]*: Input should be|not a readable result \((NaN|Infinity) is not a finite number\))"
    ):
        read_record(tmp_path)


def trained(monkeypatch, change):
    """Train a little with an evaluation that says something else."""
    from neurosim.scenario.trainer import make_trainer

    evaluate = Mlp.evaluate
    monkeypatch.setattr(Mlp, "evaluate", lambda *arguments: replace(evaluate(*arguments), **change))
    trainer, _ = make_trainer(prepare(load_scenario("digits_santos", ["training.epochs=2"])), None)
    trainer.run()


@pytest.mark.parametrize("change", [{"accuracy": 4.6e16}, {"accuracy": 0.0, "loss": 0.0}, {"accuracy": 0.5, "loss": 0.3}, {"loss": -1.0}])
def test_an_epoch_that_contradicts_itself_ends_the_run(change, monkeypatch):
    """A sample that is not classified costs ln 2 nats at least."""
    with pytest.raises(LedgerError, match="epoch 1: test accuracy .* cannot both be true"):
        trained(monkeypatch, change)


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_a_test_loss_that_is_not_finite_is_divergence(loss, monkeypatch):
    with pytest.raises(TrainingDivergedError, match="the loss on the test samples is not finite"):
        trained(monkeypatch, {"loss": loss})


# --- signals and folders ---


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("moment", ["make_trainer", "rehearse_record", "compile"])
@pytest.mark.parametrize("resumed", [False, True])
def test_a_signal_while_a_run_loads_or_compiles(number, moment, resumed, main_cli, tmp_path, monkeypatch):
    if resumed:
        assert main_cli(*PLAIN, "--quiet").code == 0
        (tmp_path / "run" / "result.json").unlink()
    place = {"make_trainer": "neurosim.scenario.runner", "rehearse_record": "neurosim.scenario.record"}.get(moment, "neurosim.training.loop.Trainer")
    monkeypatch.setattr(f"{place}.{moment}", lambda *arguments: os.kill(os.getpid(), number))
    done = main_cli(*PLAIN, *(["--resume"] if resumed else []))
    assert (done.code, done.err.count("\n")) == (130, 1)
    assert done.err.startswith("neurosim: interrupted")
    if moment == "compile":
        assert done.err.endswith("what the checkpoint holds is kept: continue with --resume --out run\n")
    elif not resumed:
        assert not (tmp_path / "run").exists()
    monkeypatch.undo()
    os.chdir(tmp_path)
    assert main_cli(*PLAIN, *(["--resume"] if resumed or moment == "compile" else []), "--quiet").code == 0


def test_a_signal_during_a_first_compilation_is_not_kept_waiting(cli_environment, tmp_path):
    """Of the minute or more that compilation takes, at most the function that LLVM works on is waited for."""
    command = [sys.executable, "-m", "neurosim.cli", *PLAIN]
    process = subprocess.Popen(
        command,
        cwd=tmp_path,
        env={**cli_environment, "NUMBA_CACHE_DIR": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        # After this line a run has its folder, and then compiles its steps.
        assert any("epochs done" in line for line in process.stdout), process.stderr.read()
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "neurosim: interrupted at once; what the checkpoint holds is kept: continue with --resume --out run\n")


def test_a_threading_layer_that_is_not_there_is_one_line(cli_environment, tmp_path):
    for layer in ("tbb", "nonsense"):
        command = [sys.executable, "-m", "neurosim.cli", *PLAIN]
        done = subprocess.run(
            command, cwd=tmp_path, env={**cli_environment, "NUMBA_THREADING_LAYER": layer}, capture_output=True, text=True, timeout=300
        )
        if layer == "tbb" and done.returncode == 0:
            continue  # this computer has it
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert done.stderr.startswith(f"neurosim: NUMBA_THREADING_LAYER: found '{layer}'")
