"""Exports hold every count of a run, once."""

import csv
import io

import pytest
import yaml

from neurosim.scenario import load_scenario, run_scenario


@pytest.mark.parametrize(("price_set", "n_cores"), [("hoeppner2019_as_cited", 1), ("derived_from_program", 1), ("derived_from_program", 2)])
def test_action_counts(price_set, n_cores, main_cli, tmp_path):
    """The events that happened, whatever the price set counts by."""
    keys = ("training.epochs=1", "report.figures=false", f"hardware.price_set={price_set}", f"hardware.cores={n_cores}")
    record, folder = run_scenario(load_scenario("digits_santos", list(keys)), out=tmp_path / "run")
    done = main_cli("export", folder, "--format", "action-counts")
    assert done.code == 0 and not done.err
    data = yaml.safe_load(done.out)["action_counts"]
    assert n_cores == 1 or record.events["forward"]["packet_received"] > 0
    assert data["version"] == "0.4"
    counted, moved = {}, {"read_byte": 0, "write_byte": 0}
    for component in data["local"]:
        for entry in component["action_counts"]:
            if component["name"].endswith(".compute"):
                key = (entry["arguments"]["phase"], entry["name"])
                counted[key] = counted.get(key, 0) + entry["counts"]
            else:
                moved[entry["name"]] += entry["counts"]
    events = {(phase, kind): n for phase, kinds in record.events.items() for kind, n in kinds.items()}
    proposals = sum(events.pop(("rewire", kind), 0) for kind in ("proposal_accepted", "proposal_rejected"))
    assert counted.pop(("rewire", "proposal")) == proposals > 0
    for phase in {phase for phase, _ in events}:  # packets by how far they go are parts of those sent, listed apart
        apart = sum(counted.get((phase, kind), 0) for kind in ("packet_local", "packet_offchip"))
        if apart:
            counted[phase, "packet_sent"] = counted.get((phase, "packet_sent"), 0) + apart
    assert counted == events
    assert moved == {"read_byte": record.traffic_bytes.read, "write_byte": record.traffic_bytes.write}


def test_csv_says_the_same(tiny_run, main_cli, tmp_path):
    assert main_cli("export", tiny_run.folder, "--format", "action-counts-csv", "--out", "counts.csv").out == ""
    rows = list(csv.DictReader(io.StringIO((tmp_path / "counts.csv").read_text())))
    data = yaml.safe_load(main_cli("export", tiny_run.folder / "result.json", "--format", "action-counts").out)
    listed = [
        {"component": c["name"], "action": a["name"], "phase": a["arguments"]["phase"], "counts": str(a["counts"])}
        for c in data["action_counts"]["local"]
        for a in c["action_counts"]
    ]
    assert sorted(map(str, rows)) == sorted(map(str, listed)) and len(rows) > 10


def test_refusals(tiny_run, main_cli):
    unknown = main_cli("export", tiny_run.folder, "--format", "action-count")
    assert unknown.code == 2 and "nearest: action-counts" in unknown.err and len(unknown.err.splitlines()) == 1
    missing = main_cli("export", "nowhere", "--format", "action-counts")
    assert missing.code == 2 and "nowhere" in missing.err
    unwritable = main_cli("export", tiny_run.folder, "--format", "action-counts", "--out", "no/such/folder/x.yaml")
    assert unwritable.code == 2 and len(unwritable.err.splitlines()) == 1


@pytest.fixture(scope="module")
def event_run(tmp_path_factory):
    """A finished run of the digits on two cores that work event by event: its folder."""
    overrides = ("hardware.execution=event_driven", "hardware.cores=2", "training.epochs=1", "dataset.limit=200", "report.figures=false")
    return run_scenario(load_scenario("digits_santos", overrides), out=tmp_path_factory.mktemp("event") / "run")[1]


def test_sanafe_files(event_run, main_cli, tmp_path):
    """Trains of one batch add up to the counts beside them, and the run's own files are left as they are."""
    before = {path.name: path.read_bytes() for path in event_run.iterdir()}
    done = main_cli("export", event_run / "result.json", "--format", "sanafe", "--out", "replay")
    assert (done.code, done.out, done.err) == (0, "", "")
    assert {path.name: path.read_bytes() for path in event_run.iterdir()} == before
    folder = tmp_path / "replay"
    summary = yaml.safe_load((folder / "replay.yaml").read_text())
    tiles = yaml.safe_load((folder / "architecture.yaml").read_text())["architecture"]["tile"]
    assert tiles[0]["name"] == "tile[0..1]"
    n_products = 0
    for row in summary["replays"]:
        network = yaml.safe_load((folder / row["network"]).read_text())
        neurons = {
            f"{group['name']}.{i}": next(item["spikes"] for item in neuron[i] if "spikes" in item)
            for group in network["network"]["groups"]
            for i, neuron in enumerate(group["neurons"])
        }
        core = {name: float(item["core"]) for mapping in network["mappings"] for name, (item,) in mapping.items()}
        assert set(core) == set(neurons) and {len(train) for train in neurons.values()} == {row["steps"]}
        if row["synaptic_events"]:
            events = [0, 0]
            for edge in network["network"]["edges"]:
                source, target = next(iter(edge)).split(" -> ")
                events[int(core[target])] += sum(neurons[source])
            assert events == summary["counts"][row["phase"]][row["synaptic_events"]]
            n_products += sum(events)
    assert n_products > 1000 and set(summary["counts"]) == {"forward", "backward", "gradient", "update"}


def test_sanafe_refusals(event_run, tiny_run, main_cli, tmp_path):
    """One line each: nowhere to write, no run, a run that does not work event by event, a folder that is a file."""
    (tmp_path / "taken").write_text("")
    (tmp_path / "empty").mkdir()
    for run, out, said in (
        (event_run, (), "--out: missing"),
        ("nowhere", ("--out", "replay"), "nowhere"),
        ("empty", ("--out", "replay"), "checkpoint.npz: no such file"),
        (tiny_run.folder, ("--out", "replay"), "--set hardware.execution=event_driven"),
        (event_run, ("--out", "taken"), "taken: is a file"),
    ):
        done = main_cli("export", run, "--format", "sanafe", *out)
        assert done.code == 2 and said in done.err and len(done.err.splitlines()) == 1, done.err
    assert not (tmp_path / "replay").exists()
