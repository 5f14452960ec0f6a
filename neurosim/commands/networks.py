"""Commands on networks from elsewhere: whether one fits, and what inference costs."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from neurosim.commands.common import AsJson, make_console, print_json
from neurosim.commands.complete import complete_profiles, complete_words
from neurosim.errors import DoesNotFitError, InputError, nearest

Steps = Annotated[
    Optional[int], typer.Option("--steps", metavar="T", min=1, max=10_000, help="Of a network file: steps of a sample, where it leaves them open.")
]


def check_network(path, overrides, profiles, n_steps, as_json):
    """Answer `neurosim check` for a file with a network or the folder of a run; exit code 3 if it fits none of the chips."""
    from neurosim.scenario.deploy import deploy, read_hardware, read_trained, survey_network

    overrides = list(overrides or ())
    if not profiles:
        given = [each.partition("=")[2] for each in overrides if each.startswith("hardware.profile=")]
        overrides = [each for each in overrides if not each.startswith("hardware.profile=")]
        profiles = given
    if not profiles:
        raise InputError(f"{path}: a network on no chip yet; name one with --profile NAME, or --profile all")
    network = read_trained(path, n_steps)
    if len(profiles) == 1 and profiles != ["all"]:
        found = deploy(network, read_hardware(profiles[0], overrides))
        facts = found.to_dict()
        if as_json:
            print_json(facts)
        else:
            from neurosim.reports.network_tables import print_deployment

            print_deployment(make_console(), Path(path).name, describe(network), facts)
        fits = facts["fits"]
    else:
        from neurosim.hardware import list_profiles

        if "all" in profiles:
            profiles = [*list_profiles(), *(each for each in profiles if each != "all")]
        rows = survey_network(network, dict.fromkeys(profiles), overrides)
        if as_json:
            print_json([row.to_dict() for row in rows])
        else:
            from neurosim.reports.network_tables import print_deployments

            print_deployments(make_console(), Path(path).name, describe(network), rows)
        fits = any(row.state == "fits" for row in rows)
    if not fits:
        raise typer.Exit(DoesNotFitError.exit_code)


def describe(network):
    """A network in a few words."""
    is_feedforward = network.type in ("mlp", "conv")
    cells = f" {'/'.join(dict.fromkeys(network.cells))}" if is_feedforward and network.cells else ""
    steps = "" if is_feedforward else f", {network.n_steps} steps"
    biases = ", biases" if network.biases else ""
    return f"{network.type}{cells} {_layers(network)}{steps}, {network.n_synapses:,d} synapses{biases}"


def _layers(network):
    """Sizes of the layers: neurons, and of maps how many with which kernel and pooling, such as 1x28x28-8c5-max2-10."""
    if network.maps is None:
        return "-".join(map(str, network.sizes))
    words = ["x".join(map(str, network.maps["input_shape"]))]
    for matrix, kernel, pool in zip(network.matrices, network.maps["kernels"], (*network.maps["pools"], None)):
        words.append(f"{matrix.weight.shape[1]}c{kernel['kernel']}" if kernel else str(matrix.weight.shape[1]))
        words += [f"{pool['kind']}{pool['window']}"] if pool else []
    return "-".join(words)


def evaluate(
    path: Annotated[
        Path, typer.Argument(metavar="NET", help="File with a network (ONNX, NPZ or NIR), or the folder of a run.", show_default=False)
    ],
    data: Annotated[str, typer.Option("--data", metavar="NAME", help="Data set: a known name, or the path of a file or folder.")],
    profile: Annotated[str, typer.Option("--profile", metavar="PROFILE", help="Chip.", autocompletion=complete_profiles)],
    overrides: Annotated[
        Optional[list[str]],
        typer.Option("--set", metavar="KEY=VALUE", help="Keys of the chip and the data, such as hardware.cores=2 or dataset.limit=1000."),
    ] = None,
    inputs: Annotated[
        str,
        typer.Option(
            "--inputs", metavar="UNITS", autocompletion=complete_words("auto", "raw", "unit"),
            help="What the network takes: raw values as they are stored, or unit (0 to 1).",
        ),
    ] = "auto",
    data_dir: Annotated[Optional[Path], typer.Option("--data-dir", metavar="DIR", help="Look for data sets here first.")] = None,
    n_steps: Steps = None,
    threads: Annotated[Optional[int], typer.Option("--threads", metavar="N", help="Threads; results do not depend on it.")] = None,
    as_json: AsJson = False,
):  # fmt: skip
    """Run a given network on a chip over the test samples of a data set: accuracy, traffic and energy of inference alone.

    Weights are rounded to what the chip stores (hardware.weight_format chooses another width), and everything is counted as the evaluations of
    runs are. Exit code 3 if it does not fit; hardware.on_violation=report evaluates all the same.
    """
    from neurosim.scenario.deploy import deploy, read_dataset_choice, read_hardware, read_trained
    from neurosim.scenario.inference import evaluate as run_inference

    if inputs not in ("auto", "raw", "unit"):
        raise InputError(f"--inputs: found {inputs!r}; {nearest(inputs, ('auto', 'raw', 'unit'))}")
    mine = [each for each in overrides or () if each.startswith("dataset.")]
    hardware = read_hardware(profile, [each for each in overrides or () if each not in mine])
    network = read_trained(path, n_steps)
    dataset = read_dataset_choice(data, mine).load(data_dir)
    found = run_inference(deploy(network, hardware), dataset, inputs, threads)
    if as_json:
        print_json(found.to_dict())
    else:
        from neurosim.reports.network_tables import print_inference

        print_inference(make_console(), path.name, describe(network), found)
