"""From a sweep file to its points: forms of axes, names of points, and what the folders of points say."""

import json
import re
from pathlib import Path

import pytest

from neurosim.documents import parse_yaml, validate
from neurosim.scenario import load_scenario
from neurosim.sweeps import expand, list_sweeps, load_sweep
from neurosim.sweeps.collect import collect, point_folder
from neurosim.sweeps.engine import Workers, run_points
from neurosim.sweeps.expand import with_absolute_paths
from neurosim.sweeps.point import Outcome, claim, run_point, status_of, write_outcome
from neurosim.sweeps.schema import AxisChoice, Sweep

HEAD = "name: trial\nbase: digits_santos\n"


def plan_of(text, **options):
    document = parse_yaml(text, "trial.yaml")
    return expand(validate(Sweep, document, what="sweep"), document, **options)


def values(plan, *keys):
    return [tuple(point.overrides.get(key) for key in keys) for point in plan.points]


# --- forms of axes ---


def test_grid_takes_every_combination():
    plan = plan_of(HEAD + "axes: [{grid: {training.epochs: [1, 2], training.batch_size: [5, 10, 20]}}]")
    assert values(plan, "training.epochs", "training.batch_size") == [(1, 5), (1, 10), (1, 20), (2, 5), (2, 10), (2, 20)]
    assert [axis.keys for axis in plan.axes] == [["training.epochs"], ["training.batch_size"]]


def test_zip_takes_values_together():
    plan = plan_of(HEAD + "axes: [{zip: {training.epochs: [1, 2], training.batch_size: [5, 10]}}]")
    assert values(plan, "training.epochs", "training.batch_size") == [(1, 5), (2, 10)]
    assert plan.axes[0].values == [{"training.epochs": 1, "training.batch_size": 5}, {"training.epochs": 2, "training.batch_size": 10}]


def test_list_takes_sets_of_different_keys():
    plan = plan_of(HEAD + "axes: [{list: [{training.epochs: 1}, {network.connectivity: null, network.synapses: 99}]}]")
    assert values(plan, "training.epochs", "network.synapses") == [(1, None), (None, 99)]
    assert [point.scenario.training.epochs for point in plan.points] == [1, 60]  # what a set leaves out stays as it is
    assert plan.points[1].scenario.network.synapses == 99


def test_axes_are_combined_with_each_other_and_with_seeds():
    plan = plan_of(HEAD + "seeds: [3, 4]\naxes: [{zip: {training.epochs: [1, 2]}}, {grid: {training.batch_size: [5, 10]}}]")
    assert [(*row, point.scenario.seed) for row, point in zip(values(plan, "training.epochs", "training.batch_size"), plan.points)] == [
        (1, 5, 3), (1, 5, 4), (1, 10, 3), (1, 10, 4), (2, 5, 3), (2, 5, 4), (2, 10, 3), (2, 10, 4),
    ]  # fmt: skip


def test_seeds_alone_are_a_sweep_and_without_them_the_base_decides():
    assert [point.scenario.seed for point in plan_of(HEAD + "seeds: [5, 6]").points] == [5, 6]
    plan = plan_of(HEAD + "set: {training.epochs: 7}\naxes: [{grid: {training.batch_size: [5]}}]", overrides=["seed=9"])
    assert [(point.scenario.seed, point.scenario.training.epochs) for point in plan.points] == [(9, 7)]


def test_the_base_may_be_written_out():
    text = "name: trial\nbase:\n  name: x\n  dataset: {name: digits}\n  network: {layers: [64, 10], connectivity: fit}\n"
    plan = plan_of(text + "  hardware: {profile: spinnaker2_santos}\naxes: [{grid: {training.epochs: [1, 2]}}]")
    assert [point.scenario.network.connectivity for point in plan.points] == ["fit", "fit"]
    with pytest.raises(Exception, match=r"^trial.yaml:4: dataset.nam is not a key"):
        plan_of(text.replace("{name: digits}", "{nam: digits}") + "seeds: [0]")


def test_one_value_does_not_leak_into_the_next_point():
    plan = plan_of(HEAD + "axes: [{list: [{network.layers.1: 50}, {training.epochs: 1}]}]")
    assert [point.scenario.network.layers for point in plan.points] == [(64, 50, 10), (64, 100, 10)]


# --- names of points ---


def test_names_follow_the_resolved_scenario_and_not_the_words():
    one = plan_of(HEAD + "seeds: [0, 1]\naxes: [{grid: {training.epochs: [1, 2]}}]")
    same = plan_of(
        "name: other\nbase: digits_santos\nseeds: [1, 0]\naxes: [{list: [{training.epochs: 2, description: hello}, {training.epochs: 1}]}]"
    )
    assert {point.id for point in one.points} == {point.id for point in same.points}
    assert len({point.id for point in one.points}) == 4
    assert len({point.group for point in one.points}) == 2
    assert one.points[0].group == one.points[1].group != one.points[2].group


