"""Commands that do the work: check, run, sweep and search scenarios."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from neurosim.commands.common import (
    AsJson, DataFolder, IsQuiet, Overrides, Plugins, ScenarioName, make_console, print_described, print_json, print_written,
)  # fmt: skip
from neurosim.commands.networks import Steps, check_network
from neurosim.commands.complete import complete_profiles, complete_sweeps, complete_words
from neurosim.errors import InputError


# Where points of a sweep or a search run.
Jobs = Annotated[Optional[int], typer.Option("--jobs", metavar="N", help="Processes, one kernel thread each [default: cores].")]
Engine = Annotated[str, typer.Option("--engine", metavar="NAME", help="local, dask or ray.", autocompletion=complete_words("local", "dask", "ray"))]
Scheduler = Annotated[Optional[str], typer.Option("--scheduler", metavar="ADDRESS", help="Of the cluster: tcp://HOST:8786.")]
RetryFailed = Annotated[bool, typer.Option("--retry-failed", help="Run failed points again.")]


def check(
    scenario: ScenarioName,
    overrides: Overrides = None,
    profiles: Annotated[
        Optional[list[str]],
        typer.Option(
            "--profile", metavar="PROFILE", help="Another chip; several, or all, for one row each.",
            autocompletion=lambda incomplete: [*complete_words("all")(incomplete), *complete_profiles(incomplete)],
        ),
    ] = None,
    placements: Annotated[
        bool, typer.Option("--placements", help="Packets and hops of each hardware.placement; traffic needs the extra placement.")
    ] = False,
    plugins: Plugins = None,
    n_steps: Steps = None,
    as_json: AsJson = False,
):  # fmt: skip
    """Say whether a scenario, or a network from a file (ONNX, NPZ or NIR) or a finished run, fits a chip, without training (exit code 3 if not).

    Of a network every count is that of its own connections: rows, axons, words, routing entries, targets, hops.

    With several --profile, or --profile all: whether it fits each of these chips, and how large it could be there (exit code 3 if it fits none).
    """
    from neurosim.errors import DoesNotFitError
    from neurosim.interchange import holds_network

    if placements and (holds_network(scenario) or profiles and (len(profiles) > 1 or profiles == ["all"])):
        raise InputError("--placements: goes with one scenario on one chip")
    if holds_network(scenario):
        return check_network(scenario, overrides, profiles, n_steps, as_json)
    if n_steps is not None:
        raise InputError(f"--steps: found {n_steps} with a scenario; it belongs to a network from a file")
    if profiles and (len(profiles) > 1 or profiles == ["all"]):
        return _check_many(scenario, list(overrides or ()), profiles, plugins or (), as_json)
    if profiles:
        chip = [f"hardware.profile={profiles[0]}", "hardware.price_set=null", "hardware.corner=null", "hardware.override=null"]
        overrides = [*chip, *(overrides or ())]
    from neurosim.scenario.experiment import prepare
    from neurosim.scenario.load import load_scenario

    notes = ()
    try:
        experiment = prepare(load_scenario(scenario, overrides or (), plugins or ()))
        verdict, notes = experiment.verdict, experiment.data_notes
    except DoesNotFitError as error:
        verdict = error.verdict
    data = verdict.to_dict()
    if placements and verdict.placement.n_cores > 1:
        data["arrangements"] = verdict.arrangements()
    if as_json:
        print_json(data)
    else:
        from neurosim.reports.tables import print_data_notes, print_verdict

        print_verdict(make_console(), data)
        if placements and "arrangements" not in data:
            print("\nplacements  all on one core: nothing travels between cores")
        print_data_notes(make_console(), notes)
    if not verdict.fits:
        raise typer.Exit(DoesNotFitError.exit_code)


def _check_many(name, overrides, profiles, plugins, as_json):
    """Print one row a chip."""
    from neurosim.errors import DoesNotFitError
    from neurosim.hardware import list_profiles
    from neurosim.scenario.load import load_scenario
    from neurosim.scenario.survey import OF_A_CHIP, survey

    if "all" in profiles:
        profiles = [*list_profiles(), *(each for each in profiles if each != "all")]
    scenario = load_scenario(name, overrides, plugins)
    said = [key for key in OF_A_CHIP if any(each.partition("=")[0].startswith(f"hardware.{key}") for each in overrides)]
    rows = survey(scenario, dict.fromkeys(profiles), kept=said)
    if as_json:
        print_json([row.to_dict() for row in rows])
    else:
        from neurosim.reports.survey_table import print_survey

        own = [key for key in OF_A_CHIP if key not in said and getattr(scenario.hardware, key) not in (None, "auto", {})]
        note = (
            f"{', '.join(f'hardware.{key}' for key in own)}: on {scenario.hardware.profile} alone; every other chip its fewest cores that fit"
            if own
            else ""
        )
        print_survey(make_console(), scenario, rows, note)
    if not any(row.state == "fits" for row in rows):
        raise typer.Exit(DoesNotFitError.exit_code)


def run(
    scenario: ScenarioName,
    overrides: Overrides = None,
    plugins: Plugins = None,
    out: Annotated[Optional[Path], typer.Option("--out", metavar="DIR", help="Folder of the run [default: runs/NAME].")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue from the last checkpoint.")] = False,
    data: DataFolder = None,
    threads: Annotated[Optional[int], typer.Option("--threads", metavar="N", help="Threads; results do not depend on it.")] = None,
    as_json: AsJson = False,
    quiet: IsQuiet = False,
):
    """Train a scenario inside its chip's budgets and report accuracy, memory, traffic and energy."""
    from neurosim.reports.progress import RunObserver
    from neurosim.scenario.load import load_scenario
    from neurosim.scenario.runner import run_scenario

    chosen = load_scenario(scenario, overrides or (), plugins or ())
    with RunObserver(None if quiet or as_json else make_console()) as observer:
        record, folder = run_scenario(chosen, out=out, resume=resume, data_dir=data, n_threads=threads, callbacks=[observer])
    if as_json:
        print_json(record.model_dump(by_alias=True))
    elif not quiet:
        from neurosim.reports.tables import print_run

        console = make_console()
        print_run(console, record)
        figures = sorted((folder / "figures").glob("*.png"))
        print_written(console, folder, "result.json, epochs.csv, cores.csv, traffic.csv, energy.csv", figures)


