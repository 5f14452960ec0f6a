"""Figures of a run, a sweep and a search. `FIGURES`, `SWEEP_FIGURES` and `SEARCH_FIGURES` name each and what draws it: a new one is one entry."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

from neurosim.reports.matplotlib_defaults import own_defaults  # isort: skip  (before matplotlib)
from matplotlib.figure import Figure

from neurosim.documents import write_atomic
from neurosim.errors import InputError, nearest
from neurosim.reports.figure_cores import draw_cores
from neurosim.reports.figure_energy import draw_energy
from neurosim.reports.figure_inputs import draw_inputs
from neurosim.reports.figure_memory import draw_memory
from neurosim.reports.figure_phases import draw_moved, draw_phases
from neurosim.reports.figure_style import FILE, new_figure, render
from neurosim.reports.figure_traffic import draw_traffic
from neurosim.reports.figure_training import draw_training
from neurosim.reports.figure_turnover import draw_turnover
from neurosim.reports.figure_weights import draw_weights
from neurosim.reports.on_axes import AxesFigure
from neurosim.reports.search_figure import draw_trail
from neurosim.reports.sweep_figure_curves import ENERGY, MEMORY, SYNAPSES, TRAFFIC, draw_curves
from neurosim.reports.sweep_figure_limits import draw_limits

#: File name without its ending, and ``draw(record, figure)``.
FIGURES = {
    "memory_per_core": draw_memory,
    "energy_per_core": draw_energy,
    "traffic": draw_traffic,
    "training": draw_training,
    "turnover": draw_turnover,
    "cores": draw_cores,
    "weights": draw_weights,
    "inputs": draw_inputs,
}

#: Further ones of a run whose task changes.
PHASE_FIGURES = {
    "phases": draw_phases,
    "weights_moved": draw_moved,
}

SWEEP_FIGURES = {
    "accuracy_synapses": partial(draw_curves, cost=SYNAPSES),
    "accuracy_memory": partial(draw_curves, cost=MEMORY),
    "accuracy_energy": partial(draw_curves, cost=ENERGY),
    "accuracy_traffic": partial(draw_curves, cost=TRAFFIC),
    "limits": draw_limits,
}
SEARCH_FIGURES = {"search_trail": draw_trail}
FORMATS = ("png", "svg")
#: What can be asked for.
KNOWN_FORMATS = ("png", "svg", "pdf")


def figures_of(record):
    """Figures of a run by name: `FIGURES`, and `PHASE_FIGURES` where it has phases."""
    return FIGURES | (PHASE_FIGURES if record.phases else {})


@dataclass(frozen=True)
class Rendered:
    """A figure and its bytes by format."""

    figure: Figure
    files: dict[str, bytes]


def make_figure(name, record, sheet=FILE):
    """Figure of a record, not written yet.

    Parameters
    ----------
    name : str
        Key of `FIGURES`, `PHASE_FIGURES` or `SWEEP_FIGURES`.
    record : RunRecord or SweepRecord
    sheet : Sheet
        What it is drawn for.

    Returns
    -------
    matplotlib.figure.Figure
    """
    with own_defaults():
        return _make_figure(name, record, sheet)


def _make_figure(name, record, sheet):
    figure = new_figure(sheet)
    {**FIGURES, **PHASE_FIGURES, **SWEEP_FIGURES, **SEARCH_FIGURES}[name](record, figure)
    return figure


def draw(name, record, axes=None, figures=FIGURES):
    """Draw a figure of a record, on given axes or as a figure of its own.

    Parameters
    ----------
    name : str
        Key of `figures`.
    record : RunRecord or SweepRecord
    axes : matplotlib.axes.Axes, optional
    figures : dict
        `FIGURES` or `SWEEP_FIGURES`.

    Returns
    -------
    matplotlib.axes.Axes or matplotlib.figure.Figure
        `axes`, or the new figure.

    Raises
    ------
    InputError
        An unknown name.
    """
    if name not in figures:
        raise InputError(f"plot: found {name!r}; {nearest(name, figures)}")
    figure = make_figure(name, record)
    if axes is None:
        return figure
    figures[name](record, AxesFigure(axes, [panel.get_position().bounds for panel in figure.axes]))
    return axes


def render_figures(record, formats=FORMATS, names=FIGURES, sheet=FILE):
    """Bytes of figures of a record.

    Parameters
    ----------
    record : RunRecord or SweepRecord
    formats : iterable of str
        ``png``, ``svg``, ``pdf``.
    names : iterable of str
        Those of a run, or `SWEEP_FIGURES`.
    sheet : Sheet
        What they are drawn for.

    Returns
    -------
    dict of str to Rendered
    """
    with own_defaults():
        return {name: Rendered(figure := _make_figure(name, record, sheet), {f: render(figure, f) for f in formats}) for name in names}


def write_rendered(rendered, folder, formats):
    """Write figures into a folder, which is made when it does not exist.

    Parameters
    ----------
    rendered : dict of str to Rendered
    folder : path-like
    formats : iterable of str
        Which ones to write.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        The folder or a file cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be created: {error.strerror}") from None
    paths = []
    for name, found in rendered.items():
        for file_format in formats:
            paths.append(folder / f"{name}.{file_format}")
            write_atomic(paths[-1], found.files[file_format])
    return paths


def write_figures(record, folder, formats=FORMATS):
    """Write all figures of a run: `render_figures` and `write_rendered`."""
    return write_rendered(render_figures(record, formats, figures_of(record)), folder, formats)
