"""From a sweep file to its points: every combination validated before anything runs."""

import copy
import hashlib
import itertools
import json
import math
import re
from dataclasses import dataclass
from pathlib import Path

import neurosim
from neurosim.datasets import DATASETS
from neurosim.documents import Document, bundled_names, dump_yaml, find_document, read_yaml, validate
from neurosim.errors import InputError
from neurosim.hardware import list_profiles, load_profile
from neurosim.results.sweep import Axis
from neurosim.scenario.load import chosen_profile
from neurosim.scenario.rules import load_plugin
from neurosim.scenario.schema import Scenario
from neurosim.sweeps.schema import Sweep, list_of_sets

#: More points than this need the user's word (``--yes``).
MANY_POINTS = 1000
_BUNDLED = "scenarios/sweeps"
#: Keys by which a file that is no sweep is known to be a scenario.
_OF_SCENARIOS = ("dataset", "network", "hardware", "training", "rewiring")


@dataclass(frozen=True)
class PlannedPoint:
    """A point before it runs; see `neurosim.results.sweep.Point` for `id`, `group` and `overrides`."""

    id: str
    group: str
    overrides: dict
    scenario: Scenario
    profile_title: str


@dataclass(frozen=True)
class Plan:
    """A sweep with its points.

    Attributes
    ----------
    sweep : Sweep
    base : dict
        The base scenario with `set` applied, all defaults filled in where it is complete by itself.
    axes : list of Axis
    seeds : list of int
    points : list of PlannedPoint
    text : str
        The sweep file as used, with its base written out.
    """

    sweep: Sweep
    base: dict
    axes: list
    seeds: list
    points: list
    text: str


def list_sweeps():
    """Sorted names of the bundled sweeps."""
    return bundled_names(_BUNDLED)


def load_sweep(name_or_path):
    """Read and validate a sweep: the file alone, not its points.

    Parameters
    ----------
    name_or_path : str
        Name of a bundled sweep or path of a YAML file.

    Returns
    -------
    sweep : Sweep
    document : Document

    Raises
    ------
    InputError
        One line that names file, line and key.
    """
    if str(name_or_path) in bundled_names("scenarios") and str(name_or_path) not in list_sweeps():
        raise InputError(f"{name_or_path}: is a scenario and no sweep; use: neurosim run {name_or_path}")
    document = read_yaml(find_document(name_or_path, _BUNDLED, what="sweep"))
    if "base" not in document.data and (key := next((key for key in _OF_SCENARIOS if key in document.data), None)):
        raise InputError(f"{document.where((key,))}: {key} is not a key of the sweep; this file is a scenario: neurosim run {document.path}")
    return validate(Sweep, document, what="sweep"), document


def expand(sweep, document, *, overrides=(), plugins=(), yes=False):
    """Points of a sweep, each a validated scenario.

    Parameters
    ----------
    sweep, document
        From `load_sweep`; the document tells the line of a wrong value.
    overrides : iterable of str
        Assignments such as ``training.epochs=3`` to the base scenario.
    plugins : iterable of str
        Dotted names of modules to import: their rules can be used.
    yes : bool
        Accept more than `MANY_POINTS` points.

    Returns
    -------
    Plan

    Raises
    ------
    InputError
        Too many points, a base or a combination that is no scenario, an unknown profile, two equal points.
    """
    axes = [axis for number, choice in enumerate(sweep.axes) for axis in _axes(number, choice)]
    n_points = math.prod(len(axis) for axis in axes) * len(sweep.seeds or (0,))
    if n_points > MANY_POINTS and not yes:
        raise InputError(f"{document.where(('axes',))}: axes: {n_points:,} points; more than {MANY_POINTS:,} need --yes")
    base = _base_document(sweep, document)
    for key, value in sweep.set.items():
        base.put(key, value, document.where(("set", key)))
    for assignment in overrides:
        base.override(assignment)
    base.data.setdefault("report", {"figures": False})  # those of every point would take longer than many a training
    points, profiles, seeds = [], {}, sweep.seeds
    context = {"plugins": [load_plugin(name) for name in plugins]}
    for combination in itertools.product(*axes):
        scenario, chosen = _scenario(base, combination, document, context)
        seeds = seeds if seeds is not None else (scenario.seed,)
        changed = {key: value for part in combination for key, (value, _) in part.items()}
        name = scenario.hardware.profile
        if name not in profiles:
            profiles[name] = load_profile(name)
        if scenario.hardware.override:
            chosen_profile(scenario, chosen)  # before anything runs, and with the line of what is wrong
        points += [_point(scenario, seed, changed, profiles[name]) for seed in seeds]
    _refuse_equal_points(points, document)
    data = {**sweep.model_dump(mode="json", exclude_none=True), "base": base.data, "set": {}, "seeds": list(seeds)}
    records = [Axis(keys=_keys(axis), values=[{key: value for key, (value, _) in part.items()} for part in axis]) for axis in axes]
    return Plan(sweep, base.data, records, list(seeds), points, dump_yaml(data))


