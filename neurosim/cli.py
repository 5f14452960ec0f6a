"""Commands: parse, call, print, exit code. Everything heavy is imported by the command that needs it."""

import json
import os
import sys
from pathlib import Path
from typing import Annotated, Optional

import typer

from neurosim import __version__
from neurosim.errors import InputError, InterruptedRunError, NeurosimError, nearest

app = typer.Typer(
    name="neurosim",
    help="On-chip training inside the budgets of neuromorphic hardware: does it fit, how well does it learn, what does it cost?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
profiles_app = typer.Typer(no_args_is_help=True, help="Hardware profiles: one chip each, every number with its source.")
scenarios_app = typer.Typer(no_args_is_help=True, help="Bundled scenarios.")
data_app = typer.Typer(no_args_is_help=True, help="Data sets.")
app.add_typer(profiles_app, name="profiles")
app.add_typer(scenarios_app, name="scenarios")
validate_app = typer.Typer(help="Hold what neurosim computes against published measurements and exact laws.")
app.add_typer(data_app, name="data")
app.add_typer(validate_app, name="validate")

ScenarioName = Annotated[str, typer.Argument(help="Name of a bundled scenario, or path of a YAML file.", show_default=False)]
Overrides = Annotated[
    Optional[list[str]], typer.Option("--set", metavar="KEY=VALUE", help="Override a key, such as training.epochs=3.")
]
Plugins = Annotated[
    Optional[list[str]],
    typer.Option("--plugin", metavar="MODULE", help="Import this Python module, so that rewiring.rule may name a rule of it."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]


def _print_version(value: bool):
    if value:
        print(f"neurosim {__version__}")
        raise typer.Exit()


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
):
    if debug:
        os.environ["NEUROSIM_DEBUG"] = "1"


def _console(stderr=False):
    from rich.console import Console

    # In a pipe there is no width to ask for: wide enough that no number is cut.
    console = Console(stderr=stderr, highlight=False)
    return console if console.is_terminal else Console(stderr=stderr, highlight=False, width=max(console.width, 110))


def _print_json(data):
    print(json.dumps(data, indent=1, allow_nan=False))


def _print_described(items, as_json):
    """List things that have a name and a description."""
    rows = [{"name": item.name, "description": item.description.strip()} for item in items]
    if as_json:
        _print_json(rows)
        return
    from rich.table import Table

    table = Table(box=None, pad_edge=False, show_header=False)
    for row in rows:
        table.add_row(f"[bold]{row['name']}[/]", row["description"])
    _console().print(table)


@app.command()
def check(scenario: ScenarioName, overrides: Overrides = None, plugins: Plugins = None, as_json: AsJson = False):
    """Say whether a scenario fits its chip, without training (exit code 3 if not)."""
    from neurosim.errors import DoesNotFitError
    from neurosim.scenario.experiment import prepare
    from neurosim.scenario.load import load_scenario

    try:
        verdict = prepare(load_scenario(scenario, overrides or (), plugins or ())).verdict
    except DoesNotFitError as error:
        if not as_json:
            raise
        verdict = error.verdict
    if as_json:
        _print_json(verdict.to_dict())
    else:
        from neurosim.reports.tables import print_verdict

        print_verdict(_console(), verdict.to_dict())
    if not verdict.fits:
        raise typer.Exit(DoesNotFitError.exit_code)


@app.command()
def run(
    scenario: ScenarioName,
    overrides: Overrides = None,
    plugins: Plugins = None,
    out: Annotated[Optional[Path], typer.Option("--out", metavar="DIR", help="Folder of the run [default: runs/NAME].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")] = False,
    data: Annotated[Optional[Path], typer.Option("--data", metavar="DIR", help="Look for data sets here first.")] = None,
    threads: Annotated[Optional[int], typer.Option("--threads", metavar="N", help="Threads; results do not depend on it.")] = None,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
):
    """Train a scenario inside its chip's budgets and report accuracy, memory, traffic and energy."""
    from neurosim.reports.progress import RunObserver
    from neurosim.scenario.load import load_scenario
    from neurosim.scenario.runner import run_scenario

    chosen = load_scenario(scenario, overrides or (), plugins or ())
    with RunObserver(None if quiet or as_json else _console()) as observer:
        record, folder = run_scenario(
            chosen, out=out, resume=resume, data_dir=data, n_threads=threads, observer=observer
        )
    if as_json:
        _print_json(record.model_dump(by_alias=True))
    elif not quiet:
        from neurosim.reports.tables import print_run

        console = _console()
        print_run(console, record)
        console.print(f"\nWritten to [bold]{folder}/[/]: result.json, epochs.csv, cores.csv, traffic.csv, energy.csv", soft_wrap=True)
        for figure in sorted((folder / "figures").glob("*.png")):
            console.print(f"  {figure}", soft_wrap=True)


@app.command()
def compare(
    runs: Annotated[list[Path], typer.Argument(help="Folders of finished runs.", metavar="RUN RUN ...", show_default=False)],
    as_json: AsJson = False,
):
    """Show runs side by side: how their scenarios differ, accuracy, memory, traffic, energy and time."""
    from neurosim.results import read_record
    from neurosim.results.comparison import compare as compare_records

    comparison = compare_records([str(run) for run in runs], [read_record(run) for run in runs])
    if as_json:
        _print_json(comparison)
    else:
        from neurosim.reports.compare_table import print_comparison

        print_comparison(_console(), comparison)


@app.command()
def report(folder: Annotated[Path, typer.Argument(help="Folder of a run or of a sweep.", metavar="DIR", show_default=False)]):
    """Write figures and report.html of a finished run, or of a sweep, and print the path of the page."""
    from neurosim.results import read_record
    from neurosim.results.sweep import is_sweep, read_sweep

    is_of_a_sweep = is_sweep(folder)
    record = read_sweep(folder) if is_of_a_sweep else read_record(folder)
    from neurosim.reports.publish import publish_run, publish_sweep

    paths = (publish_sweep if is_of_a_sweep else publish_run)(record, folder if folder.is_dir() else folder.parent)
    print(paths[-1])


@app.command()
def sweep(
    name: Annotated[
        Optional[str], typer.Argument(metavar="SWEEP", help="Name of a bundled sweep, or path of a YAML file.", show_default=False)
    ] = None,
    overrides: Overrides = None,
    out: Annotated[Optional[Path], typer.Option("--out", metavar="DIR", help="Folder of the sweep [default: runs/NAME].")] = None,
    jobs: Annotated[Optional[int], typer.Option("--jobs", metavar="N", help="Processes, one kernel thread each [default: cores].")] = None,
    engine: Annotated[str, typer.Option("--engine", help="local, dask or ray.")] = "local",
    scheduler: Annotated[Optional[str], typer.Option("--scheduler", metavar="ADDRESS", help="Of the cluster: tcp://HOST:8786.")] = None,
    data: Annotated[Optional[Path], typer.Option("--data", metavar="DIR", help="Look for data sets here first.")] = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Run failed points again.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Accept more than 1,000 points.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the bundled sweeps.")] = False,
    as_json: AsJson = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but errors.")] = False,
):
    """Run a scenario along axes and seeds; a repeated or interrupted sweep does only what is missing."""
    from neurosim.sweeps import expand, list_sweeps, load_sweep, run_sweep

    if show_list:
        _print_described([load_sweep(each)[0] for each in list_sweeps()], as_json)
        return
    if name is None:
        raise InputError(f"sweep: name a sweep or a file; known: {', '.join(list_sweeps())}")
    plan = expand(*load_sweep(name), overrides=overrides or (), yes=yes)
    from neurosim.reports.sweep_progress import SweepObserver

    with SweepObserver(None if quiet or as_json else _console()) as observer:
        record, folder = run_sweep(
            plan, out=out, engine=engine, scheduler=scheduler, jobs=jobs, data_dir=data, retry_failed=retry_failed, observer=observer
        )
    if as_json:
        _print_json(record.model_dump(by_alias=True))
    elif not quiet:
        from neurosim.reports.tables import print_sweep

        console = _console()
        print_sweep(console, record)
        console.print(f"\nWritten to [bold]{folder}/[/]: sweep.json, results.csv, summary.csv, points/", soft_wrap=True)


@profiles_app.command("list")
def profiles_list(as_json: AsJson = False):
    """List the bundled hardware profiles."""
    from neurosim.hardware import list_profiles, load_profile

    profiles = [load_profile(name) for name in list_profiles()]
    if as_json:
        _print_json([{"name": p.name, "title": p.title, "sha256": p.sha256} for p in profiles])
    else:
        from neurosim.reports.tables import print_profile_list

        print_profile_list(_console(), profiles)


@profiles_app.command("show")
def profiles_show(profile: Annotated[str, typer.Argument(help="Name or path of a profile.")], as_json: AsJson = False):
    """Show every number of a profile with its kind and source."""
    from neurosim.hardware import check_profile, load_profile

    loaded = load_profile(profile)
    if as_json:
        _print_json({"name": loaded.name, "title": loaded.title, "sha256": loaded.sha256, "numbers": check_profile(loaded)})
    else:
        from neurosim.reports.tables import print_profile

        print_profile(_console(), loaded)


@profiles_app.command("check")
def profiles_check(
    names: Annotated[Optional[list[str]], typer.Argument(help="Names or paths; all bundled ones without.", metavar="[PROFILE]...")] = None,
    as_json: AsJson = False,
):
    """Load profiles strictly: every number has a unit, a kind and a source, and no price is 0 unless its source says so."""
    from neurosim.hardware import audit_profile, list_profiles, load_profile
    from neurosim.reports.profile_table import audit_text

    rows = [audit_profile(p) for p in map(load_profile, names or list_profiles())]
    if as_json:
        _print_json(rows)
    for row in rows if not as_json else ():
        print(audit_text(row))
    problems = [f"{row['name']}: {problem}" for row in rows for problem in row["problems"]]
    if problems:
        raise InputError("; ".join(problems))


@scenarios_app.command("list")
def scenarios_list(as_json: AsJson = False):
    """List the bundled scenarios."""
    from neurosim.scenario.load import list_scenarios, load_scenario

    _print_described(map(load_scenario, list_scenarios()), as_json)


@scenarios_app.command("show")
def scenarios_show(scenario: ScenarioName, overrides: Overrides = None, as_json: AsJson = False):
    """Print a scenario with all its defaults filled in."""
    from neurosim.documents import dump_yaml
    from neurosim.scenario.load import load_scenario

    data = load_scenario(scenario, overrides or ()).model_dump(mode="json", exclude_none=True)
    if as_json:
        _print_json(data)
    else:
        print(dump_yaml(data), end="")


@app.command()
def schema(what: Annotated[str, typer.Argument(help="scenario, sweep, profile, result or sweep-result.")]):
    """Print the JSON Schema of scenario, sweep and profile files, of result.json or sweep.json."""
    if what == "scenario":
        from neurosim.scenario.schema import Scenario as Model
    elif what == "profile":
        from neurosim.hardware import HardwareProfile as Model
    elif what == "result":
        from neurosim.results import RunRecord as Model
    elif what == "sweep":
        from neurosim.sweeps.schema import Sweep as Model
    elif what == "sweep-result":
        from neurosim.results import SweepRecord as Model
    else:
        raise InputError(f"schema: found {what!r}; {nearest(what, ('scenario', 'sweep', 'profile', 'result', 'sweep-result'))}")
    _print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Model.model_json_schema(by_alias=True)})