def test_names_follow_the_file_of_the_chip(tmp_path, monkeypatch):
    from neurosim.documents import bundled_folder

    monkeypatch.chdir(tmp_path)
    text = (bundled_folder("hardware_profiles") / "spinnaker2_santos.yaml").read_text(encoding="utf-8")
    ids = []
    for change in ("", "# another comment\n"):
        (tmp_path / "chip.yaml").write_text(text + change, encoding="utf-8")
        (point,) = plan_of(HEAD + "seeds: [0]\nset: {hardware.profile: chip.yaml}").points
        ids.append(point.id)
    assert ids[0] != ids[1]
    assert with_absolute_paths(point.scenario).hardware.profile == str(tmp_path / "chip.yaml")


#: Points of each bundled sweep: settings x seeds. A new sweep is named here.
BUNDLED = {
    "digits_quick": 54,
    "digits_what_if": 27,
    "fsdd_connectivity": 12,
    "fsdd_santos": 15,
    "fsdd_window": 15,
    "mnist_budget": 96,
    "mnist_curves": 87,
}


@pytest.mark.parametrize("name", list_sweeps())
def test_bundled_sweeps_expand(name):
    sweep, document = load_sweep(name)
    plan = expand(sweep, document)
    assert sweep.name == name and sweep.description and len(plan.points) == BUNDLED[name]
    assert not any(point.scenario.report.figures for point in plan.points)
    assert len(plan_of(plan.text).points) == len(plan.points)  # sweep.yaml, as used, is a sweep
    assert [point.id for point in plan_of(plan.text).points] == [point.id for point in plan.points]


# --- folders of points ---


def test_a_claim_is_held_by_one_and_freed_at_the_end(tmp_path):
    with claim(tmp_path) as first:
        with claim(tmp_path) as second:
            assert (first, second) == (True, False)
    with claim(tmp_path) as again:
        assert again


def test_a_claimed_point_is_busy_and_an_ended_one_is_left_alone(tmp_path):
    scenario = load_scenario("digits_santos").model_dump(mode="json", exclude_none=True)
    with claim(tmp_path):
        assert run_point(str(tmp_path), scenario) == "busy"
    write_outcome(tmp_path, Outcome(status="failed", reason="a reason"))
    assert run_point(str(tmp_path), scenario) == "failed"
    assert {path.name for path in tmp_path.iterdir()} == {"outcome.json"}


def test_a_damaged_outcome_is_no_outcome(tmp_path):
    for text in ("", "{", "[]", '{"status": "unfit"}'):
        (tmp_path / "outcome.json").write_text(text)
        assert status_of(tmp_path) == "missing"


def test_unfit_points_know_their_limit_and_their_bytes(tmp_path):
    plan = plan_of(HEAD + "seeds: [0]\nset: {network.connectivity: 1.0}")
    (planned,) = plan.points
    assert collect(plan, tmp_path).points[0].status == "missing"
    assert run_point(str(point_folder(tmp_path, planned)), planned.scenario.model_dump(mode="json", exclude_none=True)) == "unfit"
    (point,) = collect(plan, tmp_path).points
    assert (point.status, point.violation.name, point.violation.limit) == ("unfit", "local_memory", 65536)
    assert point.metrics.bytes_per_core_max == point.violation.used > 65536
    assert (point.metrics.n_active, point.metrics.connectivity, point.metrics.test_accuracy) == (7400, 1.0, None)
    assert "does not fit" in point.reason and "\n" not in point.reason
    assert json.loads((tmp_path / point.folder / "outcome.json").read_text())["status"] == "unfit"


def test_a_checkpoint_that_cannot_be_used_is_started_again(tmp_path):
    scenario = load_scenario("digits_santos", ["training.epochs=1", "report.figures=false"]).model_dump(mode="json", exclude_none=True)
    (tmp_path / "points" / "a").mkdir(parents=True)
    (tmp_path / "points" / "a" / "checkpoint.npz").write_bytes(b"damaged")
    assert run_point(str(tmp_path / "points" / "a"), scenario) == "done"


# --- the page about sweeps ---

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "sweeps.md").read_text(encoding="utf-8")


def test_the_example_of_the_page_is_a_sweep():
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, flags=re.MULTILINE | re.DOTALL)
    assert len(plan_of(block).points) == 24


def test_the_page_names_every_key_file_and_bundled_sweep():
    keys = [*Sweep.model_fields, *AxisChoice.model_fields, "sweep.json", "results.csv", "results.parquet", "summary.csv", "sweep.yaml"]
    assert not [key for key in keys if f"| `{key}` |" not in PAGE]
    assert not [name for name in list_sweeps() if f"neurosim sweep {name}" not in PAGE]


def test_an_error_of_closing_a_round_does_not_hide_the_interrupt(tmp_path):
    """joblib warns of the tasks that it gives up; where warnings are errors, the interrupt stands behind one."""
    points = plan_of(HEAD + "axes:\n  - grid: {network.connectivity: [0.1, 0.2]}\n").points

    def run(tasks):
        try:
            yield tasks[0][0], "interrupted", None
        finally:
            raise UserWarning("2 tasks which were still being processed by the workers have been cancelled")

    with pytest.raises(KeyboardInterrupt):
        run_points(points, tmp_path, Workers(run, 2, "local"), on_point=lambda *told: None)
