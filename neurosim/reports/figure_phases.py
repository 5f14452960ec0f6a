"""Changing tasks: accuracy over the phases, and in which matrices the weights moved, beside a control."""

from matplotlib.ticker import MaxNLocator

from neurosim.reports import figure_style as style
from neurosim.reports.facts import matrix_text

SEEN = {"color": "#124a7d", "linestyle": "-", "marker": "o", "label": "this run"}
CONTROL = {"color": "#8a8a8a", "linestyle": (0, (4, 1.5)), "marker": "", "label": "control: the first task in all phases"}
LOOKS = (("#124a7d", "o"), ("#d1691b", "s"), ("#0b7a5f", "^"), ("#8c4a9e", "D"), ("#3a7fb8", "v"), ("#6f4e37", "P"))
HEIGHT = 4.2
_MARKED_EPOCHS = 40


def draw_phases(record, figure):
    """Accuracy of every epoch on the task of its phase; a line where the task changes."""
    style.resize(figure, HEIGHT)
    phases, control = record.phases, record.phases.control
    forgotten = "" if phases.forgetting is None else f", {style.short(100 * phases.forgetting)} points forgotten"
    title = f"Changing tasks: {style.short(100 * phases.average_accuracy)} % on average over {len(phases.phases)} tasks at the end{forgotten}"
    subtitle = "  ·  ".join(f"{i + 1}: {phase.name}" for i, phase in enumerate(phases.phases))
    axes = _axes(figure, record, title, subtitle, "accuracy (%)", "epoch")
    seen = [epoch.test_accuracy if epoch.validation_accuracy is None else epoch.validation_accuracy for epoch in record.epochs]
    lines = [(seen, SEEN)] + ([(control.per_epoch, CONTROL)] if control else [])
    for accuracies, look in reversed(lines):
        marker = look["marker"] if len(accuracies) <= _MARKED_EPOCHS else ""
        axes.plot(
            range(1, len(accuracies) + 1), [100 * a for a in accuracies], **{**look, "marker": marker}, linewidth=1.6, markersize=4, clip_on=False
        )
    axes.set_xlim(0.5, len(seen) + 0.5)
    axes.set_ylim(top=min(101, axes.get_ylim()[1]))
    for phase in phases.phases[1:]:
        axes.axvline(phase.first_epoch + 0.5, color="#bbbbbb", linewidth=0.9, zorder=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend(axes, len(lines))


def draw_moved(record, figure):
    """Correlation of the weights of each matrix with those at the end of the phase before: a line each, and that of the control."""
    style.resize(figure, HEIGHT)
    phases, control = record.phases.phases, record.phases.control
    title = "Where weights moved: correlation with the end of the phase before"
    subtitle = "weights of all possible connections of a matrix, those without one being 0" + (
        "  ·  dashed: control, the first task in all phases" if control else ""
    )
    if len(phases) < 2:
        style.frame(figure, record, title)
        style.say(figure, "One phase alone has none before it.")
        return
    axes = _axes(figure, record, title, subtitle, "correlation", "phase")
    x = list(range(2, len(phases) + 1))
    for m in range(len(record.connectivity.matrices)):
        color, marker = LOOKS[m % len(LOOKS)]
        axes.plot(
            x,
            _correlations([phase.weights for phase in phases], m),
            color=color,
            marker=marker,
            linewidth=1.6,
            markersize=5,
            label=matrix_text(record, m),
            clip_on=False,
        )
        if control:
            axes.plot(x, _correlations(control.weights, m), color=color, linestyle=(0, (3, 1.5)), linewidth=1.1, clip_on=False)
    axes.set_xlim(1.7, len(phases) + 0.3)
    axes.set_ylim(top=1.0 + 0.02 * (1.0 - min(0.0, axes.get_ylim()[0])))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    _legend(axes, len(record.connectivity.matrices))


def _correlations(weights, m):
    return [float("nan") if (value := of_phase[m].correlation_before) is None else value for of_phase in weights[1:]]


def _axes(figure, record, title, subtitle, ylabel, xlabel):
    left, bottom, width, height = style.frame(figure, record, title, subtitle, right=0.975, left=0.115)
    return style.plain_axes(figure, (left, bottom, width, height - 0.22 / HEIGHT), ylabel, xlabel)


def _legend(axes, n):
    n_columns = 1 if style.is_narrow(axes.figure) else min(n, 3)
    if style.is_narrow(axes.figure):
        style.legend_beside(axes, axes.get_legend_handles_labels()[0][::-1])
        return
    axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=n_columns, frameon=False, fontsize=8, borderaxespad=0.1, handlelength=3)
