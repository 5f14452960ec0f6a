"""Figures of docs/bptt.md: ``python -m benchmarks.plot_bptt``.

From the placement alone, nothing is trained: memory of the fullest core against the steps through which errors go back, and the
most steps that fit against the number of cores, for the network of `fsdd_lstm_spinnaker2`. From the sweeps `fsdd_connectivity` and
`fsdd_santos`, where the folder ``--sweeps`` holds them: accuracy against connectivity.
"""

import argparse
import csv
from pathlib import Path
from statistics import fmean, stdev

from matplotlib.lines import Line2D

from neurosim.reports import figure_style as style
from neurosim.reports.facts import in_order, words
from neurosim.scenario import load_scenario, prepare

KB = 1024
SCENARIO = "fsdd_lstm_spinnaker2"
#: Profile, its cores in the first figure, and how it is named.
CHIPS = (("spinnaker2_santos", 4, "Santos, 4 cores"), ("spinnaker2", 11, "SpiNNaker 2, 11 cores"))
CORES = {"spinnaker2_santos": (1, 2, 3, 4), "spinnaker2": (2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128)}
#: Longer than what fits anywhere: shows where cores stop helping.
LONG = 400
LOOKS = (("#c8501e", "s"), ("#124a7d", "o"))


def place_window(profile, n_cores, window, max_steps=None):
    """Placement of the network on a chip with errors through `window` steps, of recordings of up to `max_steps`."""
    changes = [f"hardware.profile={profile}", f"hardware.cores={n_cores}", f"training.window={window}"]
    changes += [f"dataset.max_steps={max_steps}"] * (max_steps is not None)
    return prepare(load_scenario(SCENARIO, changes)).placement


def fullest(placement):
    """The core that holds most."""
    return max(placement.cores, key=lambda core: core.n_bytes)


def most_steps(profile, n_cores, n_steps):
    """Largest window, up to `n_steps`, with which every limit holds; 0 when none does. Memory grows with the window."""
    low, high = 0, n_steps
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if place_window(profile, n_cores, middle, n_steps).fits else (low, middle - 1)
    return low


def draw_memory(n_steps):
    """Stacked sections of the fullest core against the window, a panel per chip."""
    figure = style.new_figure()
    figure.set_size_inches(8.6, 4.4)
    left, bottom, _, height = style.frame(
        figure, None, "Memory of the fullest core against the steps through which errors go back",
        f"LSTM of 128 units on spoken digits, 10 % of the connections, Adam; the longest recording has {n_steps} steps",
        right=0.98, left=0.07, caption=f"scenario {SCENARIO} with training.window from 1 to {n_steps}  ·  from the placement, nothing trained",
    )  # fmt: skip
    windows = list(range(1, n_steps + 1))
    cores = {name: [fullest(place_window(name, n, w)) for w in windows] for name, n, _ in CHIPS}
    names = in_order((s for column in cores.values() for core in column for s in core.sections), style.SECTION_LOOKS)
    names = [s for s in names if max(core.sections.get(s, 0) for column in cores.values() for core in column) >= KB / 4]
    top = max(core.n_bytes for column in cores.values() for core in column) / KB
    panel = 0.365
    for i, (profile, n_cores, title) in enumerate(CHIPS):
        axes = style.plain_axes(
            figure, (left + i * (panel + 0.045), bottom, panel, height - 0.05), "local memory (KB = 1024 B)" if not i else "", "unrolled steps"
        )
        below = [0.0] * len(windows)
        for name in names:
            above = [b + core.sections.get(name, 0) / KB for b, core in zip(below, cores[profile])]
            look = style.look_of(name, style.SECTION_LOOKS)
            axes.fill_between(windows, below, above, step="mid", **look.kwargs)
            below = above
        limit = place_window(profile, n_cores, 1).local_limit / KB
        axes.axhline(limit, color=style.ALARM, linewidth=1.4, linestyle=(0, (5, 2)))
        fits = most_steps(profile, n_cores, n_steps)
        axes.axvline(fits, ymax=limit / (1.05 * top), color=style.INK, linewidth=1)
        axes.set(xlim=(1, n_steps), ylim=(0, 1.05 * top))
        axes.set_yticks([32 * k for k in range(int(1.05 * top / 32) + 1)])
        axes.set_title(f"{title}: {fits} of {n_steps} steps fit {limit:g} KB", loc="left", fontsize=9, color=style.INK)
    keys = [Line2D([], [], color=style.ALARM, linewidth=1.4, linestyle=(0, (5, 2)), label="limit")]
    style.legend_beside(axes, keys + [style.look_of(name, style.SECTION_LOOKS).patch(words(name)) for name in names])
    return figure


