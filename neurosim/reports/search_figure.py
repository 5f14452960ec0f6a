"""The trail of a search: what each trial took and reached, numbered in the order in which they were made."""

from matplotlib.lines import Line2D

from neurosim.reports import figure_style as style
from neurosim.reports.search_table import answer_text, effort_text
from neurosim.reports.sweep_facts import FEW_SEEDS, possible
from neurosim.reports.sweep_figure_curves import WIDE, log_axis

_AXES = {"bytes": "memory of all cores", "energy": "energy per trained sample", "cores": "cores"}
_REACHES, _MISSES = "#124a7d", "#d1691b"
#: So near to each other, as shares of the axes, numbers of trials would lie on one another.
_NEAR = 0.06


def draw_trail(record, figure):
    """Draw validation accuracy of trials against what is minimized.

    Parameters
    ----------
    record : SearchRecord
    figure : matplotlib.figure.Figure
    """
    style.resize(figure, 4.6)
    n = len(record.seeds)
    caption = f"search {record.name}  ·  {effort_text(record)}"
    title = f"Least {record.minimize} for {100 * record.target:g} %"
    known = [trial for trial in record.trials if trial.accuracy and trial.cost is not None]
    if not known:
        style.frame(figure, record, title, answer_text(record), caption=caption)
        style.say(figure, "No trial has finished with a result.")
        return
    bars = f"; bars: 95 % intervals over {n} seeds" if n >= FEW_SEEDS else ""
    room = style.frame(
        figure, record, title, f"{answer_text(record)}. Numbers: the order of the trials{bars}.", right=0.75, left=0.1, caption=caption
    )
    factor, unit = _unit(record, max(trial.cost for trial in known))
    axes = style.plain_axes(figure, room, "validation accuracy (%)", f"{_AXES[record.minimize]}{f' ({unit})' if unit else ''}")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    axes.axhline(100 * record.target, color=style.INK, linewidth=1, linestyle=(0, (5, 2)), zorder=1)
    for trial in known:
        x, y = trial.cost * factor, 100 * trial.accuracy.mean
        color, marker = (_REACHES, "o") if trial.outcome == "reaches" else (_MISSES, "s")
        ends = possible(trial.accuracy)
        error = None if ends is None else [[y - 100 * ends[0]], [100 * ends[1] - y]]
        axes.errorbar(x, y, error, color=color, marker=marker, markersize=5, linewidth=1, capsize=2, linestyle="")
        if trial.number == record.answer:
            axes.plot([x], [y], marker="o", markersize=13, markerfacecolor="none", markeredgecolor=style.ALARM, markeredgewidth=1.6, linestyle="")
    _scale(axes, [trial.cost * factor for trial in known], [100 * trial.accuracy.mean for trial in known] + [100 * record.target])
    _number(axes, [(trial.cost * factor, 100 * trial.accuracy.mean, str(trial.number)) for trial in known])
    keys = [
        Line2D([], [], color=_REACHES, marker="o", linestyle="", markersize=5, label="reaches it"),
        Line2D([], [], color=_MISSES, marker="s", linestyle="", markersize=5, label="misses it"),
        Line2D([], [], color=style.INK, linewidth=1, linestyle=(0, (5, 2)), label=f"target: {100 * record.target:g} %"),
    ]
    if record.answer is not None:
        ring = Line2D([], [], marker="o", markersize=10, markerfacecolor="none", markeredgecolor=style.ALARM, linestyle="", label="the answer")
        keys.insert(0, ring)
    style.legend_beside(axes, keys[::-1])


def _unit(record, most):
    if record.minimize == "bytes":
        size, unit = style.byte_scale(most)
        return 1 / size, f"{unit} = {size:,d} B" if unit == "KB" else unit
    if record.minimize == "energy":
        factor, prefix = style.si_scale(most)
        return factor, f"{prefix}J"
    return 1.0, ""


def _scale(axes, xs, ys):
    low, high = min(xs), max(xs)
    if low > 0 and high > WIDE * low:
        log_axis(axes, high / low)
        axes.set_xlim(low / 1.4, high * 1.4)
    else:
        margin = 0.1 * (high - low or high or 1)
        axes.set_xlim(low - margin, high + margin)
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    margin = 0.1 * (max(ys) - min(ys)) + 1
    axes.set_ylim(max(min(ys) - margin, 0), min(max(ys) + margin, 101))


def _number(axes, points):
    """Number of each trial beside its mark; where others are near it stands farther off, so that none covers another."""
    size = axes.transData.transform
    (left, bottom), (right, top) = axes.transAxes.transform([(0, 0), (1, 1)])
    taken = []
    for x, y, name in sorted(points):
        at = size((x, y))
        at = ((at[0] - left) / (right - left), (at[1] - bottom) / (top - bottom))
        n = sum(abs(at[0] - other[0]) < _NEAR and abs(at[1] - other[1]) < 2 * _NEAR for other in taken)
        taken.append(at)
        dx, dy = ((6, -12), (6, 7), (-13, 7), (-13, -14))[n % 4]
        axes.annotate(name, (x, y), (dx, dy - 9 * (n // 4)), textcoords="offset points", fontsize=7.5, color=style.INK, parse_math=False)