AsMarkdown = Annotated[bool, typer.Option("--markdown", help="Print docs/validation.md and nothing else.")]


@validate_app.callback(invoke_without_command=True)
def validate(context: typer.Context, as_json: AsJson = False):
    """Hold what neurosim computes against published measurements and exact laws (exit code 4 outside a band).

    Without a command: published energies, powers and sizes, as `energy`.
    """
    if context.invoked_subcommand is None:
        validate_energy(as_json)
    elif as_json:
        raise InputError(f"validate: found --json before {context.invoked_subcommand}; write it behind")


@validate_app.command("energy")
def validate_energy(as_json: AsJson = False):
    """Published energies, powers and sizes, predicted by the code that accounts for runs."""
    from neurosim.validation.published import validate_published

    _show_validation(validate_published(), [], as_json)


@validate_app.command("all")
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
        _print_json({"holds": holds, "published": rows, "laws": laws})
    elif as_markdown:
        from neurosim.reports.validation_page import validation_page

        print(validation_page(rows, laws), end="")
    else:
        from neurosim.reports.validation_table import print_law, print_published

        console = _console()
        print_published(console, rows)
        for law in laws:
            console.print()
            print_law(console, law)
    if not holds:
        raise typer.Exit(4)


@validate_app.command("posterior")
def validate_posterior(
    drift: Annotated[str, typer.Option(metavar="MU,MU,...", help="Drift of each position, dE/dtheta + alpha.")] = "1,2,4,8",
    active: Annotated[int, typer.Option(metavar="K", help="Connections that are active at every step.")] = 2,
    temperature: Annotated[float, typer.Option(metavar="T", help="Temperature.")] = 1.0,
    step_size: Annotated[float, typer.Option(metavar="ETA", help="Learning rate.")] = 1e-3,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random streams.")] = 0,
    steps: Annotated[
        Optional[int], typer.Option(metavar="N", help="Counted steps of each copy [default: 100 relaxation times].")
    ] = None,
    as_json: AsJson = False,
):
    """Hard DEEP R under constant drift: simulated inclusion probabilities and means against theory (exit code 4 outside)."""
    from neurosim.validation.posterior import PosteriorPlan, parse_drift, validate_posterior

    _show_law(validate_posterior(PosteriorPlan(parse_drift(drift), active, temperature, step_size, seed, steps)), as_json)


