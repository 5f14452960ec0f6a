"""The record of a sweep: its files, the way back, means with their intervals, and what is unknown."""

import csv
import importlib.util
import json

import pytest

from neurosim.errors import InputError
from neurosim.results import SWEEP_SCHEMA, SweepRecord, is_sweep, limits_of, metrics_of, read_sweep, summarize, write_sweep
from neurosim.results.metrics import estimate
from neurosim.results.sweep import Axis, LimitUse, Metrics, Point

LIMIT = LimitUse(name="local_memory", where="core 0", core=0, used=70000, limit=65536, unit="B", source="a table")


def point(number, group, seed, status="done", **changes):
    fields = {
        "id": f"{number:016x}", "group": group, "overrides": {"network.connectivity": [0.1, 0.2]}, "seed": seed, "profile": "chip",
        "profile_title": "A chip", "status": status, "folder": f"points/{number:016x}", **changes,
    }  # fmt: skip
    return Point(**fields)


def make_record(points):
    axis = Axis(keys=["network.connectivity"], values=[{"network.connectivity": [0.1, 0.2]}])
    return SweepRecord(name="trial", base={}, axes=[axis], seeds=[0, 1, 2], points=points, summary=summarize(points))


@pytest.fixture
def record():
    done = [
        point(n, "a", n, metrics=Metrics(test_accuracy=accuracy, n_active=100, energy_is_complete=n != 1, train_s=1.0))
        for n, accuracy in enumerate((0.90, 0.92, 0.97))
    ]
    unfit = point(3, "b", 0, "unfit", reason="does not fit", violation=LIMIT, limits=[LIMIT], metrics=Metrics(n_active=500))
    return make_record([*done, unfit, point(4, "b", 1, "missing")])


def rows_of(path):
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_estimate_by_hand():
    # Mean 0.93, deviations -0.03 -0.01 0.04: variance 0.0026 / 2; t(2, 97.5 %) = 4.302653.
    found = estimate([0.90, 0.92, 0.97])
    half = 4.302653 * (0.0013 / 3) ** 0.5
    assert found.n == 3
    assert (found.mean, found.std) == pytest.approx((0.93, 0.0013**0.5))
    assert (found.low, found.high) == pytest.approx((0.93 - half, 0.93 + half), rel=1e-6)


def test_one_seed_has_no_interval():
    found = estimate([0.5])
    assert (found.n, found.mean, found.std, found.low, found.high) == (1, 0.5, None, None, None)


def test_summary_counts_and_averages(record):
    done, unfit = record.summary
    assert (done.n_points, done.n_done, done.metrics["test_accuracy"].n) == (3, 3, 3)
    assert done.metrics["test_accuracy"].mean == pytest.approx(0.93)
    assert done.energy_is_complete is False and done.time_is_complete is None
    assert (unfit.n_unfit, unfit.n_missing, unfit.reason) == (1, 1, "does not fit")
    assert unfit.metrics["n_active"].mean == 500 and "test_accuracy" not in unfit.metrics


def test_round_trip(record, tmp_path):
    write_sweep(record, tmp_path)
    assert read_sweep(tmp_path) == read_sweep(tmp_path / "sweep.json") == record
    assert is_sweep(tmp_path) and is_sweep(tmp_path / "sweep.json") and not is_sweep(tmp_path.parent)
    assert (record.count("done"), record.count("unfit"), record.count("failed"), record.count("missing")) == (3, 1, 0, 1)


def test_results_table_is_tidy_and_leaves_the_unknown_empty(record, tmp_path):
    write_sweep(record, tmp_path)
    rows = rows_of(tmp_path / "results.csv")
    assert [row["status"] for row in rows] == ["done"] * 3 + ["unfit", "missing"]
    assert {json.dumps(json.loads(row["network.connectivity"])) for row in rows} == {"[0.1, 0.2]"}
    assert list(rows[0])[-1] == "train_s"
    assert (rows[3]["test_accuracy"], rows[3]["energy_per_sample_j"], rows[3]["n_active"]) == ("", "", "500")
    assert (rows[3]["fullest_limit"], rows[3]["fullest_limit_used"], rows[3]["fullest_limit_unit"]) == ("local_memory", "70000", "B")


