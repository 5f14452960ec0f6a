"""The smallest budget that reaches an accuracy: the bisection against all settings, on made-up curves and on the digits."""

import csv
import importlib.util
import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from neurosim.errors import InputError
from neurosim.results.search import read_search
from neurosim.sweeps.search import Goal, Range, parse_budget, parse_target, parse_vary
from neurosim.sweeps.smallest import Scores, find_smallest

QUICK = ("digits_santos", "--set", "training.epochs=4", "--set", "dataset.limit=600", "--set", "training.learning_rate=1.0")
SEARCH = ("search", *QUICK, "--minimize", "bytes", "--seeds", "2", "--jobs", "1", "--out", "out")
BUDGET = ("--budget", "network.connectivity=0.02,0.04,0.08,0.16,0.3,0.5")


def search_curve(means, target, n_seeds=3, sd=0.0, n_samples=300, seed=0):
    """Answer of the bisection and of all settings on the same draws, and how many runs the bisection took."""
    generator = random.Random(seed)
    draws = [[mean + generator.gauss(0, sd) for _ in range(n_seeds)] for mean in means]
    taken = {}

    def measure(key, n, why):
        taken[key] = max(taken.get(key, 0), n)
        return draws[key][:n]

    found = find_smallest(range(len(means)), measure, Scores(target, n_seeds, n_samples))
    everything = next((i for i, row in enumerate(draws) if math.fsum(row) / n_seeds >= target), None)
    return found, everything, sum(taken.values())


@pytest.mark.parametrize("n", [1, 2, 3, 10, 24, 100])
def test_without_noise_it_is_exact_and_takes_the_logarithm(n):
    means = [0.9 + 0.1 * i / n for i in range(n)]
    for k in range(n + 1):
        target = 0.99999 if k == n else means[k] - 0.01 / n
        found, everything, n_runs = search_curve(means, target)
        assert found == everything == (None if k == n else k)
        assert n_runs <= 3 * (math.ceil(math.log2(n + 1)) + 1)


def test_seeds_far_from_the_target_stand_alone():
    found, _, n_runs = search_curve([0.3, 0.5, 0.7, 0.97, 0.98], 0.95)
    assert found == 3 and n_runs == 3 + 1  # 0.7 is far; the first setting that reaches it has all its seeds


def test_with_noise_it_mostly_finds_the_answer_of_all_runs_in_a_third_of_them():
    """A rising curve of 24 settings as that of the digits, three seeds with the spread of the digits: 500 draws of both."""
    means = [0.98 - 0.5 * math.exp(-i / 3.5) for i in range(24)]
    found = [search_curve(means, 0.97, sd=0.006, seed=seed) for seed in range(500)]
    same = sum(a == b for a, b, _ in found) / len(found)
    near = sum(abs(means[a] - means[b]) < 0.006 for a, b, _ in found) / len(found)  # by less than one seed differs from the next
    assert same > 0.75 and near > 0.95
    assert sum(n for _, _, n in found) / len(found) < 24 * 3 / 3
    assert all(b <= a for a, b, _ in found), "all runs never find a larger one than some of them"


def test_the_last_setting_first_where_only_less_would_help():
    asked = []

    def measure(key, n, why):
        asked.append(key)
        return [0.5] * n

    assert find_smallest(range(10), measure, Scores(0.9, 1, 300), is_bounded=True) is None and asked == [9]
    assert find_smallest([], measure, Scores(0.9, 1, 300), is_bounded=True) is None


