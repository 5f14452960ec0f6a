"""A sweep on the console: one line per group of seeds, and why some points have no result."""

from neurosim.reports.facts import words
from neurosim.reports.rich_parts import Grid, bullets, heading, line, percent
from neurosim.reports.sweep_facts import spread_text
from neurosim.results.comparison import flatten
from neurosim.results.metrics import fullest_of
from neurosim.units import format_bytes, format_count, format_si


def print_sweep(console, record):
    """Print a sweep.

    Parameters
    ----------
    console : rich.console.Console
    record : SweepRecord
    """
    counts = ", ".join(f"{n:,d} {status}" for status in ("done", "unfit", "failed", "missing") if (n := record.count(status)))
    line(console, (record.name, "bold"), f"  {len(record.points):,d} points: {counts}")
    keys = record.telling_keys
    names = [f"={key.rpartition('.')[2]}" for key in keys]
    grid = Grid("=chip", *names, "test accuracy %", "n", "synapses", "=fullest limit", "energy/sample", "traffic/sample")
    fullest = {point.group: fullest_of(point.limits) for point in record.points if point.limits}
    for group in record.summary:
        cells = [_value(group.overrides.get(key)) for key in keys]
        grid.row(group.profile, *cells, *_measured(group, fullest.get(group.group)))
    if override := {k: v for k, v in _override(record.base).items() if f"hardware.override.{k}" not in keys}:
        line(console, "numbers of the chip changed at every point: ", ", ".join(f"{key} {value}" for key, value in override.items()))
    heading(console, "points", "mean over n seeds ± 95 % interval of the mean (Student's t, from three seeds on); >=: a lower bound")
    grid.print(console)
    reasons = {}
    for group in record.summary:
        if group.reason:
            place = ", ".join([group.profile, *(f"{key}={_value(group.overrides.get(key))}" for key in keys)])
            reasons.setdefault(group.reason, []).append(place)
    if reasons:
        heading(console, "without a result")
        bullets(console, [f"{'; '.join(places)}: {reason}" for reason, places in reasons.items()])


def _override(base):
    """Changed numbers of the chip in a base scenario as it was written."""
    hardware = base.get("hardware")
    return flatten(hardware.get("override") or {}) if isinstance(hardware, dict) and isinstance(hardware.get("override"), dict) else {}


def _measured(group, limit):
    metrics = group.metrics
    accuracy, synapses = metrics.get("test_accuracy"), metrics.get("n_active")
    energy, traffic = metrics.get("energy_per_sample_j"), metrics.get("traffic_per_sample_bytes")
    return (
        spread_text(accuracy) if accuracy else _state(group),
        accuracy.n if accuracy else "",
        format_count(round(synapses.mean)) if synapses else "",
        f"{words(limit.name)} {percent(limit.used, limit.limit)}" if limit else "",
        f"{'' if group.energy_is_complete else '>= '}{format_si(energy.mean, 'J')}" if energy else "",
        format_bytes(round(traffic.mean)) if traffic else "",
    )


def _state(group):
    return next(status for status in ("unfit", "failed", "missing") if getattr(group, f"n_{status}"))


def _value(value):
    return "" if value is None else f"{value:g}" if isinstance(value, float) else str(value)
