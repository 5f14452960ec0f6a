"""A run's counts for other energy estimators: action counts in the terms of Accelergy, as YAML or CSV."""

import csv
import io

from neurosim.documents import dump_yaml
from neurosim.errors import InputError, nearest


def export_run(record, what):
    """Text of an export.

    Parameters
    ----------
    record : RunRecord
    what : str
        One of `FORMATS`.

    Raises
    ------
    InputError
        Unknown format.
    """
    check_format(what)
    return FORMATS[what](list(action_counts(record)))


def check_format(what):
    """Refuse the name of a format that nothing writes.

    Raises
    ------
    InputError
        It names the known ones.
    """
    if what not in FORMATS:
        raise InputError(f"--format: found {what!r}; {nearest(what, (*FORMATS, 'npz', 'c', 'sanafe'))}")


def action_counts(record):
    """Every counted action: events of the cores, and bytes read and written per memory section.

    Yields
    ------
    dict
        ``component`` (dotted path: chip, core, unit), ``action``, ``phase``, ``counts`` (int). Prices are left out: they are the
        business of the reader.
    """
    chip = record.profile.name
    if all(core.events is None for core in record.cores):
        yield from _priced_counts(record, chip)
    for core in record.cores:
        for phase, events in (core.events or {}).items():
            for action, n in _once(events).items():
                yield _action(f"{chip}.core[{core.id}].compute", action, phase, n)
    for row in record.traffic_bytes.rows:
        for action, n in (("read_byte", row.read_bytes), ("write_byte", row.write_bytes)):
            if n:
                yield _action(f"{chip}.core[{row.core}].{row.level}.{row.section}", action, row.phase, n)


def _once(events):
    """Events of which each is counted once, whatever a price set calls them: proposals together, and packets by how far they go."""
    counts = dict(events)
    proposals = sum(counts.pop(f"proposal_{outcome}", 0) for outcome in ("accepted", "rejected"))
    if "packet_sent" in counts:
        counts["packet_sent"] -= counts.get("packet_local", 0) + counts.get("packet_offchip", 0)
    return {action: n for action, n in (counts | {"proposal": proposals}).items() if n}


def _priced_counts(record, chip):
    """Of a record of an earlier version, which has events of cores as lines of its energy: where a program was priced, of the chip alone."""
    is_program = any(row.component.startswith("loop:") for row in record.energy.rows)
    for row in () if is_program else record.energy.rows:
        # Static power is no action; bytes follow from the traffic, for every profile and not only where they are priced.
        if row.phase != "static" and ":" not in row.component:
            yield _action(f"{chip}.core[{row.core}].compute", row.component, row.phase, row.count)
    for phase, events in record.events.items() if is_program else ():
        for action, n in _once(events).items():
            yield _action(f"{chip}.compute", action, phase, n)
    for core in () if is_program else record.cores:
        # Priced at the sender; which phases they arrived in is not recorded.
        if core.packets["received"]:
            yield _action(f"{chip}.core[{core.id}].compute", "packet_received", "all", core.packets["received"])


def _action(component, action, phase, counts):
    return {"component": component, "action": action, "phase": phase, "counts": counts}


def _as_yaml(rows):
    components: dict = {}
    for row in rows:
        entry = {"name": row["action"], "arguments": {"phase": row["phase"]}, "counts": row["counts"]}
        components.setdefault(row["component"], []).append(entry)
    local = [{"name": name, "action_counts": entries} for name, entries in components.items()]
    return dump_yaml({"action_counts": {"version": "0.4", "local": local}})


def _as_csv(rows):
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=("component", "action", "phase", "counts"), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


FORMATS = {"action-counts": _as_yaml, "action-counts-csv": _as_csv}
