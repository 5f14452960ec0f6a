"""What is compared: finished runs, points of sweeps, and scenarios that nobody has run."""

from pathlib import Path

from neurosim.documents import Document, bundled_names, validate
from neurosim.errors import DoesNotFitError, InputError
from neurosim.results import read_record
from neurosim.results.comparison import Compared, compared_run
from neurosim.results.metrics import metrics_of_verdict
from neurosim.results.sweep import is_sweep, read_sweep
from neurosim.scenario.experiment import prepare
from neurosim.scenario.load import load_scenario
from neurosim.scenario.schema import Scenario
from neurosim.sweeps.collect import POINTS
from neurosim.sweeps.expand import list_sweeps


def read_subject(name):
    """A finished run, a point of a sweep, or a scenario, as something to compare.

    Parameters
    ----------
    name : str or path-like
        Folder of a run or its result.json; folder of a point; name of a bundled scenario, or path of a YAML file.

    Returns
    -------
    Compared
        A scenario, and a point without a result, are placed on their chip, and nothing is trained.

    Raises
    ------
    InputError
        None of these, or a scenario that cannot be used as given.
    """
    path = Path(name)
    if str(name) in list_sweeps() and not path.exists() or path.is_dir() and is_sweep(path):
        raise InputError(f"{name}: is a sweep; compare its points, such as {name}/{POINTS}/ID, or: neurosim report {name}")
    if path.is_dir() and not (path / "result.json").exists() and path.parent.name == POINTS and is_sweep(path.parent.parent):
        return compared_scenario(_point_scenario(path))
    if str(name) in bundled_names("scenarios") and not path.exists() or path.suffix in (".yaml", ".yml"):
        return compared_scenario(load_scenario(name))
    return compared_run(read_record(path))


def compared_scenario(scenario):
    """A scenario on its chip, untrained.

    Raises
    ------
    InputError
        A chip that cannot run it at all.
    """
    try:
        experiment = prepare(scenario, with_remedies=False)
        verdict, profile = experiment.verdict, experiment.profile
    except DoesNotFitError as error:  # not even the smallest network
        verdict, profile = error.verdict, error.verdict.placement.profile
    n_possible = sum(verdict.placement.workload.n_positions)
    return Compared(
        scenario=scenario.model_dump(mode="json", exclude_none=True),
        facts={"profile file": profile.sha256[:12], "price set": profile.energy.price_set},
        metrics=metrics_of_verdict(verdict.to_dict(), n_possible).model_dump(),
        fits=verdict.fits,
        has_run=False,
    )


def _point_scenario(folder):
    """Scenario of a point without a result, from the record of its sweep."""
    record = read_sweep(folder.parent.parent)
    point = next((point for point in record.points if point.id == folder.name), None)
    if point is None:
        raise InputError(f"{folder}: the sweep has no such point")
    document = Document(dict(record.base), str(folder), "", is_text=False)
    for key, value in {**point.overrides, "seed": point.seed}.items():
        document.put(key, value, str(folder))
    return validate(Scenario, document, what="scenario")
