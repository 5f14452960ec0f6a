"""A run that is killed or interrupted and then resumed gives the result of a run left alone."""

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from neurosim.nn.mlp import PARALLEL_WORK

N_EPOCHS = 12
# Four cores and 10,000 synapses: an epoch takes some tenths of a second and packets cross cores.
LONG = (
    *("run", "digits_santos"),
    *("--set", "network.layers=[64, 600, 100, 10]", "--set", "network.connectivity=0.1"),
    *("--set", "hardware.profile=spinnaker2", "--set", "hardware.cores=4"),
    *("--set", f"training.epochs={N_EPOCHS}", "--set", "report.figures=false"),
)
BATCH_256 = ("--set", "training.batch_size=256")  # 9,940 synapses x 256 samples: the parallel kernel
DEADLINE_S = 240  # includes a compilation of all kernels on a busy machine


def result_of(folder):
    return json.loads((folder / "result.json").read_text(encoding="utf-8"))


def lasting(record):
    """A record without what may differ between two runs of one scenario."""
    return {key: value for key, value in record.items() if key not in ("timing", "environment")}


def progress_of(folder):
    """(epochs, steps in the next one) that the checkpoint holds; None before there is one."""
    try:
        with np.load(folder / "checkpoint.npz", allow_pickle=False) as archive:
            values = json.loads(json.loads(archive["meta"].tobytes())["text"])["values"]
    except FileNotFoundError:
        return None
    return len(values["history"]), values["step_in_epoch"]


