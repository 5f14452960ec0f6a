"""Scenarios for scripts: by name, by path or made from parts."""

from collections.abc import Iterable, Mapping
from typing import Any

from neurosim.hardware import HardwareProfile
from neurosim.scenario.load import list_scenarios
from neurosim.scenario.load import load_scenario as _load
from neurosim.scenario.schema import Scenario


def scenarios() -> list[str]:
    """Names of the bundled scenarios, sorted."""
    return list_scenarios()


def load_scenario(name_or_path, overrides: Mapping[str, Any] | Iterable[str] = (), plugins: Iterable[str] = ()) -> Scenario:
    """A scenario by name or path.

    Parameters
    ----------
    name_or_path : str or path-like
        Name of a bundled scenario or path of a YAML file.
    overrides : mapping of key to value, or iterable of str
        ``{"training.epochs": 3}``, or assignments such as ``"training.epochs=3"``.
    plugins : iterable of str
        Modules whose rewiring rules the scenario may use.

    Raises
    ------
    InputError
        One line that names file, line and key.

    Examples
    --------
    >>> load_scenario("digits_santos", {"training.epochs": 3}).training.epochs
    3
    """
    return _load(name_or_path, overrides, plugins)


def chosen(scenario, profile=None, **changes) -> Scenario:
    """The scenario that a caller means: an object, a name or a path, perhaps on another chip.

    Parameters
    ----------
    scenario : Scenario, str or path-like
    profile : str, path-like or HardwareProfile, optional
    **changes
        As for `Scenario.with_`.
    """
    scenario = scenario if isinstance(scenario, Scenario) else _load(scenario)
    if profile is not None:
        hardware: dict = {"profile": str(profile), "price_set": None, "corner": None, "override": {}}  # these are of a chip
        if isinstance(profile, HardwareProfile):
            changed = {change.key: change.value for change in profile.changes}
            hardware = {"profile": str(profile.path), "price_set": profile.energy.price_set, "corner": profile.corner, "override": changed}
        changes = {**changes, "hardware": {**hardware, **changes.get("hardware", {})}}
    return scenario.with_(**changes) if changes else scenario
