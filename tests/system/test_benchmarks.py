"""Parts of the benchmarks that need no peer still run."""

import json
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
