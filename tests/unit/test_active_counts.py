"""What a run says of its connections: those without a place, those of each core, and those after a rewiring that took place."""

import json

import pytest

from neurosim.results import read_record
from neurosim.scenario import Scenario, load_scenario, run_scenario

#: 164 rows of inputs and hidden neurons, of which ODIN's core has 128 for signed weights.
LAYERS, ROWS = (64, 100, 10), 128


def run(folder, rule="static", **keys):
    scenario = Scenario.model_validate(
        {
            "name": "counts",
            "dataset": {"name": "digits", "limit": 100},
            "network": {"layers": LAYERS, "connectivity": 0.5},
            "hardware": {"profile": "odin", "cores": 1, "on_violation": "report"},
            "training": {"epochs": 2, "batch_size": 10, "learning_rate": 0.1},
            "rewiring": {"rule": rule, **keys},
            "report": {"figures": False},
        }
    )
    return run_scenario(scenario, out=folder)[0]


def check_counts(record):
    net = record.connectivity
    assert sum(core.synapses.used for core in record.cores) == net.active == sum(matrix.active for matrix in net.matrices)
    return net


@pytest.mark.parametrize(
    "rule, keys",
    [
        ("static", {}),
        ("dense", {}),
        ("deep_r", {}),
        ("set", {"period": 4}),
        ("rigl", {"period": 4}),
        ("prune", {"period": 4}),
        ("prune_retrain", {}),
        ("l1_shrinkage", {"period": 4}),
        ("soft_deep_r", {"temperature": 1e-4}),
    ],
)
def test_connections_without_a_place_at_the_start_are_reported(rule, keys, tmp_path):
    record = run(tmp_path / "run", rule, **keys)
    net = check_counts(record)
    assert net.unplaced > 0 and net.unplaced_by["in_axons"] > 0
    assert record.cores[0].rows["in_axons"].peak <= ROWS
    if rule in ("static", "dense"):
        planned = sum(a * b for a, b in zip(LAYERS, LAYERS[1:], strict=False)) // (1 if rule == "dense" else 2)
        assert net.active + net.unplaced == planned and net.unfilled == net.unplaced
    assert f"{net.unplaced} connections found no place at the start, limits: in_axons" in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")


def test_table_and_page_say_what_found_no_place(main_cli, tmp_path):
    run(tmp_path / "run")
    net = read_record(tmp_path / "run").connectivity
    done = main_cli("run", "run/scenario.yaml", "--set", "report.html=true", "--out", "again")
    said, page = " ".join(done.out.split()), (tmp_path / "again" / "report.html").read_text(encoding="utf-8")
    for text in (said, page):
        assert f"{net.unplaced:,d} connections found no place at the start; limits that bound: in axons" in text
        assert "o rewiring took place" in text and "active after every" not in text and "After every rewiring" not in text


def test_no_rewiring_is_no_rewiring(tmp_path):
    """30 steps an epoch: a period of 1000 never comes, one of 40 comes in the second epoch alone."""
    for period, expected in ((1000, (None, None)), (40, (None, int))):
        scenario = load_scenario(
            "digits_santos",
            ["dataset.limit=300", "training.epochs=2", f"rewiring.period={period}", "rewiring.noise_std=0.01", "report.figures=false"],
        )
        record, folder = run_scenario(scenario, out=tmp_path / str(period))
        net, least = check_counts(record), [epoch.n_active_least for epoch in record.epochs]
        assert [None if n is None else int for n in least] == list(expected)
        assert net.least_active == least[1] and record.epochs[0].n_active < record.epochs[0].n_active_most < 940
        assert json.loads((folder / "result.json").read_text(encoding="utf-8"))["connectivity"]["least_active"] == least[1]
        assert least[1] in (None, 940)
