"""Which inputs keep connections: a picture where the inputs are one, else a profile."""

from matplotlib.patches import Rectangle

from neurosim.reports import figure_style as style
from neurosim.reports.facts import is_convolutional
from neurosim.reports.figure_cores import FILL

#: Images known by their number of pixels: side length.
SIDES = {784: 28, 64: 8}
HEIGHT = 4.6
UNUSED = "#f2dede"


def draw_inputs(record, figure):
    """Synapses of each input at the end of the training."""
    inputs = record.connectivity.inputs
    if inputs is None:
        style.say_not_recorded(figure, record, "Inputs that keep connections")
        return
    counts, n_inputs = inputs.synapses, record.connectivity.matrices[0].n_pre
    unused = sum(n == 0 for n in counts)
    is_whole_sample = n_inputs == record.dataset.n_features  # not one step of a sequence
    side = SIDES.get(len(counts)) if inputs.per == 1 and is_whole_sample else None
    style.resize(figure, HEIGHT if side else style.HEIGHT)
    kept = len(counts) - unused
    what = "inputs" if inputs.per == 1 else f"groups of {inputs.per} neighbouring inputs"
    title = f"Inputs: {kept:,d} of {len(counts):,d} {what} keep connections"
    mean = sum(counts) / n_inputs
    subtitle = f"{sum(counts):,d} active synapses leave the inputs, {style.short(mean)} each in the mean, {max(counts):,d} at most"
    if is_convolutional(record):
        title = f"First kernels: {kept:,d} of {len(counts):,d} {'places' if inputs.per == 1 else what} keep elements"
        subtitle = f"{sum(counts):,d} active elements, {style.short(mean)} at each place in the mean, {max(counts):,d} at most"
        _draw_profile(record, figure, title, subtitle, "place in the kernels: channel, row, column")
    elif side:
        _draw_picture(record, figure, title, f"{subtitle}; the picture is {side} x {side} pixels as the data has them", side)
    else:
        _draw_profile(record, figure, title, subtitle)


def _draw_picture(record, figure, title, subtitle, side):
    counts = record.connectivity.inputs.synapses
    left, bottom, width, height = style.frame(figure, record, title, subtitle, right=0.8, left=0.03)
    axes = figure.add_axes((left, bottom - 0.05, width, height + 0.05))
    axes.set_axis_off()
    axes.set_xlim(0, side)
    axes.set_ylim(side, 0)
    axes.set_aspect("equal", anchor="C")
    most = max(1, *counts)
    for i, n in enumerate(counts):
        row, column = divmod(i, side)
        axes.add_patch(Rectangle((column + 0.03, row + 0.03), 0.94, 0.94, facecolor=FILL(n / most) if n else UNUSED, edgecolor="none"))
    steps = sorted({max(1, round(most * k / 4)) for k in range(1, 5)})
    handles = [Rectangle((0, 0), 1, 1, facecolor=UNUSED, label="no synapse")]
    handles += [Rectangle((0, 0), 1, 1, facecolor=FILL(n / most), label=f"{n:,d} synapse{'s' * (n != 1)}") for n in steps]
    style.legend_beside(axes, handles)


def _draw_profile(record, figure, title, subtitle, xlabel="input"):
    inputs = record.connectivity.inputs
    room = style.frame(figure, record, title, subtitle, right=0.975)
    axes = style.plain_axes(figure, room, "active synapses", xlabel)
    per, counts = inputs.per, inputs.synapses
    few = len(counts) <= 64
    axes.bar([(i + 0.5) * per - 0.5 for i in range(len(counts))], counts, per * (0.9 if few else 1.0), facecolor="#124a7d", edgecolor="none")
    style.nice_limit(axes, max(1, *counts) * 1.08)
    axes.set_xlim(-0.5 - 0.1 * few, len(counts) * per - 0.5 + 0.1 * few)
    axes.xaxis.get_major_locator().set_params(integer=True)