def test_values():
    assert Range(1, 6).values(24) == [1, 2, 3, 4, 5, 6]
    assert Range(1, 1000).values(4) == [1, 10, 100, 1000]
    assert Range(0.01, 1.0).values(3) == [0.01, 0.1, 1.0] and Range(0.5, 0.7).values(3) == [0.5, 0.6, 0.7]
    assert parse_budget("a.b=0.01..1:5") == ("a.b", [0.01, 0.03162, 0.1, 0.3162, 1])
    assert parse_budget("a.b=48 KiB, 64 KiB") == ("a.b", ["48 KiB", "64 KiB"])
    assert parse_vary(["x=1..8", "y=s0.7,float32"]) == {"x": Range(1, 8), "y": ["s0.7", "float32"]}
    assert parse_target("accuracy=0.97") == 0.97


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: parse_target("loss=1"), "expected accuracy="),
        (lambda: parse_target("accuracy=high"), "expected a number"),
        (lambda: Goal(97), "expected a fraction"),
        (lambda: Goal(0.9, "byte"), "bytes"),
        (lambda: Goal(0.9, n_seeds=0), "--seeds"),
        (lambda: parse_budget("network.connectivity"), "expected KEY="),
        (lambda: parse_budget("x=2..1"), "LOW below HIGH"),
        (lambda: parse_budget("x=1..2:1"), "2 to 1,000 values"),
        (lambda: parse_budget("x=1,1"), "stands twice"),
        (lambda: parse_vary(["x=1,2", "x=3,4"]), "stands twice"),
        (lambda: Goal(0.9, budget=("x", [1]), vary={"x": [2]}), "is the budget"),
        (lambda: Goal(0.9, vary={"seed": [1, 2]}), "by itself"),
    ],
)
def test_bad_input_is_one_line(call, words):
    with pytest.raises(InputError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_bad_keys_are_told_before_anything_is_written(main_cli, tmp_path):
    done = main_cli(*SEARCH, "--target", "accuracy=0.9", "--budget", "network.conectivity=0.1,0.2")
    assert done.code == 2 and done.err.count("\n") == 1 and "nearest: connectivity" in done.err and not (tmp_path / "out").exists()


def test_digits_the_same_answer_as_all_runs(main_cli, tmp_path):
    done = main_cli(*SEARCH, "--target", "accuracy=0.85", *BUDGET)
    assert done.code == 0 and "the answer" in done.out
    record = read_search(tmp_path / "out")
    assert record.is_complete and record.best.outcome == "reaches" and record.best.accuracy.mean >= 0.85
    # Every setting, by an ordinary sweep, over the same validation set.
    text = json.dumps({
        "name": "all", "base": record.base, "seeds": record.seeds, "axes": [{"grid": record.budget}],
    })  # fmt: skip
    (tmp_path / "all.yaml").write_text(text, encoding="utf-8")
    assert main_cli("sweep", "all.yaml", "--out", "all", "--jobs", "1", "--quiet").code == 0
    with open(tmp_path / "all" / "summary.csv", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["validation_accuracy_mean"]]
    best = min((row for row in rows if float(row["validation_accuracy_mean"]) >= 0.85), key=lambda row: float(row["memory_mean_bytes"]))
    assert record.best.overrides["network.connectivity"] == float(best["network.connectivity"])
    assert record.best.cost == float(best["memory_mean_bytes"]) and record.n_runs < record.n_exhaustive
    # Points are those of a sweep, bit for bit; the test set stands with the answer alone.
    for point in record.points:
        (tmp_path / "all" / point.folder / "result.json").stat()
        assert (point.metrics.test_accuracy is not None) == (point.group == record.best.group)
    assert record.test_accuracy.n == 2
    # Nothing is left to do: the same trials come out of the folder.
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "out").glob("points/*/result.json")}
    assert main_cli(*SEARCH, "--target", "accuracy=0.85", *BUDGET, "--quiet").code == 0
    assert read_search(tmp_path / "out") == record and times == {p: p.stat().st_mtime_ns for p in times}
    for name in ("figures/search_trail.svg", "report.html", "trials.csv", "results.csv"):
        assert (tmp_path / "out" / name).stat().st_size
    assert main_cli("report", "out").code == 0


def test_nothing_reaches_it(main_cli, tmp_path):
    done = main_cli(*SEARCH, "--target", "accuracy=1.0", "--budget", "network.connectivity=0.02,0.04", "--quiet")
    assert done.code == 1 and done.err.count("\n") == 1 and "no setting reaches 100 %" in done.err and "the best is" in done.err


def test_what_does_not_fit_is_not_run(main_cli, tmp_path):
    done = main_cli(*SEARCH, "--target", "accuracy=0.5", "--budget", "network.connectivity=0.9,1.0", "--quiet")
    assert done.code == 1 and "none of them fits the chip" in done.err and not list((tmp_path / "out").glob("points/*/result.json"))


