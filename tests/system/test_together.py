"""Runs at the same time: in one folder, in forked and spawned children, interrupted in every way. All results are kept, or refused in one line."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from test_resume import DEADLINE_S, LONG, lasting, result_of, resume, start, undisturbed, wait_for

__all__ = ["start", "undisturbed"]  # fixtures

TINY = ("run", "digits_santos", "--set", "training.epochs=2", "--set", "report.figures=false", "--quiet")


def ended(process):
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


# --- one folder ---


def test_three_runs_begun_together_have_a_folder_each(start, tmp_path):
    processes = [start(*TINY, "--set", f"seed={seed}") for seed in range(3)]
    assert [ended(process) for process in processes] == [(0, "", "")] * 3
    folders = sorted((tmp_path / "runs").iterdir())
    assert [folder.name for folder in folders] == ["digits_santos", "digits_santos-2", "digits_santos-3"]
    seeds = set()
    for folder in folders:
        seed = result_of(folder)["seed"]
        assert f"\nseed: {seed}\n" in (folder / "scenario.yaml").read_text(encoding="utf-8")
        assert (folder / "log.txt").read_text(encoding="utf-8").count("started") == 1
        assert not list(folder.glob(".*")) and not (folder / "claim").exists()
        seeds.add(seed)
    assert seeds == {0, 1, 2}


def test_three_runs_into_one_folder_are_one_run(start, tmp_path):
    processes = [start(*TINY, "--out", "run", "--set", f"seed={seed}") for seed in range(3)]
    results = [ended(process) for process in processes]
    (winner,) = [seed for seed, result in enumerate(results) if result == (0, "", "")]
    for code, out, err in results[:winner] + results[winner + 1 :]:
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert "run: a run is at work in it" in err or "run: already holds a run" in err
    assert result_of(tmp_path / "run")["seed"] == winner
    assert f"\nseed: {winner}\n" in (tmp_path / "run" / "scenario.yaml").read_text(encoding="utf-8")


def test_a_run_at_work_is_not_resumed_by_another(start, run_cli, undisturbed, tmp_path):
    process = start(*LONG, "--quiet")
    wait_for(process, tmp_path / "runs" / "digits_santos", 1)
    process.send_signal(signal.SIGSTOP)  # so that it is at work for as long as the others take
    for arguments in (("--resume",), ("--resume", "--out", "runs/digits_santos"), ("--out", "runs/digits_santos")):
        done = run_cli(*LONG, *arguments, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
        assert "a run is at work in it" in done.stderr or "already holds a run" in done.stderr
    assert not (tmp_path / "runs" / "digits_santos" / "result.json").exists(), "the run was over too early"
    process.send_signal(signal.SIGCONT)
    assert ended(process) == (0, "", "")
    assert lasting(result_of(tmp_path / "runs" / "digits_santos")) == lasting(undisturbed())


# --- interrupted ---


def test_twice_ctrl_c(start, run_cli, undisturbed, tmp_path):
    """The first is honoured at the next moment that can be resumed, the second at once."""
    process = start(*LONG, "--out", "run", "--quiet")
    wait_for(process, tmp_path / "run", 3)
    for _ in range(2):
        process.send_signal(signal.SIGINT)
    code, out, err = ended(process)
    assert (code, out, err.count("\n")) == (130, "", 1)
    assert "continue with --resume --out run" in err
    assert lasting(resume(run_cli, tmp_path)) == lasting(undisturbed())
    assert not [path.name for path in (tmp_path / "run").iterdir() if path.name == "claim" or path.name.startswith(".")]


def test_stopped_and_continued(start, undisturbed, tmp_path):
    """Ctrl-Z and fg, or a computer that sleeps."""
    process = start(*LONG, "--out", "run", "--quiet")
    for n_epochs in (1, 4):
        wait_for(process, tmp_path / "run", n_epochs)
        process.send_signal(signal.SIGSTOP)
        time.sleep(1.0)
        process.send_signal(signal.SIGCONT)
    assert ended(process) == (0, "", "")
    assert lasting(result_of(tmp_path / "run")) == lasting(undisturbed())


# --- killed at every file operation; every child lives an hour before the one before it ---

LSTM = """\
name: words
dataset: {{name: "{folder}", max_steps: 9, features: {{bands: 8}}}}
network: {{type: lstm, units: 16, connectivity: 0.25}}
hardware: {{profile: spinnaker2, cores: 2}}
training: {{epochs: 2, batch_size: 20, optimizer: adam, learning_rate: 0.03, clip: 1.0}}
rewiring: {{l1: 1e-4, noise_std: 1e-5}}
report: {{figures: false}}
"""
SWEEP = """\
name: trial
base: digits_santos
set: {training.epochs: 1, dataset.limit: 300}
axes:
  - list:
      - {network.connectivity: 0.05}
      - {network.connectivity: 0.9}
      - {network.connectivity: 0.05, training.learning_rate: 1e9}
