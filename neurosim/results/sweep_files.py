"""Tables of a sweep: one row per point, one row per group of seeds, and the files they are written to."""

import json
from pathlib import Path
from typing import Any

from neurosim.documents import write_atomic
from neurosim.results.files import write_table
from neurosim.results.metrics import estimate
from neurosim.results.sweep import SWEEP_FILE, Metrics, Summary

_STATUSES = ("done", "unfit", "failed", "missing")
#: Yes or no, and not a number: these have no mean.
_FLAGS = ("energy_is_complete", "time_is_complete")
_UNITS = ("_j", "_s", "_bytes")


def write_sweep(record, folder):
    """Write results.csv, results.parquet (where pyarrow is installed), summary.csv and, last of all, sweep.json.

    Parameters
    ----------
    record : SweepRecord
    folder : path-like
        Must exist.
    """
    folder = Path(folder)
    rows = list(point_rows(record))
    write_table(folder / "results.csv", rows)
    _write_parquet(folder / "results.parquet", rows)
    write_table(folder / "summary.csv", summary_rows(record))
    write_atomic(folder / SWEEP_FILE, json.dumps(record.model_dump(by_alias=True), indent=1, allow_nan=False) + "\n")


def point_rows(record):
    """One dict per point: axes (keys with dots), seed, chip, status, reason, the limit that binds, metrics."""
    for point in record.points:
        binding = point.limits[0] if point.limits else None
        yield {
            "point": point.id,
            **{key: axis_cell(point.overrides.get(key)) for key in record.keys},
            "seed": point.seed,
            "profile": point.profile,
            "status": point.status,
            "reason": point.reason,
            "fullest_limit": binding and binding.name,
            "fullest_limit_used": binding and binding.used,
            "fullest_limit_max": binding and binding.limit,
            "fullest_limit_unit": binding and binding.unit,
            **_metric_columns(point.metrics.model_dump()),
        }


def summary_rows(record):
    """One dict per group: axes, how many points of each status, and of every metric mean, 95 % interval and n."""
    for group in record.summary:
        row = {
            **{key: axis_cell(group.overrides.get(key)) for key in record.keys},
            "profile": group.profile,
            **{f"n_{status}": getattr(group, f"n_{status}") for status in _STATUSES},
            "reason": group.reason,
            **{flag: getattr(group, flag) for flag in _FLAGS},
        }
        for name in Metrics.model_fields:
            if name not in _FLAGS:
                found = group.metrics.get(name)
                stem, unit = _split_unit(name)
                for part, label in (("mean", "mean"), ("low", "ci95_low"), ("high", "ci95_high"), ("n", "n")):
                    row[f"{stem}_{label}{'' if part == 'n' else unit}"] = found and getattr(found, part)
        yield row


def summarize(points):
    """Summaries of points, one per group in order of first appearance.

    Parameters
    ----------
    points : iterable of Point

    Returns
    -------
    list of Summary
    """
    groups: dict = {}
    for point in points:
        groups.setdefault(point.group, []).append(point)
    return [_summary(group) for group in groups.values()]


def _summary(points):
    first, metrics = points[0], {}
    for name in Metrics.model_fields:
        values = [value for point in points if (value := getattr(point.metrics, name)) is not None]
        if values and name not in _FLAGS:
            metrics[name] = estimate(values)
    flags = {name: [getattr(p.metrics, name) for p in points if getattr(p.metrics, name) is not None] for name in _FLAGS}
    counts: dict[str, Any] = {f"n_{status}": sum(point.status == status for point in points) for status in _STATUSES}
    shared: dict[str, Any] = {name: all(values) if values else None for name, values in flags.items()}
    return Summary(
        group=first.group,
        overrides=first.overrides,
        profile=first.profile,
        profile_title=first.profile_title,
        n_points=len(points),
        **counts,
        reason=next((point.reason for point in points if point.reason), None),
        **shared,
        metrics=metrics,
    )


def _metric_columns(metrics):
    # Seconds of this computer at the end: the one column that differs between repetitions.
    return {**{name: value for name, value in metrics.items() if name != "train_s"}, "train_s": metrics["train_s"]}


def axis_cell(value):
    """A list or mapping as JSON, so that a cell can be read back."""
    return json.dumps(value) if isinstance(value, (list, dict)) else value


def _split_unit(name):
    """``("traffic_per_sample", "_bytes")``: the unit stays at the end of a column's name."""
    unit = next((unit for unit in _UNITS if name.endswith(unit)), "")
    return name.removesuffix(unit), unit


def _write_parquet(path, rows):
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        return
    columns = {name: _one_type([row[name] for row in rows]) for name in rows[0]}
    buffer = pyarrow.BufferOutputStream()
    parquet.write_table(pyarrow.table(columns), buffer)
    write_atomic(path, buffer.getvalue().to_pybytes())


def _one_type(cells):
    """Cells of a column; all as text when some are, such as cores 1, 4 and auto."""
    if any(isinstance(cell, str) for cell in cells):
        return [None if cell is None else str(cell) for cell in cells]
    return cells
