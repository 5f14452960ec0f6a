"""Write what people read: the figures of a run or a sweep, and the page that holds them."""

from functools import partial
from pathlib import Path

from neurosim.documents import write_atomic
from neurosim.reports.figure_style import FILE, PAGE
from neurosim.reports.figures import FORMATS, SEARCH_FIGURES, SWEEP_FIGURES, figures_of, render_figures, write_rendered
from neurosim.reports.page import REPORT
from neurosim.reports.page_svg import make_drawing
from neurosim.reports.run_page import render_run_page
from neurosim.reports.search_page import render_search_page
from neurosim.reports.sweep_page import render_sweep_page
from neurosim.results import read_record

FIGURES_FOLDER = "figures"


def publish_run(record, folder, *, formats=FORMATS, page=True, sheet=FILE):
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
    sheet : Sheet
        What the files are drawn for; the page has drawings of its own width.

    Returns
    -------
    list of Path
        Files written; the page comes last.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    return _write(record, figures_of(record), Path(folder), formats, sheet, partial(render_run_page, record) if page else None)


def run_page(record):
    """Text of report.html of a run, nothing written."""
    return render_run_page(record, _drawings(record, figures_of(record)))


def publish_sweep(record, folder, *, formats=FORMATS, sheet=FILE):
    """Write figures and report.html of a sweep; the same as `publish_run` for a `SweepRecord`."""
    folder = Path(folder)
    return _write(record, SWEEP_FIGURES, folder, formats, sheet, partial(render_sweep_page, record, runs=_one_run_per_chip(record, folder)))


def publish_search(record, folder, *, formats=FORMATS, sheet=FILE):
    """Write figures and report.html of a search; the same as `publish_run` for a `SearchRecord`."""
    return _write(record, SEARCH_FIGURES, Path(folder), formats, sheet, partial(render_search_page, record))


def _one_run_per_chip(record, folder):
    """Record of the first finished point of each chip that is still in the folder."""
    found = {}
    for point in record.points:
        if point.status == "done" and point.profile not in found and (folder / point.folder / "result.json").is_file():
            found[point.profile] = read_record(folder / point.folder)
    return list(found.values())


def _drawings(record, names):
    """Drawings for a page, readable on a phone."""
    drawn = render_figures(record, ("svg",), names, PAGE)
    return {name: make_drawing(name, found.figure, found.files["svg"]) for name, found in drawn.items()}


def _write(record, names, folder, formats, sheet, render):
    paths = write_rendered(render_figures(record, formats, names, sheet), folder / FIGURES_FOLDER, formats) if formats else []
    if render:
        write_atomic(folder / REPORT, render(figures=_drawings(record, names)))
        paths.append(folder / REPORT)
    return paths
