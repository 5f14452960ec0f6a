"""Files of a run: result.json and the tables beside it."""

import csv
import io
import json
from pathlib import Path

from neurosim.documents import write_atomic
from neurosim.results.metrics import stored_bytes
from neurosim.results.reading import read_json_record
from neurosim.results.schema import READABLE, SCHEMA, Epoch, RunRecord


def render_record(record):
    """Text of each file of a record by its name, in the order in which they are written.

    Parameters
    ----------
    record : RunRecord

    Returns
    -------
    dict of str to str
    """
    return {**_render_tables(record), "result.json": json.dumps(record.model_dump(by_alias=True), indent=1, allow_nan=False) + "\n"}


def write_record(record, folder):
    """Write epochs.csv, cores.csv, traffic.csv, energy.csv and, last of all, result.json, atomically.

    A folder with result.json is complete.

    Parameters
    ----------
    record : RunRecord
    folder : path-like
    """
    for name, text in render_record(record).items():
        write_atomic(Path(folder) / name, text)


def write_tables(record, folder):
    """Write the CSV files of a record into a folder."""
    for name, text in _render_tables(record).items():
        write_atomic(Path(folder) / name, text)


def _render_tables(record):
    return {
        "epochs.csv": render_table(epoch_rows(record)),
        "cores.csv": render_table(core_rows(record)),
        "traffic.csv": render_table(row.model_dump() for row in record.traffic_bytes.rows),
        "energy.csv": render_table(row.model_dump() for row in record.energy.rows),
    }


def read_record(path):
    """Read result.json, from its path or from the folder of its run.

    Raises
    ------
    InputError
        Missing, damaged, or of another schema version: one line.
    """
    path = Path(path)
    path = path / "result.json" if path.is_dir() else path
    return read_json_record(path, RunRecord, (SCHEMA, *READABLE), what="result", written_by="run")


def epoch_rows(record):
    """One dict per epoch; what a run without validation set or rounded weights does not have is left out."""
    rows = [epoch.model_dump() for epoch in record.epochs]
    absent = {name for name, info in Epoch.model_fields.items() if not info.is_required() and all(row[name] is None for row in rows)}
    for row, train_s, test_s in zip(rows, record.timing.epoch_s, record.timing.evaluation_s):
        yield {**{name: value for name, value in row.items() if name not in absent}, "train_s": train_s, "test_s": test_s}


def core_rows(record):
    """One dict per core: sections of its memory, energy, traffic, packets."""
    sections, spilled = (
        list(dict.fromkeys(name for core in record.cores for name in getattr(core.memory_bytes, part))) for part in ("sections", "spilled")
    )
    for core in record.cores:
        yield {
            "core": core.id,
            "n_neurons": core.n_neurons,
            "synapses": core.synapses.used,
            "synapse_limit": core.synapses.limit,
            "stored_bytes": stored_bytes(core),
            "memory_bytes": core.memory_bytes.used,
            "memory_limit_bytes": core.memory_bytes.limit,
            **{f"{name}_bytes": core.memory_bytes.sections.get(name, 0) for name in sections},
            **{f"{name}_sdram_bytes": core.memory_bytes.spilled.get(name, 0) for name in spilled},
            "energy_j": core.energy_j,
            "traffic_bytes": core.traffic_bytes,
            "packets_sent": core.packets["sent"],
            "packets_received": core.packets["received"],
            "busy_s": core.busy_s,
        }


def render_table(rows):
    """Text of a CSV file; the keys of the first row are the columns, None is an empty cell."""
    rows = list(rows)
    text = io.StringIO()
    if rows:
        writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return text.getvalue()


def write_table(path, rows):
    """Write a CSV file atomically; see `render_table`."""
    write_atomic(path, render_table(rows))
