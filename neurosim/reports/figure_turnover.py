"""Turnover over time: how many synapses arrive and leave in each epoch."""

from matplotlib.ticker import MaxNLocator

from neurosim.reports import figure_style as style

ARRIVED = {"color": "#0b7a5f", "linestyle": "-", "linewidth": 1.6, "marker": "s", "label": "arrived"}
#: Broad, as arrivals mostly lie on top of it.
RELEASED = {"color": "#f2b98a", "linestyle": "-", "linewidth": 5, "marker": "", "label": "released"}
TOTAL = {"color": "#124a7d", "linestyle": "-", "linewidth": 1.6, "marker": "o", "label": "arrivals so far, per active synapse"}
_MARKED_EPOCHS = 30
#: From this ratio of the largest to the smallest number on, the axis is logarithmic.
_WIDE = 50


def draw_turnover(record, figure):
    """Arrivals and releases of each epoch, and all arrivals so far per active synapse."""
    epochs = record.epochs
    x = [epoch.epoch + 1 for epoch in epochs]
    arrived, released = [e.n_arrived for e in epochs], [e.n_released for e in epochs]
    so_far = [sum(arrived[: i + 1]) / e.n_active if e.n_active else 0.0 for i, e in enumerate(epochs)]
    last = epochs[-1]
    share = f"{style.short(100 * last.n_arrived / last.n_active)} % of the active synapses arrived in the last epoch" if last.n_active else ""
    title = f"Turnover: {sum(arrived):,d} synapses exchanged in {len(epochs)} epoch{'s' * (len(epochs) != 1)}"
    left, bottom, width, height = style.frame(figure, record, title, share, right=0.975, left=0.115)
    gap, height = 0.08, height - 0.05
    each = (height - gap) / 2
    top = style.plain_axes(figure, (left, bottom + each + gap, width, each), "synapses per epoch", "")
    low = style.plain_axes(figure, (left, bottom, width, each), "times each", "epoch")
    low.sharex(top)
    top.tick_params(labelbottom=False)
    marker = len(x) <= _MARKED_EPOCHS
    for axes, y, line in ((top, released, RELEASED), (top, arrived, ARRIVED), (low, so_far, TOTAL)):
        axes.plot(x, y, **{**line, "marker": line["marker"] if marker else ""}, markersize=4.5, clip_on=False)
    _set_scale(top, arrived + released)
    for axes in (top, low):
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.10g}")
    low.set_ylim(0, max(1e-12, max(so_far)) * 1.1)
    low.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3))
    low.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    low.set_xlim(x[0] - 0.5, x[-1] + 0.5)
    style.write(
        low, 0.995, 1.02, "arrivals so far, per active synapse", transform=low.transAxes,
        fontsize=7.5, color=style.FAINT, ha="right", va="bottom",
    )  # fmt: skip
    top.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=8, borderaxespad=0.1, handlelength=3)


def _set_scale(axes, numbers):
    if min(numbers) > 0 and max(numbers) > _WIDE * min(numbers):
        axes.set_yscale("log")
        axes.set_ylim(min(numbers) / 1.5, max(numbers) * 1.5)
        axes.minorticks_off()
        return
    axes.set_ylim(0, max(1, *numbers) * 1.14)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3, integer=True))
