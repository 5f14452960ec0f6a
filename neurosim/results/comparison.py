"""Runs side by side: where their scenarios differ, and the numbers by which they are compared."""

from dataclasses import dataclass

from neurosim.errors import InputError
from neurosim.results.metrics import assumed_prices, metrics_of

#: Keys of a scenario that say nothing about what was computed.
_NOT_COMPARED = ("name", "description", "report")


#: Facts beside the scenario that follow from it, and those that only a run has.
_FOLLOWS, _OF_RUNS = ("profile file", "price set"), ("data", "neurosim")
#: Labels of more keys, or longer ones, are no names.
_MOST_KEYS, _MOST_LETTERS = 3, 48


@dataclass(frozen=True)
class Compared:
    """One thing to compare: what was asked for, and the numbers that are known of it.

    Attributes
    ----------
    scenario : dict
        As result.json holds it.
    facts : dict
        Of chip, data and software.
    metrics : dict
        Of `neurosim.results.sweep.Metrics`; of a scenario that nobody has run those that its verdict knows.
    fits : bool
    has_run : bool
    assumed : tuple of str
        Prices that its energy counts with and nobody published.
    """

    scenario: dict
    facts: dict
    metrics: dict
    fits: bool
    has_run: bool = True
    assumed: tuple = ()


def compared_run(record):
    """A finished run as something to compare."""
    profile = record.profile
    return Compared(
        scenario=record.scenario,
        facts={
            "profile file": profile.sha256[:12],
            "price set": profile.price_set,
            "data": record.dataset.sha256[:12],
            "neurosim": record.environment.get("neurosim"),
        },
        metrics=metrics_of(record).model_dump(),
        fits=record.verdict.get("fits", True),
        assumed=tuple(f"{row.price} of {profile.name}" for row in assumed_prices(record)),
    )


def compare(names, records):
    """Compare finished runs, and scenarios.

    Parameters
    ----------
    names : list of str
        What to call each run.
    records : list of RunRecord or Compared
        At least two.

    Returns
    -------
    dict
        ``runs``: the names. ``differences``: one dict of ``key`` and ``values`` for each key of the scenarios, of the chips'
        files, of the data and of the software in which the runs differ; None where a run does not have the key.
        ``labels``: the runs named by what differs, or by their names where too much does.
        ``does_not_fit``: names of what does not fit its chip. ``not_run``: names of what was placed and not trained.
        ``metrics``: one `neurosim.results.sweep.Metrics` per run, as a dict. ``assumed``: prices that energies count with and nobody published.

    Raises
    ------
    InputError
        Fewer than two runs.
    """
    if len(records) < 2:
        raise InputError(f"compare: found {len(records)} run; expected at least two")
    found = [record if isinstance(record, Compared) else compared_run(record) for record in records]
    told = [_told(one) for one in found]
    left_out = () if all(one.has_run for one in found) else _OF_RUNS
    keys = dict.fromkeys(key for one in told for key in one if key not in left_out)
    rows = [{"key": key, "values": [one.get(key) for one in told]} for key in keys]
    rows = [row for row in rows if any(value != row["values"][0] for value in row["values"])]
    return {
        "runs": list(names),
        "labels": _labels(list(names), rows),
        "differences": rows,
        "does_not_fit": [name for name, one in zip(names, found) if not one.fits],
        "not_run": [name for name, one in zip(names, found) if not one.has_run],
        "metrics": [one.metrics for one in found],
        "assumed": list(dict.fromkeys(price for one in found for price in one.assumed)),
    }


def _labels(names, rows):
    """Names made of what differs: ``"connectivity 0.1"``; the given ones where too much differs, or nothing that tells all apart."""
    rows = [row for row in rows if row["key"] not in _FOLLOWS] or rows
    if not 1 <= len(rows) <= _MOST_KEYS:
        return names
    labels = [", ".join(_label(row["key"], row["values"][i]) for row in rows) for i in range(len(names))]
    return labels if len(set(labels)) == len(names) and max(map(len, labels)) <= _MOST_LETTERS else names


def _label(key, value):
    if key == "hardware.profile" and value is not None:
        return str(value)
    text = "not set" if value is None else "[" + ", ".join(map(str, value)) + "]" if isinstance(value, (list, tuple)) else str(value)
    return f"{key.rpartition('.')[2]} {text}"


def flatten(data, prefix=""):
    """Nested mappings as one: ``{"a": {"b": 1}} -> {"a.b": 1}``."""
    flat: dict = {}
    for key, value in data.items():
        flat.update(flatten(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value})
    return flat


def _told(one):
    """All that is known of what was asked for, flat."""
    scenario = {key: value for key, value in one.scenario.items() if key not in _NOT_COMPARED}
    return {**flatten(scenario), **one.facts}
