"""Commands that hold what neurosim computes against published measurements and exact laws."""

from typing import Annotated, Optional

import typer

from neurosim.commands.common import AsJson, make_console, print_json
from neurosim.errors import InputError

app = typer.Typer(help="Hold what neurosim computes against published measurements.")
AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print docs/validation.md and nothing else.")]


@app.callback(invoke_without_command=True)
def validate(context: typer.Context, as_json: AsJson = False):
    """Hold what neurosim computes against published measurements and exact laws (exit code 4 outside a band).

    Without a command: published energies, powers and sizes, as `energy`.
    """
    if context.invoked_subcommand is None:
        validate_energy(as_json)
    elif as_json:
        raise InputError(f"validate: found --json before {context.invoked_subcommand}; write it behind")


@app.command("energy", short_help="Published energies, powers and sizes.")
def validate_energy(as_json: AsJson = False):
    """Published energies, powers and sizes, predicted by the code that accounts for runs."""
    from neurosim.validation.published import validate_published

    _show_validation(validate_published(), [], as_json)


@app.command("all")
def validate_all(as_json: AsJson = False, as_markdown: AsMarkdown = False):
    """Published results, then the exact laws of DEEP R."""
    from neurosim.validation.posterior import DOCUMENTED, validate_posterior
    from neurosim.validation.published import validate_published
    from neurosim.validation.soft import DOCUMENTED_SOFT, validate_soft

    laws = [*map(validate_posterior, DOCUMENTED), *map(validate_soft, DOCUMENTED_SOFT)]
    _show_validation(validate_published(), laws, as_json, as_markdown)


def _show_validation(rows, laws, as_json, as_markdown=False):
    """Print published results and laws; exit code 4 when one is outside."""
    holds = all(row["holds"] for row in rows) and all(law["verdict"] == "inside" for law in laws)
    if as_json:
        print_json({"holds": holds, "published": rows, "laws": laws})
    elif as_markdown:
        from neurosim.reports.validation_page import validation_page

        print(validation_page(rows, laws), end="")
    else:
        from neurosim.reports.validation_table import print_law, print_published

        console = make_console()
        print_published(console, rows)
        for law in laws:
            console.print()
            print_law(console, law)
    if not holds:
        raise typer.Exit(4)


@app.command("posterior", short_help="Hold hard DEEP R against theory.")
def validate_posterior(
    drift: Annotated[str, typer.Option(metavar="MU,MU,...", help="Drift of each position, dE/dtheta + alpha.")] = "1,2,4,8",
    active: Annotated[int, typer.Option(metavar="K", help="Connections that are active at every step.")] = 2,
    temperature: Annotated[float, typer.Option(metavar="T", help="Temperature.")] = 1.0,
    step_size: Annotated[float, typer.Option(metavar="ETA", help="Learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random streams.")] = 0,
    steps: Annotated[Optional[int], typer.Option(metavar="N", help="Counted steps of each copy [default: 100 relaxation times].")] = None,
    as_json: AsJson = False,
):
    """Hard DEEP R under constant drift: simulated inclusion probabilities and means against theory (exit code 4 outside)."""
    from neurosim.validation.posterior import PosteriorPlan, parse_drift, validate_posterior

    _show_law(validate_posterior(PosteriorPlan(parse_drift(drift), active, temperature, step_size, seed, steps)), as_json)


@app.command("soft_deep_r", short_help="Hold soft DEEP R against theory.")
def validate_soft_deep_r(
    fraction: Annotated[float, typer.Option(metavar="P", help="Expected active fraction; it sets theta_min.")] = 0.2,
    l1: Annotated[float, typer.Option("--l1", metavar="ALPHA", help="L1 strength.")] = 0.1,
    temperature: Annotated[float, typer.Option(metavar="T", help="Temperature.")] = 0.01,
    step_size: Annotated[float, typer.Option(metavar="ETA", help="Learning rate.")] = 0.03,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random streams.")] = 0,
    steps: Annotated[Optional[int], typer.Option(metavar="N", help="Counted steps of each copy [default: 100 relaxation times].")] = None,
    as_json: AsJson = False,
):
    """soft DEEP R without a loss: simulated activation and mean against theory (exit code 4 outside)."""
    from neurosim.validation.soft import SoftPlan, validate_soft

    _show_law(validate_soft(SoftPlan(fraction, l1, temperature, step_size, seed, steps)), as_json)


def _show_law(result, as_json):
    """Print one law; exit code 4 when it is outside."""
    if as_json:
        print_json(result)
    else:
        from neurosim.reports.validation_table import print_law

        print_law(make_console(), result)
    if result["verdict"] != "inside":
        raise typer.Exit(4)
