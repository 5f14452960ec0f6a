"""The record of a real run: its files, the way back, and the sums that have to close."""

import csv
import json
import math

import pytest

from neurosim.errors import InputError
from neurosim.results import SCHEMA, read_record, write_record

TABLES = ("epochs.csv", "cores.csv", "traffic.csv", "energy.csv")
# Columns without a unit at their end: names, counts, fractions, and losses in nats.
WITHOUT_UNIT = {
    *("core", "phase", "section", "level", "component", "epoch", "count", "learning_rate"),
    *("train_loss", "test_loss", "train_accuracy", "test_accuracy"),
    *("synapses", "synapse_limit", "packets_sent", "packets_received"),
}


def rows_of(folder, name):
    with open(folder / name, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def total(rows, column):
    """Sum of a column, exact for integers; empty cells (not priced) count nothing."""
    cells = [row[column] for row in rows if row[column]]
    return sum(map(int, cells)) if all(cell.lstrip("-").isdigit() for cell in cells) else math.fsum(map(float, cells))


@pytest.fixture
def written(tiny_run, tmp_path):
    """The record of the tiny run, written once more into an empty folder."""
    write_record(tiny_run.record, tmp_path)
    return tmp_path


def test_round_trip_by_folder_and_by_path(tiny_run, written):
    assert read_record(written) == tiny_run.record
    assert read_record(written / "result.json") == tiny_run.record
    assert read_record(tiny_run.folder) == tiny_run.record


def test_only_the_five_files_are_written(written):
    assert sorted(path.name for path in written.iterdir()) == sorted(("result.json", *TABLES))


def test_result_json_is_plain_json(written):
    text = (written / "result.json").read_text(encoding="utf-8")
    data = json.loads(text, parse_constant=lambda word: pytest.fail(f"{word} is not JSON"))
    assert data["schema"] == SCHEMA
    assert text.endswith("}\n")


def test_keys_that_the_issue_asks_for(written):
    data = json.loads((written / "result.json").read_text(encoding="utf-8"))
    wanted = (
        "schema scenario seed profile.name profile.sha256 accuracy.test accuracy.per_epoch connectivity.active "
        "connectivity.possible connectivity.fraction connectivity.rewired cores.0.id cores.0.synapses.used "
        "cores.0.synapses.limit cores.0.memory_bytes.used cores.0.memory_bytes.limit cores.0.memory_bytes.sections "
        "cores.0.energy_j cores.0.traffic_bytes energy.total_j energy.complete energy.unpriced energy.by_phase_j "
        "energy.by_component_j energy.per_sample_j traffic_bytes.read traffic_bytes.write traffic_bytes.by_phase "
        "traffic_bytes.by_level events metrics timing.epoch_s timing.model_s_per_sample environment"
    )
    for dotted in wanted.split():
        level = data
        for part in dotted.split("."):
            level = level[int(part)] if isinstance(level, list) else level[part]


@pytest.mark.parametrize("name", TABLES)
def test_columns_carry_units(written, name):
    rows = rows_of(written, name)
    assert rows
    for column in rows[0]:
        assert column in WITHOUT_UNIT or column.startswith("n_") or column.endswith(("_bytes", "_j", "_s")), column


def test_epochs_csv_agrees(tiny_run, written):
    rows, record = rows_of(written, "epochs.csv"), tiny_run.record
    assert len(rows) == len(record.epochs) == 2
    for row, epoch, train_s in zip(rows, record.epochs, record.timing.epoch_s):
        for key, value in epoch.model_dump(exclude_none=True).items():
            assert float(row[key]) == value
        assert float(row["train_s"]) == train_s
    assert total(rows, "n_arrived") == record.connectivity.rewired > 0
    assert [float(row["test_accuracy"]) for row in rows] == record.accuracy.per_epoch
    assert record.accuracy.test == record.accuracy.per_epoch[-1]


def test_cores_csv_agrees(tiny_run, written):
    rows, record = rows_of(written, "cores.csv"), tiny_run.record
    assert [int(row["core"]) for row in rows] == [core.id for core in record.cores]
    assert total(rows, "synapses") == record.connectivity.active
    assert total(rows, "traffic_bytes") == record.traffic_bytes.read + record.traffic_bytes.write > 0
    for row, core in zip(rows, record.cores):
        assert int(row["memory_bytes"]) == core.memory_bytes.used == sum(core.memory_bytes.sections.values())
        assert sum(int(row[f"{name}_bytes"]) for name in core.memory_bytes.sections) == core.memory_bytes.used
        assert int(row["memory_limit_bytes"]) == core.memory_bytes.limit


def test_traffic_csv_agrees(tiny_run, written):
    rows, traffic = rows_of(written, "traffic.csv"), tiny_run.record.traffic_bytes
    assert total(rows, "read_bytes") == traffic.read
    assert total(rows, "write_bytes") == traffic.write
    for phase, n_bytes in traffic.by_phase.items():
        part = [row for row in rows if row["phase"] == phase]
        assert total(part, "read_bytes") + total(part, "write_bytes") == n_bytes
    levels = {level: n_bytes for level, n_bytes in traffic.by_level.items() if level != "host"}
    assert sum(levels.values()) == traffic.read + traffic.write


def test_energy_csv_agrees(tiny_run, written):
    rows, energy = rows_of(written, "energy.csv"), tiny_run.record.energy
    assert total(rows, "energy_j") == pytest.approx(energy.total_j, rel=1e-12)  # sums of a few float64 in another order
    assert sum(energy.by_phase_j.values()) == pytest.approx(energy.total_j, rel=1e-12)
    assert sum(energy.by_component_j.values()) == pytest.approx(energy.total_j, rel=1e-12)
    for row in rows:
        assert bool(row["price_j"]) == bool(row["energy_j"])
        if row["price_j"]:
            assert float(row["energy_j"]) == pytest.approx(int(row["count"]) * float(row["price_j"]), rel=1e-12)
    assert energy.complete == all(row["price_j"] for row in rows) == (not energy.unpriced)


def test_results_of_version_1_are_read(written):
    path = written / "result.json"
    data = json.loads(path.read_text(encoding="utf-8"))
    data["schema"] = "neurosim.result/1"
    del data["connectivity"]["inputs"]
    for matrix in data["connectivity"]["matrices"]:
        del matrix["weights"], matrix["fan_in"]
    path.write_text(json.dumps(data), encoding="utf-8")
    record = read_record(written)
    assert record.connectivity.inputs is None and record.schema_ == "neurosim.result/1"


def test_pictures_of_the_connections_add_up(tiny_run):
    connectivity = tiny_run.record.connectivity
    assert tiny_run.record.schema_ == SCHEMA
    assert sum(connectivity.inputs.synapses) == connectivity.matrices[0].active and len(connectivity.inputs.synapses) == 64
    for matrix in connectivity.matrices:
        assert sum(matrix.weights.counts) == matrix.active
        assert sum(matrix.fan_in.counts) == matrix.n_post
        assert sum(i * n for i, n in enumerate(matrix.fan_in.counts)) == matrix.active


def test_a_missing_result_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"result\.json: no such result"):
        read_record(tmp_path)


