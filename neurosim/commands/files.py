"""Commands on finished runs: compare, report, export; and the schemas of all files."""

from pathlib import Path
from typing import Annotated, Optional

import typer

from neurosim.commands.common import AsJson, Overrides, make_console, print_json
from neurosim.commands.complete import complete_words
from neurosim.errors import InputError, nearest

#: Formats of networks, and where to write each.
NETWORK_FORMATS = {
    "onnx": "a file such as --out network.onnx",
    "npz": "a file of arrays such as --out network.npz",
    "nir": "a file such as --out network.nir",
    "torch": "a file such as --out network.py; its weights are written beside it",
    "pynn": "a folder such as --out pynn",
}
#: What has a JSON Schema.
_KINDS = ("scenario", "sweep", "profile", "result", "sweep-result", "search-result")


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(help="Folders of finished runs or of points of a sweep, scenarios (names, files).", metavar="RUN", show_default=False),
    ],
    as_json: AsJson = False,
):
    """Show runs side by side: how their scenarios differ, accuracy, memory, traffic, energy and time.

    Scenarios are placed on their chips and not trained: of these, synapses, cores and memory are known.
    """
    from neurosim.results import consistent
    from neurosim.results.comparison import compare as compare_records
    from neurosim.sweeps.subjects import read_subject

    records = [read_subject(run) for run in runs]
    with consistent(*(run for run in runs if Path(run).exists())):
        comparison = compare_records(runs, records)
        if as_json:
            print_json(comparison)
        else:
            from neurosim.reports.compare_table import print_comparison

            print_comparison(make_console(), comparison)


def report(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, a sweep or a search.", metavar="DIR", show_default=False)],
    formats: Annotated[str, typer.Option("--format", metavar="NAMES", help="Of the figures, with commas: png, svg, pdf.")] = "png,svg",
    width: Annotated[
        str,
        typer.Option("--width", metavar="WIDTH", help="page or column (3.4 inches, for papers).", autocompletion=complete_words("page", "column")),
    ] = "page",
    plain: Annotated[bool, typer.Option("--plain", help="Figures without the line at their foot that says where they come from.")] = False,
):
    """Write figures and report.html of a finished run, a sweep or a search, and print the path of the page."""
    from neurosim.results import consistent, read_record
    from neurosim.results.search import is_search, read_search
    from neurosim.results.sweep import is_sweep, read_sweep

    read = read_sweep if is_sweep(folder) else read_search if is_search(folder) else read_record
    record = read(folder)
    from neurosim.reports.figure_style import COLUMN, FILE, Sheet
    from neurosim.reports.figures import KNOWN_FORMATS
    from neurosim.reports.publish import publish_run, publish_search, publish_sweep
    from neurosim.scenario.folder import hold_folder

    chosen = tuple(dict.fromkeys(name.strip() for name in formats.split(",")))
    for name in chosen:
        if name not in KNOWN_FORMATS:
            raise InputError(f"--format: found {name!r}; {nearest(name, KNOWN_FORMATS)}")
    if width not in ("page", "column"):
        raise InputError(f"--width: found {width!r}; {nearest(width, ('page', 'column'))}")
    sheet = Sheet((COLUMN if width == "column" else FILE).width, has_caption=not plain)
    folder = folder if folder.is_dir() else folder.parent
    with consistent(folder):
        if read is not read_record:
            publish = publish_sweep if read is read_sweep else publish_search
            paths = publish(record, folder, formats=chosen, sheet=sheet)
        else:
            with hold_folder(folder):
                paths = publish_run(record, folder, formats=chosen, sheet=sheet)
    print(paths[-1])


