"""Scenarios from files: by name or path, with overrides from the command line."""

from collections.abc import Mapping

from neurosim.documents import WrongKey, bundled_names, find_document, read_yaml, validate
from neurosim.errors import InputError, printable
from neurosim.hardware import load_profile, override_profile
from neurosim.scenario.rules import load_plugin
from neurosim.scenario.schema import Scenario


def list_scenarios():
    """Sorted names of the bundled scenarios."""
    return bundled_names("scenarios")


def load_scenario(name_or_path, overrides=(), plugins=()):
    """Read and validate a scenario.

    Parameters
    ----------
    name_or_path : str
        Name of a bundled scenario or path of a YAML file.
    overrides : iterable of str, or mapping
        Assignments such as ``training.epochs=3``, or values by key.
    plugins : iterable of str
        Dotted names of modules to import: their rules can be used. Nothing else in a scenario runs code.

    Raises
    ------
    InputError
        One line that names file, line and key.
    """
    if str(name_or_path) in bundled_names("scenarios/sweeps") and str(name_or_path) not in list_scenarios():
        raise InputError(f"{name_or_path}: is a sweep, many scenarios in one; use: neurosim sweep {name_or_path}")
    document = read_yaml(find_document(name_or_path, "scenarios", what="scenario"))
    # A scenario never has these keys.
    if key := next((key for key in ("base", "axes") if key in document.data), None):
        raise InputError(f"{document.where((key,))}: {key} is not a key of the scenario; this file is a sweep: neurosim sweep {document.path}")
    if isinstance(overrides, Mapping):
        for key, value in overrides.items():
            document.put(key, value, "overrides")
    else:
        for assignment in overrides:
            document.override(assignment)
    scenario = validate(Scenario, document, what="scenario", context={"plugins": [load_plugin(name) for name in plugins]})
    if scenario.hardware.price_set or scenario.hardware.corner or scenario.hardware.override:
        chosen_profile(scenario, document)  # here the line of a wrong name is known
    return scenario


def chosen_profile(scenario, document=None):
    """Profile of a scenario with the price set, the operating corner and the numbers that the scenario chooses.

    Raises
    ------
    InputError
        Unknown or malformed profile, a price set or corner that it does not have, or numbers that it cannot have.
    """
    profile = profile_of(scenario.hardware, document)
    return profile.with_shared_signs() if scenario.network.signs == "pre" else profile


def profile_of(hardware, document=None):
    """Profile of the chip's part of a scenario; see `chosen_profile`."""
    profile = load_profile(hardware.profile)
    try:
        profile = profile.choose(hardware.price_set, hardware.corner)
        return override_profile(profile, hardware.override) if hardware.override else profile
    except WrongKey as error:
        keys = (
            ("hardware", "override", *error.keys)
            if hardware.override and error.keys[:1] not in (("price_set",), ("corner",))
            else ("hardware", *error.keys)
        )
        where = f"{document.where(_as_written(document, keys))}: " if document else ""
        raise InputError(printable(f"{where}{'.'.join(keys)}: {error}")) from None


def _as_written(document, keys):
    """Path in a document of a dotted key of ``hardware.override``, which may be nested there, or in part."""
    dotted = ".".join(keys[2:])
    for path in (*document.overridden, *document.lines):
        if keys[2:] and path[:2] == keys[:2] and ".".join(map(str, path[2:])) == dotted:
            return path
    return keys
