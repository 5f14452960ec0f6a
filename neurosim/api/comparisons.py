"""Runs side by side."""

from neurosim.api.frames import make_frame
from neurosim.api.runs import Run
from neurosim.errors import InputError
from neurosim.results.comparison import compare as _compare
from neurosim.scenario.schema import Scenario
from neurosim.sweeps.subjects import compared_scenario, read_subject


class Comparison:
    """How runs differ, in what was run and in what came out.

    `facts` is the plain data, as ``neurosim compare --json`` prints it.
    """

    def __init__(self, facts):
        self.facts = facts

    @property
    def runs(self):
        """Names of the runs."""
        return list(self.facts["runs"])

    @property
    def differences(self):
        """Keys in which the runs differ: DataFrame, one row per key, one column per run."""
        rows = [{"key": row["key"], **dict(zip(self.runs, row["values"], strict=True))} for row in self.facts["differences"]]
        return make_frame(rows, "key")

    @property
    def metrics(self):
        """What the runs are compared by: DataFrame, one row per run, units in the names of the columns."""
        rows = ({"run": name, **values} for name, values in zip(self.runs, self.facts["metrics"], strict=True))
        return make_frame(rows, "run")

    def __repr__(self):
        return f"<Comparison of {', '.join(self.runs)}: {len(self.facts['differences'])} keys differ>"

    def _repr_html_(self):
        return self.differences.to_html() + self.metrics.T.to_html()


def compare(*runs):
    """Compare finished runs, and scenarios, which are placed on their chips and not trained.

    Parameters
    ----------
    *runs : Run, Scenario, str or path-like
        Runs or their folders, folders of points of a sweep, scenarios or their names, at least two.

    Returns
    -------
    Comparison

    Raises
    ------
    InputError
        Fewer than two runs, or a folder that holds none.
    """
    found = [_subject(one) for one in runs]
    names = [str(one.folder or one.name) if isinstance(one, Run) else one.name if isinstance(one, Scenario) else str(one) for one in runs]
    # Runs in memory often share a name.
    names = [f"{name} ({i + 1})" if names.count(name) > 1 else name for i, name in enumerate(names)]
    if len(names) < 2:
        raise InputError(f"compare: found {len(names)} run; expected at least two")
    return Comparison(_compare(names, found))


def _subject(one):
    if isinstance(one, Run):
        return one.record
    return compared_scenario(one) if isinstance(one, Scenario) else read_subject(one)
