"""``neurosim warmup``: what it compiles is all that a run needs, and a run of what is compiled says no word of it."""

import os
import signal
import subprocess
import sys

import pytest

from neurosim.kernels import cache
from neurosim.scenario import warmup

SMALL = ["digits_santos", "--set", "training.epochs=1", "--set", "report.figures=false"]


def test_after_a_warmup_nothing_compiles_and_no_word_is_said_of_it(main_cli, run_cli, tmp_path):
    first = main_cli("warmup", "digits_santos", "--jobs", "1")
    assert first.code == 0 and "kernels of digits_santos: " in first.out, first
    again = run_cli("warmup", "digits_santos", "--jobs", "2", cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout == f"kernels of digits_santos: there already, in {cache.CACHE_FOLDER}\n"
    run = run_cli("run", *SMALL, cwd=tmp_path)
    assert (run.returncode, run.stderr) == (0, "")
    assert "once per version" not in run.stdout and "compiling" not in run.stdout
    assert run_cli("warmup", "digits_santos", "--quiet", cwd=tmp_path).stdout == ""


@pytest.mark.parametrize("name", ["digits_santos", "mnist_santos_64kb", "fsdd_lstm_santos"])
def test_stand_ins_have_the_shape_and_type_of_the_data(name, request):
    scenario = warmup.load_scenario(name)
    data = warmup.stand_in(scenario)
    assert data.shape == scenario.dataset.shape()
    real = (
        scenario.dataset.load(request.getfixturevalue("mnist_dir" if "mnist" in name else "fsdd_dir"))
        if "digits" not in name
        else scenario.dataset.load()
    )
    for part in ("x_train", "y_train", "x_test", "y_test"):
        ours, theirs = getattr(data, part), getattr(real, part)
        assert (ours.dtype, ours.ndim, ours.shape[1:], ours.flags.c_contiguous, ours.flags.writeable) == (
            theirs.dtype, theirs.ndim, theirs.shape[1:], theirs.flags.c_contiguous, theirs.flags.writeable,
        )  # fmt: skip


def test_two_processes_divide_the_tasks_between_them():
    tasks, bounds = warmup._list_tasks(3), warmup.multiprocessing.get_context("spawn").Array("i", [0, 9])
    front, back = warmup._take(tasks, bounds, 0), warmup._take(tasks, bounds, 1)
    taken = [next(front), next(back), next(back), next(front), *back]
    assert sorted(taken) == sorted(tasks) and len(taken) == 9
    assert next(front, None) is None


def test_refusals_are_one_line(main_cli, monkeypatch):
    refused = main_cli("warmup", "digits_santoz")
    assert refused.code == 2 and "nearest: digits_santos" in refused.err
    unfit = main_cli("warmup", "digits_santos", "--set", "network.layers=[64,5000,10]", "--set", "network.connectivity=0.9")
    assert unfit.code == 3 and unfit.err.startswith("neurosim: ")
    missing = main_cli("warmup", "digits_santos", "--set", "dataset.name=nowhere/own.csv")
    assert missing.code == 2 and "nowhere/own.csv" in missing.err
    monkeypatch.setattr(cache, "CACHE_FOLDER", None)
    homeless = main_cli("warmup", "digits_santos")
    assert (homeless.code, homeless.err.count("\n")) == (2, 1) and "NUMBA_CACHE_DIR" in homeless.err


def _processes_of(folder):
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as file:
                environment = file.read()
            with open(f"/proc/{pid}/stat") as file:
                state = file.read().rsplit(")", 1)[1].split()[0]
        except OSError:
            continue
        if str(folder).encode() in environment and state != "Z":
            found.append(int(pid))
    return found


@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="processes are listed in /proc")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_both_processes(number, cli_environment, tmp_path):
    command = [sys.executable, "-m", "neurosim.cli", "warmup", "digits_santos", "--jobs", "2"]
    environment = {**cli_environment, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        assert "compiling 0 of" in process.stdout.readline()
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert (process.returncode, err) == (130, "neurosim: interrupted\n")
    assert not _processes_of(tmp_path / "cache")
