"""Finds, loads and lists hardware profiles."""

from neurosim.documents import bundled_names, find_document, read_yaml, validate
from neurosim.hardware.quantities import iter_quantities
from neurosim.hardware.schema import HardwareProfile

FOLDER = "hardware_profiles"


def list_profiles():
    """Names of the bundled profiles, sorted."""
    return bundled_names(FOLDER)


def load_profile(name_or_path):
    """Load and check a hardware profile.

    Parameters
    ----------
    name_or_path : str or Path
        Name of a bundled profile, else the path of a YAML file.

    Returns
    -------
    HardwareProfile
        With `path` and `sha256` of the file it came from.

    Raises
    ------
    InputError
        One line with file, line and key.
    """
    document = read_yaml(find_document(name_or_path, FOLDER, what="hardware profile"))
    return make_profile(document)


def make_profile(document):
    """Checked profile from an already parsed document, for instance after overrides.

    Raises
    ------
    InputError
    """
    profile = validate(HardwareProfile, document, what="hardware profile")
    profile._path, profile._sha256 = document.path, document.sha256
    return profile


def check_profile(profile):
    """Every number of a profile as a row, for tables and JSON.

    Returns
    -------
    list of dict
        Keys ``key`` (dotted path), ``value``, ``unit``, ``kind``, ``meaning`` (prices, else None), ``source_key``,
        ``source`` (text), ``confidence``, ``note`` and ``alternatives`` (list of dicts with value, source, note).
    """
    return [
        {
            "key": ".".join(map(str, key_path)),
            "value": quantity.value,
            "unit": quantity.unit,
            "kind": quantity.kind,
            "meaning": getattr(quantity, "meaning", None),
            "source_key": quantity.source,
            "source": profile.sources[quantity.source],
            "confidence": quantity.confidence,
            "note": quantity.note,
            "alternatives": [
                {"value": other.value, "source": profile.sources[other.source], "note": other.note} for other in quantity.alternatives
            ],
        }
        for key_path, quantity in iter_quantities(profile)
    ]
