"""Measure neurosim beside its peers: ``python -m benchmarks.run`` from the repository root.

Results go to benchmarks/results/latest.json, of a quick or partial run to partial.json.
"""

import argparse
import importlib
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

# PyTorch first: it then reads OMP_WAIT_POLICY as its users have it, and not as neurosim sets it.
import torch  # noqa: F401

from benchmarks import guard, threads
from benchmarks.peers.timing import machine_facts
from benchmarks.report import format_table
from benchmarks.row import RESULTS, Settings

N_THREADS = 2
#: In the order of the issue's rows; memory and start-up run in processes of their own.
CASES = ("mnist", "layer", "wide", "memory", "scale", "rewiring", "ledger", "recurrent", "startup")


def main(arguments=None):
    """Run the chosen cases, print the table, write the JSON."""
    options = _parse(arguments)
    n_threads = threads.launch(N_THREADS)
    settings = Settings(options.repetitions or (2 if options.quick else 5), options.quick, options.data)
    facts = machine_facts() | {"n_threads": n_threads, "our_threads_sleep": threads.sleep_between_loops()}
    rows, seconds = [], {}
    for name in options.only or CASES:
        print(f"benchmarks: {name} ...", file=sys.stderr, flush=True)
        begin = time.perf_counter()
        rows += importlib.import_module(f"benchmarks.cases_{name}").run(settings)
        seconds[name] = time.perf_counter() - begin
    facts["load_average_1min_after"] = os.getloadavg()[0]
    result = {
        "format": "neurosim-benchmark-1",
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": facts,
        "settings": {k: v for k, v in vars(settings).items() if k != "data_dir"} | {"cases": list(seconds)},
        "case_seconds": seconds,
        "rows": [row.as_dict() for row in rows],
    }
    print(format_table(result))
    is_whole = not options.quick and set(seconds) == set(CASES)
    path = options.json or RESULTS / ("latest.json" if is_whole else "partial.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"\nWritten to {path}")
    guard.main([str(path)])


def _parse(arguments):
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=CASES, metavar="NAME", help=f"cases to run: {', '.join(CASES)}")
    parser.add_argument("--repetitions", type=int, metavar="N", help="rounds after warm-up [5; 2 with --quick]")
    parser.add_argument("--quick", action="store_true", help="small sizes: does it run at all? Figures mean nothing")
    parser.add_argument("--json", type=Path, metavar="PATH", help="where to write the results")
    parser.add_argument("--data", default=os.environ.get("NEUROSIM_DATA", "../shared/data"), help="folder of MNIST")
    options = parser.parse_args(arguments)
    if options.repetitions is not None and options.repetitions < 1:
        parser.error(f"--repetitions: found {options.repetitions}; expected at least 1")
    return options


if __name__ == "__main__":
    main()