def draw_cores(n_steps):
    """The most steps that fit against the number of cores."""
    figure = style.new_figure()
    room = style.frame(
        figure, None, "How many steps fit on how many cores", "the same network on longer recordings; a core keeps inputs and copies of all other states of every step",
        right=0.97, caption=f"scenario {SCENARIO} with up to {LONG} steps  ·  from the placement, nothing trained",
    )  # fmt: skip
    axes = style.plain_axes(figure, room, "unrolled steps that fit", "cores")
    for (profile, _, title), (color, marker) in zip(CHIPS, LOOKS):
        counts = CORES[profile]
        axes.plot(counts, [most_steps(profile, n, LONG) for n in counts], marker=marker, color=color, label=title.split(",")[0])
    axes.axhline(n_steps, color=style.FAINT, linewidth=1, linestyle=(0, (5, 2)))
    style.write_above(axes, 1, n_steps, f"{n_steps}: the longest recording of the data set", ha="left")
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set_ylim(0, None)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def points_of(folder):
    """(connectivity, window or None, mean accuracy, its standard error) of each point of a sweep, accuracies in %."""
    found = {}
    with (folder / "results.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = float(row["connectivity"]), row.get("training.window")
            found.setdefault(key, []).append(100 * float(row["test_accuracy"]))
    return [(*key, fmean(values), stdev(values) / len(values) ** 0.5) for key, values in sorted(found.items())]


def draw_accuracy(sweeps):
    """Accuracy against connectivity: errors through all steps, and through as many as fit Santos beside the connections."""
    figure = style.new_figure()
    room = style.frame(
        figure, None, "Spoken digits: connections against steps", "mean over three seeds; bars: standard error of the mean",
        right=0.97, caption="sweeps fsdd_connectivity and fsdd_santos  ·  300 test recordings: one of them is 0.33 %",
    )  # fmt: skip
    axes = style.plain_axes(figure, room, "test accuracy (%)", "connectivity (% of the possible connections)")
    labels = "Santos, 4 cores: as many steps as fit, beside each point", "SpiNNaker 2: through all steps, up to 91"
    for name, label, (color, marker) in zip(("fsdd_santos", "fsdd_connectivity"), labels, LOOKS):
        points = points_of(sweeps / name)
        share, windows, mean, error = zip(*points)
        axes.errorbar([100 * x for x in share], mean, yerr=error, marker=marker, color=color, capsize=3, label=label)
        for x, window, y in zip(share, windows, mean):
            if window:  # beside the point, off the line: the last one falls
                offset, side = ((8, -3), "left") if x == share[-1] else ((-7, 6), "right")
                axes.annotate(window, (100 * x, y), offset, textcoords="offset points", fontsize=8, color=color, ha=side)
    axes.set_xscale("log")
    axes.set_xticks([1, 3, 5, 10, 30])
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def main(arguments=None):
    """Draw what there is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.plot_bptt", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs/figures"))
    parser.add_argument("--sweeps", type=Path, default=Path("runs"), help="folder of the two sweeps [runs]")
    options = parser.parse_args(arguments)
    n_steps = prepare(load_scenario(SCENARIO)).placement.workload.topology.n_steps
    options.out.mkdir(parents=True, exist_ok=True)
    drawings = {"bptt_memory": lambda: draw_memory(n_steps), "bptt_cores": lambda: draw_cores(n_steps)}
    if all((options.sweeps / name / "results.csv").exists() for name in ("fsdd_santos", "fsdd_connectivity")):
        drawings["bptt_accuracy"] = lambda: draw_accuracy(options.sweeps)
    for name, draw in drawings.items():
        path = options.out / f"{name}.png"
        path.write_bytes(style.render(draw()))
        print(f"Written to {path}")


if __name__ == "__main__":
    main()
