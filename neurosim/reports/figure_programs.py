"""Training programs of spiking networks beside each other: bytes against the steps of a sample, and traffic."""

from neurosim.reports import figure_style as style
from neurosim.reports.facts import EVALUATION, in_order, n_trained, words

KB = 1024
#: Program: colour, line style.
LOOKS = {
    "bptt": ("#444444", "-"),
    "eprop_clock": ("#b5179e", "-"),
    "eprop_synapse": ("#b5179e", ":"),
    "eprop_spike": ("#124a7d", "--"),
    "eprop_factorised": ("#0b7a5f", "-."),
}


def draw_program_bytes(panels, figure, subtitle="", caption=""):
    """Bytes of the fullest core against the steps of a sample, one panel for each wiring.

    Parameters
    ----------
    panels : list of (str, list of dict, sequence of int)
        Title, rows of `placement.compare_programs.describe_programs` with ``by_steps``, and these steps.
    figure : Figure
        Of `figure_style.new_figure`.
    subtitle, caption : str
    """
    figure.set_size_inches(8.6, 4.4)
    title = "What each training program keeps, against the steps of a sample"
    left, bottom, _, height = style.frame(figure, None, title, subtitle, right=0.98, left=0.08, caption=caption)
    width, names = 0.8 / len(panels) - 0.045, []
    top = max(n for _, rows, _ in panels for row in rows if not row["refused"] for n in row["by_steps"])
    for i, (name, rows, steps) in enumerate(panels):
        room = (left + i * (width + 0.055), bottom, width, height - 0.05)
        axes = style.plain_axes(figure, room, "fullest core (KB = 1024 B)" if i == 0 else "", "steps of a sample")
        for row in rows:
            if row["refused"]:
                continue
            color, dashes = LOOKS[row["program"]]
            axes.plot(steps, [n / KB for n in row["by_steps"]], color=color, linestyle=dashes, linewidth=1.6)
            names.append(row["program"])
        limit = next((row["limit"] for row in rows if not row["refused"]), None)
        if limit:
            axes.axhline(limit / KB, color=style.ALARM, linewidth=1.4, linestyle=(0, (5, 2)))
        axes.set(xscale="log", yscale="log", xlim=(steps[0], steps[-1]), ylim=(64, 1.3 * top / KB))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_title(name, loc="left", fontsize=9, color=style.INK)
    style.legend_beside(axes, [_line("limit", style.ALARM, (0, (5, 2)))] + [_line(words(name), *LOOKS[name]) for name in in_order(names, LOOKS)])


def draw_program_traffic(records, figure, subtitle="", caption=""):
    """Bytes per trained sample by section, one bar for each program.

    Parameters
    ----------
    records : dict of str to RunRecord
        By program: the same training, counted for each.
    figure : Figure
    subtitle, caption : str
    """
    stacks = []
    for record in records.values():
        found = {}
        for row in record.traffic_bytes.rows:
            if row.phase != EVALUATION:
                found[row.section] = found.get(row.section, 0) + (row.read_bytes + row.write_bytes) / n_trained(record)
        stacks.append(found)
    highest = max(sum(found.values()) for found in stacks)
    size, unit = style.byte_scale(highest)
    room = style.frame(figure, None, "Memory traffic of one trained sample, by training program", subtitle, right=0.745, caption=caption)
    axes = style.plain_axes(figure, room, f"bytes per trained sample ({unit}{' = 1024 B' if unit == 'KB' else ''})", "program")
    names = in_order((name for found in stacks for name in found), style.SECTION_LOOKS)
    for x, found in enumerate(stacks):
        below = 0.0
        for name in names:
            if found.get(name):
                axes.bar(x, found[name] / size, 0.6, bottom=below, **style.look_of(name, style.SECTION_LOOKS).kwargs)
                below += found[name] / size
        style.write_above(axes, x, below, style.short(below), fontsize=8)
    axes.set_xticks(range(len(stacks)), [words(name) for name in records])
    style.nice_limit(axes, highest / size * 1.1)
    style.legend_beside(axes, [style.look_of(name, style.SECTION_LOOKS).patch(words(name)) for name in names[::-1]])


def _line(label, color, dashes):
    from matplotlib.lines import Line2D

    return Line2D([], [], color=color, linestyle=dashes, linewidth=1.6, label=label)
