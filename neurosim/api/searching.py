"""Searches: the smallest budget that reaches an accuracy."""

import tempfile
from pathlib import Path

from neurosim.api.choosing import chosen
from neurosim.api.frames import make_frame
from neurosim.api.runs import open_run
from neurosim.errors import InputError
from neurosim.results.search import SearchRecord, read_search, trial_rows


class SearchResult:
    """A search as it stands.

    Attributes
    ----------
    record : SearchRecord
    folder : Path, optional
        None where nothing was kept.
    """

    def __init__(self, record: SearchRecord, folder: Path | None = None):
        self.record, self.folder = record, folder

    def __repr__(self):
        best = self.record.best
        found = "nothing that reaches it" if best is None else f"{best.overrides}, {best.cost:,.6g} {self.record.unit}"
        return f"<Search {self.record.name}: {found}, {self.record.n_runs} runs>"

    @property
    def best(self) -> dict | None:
        """Values of the answer by key; None where nothing reaches the target."""
        return None if self.record.best is None else self.record.best.overrides

    @property
    def cost(self) -> float | None:
        """What the answer takes: B, J a sample, or cores."""
        return None if self.record.best is None else self.record.best.cost

    @property
    def test_accuracy(self):
        """`Estimate` on the test set, of the answer alone; None where there is none."""
        return self.record.test_accuracy

    def to_frame(self):
        """One row per trial, in order: DataFrame."""
        return make_frame(trial_rows(self.record))

    def plot(self, ax=None):
        """Draw the trail; see `Run.plot`."""
        from neurosim.reports.figures import SEARCH_FIGURES, draw

        return draw("search_trail", self.record, ax, SEARCH_FIGURES)

    def open(self, seed: int = 0):
        """The `Run` of the answer with a seed.

        Raises
        ------
        InputError
            Nothing was kept, nothing reaches the target, or there is no such run.
        """
        best = self.record.best
        found = next((p for p in self.record.points if best and p.group == best.group and p.seed == seed), None)
        if self.folder is None or found is None:
            raise InputError(f"seed {seed}: {'no run of an answer' if self.folder else 'nothing was kept, give search an out folder'}")
        return open_run(self.folder / found.folder)

    def _repr_html_(self):
        return self.to_frame().to_html()


def search(
    scenario, accuracy, *, minimize="bytes", budget=None, vary=None, trials=20, seeds=3, out=None, jobs=None, data_dir=None, retry_failed=False
) -> SearchResult:
    """Find the smallest budget that reaches an accuracy.

    Parameters
    ----------
    scenario : Scenario, str or path-like
    accuracy : float
        Least mean accuracy on the validation set; 20 % of the training samples where the scenario names none.
    minimize : {"bytes", "energy", "cores"}
        Memory of all cores, energy per trained sample, or cores.
    budget : dict of str to list or tuple, optional
        One key along which accuracy rises: a list of its values, or a pair (low, high). Without it the connectivity from 1 to 100 %;
        for cores, the cores of a network that fills them.
    vary : dict of str to list or tuple, optional
        Other keys: a list of values, or a pair (low, high), for which Optuna proposes values.
    trials : int
        Proposals for `vary`.
    seeds : int
        Seeds of each setting that the first one does not decide.
    out : path-like, optional
        Folder; a repeated call does what is missing. Without it everything but the record is thrown away.
    jobs : int, optional
        Processes; one per core without.
    data_dir : path-like, optional
    retry_failed : bool
        Run failed points again.

    Returns
    -------
    SearchResult

    Raises
    ------
    InputError
        Before anything runs.
    """
    from neurosim.sweeps.search import N_VALUES, Goal, Range, run_search

    scenario = chosen(scenario)
    if budget is not None and len(budget) != 1:
        raise InputError(f"budget: found {len(budget)} keys; expected one, the others are for vary")
    spaces = {key: Range(*v) if isinstance(v, tuple) and len(v) == 2 else list(v) for key, v in {**(budget or {}), **(vary or {})}.items()}
    along = None
    if budget:
        key = next(iter(budget))
        along = (key, space.values(N_VALUES) if isinstance(space := spaces[key], Range) else space)
    goal = Goal(accuracy, minimize, along, {key: spaces[key] for key in vary or {}}, seeds, trials)
    options = {"jobs": jobs, "data_dir": data_dir, "retry_failed": retry_failed}
    if out is not None:
        return SearchResult(*run_search(scenario, goal, out=out, **options))
    with tempfile.TemporaryDirectory(prefix="neurosim-") as folder:
        return SearchResult(run_search(scenario, goal, out=Path(folder) / scenario.name, **options)[0])


def open_search(folder) -> SearchResult:
    """A search from its folder, as ``neurosim search`` or `search` left it."""
    record, folder = read_search(folder), Path(folder)
    return SearchResult(record, folder if folder.is_dir() else folder.parent)
