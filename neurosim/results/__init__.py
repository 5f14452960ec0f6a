"""Results of runs and sweeps: the records, their schemas and their files."""

from neurosim.results.files import read_record, render_record, write_record, write_tables
from neurosim.results.metrics import limits_of, metrics_of
from neurosim.results.reading import consistent
from neurosim.results.schema import SCHEMA, RunRecord
from neurosim.results.sweep import SWEEP_SCHEMA, SweepRecord, is_sweep, read_sweep
from neurosim.results.sweep_files import summarize, write_sweep

__all__ = [
    "SCHEMA",
    "SWEEP_SCHEMA",
    "RunRecord",
    "SweepRecord",
    "consistent",
    "is_sweep",
    "limits_of",
    "metrics_of",
    "read_record",
    "read_sweep",
    "render_record",
    "summarize",
    "write_record",
    "write_sweep",
    "write_tables",
]
