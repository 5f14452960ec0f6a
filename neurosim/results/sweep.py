"""What a sweep leaves: `SweepRecord` in ``sweep.json``, one row per point in ``results.csv``, means in ``summary.csv``.

    SWEEP/sweep.json        the `SweepRecord`: everything that tables, figures and pages say about a sweep
    SWEEP/results.csv       tidy: one row per point (axes, seed, status, reason, metrics), units in the column names
    SWEEP/results.parquet   the same table, where pyarrow is installed
    SWEEP/summary.csv       one row per group (the points that differ in nothing but their seed)
    SWEEP/sweep.yaml        the sweep as used
    SWEEP/points/ID/        one run folder per point, as `neurosim run` writes it

A point is ``done`` (its folder holds result.json), ``unfit`` (its chip refuses it: `violation` says which limit, and `limits`
how full each resource would be), ``failed`` (diverged, broken data; `reason` is one line) or ``missing`` (not run to
its end yet). Metrics that are not known are None, empty in a table, never 0: an unfit point knows its synapses and bytes
and has no accuracy.
"""

from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from neurosim.results.reading import read_json_record

SWEEP_SCHEMA = "neurosim.sweep/1"
SWEEP_FILE = "sweep.json"
CHIP = "hardware.profile"

Status = Literal["done", "unfit", "failed", "missing"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Axis(_Part):
    """One axis: every value is a set of overrides of `keys`, such as ``{"hardware.profile": "loihi1", "hardware.cores": 1}``.

    A value that leaves a key out keeps what the base scenario says.
    """

    keys: list[str]
    values: list[dict[str, Any]]


class LimitUse(_Part):
    """One limit of the chip at its fullest place; `over` when used > limit. `core` is None for a limit of the chip."""

    name: str
    where: str
    core: int | None = None
    used: int
    limit: int
    unit: str
    source: str


class Metrics(_Part):
    """What is compared between points; None: not known.

    Attributes
    ----------
    test_accuracy, best_accuracy : float
        Fractions; of the weights at the end, and of the best epoch.
    validation_accuracy : float
        Of the weights at the end, where there is a validation set: settings are then chosen by it, and not by the test set.
    n_active, n_possible : int
        Synapses at the end, and positions they could take; `connectivity` is their ratio.
    synapses_per_core_max, bytes_per_core_max, bytes_per_core_limit : int
        Of the fullest core. The limit is None where the chip counts its memory in other units: see `Point.limits`.
    memory_bytes : int
        All that all its cores keep.
    energy_per_sample_j : float
        Per trained sample; with `energy_is_complete` false a lower bound, and None when nothing has a price.
    traffic_per_sample_bytes : float
        Read and written by the chip per trained sample, without host transfer and evaluation.
    time_per_sample_s : float
        Of the modelled chip; with `time_is_complete` false a lower bound.
    train_s : float
        On the computer that ran the simulation: the one number that differs between repetitions.
    """

    test_accuracy: float | None = None
    best_accuracy: float | None = None
    validation_accuracy: float | None = None
    n_active: int | None = None
    n_possible: int | None = None
    connectivity: float | None = None
    n_rewired: int | None = None
    n_cores: int | None = None
    synapses_per_core_max: int | None = None
    bytes_per_core_max: int | None = None
    bytes_per_core_limit: int | None = None
    memory_bytes: int | None = None
    energy_per_sample_j: float | None = None
    energy_is_complete: bool | None = None
    traffic_per_sample_bytes: float | None = None
    time_per_sample_s: float | None = None
    time_is_complete: bool | None = None
    n_epochs: int | None = None
    train_s: float | None = None


class Point(_Part):
    """One scenario of the sweep.

    Attributes
    ----------
    id : str
        Hash of the resolved scenario, its chip's file and the version of neurosim; name of its folder.
    group : str
        Hash shared by the points that differ in nothing but their seed.
    overrides : dict
        Key and value of every axis at this point, without the seed.
    profile, profile_title : str
        The chip.
    reason : str, optional
        One line: why it is unfit or failed.
    violation : LimitUse, optional
        Of an unfit point: the first limit that binds, the one exceeded by the largest factor.
    limits : list of LimitUse
        Every limit of the chip that is modelled, at its fullest place, fullest first; known for done and unfit points.
    folder : str
        Relative to the folder of the sweep.
    """

    id: str
    group: str
    overrides: dict[str, Any]
    seed: int
    profile: str
    profile_title: str
    status: Status
    reason: str | None = None
    violation: LimitUse | None = None
    limits: list[LimitUse] = []
    folder: str
    metrics: Metrics = Metrics()


class Estimate(_Part):
    """Mean over `n` seeds. `low` and `high`: 95 % confidence interval of the mean (Student's t); None with one seed."""

    n: int
    mean: float
    std: float | None = None
    low: float | None = None
    high: float | None = None


class Summary(_Part):
    """The points of one group: how many of each status, and an `Estimate` of every metric that is known.

    With ``is_complete`` keys: whether energy and time of all its points are complete, or lower bounds.
    """

    group: str
    overrides: dict[str, Any]
    profile: str
    profile_title: str
    n_points: int
    n_done: int
    n_unfit: int
    n_failed: int
    n_missing: int
    reason: str | None = None
    energy_is_complete: bool | None = None
    time_is_complete: bool | None = None
    metrics: dict[str, Estimate]


class SweepRecord(_Part):
    """A sweep as it stands; complete when no point is ``missing``."""

    schema_: str = Field(default=SWEEP_SCHEMA, alias="schema")
    name: str
    description: str = ""
    base: dict[str, Any]
    axes: list[Axis]
    seeds: list[int]
    points: list[Point]
    summary: list[Summary]
    environment: dict[str, Any] = {}

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def keys(self):
        """Keys of all axes, in order."""
        return [key for axis in self.axes for key in axis.keys]

    @property
    def telling_keys(self):
        """Keys that tell points of one chip apart.

        The other keys of an axis that names each of its chips once (cores, execution, ...) follow from the chip.
        """
        found = []
        for axis in self.axes:
            chips = [value.get(CHIP) for value in axis.values]
            found += [] if CHIP in axis.keys and len(set(chips)) == len(chips) else [key for key in axis.keys if key != CHIP]
        return found

    def count(self, status):
        """Number of points of a status."""
        return sum(point.status == status for point in self.points)


def is_sweep(path):
    """Whether a path is the folder of a sweep, or its sweep.json."""
    path = Path(path)
    return path.name == SWEEP_FILE or (path / SWEEP_FILE).is_file()


def read_sweep(path):
    """Read sweep.json, from its path or from the folder of its sweep.

    Raises
    ------
    InputError
        Missing, damaged, or of another schema version: one line.
    """
    path = Path(path)
    path = path / SWEEP_FILE if path.is_dir() else path
    return read_json_record(path, SweepRecord, (SWEEP_SCHEMA,), what="sweep", written_by="sweep")
