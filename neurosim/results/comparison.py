"""Runs side by side: where their scenarios differ, and the numbers by which they are compared."""

from neurosim.errors import InputError
from neurosim.results.metrics import metrics_of

#: Keys of a scenario that say nothing about what was computed.
_NOT_COMPARED = ("name", "description", "report")


def compare(names, records):
    """Compare finished runs.

    Parameters
    ----------
    names : list of str
        What to call each run.
    records : list of RunRecord
        At least two.

    Returns
    -------
    dict
        ``runs``: the names. ``differences``: one dict of ``key`` and ``values`` for each key of the scenarios, of the chips'
        files, of the data and of the software in which the runs differ; None where a run does not have the key.
        ``does_not_fit``: names of the runs that were trained although they do not fit their chip.
        ``metrics``: one `neurosim.results.sweep.Metrics` per run, as a dict.

    Raises
    ------
    InputError
        Fewer than two runs.
    """
    if len(records) < 2:
        raise InputError(f"compare: found {len(records)} run; expected at least two")
    told = [_told(record) for record in records]
    keys = dict.fromkeys(key for one in told for key in one)
    rows = [{"key": key, "values": [one.get(key) for one in told]} for key in keys]
    return {
        "runs": list(names),
        "differences": [row for row in rows if any(value != row["values"][0] for value in row["values"])],
        "does_not_fit": [name for name, record in zip(names, records) if not record.verdict.get("fits", True)],
        "metrics": [metrics_of(record).model_dump() for record in records],
    }


def flatten(data, prefix=""):
    """Nested mappings as one: ``{"a": {"b": 1}} -> {"a.b": 1}``."""
    flat: dict = {}
    for key, value in data.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _told(record):
    """All that a record says about what was run, flat."""
    scenario = {key: value for key, value in record.scenario.items() if key not in _NOT_COMPARED}
    return {
        **flatten(scenario),
        "profile file": record.profile.sha256[:12],
        "price set": record.profile.price_set,
        "data": record.dataset.sha256[:12],
        "neurosim": record.environment.get("neurosim"),
    }
