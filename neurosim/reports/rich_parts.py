"""Building blocks of the tables: plain text in, rich objects out.

Every cell is a `Text`, so brackets in a source are never taken for markup, and columns fold instead of
shortening: no number loses digits on a narrow terminal.
"""

from rich import box
from rich.table import Table
from rich.text import Text

from neurosim.units import format_bytes, format_count, format_si


def text(value, style=""):
    """`Text` of one value; characters that could steer a terminal become spaces."""
    return Text("".join(c if c.isprintable() else " " for c in str(value)), style=style)


def line(console, *parts, indent=0):
    """Print parts, each a str or (str, style), as one paragraph."""
    whole = Text()
    for part in parts:
        whole.append_text(text(*part) if isinstance(part, tuple) else text(part))
    if indent:
        grid = Table.grid()
        grid.add_column(width=indent)
        grid.add_column(overflow="fold")
        grid.add_row("", whole)
        whole = grid
    console.print(whole, overflow="fold")


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
        A leading ``<`` makes the column text: to the left, and the first to fold when space is short.
    """

    def __init__(self, *headers):
        self.table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
        for header in headers:
            left = header.startswith("<")
            self.table.add_column(text(header.lstrip("<")), justify="left" if left else "right", overflow="fold")

    def row(self, *values, style="", rule=False):
        """Add one row; with `rule`, a line is drawn below it."""
        self.table.add_row(*(text("" if value is None else value) for value in values), style=style, end_section=rule)

    def print(self, console):
        console.print(self.table)


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
    """Number of a profile with its unit: counts and bytes whole, joules and seconds with a prefix."""
    if unit == "1":
        return format_count(value)
    if unit == "B":
        return f"{value:,d} B" if value < 1024 else f"{value:,d} B ({format_bytes(value)})"
    if unit in ("bit", "cycle"):
        return f"{value:,g} {unit}{'s' * (value != 1)}"
    return format_si(value, unit)
