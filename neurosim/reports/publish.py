"""Write what people read: the figures of a run or a sweep, and the page that holds them."""

from functools import partial
from pathlib import Path

from neurosim.documents import write_atomic
from neurosim.reports.figures import FORMATS, SWEEP_FIGURES, render_figures, write_rendered
from neurosim.reports.page import REPORT
from neurosim.reports.page_svg import make_drawing
from neurosim.reports.run_page import render_run_page
from neurosim.reports.sweep_page import render_sweep_page
from neurosim.results import read_record

FIGURES_FOLDER = "figures"


def publish_run(record, folder, *, formats=FORMATS, page=True):
    """Write figures and report.html of a run.

    Parameters
    ----------
    record : RunRecord
    folder : path-like
        Folder of the run.
    formats : tuple of str
        Of the files in ``figures/``; none without any.
    page : bool
        Whether to write report.html.

    Returns
    -------
    list of Path
        Files written; the page comes last.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    rendered = render_figures(record, _needed(formats, page))
    return _write(rendered, Path(folder), formats, partial(render_run_page, record) if page else None)


def run_page(record):
    """Text of report.html of a run, nothing written."""
    rendered = render_figures(record, ("svg",))
    return render_run_page(record, {name: make_drawing(name, found.figure, found.files["svg"]) for name, found in rendered.items()})


def publish_sweep(record, folder, *, formats=FORMATS):
    """Write figures and report.html of a sweep; the same as `publish_run` for a `SweepRecord`."""
    folder = Path(folder)
    rendered = render_figures(record, _needed(formats, True), SWEEP_FIGURES)
    return _write(rendered, folder, formats, partial(render_sweep_page, record, runs=_one_run_per_chip(record, folder)))


def _one_run_per_chip(record, folder):
    """Record of the first finished point of each chip that is still in the folder."""
    found = {}
    for point in record.points:
        if point.status == "done" and point.profile not in found and (folder / point.folder / "result.json").is_file():
            found[point.profile] = read_record(folder / point.folder)
    return list(found.values())


def _needed(formats, page):
    """Each figure is drawn once: a page takes the SVG that is written anyway, or one of its own."""
    return tuple(dict.fromkeys([*formats, *(["svg"] if page else [])]))


def _write(rendered, folder, formats, render):
    paths = write_rendered(rendered, folder / FIGURES_FOLDER, formats) if formats else []
    if render:
        drawings = {name: make_drawing(name, found.figure, found.files["svg"]) for name, found in rendered.items()}
        write_atomic(folder / REPORT, render(figures=drawings))
        paths.append(folder / REPORT)
    return paths
