"""Commands that list and show what there is: hardware profiles, scenarios, data sets."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from neurosim.commands.common import AsJson, Overrides, ScenarioName, make_console, print_described, print_json
from neurosim.commands.complete import complete_profiles, complete_words
from neurosim.errors import InputError

profiles_app = typer.Typer(no_args_is_help=True, help="Hardware profiles: one chip each, every number with its source.")
scenarios_app = typer.Typer(no_args_is_help=True, help="Bundled scenarios.")
data_app = typer.Typer(no_args_is_help=True, help="Data sets.")


@profiles_app.command("list")
def profiles_list(as_json: AsJson = False):
    """List the bundled hardware profiles."""
    from neurosim.hardware import list_profiles, load_profile

    profiles = [load_profile(name) for name in list_profiles()]
    if as_json:
        print_json([{"name": p.name, "title": p.title, "sha256": p.sha256} for p in profiles])
    else:
        from neurosim.reports.tables import print_profile_list

        print_profile_list(make_console(), profiles)


@profiles_app.command("show")
def profiles_show(
    profile: Annotated[str, typer.Argument(metavar="PROFILE", help="Name or path of a profile.", autocompletion=complete_profiles)],
    as_json: AsJson = False,
):
    """Show every number of a profile with its kind and source."""
    from neurosim.hardware import check_profile, load_profile

    loaded = load_profile(profile)
    if as_json:
        print_json({"name": loaded.name, "title": loaded.title, "sha256": loaded.sha256, "numbers": check_profile(loaded)})
    else:
        from neurosim.reports.tables import print_profile

        print_profile(make_console(), loaded)


@profiles_app.command("check", short_help="Prove that every number has a unit, a kind and a source.")
def profiles_check(
    names: Annotated[
        Optional[list[str]],
        typer.Argument(help="Names or paths; all bundled ones without.", metavar="PROFILE", autocompletion=complete_profiles),
    ] = None,
    as_json: AsJson = False,
):
    """Load profiles strictly: every number has a unit, a kind and a source, and no price is 0 unless its source says so."""
    from neurosim.hardware import audit_profile, list_profiles, load_profile
    from neurosim.reports.profile_table import audit_text

    rows = [audit_profile(p) for p in map(load_profile, names or list_profiles())]
    if as_json:
        print_json(rows)
    for row in rows if not as_json else ():
        print(audit_text(row))
    problems = [f"{row['name']}: {problem}" for row in rows for problem in row["problems"]]
    if problems:
        raise InputError("; ".join(problems))


@profiles_app.command("new", short_help="Write the file of a chip of your own.")
def profiles_new(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Of the chip, and of its file NAME.yaml.")],
    base: Annotated[
        Optional[str],
        typer.Option(
            "--from",
            metavar="PROFILE",
            help="Begin with a copy of this one [default: a small chip of assumed numbers].",
            autocompletion=complete_profiles,
        ),
    ] = None,
    out: Annotated[Optional[Path], typer.Option("--out", metavar="FILE", help="Write here [default: NAME.yaml].")] = None,
):
    """Write a commented profile file to change, and print its path. An existing file is never touched."""
    from neurosim.documents import write_atomic
    from neurosim.hardware.template import new_profile

    text, path = new_profile(name, base), out or Path(f"{name}.yaml")
    if path.exists():
        raise InputError(f"{path}: is there already; give another name, or --out")
    write_atomic(path, text)
    print(path)


@profiles_app.command("diff", short_help="Show in which numbers two profiles differ.")
def profiles_diff(
    first: Annotated[str, typer.Argument(metavar="A", help="Name or path of a profile.", autocompletion=complete_profiles)],
    second: Annotated[str, typer.Argument(metavar="B", help="Name or path of another.", autocompletion=complete_profiles)],
    as_json: AsJson = False,
):
    """Show in which numbers two profiles differ; of their price sets those in use."""
    from neurosim.hardware import load_profile
    from neurosim.hardware.template import diff_profiles

    profiles = [load_profile(first), load_profile(second)]
    rows = diff_profiles(*profiles)
    if as_json:
        print_json({"profiles": [profile.name for profile in profiles], "differences": rows})
    else:
        from neurosim.reports.profile_table import print_profile_diff

        print_profile_diff(make_console(), profiles, rows)


@scenarios_app.command("list")
def scenarios_list(as_json: AsJson = False):
    """List the bundled scenarios."""
    from neurosim.scenario.load import list_scenarios, load_scenario

    print_described(map(load_scenario, list_scenarios()), as_json)


@scenarios_app.command("show")
def scenarios_show(scenario: ScenarioName, overrides: Overrides = None, as_json: AsJson = False):
    """Print a scenario with all its defaults filled in."""
    from neurosim.documents import dump_yaml
    from neurosim.scenario.load import load_scenario

    data = load_scenario(scenario, overrides or ()).model_dump(mode="json", exclude_none=True)
    if as_json:
        print_json(data)
    else:
        print(dump_yaml(data), end="")


@data_app.command("fetch")
def data_fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="mnist or cifar10.", autocompletion=complete_words("mnist", "cifar10"))],
    directory: Annotated[Optional[Path], typer.Option("--to", metavar="DIR", help="Folder [default: the user's cache].")] = None,
):
    """Download a data set, once (needs a network).

    MNIST comes from OpenML, CIFAR-10 from its own page.
    """
    from neurosim.datasets import fetch

    print(fetch(name, directory))


@data_app.command("list")
def data_list(as_json: AsJson = False):
    """List the data sets that are known by name."""
    from neurosim.datasets import DATASETS

    rows = [
        {
            "name": d.name, "features": d.n_features, "steps": d.n_steps, "classes": d.n_classes, "summary": d.summary,
            "how_to_get": d.how_to_get,
        }
        for d in DATASETS.values()
    ]  # fmt: skip
    if as_json:
        print_json(rows)
    for row in rows if not as_json else ():
        features = f"{row['features']} features" if row["features"] else "features by the options of dataset.features"
        steps = f" in {row['steps']} steps" if (row["steps"] or 1) > 1 else ""
        print(f"{row['name']}: {features}{steps}, {row['classes']} classes. {row['summary']}; get it: {row['how_to_get']}")