@validate_app.command("soft_deep_r")
def validate_soft_deep_r(
    fraction: Annotated[float, typer.Option(metavar="P", help="Expected active fraction; it sets theta_min.")] = 0.2,
    l1: Annotated[float, typer.Option("--l1", metavar="ALPHA", help="L1 strength.")] = 0.1,
    temperature: Annotated[float, typer.Option(metavar="T", help="Temperature.")] = 0.01,
    step_size: Annotated[float, typer.Option(metavar="ETA", help="Learning rate.")] = 0.03,
    seed: Annotated[int, typer.Option(metavar="N", help="Seed of the random streams.")] = 0,
    steps: Annotated[
        Optional[int], typer.Option(metavar="N", help="Counted steps of each copy [default: 100 relaxation times].")
    ] = None,
    as_json: AsJson = False,
):
    """soft DEEP R without a loss: simulated activation and mean against theory (exit code 4 outside)."""
    from neurosim.validation.soft import SoftPlan, validate_soft

    _show_law(validate_soft(SoftPlan(fraction, l1, temperature, step_size, seed, steps)), as_json)


def _show_law(result, as_json):
    """Print one law; exit code 4 when it is outside."""
    if as_json:
        _print_json(result)
    else:
        from neurosim.reports.validation_table import print_law

        print_law(_console(), result)
    if result["verdict"] != "inside":
        raise typer.Exit(4)


