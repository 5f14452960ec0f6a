"""Hardware profiles as tables: every number with its kind, its confidence and its numbered source."""

from neurosim.hardware import KNOWN_LIMITS, check_profile, iter_quantities
from neurosim.placement.families import FAMILIES
from neurosim.reports.facts import words
from neurosim.reports.rich_parts import Grid, Sources, bullets, heading, line, pairs, quantity_text
from neurosim.units import format_count

CONFIDENCE = {"V": "primary", "S": "secondary", "D": "arithmetic", "A": "assumed"}
_SETS = "energy.price_sets."


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
    others = [name for name in energy.price_sets if name != energy.price_set]
    pairs(
        console,
        [
            ("storage", f"{words(profile.storage.family)}; a removed synapse frees: {words(profile.storage.release)}"),
            ("learning", f"where: {words(learning.where)}; rewiring: {words(learning.rewiring)} ({profile.sources[learning.source]})"),
            (
                "energy",
                f"prices {energy.price_set}" + (f"; other sets: {', '.join(others)}" if others else "") + (f". {energy.note}" if energy.note else ""),
            ),
        ],
    )
    rows, sources = check_profile(profile), Sources()
    heading(console, "numbers")
    print_quantities(console, [row for row in rows if not row["key"].startswith((_SETS, "programs."))], sources=sources)
    for name, prices in energy.price_sets.items():
        in_use = "in use" if name == energy.price_set else f"chosen by hardware.price_set: {name}"
        corner = f", at corner {prices.corner}" if prices.corner else ""
        cited = sources.cite(profile.sources[prices.source])
        heading(console, f"price set {name}", f"{in_use}; accounting by {prices.accounting}, {prices.kind}{corner} {cited}")
        of_set = [row for row in rows if row["key"].startswith(f"{_SETS}{name}.")]
        print_quantities(console, of_set, sources=sources)
        if prices.inside:
            line(console, f"inside other prices of the set: {', '.join(prices.inside)}", indent=2)
        if prices.note or not of_set:
            line(console, prices.note or "no prices", indent=2)
    for name in dict.fromkeys(prices.program for prices in energy.price_sets.values() if prices.program):
        heading(console, f"program {name}", "cycles of its loops, by settings of the compiler")
        print_cycles(console, [row for row in rows if row["key"].startswith(f"programs.{name}.")])
    if others:
        _print_side_by_side(console, energy)
    unstated = [name for name in KNOWN_LIMITS if getattr(profile.limits, name) is None]
    if unstated:
        heading(console, "limits not stated", ", ".join(unstated))
    heading(console, "sources")
    sources.print(console)


def _print_side_by_side(console, energy):
    """One row per number, one column per price set: what is empty is unknown in that set."""
    heading(console, "price sets side by side", "empty: unknown in that set")
    found = {
        name: {".".join(map(str, key_path)): quantity for key_path, quantity in iter_quantities(prices)} for name, prices in energy.price_sets.items()
    }
    grid = Grid("=", *energy.price_sets)
    for part in ("prices", "latencies", "static"):
        for name in type(getattr(energy.chosen, part)).model_fields:
            key = f"{part}.{name}"
            if any(key in quantities for quantities in found.values()):
                grid.row(short_key(key), *(quantity_text(q[key].value, q[key].unit) if key in q else "" for q in found.values()))
    grid.print(console)


def print_quantities(console, rows, *, with_notes=True, sources=None):
    """Print rows of `check_profile`, or the ``prices`` of a record, with notes, other values and sources below.

    Parameters
    ----------
    console : rich.console.Console
    rows : list of dict
        With keys key, value, unit, kind, meaning, source, confidence, and where known note and alternatives.
    with_notes : bool
        Without, only other published values are listed.
    sources : Sources, optional
        Numbered sources that the caller prints; without it they are printed here.
    """
    if not rows:
        return
    numbered, notes = sources or Sources(), []
    has_meaning = any(row.get("meaning") for row in rows)
    grid = Grid("=key", "value", "=kind", *(["<meaning"] if has_meaning else []), "=basis", "=from")
    for row in rows:
        key, cited = short_key(row["key"]), numbered.cite(row["source"])
        meaning = [words(row.get("meaning") or "")] if has_meaning else []
        known = CONFIDENCE.get(row.get("confidence"), row.get("confidence"))
        grid.row(key, quantity_text(row["value"], row["unit"]), row["kind"], *meaning, known, cited)
        notes += [f"{key}: {row['note']}"] if with_notes and row.get("note") else []
        for other in row.get("alternatives") or ():
            value = quantity_text(other["value"], row["unit"])
            why = f", {other['note']}" if other["note"] else ""
            notes.append(f"{key}: also published: {value} {numbered.cite(other['source'])}{why}")
    grid.print(console)
    bullets(console, notes)
    if sources is None:
        numbered.print(console)


