"""Data sets in CSV files: one row per sample, one column of labels."""

import csv
import io
import re
from itertools import islice
from pathlib import Path

import numpy as np

from .columns import choose_columns, refuse_index
from .dataset import Samples
from .files import open_regular, size_of
from .info import FileFormat
from .refusal import describe, refuse

EXPECTED = "a CSV file"
#: What programs write for a missing cell; as pandas reads it.
MISSING = frozenset(("", "#N/A", "N/A", "NA", "NULL", "NaN", "n/a", "nan", "null", "None", "<NA>", "-nan", "-NaN", "?"))
_SEPARATORS = ",;\t|"
#: Rows that are looked at to tell a header and which columns hold text.
_N_LOOKED_AT = 50
_NUMBER = re.compile(r"[+-]?\d+")


def read_table(path, reading):
    """Read a CSV file: every column but that of the labels is a feature.

    The separator is the most frequent of comma, semicolon, tab and bar in the first line. That line holds names unless it holds
    numbers where the others do.

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
        No text in UTF-8, rows of other lengths, missing cells, text or infinite values in a column of numbers, by column and line.
    """
    path = Path(path)
    with open_regular(path, EXPECTED) as raw:
        if size_of(raw) == 0:
            raise refuse(path, "an empty file", EXPECTED, "check how the file was made")
        try:
            with io.TextIOWrapper(raw, "utf-8-sig", newline="") as file:
                return _read(file, path, reading)
        except UnicodeDecodeError as error:
            raise refuse(
                path, f"bytes that are no UTF-8 ({error.reason} at {error.start})", "text in UTF-8", "save the file as CSV in UTF-8"
            ) from None
        except (csv.Error, OSError) as error:
            raise refuse(path, f"no readable CSV ({describe(error)})", EXPECTED, "save the file again") from None


def _read(file, path, reading):
    first_line = file.readline()
    separator = max(_SEPARATORS, key=first_line.count)
    file.seek(0)
    rows = [[cell.strip() for cell in row] for row in islice(csv.reader(file, delimiter=separator), _N_LOOKED_AT + 1) if any(row)]
    if not rows:
        raise refuse(path, "no rows", "at least one", "check how the file was made")
    has_names = _has_names(rows)
    names = rows[0] if has_names else [f"column {i + 1}" for i in range(len(rows[0]))]
    looked_at = rows[has_names:]
    if not looked_at:
        raise refuse(path, "no rows below the names of the columns", "at least one", "check how the file was made")

    def has_text(i):
        return any(i < len(row) and not _is_number(row[i]) and row[i] not in MISSING for row in looked_at)

    features, label = choose_columns(names, path, reading.label, reading.drop, has_text)
    labels = {}
    converters = {i: (lambda cell: 0.0) for i in range(len(names)) if i not in features}
    converters[label] = lambda cell: labels.setdefault(cell.strip(), len(labels))
    file.seek(0)
    n_skipped = 0
    if has_names:
        reader = csv.reader(file, delimiter=separator)
        while not any(next(reader)):
            pass
        n_skipped = reader.line_num
    file.seek(0)
    try:
        values = np.loadtxt(
            file, np.float64, delimiter=separator, comments=None, quotechar='"', converters=converters, skiprows=n_skipped, ndmin=2, encoding="utf-8"
        )
    except UnicodeDecodeError:
        raise
    except ValueError as error:
        values, problem = None, describe(error)
    with np.errstate(over="ignore", invalid="ignore"):
        x = None if values is None else values.astype(np.float32)
    if x is None or x.shape[1] != len(names) or MISSING & set(labels) or _has_fraction(labels) or not np.isfinite(x).all():
        _refuse_cell(file, path, separator, has_names, names, features, label, _has_fraction(labels))
        raise refuse(path, f"no readable CSV ({problem if x is None else 'values beyond float32'})", EXPECTED, "save the file again")
    for i in features:
        if names[i] in ("", "Unnamed: 0") and len(values) > 2 and (values[:, i] == np.arange(len(values))).all():
            raise refuse_index(path, names[i], len(values))
    place = f"{path}: {names[label]}"
    return Samples(
        {"x_train": x[:, features], "y_train": _labels(list(labels))[values[:, label].astype(np.int64)]},
        {"x_train": str(path), "y_train": place},
        source=f"CSV file {path}",
        columns=tuple(names[i] for i in features),
    )


def _labels(names):
    """Labels of the kinds that other readers give: whole numbers where all are, truth values where all are, else text."""
    if all(_NUMBER.fullmatch(name) and len(name) < 19 for name in names):
        return np.array([int(name) for name in names])
    if all(map(_is_number, names)):
        return np.array([float(name) for name in names]).astype(np.int64)
    if set(names) <= {"True", "False"}:
        return np.array([name == "True" for name in names])
    return np.array(names)


def _has_fraction(names):
    """Whether all labels are numbers, and not all of them whole ones that can be classes."""
    return all(map(_is_number, names)) and not all(float(name).is_integer() and abs(float(name)) < 2**53 for name in names)


def _has_names(rows):
    """Whether the first row holds names: no number, or the numbers 0, 1, 2, ... of unnamed columns."""
    numbers = [cell for cell in rows[0] if _is_number(cell)]
    if not numbers:
        # A file of text alone has no first line of names that could be told from the others.
        return any(_is_number(cell) for row in rows[1:] for cell in row) or len(rows) == 1
    return len(numbers) > 1 and numbers == [str(i) for i in range(len(numbers))]


def _is_number(text):
    try:
        float(text)
    except ValueError:
        return False
    return text not in MISSING


def _refuse_cell(file, path, separator, has_names, names, features, label, has_fraction):
    """Find the first cell or row that is wrong, and raise the error that names it."""
    file.seek(0)
    reader = csv.reader(file, delimiter=separator)
    is_first = has_names
    for row in reader:
        if not any(row):
            continue
        if is_first:
            is_first = False
            continue
        line = f"line {reader.line_num}"
        if len(row) != len(names):
            raise refuse(
                path, f"{len(row)} cells in {line}", f"{len(names)}, as in the first", "complete the row; put text with separators in quotes"
            )
        for i in (*features, label):
            cell = row[i].strip()
            where = f"column {names[i]}, {line}"
            if cell in MISSING:
                raise refuse(
                    path,
                    f"a missing cell ({cell or 'empty'}) in {where}",
                    "a value in every cell",
                    "fill it in, or remove the row or the column (dataset.drop)",
                )
            if i == label:
                if has_fraction and not float(cell).is_integer():
                    raise refuse(
                        path,
                        f"label {cell} in {where}",
                        "classes, whole numbers or text",
                        "a quantity to be predicted is no class; name another column in dataset.label",
                    )
                continue
            if not _is_number(cell):
                advice = (
                    "write a point for the decimal comma"
                    if re.fullmatch(r"[+-]?\d+,\d+", cell)
                    else "make it a number, or name the column in dataset.drop"
                )
                raise refuse(path, f"text {cell!r:.40} in {where}, a column of numbers", "a number", advice)
            with np.errstate(over="ignore"):
                if not np.isfinite(np.float32(float(cell))):
                    raise refuse(path, f"value {cell:.40} in {where}", "finite values within float32", "remove or replace the row")


FORMAT = FileFormat(
    what="a CSV file",
    recognizes=lambda path: path.lower().endswith((".csv", ".tsv")),
    read=read_table,
    takes=("label", "drop"),
)
