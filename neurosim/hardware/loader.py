"""Finds, loads and lists hardware profiles."""

from collections import Counter

from neurosim.documents import bundled_names, find_document, read_yaml, validate
from neurosim.hardware.program import load_program
from neurosim.hardware.quantities import ZERO_SAID, iter_quantities
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
    profile._path, profile._sha256, profile._text = document.path, document.sha256, document.text
    return profile


def audit_profile(profile):
    """What stands behind the numbers of a profile, counted from its rows and not from what the loader promises.

    Returns
    -------
    dict
        ``name``, ``numbers`` (how many), ``by_confidence`` (letter to count), ``assumed`` (keys), ``zero_prices`` (keys of
        prices of 0 that their source states), ``problems`` (texts; empty when every number has unit, kind and source
        and nothing is 0 without its source saying so), ``ok``.
    """
    rows = check_profile(profile)
    zero = [row for row in rows if row["value"] == 0]
    problems = [f"{row['key']}: no {what}" for row in rows for what in ("unit", "kind", "source", "confidence") if not row[what]]
    problems += [f"{row['key']}: 0, and its note does not say {ZERO_SAID!r}" for row in zero if ZERO_SAID not in (row["note"] or "")]
    return {
        "name": profile.name,
        "numbers": len(rows),
        "by_confidence": dict(sorted(Counter(row["confidence"] for row in rows).items())),
        "assumed": [row["key"] for row in rows if row["kind"] == "assumed"],
        "zero_prices": [row["key"] for row in zero],
        "problems": problems,
        "ok": not problems,
    }


def check_profile(profile):
    """Every number of a profile as a row, for tables and JSON.

    Returns
    -------
    list of dict
        Keys ``key`` (dotted path), ``value``, ``unit``, ``kind``, ``meaning`` (prices, else None), ``source_key``,
        ``source`` (text), ``confidence``, ``note`` and ``alternatives`` (list of dicts with value, source, note). Cycles of the loops of a
        program that a price set names come last, as ``programs.TABLE.LOOP``.
    """
    return [*_stated_rows(profile), *_program_rows(profile)]


def _program_rows(profile):
    """Cycles of the programs that price sets name, each table once: derived numbers, with the range over the compiler's settings."""
    for name in dict.fromkeys(prices.program for prices in profile.energy.price_sets.values() if prices.program is not None):
        table = load_program(name)
        for loop in table.loops:
            quantity = table.quantity(loop)
            yield {
                "key": f"programs.{name}.{loop}",
                "value": quantity.value,
                "unit": quantity.unit,
                "kind": quantity.kind,
                "meaning": None,
                "source_key": quantity.source,
                "source": table.source,
                "confidence": quantity.confidence,
                "note": None,
                "alternatives": [{"value": other.value, "source": table.source, "note": other.note} for other in quantity.alternatives],
            }


def _stated_rows(profile):
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
            "note": _note(quantity),
            "alternatives": [
                {"value": other.value, "source": profile.sources[other.source], "note": other.note} for other in quantity.alternatives
            ],
        }
        for key_path, quantity in iter_quantities(profile)
    ]


def _note(quantity):
    """The note of a number, behind the widths that are allowed where only some are."""
    allowed = getattr(quantity, "allowed", ())
    parts = [f"one of {', '.join(map(str, allowed))}"] if allowed else []
    return "; ".join([*parts, *([quantity.note] if quantity.note else [])]) or None
