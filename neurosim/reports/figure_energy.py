"""Energy per trained sample and core, by phase."""

import math

from matplotlib.patches import Patch

from neurosim.reports import figure_style as style
from neurosim.reports.facts import (
    EVALUATION,
    assumed_text,
    in_order,
    is_priced,
    missing_energy,
    priced_names,
    split_idle,
    training_energy_by_core,
    words,
)
from neurosim.units import format_si


def draw_energy(record, figure):
    """Stacked bars of the phases of each core; what the chip spends beside its cores stands in the subtitle."""
    if not is_priced(record):
        _say_nothing_priced(record, figure)
        return
    by_core = training_energy_by_core(record)
    idle = {core.id for core in split_idle(record.cores)[1]}
    if not math.fsum(joules for core in idle for joules in by_core.get(core, {}).values()):
        by_core = {core: phases for core, phases in by_core.items() if core not in idle}  # cores that spend nothing are folded away
    chip = math.fsum(by_core.pop(-1, {}).values())
    names = in_order((p for phases in by_core.values() for p, joules in phases.items() if joules > 0), style.PHASE_LOOKS)
    if not names:
        _say_nothing_priced(record, figure, chip)
        return
    factor, prefix = style.si_scale(max(math.fsum(phases.values()) for phases in by_core.values()))
    missing = missing_energy(record)
    title = f"Energy per trained sample: {'at least ' if missing else ''}{_joules(record.energy.per_sample_j)}"
    room = style.frame(figure, record, title, _subtitle(missing, record.energy.per_sample_j - chip, chip, assumed_text(record)))
    axes = style.plain_axes(figure, room, f"energy per trained sample ({prefix}J)", "core")
    stacks = {name: [phases.get(name, 0.0) * factor for phases in by_core.values()] for name in names}
    tops = style.draw_stacks(axes, [str(core) for core in by_core], stacks, style.PHASE_LOOKS)
    style.nice_limit(axes, max(tops) * 1.1)
    if len(tops) < style.MANY_BARS:
        for x, top in enumerate(tops):
            style.write_above(axes, x, top, style.short(top))
    alone = next(iter(by_core.values())) if len(by_core) == 1 else {}
    keys = [words(n) + (f"  {style.short(alone[n] * factor)} {prefix}J" if n in alone else "") for n in names]
    handles = [style.look_of(n, style.PHASE_LOOKS).patch(key) for n, key in zip(names, keys)]
    priced, lacking = priced_names(record, "phase")
    unknown = in_order(lacking - priced - {EVALUATION}, style.PHASE_LOOKS)
    handles += [Patch(label=f"{words(n)}: not priced", **style.NOT_DRAWN) for n in unknown]
    style.legend_beside(axes, handles)


def _subtitle(missing, cores, chip, assumed=""):
    parts = [f"lower bound, {missing}" if missing else "", assumed, "evaluation is not part of it"]
    if chip:
        parts.insert(1, f"cores {_joules(cores)}, and the chip beside its cores {_joules(chip)} (not drawn)")
    return "; ".join(part for part in parts if part)


def _joules(value):
    return format_si(value, "J").replace(" u", " µ")


def _say_nothing_priced(record, figure, chip=0.0):
    """Words where there are no bars: an empty axis would look like an energy of zero."""
    total = f"at least {_joules(chip)}" if chip else "unknown"
    style.frame(figure, record, f"Energy per trained sample: {total}")
    reason = missing_energy(record) or "no event of this run has a price"
    style.say(
        figure,
        "No event on a core has a price in this profile:",
        "the energy of the cores is unknown, and not zero.",
        "",
        *([f"The chip beside its cores takes {_joules(chip)} (static power).", ""] if chip else []),
        reason[:1].upper() + reason[1:],
    )
