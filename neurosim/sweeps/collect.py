"""The folders of all points as one record."""

from pathlib import Path

import neurosim
from neurosim.results import SweepRecord, consistent, limits_of, metrics_of, read_record, summarize
from neurosim.results.sweep import Point
from neurosim.sweeps.point import read_outcome, status_of

POINTS = "points"


def point_folder(folder, point):
    """Folder of a point."""
    return Path(folder) / POINTS / point.id


def collect(plan, folder, known=None, troubles=None):
    """Record of a sweep as its folder stands.

    Parameters
    ----------
    plan : Plan
    folder : Path
    known : dict of str to Point, optional
        Points whose result has been read before; changed in place.
    troubles : dict of str to str, optional
        Why points stay missing, by their id.

    Returns
    -------
    SweepRecord
    """
    known, troubles = {} if known is None else known, troubles or {}
    points = []
    for planned in plan.points:
        if planned.id not in known or known[planned.id].status != "done":
            known[planned.id] = point_of(planned, point_folder(folder, planned), troubles.get(planned.id))
        points.append(known[planned.id])
    with consistent(folder):
        summary = summarize(points)
    return SweepRecord(
        name=plan.sweep.name,
        description=plan.sweep.description.strip(),
        base=plan.base,
        axes=plan.axes,
        seeds=plan.seeds,
        points=points,
        summary=summary,
        environment={"neurosim": neurosim.__version__},
    )


def point_of(planned, folder, trouble=None):
    """`Point` of a planned point, as its folder stands."""
    status, found = status_of(folder), {}
    if status == "done":
        record = read_record(folder)
        with consistent(folder):
            found = {"limits": limits_of(record.verdict), "metrics": metrics_of(record)}
    elif status != "missing":
        outcome = read_outcome(folder)
        found = {"reason": outcome.reason, "limits": outcome.limits, "metrics": outcome.metrics}
        if status == "unfit" and outcome.limits:
            found["violation"] = outcome.limits[0]
    else:
        found = {"reason": trouble}
    return Point(
        id=planned.id,
        group=planned.group,
        overrides=planned.overrides,
        seed=planned.scenario.seed,
        profile=planned.scenario.hardware.profile,
        profile_title=planned.profile_title,
        status=status,
        folder=f"{POINTS}/{planned.id}",
        **found,
    )
