"""Finds, loads and lists hardware profiles."""

import copy
import os
from collections import Counter
from dataclasses import replace
from functools import lru_cache

from neurosim.documents import Document, WrongKey, bundled_names, find_document, read_yaml, validate
from neurosim.documents.wording import input_error
from neurosim.errors import InputErrors
from neurosim.hardware.numbers import CHANGED, CHANGED_TEXT, change_numbers
from neurosim.hardware.program import load_program
from neurosim.hardware.quantities import ZERO_SAID, iter_quantities
from neurosim.hardware.schema import HardwareProfile

FOLDER = "hardware_profiles"
#: Key in `sources` of the numbers of `assume`.
ASSUMED = "assumed"


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
    path = find_document(name_or_path, FOLDER, what="hardware profile")
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return make_profile(read_yaml(path))  # which says what is wrong
    return _load_once(path, status.st_mtime_ns, status.st_size, status.st_ino)


@lru_cache(maxsize=64)
def _load_once(path, *_):
    """The profile in a file as it stands: profiles are frozen, and one command asks for the same one many times."""
    return make_profile(read_yaml(path))


def make_profile(document):
    """Checked profile from an already parsed document.

    Raises
    ------
    InputErrors
        All that is wrong with it, one line each.
    """
    document, lines = _expand_assumed(document)
    try:
        profile = validate(HardwareProfile, document, what="hardware profile", every=True)
    except InputErrors as error:
        raise InputErrors([*lines, *error.lines]) from None
    if lines:
        raise InputErrors(lines)
    profile._path, profile._sha256, profile._text = document.path, document.sha256, document.text
    return profile


def _expand_assumed(document):
    """The document with the numbers of its `assume` as records in their places, and a line for each that has none."""
    assume = document.data.get("assume")
    if not isinstance(assume, dict) or not isinstance(numbers := assume.get("numbers"), dict) or not isinstance(assume.get("source"), str):
        return document, []
    data, note, lines = copy.deepcopy(document.data), assume.get("note"), dict(document.lines)
    note, good, wrong = note if isinstance(note, str) else "", {}, []
    for key, value in numbers.items():
        try:
            changes = change_numbers(HardwareProfile, data, {key: value}, ASSUMED, assume["source"], note or "given under assume")
        except WrongKey as error:
            wrong.append(str(input_error(document.where(("assume", "numbers", key)), f"assume.numbers.{key}: {error}")))
            continue
        path = tuple(changes[0].path)
        if path in good:
            wrong.append(
                str(input_error(document.where(("assume", "numbers", key)), f"assume.numbers.{key}: is {good[path]}, which stands there, too"))
            )
        good[path] = key
        for n in range(1, len(path) + 1):
            lines.setdefault(path[:n], document.line(("assume", "numbers", key)))
        lines |= {(*path, part): document.line(("assume", "numbers", key)) for part in ("value", "unit", "kind", "source", "confidence", "note")}
    data["sources"] = {**data["sources"], ASSUMED: assume["source"]} if isinstance(data.get("sources"), dict) else data.get("sources")
    return replace(document, data=data, lines=lines), wrong


def override_profile(profile, numbers):
    """The same chip with some numbers changed by a scenario; `HardwareProfile.changes` says which, and what they were.

    Parameters
    ----------
    profile : HardwareProfile
    numbers : dict of str to number or str
        By key, see `neurosim.hardware.numbers`.

    Returns
    -------
    HardwareProfile
        Every changed number is assumed, with the scenario as its source.

    Raises
    ------
    WrongKey
        An unknown key (the nearest is named), another unit, or numbers that do not go together; the key is that of `numbers` where it is known.
    """
    data = profile.model_dump()
    changes = change_numbers(HardwareProfile, data, numbers, CHANGED, CHANGED_TEXT)
    try:
        changed = validate(HardwareProfile, Document(data=data, path="", text="", is_text=False), what="hardware profile", every=True)
    except InputErrors as error:
        raise WrongKey([], error.lines[0].removeprefix(": ")) from None
    changed._path, changed._sha256, changed._text = profile.path, profile.sha256, profile.text
    changed._changes = tuple(changes)
    return changed


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
            "alternatives": [{"value": other.value, "source": profile.sources[other.source], "note": other.note} for other in quantity.alternatives],
        }
        for key_path, quantity in iter_quantities(profile)
    ]


def _note(quantity):
    """The note of a number, behind the widths that are allowed where only some are."""
    allowed = getattr(quantity, "allowed", ())
    parts = [f"one of {', '.join(map(str, allowed))}"] if allowed else []
    return "; ".join([*parts, *([quantity.note] if quantity.note else [])]) or None
