"""Weights and fan-in of each matrix at the end of the training, as histograms."""

import textwrap

from matplotlib.ticker import MaxNLocator

from neurosim.reports import figure_style as style
from neurosim.reports.facts import is_convolution, matrix_text

#: Matrices that one figure shows; of more, the first ones and the last.
MOST_ROWS = 6
_ROW, _MARGIN = 1.45, 1.35
_GAP = 0.72
WEIGHT = {"facecolor": "#124a7d", "edgecolor": "none"}
FAN_IN = {"facecolor": "#0b7a5f", "edgecolor": "none"}


def draw_weights(record, figure):
    """One row per matrix: signed weights of its active synapses, and active synapses per post neuron."""
    matrices = [(m, matrix) for m, matrix in enumerate(record.connectivity.matrices) if matrix.fan_in]
    title = "Weights and fan-in at the end of the training"
    if not matrices:
        style.say_not_recorded(figure, record, title)
        return
    left_out = len(matrices) - MOST_ROWS
    gates = ", each of the four gates of a unit for itself" if record.scenario.get("network", {}).get("type") == "lstm" else ""
    whose = "neuron, or the kernels of a map" if is_convolution(record, 0) else "neuron"
    subtitle = f"active synapses only; fan-in counts the active synapses of a {whose}{gates}"
    if left_out > 0:
        matrices = [*matrices[: MOST_ROWS - 1], matrices[-1]]
        subtitle += f"; {left_out} matrices between are not drawn"
    size, per_line = (6.5, 36 if figure.sheet.width > 4 else 22) if style.is_narrow(figure) else (8, 100)
    abouts = [[textwrap.fill(about, per_line) for about in _about(record, m, matrix)] for m, matrix in matrices]
    head = size / 72 * 1.2 * max(about.count("\n") for pair in abouts for about in pair)  # of lines beyond the first, in inches
    style.resize(figure, _MARGIN + head + (_ROW + head) * len(matrices))
    height = figure.get_size_inches()[1]
    left, bottom, width, tall = style.frame(figure, record, title, subtitle, right=0.98, left=0.1)
    gap_below, top = (_GAP + head) / height, (0.1 + head) / height
    each = (tall - top - (len(matrices) - 1) * gap_below) / len(matrices)
    gap = 0.17 if style.is_narrow(figure) else 0.1
    half = (width - gap) / 2
    spans = [histogram.edges for _, matrix in matrices if (histogram := matrix.weights)]
    span = (min(edges[0] for edges in spans), max(edges[-1] for edges in spans)) if spans else None
    for row, (m, matrix) in enumerate(matrices):
        y = bottom + tall - top - (row + 1) * each - row * gap_below
        for i, (histogram, looks, name) in enumerate(
            ((matrix.weights, WEIGHT, "synapses"), (matrix.fan_in, FAN_IN, "maps" if is_convolution(record, m) else "neurons"))
        ):
            xlabel = ("weight" if row == len(matrices) - 1 else "", "fan-in")[i]  # each fan-in has an axis of its own
            axes = style.plain_axes(figure, (left + i * (half + gap), y, half, each), name, xlabel)
            _draw(axes, histogram, looks)
            if i == 0 and histogram and span:  # one axis of weights, labelled below the last
                axes.set_xlim(*span)
            style.write(axes, 0, 1.03, abouts[row][i], transform=axes.transAxes, fontsize=size, color=style.FAINT, va="bottom")


def _draw(axes, histogram, looks):
    if histogram is None:  # of no weight
        axes.set_ylim(0, 1)
        axes.set_yticks([0])
        axes.set_xticks([])
        return
    edges, counts = histogram.edges, histogram.counts
    widths = [b - a for a, b in zip(edges, edges[1:])]
    # Thin white seams tell bins apart; of many bins they would be all that is seen.
    share = 0.92 if len(counts) <= 48 else 1.0
    axes.bar([(a + b) / 2 for a, b in zip(edges, edges[1:])], counts, [w * share for w in widths], **looks)
    style.nice_limit(axes, max(counts) * 1.08)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=3, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.set_xlim(edges[0], edges[-1])
    # Fan-in is whole: bins lie around whole numbers, and ticks on them.
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4 if style.is_narrow(axes.figure) else 6, integer=edges[0] == -0.5))


def _about(record, m, matrix):
    """Words above both histograms of a matrix."""
    size = f"{matrix.n_pre:,d} to {matrix.n_post:,d}"
    mean = f"mean fan-in {style.short(matrix.active / matrix.n_post)} of {matrix.n_pre:,d}"
    return f"{matrix_text(record, m)}, {size}: {matrix.active:,d} active", mean
