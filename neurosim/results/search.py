"""What a search leaves: `SearchRecord` in ``search.json``, one row per trial in ``trials.csv``, one per run in ``results.csv``.

SEARCH/search.json      the `SearchRecord`: everything that table, figure and page say about a search
SEARCH/trials.csv       one row per trial, in the order in which they were made
SEARCH/results.csv      one row per run, as `neurosim sweep` writes it
SEARCH/points/ID/       one run folder per point, as `neurosim run` writes it
"""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from neurosim.documents import write_atomic
from neurosim.results.files import write_table
from neurosim.results.reading import read_json_record
from neurosim.results.sweep import Axis, Estimate, Point
from neurosim.results.sweep_files import axis_cell, point_rows

SEARCH_SCHEMA = "neurosim.search/1"
SEARCH_FILE = "search.json"

Outcome = Literal["reaches", "misses", "unfit", "failed", "missing"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Trial(_Part):
    """One setting that was tried: the points that differ in nothing but their seed.

    Attributes
    ----------
    number : int
        From 1, in the order of the search.
    overrides : dict
        Key and value of the budget and of what else varies.
    group : str
        Of its points; see `neurosim.results.sweep.Point`.
    size : float
        By which settings are put in order before anything is trained: what is minimized, as far as the verdict knows it, else synapses.
    n_runs : int
        Seeds that were trained: fewer than all where the first one decides.
    accuracy : Estimate, optional
        On the validation set.
    outcome : str
    cost : float, optional
        What is minimized, of the trained runs; None where none has it.
    why : str
        Why it was tried, or which limit refuses it.
    """

    number: int
    overrides: dict[str, Any]
    group: str
    size: float
    n_runs: int
    accuracy: Estimate | None = None
    outcome: Outcome
    cost: float | None = None
    why: str = ""


class SearchRecord(_Part):
    """A search as it stands.

    Attributes
    ----------
    target : float
        Least mean accuracy on the validation set.
    minimize : str
        ``bytes``, ``energy`` or ``cores``; `unit` is that of `Trial.cost`.
    budget : dict
        One key and all its values that may be tried.
    vary : dict
        Of each other key its values, or ``{"low": , "high": }``.
    trials : list of Trial
    answer : int, optional
        Number of the cheapest trial that reaches the target; None where none does, or not yet.
    is_complete : bool
        Whether the search came to its end.
    test_accuracy : Estimate, optional
        Of the answer, read once, when the search was over.
    n_runs, n_exhaustive : int
        Trainings made, and those of a sweep over all values of the budget; the latter is None with other keys.
    points : list of Point
        Without test accuracies but those of the answer: nobody chooses by them.
    """

    schema_: str = Field(default=SEARCH_SCHEMA, alias="schema")
    name: str
    description: str = ""
    base: dict[str, Any]
    target: float
    minimize: Literal["bytes", "energy", "cores"]
    unit: str
    budget: dict[str, list[Any]]
    vary: dict[str, Any] = {}
    seeds: list[int]
    notes: list[str] = []
    trials: list[Trial]
    answer: int | None = None
    is_complete: bool = False
    test_accuracy: Estimate | None = None
    n_runs: int
    n_exhaustive: int | None = None
    points: list[Point]
    environment: dict[str, Any] = {}

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    @property
    def keys(self) -> list[str]:
        """The key of the budget, then the others."""
        return [*self.budget, *self.vary]

    @property
    def axes(self) -> list[Axis]:
        """As of a sweep, for its tables."""
        return [Axis(keys=[key], values=[]) for key in self.keys]

    @property
    def best(self) -> Trial | None:
        """The answer."""
        return None if self.answer is None else self.trials[self.answer - 1]


def trial_rows(record):
    """One dict per trial: its settings, what came of it, units in the names."""
    cost = {"bytes": "memory_bytes", "energy": "energy_per_sample_j", "cores": "n_cores"}[record.minimize]
    for trial in record.trials:
        accuracy = trial.accuracy
        yield {
            "trial": trial.number,
            **{key: axis_cell(trial.overrides.get(key)) for key in record.keys},
            "outcome": trial.outcome,
            "validation_accuracy_mean": accuracy and accuracy.mean,
            "validation_accuracy_ci95_low": accuracy and accuracy.low,
            "validation_accuracy_ci95_high": accuracy and accuracy.high,
            "n_runs": trial.n_runs,
            cost: trial.cost,
            "is_answer": trial.number == record.answer,
            "why": trial.why,
        }


def write_search(record, folder):
    """Write trials.csv, results.csv and, last of all, search.json; the folder must exist."""
    folder = Path(folder)
    write_table(folder / "trials.csv", list(trial_rows(record)))
    write_table(folder / "results.csv", list(point_rows(record)))
    write_atomic(folder / SEARCH_FILE, json.dumps(record.model_dump(by_alias=True), indent=1, allow_nan=False) + "\n")


def is_search(path):
    """Whether a path is the folder of a search, or its search.json."""
    path = Path(path)
    return path.name == SEARCH_FILE or (path / SEARCH_FILE).is_file()


def read_search(path) -> SearchRecord:
    """Read search.json, from its path or from the folder of its search.

    Raises
    ------
    InputError
        Missing, damaged, or of another schema version: one line.
    """
    path = Path(path)
    path = path / SEARCH_FILE if path.is_dir() else path
    return read_json_record(path, SearchRecord, (SEARCH_SCHEMA,), what="search", written_by="search")
