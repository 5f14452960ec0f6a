"""Parts of the benchmarks that need no peer still run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_of_a_process_is_measured():
    """Slots, gradients, table and stack of 5000 synapses take more than 20 bytes each, and less than the process."""
    command = [sys.executable, "-m", "benchmarks.memory_process", "5000", "128", "1"]
    found = json.loads(subprocess.run(command, cwd=REPOSITORY, check=True, capture_output=True, text=True, timeout=300).stdout)
    assert found["n_active"] == 5000
    assert 20 * 5000 < found["store_bytes"] < found["peak_bytes"]
    assert found["tile_bytes"] > 0


@pytest.mark.parametrize(("policy", "sleep"), [(None, True), ("active", False)])
def test_threads_leave_the_cores_to_others_between_loops(policy, sleep):
    """As neurosim sets it; whoever sets OMP_WAIT_POLICY has it otherwise."""
    code = "import numba; from benchmarks import threads as t; print(t.launch(2), t.sleep_between_loops(), numba.threading_layer())"
    environment = {key: value for key, value in os.environ.items() if key not in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT")}
    environment |= {"OMP_WAIT_POLICY": policy} if policy else {}
    command = [sys.executable, "-c", code]
    found = subprocess.run(command, cwd=REPOSITORY, env=environment, check=True, capture_output=True, text=True, timeout=300).stdout
    n_threads, sleeps, layer = found.split()
    if n_threads != "2" or layer != "omp" or sys.platform != "linux":
        pytest.skip(f"{n_threads} thread(s) of {layer}: how they wait is not ours to set")
    assert sleeps == str(sleep)
