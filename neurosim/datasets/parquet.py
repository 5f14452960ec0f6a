"""Data sets in Parquet files, one table: needs pyarrow (the extra ``parquet``)."""

from pathlib import Path

import numpy as np

from neurosim.errors import InputError

from .arrays import as_labels, to_float32
from .columns import choose_columns, refuse_index
from .dataset import Samples
from .files import check_unpacked, open_regular, size_of
from .info import FileFormat
from .refusal import describe, refuse

EXPECTED = "a Parquet file"


def read_parquet(path, reading):
    """Read a table: every column but that of the labels is a feature.

    Parameters
    ----------
    path : str or Path
    reading : Reading
        `label` and `drop` are used.

    Returns
    -------
    Samples
        x float32, shape (n_rows, n_features); no test set.

    Raises
    ------
    InputError
        pyarrow is missing, no readable Parquet file, missing values or text in a column of numbers, by column and row.
    """
    path = Path(path)
    with open_regular(path, EXPECTED) as file:
        try:
            import pyarrow
            import pyarrow.parquet
        except ImportError:
            raise InputError(f"{path}: reading Parquet needs pyarrow; install neurosim[parquet], or save the table as CSV") from None
        try:
            parquet = pyarrow.parquet.ParquetFile(file, memory_map=False)
            groups = [parquet.metadata.row_group(i) for i in range(parquet.metadata.num_row_groups)]
            check_unpacked(path, sum(group.total_byte_size for group in groups), size_of(file))
            check_unpacked(path, parquet.metadata.num_rows * parquet.metadata.num_columns, size_of(file))
            names, types = list(parquet.schema_arrow.names), parquet.schema_arrow.types
            is_text = [not (pyarrow.types.is_floating(t) or pyarrow.types.is_integer(t)) for t in types]
            features, label = choose_columns(names, path, reading.label, reading.drop, lambda i: is_text[i])
            table = parquet.read(columns=[names[i] for i in (*features, label)], use_threads=False)
            columns = [_values(table.column(names[i])) for i in features]
            labels = _values(table.column(names[label]))
        except InputError:
            raise
        except Exception as error:
            # Broad on purpose: damaged bytes raise Arrow's own types and those of every layer below.
            raise refuse(path, f"no readable Parquet content ({describe(error)})"[:300], EXPECTED, "write the file again") from error
    if not len(labels):
        raise refuse(path, "no rows", "at least one", "check how the file was made")

    def name_of(column):
        return lambda position: f"column {column}, row {position[0]}"

    x = [to_float32(values, path, name_of(names[i])).astype(np.float32) for i, values in zip(features, columns, strict=True)]
    for i, values in zip(features, x, strict=True):
        if names[i] in ("", "__index_level_0__", "Unnamed: 0") and len(values) > 2 and (values == np.arange(len(values))).all():
            raise refuse_index(path, names[i], len(values))
    return Samples(
        {"x_train": np.column_stack(x), "y_train": as_labels(labels, f"{path}: {names[label]}")},
        {"x_train": str(path), "y_train": f"{path}: {names[label]}"},
        source=f"Parquet file {path}",
        columns=tuple(names[i] for i in features),
    )


def _values(column):
    """Values of a column of Arrow; dictionaries in words, a missing value as nan or None."""
    import pyarrow

    if pyarrow.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if column.null_count and pyarrow.types.is_integer(column.type):
        column = column.cast(pyarrow.float64())
    if pyarrow.types.is_string(column.type) or pyarrow.types.is_large_string(column.type):
        return np.array(column.to_pylist(), object)
    return column.to_numpy()


FORMAT = FileFormat(
    what="a Parquet file",
    recognizes=lambda path: path.lower().endswith((".parquet", ".pq")),
    read=read_parquet,
    takes=("label", "drop"),
)
