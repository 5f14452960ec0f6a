"""Which limit binds first, chip by chip: how full each limit is against the size of the network."""

import textwrap

from neurosim.reports import figure_style as style
from neurosim.reports.facts import words
from neurosim.reports.sweep_facts import bindings_of, limits_at, n_synapses
from neurosim.reports.sweep_figure_curves import WIDE, caption, log_axis
from neurosim.results.metrics import CHOSEN

MOST_ROWS, MOST_LINES = 8, 4
_ROW, _MARGIN, _GAP = 1.65, 1.4, 0.7
OTHERS = (("#124a7d", "-"), ("#0b7a5f", (0, (5, 1.5))), ("#6b6b6b", (0, (2, 1))), ("#8c4a9e", (0, (5, 1, 1, 1))))


def draw_limits(record, figure):
    """One panel per series; the limit that binds first is drawn in the colour of an alarm."""
    bindings = bindings_of(record)
    title = "Which limit binds first"
    if not bindings:
        style.frame(figure, record, title, caption=caption(record))
        style.say(figure, "No point knows its limits yet.")
        return
    shown = bindings[:MOST_ROWS]
    row = _ROW + (0.75 if style.is_narrow(figure) else 0)
    style.resize(figure, _MARGIN + row * len(shown))
    height = figure.get_size_inches()[1]
    n_more = len(bindings) - MOST_ROWS
    more = f"; {n_more} more {'is' if n_more == 1 else 'are'} in the table" if n_more > 0 else ""
    subtitle = f"use of each limit at its fullest place, against the synapses of the network{more}"
    left, bottom, width, tall = style.frame(figure, record, title, subtitle, right=0.72, left=0.1, caption=caption(record))
    gap, foot = (_GAP + 0.5, 0.62) if style.is_narrow(figure) else (_GAP, 0)  # legends stand below their panels
    each = (tall - (0.25 + foot) / height - (len(shown) - 1) * gap / height) / len(shown)
    span = _span(record, shown)
    for i, binding in enumerate(shown):
        y = bottom + tall - 0.25 / height - (i + 1) * each - i * gap / height
        axes = style.plain_axes(figure, (left, y, width, each), "used (%)", "active synapses" if i == len(shown) - 1 else "")
        _draw(axes, record, binding, span)
        _add_legend(axes, (0.26 + 0.17 * bool(axes.get_xlabel())) / (each * height))
        per_line, size = (int(12 * figure.sheet.width), 7.5) if style.is_narrow(figure) else (80, 8.5)
        words_ = textwrap.fill(sentence(binding), per_line)
        style.write(axes, 0, 1.06, words_, transform=axes.transAxes, fontsize=size, color=style.INK, va="bottom", fontweight="bold")


def sentence(binding):
    """What binds, in words."""
    name, label = words(binding.limit.name), binding.series.label
    if binding.is_reached:
        most = f"{n_synapses(binding.last):,.0f} synapses fit, {n_synapses(binding.group):,.0f} do not" if binding.last else "nothing fits"
        verb = "asks for more than there is" if binding.limit.name in CHOSEN else "binds"
        return f"{label}: {name} {verb}, {most}"
    share = 100 * binding.limit.used / max(1, binding.limit.limit)
    return f"{label}: nothing binds; fullest with {n_synapses(binding.group):,.0f} synapses is {name}, {share:.0f} %"


def _span(record, bindings):
    """Smallest and largest network of all panels: they share the axis."""
    sizes = [n_synapses(group) for b in bindings for group in b.series.groups if limits_at(record, group)]
    return min(sizes), max(sizes)


def _draw(axes, record, binding, span):
    uses = {}
    for group in binding.series.groups:
        for use in limits_at(record, group):
            if use.name not in CHOSEN or use.name == binding.limit.name:
                uses.setdefault(use.name, []).append((n_synapses(group), 100 * use.used / max(1, use.limit)))
    first = binding.limit.name
    names = sorted(uses, key=lambda name: (name != first, -max(share for _, share in uses[name])))[:MOST_LINES]
    everything = [share for name in names for _, share in uses[name]]
    others = iter(OTHERS)
    for name in names:
        color, dashes = (style.ALARM, "-") if name == first else next(others)
        axes.plot(*zip(*uses[name]), color=color, linestyle=dashes, linewidth=2.2 if name == first else 1.3,
                  marker="o", markersize=3.5, label=words(name))  # fmt: skip
    axes.axhline(100, color=style.ALARM, linewidth=1.1, linestyle=(0, (5, 2)))
    low, high = span
    if low > 0 and high > WIDE * low:
        log_axis(axes, high / low)
        axes.set_xlim(low / 1.25, high * 1.25)
    else:
        margin = 0.05 * (high - low or high or 1)
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    if max(everything) > 400:
        low = max(min(share for share in everything if share > 0), 0.5)
        axes.set_yscale("log")
        axes.set_ylim(low / 1.5, max(everything) * 1.6)
        axes.minorticks_off()
    else:
        axes.set_ylim(0, max(112, max(everything) * 1.12))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _add_legend(axes, drop):
    """Keys of a panel beside it, or where there is no room `drop` below it, as a share of its height."""
    if style.is_narrow(axes.figure):
        axes.legend(loc="upper left", bbox_to_anchor=(-0.12, -drop), borderaxespad=0, frameon=False, fontsize=7, handlelength=2.2, ncols=2)
    else:
        axes.legend(loc="upper left", bbox_to_anchor=(1.02, 1.05), borderaxespad=0, frameon=False, fontsize=8, handlelength=2.4)