def warmup(
    scenarios: Annotated[
        Optional[list[str]],
        typer.Argument(
            metavar="SCENARIO",
            help="Names of bundled scenarios, or paths of YAML files; without, all kinds that are bundled.",
            show_default=False,
        ),
    ] = None,
    overrides: Overrides = None,
    plugins: Plugins = None,
    jobs: Annotated[Optional[int], typer.Option("--jobs", metavar="N", min=1, help="Processes, 1 or 2 [default: cores].")] = None,
    quiet: IsQuiet = False,
):
    """Compile ahead what runs of scenarios need: for images, clusters and CI; no data are needed."""
    from neurosim.reports.progress import CompileObserver
    from neurosim.scenario.warmup import KINDS, warm_up

    console = None if quiet else make_console()
    with CompileObserver(console) as observer:
        done = warm_up(scenarios or list(KINDS), overrides=overrides or (), plugins=plugins or (), jobs=jobs, callbacks=[observer])
    if console:
        how = f"compiled in {done.seconds:.0f} s" if done.n_compiled else "there already"
        from neurosim.reports.rich_parts import line

        line(console, f"kernels of {', '.join(scenarios or KINDS)}: {how}, in {done.folder}", unbroken=True)


def sweep(
    name: Annotated[
        Optional[str],
        typer.Argument(metavar="SWEEP", help="Name of a bundled sweep, or path of a YAML file.", show_default=False, autocompletion=complete_sweeps),
    ] = None,
    overrides: Overrides = None,
    plugins: Plugins = None,
    out: Annotated[Optional[Path], typer.Option("--out", metavar="DIR", help="Folder of the sweep [default: runs/NAME].")] = None,
    jobs: Jobs = None,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    data: DataFolder = None,
    retry_failed: RetryFailed = False,
    shard: Annotated[Optional[str], typer.Option("--shard", metavar="I/N", help="Run the I-th of N parts of the points here.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Accept more than 1,000 points.")] = False,
    show_list: Annotated[bool, typer.Option("--list", help="List the bundled sweeps.")] = False,
    as_json: AsJson = False,
    quiet: IsQuiet = False,
):
    """Run a scenario along axes and seeds; a repeated or interrupted sweep does only what is missing."""
    from neurosim.sweeps import expand, list_sweeps, load_sweep, run_sweep

    if show_list:
        print_described([load_sweep(each)[0] for each in list_sweeps()], as_json)
        return
    if name is None:
        raise InputError(f"sweep: name a sweep or a file; known: {', '.join(list_sweeps())}")
    from neurosim.sweeps.runner import parse_shard

    part = None if shard is None else parse_shard(shard)
    plan = expand(*load_sweep(name), overrides=overrides or (), plugins=plugins or (), yes=yes)
    from neurosim.reports.sweep_progress import SweepObserver

    with SweepObserver(None if quiet or as_json else make_console()) as observer:
        record, folder = run_sweep(
            plan, out=out, engine=engine, scheduler=scheduler, jobs=jobs, data_dir=data, retry_failed=retry_failed,
            shard=part, plugins=plugins or (), observer=observer,
        )  # fmt: skip
    if as_json:
        print_json(record.model_dump(by_alias=True))
    elif not quiet:
        from neurosim.reports.tables import print_sweep

        console = make_console()
        print_sweep(console, record)
        print_written(console, folder, "sweep.json, results.csv, summary.csv, points/")


