"""The parts of report.html: tables, figures, templates. One file, no network, no script from elsewhere."""

from dataclasses import dataclass, field
from pathlib import Path

import jinja2

import neurosim
from neurosim.reports.facts import typeset
from neurosim.units import format_si

TEMPLATES = Path(__file__).parent / "templates"
REPORT = "report.html"


@dataclass(frozen=True)
class Column:
    title: str
    is_number: bool


@dataclass(frozen=True)
class Cell:
    """What is shown, and the number it sorts by; None for text and for what is not known."""

    text: str
    key: float | None = None


@dataclass(frozen=True)
class Row:
    cells: list[Cell]
    kind: str = ""


@dataclass(frozen=True)
class Tile:
    """One number of the first screen; `is_bound` marks a lower bound."""

    name: str
    value: str
    note: str = ""
    is_bound: bool = False


@dataclass
class PageTable:
    """A table that sorts by a click.

    Parameters
    ----------
    caption : str
    *headers : str
        With ``=`` in front a column of text, else one of numbers.
    """

    caption: str
    columns: list[Column] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def __init__(self, caption, *headers):
        self.caption = caption
        self.columns = [Column(header.lstrip("="), not header.startswith("=")) for header in headers]
        self.rows = []

    def row(self, *values, kind=""):
        """Add a row; each value is a text, or a pair of the text and the number that it stands for.

        `kind` is ``total`` for a row that stays below, ``bad`` for one that something is wrong with.
        """
        cells = [Cell(*value) if isinstance(value, tuple) else Cell("" if value is None else str(value)) for value in values]
        if len(cells) != len(self.columns):
            raise ValueError(f"{self.caption}: {len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(Row(cells, kind))


def count_cell(n):
    """Cell of a whole number; empty when it is None."""
    return ("" if n is None else f"{n:,d}", n)


def joules_cell(value, is_bound=False):
    """Cell of an energy, marked when it is a lower bound."""
    return (("≥ " if is_bound else "") + typeset(format_si(value, "J")), value)


def render_page(template, figures, **context):
    """Text of a page.

    Parameters
    ----------
    template : str
        File name below `TEMPLATES`.
    figures : dict of str to Drawing
        Missing ones are left out of the page.
    **context
        What the template names; a name that is missing raises `jinja2.UndefinedError`.

    Returns
    -------
    str
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,  # every text may come from a file of the user
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found = environment.get_template(template)
    return found.render(figures=_Figures(figures), version=neurosim.__version__, **context)


class _Figures(dict):
    """Figures by name; one that was not drawn is nothing, so that its place stays empty."""

    def __missing__(self, name):
        return None
