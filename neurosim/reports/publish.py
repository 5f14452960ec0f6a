"""Write what people read: the figures of a run or a sweep, and the page that holds them."""

from pathlib import Path

from neurosim.documents import write_atomic
from neurosim.reports.figures import FORMATS, render_figures, write_rendered
from neurosim.reports.page import REPORT
from neurosim.reports.page_svg import make_drawing
from neurosim.reports.run_page import render_run_page

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
    return _write(rendered, Path(folder), formats, render_run_page if page else None, record)


def _needed(formats, page):
    """Each figure is drawn once: a page takes the SVG that is written anyway, or one of its own."""
    return tuple(dict.fromkeys([*formats, *(["svg"] if page else [])]))


def _write(rendered, folder, formats, render, record):
    paths = write_rendered(rendered, folder / FIGURES_FOLDER, formats) if formats else []
    if render:
        drawings = {name: make_drawing(name, found.figure, found.files["svg"]) for name, found in rendered.items()}
        write_atomic(folder / REPORT, render(record, drawings))
        paths.append(folder / REPORT)
    return paths
