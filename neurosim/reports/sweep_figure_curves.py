"""Accuracy against what it takes: one curve per chip, with intervals, the Pareto front and where a chip stops fitting."""

import textwrap
from dataclasses import dataclass

from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator

from neurosim.reports import figure_style as style
from neurosim.reports.sweep_facts import FEW_SEEDS, dense_group, pareto_front, possible, series_of

HEIGHT = 4.8
#: From this ratio of the largest to the smallest number on, an axis is logarithmic.
WIDE = 20
LOOKS = (
    ("#124a7d", "o"), ("#d1691b", "s"), ("#0b7a5f", "^"), ("#8c4a9e", "D"), ("#3a7fb8", "v"), ("#6f4e37", "P"),
    ("#c8501e", "X"), ("#5b6b23", "<"),
)  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """One x axis: the metric, the axis' words and unit, and the flag that says whether it is complete."""

    metric: str
    title: str
    axis: str
    scale: str = ""
    is_complete: str | None = None


SYNAPSES = Cost("n_active", "synapses", "active synapses of the whole network")
MEMORY = Cost("bytes_per_core_max", "bytes per core", "memory used on the fullest core", "bytes")
ENERGY = Cost("energy_per_sample_j", "energy per sample", "energy per trained sample", "joules", "energy_is_complete")
TRAFFIC = Cost("traffic_per_sample_bytes", "traffic per sample", "memory traffic per trained sample", "bytes")