def test_cores_and_memory_of_the_chip_as_budgets(main_cli, tmp_path):
    done = main_cli(
        "search", *QUICK, "--minimize", "cores", "--target", "accuracy=0.5", "--seeds", "1", "--jobs", "1", "--out", "cores", "--quiet",
        "--budget", "hardware.cores=1..3", "--set", "network.connectivity=fit",
    )  # fmt: skip
    assert done.code == 0 and read_search(tmp_path / "cores").best.overrides == {"hardware.cores": 1}
    done = main_cli(
        *SEARCH, "--target", "accuracy=0.8", "--budget", "hardware.override.storage.local_bytes=20 KiB,32 KiB,64 KiB", "--quiet",
        "--set", "network.connectivity=fit",
    )  # fmt: skip
    record = read_search(tmp_path / "out")
    assert done.code == 0 and record.best.cost <= 65536 and len(record.budget["hardware.override.storage.local_bytes"]) == 3


def test_killed_it_goes_on_where_it_was(main_cli, cli_environment, tmp_path):
    """kill -9 in the middle, several times; the same command ends with the record of an undisturbed search."""
    assert main_cli(*SEARCH[:-1], "whole", "--target", "accuracy=0.85", *BUDGET, "--quiet").code == 0
    command = [sys.executable, "-m", "neurosim.cli", *SEARCH, "--target", "accuracy=0.85", *BUDGET, "--quiet"]
    for n in (1, 3):
        process = subprocess.Popen(command, cwd=tmp_path, env=cli_environment, start_new_session=True)
        until = time.monotonic() + 240
        while len(list((tmp_path / "out").glob("points/*/result.json"))) < n and process.poll() is None and time.monotonic() < until:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert main_cli(*SEARCH, "--target", "accuracy=0.85", *BUDGET, "--quiet").code == 0
    whole, again = (read_search(tmp_path / name).model_dump() for name in ("whole", "out"))
    for record in (whole, again):
        for point in record["points"]:
            point["metrics"].pop("train_s")
    assert whole == again


@pytest.mark.skipif(importlib.util.find_spec("optuna") is None, reason="optuna is not installed (extra: search)")
@pytest.mark.filterwarnings("default")
def test_other_keys_are_proposed_and_only_cheaper_settings_run(main_cli, tmp_path):
    vary = ("--vary", "hardware.weight_format=s0.7,float32", "--vary", "training.learning_rate=0.2..2.0", "--trials", "4")
    done = main_cli(*SEARCH, "--target", "accuracy=0.8", *BUDGET, *vary, "--quiet")
    assert done.code == 0, done.err
    record = read_search(tmp_path / "out")
    assert len({t.overrides["training.learning_rate"] for t in record.trials}) > 1
    best = None
    for trial in record.trials:
        assert best is None or trial.size < best.size or trial.overrides["training.learning_rate"] == best.overrides["training.learning_rate"]
        if trial.outcome == "reaches" and (best is None or trial.cost < best.cost):
            best = trial
    assert record.best == best
    again = main_cli(*SEARCH, "--target", "accuracy=0.8", *BUDGET, *vary, "--quiet")
    assert again.code == 0 and read_search(tmp_path / "out") == record


def test_without_optuna_it_is_one_line(main_cli, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "optuna", None)
    done = main_cli(*SEARCH, "--target", "accuracy=0.8", "--vary", "training.learning_rate=0.2..2.0")
    assert done.code == 2 and "pip install 'neurosim[search]'" in done.err and not (tmp_path / "out").exists()


def test_from_python(tmp_path):
    import neurosim as ns

    scenario = ns.load_scenario("digits_santos", {"training.epochs": 4, "dataset.limit": 600, "training.learning_rate": 1.0})
    options = {"budget": {"network.connectivity": [0.02, 0.08, 0.3]}, "seeds": 1, "jobs": 1}
    found = ns.search(scenario, 0.8, out=tmp_path / "out", **options)
    assert found.cost == found.record.best.cost and found.best["network.connectivity"] in (0.02, 0.08, 0.3)
    assert ns.open_search(tmp_path / "out").record == found.record and found.open().record.accuracy.validation >= 0.8
    assert len(found.to_frame()) == len(found.record.trials)
    with pytest.raises(InputError, match="one, the others are for vary"):
        ns.search(scenario, 0.8, budget={"a": [1], "b": [2]})
