"""Results of runs: the record, its schema and its files."""

from neurosim.results.files import read_record, write_record, write_tables
from neurosim.results.schema import SCHEMA, RunRecord

__all__ = ["SCHEMA", "RunRecord", "read_record", "write_record", "write_tables"]