def look_of_series(i):
    """Color and marker of the i-th series, the same in every figure of a sweep; beyond the colours these come again with other markers."""
    n = len(LOOKS)
    return LOOKS[i % n][0], LOOKS[(i + i // n) % n][1]


def draw_curves(record, figure, cost):
    """Draw test accuracy against one cost.

    Parameters
    ----------
    record : SweepRecord
    figure : matplotlib.figure.Figure
    cost : Cost
    """
    series = series_of(record)
    short = _short_labels(series)
    n_lines = sum(len(_lines(label)) for label in short.values())
    style.resize(figure, HEIGHT if style.is_narrow(figure) else max(HEIGHT, 2.2 + 0.19 * n_lines))
    known = [[(x, group.metrics["test_accuracy"], group) for group in s.done if (x := group.metrics.get(cost.metric))] for s in series]
    title = f"Accuracy against {cost.title}"
    if not any(known):
        style.frame(figure, record, title, caption=caption(record))
        words_ = "No finished point knows this number: nothing has a price." if cost.is_complete else "No point has finished yet."
        style.say(figure, words_)
        return
    everything = [x.mean for points in known for x, _, _ in points]
    factor, unit = _unit(cost, max(everything))
    bounds = any(is_bound(group, cost) for points in known for _, _, group in points)
    room = style.frame(
        figure, record, title, _subtitle(record, bounds, _coinciding(series, known, short)), right=0.72, left=0.1, caption=caption(record)
    )
    axes = style.plain_axes(figure, room, "test accuracy (%)", f"{cost.axis}{f' ({unit})' if unit else ''}{', ≥: lower bounds' if bounds else ''}")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    keys, ends = [], []
    for i, (one, points) in enumerate(zip(series, known)):
        color, marker = look_of_series(i)
        _draw_series(axes, points, cost, factor, color, marker)
        if points:
            keys.append(Line2D([], [], color=color, marker=marker, linewidth=1.5, markersize=5, label=short[one.label]))
            ends.append(_draw_end(axes, one, points, cost, factor, color))
    keys += [_end_key(words) for words in dict.fromkeys(filter(None, ends))]
    _draw_points(axes, record, known, cost, factor)
    keys += _draw_front(axes, known, factor, bounds)
    _scale(axes, [x * factor for x in everything] + _ends(series, cost, factor))
    means = [100 * y.mean for points in known for _, y, _ in points]
    low, high = axes.get_ylim()
    # The means decide how deep the axis goes: a single wide interval would press all curves together at the top.
    axes.set_ylim(max(low, 0, min(means) - 0.1 * (max(means) - min(means)) - 1), min(high, 101))
    if dense := dense_group(record):
        y = 100 * dense.metrics["test_accuracy"].mean
        axes.axhline(y, color=style.FAINT, linewidth=1, linestyle=(0, (6, 3)), zorder=0.5)
        keys.append(Line2D([], [], color=style.FAINT, linewidth=1, linestyle=(0, (6, 3)), label=f"dense: {y:.2f} %"))
    if bounds:
        keys.append(Line2D([], [], color=style.FAINT, marker=">", markersize=5, linestyle="-", markerfacecolor="white", label="≥: at least so much"))
    style.legend_beside(axes, [_wrapped(key) for key in keys[::-1]])


def is_bound(group, cost):
    """Whether a group's cost is only a lower bound."""
    return cost.is_complete is not None and getattr(group, cost.is_complete) is False


def caption(record):
    n = len(record.seeds)
    return f"sweep {record.name}  ·  {len(record.points):,d} points, {record.count('done'):,d} done  ·  {n} seed{'s' * (n != 1)}"


def _coinciding(series, known, names):
    """Words on curves that lie on others and so are not seen: two or more points, at all costs that both have; None where there are none."""
    curves = [{x.mean: y.mean for x, y, _ in points} for points in known]
    for i, (one, first) in enumerate(zip(series, curves)):
        alike = [
            names[other.label]
            for other, second in zip(series[i + 1 :], curves[i + 1 :])
            if len(first.keys() & second.keys()) > 1 and all(first[x] == second[x] for x in first.keys() & second.keys())
        ]
        if alike:
            return f"{', '.join([names[one.label], *alike[:-1]])} and {alike[-1]} lie on each other"
    return None


def _subtitle(record, bounds, coinciding=None):
    n = max((group.n_done for group in record.summary), default=0)
    parts = [
        "mean over seeds; bars: 95 % confidence interval" if n >= FEW_SEEDS
        else "one seed: no interval is known" if n < 2
        else f"line: mean of {n} seeds, too few for an interval; dots: each of them"
    ]  # fmt: skip
    if coinciding:
        parts.append(coinciding)
    if bounds:
        parts.append("energy is a lower bound (hollow, arrow): a chip with fewer published prices looks cheaper than it is")
    return "; ".join(parts)


def _unit(cost, most):
    """Factor of an axis and the name of its unit."""
    if cost.scale == "bytes":
        size, unit = style.byte_scale(most)
        return 1 / size, f"{unit} = {size:,d} B" if unit == "KB" else unit
    if cost.scale == "joules":
        factor, prefix = style.si_scale(most)
        return factor, f"{prefix}J"
    return 1.0, ""


def _draw_series(axes, points, cost, factor, color, marker):
    if not points:
        return
    points = sorted(points, key=lambda point: point[0].mean)
    axes.plot([x.mean * factor for x, _, _ in points], [100 * y.mean for _, y, _ in points], color=color, linewidth=1.5)
    for x, y, group in points:
        bound = is_bound(group, cost)
        ends = possible(y)
        error = None if ends is None else [[100 * (y.mean - ends[0])], [100 * (ends[1] - y.mean)]]
        has_spread = ends is not None and x.low is not None and x.high > x.low
        spread = [[(x.mean - max(x.low, 0)) * factor], [(x.high - x.mean) * factor]] if has_spread else None
        where = (x.mean * factor, 100 * y.mean)
        axes.errorbar(*where, error, spread, color=color, marker=marker, markersize=5, linewidth=1, capsize=2,
                      markerfacecolor="white" if bound else color)  # fmt: skip
        if bound:
            axes.annotate("", where, (17, 0), textcoords="offset points",
                          arrowprops={"arrowstyle": "<-", "color": color, "linewidth": 0.9, "shrinkA": 3, "shrinkB": 0})  # fmt: skip


def _draw_points(axes, record, known, cost, factor):
    """Each seed of groups that have too few of them for an interval."""
    few = {group.group: look_of_series(i) for i, points in enumerate(known) for _, y, group in points if 1 < y.n < FEW_SEEDS}
    for point in record.points:
        x, y = getattr(point.metrics, cost.metric), point.metrics.test_accuracy
        if point.group in few and x is not None and y is not None:
            color, marker = few[point.group]
            axes.plot([x * factor], [100 * y], color=color, marker=marker, markersize=3, alpha=0.55, linestyle="")


def _draw_end(axes, series, points, cost, factor, color):
    """Mark where a chip stops fitting; returns the key's words, or None when it does not."""
    unfit = series.first_unfit
    if unfit is None:
        return None
    last = max(points, key=lambda point: point[2].metrics["n_active"].mean)
    y = 100 * last[1].mean
    x = unfit.metrics.get(cost.metric)
    if x is None:  # what a network would spend that was never trained is not known: the last point is crossed out
        axes.plot([last[0].mean * factor], [y], color=color, marker="x", markersize=11, markeredgewidth=1.4, linestyle="")
        return "the largest that fits"
    axes.plot([last[0].mean * factor, x.mean * factor], [y, y], color=color, linestyle=(0, (1, 1.5)), linewidth=1.4)
    axes.plot([x.mean * factor], [y], color=color, marker="x", markersize=8, markeredgewidth=1.8, linestyle="")
    return "does not fit any more"


def _end_key(words):
    return Line2D([], [], color=style.FAINT, marker="x", linestyle=(0, (1, 1.5)), markersize=7, label=words)


def _ends(series, cost, factor):
    return [x.mean * factor for s in series if s.done and s.first_unfit and (x := s.first_unfit.metrics.get(cost.metric))]


def _draw_front(axes, known, factor, bounds):
    front = pareto_front((x.mean * factor, 100 * y.mean, None) for points in known for x, y, _ in points)
    xs, ys = [p[0] for p in front], [p[1] for p in front]
    axes.step(xs, ys, where="post", color="#9a9a9a", linewidth=4, alpha=0.35, zorder=1)
    axes.plot(xs, ys, linestyle="", marker="o", markersize=11, markerfacecolor="none", markeredgecolor="#8a8a8a", markeredgewidth=1.1, zorder=1)
    label = "Pareto front" + (" of the lower bounds" if bounds else "")
    return [Line2D([], [], color="#b8b8b8", linewidth=4, marker="o", markersize=9, markerfacecolor="none", markeredgecolor="#8a8a8a", label=label)]


def _scale(axes, values):
    low, high = min(values), max(values)
    if low > 0 and high > WIDE * low:
        log_axis(axes, high / low)
        axes.set_xlim(low / 1.5, high * 1.6)
        return
    margin = 0.08 * (high - low or high or 1)
    axes.set_xlim(max(low - margin, 0) if low >= 0 else low, high + margin)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")


def log_axis(axes, ratio):
    """Logarithmic x axis with plain numbers; the fewer decades, the more ticks between."""
    axes.set_xscale("log")
    subs = (1, 2, 5) if ratio < 200 else (1, 3) if ratio < 3000 else (1,)
    axes.xaxis.set_major_locator(LogLocator(subs=subs))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    axes.minorticks_off()


def _short_labels(series):
    """Label of each series, without the chip where all have the same one, and without what they share."""
    chips = {one.profile for one in series}
    if len(chips) > 1 or len(series) < 2:
        return {one.label: one.label for one in series}
    return {one.label: one.label.removeprefix(f"{one.profile}, ") for one in series}


def _lines(label, width=24):
    return textwrap.wrap(label, width, break_on_hyphens=False)


def _wrapped(key):
    key.set_label("\n".join(_lines(key.get_label())))
    return key
