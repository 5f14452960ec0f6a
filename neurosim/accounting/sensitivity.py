"""How the total energy of a run follows each price: exact, since every component is a sum of counts x prices."""

import math

from neurosim.accounting.pricing import LOOP, price_parts
from neurosim.hardware.program import load_program

CHANGE = 0.2


def price_sensitivity(profile, lines):
    """What the total would be with another price, one price at a time.

    Parameters
    ----------
    profile : HardwareProfile
    lines : list of EnergyLine
        Of one run on this profile.

    Returns
    -------
    list of dict
        One per price that was charged, the largest share first: ``price`` (name), ``value`` in ``unit``, ``energy_j``
        that it pays, ``share`` of the total, ``total_low_j`` and ``total_high_j`` with the price 20 % lower and higher,
        and ``published``: the total with each other published value, a list of dicts with value, source, note and total_j.
    """
    priced = [line for line in lines if line.energy_j is not None]
    total = math.fsum(line.energy_j for line in priced)
    paid = {}
    for line in priced:
        for name, share in _shares(profile, line.component).items():
            paid.setdefault(name, []).append(line.energy_j * share)
    rows = [_row(profile, name, math.fsum(parts), total) for name, parts in paid.items()]
    rows += _program_rows(profile, priced, total)
    return sorted((row for row in rows if row["energy_j"] > 0), key=lambda row: -row["energy_j"])


def _program_rows(profile, lines, total):
    """The cycles of all loops at once: with the program compiled by each other setting."""
    if profile.energy.chosen.program is None:
        return []
    program, turns = load_program(profile.energy.chosen.program), [line for line in lines if line.component.startswith(LOOP)]
    paid = math.fsum(line.energy_j for line in turns)

    def by(setting):
        return math.fsum(
            line.energy_j * program.loops[name][setting] / program.loops[name][0] for line in turns for name in [line.component.removeprefix(LOOP)]
        )

    return [
        {
            "price": "cycles of the program",
            "value": 1,
            "unit": "1",
            "energy_j": paid,
            "share": paid / total if total else 0.0,
            "total_low_j": total - CHANGE * paid,
            "total_high_j": total + CHANGE * paid,
            "published": [
                {"value": by(k) / paid if paid else 1.0, "source": program.source, "note": setting, "total_j": total - paid + by(k)}
                for k, setting in enumerate(program.settings)
                if k
            ],
        }
    ]


def _shares(profile, component):
    """Fraction of a component's energy that each price pays."""
    if component.startswith("static_"):
        return {component.replace("_", ".", 1): 1.0}
    parts = price_parts(profile, component)
    whole = sum(parts.values())
    return {name: part / whole for name, part in parts.items()} if whole else {}


def _row(profile, name, paid, total):
    level = name.removeprefix("static.")
    quantity = getattr(profile.energy.prices, name) if level == name else getattr(profile.energy.static_power, level)
    return {
        "price": name,
        "value": quantity.value,
        "unit": quantity.unit,
        "energy_j": paid,
        "share": paid / total if total else 0.0,
        "total_low_j": total - CHANGE * paid,
        "total_high_j": total + CHANGE * paid,
        "published": [
            {
                "value": other.value,
                "source": profile.sources[other.source],
                "note": other.note,
                "total_j": total + paid * (other.value / quantity.value - 1.0) if quantity.value else total,
            }
            for other in quantity.alternatives
        ],
    }
