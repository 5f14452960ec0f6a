"""The tables of docs/profiles.md, made from the profile files: run ``python -m neurosim.reports.profile_page docs/profiles.md``."""

import re
import sys
from pathlib import Path

from neurosim.hardware import KNOWN_LIMITS, check_profile, list_profiles, load_profile
from neurosim.reports.facts import words
from neurosim.reports.profile_table import price_summary, room_text, short_key
from neurosim.reports.rich_parts import quantity_text
from neurosim.units import format_count

#: Events that every training causes, by the name of their price.
_EVENTS = ("synaptic_op", "synaptic_update", "synaptic_write", "neuron_update", "random_draw", "packet", "host_byte")


def make_tables():
    """Markdown of each table, by the name of its place in the page."""
    profiles = [load_profile(name) for name in list_profiles()]
    return {
        "chips": _table(("profile", "chip", "cores", "storage of a core", "learning", "rewiring", "prices"), map(_chip_row, profiles)),
        "sets": _table(("profile", "price set", "counts by", "origin", "corner", "prices", "static power"), _set_rows(profiles)),
        "unknown": _table(("profile", "events without a price", "time of a sample", "limits not stated"), map(_unknown_row, profiles)),
        "conflicts": _table(("profile", "number", "used", "also published"), _conflict_rows(profiles)),
    }


def fill_page(text):
    """The page with its tables made anew, each between ``<!-- NAME -->`` and ``<!-- end -->``."""
    for name, table in make_tables().items():
        text, n = re.subn(rf"(<!-- {name} -->\n).*?(<!-- end -->)", lambda m, t=table: f"{m[1]}{t}\n{m[2]}", text, flags=re.DOTALL)
        if n != 1:
            raise ValueError(f"the page has {n} places for the table {name}; expected one")
    return text


def _table(headers, rows):
    lines = [headers, ["---"] * len(headers), *rows]
    return "\n".join("| " + " | ".join(str(cell).replace("|", "/") for cell in line) + " |" for line in lines)


def _chip_row(profile):
    storage = f"{words(profile.storage.family)}, {room_text(profile.storage)}"
    learning = profile.learning
    return (
        f"`{profile.name}`", profile.title, format_count(profile.cores.value), storage,
        words(learning.where), words(learning.rewiring), price_summary(profile.energy),
    )  # fmt: skip


def _set_rows(profiles):
    for profile in profiles:
        for name, prices in profile.energy.price_sets.items():
            found = [f"{key} {quantity_text(q.value, q.unit)}" for key, q in prices.prices if q is not None]
            found += [f"loops of `{prices.program}`, draws by {'the chip' if prices.draws == 'chip' else 'software'}"] if prices.program else []
            static = [f"{level} {quantity_text(q.value, q.unit)}" for level, q in profile.energy.static_of(name) if q is not None]
            default = " (default)" if name == profile.energy.price_set else ""
            yield (
                f"`{profile.name}`", f"`{name}`{default}", prices.accounting, prices.kind, prices.corner or "",
                ", ".join(found) or "none", ", ".join(static) or "unknown",
            )  # fmt: skip


def _unknown_row(profile):
    energy, cycles = profile.energy, profile.cycles
    if energy.accounting == "program":
        packet = () if energy.prices.packet or energy.prices.packet_bit else ("packet",)
        unpriced = [*packet, "host_byte"]
    elif energy.accounting == "cycle":
        unpriced = [name for name in _EVENTS if getattr(cycles, name, None) is None]
    else:
        bytes_pay = ("synaptic_write",) if energy.accounting == "memory" else ()
        paid = {key for key, price in energy.prices if price is not None} | set(bytes_pay)
        paid |= {"packet"} if "packet_bit" in paid else set()
        unpriced = [name for name in _EVENTS if name not in paid and name not in energy.chosen.inside]
    limits = [name for name in KNOWN_LIMITS if getattr(profile.limits, name) is None]
    return f"`{profile.name}`", ", ".join(unpriced), _time_text(profile), ", ".join(limits) or "none"


def _time_text(profile):
    if profile.energy.accounting == "program" and profile.clock is not None:
        return "of the program's loops"
    timed = [key for key, q in profile.cycles if q is not None and profile.clock is not None]
    timed += [key for key, q in profile.energy.chosen.latencies if q]
    timed += ["whole forward pass"] if profile.time.forward_latency is not None else []
    return f"of {', '.join(timed)} alone" if timed else "unknown"


def _conflict_rows(profiles):
    for profile in profiles:
        for row in check_profile(profile):
            if not row["alternatives"] or row["key"].startswith("programs."):
                continue
            others = "; ".join(f"{quantity_text(o['value'], row['unit'])}: {o['note']}" for o in row["alternatives"])
            _, _, of_set = row["key"].rpartition("price_sets.")
            key = short_key(row["key"]) if of_set == row["key"] else f"{of_set.partition('.')[0]}: {short_key(row['key'])}"
            yield f"`{profile.name}`", key, quantity_text(row["value"], row["unit"]), others


if __name__ == "__main__":
    page = Path(sys.argv[1])
    page.write_text(fill_page(page.read_text(encoding="utf-8")), encoding="utf-8")
