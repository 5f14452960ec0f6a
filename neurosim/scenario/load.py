"""Scenarios from files: by name or path, with overrides from the command line."""

from neurosim.documents import bundled_names, find_document, read_yaml, validate
from neurosim.scenario.schema import Scenario


def list_scenarios():
    """Sorted names of the bundled scenarios."""
    return bundled_names("scenarios")


def load_scenario(name_or_path, overrides=()):
    """Read and validate a scenario.

    Parameters
    ----------
    name_or_path : str
        Name of a bundled scenario or path of a YAML file.
    overrides : iterable of str
        Assignments such as ``training.epochs=3``.

    Raises
    ------
    InputError
        One line that names file, line and key.
    """
    document = read_yaml(find_document(name_or_path, "scenarios", what="scenario"))
    for assignment in overrides:
        document.override(assignment)
    return validate(Scenario, document, what="scenario")