@app.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or its result.json.", metavar="RUN", show_default=False)],
    what: Annotated[str, typer.Option("--format", metavar="FORMAT", help="action-counts (YAML), action-counts-csv or sanafe.")],
    out: Annotated[
        Optional[Path], typer.Option("--out", metavar="FILE", help="Write here instead of printing; for sanafe a folder.")
    ] = None,
    data: Annotated[Optional[Path], typer.Option("--data", metavar="DIR", help="For sanafe: look for data sets here first.")] = None,
):
    """Write a run's counts for other energy estimators, or one batch of it for SANA-FE to replay.

    Counts are events and bytes per core, phase and kind. For SANA-FE: cores and prices, the synapses of the checkpoint, and which
    activations and errors are not zero in the first batch of the training set with these weights.
    """
    from neurosim.documents import write_atomic
    from neurosim.results import read_record
    from neurosim.results.export import export_run

    if what == "sanafe":
        from neurosim.scenario.replay import export_sanafe

        if out is None:
            raise InputError("--out: missing; --format sanafe writes several files, give a folder such as --out replay")
        return export_sanafe(run, out, data)
    text = export_run(read_record(run), what)
    if out is None:
        print(text, end="")
    else:
        write_atomic(out, text)


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(help="mnist")],
    directory: Annotated[Optional[Path], typer.Option("--to", metavar="DIR", help="Folder [default: the user's cache].")] = None,
):
    """Download a data set from OpenML, once (needs a network)."""
    from neurosim.datasets import fetch

    print(fetch(name, directory))


@data_app.command("list")
def data_list(as_json: AsJson = False):
    """List the data sets that are known by name."""
    from neurosim.datasets import DATASETS

    rows = [{"name": d.name, "features": d.n_features, "classes": d.n_classes, "summary": d.summary} for d in DATASETS.values()]
    if as_json:
        _print_json(rows)
    for row in rows if not as_json else ():
        print(f"{row['name']}: {row['features']} features, {row['classes']} classes. {row['summary']}")


def main(arguments=None):
    """Run the command line; returns the exit code (0, 1, 2, 3, 4 or 130)."""
    os.environ.pop("NEUROSIM_DEBUG", None)
    try:
        return _run(arguments)
    except OSError as error:  # of standard output; files have errors of their own
        # A closed pipe (`neurosim ... | head`) or a full disk must not end in a traceback.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if not isinstance(error, BrokenPipeError):
            print(f"neurosim: cannot write the output: {error.strerror}", file=sys.stderr)
        return 1


def _run(arguments):
    try:
        result = app(arguments, standalone_mode=False)
        sys.stdout.flush()
        if result == InterruptedRunError.exit_code:
            print("neurosim: interrupted", file=sys.stderr)
        return result if isinstance(result, int) else 0
    except NeurosimError as error:
        if os.environ.get("NEUROSIM_DEBUG"):
            raise
        print(f"neurosim: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("neurosim: interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # typer's own errors have no public base class in every version
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
        if message:
            print(f"neurosim: {message}; see neurosim --help", file=sys.stderr)
        return getattr(error, "exit_code", 2)


if __name__ == "__main__":
    sys.exit(main())
