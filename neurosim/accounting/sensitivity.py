"""How the total energy of a run follows each price: exact, since every component is a sum of counts x prices."""

import math

from neurosim.accounting.pricing import price_parts

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
    return sorted((row for row in rows if row["energy_j"] > 0), key=lambda row: -row["energy_j"])


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