def change(data, **values):
    return json.dumps({**data, **values})


# what: (text of result.json from the good data, fragments of the refusal)
DAMAGED = {
    "another schema version": (lambda good: change(good, schema="neurosim.result/9"), ["neurosim.result/9", SCHEMA]),
    "no schema": (lambda good: json.dumps({k: v for k, v in good.items() if k != "schema"}), ["schema is None"]),
    "not a mapping": (lambda good: "[1, 2]", ["schema is None"]),
    "empty": (lambda good: "", ["not a readable result"]),
    "cut in the middle": (lambda good: json.dumps(good)[: len(json.dumps(good)) // 2], ["not a readable result"]),
    "binary": (lambda good: b"\xff\xfe\x00" * 9, ["not a readable result"]),
    "a key is missing": (lambda good: json.dumps({k: v for k, v in good.items() if k != "cores"}), ["cores"]),
    "a key is unknown": (lambda good: change(good, colour="red"), ["colour"]),
    "a value of another kind": (lambda good: change(good, seed="many"), ["seed"]),
    "nested without end": (lambda good: "[" * 100_000, ["not a readable result"]),
}


@pytest.mark.parametrize("what", DAMAGED)
def test_a_damaged_result_is_refused_in_one_line(written, what):
    make, fragments = DAMAGED[what]
    path = written / "result.json"
    text = make(json.loads(path.read_text(encoding="utf-8")))
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError) as refusal:
        read_record(written)
    message = str(refusal.value)
    assert "\n" not in message
    for fragment in (str(path), *fragments):
        assert fragment in message