def _axes(number, choice):
    """Axes of one entry: lists of values, each a dict of key to (value, place in the document)."""
    place = ("axes", number, choice.form)
    if choice.form == "grid":
        for key, values in choice.grid.items():
            yield [{key: (value, (*place, key, index))} for index, value in enumerate(values)]
    elif choice.form == "zip":
        rows = enumerate(list_of_sets(choice.zip))
        yield [{key: (value, (*place, key, index)) for key, value in row.items()} for index, row in rows]
    else:
        yield [{key: (value, (*place, index, key)) for key, value in row.items()} for index, row in enumerate(choice.list)]


def _keys(axis):
    return list(dict.fromkeys(key for part in axis for key in part))


def _base_document(sweep, document):
    """The base scenario, not validated: an axis may supply what it lacks."""
    if isinstance(sweep.base, str):
        return read_yaml(find_document(sweep.base, "scenarios", what="scenario"))
    lines = {key_path[1:]: line for key_path, line in document.lines.items() if key_path[:1] == ("base",) and len(key_path) > 1}
    return Document(copy.deepcopy(sweep.base), document.path, "", lines)


def _scenario(base, combination, document, context):
    chosen = Document(copy.deepcopy(base.data), base.path, base.text, base.lines, dict(base.overridden))
    for part in combination:
        for key, (value, place) in part.items():
            chosen.put(key, copy.deepcopy(value), document.where(place))
    return validate(Scenario, chosen, what="scenario", context=context), chosen


def _point(scenario, seed, overrides, profile):
    scenario = scenario.model_copy(update={"seed": seed})
    content = {
        # What decides the course of a run, as for its checkpoint.
        "scenario": scenario.model_dump(mode="json", exclude={"report", "description", "seed"}),
        "profile": profile.sha256,
        "version": neurosim.__version__,
        **({"rule": scenario.rewiring.source_digest} if scenario.rewiring.source_digest else {}),
    }
    return PlannedPoint(_digest({**content, "seed": seed}), _digest(content), overrides, scenario, profile.title)


def _digest(content):
    """Name of a point, 16 characters, which no program takes for a number: a spreadsheet keeps 15 digits and reads 12e3 as 12000."""
    text = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return text if re.search("[a-df]", text) else f"p{text[1:]}"


def _refuse_equal_points(points, document):
    seen = {}
    for point in points:
        other = seen.setdefault(point.id, point)
        if other is not point:
            raise InputError(f"{document.where(('axes',))}: axes: {other.overrides} and {point.overrides} are the same scenario")


def with_absolute_paths(scenario):
    """Scenario whose profile and data set, where they are files, can be found from any folder.

    A worker of a cluster has a working folder of its own.
    """
    hardware, dataset = scenario.hardware, scenario.dataset
    if hardware.profile not in list_profiles():
        hardware = hardware.model_copy(update={"profile": str(Path(hardware.profile).resolve())})
    if dataset.name not in DATASETS:
        dataset = dataset.model_copy(update={"name": str(Path(dataset.name).expanduser().resolve())})
    return scenario.model_copy(update={"hardware": hardware, "dataset": dataset})
