"""The table of docs/python.md: `training.learning_rate: auto` beside a grid of rates, on three data sets and four densities.

    python benchmarks/compare_rates.py --data DIR [--out rates.json] [--sets mnist digits fsdd] [--seeds 0 1 2]

Every connection of the chip's budget is reported and none refused: what is asked here is learning alone. The best rate is chosen on
the test set that it is reported for, which favours the grid. Finished runs in the file given by --out are not repeated.
"""

import argparse
import json
import statistics
from pathlib import Path

import neurosim as ns

#: Title, scenario without its density, rates of the grid, and what 1 % is where all matrices alike would leave the last one bare.
SETS = {
    "mnist": (
        "MNIST, 784-300-100-10, 3 epochs of 20,000",
        {"dataset": {"name": "mnist", "limit": 20_000}, "network": {"layers": [784, 300, 100, 10]}, "training": {"epochs": 3}},
        (2.0, 1.0, 0.5, 0.2, 0.1, 0.05, 0.02, 0.01),
        [0.0075, 0.0225, 0.225],
    ),
    "digits": (
        "digits, 64-100-10, 30 epochs",
        {"dataset": {"name": "digits"}, "network": {"layers": [64, 100, 10]}, "training": {"epochs": 30}},
        (4.0, 3.0, 2.0, 1.0, 0.5, 0.2, 0.1, 0.05),
        [0.0079, 0.0236],
    ),
    "fsdd": (
        "spoken digits, LSTM of 64, Adam, 12 epochs",
        {
            "dataset": {"name": "fsdd", "max_steps": 91},
            "network": {"type": "lstm", "units": [64]},
            "training": {"epochs": 12, "batch_size": 32, "optimizer": "adam", "clip": 1.0, "schedule": {"kind": "cosine"}},
        },
        (0.1, 0.03, 0.01, 0.003, 0.001),
        None,
    ),
}
DENSITIES = (0.01, 0.05, 0.2, 1.0)


def measure(name, density, rate, seed, data_dir):
    """One run: its test accuracy in %, nan where it diverged, its mean fan-in and the rate that it took."""
    _, parts, _, sparsest = SETS[name]
    rule = {"rule": "dense"} if density == 1 else {"rule": "deep_r", "l1": 1e-5, "noise_std": 1e-5, "theta_born": 1e-12}
    scenario = ns.Scenario(
        name=name,
        seed=seed,
        dataset=parts["dataset"],
        network=parts["network"] | {"connectivity": sparsest if sparsest and density == DENSITIES[0] else density},
        training=parts["training"] | {"learning_rate": rate},
        hardware={"profile": "spinnaker2", "cores": 16, "on_violation": "report"},
        rewiring=rule,
    )
    try:
        run = ns.run(scenario, data_dir=data_dir, threads=1)
    except ns.TrainingDivergedError:
        return {"accuracy": float("nan"), "fan_in": None, "rate": rate}
    n_sums = sum(matrix.shape[1] for i, matrix in enumerate(run.weights.values()) if name != "fsdd" or i % 2 == 0)
    return {
        "accuracy": 100 * run.accuracy.test,
        "fan_in": run.record.connectivity.active / n_sums,
        "rate": run.record.epochs[0].learning_rate,
    }


def rows(done, names, seeds):
    """Lines of the table, best rate by mean accuracy."""
    yield "| data | connections | fan-in | best rate of the grid | with it | `auto` | with it |"
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    for name in names:
        title, _, rates, _ = SETS[name]
        for density in DENSITIES:
            mean = {}
            for rate in (*rates, "auto"):
                mean[rate] = statistics.fmean(done[f"{name} {density} {rate} {seed}"]["accuracy"] for seed in seeds)
            best = max((rate for rate in rates if mean[rate] == mean[rate]), key=mean.get)
            auto = done[f"{name} {density} auto {seeds[0]}"]
            yield (f"| {title} | {density:.0%} | {auto['fan_in']:.3g} | {best:g} | {mean[best]:.1f} | {auto['rate']:.2g} | {mean['auto']:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", help="folder of MNIST and of the spoken digits")
    parser.add_argument("--out", type=Path, default=Path("rates.json"))
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=SETS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    given = parser.parse_args()
    done = json.loads(given.out.read_text()) if given.out.exists() else {}
    for name in given.sets:
        for density in DENSITIES:
            for rate in (*SETS[name][2], "auto"):
                for seed in given.seeds:
                    key = f"{name} {density} {rate} {seed}"
                    if key not in done:
                        done[key] = measure(name, density, rate, seed, given.data)
                        given.out.write_text(json.dumps(done))
    print("\n".join(rows(done, given.sets, given.seeds)))


if __name__ == "__main__":
    main()
