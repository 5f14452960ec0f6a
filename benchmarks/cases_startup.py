"""Start-up: seconds from the start of ``neurosim run digits_santos`` to its first training step."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from benchmarks.row import Row


def run(settings):
    """Measure; returns list of Row."""
    with tempfile.TemporaryDirectory() as folder:
        first = _start(folder, 0)
        again = [_start(folder, index + 1) for index in range(settings.repetitions)]
    return [
        Row(
            "startup", "start", "process start to first step of digits_santos, second start", median(again), unit="s",
            bar=2.0, at_least=False, ours=median(again), peer=first, peer_name="first start (compiles)",
            figure_range=(min(again), max(again)), n_repetitions=len(again),
        )
    ]  # fmt: skip


def _start(folder, index):
    env = os.environ | {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")}
    command = [sys.executable, "-m", "benchmarks.startup_process", str(Path(folder) / f"run{index}")]
    start = time.time()
    out = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=env).stdout
    return float(out.split()[-1]) - start
