"""Verdicts that end: on a million cores, on chips of very many cores, and the same whoever asks."""

import importlib
import json
import time

import pytest
from test_placement_verdict import SANTOS, with_value

from neurosim.hardware import list_profiles, load_profile
from neurosim.placement import Workload, judge, place, smallest_cores
from neurosim.scenario import load_scenario

TIGHT = {
    "name": "tight",
    "dataset": {"name": "data.npz"},
    "network": {"layers": [1, 6, 69, 2], "connectivity": "fit"},
    "hardware": {"profile": "truenorth", "cores": 8, "headroom": 0.25, "learning": "host", "on_violation": "report"},
    "training": {"epochs": 1, "batch_size": 2, "learning_rate": 0.1},
    "rewiring": {"rule": "soft_deep_r", "scope": "layer", "l1": 1e-4, "temperature": 1e-6, "theta_min": -0.001},
    "report": {"figures": False},
}


@pytest.mark.parametrize("name", ["digits_santos", "mnist_loihi1", "mnist_rows_lstm"])
@pytest.mark.parametrize("command", ["check", "run"])
def test_a_million_cores_are_refused_soon(name, command, run_cli, tmp_path):
    began = time.monotonic()
    result = run_cli(command, name, "--set", "hardware.cores=1000000", cwd=tmp_path, timeout=60)  # takes 1 to 2 s
    assert result.returncode == 3 and time.monotonic() - began < 60
    assert "cores needs 1,000,000" in result.stderr if command == "run" else "1,000,000" in result.stdout
    assert len(result.stdout) < 20_000


def test_its_json_lists_cores_that_are_alike_once(main_cli):
    verdict = json.loads(main_cli("check", "digits_santos", "--json", "--set", "hardware.cores=1000000").out)
    assert not verdict["fits"] and len(verdict["cores"]) < 100
    assert sum(core.get("n_alike", 1) for core in verdict["cores"]) == 10**6
    assert sum(core["n_neurons"] * core.get("n_alike", 1) for core in verdict["cores"]) == 110


def test_places_that_are_alike_say_the_same_as_places_one_by_one(monkeypatch):
    workload = Workload((40, 30, 10), (600, 200), batch_size=4)
    profile = with_value(SANTOS, "cores.value", 20)
    each = place(profile, workload, 17)
    assert len(each.usages) > 17
    for module in ("checks", "place"):
        monkeypatch.setattr(importlib.import_module(f"neurosim.placement.{module}"), "MOST_LISTED", 3)
    alike = place(profile, workload, 17)
    for name in {usage.name for usage in each.usages}:
        one_by_one = sorted((u.used, u.limit, u.matrix) for u in each.usages if u.name == name)
        together = sorted((u.used, u.limit, u.matrix) for u in alike.usages if u.name == name for _ in range(u.n_places))
        assert together == one_by_one
    kinds = [(core.n_neurons, core.n_slots, core.sections) for core, n in alike.distinct_cores for _ in range(n)]
    assert len(alike.distinct_cores) < 17 and sorted(kinds, key=str) == sorted(((c.n_neurons, c.n_slots, c.sections) for c in each.cores), key=str)
    assert {place for core, _ in alike.distinct_cores for place in [core.id]} <= set(range(17))


def test_a_refusal_on_a_chip_of_100_000_cores_ends():
    profile = with_value(SANTOS, "cores.value", 100_000)
    began = time.process_time()
    verdict = judge(place(profile, Workload((100_000, 100_000, 10), (10**9, 10**5)), 100_000))
    assert not verdict.fits and time.process_time() - began < 20  # takes 0.5 s
    assert verdict.hints[-1].startswith("none of the numbers of cores that were tried (up to 100,000)")


def test_a_survey_of_all_chips_takes_a_moment():
    from neurosim.scenario.survey import survey

    scenario, began = load_scenario("mnist_santos_64kb"), time.process_time()
    rows = survey(scenario, list_profiles())
    assert max(row.n_chip_cores for row in rows) > 900_000 and time.process_time() - began < 5  # takes 0.9 s


def test_a_survey_names_chips_without_rows_to_point_at():
    from neurosim.scenario.survey import survey

    rows = {row.profile: row for row in survey(load_scenario("digits_brainscales2"), list_profiles())}
    assert rows["seneca"].state == "cannot run" and "formats.row_pointer_bits missing" in rows["seneca"].reason
    assert rows["brainscales2"].state == rows["spinnaker2"].state == "fits"


def test_large_chips_are_searched_in_steps_and_small_ones_core_by_core(monkeypatch):
    from neurosim.placement.search import tries_all_cores

    workload = Workload((784, 300, 100, 10), (184_000, 30_000, 1000))
    small = [profile for profile in map(load_profile, list_profiles()) if profile.cores.value <= 5000]
    assert len(small) > 15 and all(tries_all_cores(profile, workload) for profile in small)
    large = with_value(SANTOS, "cores.value", 1000)
    fewest = smallest_cores(large, workload)
    assert tries_all_cores(large, workload) and not place(large, workload, fewest - 1).fits
    monkeypatch.setattr("neurosim.placement.search._EFFORT", 20_000)
    some = smallest_cores(large, workload)
    assert not tries_all_cores(large, workload) and place(large, workload, some).fits and fewest <= some < 1.5 * fewest


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_check_and_run_agree_where_no_draw_is_safe(options, main_cli, tmp_path):
    (tmp_path / "tight.json").write_text(json.dumps(TIGHT))
    (tmp_path / "tight.yaml").write_text(json.dumps(TIGHT))
    checked, run = main_cli("check", "tight.yaml", *options), main_cli("run", "tight.yaml")
    assert checked.code == run.code == 3
    assert "whichever positions are drawn" in run.err and len(run.err.splitlines()) == 1
    if options:
        verdict = json.loads(checked.out)
        assert verdict["fits"] is False
        assert [(u["name"], u["used"], u["fits"]) for u in verdict["violations"]] == [
            ("targets_per_neuron", 8, False),
            ("targets_per_neuron", 2, False),
        ]
    else:
        assert "does not fit" in checked.out and "1 core would fit" in checked.out


def test_fit_uses_shared_memory_where_cores_hold_not_one_synapse(main_cli):
    """The other way to a verdict that fits behind an error: only spilling makes room."""
    changes = ["network.connectivity=fit", "hardware.profile=spinnaker1", "hardware.cores=1", "hardware.code_bytes=64340"]
    result = main_cli("check", "digits_santos", "--json", *(part for change in changes for part in ("--set", change)))
    verdict = json.loads(result.out)
    memory = next(u for u in verdict["headroom"] + verdict["violations"] if u["name"] == "local_memory")
    assert (result.code == 0) == verdict["fits"] and verdict["fits"] and memory["used"] <= memory["limit"]
    assert verdict["cores"][0]["spilled"]
