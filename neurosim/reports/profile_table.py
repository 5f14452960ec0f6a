"""Hardware profiles as tables: every number with its kind, its confidence and its numbered source."""

from neurosim.hardware import KNOWN_LIMITS, check_profile, iter_quantities
from neurosim.reports.facts import words
from neurosim.reports.rich_parts import Grid, Sources, bullets, heading, line, pairs, quantity_text
from neurosim.units import format_bytes, format_count

CONFIDENCE = {"V": "primary", "S": "secondary", "D": "arithmetic", "A": "assumed"}


def print_profile(console, profile):
    """Print what a profile says and where each number comes from.

    Parameters
    ----------
    console : rich.console.Console
    profile : HardwareProfile
    """
    line(console, (profile.name, "bold"), f"  {profile.title}")
    line(console, profile.description)
    console.print()
    learning, energy = profile.learning, profile.energy
    pairs(
        console,
        [
            ("storage", f"{words(profile.storage.family)}; a removed synapse frees: {words(profile.storage.release)}"),
            ("learning", f"where: {words(learning.where)}; rewiring: {words(learning.rewiring)} ({profile.sources[learning.source]})"),
            ("energy", f"accounting by {energy.accounting}, prices {energy.price_set}" + (f". {energy.note}" if energy.note else "")),
        ],
    )
    heading(console, "numbers")
    print_quantities(console, check_profile(profile))
    unstated = [name for name in KNOWN_LIMITS if getattr(profile.limits, name) is None]
    if unstated:
        heading(console, "limits not stated", ", ".join(unstated))


def print_quantities(console, rows, *, with_notes=True):
    """Print rows of `check_profile`, or the ``prices`` of a record, with notes, other values and sources below.

    Parameters
    ----------
    console : rich.console.Console
    rows : list of dict
        With keys key, value, unit, kind, meaning, source, confidence, and where known note and alternatives.
    with_notes : bool
        Without, only other published values are listed.
    """
    if not rows:
        return
    sources, notes = Sources(), []
    has_meaning = any(row.get("meaning") for row in rows)
    grid = Grid("=key", "value", "=kind", *(["<meaning"] if has_meaning else []), "=basis", "=from")
    for row in rows:
        key, cited = _short(row["key"]), sources.cite(row["source"])
        meaning = [words(row.get("meaning") or "")] if has_meaning else []
        known = CONFIDENCE.get(row.get("confidence"), row.get("confidence"))
        grid.row(key, quantity_text(row["value"], row["unit"]), row["kind"], *meaning, known, cited)
        notes += [f"{key}: {row['note']}"] if with_notes and row.get("note") else []
        for other in row.get("alternatives") or ():
            value = quantity_text(other["value"], row["unit"])
            why = f", {other['note']}" if other["note"] else ""
            notes.append(f"{key}: also published: {value} {sources.cite(other['source'])}{why}")
    grid.print(console)
    bullets(console, notes)
    sources.print(console)


def print_profile_list(console, profiles):
    """Print one row per profile.

    Parameters
    ----------
    console : rich.console.Console
    profiles : iterable of HardwareProfile
    """
    grid = Grid("=name", "cores", "memory/core", "=storage", "prices", "<title")
    for profile in profiles:
        memory = "not stated" if profile.storage.local_bytes is None else format_bytes(profile.storage.local_bytes.value)
        n_prices = len(list(iter_quantities(profile.energy.prices)))
        cores, storage = format_count(profile.cores.value), words(profile.storage.family)
        grid.row(profile.name, cores, memory, storage, n_prices or "none", profile.title)
    grid.print(console)


def _short(key):
    """Last words of a key: ``energy.price_sets.fit.prices.hop -> "hop"``, ``corners.low.clock -> "clock at low"``."""
    parts = key.split(".")
    if key.startswith("corners."):
        return f"{parts[-1]} at {'.'.join(parts[1:-1])}"
    for word in ("prices", "energy", "time"):
        if word in parts:
            parts = parts[parts.index(word) + 1 :]
    return ".".join(parts[2:] if parts[0] == "price_sets" else parts)
