"""The tables of docs/changing-tasks.md: rules on MNIST whose labels or pixels are permuted five times, beside a control that stays as it is.

    python benchmarks/changing_tasks.py --data DIR [--out tasks.json] [--seeds 0 1 2]

Runs `mnist_relabelled` (6 phases of 60,000 images, evaluated every 12,000) and prints Markdown: test accuracy 12,000 and 60,000 images after a change,
mean +- standard error over the seeds, and the correlation of weights with the phase before. Finished runs in the file given by --out are not repeated.
"""

import argparse
import json
import statistics
from pathlib import Path

RULES = {
    "deep_r": {"rule": "deep_r", "l1": 1e-4, "noise_std": 1e-5, "theta_born": 3e-4},
    "set": {"rule": "set", "drop_fraction": 0.3, "period": 100, "stop": 0.9},
    "set, annealed over the run": {"rule": "set", "drop_fraction": 0.3, "period": 100, "stop": 0.9, "horizon": "run"},
    "static": {"rule": "static"},
}
CHANGES = {"labels": "relabel", "pixels": "permute_inputs", "none": None}


def measure(rule, change, seed, data_dir):
    """One run: dict of what the tables need."""
    from neurosim.scenario import load_scenario
    from neurosim.scenario.runner import train_scenario

    key = CHANGES[change]
    phases = [{"name": f"phase {i + 1}", "epochs": 5, **({key: i} if key and i else {})} for i in range(6)]
    record, _ = train_scenario(
        load_scenario("mnist_relabelled").with_(seed=seed, rewiring=RULES[rule], phases=phases), data_dir=data_dir, n_threads=1
    )
    seen = record.accuracy.per_epoch
    return {
        "early": [100 * seen[part.first_epoch] for part in record.phases.phases],
        "late": [100 * seen[part.first_epoch + part.n_epochs - 1] for part in record.phases.phases],
        "arrived": [part.n_arrived for part in record.phases.phases],
        "correlation": [[likeness.correlation_before for likeness in part.weights] for part in record.phases.phases],
        "overlap": [[likeness.overlap_before for likeness in part.weights] for part in record.phases.phases],
        "energy_j": [part.training_energy_j for part in record.phases.phases],
        "recovery": [part.recovery[0].model_dump() for part in record.phases.phases],
        "forgetting": record.phases.forgetting,
        "average_accuracy": record.phases.average_accuracy,
        "bytes": max(core.memory_bytes.used for core in record.cores),
        "train_s": sum(record.timing.epoch_s),
    }


def _text(values):
    error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {error:.2f}"


def print_tables(runs):
    print(
        "| task change | rule | phase 1: 12,000 / 60,000 images | phase 2 | phase 6 | phases 2 to 6, 12,000 images after the change | arrivals in phases 1, 6 |"
    )
    print("|---|---|---|---|---|---|---|")
    for change in CHANGES:
        for rule in RULES:
            found = [run for key, run in runs.items() if key.rsplit(" / ", 1)[0] == f"{change} / {rule}"]
            if not found:
                continue
            cells = [f"{_text([run['early'][p] for run in found])} / {_text([run['late'][p] for run in found])}" for p in (0, 1, 5)]
            cells.append(_text([statistics.mean(run["early"][1:]) for run in found]))
            cells.append(", ".join(f"{statistics.mean(run['arrived'][p] for run in found):,.0f}" for p in (0, 5)))
            print(f"| {change} | `{rule}` | {' | '.join(cells)} |")
    print(
        "\n| task change | rule | correlation with the phase before, matrices 1, 2, 3: phase 2 | phase 6 | overlap, phase 6 |\n|---|---|---|---|---|"
    )
    for change in CHANGES:
        for rule in RULES:
            found = [run for key, run in runs.items() if key.rsplit(" / ", 1)[0] == f"{change} / {rule}"]
            if found:
                cells = [
                    ", ".join(f"{statistics.mean(run[what][p][m] for run in found):.2f}" for m in range(3))
                    for what, p in (("correlation", 1), ("correlation", 5), ("overlap", 5))
                ]
                print(f"| {change} | `{rule}` | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", help="where the MNIST files are")
    parser.add_argument("--out", type=Path, default=Path("tasks.json"))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--changes", nargs="+", choices=CHANGES, default=list(CHANGES))
    options = parser.parse_args()
    runs = json.loads(options.out.read_text()) if options.out.exists() else {}
    for seed in options.seeds:
        for change in options.changes:
            for rule in RULES:
                key = f"{change} / {rule} / {seed}"
                if key not in runs:
                    runs[key] = measure(rule, change, seed, options.data)
                    options.out.write_text(json.dumps(runs, indent=1))
    print_tables(runs)


if __name__ == "__main__":
    main()