@pytest.fixture
def start(cli_environment, tmp_path):
    """Call ``start(*arguments)``: a run in the background, in `tmp_path`; killed at the end if it still lives."""
    processes = []

    def begin(*arguments):
        command = [sys.executable, "-W", "error", "-m", "neurosim.cli", *arguments]
        process = subprocess.Popen(command, cwd=tmp_path, env=cli_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def wait_for(process, folder, n_epochs):
    """Return as soon as the checkpoint holds `n_epochs`."""
    end = time.monotonic() + DEADLINE_S
    while time.monotonic() < end:
        progress = progress_of(folder)
        if progress is not None and progress[0] >= n_epochs:
            return
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        time.sleep(0.002)
    pytest.fail(f"no checkpoint of {n_epochs} epochs within {DEADLINE_S} s")


def kill(process):
    process.kill()  # SIGKILL: no handler, no clean-up
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "the run was over before it was killed"


@pytest.fixture(scope="module")
def undisturbed(run_cli, tmp_path_factory):
    """Call ``undisturbed(*arguments)``: result of the long run left alone, each asked for once."""
    known = {}

    def result(*arguments):
        if arguments not in known:
            folder = tmp_path_factory.mktemp("undisturbed")
            done = run_cli(*LONG, *arguments, "--out", "run", "--quiet", cwd=folder)
            assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
            known[arguments] = result_of(folder / "run")
            # Guard against empty comparisons: something was rewired, packets crossed cores.
            assert known[arguments]["connectivity"]["rewired"] > 100
            assert min(core["packets"]["sent"] for core in known[arguments]["cores"]) > 0
        return known[arguments]

    return result


def resume(run_cli, cwd, *arguments):
    done = run_cli(*LONG, *arguments, "--out", "run", "--resume", "--json", cwd=cwd)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == result_of(cwd / "run")
    return result_of(cwd / "run")


def wait_and_kill(start, folder, random_moment, *arguments):
    """Start the long run and kill it at a random moment of a random epoch."""
    process = start(*LONG, *arguments, "--out", "run", "--quiet")
    wait_for(process, folder, random_moment.randrange(1, N_EPOCHS - 6))
    time.sleep(random_moment.uniform(0, 0.1))
    kill(process)
    assert not (folder / "result.json").exists()
    n_epochs, _ = progress_of(folder)
    assert 1 <= n_epochs < N_EPOCHS


@pytest.mark.parametrize("moment", [0, 1, 2])
def test_killed_and_resumed(moment, start, run_cli, undisturbed, tmp_path):
    wait_and_kill(start, tmp_path / "run", random.Random(moment))
    assert lasting(resume(run_cli, tmp_path)) == lasting(undisturbed())


def test_killed_twice(start, run_cli, undisturbed, tmp_path):
    process = start(*LONG, "--out", "run", "--quiet")
    wait_for(process, tmp_path / "run", 2)
    kill(process)
    process = start(*LONG, "--out", "run", "--quiet", "--resume")
    wait_for(process, tmp_path / "run", 5)
    kill(process)
    assert lasting(resume(run_cli, tmp_path)) == lasting(undisturbed())


def test_killed_before_the_first_epoch_ends(start, run_cli, undisturbed, tmp_path):
    process = start(*LONG, "--out", "run", "--quiet")
    wait_for(process, tmp_path / "run", 0)
    kill(process)
    assert progress_of(tmp_path / "run") == (0, 0)
    assert lasting(resume(run_cli, tmp_path)) == lasting(undisturbed())


def test_resumed_by_the_name_of_the_scenario(start, run_cli, undisturbed, tmp_path):
    process = start(*LONG, "--quiet")
    wait_for(process, tmp_path / "runs" / "digits_santos", 1)
    kill(process)
    done = run_cli(*LONG, "--resume", "--json", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert lasting(json.loads(done.stdout)) == lasting(undisturbed())
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["digits_santos"]


def test_a_killed_run_leaves_files_that_can_be_read(start, tmp_path):
    folder = tmp_path / "run"
    process = start(*LONG, "--out", "run", "--quiet")
    wait_for(process, folder, 2)
    kill(process)
    names = {path.name for path in folder.iterdir() if not path.name.endswith(".tmp")}
    assert names == {"checkpoint.npz", "scenario.yaml", "profile.yaml", "log.txt", "claim"}  # nobody's: its lock ended with the process
    assert "epoch 2/12" in (folder / "log.txt").read_text(encoding="utf-8")


# --- threads ---

needs_two_threads = pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="one processor: nothing to compare")


@needs_two_threads
def test_one_and_two_threads_agree(undisturbed):
    one, two = undisturbed(*BATCH_256, "--threads", "1"), undisturbed(*BATCH_256, "--threads", "2")
    assert (one["environment"]["threads"], two["environment"]["threads"]) == (1, 2)
    assert one["connectivity"]["active"] * 256 >= PARALLEL_WORK
    assert lasting(one) == lasting(two)


@needs_two_threads
def test_killed_with_two_threads_and_resumed_with_one(start, run_cli, undisturbed, tmp_path):
    process = start(*LONG, *BATCH_256, "--threads", "2", "--out", "run", "--quiet")
    wait_for(process, tmp_path / "run", 1)
    kill(process)
    assert progress_of(tmp_path / "run")[0] < N_EPOCHS
    resumed = resume(run_cli, tmp_path, *BATCH_256, "--threads", "1")
    assert lasting(resumed) == lasting(undisturbed(*BATCH_256, "--threads", "2"))


# --- signals that can be handled ---


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=lambda number: number.name)
def test_interrupted_and_resumed(number, start, run_cli, undisturbed, tmp_path):
    folder = tmp_path / "run"
    process = start(*LONG, "--out", "run")
    wait_for(process, folder, 2)
    time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert err.startswith("neurosim: interrupted in epoch ") and err.count("\n") == 1
    assert "checkpoint written: continue with --resume --out run" in err
    epoch, step, n_steps = map(int, re.search(r"epoch (\d+), step (\d+) of (\d+)", err).groups())
    # The work up to the signal is kept, to the step: not only whole epochs.
    assert progress_of(folder) == (epoch - 1, step)
    assert 0 < step <= n_steps
    assert "interrupted in epoch" in (folder / "log.txt").read_text(encoding="utf-8")
    assert not (folder / "result.json").exists()
    assert lasting(resume(run_cli, tmp_path)) == lasting(undisturbed())