def search(
    scenario: ScenarioName,
    target: Annotated[str, typer.Option("--target", metavar="accuracy=FRACTION", help="Mean accuracy on the validation set.", show_default=False)],
    minimize: Annotated[
        str,
        typer.Option(
            "--minimize", metavar="COST", help="bytes, energy or cores.", autocompletion=complete_words("bytes", "energy", "cores"), show_default=False
        ),
    ],
    budget: Annotated[
        Optional[str],
        typer.Option(
            "--budget", metavar="KEY=LOW..HIGH[:N]",
            help="Along which accuracy rises; or KEY=A,B,C [default: network.connectivity=0.01..1:24].",
        ),
    ] = None,
    vary: Annotated[
        Optional[list[str]],
        typer.Option("--vary", metavar="KEY=LOW..HIGH", help="Another key, whose values Optuna proposes; or KEY=A,B,C."),
    ] = None,
    trials: Annotated[int, typer.Option("--trials", metavar="N", help="Proposals for --vary.")] = 20,
    seeds: Annotated[int, typer.Option("--seeds", metavar="N", help="Seeds of each setting that the first one does not decide.")] = 3,
    overrides: Overrides = None,
    plugins: Plugins = None,
    out: Annotated[Optional[Path], typer.Option("--out", metavar="DIR", help="Folder of the search [default: runs/NAME-search].")] = None,
    jobs: Jobs = None,
    engine: Engine = "local",
    scheduler: Scheduler = None,
    data: DataFolder = None,
    retry_failed: RetryFailed = False,
    as_json: AsJson = False,
    quiet: IsQuiet = False,
):  # fmt: skip
    """Find the smallest budget that reaches an accuracy; an interrupted search does only what is missing.

    Settings are judged on a validation set; the test set is read once, for the answer. Without --vary the budget is bisected, and what
    lies next below the answer is tried in case it missed by chance. With --vary Optuna proposes the other keys (extra: search).
    """
    from neurosim.scenario.load import load_scenario
    from neurosim.sweeps.search import Goal, parse_budget, parse_target, parse_vary, run_search

    goal = Goal(parse_target(target), minimize, parse_budget(budget) if budget else None, parse_vary(vary or ()), seeds, trials)
    chosen = load_scenario(scenario, overrides or (), plugins or ())
    from neurosim.reports.search_progress import SearchObserver

    with SearchObserver(None if quiet or as_json else make_console()) as observer:
        record, folder = run_search(
            chosen, goal, out=out, engine=engine, scheduler=scheduler, jobs=jobs, data_dir=data, retry_failed=retry_failed,
            plugins=plugins or (), observer=observer,
        )  # fmt: skip
    from neurosim.reports.publish import publish_search

    paths = publish_search(record, folder)
    if as_json:
        print_json(record.model_dump(by_alias=True))
    elif not quiet:
        from neurosim.reports.tables import print_search

        console = make_console()
        print_search(console, record)
        print_written(console, folder, "search.json, trials.csv, results.csv, points/", paths)
    if record.answer is None:
        from neurosim.errors import NeurosimError

        raise NeurosimError(f"no setting reaches {100 * record.target:g} % on the validation set; {_nearest_miss(record)}")


def _nearest_miss(record):
    """The best that was found, in words."""
    known = [trial for trial in record.trials if trial.accuracy]
    if not known:
        return "none of them fits the chip" if record.trials else "nothing was tried"
    best = max(known, key=lambda trial: trial.accuracy.mean)
    setting = ", ".join(f"{key}={value}" for key, value in best.overrides.items())
    return f"the best is {100 * best.accuracy.mean:.2f} % with {setting}"
