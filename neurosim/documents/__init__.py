"""Strict YAML in, validated objects out, atomic files to disk.

A document is refused as a whole or understood as a whole. Every refusal is one `InputError` line that starts with
``file:line:`` and names the key.
"""

from neurosim.documents.files import bundled_folder, bundled_names, check_regular, find_document, read_bytes, remove_leftovers, write_atomic
from neurosim.documents.parsing import MAX_BYTES, MAX_DEPTH, Document, dump_yaml, parse_yaml, read_yaml, set_key
from neurosim.documents.validation import Called, Strict, WrongKey, as_tuple, check_part, collect_wrong, validate, validate_data

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "Called",
    "Document",
    "Strict",
    "WrongKey",
    "as_tuple",
    "bundled_folder",
    "bundled_names",
    "check_part",
    "check_regular",
    "collect_wrong",
    "dump_yaml",
    "find_document",
    "parse_yaml",
    "read_bytes",
    "read_yaml",
    "remove_leftovers",
    "set_key",
    "validate",
    "validate_data",
    "write_atomic",
]
