"""Local memory per core, by section, under its limit."""

import math

from neurosim.reports import figure_style as style
from neurosim.reports.facts import in_order, n_cores_text, split_idle, words
from neurosim.units import format_bytes

KB = 1024


def draw_memory(record, figure):
    """Stacked bars of the sections of each core, with the limit as a line."""
    cores, idle = split_idle(record.cores)
    names = in_order((name for core in cores for name, n in core.memory_bytes.sections.items() if n), style.SECTION_LOOKS)
    limits = sorted({core.memory_bytes.limit for core in cores} - {None})
    fullest = max(cores, key=lambda core: core.memory_bytes.used)
    room = style.frame(figure, record, _title(fullest, len(record.cores)), _subtitle(cores, idle), right=0.745)
    axes = style.plain_axes(figure, room, "local memory (KB = 1024 B)", "core")
    stacks = {name: [core.memory_bytes.sections.get(name, 0) / KB for core in cores] for name in names}
    tops = style.draw_stacks(axes, [str(core.id) for core in cores], stacks, style.SECTION_LOOKS)
    highest = max([*tops, *(n / KB for n in limits)])
    _set_scale(axes, highest * 1.12)
    for limit in limits:
        axes.axhline(limit / KB, color=style.ALARM, linewidth=1.4, linestyle=(0, (5, 2)))
        x = axes.get_xlim()[0]
        style.write_above(axes, x, limit / KB, f"limit {format_bytes(limit)}", ha="left", color=style.ALARM, fontweight="bold")
    if len(cores) < style.MANY_BARS:
        for x, (core, top) in enumerate(zip(cores, tops)):
            write = style.write_below if _is_near(core.memory_bytes, highest) else style.write_above
            write(axes, x, top, _label(core.memory_bytes, len(cores)))
    style.legend_beside(axes, _keys(cores, names))


def _is_near(memory, highest):
    """Whether a number above the bar would lie on the line of the limit."""
    return memory.limit is not None and 0 <= (memory.limit - memory.used) / KB < 0.08 * highest


def _title(core, n_cores):
    memory = core.memory_bytes
    share = f" of {format_bytes(memory.limit)} ({100 * memory.used / memory.limit:.0f} %)" if memory.limit else ""
    where = "on one core" if n_cores == 1 else f"on the fullest of {n_cores_text(n_cores)}"
    return f"Local memory: {format_bytes(memory.used)}{share} {where}"


def _subtitle(cores, idle=()):
    text = _about(cores)
    return f"{text}; {len(idle):,d} idle cores with {format_bytes(idle[0].memory_bytes.used)} each are not drawn" if idle else text


def _about(cores):
    if any(core.memory_bytes.limit is None for core in cores):
        return "the profile states no limit for every core"
    spilled = sum(sum(core.memory_bytes.spilled.values()) for core in cores)
    if spilled:
        names = dict.fromkeys(words(name) for core in cores for name in core.memory_bytes.spilled)
        return f"{format_bytes(spilled)} more in the SDRAM that cores share: {', '.join(names)}"
    if len(cores) == 1:
        return f"{cores[0].synapses.used:,d} synapses and {cores[0].n_neurons:,d} neurons"
    used = [core.memory_bytes.used for core in cores]
    return f"least {format_bytes(min(used))}, mean {format_bytes(sum(used) / len(used))}, most {format_bytes(max(used))} per core"


def _label(memory, n_cores):
    text = f"{memory.used / KB:.1f}"
    return f"{text} KB" if n_cores <= 4 else text


def _keys(cores, names):
    """Legend keys; with one core they say the bytes, too."""
    keys = []
    for name in names:
        n_bytes = f"  {format_bytes(cores[0].memory_bytes.sections[name])}" if len(cores) == 1 else ""
        keys.append(style.look_of(name, style.SECTION_LOOKS).patch(words(name) + n_bytes))
    return keys


def _set_scale(axes, top):
    """Ticks at powers of two times 1 KB, as memories are sized."""
    step = 2.0 ** math.ceil(math.log2(top / 8))
    axes.set_ylim(0, top)
    axes.set_yticks([i * step for i in range(int(top / step) + 1)])
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
