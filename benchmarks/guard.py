"""Regression guard: ``python -m benchmarks.guard [RESULT] [--baseline PATH]``.

Compares the figures of a result with the committed baseline and prints a line ``warning: ...`` for
every one that lost more than 15 %. Seconds are never compared: they belong to one machine. Always exits 0.
"""

import argparse
import json
from pathlib import Path

from benchmarks.row import RESULTS

MAX_LOSS = 0.15


def find_losses(result, baseline):
    """Warnings, one line each; empty when nothing was lost.

    Parameters
    ----------
    result, baseline : dict
        As written by `benchmarks.run`.
    """
    if result["settings"]["is_quick"] != baseline["settings"]["is_quick"]:
        return ["a quick run and a full run have different sizes: nothing compared"]
    lines = []
    rows = {row["key"]: row for row in result["rows"]}
    for old in baseline["rows"]:
        new = rows.get(old["key"])
        if new is None:
            if _was_measured(old, result):
                lines.append(f"{old['key']}: in the baseline, but not in this result")
        elif old["unit"] != "s":
            loss = _loss(old, new)
            if loss > MAX_LOSS:
                lines.append(
                    f"{old['key']}: {new['figure']:.3g} {new['unit']}, {loss:.0%} worse than the baseline's {old['figure']:.3g} ({new['case']})"
                )
    return lines


def _loss(old, new):
    """Fraction of the baseline's figure that was lost; negative for a gain."""
    if old["at_least"]:
        return 1 - new["figure"] / old["figure"]
    if old["unit"] == "share":
        # Of the work that is left: a share of 1 % that became 2 % is no loss of 100 %.
        return (new["figure"] - old["figure"]) / (1 - old["figure"])
    return new["figure"] / old["figure"] - 1


def _was_measured(old, result):
    """Whether this result measured the row's part of the suite at all."""
    return old["number"] in {row["number"] for row in result["rows"]}


def main(arguments=None):
    """Print the comparison."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__.splitlines()[0])
    parser.add_argument("result", nargs="?", type=Path, default=RESULTS / "latest.json")
    parser.add_argument("--baseline", type=Path, default=RESULTS / "baseline.json")
    options = parser.parse_args(arguments)
    for path in (options.result, options.baseline):
        if not path.exists():
            print(f"guard: nothing compared, {path} does not exist")
            return
    result, baseline = (json.loads(path.read_text(encoding="utf-8")) for path in (options.result, options.baseline))
    losses = find_losses(result, baseline)
    for line in losses:
        print(f"warning: {line}")
    if not losses:
        print(f"guard: nothing lost more than {MAX_LOSS:.0%} against {options.baseline}")


if __name__ == "__main__":
    main()
