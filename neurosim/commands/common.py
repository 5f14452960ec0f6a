"""What commands share: their options, where they print, and how."""

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from neurosim.commands.complete import complete_overrides, complete_scenarios

ScenarioName = Annotated[
    str,
    typer.Argument(
        metavar="SCENARIO", help="Name of a bundled scenario, or path of a YAML file.", show_default=False, autocompletion=complete_scenarios
    ),
]
Overrides = Annotated[
    Optional[list[str]],
    typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.epochs=3.", autocompletion=complete_overrides),
]
Plugins = Annotated[
    Optional[list[str]],
    typer.Option("--plugin", metavar="MODULE", help="Import this Python module, so that rewiring.rule may name a rule of it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
DataFolder = Annotated[Optional[Path], typer.Option("--data", metavar="DIR", help="Look for data sets here first.")]
IsQuiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")]


def make_console(stderr=False):
    """Console of rich on standard output or standard error."""
    from rich.console import Console

    # In a pipe there is no width to ask for: wide enough that no number is cut.
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=max(console.width, 110))


def print_json(data):
    """Print plain data as JSON; a number that is not finite is an error."""
    print(json.dumps(data, indent=1, allow_nan=False))


def print_written(console, folder, files, more=()):
    """Say where the files of a run or a sweep are; a path stays in one piece, for copying."""
    from neurosim.reports.rich_parts import line

    console.print()
    line(console, "Written to ", (f"{folder}/", "bold"), f": {files}", unbroken=True)
    for path in more:
        line(console, f"  {path}", unbroken=True)


def print_described(items, as_json):
    """List things that have a name and a description."""
    rows = [{"name": item.name, "description": item.description.strip()} for item in items]
    if as_json:
        print_json(rows)
        return
    from rich.table import Table

    from neurosim.reports.rich_parts import text

    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(text(row["name"], "bold"), text(" ".join(row["description"].split())))
    make_console().print(table)