def test_summary_table_states_n_and_keeps_units_last(record, tmp_path):
    write_sweep(record, tmp_path)
    first, second = rows_of(tmp_path / "summary.csv")
    assert (first["test_accuracy_n"], first["n_done"], second["n_unfit"]) == ("3", "3", "1")
    assert float(first["test_accuracy_ci95_low"]) < 0.93 < float(first["test_accuracy_ci95_high"])
    assert {"energy_per_sample_mean_j", "traffic_per_sample_ci95_low_bytes", "train_mean_s"} <= set(first)
    assert second["test_accuracy_mean"] == second["energy_per_sample_mean_j"] == ""


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_parquet_holds_the_same_table(record, tmp_path):
    from pyarrow import parquet

    write_sweep(record, tmp_path)
    rows = parquet.read_table(tmp_path / "results.parquet").to_pylist()
    assert [row["point"] for row in rows] == [point.id for point in record.points]
    assert [row["test_accuracy"] for row in rows] == [0.90, 0.92, 0.97, None, None]


@pytest.mark.skipif(importlib.util.find_spec("pyarrow") is None, reason="pyarrow is not installed")
def test_parquet_holds_numbers_and_words_of_one_key(tmp_path):
    from pyarrow import parquet

    key, values = "hardware.cores", (4, "auto", None, 0.5)
    points = [point(n, str(n), 0, overrides={} if value is None else {key: value}) for n, value in enumerate(values)]
    axis = Axis(keys=[key], values=[{} if value is None else {key: value} for value in values])
    record = SweepRecord(name="trial", base={}, axes=[axis], seeds=[0], points=points, summary=summarize(points))
    write_sweep(record, tmp_path)
    assert [row[key] for row in parquet.read_table(tmp_path / "results.parquet").to_pylist()] == ["4", "auto", None, "0.5"]


def test_metrics_of_a_real_run(tiny_run):
    record, metrics = tiny_run.record, metrics_of(tiny_run.record)
    assert metrics.test_accuracy == record.accuracy.test
    assert (metrics.n_cores, metrics.n_epochs, metrics.n_active) == (1, 2, record.connectivity.active)
    trained = sum(row.read_bytes + row.write_bytes for row in record.traffic_bytes.rows if row.phase != "evaluate")
    assert metrics.traffic_per_sample_bytes == pytest.approx(trained / (1437 * 2)) and trained > 0
    assert metrics.bytes_per_core_max == record.cores[0].memory_bytes.used < metrics.bytes_per_core_limit == 65536
    assert metrics.energy_per_sample_j == record.energy.per_sample_j > 0


def test_limits_are_the_fullest_of_each_name_in_order(tiny_run):
    limits = limits_of(tiny_run.record.verdict)
    fills = [use.used / use.limit for use in limits]
    assert fills == sorted(fills, reverse=True) and len({use.name for use in limits}) == len(limits) > 0
    assert "local_memory" in {use.name for use in limits}


@pytest.mark.parametrize(
    ("text", "fragment"),
    [
        (None, "no such sweep"),
        ("{", "not a readable sweep"),
        ("[]", "schema is None"),
        ('{"schema": "neurosim.sweep/9"}', "neurosim.sweep/9"),
        (f'{{"schema": "{SWEEP_SCHEMA}", "name": 3}}', "name"),
    ],
)
def test_a_damaged_record_is_refused_in_one_line(text, fragment, tmp_path):
    if text is not None:
        (tmp_path / "sweep.json").write_text(text, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_sweep(tmp_path)
    assert fragment in str(caught.value) and "sweep.json" in str(caught.value) and "\n" not in str(caught.value)
