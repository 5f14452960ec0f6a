"""Sweeps through the command line: repeated, killed, interrupted, side by side, on a Dask cluster: one table."""

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

# Six points of about a second, a point that diverges and one that does not fit, each with two seeds.
SWEEP = """\
name: trial
base: digits_santos
set:
  network.layers: [64, 300, 100, 10]
  training.epochs: 12
seeds: [0, 1]
axes:
  - list:
      - {network.connectivity: 0.05}
      - {network.connectivity: 0.06}
      - {network.connectivity: 0.04}
      - {network.connectivity: 0.9}
      - {network.connectivity: 0.05, training.learning_rate: 1e9}
"""
N_POINTS = 10
DEADLINE_S = 240  # includes a compilation of all kernels on a busy machine


@pytest.fixture
def start(cli_environment):
    """Call ``start(cwd, *arguments)``: a command in the background, in a process group of its own, as a shell starts it."""
    processes = []

    def begin(cwd, *arguments):
        command = [sys.executable, "-W", "error", *map(str, arguments)]
        process = subprocess.Popen(
            command, cwd=cwd, env=cli_environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        processes.append(process)
        return process

    yield begin
    for process in processes:
        if process.poll() is None:
            process.kill()
        process.communicate()


def sweep(start, cwd, *arguments):
    (cwd / "trial.yaml").write_text(SWEEP, encoding="utf-8")
    return start(cwd, "-m", "neurosim.cli", "sweep", "trial.yaml", "--out", "out", "--quiet", *arguments)


def ended(process):
    out, err = process.communicate(timeout=DEADLINE_S)
    return process.returncode, out, err


def table(folder):
    """results.csv without the seconds of this computer."""
    with open(folder / "results.csv", encoding="utf-8", newline="") as file:
        return [{key: value for key, value in row.items() if key != "train_s"} for row in csv.DictReader(file)]


def n_ended(folder):
    return len(list(folder.glob("points/*/result.json"))) + len(list(folder.glob("points/*/outcome.json")))


def assert_each_done_once(folder):
    """No point was run to its end twice. A kill right behind result.json may cost the line in log.txt that says so."""
    times = [(path.parent / "log.txt").read_text(encoding="utf-8").count(" done: ") for path in folder.glob("points/*/result.json")]
    assert len(times) == 6 and max(times) == 1 and sum(times) >= 4


def wait_for(process, condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert process.poll() is None, f"ended too early: {process.communicate()}"
        assert time.monotonic() < end, "nothing happened"
        time.sleep(0.005)


@pytest.fixture(scope="module")
def undisturbed(run_cli, tmp_path_factory):
    """Folder of the sweep, left alone. Do not change it."""
    folder = tmp_path_factory.mktemp("undisturbed")
    (folder / "trial.yaml").write_text(SWEEP, encoding="utf-8")
    done = run_cli("sweep", "trial.yaml", "--out", "out", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert "6 done, 2 unfit, 2 failed" in done.stdout
    return folder / "out"


def test_every_point_is_a_result(undisturbed):
    rows = table(undisturbed)
    assert [row["status"] for row in rows] == ["done"] * 6 + ["unfit"] * 2 + ["failed"] * 2
    assert all(float(row["test_accuracy"]) > 0.5 for row in rows[:6])
    assert len({row["test_accuracy"] for row in rows[:6]}) > 1
    assert "local_memory" in rows[6]["reason"] and int(rows[6]["fullest_limit_used"]) > int(rows[6]["fullest_limit_max"]) > 0
    assert "not finite" in rows[8]["reason"] and rows[8]["test_accuracy"] == ""
    record = json.loads((undisturbed / "sweep.json").read_text(encoding="utf-8"))
    assert record["points"][6]["violation"]["name"] == "local_memory"
    assert [group["n_done"] for group in record["summary"]] == [2, 2, 2, 0, 0]
    low, mean, high = (record["summary"][0]["metrics"]["test_accuracy"][key] for key in ("low", "mean", "high"))
    assert low < mean < high


def test_a_point_is_an_ordinary_run(undisturbed, run_cli, tmp_path):
    point = json.loads((undisturbed / "sweep.json").read_text(encoding="utf-8"))["points"][0]
    folder = undisturbed / point["folder"]
    done = run_cli("run", folder / "scenario.yaml", "--out", "alone", "--quiet", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    alone, mine = (json.loads((path / "result.json").read_text(encoding="utf-8")) for path in (tmp_path / "alone", folder))
    assert alone["accuracy"] == mine["accuracy"] and alone["energy"] == mine["energy"]


def test_a_repeated_sweep_does_nothing(undisturbed, run_cli):
    before = {path: path.stat().st_mtime_ns for path in undisturbed.glob("points/*/*")}
    rows = table(undisturbed)
    done = run_cli("sweep", "trial.yaml", "--out", "out", "--json", cwd=undisturbed.parent)
    assert (done.returncode, done.stderr) == (0, "")
    assert [point["status"] for point in json.loads(done.stdout)["points"]] == [row["status"] for row in rows]
    assert {path: path.stat().st_mtime_ns for path in undisturbed.glob("points/*/*")} == before
    assert table(undisturbed) == rows


def test_killed_three_times_and_finished(start, undisturbed, tmp_path):
    moments, folder = random.Random(6), tmp_path / "out"
    for n_before in (0, 1, 2):  # early enough that a quick machine has points left after the third
        process = sweep(start, tmp_path, "--jobs", "2")
        wait_for(process, lambda: n_ended(folder) >= n_before and list(folder.glob("points/*/checkpoint.npz")))
        time.sleep(moments.uniform(0, 0.3))
        process.kill()  # SIGKILL: its workers are left behind
        process.communicate(timeout=20)  # they hold its output open until they have noticed
    assert n_ended(folder) < N_POINTS, "nothing was left to finish"
    assert ended(sweep(start, tmp_path, "--jobs", "2")) == (0, "", "")
    assert table(folder) == table(undisturbed)
    assert_each_done_once(folder)


@pytest.mark.parametrize(("number", "jobs"), [(signal.SIGINT, 2), (signal.SIGTERM, 1)])
def test_interrupted_and_continued(number, jobs, start, undisturbed, tmp_path):
    folder = tmp_path / "out"
    process = sweep(start, tmp_path, "--jobs", jobs)
    wait_for(process, lambda: n_ended(folder) >= 1)
    if number == signal.SIGINT:
        os.killpg(process.pid, number)  # a terminal tells the whole group
    else:
        process.send_signal(number)
    code, out, err = ended(process)
    assert (code, out) == (130, ""), err
    assert err.count("\n") == 1 and "the same command continues" in err
    assert {row["status"] for row in table(folder)} >= {"missing"}
    assert ended(sweep(start, tmp_path, "--jobs", "2")) == (0, "", "")
    assert table(folder) == table(undisturbed)
    assert_each_done_once(folder)


def test_two_sweeps_in_one_folder_share_the_points(start, undisturbed, tmp_path):
    both = [sweep(start, tmp_path, "--jobs", "1") for _ in range(2)]
    assert [ended(process) for process in both] == [(0, "", "")] * 2
    assert table(tmp_path / "out") == table(undisturbed)
    assert_each_done_once(tmp_path / "out")


def test_a_point_whose_process_dies_is_given_up_and_the_others_go_on(start, tmp_path):
    """A worker that is killed again and again, as for lack of memory, costs its point and not the sweep."""
    text = SWEEP.replace("training.epochs: 12", "training.epochs: 100000").split("seeds:")[0]
    (tmp_path / "long.yaml").write_text(text + "axes:\n  - grid: {network.connectivity: [0.02, 0.9]}\n", encoding="utf-8")
    process = start(tmp_path, "-m", "neurosim.cli", "sweep", "long.yaml", "--out", "out", "--quiet", "--jobs", "2")
    killed = set()
    while len(killed) < 3:
        wait_for(process, lambda: (found := workers_at_work(tmp_path / "out")) and not found <= killed)
        for worker in workers_at_work(tmp_path / "out") - killed:
            killed.add(worker)
            os.kill(worker, signal.SIGKILL)
    code, out, err = ended(process)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "1 of 2 points are missing" in err and "out of memory" in err
    assert [row["status"] for row in table(tmp_path / "out")] == ["missing", "unfit"]  # not a result: another computer may have more
    assert "out of memory" in table(tmp_path / "out")[0]["reason"]


def workers_at_work(folder):
    """Processes that hold the claim of a point that has a checkpoint."""
    found = set()
    for path in folder.glob("points/*/checkpoint.npz"):
        claim = path.parent / "claim"
        for process in Path("/proc").iterdir():
            if process.name.isdigit():
                try:
                    opened = [os.readlink(link) for link in (process / "fd").iterdir()]
                except OSError:
                    continue
                if str(claim) in opened:
                    found.add(int(process.name))
    return found


def test_failed_points_run_again_only_when_asked(main_cli, tmp_path):
    text = SWEEP.replace("seeds: [0, 1]\n", "").split("axes:")[0] + "axes:\n  - list: [{network.connectivity: 0.05, training.learning_rate: 1e9}]\n"
    (tmp_path / "wild.yaml").write_text(text, encoding="utf-8")
    command = ("sweep", "wild.yaml", "--out", "out", "--jobs", "1", "--quiet")
    starts = []
    for more in ((), (), ("--retry-failed",)):
        assert main_cli(*command, *more).code == 0
        (log,) = (tmp_path / "out").glob("points/*/log.txt")
        starts.append(log.read_text(encoding="utf-8").count("started: ") + log.read_text(encoding="utf-8").count("resumed: "))
        assert [row["status"] for row in table(tmp_path / "out")] == ["failed"]
    assert starts == [1, 1, 2]


# --- a cluster ---


@pytest.fixture
def cluster(start, tmp_path):
    """A Dask scheduler and two workers on this computer: (address, workers)."""
    pytest.importorskip("distributed")
    address = tmp_path / "scheduler.json"
    quiet = ("--no-dashboard",)
    scheduler = start(tmp_path, "-W", "default", "-m", "dask", "scheduler", "--host", "127.0.0.1", "--port", "0", "--scheduler-file", address, *quiet)
    wait_for(scheduler, address.exists)
    target = json.loads(address.read_text(encoding="utf-8"))["address"]
    options = ("--nthreads", "1", "--no-nanny", "--local-directory", tmp_path / "dask", *quiet)
    workers = [start(tmp_path / name, "-W", "default", "-m", "dask", "worker", target, *options) for name in folders(tmp_path, "a", "b")]
    yield target, workers
    for process in (*workers, scheduler):
        process.terminate()


def folders(parent, *names):
    """New folders: workers do not share the folder in which the sweep was started."""
    for name in names:
        (parent / name).mkdir()
        yield name


def n_workers_of(address):
    from distributed import Client

    with Client(address, timeout=60) as client:
        return len(client.scheduler_info()["workers"])


@pytest.mark.filterwarnings("default")
def test_dask_with_a_worker_killed_in_the_middle(cluster, start, undisturbed, tmp_path):
    address, workers = cluster
    wait_for(workers[0], lambda: n_workers_of(address) == 2)
    process = sweep(start, tmp_path, "--engine", "dask", "--scheduler", address)
    wait_for(process, lambda: n_ended(tmp_path / "out") >= 1)
    wait_for(process, lambda: workers[0].pid in workers_at_work(tmp_path / "out"))
    workers[0].kill()
    code, out, err = ended(process)
    assert (code, out) == (0, ""), err
    assert workers[1].poll() is None
    assert table(tmp_path / "out") == table(undisturbed)
    assert_each_done_once(tmp_path / "out")
