"""Runs side by side in a terminal: what differs, and the numbers, each with its ratio to the first run."""

from neurosim.reports.facts import bytes_text, percent_text
from neurosim.reports.rich_parts import Grid, heading, line
from neurosim.units import UNKNOWN, format_bytes, format_count, format_si


def _per_cent(value):
    return percent_text(value) or UNKNOWN


#: Metric, what it is called, how it is written, and the metric that says whether it is complete.
ROWS = (
    ("test_accuracy", "test accuracy", _per_cent, None),
    ("best_accuracy", "best accuracy", _per_cent, None),
    ("n_active", "synapses", format_count, None),
    ("connectivity", "of possible ones", _per_cent, None),
    ("n_rewired", "exchanged", format_count, None),
    ("n_cores", "cores", format_count, None),
    ("synapses_per_core_max", "synapses, fullest core", format_count, None),
    ("bytes_per_core_max", "memory, fullest core", format_bytes, None),
    ("bytes_per_core_limit", "its limit", format_bytes, None),
    ("traffic_per_sample_bytes", "traffic per sample", bytes_text, None),
    ("energy_per_sample_j", "energy per sample", lambda v: format_si(v, "J"), "energy_is_complete"),
    ("time_per_sample_s", "time per sample, on the chip", lambda v: format_si(v, "s"), "time_is_complete"),
    ("n_epochs", "epochs", format_count, None),
    ("train_s", "simulation time", lambda v: format_si(v, "s"), None),
)
#: Instead of a number: of a scenario that was placed and not trained; of a core whose memory is no single one with a limit.
NOT_RUN, DOES_NOT_APPLY = "not run", "-"


def print_comparison(console, comparison):
    """Print runs side by side.

    Parameters
    ----------
    console : rich.console.Console
    comparison : dict
        From `neurosim.results.comparison.compare`.
    """
    names = comparison.get("labels", comparison["runs"])
    if comparison["does_not_fit"]:
        line(console, ("DOES NOT FIT", "bold red"), f"  its chip, shown for comparison: {', '.join(comparison['does_not_fit'])}")
    if not_run := comparison.get("not_run"):
        line(console, ("not run", "bold"), f"  placed on its chip, and not trained: {', '.join(not_run)}")
    if comparison["differences"]:
        line(console, ("differences", "bold"), "  of scenario, chip, data and software; all else is equal")
        grid = Grid("=key", *(f"<{name}" for name in names))
        for row in comparison["differences"]:
            grid.row(row["key"], *map(_value, row["values"]), style="yellow")
        grid.print(console)
    else:
        line(console, ("no differences", "bold"), "  all are of one scenario, chip, data set and version")
    heading(console, "results", "in brackets: beside the first run")
    grid = Grid("=", *names)
    if names != comparison["runs"]:
        grid.row("what", *comparison["runs"])
    for row in metric_rows(comparison):
        grid.row(*row)
    grid.print(console)
    if assumed := comparison.get("assumed"):
        line(console, f"energies count with prices that are assumed: {', '.join(assumed)}")
    if any(metrics[key] is False for metrics in comparison["metrics"] for key in ("energy_is_complete", "time_is_complete")):
        line(console, ">= is a lower bound: part of what happened has no price or duration, and counts nothing")


def metric_rows(comparison):
    """Name of each metric that any run knows, and its text for each run: lists of str."""
    metrics, untrained = comparison["metrics"], [name in comparison.get("not_run", ()) for name in comparison["runs"]]
    for key, name, form, is_complete in ROWS:
        values = [one[key] for one in metrics]
        if all(value is None for value in values):
            continue
        bounds = [is_complete is not None and one[is_complete] is False for one in metrics]
        missing = [DOES_NOT_APPLY if key == "bytes_per_core_limit" else NOT_RUN if alone else UNKNOWN for alone in untrained]
        yield [name, *(gone if value is None else _text(value, values[0], form, key, bound) for value, bound, gone in zip(values, bounds, missing))]


def _text(value, first, form, key, is_bound):
    text = (">= " if is_bound else "") + form(value)
    if first is None or value == first:
        return text
    if key.endswith("accuracy"):
        return f"{text} ({100 * (value - first):+.2f})"
    return f"{text} (x {value / first:.3g})" if first else text


def _value(value):
    if value is None:
        return "not set"
    return "[" + ", ".join(map(str, value)) + "]" if isinstance(value, (list, tuple)) else str(value)
