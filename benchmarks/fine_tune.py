"""The table of docs/your-network.md: a dense PyTorch network pruned into 64 KB by each rule from its weights, beside training from scratch.

    python -m benchmarks.fine_tune --data DIR [--out fine_tune.json] [--nets DIR] [--epochs 3] [--seeds 0 1 2]

A dense LeNet-300-100 is trained in PyTorch on the 54,000 training samples and exported to ONNX. Each rule then trains 3,552 connections on one
64 KB core, from the largest of these weights (``start_from``) and from drawn ones. The learning rate is chosen for each on the validation
samples with the first seed; test accuracies are those of the last epoch. Finished runs in the file given by --out are not repeated.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import neurosim as ns

LAYERS, CONNECTIVITY = (784, 300, 100, 10), (0.01, 0.03, 0.30)
RATES = (1.0, 0.5, 0.2, 0.05)
RULES = {
    "deep_r": {"l1": 1e-5, "noise_std": 1e-5, "theta_born": 1e-12},
    "set": {},
    "rigl": {},
    "static": {},
    "prune": {},
    "soft_deep_r": {"l1": 1e-5, "noise_std": 1e-5},
}


def train_dense(data, seed, path, epochs=5):
    """Train the dense network in PyTorch on the training samples of a `Dataset`, and export it to ONNX."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    torch.set_num_threads(1)
    sizes = list(zip(LAYERS, LAYERS[1:]))
    layers = [layer for i, o in sizes for layer in (nn.Linear(i, o, bias=False), nn.ReLU())][:-1]
    model = nn.Sequential(nn.Flatten(), *layers)
    x, y = torch.tensor(data.x_train, dtype=torch.float32) * data.scale, torch.tensor(data.y_train, dtype=torch.long)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
            optimizer.step()
    model.eval()
    torch.onnx.export(model, (x[:1],), path, dynamo=False, input_names=["input"], dynamic_axes={"input": {0: "samples"}})


def scenario_of(rule, start, rate, seed, epochs):
    """One run: a rule, from given weights or drawn ones."""
    return ns.Scenario(
        name="fine_tune",
        seed=seed,
        dataset={"name": "mnist", "validation_fraction": 0.1},
        network={"layers": list(LAYERS), "connectivity": list(CONNECTIVITY)},
        hardware={"profile": "spinnaker2_santos", "cores": 1},
        training={"epochs": epochs, "batch_size": 10, "learning_rate": rate, "schedule": {"kind": "exponential", "factor": 0.5}},
        rewiring={"rule": rule, **RULES[rule]},
        **({"start_from": str(start)} if start else {}),
    )


def measure(rule, start, rate, seed, epochs, data_dir):
    """Validation and test accuracy of one run, its connections at the least and at the end, and whether it fits."""
    try:
        run = ns.run(scenario_of(rule, start, rate, seed, epochs), data_dir=data_dir, threads=1)
    except ns.TrainingDivergedError:
        return {"validation": 0.0, "test": float("nan"), "n_active": None, "fits": None}
    last = run.record.epochs[-1]
    least = min(e.n_active_least for e in run.record.epochs if e.n_active_least is not None) if rule != "static" else last.n_active
    return {"validation": last.validation_accuracy, "test": run.accuracy.test, "n_active": [least, last.n_active], "fits": run.verdict.fits}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--out", type=Path, default=Path("fine_tune.json"))
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--nets", type=Path, help="Keep the dense networks in this folder, and take those that are there.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    options = parser.parse_args()
    found = json.loads(options.out.read_text()) if options.out.exists() else {}
    data = scenario_of("static", None, 0.1, 0, 1).dataset.load(options.data)
    with tempfile.TemporaryDirectory() as folder:
        nets = {seed: (options.nets or Path(folder)) / f"dense_{seed}.onnx" for seed in options.seeds}
        for seed, path in nets.items():
            if not path.exists():
                train_dense(data, seed, str(path))
            given = ns.load_network(path)
            found[f"dense {seed}"] = float((given.predict(data.x_test * data.scale) == data.y_test).mean())

        def result(rule, is_given, rate, seed):
            key = f"{rule} {'given' if is_given else 'scratch'} {rate} {seed} {options.epochs}"
            if key not in found:
                found[key] = measure(rule, nets[seed] if is_given else None, rate, seed, options.epochs, options.data)
                options.out.write_text(json.dumps(found, indent=1))
                print(key, found[key], flush=True)
            return found[key]

        first = options.seeds[0]
        pruned = [ns.run(scenario_of("static", nets[s], 1e-9, s, 1), data_dir=options.data, threads=1).accuracy.test for s in options.seeds]
        dense = [found[f"dense {seed}"] for seed in options.seeds]
        print(f"dense: {_text(dense)}; its 3,552 largest weights untrained: {_text(pruned)}")
        print("| rule | from its weights, % | rate | from scratch, % | rate | K |\n|---|---|---|---|---|---|")
        for rule in RULES:
            verdict = ns.check(scenario_of(rule, None, 0.1, 0, 1))
            if not verdict and (worst := verdict.worst):
                print(f"| `{rule}` | does not fit: {worst.name} {worst.used:,d} of {worst.limit:,d} B | | | | |", flush=True)
                continue
            cells = []
            for is_given in (True, False):
                rate = max(RATES, key=lambda r: result(rule, is_given, r, first)["validation"])
                runs = [result(rule, is_given, rate, seed) for seed in options.seeds]
                cells += [_text([run["test"] for run in runs]), f"{rate:g}"]
            counts = sorted({n for run in runs for n in run["n_active"]})
            print(f"| `{rule}` | {' | '.join(cells)} | {', '.join(map(str, counts))} |", flush=True)


def _text(values):
    return f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else f"{100 * values[0]:.2f}"


if __name__ == "__main__":
    main()
