"""Sweeps on a real Ray cluster of this computer: one table, a killed worker, a head that goes away."""

import importlib.util
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from test_sweep import assert_each_done_once, ended, n_ended, start, sweep, table, undisturbed, wait_for, workers_at_work  # noqa: F401  (fixtures)

pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="ray is not installed (extra: ray)"),
    pytest.mark.filterwarnings("default"),
]


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


@pytest.fixture
def head(start, tmp_path):  # noqa: F811
    """A Ray head with two workers: its address, and the process that holds all others as its children."""
    # Ray's sockets lie below this folder, and their paths must be short.
    import tempfile

    with tempfile.TemporaryDirectory(prefix="ray", ignore_cleanup_errors=True) as folder:
        port = free_port()
        while 10_000 <= port < 20_000:  # where Ray looks for ports of workers
            port = free_port()
        options = ["--head", "--block", "--num-cpus", "2", "--port", port, "--node-ip-address", "127.0.0.1", "--temp-dir", folder]
        quiet = ["--include-dashboard=false", "--disable-usage-stats"]
        # Ray makes its workers nicer than anything else, so that beside other tests they would hardly run.
        code = "import os; os.environ['RAY_worker_niceness'] = '0'; from ray.scripts.scripts import main; main()"
        process = start(tmp_path, "-W", "default", "-c", code, "start", *options, *quiet)

        def answers():
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                return False
            return bool(list(Path(folder).glob("session_*/sockets/raylet*")))

        wait_for(process, answers)
        yield f"127.0.0.1:{port}", process
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)


def test_a_killed_worker_leaves_the_table_of_one_computer(head, start, undisturbed, tmp_path):  # noqa: F811
    address, _ = head
    process = sweep(start, tmp_path, "--engine", "ray", "--scheduler", address)
    wait_for(process, lambda: n_ended(tmp_path / "out") >= 1)
    wait_for(process, lambda: workers_at_work(tmp_path / "out"))
    os.kill(min(workers_at_work(tmp_path / "out")), signal.SIGKILL)
    code, out, err = ended(process)
    assert code == 0, err
    assert all("(raylet)" in line for line in out.splitlines()), "Ray's own word for a dead worker, which nobody can turn off"
    assert table(tmp_path / "out") == table(undisturbed)
    assert_each_done_once(tmp_path / "out")


def test_a_head_that_goes_away_is_one_line_and_the_same_command_continues(head, start, undisturbed, tmp_path):  # noqa: F811
    address, cluster = head
    process = sweep(start, tmp_path, "--engine", "ray", "--scheduler", address)
    wait_for(process, lambda: n_ended(tmp_path / "out") >= 1)
    os.killpg(cluster.pid, signal.SIGKILL)
    code, out, err = ended(process)
    assert (code, out) == (1, "") and "--engine ray" in err.splitlines()[-1] and "same command continues" in err.splitlines()[-1], err
    code, _, err = ended(sweep(start, tmp_path, "--jobs", "2"))
    assert code == 0 and table(tmp_path / "out") == table(undisturbed), err


def test_no_cluster_is_one_line(cli_environment, tmp_path):
    command = [sys.executable, "-m", "neurosim.cli", "sweep", "digits_quick", "--engine", "ray"]
    environment = {**cli_environment, "RAY_TMPDIR": str(tmp_path)}  # where no cluster of somebody else is noted
    for more, words in (
        ((), "no running cluster here"),
        (("--scheduler", "127.0.0.1:9"), "nobody answers there"),
        (("--scheduler", "x"), "HOST:PORT"),
    ):
        done = subprocess.run([*command, *more], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120)
        assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1) and words in done.stderr
    assert not (tmp_path / "runs").exists()
