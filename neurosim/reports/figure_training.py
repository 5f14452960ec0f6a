"""Course of the training: accuracy, loss and turnover over the epochs."""

from matplotlib.ticker import MaxNLocator

from neurosim.reports import figure_style as style
from neurosim.reports.facts import network_text

TRAIN = {"color": "#d1691b", "linestyle": (0, (4, 1.5)), "marker": "o", "markerfacecolor": "white", "label": "training set"}
TEST = {"color": "#124a7d", "linestyle": "-", "marker": "o", "label": "test set"}
TURNOVER = {"color": "#0b7a5f", "linestyle": "-", "marker": "s", "label": "arrivals"}
HEIGHT = 5.4
_MARKED_EPOCHS = 30


def draw_training(record, figure):
    """Three panels over one axis of epochs, counted from 1."""
    style.resize(figure, HEIGHT)
    epochs, accuracy = record.epochs, record.accuracy
    n = len(epochs)
    title = f"Training: test accuracy {100 * accuracy.test:.2f} % after {n} epoch{'s' * (n != 1)}"
    network = network_text(record)
    net = record.connectivity
    subtitle = (
        f"{'best' if accuracy.validation is None else 'best validation'} {100 * accuracy.best:.2f} %  ·  {record.dataset.name}{', network ' + network if network else ''}"
        f"  ·  {net.active:,d} of {net.possible:,d} connections ({100 * net.fraction:.3g} %)"
    )
    room = style.frame(figure, record, title, subtitle, right=0.975, left=0.115)
    top, middle, bottom = _panels(figure, room)
    x = [epoch.epoch + 1 for epoch in epochs]
    _draw(top, x, [100 * epoch.train_accuracy for epoch in epochs], TRAIN)
    part, look = ("test", TEST) if accuracy.validation is None else ("validation", TEST | {"label": "validation set"})
    _draw(top, x, [100 * getattr(epoch, f"{part}_accuracy") for epoch in epochs], look)
    _draw(middle, x, [epoch.train_loss for epoch in epochs], TRAIN)
    _draw(middle, x, [getattr(epoch, f"{part}_loss") for epoch in epochs], look)
    _draw(bottom, x, [100 * epoch.n_arrived / epoch.n_active if epoch.n_active else 0.0 for epoch in epochs], TURNOVER)
    for axes, label in ((top, "accuracy (%)"), (middle, "loss (nats)"), (bottom, "turnover (%)")):
        axes.set_ylabel(label, fontsize=9)
        axes.margins(y=0.14)
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4, min_n_ticks=3))
    top.set_ylim(top=min(top.get_ylim()[1], 101))
    for axes in (middle, bottom):
        axes.set_ylim(bottom=0, top=max(axes.get_ylim()[1], 1e-12))
    bottom.set_xlabel("epoch", fontsize=9)
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    bottom.set_xlim(x[0] - 0.5, x[-1] + 0.5)
    style.write(
        bottom, 0.995, 1.03, "arrivals per epoch, of the active synapses", transform=bottom.transAxes,
        fontsize=7.5, color=style.FAINT, ha="right", va="bottom",
    )  # fmt: skip
    top.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False, fontsize=8, borderaxespad=0.1, handlelength=3)


def _panels(figure, room):
    """Three axes of equal height with one x axis, from the top."""
    left, bottom, width, height = room
    gap = 0.2 / HEIGHT
    height -= 0.2 / HEIGHT  # for the legend above the first panel
    each = (height - 2 * gap) / 3
    axes = []
    for i in (2, 1, 0):
        axes.append(style.plain_axes(figure, (left, bottom + i * (each + gap), width, each), "", ""))
        if axes[:-1]:
            axes[-1].sharex(axes[0])
        if i:
            axes[-1].tick_params(labelbottom=False)
    return axes


def _draw(axes, x, y, line):
    marked = len(x) <= _MARKED_EPOCHS
    axes.plot(x, y, **{**line, "marker": line["marker"] if marked else ""}, linewidth=1.6, markersize=4.5, clip_on=False)
