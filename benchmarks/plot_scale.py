"""Figure of time per step and bytes per synapse against size: ``python -m benchmarks.plot_scale [RESULT]``."""

import argparse
import json
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from benchmarks.row import RESULTS

LABELS = {
    "one_percent": ("1 % of the positions (2236 to 22,361 neurons a layer)", "o"),
    "fifty_inputs": ("50 inputs a neuron (1000 to 100,000 neurons a layer)", "s"),
}
# Blue and orange that stay apart for colour-blind readers and in grey print (Okabe and Ito 2008).
COLOURS = ("#0072B2", "#D55E00")


def draw(result):
    """Figure from a result of `benchmarks.run` that holds the cases scale and memory."""
    figure = Figure(figsize=(9.0, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    time_axes, memory_axes = figure.subplots(1, 2)
    growth = [row["values"] for row in result["rows"] if row["key"].startswith("growth_")]
    for colour, values in zip(COLOURS, growth):
        label, marker = LABELS[values["series"]]
        points = sorted((int(n), 1e3 * s) for n, s in values["seconds_per_step"].items())
        time_axes.loglog(*zip(*points), marker=marker, color=colour, label=label)
    time_axes.set(xlabel="active synapses", ylabel="milliseconds per training step, batch 128")
    time_axes.set_title("Time", loc="left")
    memory = [row for row in result["rows"] if row["key"].startswith("bytes_")]
    for colour, batch_size, marker in zip(COLOURS, (1, 128), "os"):
        points = sorted((r["values"]["n_active"], r["figure"]) for r in memory if r["values"]["batch_size"] == batch_size)
        if points:
            what = "batch 1: synapses" if batch_size == 1 else "batch 128: with activations and errors"
            memory_axes.semilogx(*zip(*points), marker=marker, color=colour, label=what)
    memory_axes.axhline(32.0, color="0.4", linewidth=1, linestyle="--")
    memory_axes.annotate("limit 32", (0.32, 32.0), (0, -3), xycoords=("axes fraction", "data"), textcoords="offset points",
                         ha="right", va="top", fontsize=8)  # fmt: skip
    memory_axes.set(xlabel="active synapses", ylabel="bytes per synapse, whole process", ylim=(0, None))
    memory_axes.set_title("Memory", loc="left")
    for axes in (time_axes, memory_axes):
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(color="0.9")
        axes.set_axisbelow(True)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False, fontsize=8)
    machine = result["machine"]
    figure.supxlabel(f"{machine['cpu']}, {machine['n_threads']} threads", fontsize=8, color="0.4")
    return figure


def main(arguments=None):
    """Draw from a result file."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot_scale", description=__doc__)
    parser.add_argument("result", nargs="?", type=Path, default=RESULTS / "latest.json")
    parser.add_argument("--out", type=Path, default=Path("docs/figures/scale.png"))
    options = parser.parse_args(arguments)
    figure = draw(json.loads(options.result.read_text(encoding="utf-8")))
    options.out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(options.out, dpi=160)
    print(f"Written to {options.out}")


if __name__ == "__main__":
    main()