def print_cycles(console, rows):
    """Cycles of a turn of each loop of a program, with their range over the settings of the compiler.

    Parameters
    ----------
    console : rich.console.Console
    rows : list of dict
        Of `check_profile`, with keys ``programs.TABLE.LOOP``; nothing is printed without any.
    """
    if not rows:
        return
    first, others = rows[0], [other["note"] for other in rows[0]["alternatives"]]
    grid = Grid("=loop", "cycles a turn", *others)
    for row in rows:
        grid.row(row["key"].rpartition(".")[2], f"{row['value']:.1f}", *(f"{other['value']:.1f}" for other in row["alternatives"]))
    grid.print(console)
    bullets(console, [f"cycles: derived, not measured: {first['source']}"])


def print_profile_diff(console, profiles, rows):
    """Print what `neurosim.hardware.template.diff_profiles` found, two profiles side by side; keys as `hardware.override` takes them."""
    if not rows:
        line(console, ("no differences", "bold"), f"  {profiles[0].name} and {profiles[1].name} say the same of the price set in use")
        return
    grid = Grid("=number", *(f"<{profile.name}" for profile in profiles), "ratio")
    for row in rows:
        cells = ["" if value is None else value if isinstance(value, str) else quantity_text(value, row["unit"]) for value in row["values"]]
        grid.row(row["key"], *cells, "" if row["ratio"] is None else f"x {row['ratio']:.3g}")
    grid.print(console)
    line(console, "empty: not stated")


def audit_text(row):
    """One line of `audit_profile`: ``odin: 21 numbers, each with unit, kind and source (15 secondary, ...); no price is 0``."""
    basis = ", ".join(f"{n} {CONFIDENCE[letter]}" for letter, n in row["by_confidence"].items())
    zero = f"0 because the source says so: {', '.join(row['zero_prices'])}" if row["zero_prices"] else "no price is 0"
    found = f"each with unit, kind and source ({basis}); {zero}" if row["ok"] else f"{len(row['problems'])} without what they need"
    return f"{row['name']}: {row['numbers']} numbers, {found}"


def print_profile_list(console, profiles):
    """Print one row per profile.

    Parameters
    ----------
    console : rich.console.Console
    profiles : iterable of HardwareProfile
    """
    grid = Grid("=name", "cores", "<storage of a core", "=learning", "<prices")
    for profile in profiles:
        storage = f"{words(profile.storage.family)}, {room_text(profile.storage)}"
        grid.row(profile.name, format_count(profile.cores.value), storage, words(profile.learning.where), price_summary(profile.energy))
    grid.print(console)


def room_text(storage):
    """Room for synapses on one core, in the measure of the storage family."""
    return FAMILIES[storage.family].room_text(storage)


def price_summary(energy):
    """What the default price set prices, in few words."""
    n_prices = len(list(iter_quantities(energy.prices)))
    parts = [f"{n_prices} per {'byte' if energy.accounting == 'memory' else energy.accounting}"] if n_prices else []
    parts += ["static"] if any(iter_quantities(energy.static_power)) else []
    more = f" (+{len(energy.price_sets) - 1} set{'s' * (len(energy.price_sets) > 2)})" if len(energy.price_sets) > 1 else ""
    return (" + ".join(parts) or "none") + more


def short_key(key):
    """Last words of a key: ``energy.price_sets.fit.prices.hop -> "hop"``, ``corners.low.clock -> "clock at low"``."""
    parts = key.split(".")
    if key.startswith("corners."):
        return f"{parts[-1]} at {'.'.join(parts[1:-1])}"
    if key.startswith(_SETS):
        parts = parts[3:]
    elif parts[0] in ("energy", "time", "programs"):
        parts = parts[1:]
    return ".".join(parts[1:] if parts[0] == "prices" else parts)
