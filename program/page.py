"""Writes the tables of docs/cycles.md anew: cycles of every loop, and time and energy of runs by phase.

python -m program.page                          # the loops
python -m program.page runs/mnist_santos_64kb   # and the phases of finished runs, in the order given
"""

import json
import re
import sys
from pathlib import Path

from neurosim.hardware.program import load_program

PAGE = Path(__file__).parent.parent / "docs" / "cycles.md"
CORES = ("cortex_m4f", "arm968")
_PHASES = ("forward", "backward", "gradient", "update", "rewire")


def loops_table():
    """Markdown: cycles of a turn of every loop, with the least and most over the settings of the compiler."""
    tables = [load_program(name) for name in CORES]
    rows = ["| loop | Cortex-M4F | ARM968E-S |", "| --- | --- | --- |"]
    for loop in dict.fromkeys(loop for table in tables for loop in table.loops):
        cells = [_range(table.loops[loop]) if loop in table.loops else "not counted" for table in tables]
        rows.append(f"| `{loop}` | {' | '.join(cells)} |")
    return "\n".join(rows)


def _range(cycles):
    return f"{cycles[0]:g} ({min(cycles):g} to {max(cycles):g})"


def phases_table(folders):
    """Markdown: time and energy per trained sample of each phase of each run, with their ranges."""
    rows = ["| scenario | phase | time, µs | share | energy, µJ |", "| --- | --- | --- | --- | --- |"]
    for folder in folders:
        record = json.loads((Path(folder) / "result.json").read_text(encoding="utf-8"))
        n = record["dataset"]["n_train"] * len(record["epochs"])
        timing, energy = record["timing"], record["energy"]
        total = timing["model_training_s"]
        ends, joule_ends = timing["model_by_phase_range_s"], energy["by_phase_range_j"]
        sums = [0.0, 0.0, 0.0, 0.0]
        for phase in _PHASES:
            (low, high), (low_j, high_j) = ends[phase], joule_ends[phase]
            seconds, joules = timing["model_by_phase_s"][phase], energy["by_phase_j"][phase]
            sums = [a + b for a, b in zip(sums, (low, high, low_j, high_j), strict=True)]
            name = record["scenario"]["name"]
            rows.append(
                f"| `{name}` | {phase} | {1e6 * seconds / n:.1f} ({1e6 * low / n:.1f} to {1e6 * high / n:.1f}) | {100 * seconds / total:.1f} % | "
                f"{1e6 * joules / n:.3f} ({1e6 * low_j / n:.3f} to {1e6 * high_j / n:.3f}) |"
            )
        static = energy["by_phase_j"].get("static", 0.0)
        joules = sum(energy["by_phase_j"][phase] for phase in _PHASES)
        rows.append(
            f"| | **all** | {1e6 * total / n:.1f} ({1e6 * sums[0] / n:.1f} to {1e6 * sums[1] / n:.1f}) | | "
            f"{1e6 * joules / n:.3f} ({1e6 * sums[2] / n:.3f} to {1e6 * sums[3] / n:.3f}){', and static power' if static else ''} |"
        )
    return "\n".join(rows)


def put(text, mark, table):
    """The page with another table between ``<!-- mark -->`` and the next ``<!-- end -->``."""
    return re.sub(rf"(<!-- {mark} -->\n).*?(?=\n<!-- end -->)", lambda found: found[1] + table, text, count=1, flags=re.DOTALL)


def main(folders):
    """Write the page."""
    text = put(PAGE.read_text(encoding="utf-8"), "loops", loops_table())
    if folders:
        text = put(text, "phases", phases_table(folders))
    PAGE.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
