"""Sweeps: a scenario along axes and seeds."""

import tempfile
from pathlib import Path

from neurosim.api.choosing import chosen
from neurosim.api.frames import make_frame
from neurosim.api.runs import open_run
from neurosim.documents import Document, validate
from neurosim.errors import InputError
from neurosim.results.sweep import SweepRecord, read_sweep
from neurosim.results.sweep_files import point_rows, summary_rows


class SweepResult:
    """A sweep as it stands; points that do not fit are results with their reason.

    Attributes
    ----------
    record : SweepRecord
    folder : Path, optional
        None where nothing was kept.
    """

    def __init__(self, record: SweepRecord, folder: Path | None = None):
        self.record, self.folder = record, folder

    def __repr__(self):
        where = f" in {self.folder}" if self.folder else ""
        return f"<Sweep {self.record.name}: {len(self.record.points)} points, {self.record.count('done')} done{where}>"

    @property
    def keys(self) -> list[str]:
        """Keys of the axes, in order."""
        return self.record.keys

    def to_frame(self):
        """One row per point: axes, seed, status, reason, metrics with their units: DataFrame."""
        return make_frame(point_rows(self.record))

    def summary(self):
        """One row per setting: means over the seeds with 95 % intervals: DataFrame."""
        return make_frame(summary_rows(self.record))

    def plot(self, name: str, ax=None):
        """Draw a figure of the sweep, such as ``accuracy_synapses``; see `Run.plot`."""
        from neurosim.reports.figures import SWEEP_FIGURES, draw

        return draw(name, self.record, ax, SWEEP_FIGURES)

    def open(self, point):
        """The `Run` of a finished point, by its row of `to_frame` or its id.

        Raises
        ------
        InputError
            Nothing was kept, or the point has not finished.
        """
        name = point if isinstance(point, str) else point["point"]
        found = next((one for one in self.record.points if one.id == name), None)
        if self.folder is None or found is None:
            raise InputError(f"point {name}: {'not in this sweep' if self.folder else 'nothing was kept, give sweep an out folder'}")
        return open_run(self.folder / found.folder)

    def _repr_html_(self):
        return self.summary().to_html()


def sweep(scenario, axes=None, *, seeds=None, out=None, jobs=None, data_dir=None, retry_failed=False) -> SweepResult:
    """Run a scenario along axes and seeds, in processes of their own.

    Parameters
    ----------
    scenario : Scenario, str or path-like
    axes : dict of str to list, or list of dict
        Values of each key, every one with every other: ``{"network.connectivity": [0.05, 0.2]}``; or axes as a sweep file lists
        them, with ``grid``, ``zip`` or ``list``.
    seeds : int or iterable of int, optional
        The seeds, or how many: 3 means 0, 1 and 2. That of the scenario without.
    out : path-like, optional
        Folder; a repeated call does what is missing. Without it everything but the tables is thrown away.
    jobs : int, optional
        Processes; one per core without.
    data_dir : path-like, optional
    retry_failed : bool
        Run failed points again.

    Returns
    -------
    SweepResult

    Raises
    ------
    InputError
        Before anything runs.
    """
    from neurosim.sweeps import Sweep, expand, run_sweep

    scenario = chosen(scenario)
    data = {"name": scenario.name, "base": scenario.model_dump(mode="json", exclude_unset=True)}
    if axes:
        grid = {key: list(values) for key, values in axes.items()} if isinstance(axes, dict) else None
        data["axes"] = [{"grid": grid}] if grid else list(axes)
    if seeds is not None:
        data["seeds"] = list(range(seeds)) if isinstance(seeds, int) else [int(seed) for seed in seeds]
    document = Document(data=data, path="sweep", text="", is_text=False)
    plan = expand(validate(Sweep, document, what="sweep"), document, yes=True)
    options = {"jobs": jobs, "data_dir": data_dir, "retry_failed": retry_failed}
    if out is not None:
        return SweepResult(*run_sweep(plan, out=out, **options))
    with tempfile.TemporaryDirectory(prefix="neurosim-") as folder:
        return SweepResult(run_sweep(plan, out=Path(folder) / scenario.name, **options)[0])


def open_sweep(folder) -> SweepResult:
    """A sweep from its folder, as ``neurosim sweep`` or `sweep` left it."""
    record, folder = read_sweep(folder), Path(folder)
    return SweepResult(record, folder if folder.is_dir() else folder.parent)