def export(
    run: Annotated[Path, typer.Argument(help="Folder of a run, or its result.json; for c a scenario, too.", metavar="RUN", show_default=False)],
    what: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="FORMAT",
            help="Of the network: onnx, npz, nir, torch, pynn. Of counts: action-counts (YAML), action-counts-csv. Of a batch: sanafe. "
            "c: the training program.",
            autocompletion=complete_words(*NETWORK_FORMATS, "c", "action-counts", "action-counts-csv", "sanafe"),
        ),
    ],  # fmt: skip
    out: Annotated[
        Optional[Path],
        typer.Option("--out", metavar="FILE", help="Write here instead of printing; of a network a file, for pynn, c and sanafe a folder."),
    ] = None,
    dense: Annotated[bool, typer.Option("--dense", help="For onnx: weights as dense arrays, for readers that know no sparse ones.")] = False,
    lossy: Annotated[
        bool, typer.Option("--lossy", help="For nir and pynn: write spiking neurons though they reset there where ours lose their threshold.")
    ] = False,
    rate_coded: Annotated[
        bool,
        typer.Option("--rate-coded", help="For nir: a perceptron of relu cells as a copy whose neurons spike, with its measured accuracy."),
    ] = False,
    n_steps: Annotated[
        Optional[int],
        typer.Option("--steps", metavar="T", min=1, max=10_000, help="With --rate-coded: steps of a sample [default: chosen on training data]."),
    ] = None,
    data: Annotated[
        Optional[Path], typer.Option("--data", metavar="DIR", help="For c, sanafe and --rate-coded: look for data sets here first.")
    ] = None,
    overrides: Overrides = None,
):  # fmt: skip
    """Write the network of a run for other tools, its counts for other energy estimators, or one batch of it for SANA-FE to replay.

    The network, of any finished run, without data or kernels: onnx (sparse weights), npz (arrays in CSR form, signs, biases, homes), torch (a
    Python file and its weights), nir and pynn (spiking networks: connection lists and a script). What a format cannot say is refused.
    Counts are events and bytes per core, phase and kind. For SANA-FE: cores and prices, the synapses of the checkpoint, and which
    activations and errors are not zero in the first batch of the training set with these weights. The training program: C for the cores of the
    chip of a scenario, or of the one of a run, with a Makefile for this computer and for a board.
    """
    from neurosim.documents import write_atomic
    from neurosim.results import consistent, read_record
    from neurosim.results.export import check_format, export_run

    if what == "c":
        from neurosim.silicon import export_program

        if out is None:
            raise InputError("--out: missing; --format c writes several files, give a folder such as --out program")
        export_program(run, out, data, overrides=overrides or ())
        return None
    if overrides:
        raise InputError(f"--set: for --format c alone; what {what} exports is what has run")
    if lossy and what not in ("nir", "pynn"):
        raise InputError(f"--lossy: found with --format {what}; it belongs to nir and pynn")
    if rate_coded and (what != "nir" or lossy):
        raise InputError(f"--rate-coded: found with {'--lossy' if lossy else f'--format {what}'}; it belongs to --format nir alone")
    if n_steps is not None and not rate_coded:
        raise InputError("--steps: belongs to --rate-coded")
    if dense and what != "onnx":
        raise InputError(f"--dense: found with --format {what}; it belongs to onnx")
    if what in NETWORK_FORMATS:
        from neurosim.interchange.writing import write_network
        from neurosim.scenario.weights import read_run_network

        if out is None:
            raise InputError(f"--out: missing; give {NETWORK_FORMATS[what]}")
        if rate_coded:
            from neurosim.interchange.nir_out import write_nir
            from neurosim.scenario.rate_coding import rate_coded_of

            network, copy = rate_coded_of(run, n_steps, data)
            write_nir(network, out, copy=copy)
            print(
                f"{out}: over {copy.n_steps} steps {100 * copy.accuracy:.2f} % of {copy.n_samples:,d} test samples, "
                f"the network itself {100 * copy.accuracy_of_network:.2f} %; {copy.spikes_per_sample:,.1f} spikes a sample"
            )
            return None
        return write_network(read_run_network(run), what, out, dense=dense, lossy=lossy)
    if what == "sanafe":
        from neurosim.scenario.replay import export_sanafe

        if out is None:
            raise InputError("--out: missing; --format sanafe writes several files, give a folder such as --out replay")
        return export_sanafe(run, out, data)
    check_format(what)
    record = read_record(run)
    with consistent(run):
        text = export_run(record, what)
    if out is None:
        print(text, end="")
    else:
        write_atomic(out, text)


def schema(
    what: Annotated[str, typer.Argument(metavar="KIND", help=", ".join(_KINDS[:-1]) + f" or {_KINDS[-1]}.", autocompletion=complete_words(*_KINDS))],
):
    """Print the JSON Schema of scenario, sweep and profile files, of result.json, sweep.json or search.json."""
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
    elif what == "search-result":
        from neurosim.results.search import SearchRecord as Model
    else:
        raise InputError(f"schema: found {what!r}; {nearest(what, _KINDS)}")
    print_json({"$schema": "https://json-schema.org/draft/2020-12/schema", **Model.model_json_schema(by_alias=True)})
