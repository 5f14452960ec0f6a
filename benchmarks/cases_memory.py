"""Row 7: bytes per synapse of a whole process, peak, minus one that does the same with a tiny network."""

import json
import subprocess
import sys

from benchmarks.row import Row

#: Synapses -> hidden neurons: 1 % connectivity in the first two matrices.
SIZES = {10**5: 2236, 10**6: 7071, 10**7: 22361}


def run(settings):
    """Measure; returns list of Row."""
    rows = []
    n_bar = 10**6 if settings.is_quick else 10**7
    for batch_size in (1, 128):
        empty = _process(1000, 64, batch_size)
        for n_active in SIZES:
            if n_active > n_bar:
                continue
            full = _process(n_active, SIZES[n_active], batch_size)
            own = (full["peak_bytes"] - empty["peak_bytes"]) / n_active
            has_bar = batch_size == 1 and n_active == n_bar
            rows.append(
                Row(
                    f"bytes_{n_active}_batch{batch_size}", "7",
                    f"bytes per synapse, {n_active:.0e} synapses, batch {batch_size}",
                    own, unit="bytes", bar=32.0 if has_bar else None, at_least=False,
                    ours=full["peak_bytes"], peer=empty["peak_bytes"], peer_name="empty process", measured_in="bytes",
                    n_repetitions=1,
                    notes=[f"arrays of the store {full['store_bytes'] / n_active:.1f}, of the activations and errors "
                           f"{full['tile_bytes'] / n_active:.1f} bytes per synapse"],
                    values={"n_active": n_active, "batch_size": batch_size, **full},
                )
            )  # fmt: skip
    return rows


def _process(n_active, n_hidden, batch_size):
    command = [sys.executable, "-m", "benchmarks.memory_process", str(n_active), str(n_hidden), str(batch_size)]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
