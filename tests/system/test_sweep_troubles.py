"""What a computer lacks is no result of a sweep: points stay missing, the exit code says so, and the same command does them again."""

import errno
import json
import os
import re
import subprocess
import sys

import pytest
from test_sweep import table

from neurosim.errors import CheckpointError, InputError
from neurosim.sweeps.expand import _digest
from neurosim.training import checkpoint

SWEEP = """\
name: trial
base: digits_santos
set: {training.epochs: 1, dataset.limit: 300}
axes:
  - list: [{network.connectivity: 0.05}, {network.connectivity: 0.06}, {network.connectivity: 0.9}]
"""
COMMAND = ("sweep", "trial.yaml", "--out", "out", "--jobs", "1", "--quiet")


@pytest.fixture
def sweep(main_cli, tmp_path):
    (tmp_path / "trial.yaml").write_text(SWEEP, encoding="utf-8")
    return lambda *more: main_cli(*COMMAND, *more)


def statuses(tmp_path):
    return [row["status"] for row in table(tmp_path / "out")]


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (InputError("result.json: cannot be written: No space left on device"), "No space left on device"),
        (OSError(errno.EIO, "Input/output error"), "OSError: [Errno 5] Input/output error"),
        (MemoryError("8 GB"), "MemoryError: 8 GB"),
        (KeyError("a defect of ours"), "KeyError: 'a defect of ours'"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_trouble_leaves_points_missing_and_the_same_command_does_them(problem, words, sweep, tmp_path, monkeypatch):
    def write(*arguments):
        raise problem

    with monkeypatch.context() as broken:
        broken.setattr("neurosim.scenario.runner.write_record", write)
        done = sweep()
    assert (done.code, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith("neurosim: 2 of 3 points are missing, which this computer could not work on; the first: ")
    assert words in done.err and "the same command does them again" in done.err
    assert statuses(tmp_path) == ["missing", "missing", "unfit"]
    assert words in table(tmp_path / "out")[0]["reason"]
    assert not list((tmp_path / "out").glob("points/*/claim"))
    kept = [path.stat().st_mtime_ns for path in (tmp_path / "out").glob("points/*/checkpoint.npz")]
    assert len(kept) == 2
    assert sweep().code == 0
    assert statuses(tmp_path) == ["done", "done", "unfit"]
    logs = [path.read_text(encoding="utf-8") for path in (tmp_path / "out").glob("points/*/log.txt")]
    assert len(logs) == 2 and all("resumed" in log and log.count("started") == 1 for log in logs), "the training was not lost"


def test_a_full_disk(tiny_run, cli_environment, tmp_path):  # `tiny_run`: kernels are compiled, and need no room
    """As on a small file system: no file may have more than some bytes."""
    (tmp_path / "trial.yaml").write_text(SWEEP, encoding="utf-8")
    script = (
        "import resource, sys\nfrom neurosim.cli import main\nimport neurosim.training, neurosim.kernels.compile\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]),) * 2)\nsys.exit(main(sys.argv[2:]))"
    )
    command = [sys.executable, "-c", script, "20000", *COMMAND]
    full = subprocess.run(command, cwd=tmp_path, env=cli_environment, capture_output=True, text=True, timeout=600)
    assert (full.returncode, full.stdout, full.stderr.count("\n")) == (1, "", 1)
    assert "checkpoint.npz: cannot be written: File too large" in full.stderr
    assert statuses(tmp_path) == ["missing", "missing", "unfit"]
    command[3] = "10000000"
    done = subprocess.run(command, cwd=tmp_path, env=cli_environment, capture_output=True, text=True, timeout=600)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert statuses(tmp_path) == ["done", "done", "unfit"]
    assert not [path for path in (tmp_path / "out").rglob("*") if path.name == "claim" or path.name.startswith(".")]


def test_a_checkpoint_is_thrown_away_only_when_it_cannot_be_used(sweep, tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr("neurosim.scenario.runner.write_record", lambda *arguments: 1 / 0)
        sweep()
    (path, *others) = sorted((tmp_path / "out").glob("points/*/checkpoint.npz"))
    path.write_bytes(b"damaged")
    with pytest.raises(CheckpointError):
        checkpoint.load_checkpoint(path, "")
    assert sweep().code == 0
    began = [(each.parent / "log.txt").read_text(encoding="utf-8").count("started") for each in (path, *others)]
    assert began == [2, 1]


def test_what_a_kill_leaves_in_a_point_goes_though_the_point_has_ended(sweep, tmp_path):
    """Between the result and the claim there is a moment, too."""
    assert sweep().code == 0
    before = sorted(path.relative_to(tmp_path) for path in (tmp_path / "out").rglob("*"))
    for folder in (tmp_path / "out" / "points").iterdir():
        (folder / "claim").touch()
        (folder / f".outcome.json.{2**22 + 1}.0a1b2c3d.tmp").touch()
        if not (folder / "result.json").exists():  # killed before the outcome had its name
            (folder / "outcome.json").unlink()
    assert sweep().code == 0
    assert sorted(path.relative_to(tmp_path) for path in (tmp_path / "out").rglob("*")) == before


def test_a_scenario_that_is_refused_for_what_it_says_is_a_result(main_cli, tmp_path):
    text = SWEEP.split("axes:")[0] + "axes:\n  - list: [{network.connectivity: 0.05}, {hardware.profile: truenorth}]\n"
    (tmp_path / "trial.yaml").write_text(text, encoding="utf-8")
    assert main_cli(*COMMAND).code == 0
    assert statuses(tmp_path) == ["done", "failed"]
    assert "truenorth does not learn" in table(tmp_path / "out")[1]["reason"]


RULE = """\
from dataclasses import dataclass
from neurosim.rewiring import RULES
Base = RULES["static"]

@dataclass(frozen=True)
class Mine(Base):
    pass
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_rules_of_ones_own(jobs, cli_environment, tmp_path):
    (tmp_path / "my_rule.py").write_text(RULE, encoding="utf-8")
    text = SWEEP.split("axes:")[0] + 'axes:\n  - list: [{rewiring: {rule: "my_rule:Mine"}}, {rewiring: {rule: static}}]\n'
    (tmp_path / "trial.yaml").write_text(text, encoding="utf-8")
    command = [sys.executable, "-m", "neurosim.cli", *COMMAND[:5], jobs, "--quiet"]

    def run(*more):
        return subprocess.run([*command, *more], cwd=tmp_path, env=cli_environment, capture_output=True, text=True, timeout=600)

    refused = run()
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1) and "--plugin my_rule" in refused.stderr
    done = run("--plugin", "my_rule")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert statuses(tmp_path) == ["done", "done"]
    before = [point["id"] for point in json.loads((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))["points"]]
    (tmp_path / "my_rule.py").write_text(RULE + "    # changed\n", encoding="utf-8")
    assert run("--plugin", "my_rule").returncode == 0
    after = [point["id"] for point in json.loads((tmp_path / "out" / "sweep.json").read_text(encoding="utf-8"))["points"]]
    assert before[0] != after[0] and before[1] == after[1], "another rule is another point"


def test_no_file_system_without_locks_makes_a_sweep_wait(sweep, tmp_path, monkeypatch):
    def flock(file, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr("fcntl.flock", flock)
    assert sweep().code == 0
    assert statuses(tmp_path) == ["done", "done", "unfit"]
    assert not [path for path in (tmp_path / "out").rglob("*") if "claim" in path.name or path.name.startswith(".")]


def test_waiting_for_another_sweep_is_said(sweep, main_cli, tmp_path, monkeypatch):
    """Points that others have claimed are waited for, with a word."""
    from neurosim.sweeps import engine

    calls = []

    def busy_at_first(name, path, *arguments):
        calls.append(name)
        return name, ("busy" if len(calls) < 9 else "unfit"), None

    monkeypatch.setattr(engine, "_run_named", busy_at_first)
    monkeypatch.setattr(engine, "_PATIENCE_SECONDS", 0.0)
    monkeypatch.setattr(engine, "_BUSY_SECONDS", 0.01)
    done = main_cli(*COMMAND[:-1])
    assert done.code == 0
    assert done.out.count("waiting for 3 points on which other processes work") == 1


def test_no_name_of_a_point_is_a_number():
    """A spreadsheet keeps 15 digits of a number, and reads 12e3 as 12000."""
    names = [_digest({"point": i}) for i in range(8000)]
    assert len(set(names)) == len(names) and all(re.fullmatch("[0-9a-fp][0-9a-f]{15}", name) for name in names)
    assert not [name for name in names if re.fullmatch("[0-9]+(e[0-9]+)?", name)]
    assert 1 <= sum(name.startswith("p") for name in names) < 80
