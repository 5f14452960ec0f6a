"""Does it fit: the verdict of a placement as tables."""

from neurosim.reports.facts import changed_texts, n_cores_text, needed, program_texts, span, tightest, unrolling_text, words
from neurosim.reports.memory_table import CoreMemory, print_memory
from neurosim.reports.rich_parts import Grid, Sources, bullets, heading, line, percent
from neurosim.units import format_count

MEMORY = "local_memory"


def print_verdict(console, verdict, *, name=None):
    """Print whether a network fits, every limit that it breaks, what would help, and the room that is left.

    Parameters
    ----------
    console : rich.console.Console
    verdict : dict
        From `Verdict.to_dict`, or the ``verdict`` of a RunRecord.
    name : str, optional
        What was placed, for instance the scenario's name.
    """
    violations = verdict["violations"]
    n_synapses, n_cores = sum(verdict["n_active"]), verdict["n_cores"]
    broken = len({usage["name"] for usage in violations})
    n_places = sum(usage.get("n_places", 1) for usage in violations)
    places = f" in {n_places:,d} places" if n_places > broken else ""
    line(
        console,
        ("fits" if verdict["fits"] else "does not fit", "bold green" if verdict["fits"] else "bold red"),
        f"  {name + ': ' if name else ''}{format_count(n_synapses)} synapses on {n_cores_text(n_cores)} of {verdict['profile']}",
        "" if verdict["fits"] else f"; {broken} limit{'s' * (broken != 1)} exceeded{places}",
    )
    if changed := changed_texts(verdict):
        heading(console, "changed by the scenario", "such a number has no source")
        bullets(console, changed)
    if violations:
        _print_violations(console, violations)
        _print_sections_over(console, verdict["section_over"])
    if verdict.get("fit"):
        heading(console, "largest network", verdict["fit"]["text"])
    if verdict["hints"]:
        heading(console, "what would help")
        bullets(console, verdict["hints"])
    # One number for all cores of a chip; of very many cores not each has an entry.
    limit = next((u["limit"] for u in violations + verdict["headroom"] if u["name"] == MEMORY), None)
    print_memory(
        console,
        [
            CoreMemory(core["id"], core["sections"], limit, core.get("spilled", {}), stored=core.get("stored_bytes"), n_alike=core.get("n_alike", 1))
            for core in verdict["cores"]
        ],
    )
    _print_arrangements(console, verdict)
    if unrolling := unrolling_text(verdict):
        heading(console, "steps", unrolling)
    if programs := program_texts(verdict):
        heading(console, "training programs", "on the same cores")
        bullets(console, programs)
    _print_headroom(console, verdict)
    if verdict.get("storage"):
        heading(console, "storage")
        bullets(console, verdict["storage"])
    if verdict["unstated"]:
        heading(console, "not checked", "the profile states no limit for: " + ", ".join(verdict["unstated"]))
    if verdict["not_modelled"]:
        heading(console, "not modelled")
        bullets(console, verdict["not_modelled"])


def _print_arrangements(console, verdict):
    """What is expected to travel between cores, as neurons lie, or as they could."""
    found = verdict.get("arrangement")
    if found is None:
        return
    title, note = "between cores", "expected of one trained sample whose values are all sent, connections uniform over their positions"
    rows = verdict.get("arrangements")
    if not rows:
        if found["packets"]:
            heading(console, title, f"{_number(found['packets'])} packets{_hops_text(found)}: {note}")
        return
    heading(console, title, note)
    grid = Grid("=placement", "packets", "hops", "to other chips", "fullest core, B", "=")
    for row in rows:
        hops = "no grid" if row["hops"] is None else _number(row["hops"])
        fits = "" if row["fits"] else "does not fit"
        grid.row(row["kind"], _number(row["packets"]), hops, _number(row["offchip"]), format_count(row["bytes"]), fits)
    grid.print(console)


def _number(value):
    return f"{value:,.0f}"


def _hops_text(found):
    offchip = f", {_number(found['offchip'])} of them to other chips" if found["offchip"] else ""
    return offchip if found["hops"] is None else f"{offchip}, {_number(found['hops'])} hops"


def _print_violations(console, violations):
    """All violations; places with the same numbers share one row."""
    groups = {}
    for usage in violations:
        key = (usage["name"], usage["matrix"], needed(usage), usage["limit"], usage["unit"], usage["source"])
        groups.setdefault(key, []).append(usage)
    heading(console, "limits exceeded")
    grid, sources = Grid("<where", "=limit", "used", "allowed", "over by", "=unit", "=from"), Sources()
    for (name, _, used, limit, unit, source), usages in groups.items():
        grid.row(_where(usages), name, *map(format_count, (used, limit, used - limit)), unit, sources.cite(source))
    grid.print(console)
    sources.print(console)


def print_data_notes(console, notes):
    """What a user should know of the data, one line each; labels and names of columns are printed as they are."""
    for note in notes:
        console.print(f"data: {note}", markup=False, soft_wrap=True)


def _where(usages):
    """Places of usages that differ only in their core."""
    first = usages[0]
    if len(usages) == 1 or first["core"] is None:
        return first["where"]
    matrix = "" if first["matrix"] is None else f", matrix {first['matrix']}"
    return f"cores {span([usage['core'] for usage in usages])}{matrix}"


def _print_sections_over(console, overs):
    """Which section crosses the memory limit and by how much; cores that break at the same section share a sentence."""
    groups = {}
    for over in overs:
        groups.setdefault(over["section"], []).append(over)
    if groups:
        console.print()
    for section, group in groups.items():
        least, most = (pick(group, key=lambda over: over["over"]) for pick in (min, max))
        amount = f"{most['over']:,d}" if most["over"] == least["over"] else f"{least['over']:,d} to {most['over']:,d}"
        largest = ", ".join(f"{words(name)} {n:,d}" for name, n in most["largest"].items())
        on_core = f" on core {most['core']}" if len(group) > 1 else ""
        line(
            console,
            f"core{'s' * (len(group) > 1)} {span([over['core'] for over in group])}: the memory limit breaks at section ",
            (words(section), "bold red"),
            f", {amount} B over; largest in B{on_core}: {largest}",
        )


def _print_headroom(console, verdict):
    """The tightest place of each limit that holds, tightest first; apart, those that uniform draws would exceed."""
    found = [pair for pair in tightest({"violations": [], "headroom": verdict["headroom"]}) if pair[0]["name"] != MEMORY]
    bound = [pair for pair in found if pair[0]["used"] > pair[0]["limit"]]
    _print_uses(console, bound, "limits that bind in the run", "expected use beyond them; slots that find no position stay dormant")
    _print_uses(console, [pair for pair in found if pair not in bound], "room on the other limits", "each at its tightest place")


def _print_uses(console, found, title, note):
    if not found:
        return
    heading(console, title, note)
    grid = Grid("=limit", "<tightest at", "used", "allowed", "=unit", "share")
    for usage, n_places in found:
        where = usage["where"] + (f" (of {n_places:,d})" if n_places > 1 else "")
        numbers = map(format_count, (usage["used"], usage["limit"]))
        grid.row(usage["name"], where, *numbers, usage["unit"], percent(usage["used"], usage["limit"]))
    grid.print(console)
