"""Building blocks of the tables: plain text in, rich objects out.

Every cell is a `Text`, so brackets in a source are never taken for markup. Columns fold instead of
shortening: no number loses digits on a narrow terminal.
"""

from rich import box
from rich.table import Table
from rich.text import Text

from neurosim.units import format_bytes, format_count, format_si

# Like box.SIMPLE_HEAD, with a line between the sections of a table.
_BOX = box.Box("    \n    \n ── \n    \n ── \n ── \n    \n    \n")
_GAP = 2
_LONGEST_WORD = 12


def text(value, style=""):
    """`Text` of one value; characters that could steer a terminal become spaces."""
    return Text("".join(c if c.isprintable() else " " for c in str(value)), style=style)


def line(console, *parts, indent=0, unbroken=False):
    """Print parts, each a str or (str, style), as one paragraph; `unbroken` leaves it to the terminal to wrap."""
    whole = Text()
    for part in parts:
        whole.append_text(text(*part) if isinstance(part, tuple) else text(part))
    if indent:
        grid = Table.grid()
        grid.add_column(width=indent)
        grid.add_column(overflow="fold")
        grid.add_row("", whole)
        whole = grid
    console.print(whole, overflow=None if unbroken else "fold", soft_wrap=unbroken)


def heading(console, title, note=""):
    """Empty line and the title of a block, with an optional note behind it."""
    console.print()
    line(console, (title, "bold"), f"  {note}" if note else "")


def bullets(console, items):
    """One item per paragraph, its further lines indented."""
    grid = Table.grid(padding=(0, 1))
    grid.add_column()
    grid.add_column(overflow="fold")
    for item in items:
        grid.add_row("  -", text(item))
    console.print(grid)


def pairs(console, rows):
    """Names and what to say about them: (name, value) or (name, value, style)."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(style="bold")
    grid.add_column(overflow="fold")
    for name, *value in rows:
        grid.add_row(text(name), text(*value))
    console.print(grid)


class Grid:
    """A table of plain values; numbers stand to the right.

    Parameters
    ----------
    *headers : str
        ``<`` in front makes a column of text, which wraps when space is short; ``=`` a column of names,
        which do not.
    """

    def __init__(self, *headers):
        self.table = Table(box=_BOX, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        self._wraps = [header.startswith("<") for header in headers]
        self._widths = [0] * len(headers)
        for header in headers:
            justify = "left" if header[0] in "<=" else "right"
            self.table.add_column(text(header.lstrip("<=")), justify=justify, overflow="fold")
        self._measure([header.lstrip("<=") for header in headers])

    @property
    def width(self):
        """Least width at which no number, no name and hardly a word breaks."""
        return sum(self._widths) + _GAP * (len(self._widths) - 1)

    def row(self, *values, style="", rule=False):
        """Add one row; with `rule`, a line is drawn below it."""
        values = ["" if value is None else str(value) for value in values]
        self._measure(values)
        self.table.add_row(*map(text, values), style=style, end_section=rule)

    def _measure(self, cells):
        for i, (cell, wraps) in enumerate(zip(cells, self._wraps)):
            longest = min(max(map(len, cell.split()), default=0), _LONGEST_WORD) if wraps else len(cell)
            self._widths[i] = max(self._widths[i], longest)

    def fitted(self, width):
        """The table for a console of `width` characters: names and numbers stay whole where there is room."""
        if self.width <= width:
            for column, n, wraps in zip(self.table.columns, self._widths, self._wraps):
                column.no_wrap, column.min_width = not wraps, None if wraps else n
        return self.table

    def print(self, console):
        console.print(self.fitted(console.width))


class Sources:
    """Numbers sources in the order of their first use, to cite them in narrow cells and list them below."""

    def __init__(self):
        self._numbers = {}

    def cite(self, source):
        """Number of a source in brackets: ``"[2]"``."""
        return f"[{self._numbers.setdefault(source, len(self._numbers) + 1)}]"

    def print(self, console):
        grid = Table.grid(padding=(0, 1))
        grid.add_column()
        grid.add_column(overflow="fold")
        for source, number in self._numbers.items():
            grid.add_row(text(f"[{number}]"), text(source))
        console.print(grid)


def percent(used, limit):
    """``(47621, 65536) -> "72.7 %"``; empty without a limit."""
    return f"{100 * used / limit:.1f} %" if limit else ""


def quantity_text(value, unit):
    """Number of a profile with its unit: counts and bits whole, large byte counts, joules and seconds with a prefix."""
    if value is None:
        return format_count(None)
    if unit == "1":  # a count, or a factor that need not be whole
        return format_count(int(value)) if float(value).is_integer() else f"{value:,.4g}"
    if unit == "B":
        return f"{round(value):,d} B" if value < 2**20 else format_bytes(value)
    if unit in ("bit", "cycle"):
        return f"{value:{',d' if isinstance(value, int) else ',g'}} {unit}{'s' * (value != 1)}"
    return format_si(value, unit)