"""


def kill_everywhere(folder, environment, command, continuation, step=1):
    script = Path(__file__).with_name("killed_at.py")
    arguments = [sys.executable, str(script), str(folder), json.dumps(command), json.dumps(continuation), str(step)]
    done = subprocess.run(arguments, cwd=folder, env=environment, capture_output=True, text=True, timeout=1800)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.slow
def test_an_lstm_run_killed_at_every_file_operation(recordings, cli_environment, tmp_path):
    (tmp_path / "words.yaml").write_text(LSTM.format(folder=recordings), encoding="utf-8")
    command = ["run", "words.yaml", "--out", "OUT", "--quiet"]
    found = kill_everywhere(tmp_path, cli_environment, command, [*command, "--resume"])
    assert found["problems"] == []
    assert found["n_kills"] > 40
    assert found["files"] == sorted(
        ["checkpoint.npz", "cores.csv", "energy.csv", "epochs.csv", "log.txt", "profile.yaml", "result.json", "scenario.yaml", "traffic.csv"]
    )


def test_a_run_killed_while_it_draws(cli_environment, tmp_path):
    command = ["run", "digits_santos", "--set", "training.epochs=1", "--set", "dataset.limit=300", "--out", "OUT", "--quiet"]
    found = kill_everywhere(tmp_path, cli_environment, command, [*command, "--resume"], step=7)
    assert found["problems"] == []
    assert found["n_operations"] > 70 and len([name for name in found["files"] if name.startswith("figures/")]) > 5


@pytest.mark.slow
def test_a_sweep_killed_at_every_file_operation(cli_environment, tmp_path):
    (tmp_path / "trial.yaml").write_text(SWEEP, encoding="utf-8")
    command = ["sweep", "trial.yaml", "--out", "OUT", "--jobs", "1", "--quiet"]
    found = kill_everywhere(tmp_path, cli_environment, command, command)
    assert found["problems"] == []
    assert found["n_kills"] > 80
    assert not [name for name in found["files"] if "claim" in name or "/." in name or name.startswith(".")]


# --- children ---

POOLS = """\
import json, multiprocessing, sys
from pathlib import Path
from neurosim.scenario import load_scenario, run_scenario

def lasting(record):
    data = record.model_dump(by_alias=True)
    return {key: value for key, value in data.items() if key not in ("timing", "environment")}

def run(out, *overrides):
    plain = ("training.epochs=2", "report.figures=false", "training.batch_size=128", *overrides)
    record, folder = run_scenario(load_scenario("digits_santos", plain), out=out)
    return json.dumps(lasting(record), sort_keys=True), record.environment["threads"]

if __name__ == "__main__":
    import neurosim.nn.mlp as mlp
    mlp.PARALLEL_WORK = 0  # the steps with threads, too
    first, n_threads = run("first")
    with multiprocessing.get_context("fork").Pool(2) as pool:
        forked = pool.map(run, ["forked-1", "forked-2"])
        deeper = pool.apply_async(run, ["forked-3", "seed=5"]).get()
    assert [text for text, _ in forked] == [first, first], "forked children differ"
    assert [n for _, n in forked] == [1, 1], "a forked child has one thread"
    assert deeper[0] != first
    again, n_after = run("again")
    assert (again, n_after) == (first, n_threads), "the parent goes on as before"
    import joblib
    for text, n in joblib.Parallel(n_jobs=2, backend="multiprocessing")(joblib.delayed(run)(f"joblib-{i}") for i in range(2)):
        assert text == first and n == 1
    print(n_threads)
"""


@pytest.mark.slow
def test_forked_pools_give_the_same_bits(cli_environment, tmp_path):
    """GNU's OpenMP does not survive a fork; the kernels do."""
    (tmp_path / "pools.py").write_text(POOLS, encoding="utf-8")
    done = subprocess.run([sys.executable, "pools.py"], cwd=tmp_path, env=cli_environment, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")
    assert int(done.stdout) == (os.cpu_count() or 1)


SPAWNED = """\
import multiprocessing
from neurosim.scenario import load_scenario, run_scenario

def run(out):
    return run_scenario(load_scenario("digits_santos", ("training.epochs=2", "report.figures=false")), out=out)[0].accuracy.test

if __name__ == "__main__":
    first = run("first")
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        assert pool.map(run, ["spawned-1", "spawned-2"]) == [first, first]
        try:
            pool.apply(run, ["first"])
        except Exception as error:
            assert "already holds a run" in str(error), error
        else:
            raise AssertionError("ran twice in one folder")
"""


def test_a_spawned_pool(cli_environment, tmp_path):
    (tmp_path / "pools.py").write_text(SPAWNED, encoding="utf-8")
    done = subprocess.run([sys.executable, "pools.py"], cwd=tmp_path, env=cli_environment, capture_output=True, text=True, timeout=900)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_the_switch_a_forked_child_is_refused(cli_environment, tmp_path):
    """Versions of Numba that were not tried: one line instead of figures that nobody computed."""
    script = """\
import os
from neurosim.kernels import forks
forks._TRIED = ()
from neurosim.scenario import load_scenario, run_scenario
def run(out):
    return run_scenario(load_scenario("digits_santos", ("training.epochs=1", "report.figures=false")), out=out)
run("first")
if os.fork() == 0:
    try:
        run("forked")
    except Exception as error:
        print(type(error).__name__, error, flush=True)
    os._exit(0)
os.wait()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=cli_environment, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stderr, done.stdout.count("\n")) == (0, "", 1)
    assert done.stdout.startswith("NeurosimError this process was forked from one that had run kernels")
    assert not (tmp_path / "forked").exists()


def test_numba_has_what_the_switch_stands_between():
    """Fails where a version of Numba moved it, or is not among those that were tried."""
    import numba
    from numba.np.ufunc import parallel

    from neurosim.kernels import forks

    numba.get_num_threads()
    if parallel.threading_layer() != "omp" or not forks._is_gnu_openmp():
        pytest.skip("no GNU OpenMP here")
    assert numba.version_info.short in forks._TRIED and forks._engine is not None
