"""Exports hold every count of a run, once."""

import csv
import io

import yaml


def test_action_counts(tiny_run, main_cli):
    record, folder = tiny_run.record, tiny_run.folder
    done = main_cli("export", folder, "--format", "action-counts")
    assert done.code == 0 and not done.err
    data = yaml.safe_load(done.out)["action_counts"]
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