def test_interrupted_before_the_training_starts(start, tmp_path):
    """Ctrl-C while packages are still being loaded: exit code 130, one line or none, no traceback."""
    process = start(*LONG, "--out", "run")
    time.sleep(0.8)
    if (tmp_path / "run").exists():
        pytest.skip("this machine was faster than the signal")
    process.send_signal(signal.SIGINT)
    try:
        _, err = process.communicate(timeout=2)
    except subprocess.TimeoutExpired:  # Python drops what is raised inside of callbacks of an import: a user asks again
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode in (130, -signal.SIGINT)  # the latter while Python itself starts
    if process.returncode == 130:
        assert "Traceback" not in err


# --- what resume refuses, or has nothing to do for ---


def tree(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def finished(tiny_run, tmp_path):
    """A copy of the finished run of two epochs in ``tmp_path/run``."""
    shutil.copytree(tiny_run.folder, tmp_path / "run")
    return tmp_path / "run"


TINY = ("run", "digits_santos", "--set", "training.epochs=2", "--out", "run", "--resume")


def test_resume_of_a_finished_run_prints_the_result_and_changes_nothing(finished, main_cli):
    before = tree(finished)
    result = main_cli(*TINY, "--json")
    assert (result.code, result.err) == (0, "")
    assert json.loads(result.out) == result_of(finished)
    table = main_cli(*TINY)
    assert table.code == 0
    assert f"{result_of(finished)['accuracy']['test']:.2%}".rstrip("%") in table.out
    assert tree(finished) == before


def test_resume_after_the_last_epoch_but_before_the_result(finished, main_cli, tiny_run):
    for name in ("result.json", "epochs.csv", "cores.csv", "traffic.csv", "energy.csv"):
        (finished / name).unlink()
    assert main_cli(*TINY, "--quiet").code == 0
    assert lasting(result_of(finished)) == lasting(tiny_run.record.model_dump(by_alias=True))
    assert (finished / "cores.csv").read_bytes() == (tiny_run.folder / "cores.csv").read_bytes()


def test_resume_completes_files_that_a_kill_left_out(finished, main_cli, tiny_run):
    """result.json is the first file of the end of a run: killed right after it, the others are missing."""
    shutil.rmtree(finished / "figures")
    (finished / "energy.csv").unlink()
    assert main_cli(*TINY, "--quiet").code == 0
    assert set(tree(finished)) == set(tree(tiny_run.folder))


@pytest.mark.parametrize(
    "change",
    ["seed=1", "training.epochs=3", "training.learning_rate=0.4", "network.layers.1=90", "dataset.limit=500", "rewiring.period=2", "name=other"],
)
def test_resume_with_another_scenario_is_refused(change, finished, main_cli):
    before = tree(finished)
    result = main_cli(*TINY, "--set", change)
    assert (result.code, result.out) == (2, "")
    assert result.err.count("\n") == 1
    for fragment in ("checkpoint.npz", "different scenario", "--out"):
        assert fragment in result.err
    assert tree(finished) == before


def test_words_and_figures_may_change(finished, main_cli):
    """What does not decide the course of a run does not forbid to resume it."""
    result = main_cli(*TINY, "--set", "description=hello", "--set", "report.figures=false", "--json")
    assert (result.code, result.err) == (0, "")


def test_resume_without_a_run_is_refused(main_cli, tmp_path):
    for arguments, fragment in ((TINY, "checkpoint.npz"), (("run", "digits_santos", "--resume"), "runs/digits_santos")):
        result = main_cli(*arguments)
        assert (result.code, result.out) == (2, "")
        assert result.err.count("\n") == 1
        assert fragment in result.err and "without --resume" in result.err
    assert list(tmp_path.iterdir()) == []
