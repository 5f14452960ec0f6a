"""Data sets from what is in memory: arrays, data frames, sparse matrices."""

import math

import numpy as np

from .checks import check_finite, check_lengths
from .dataset import PARTS, Samples, assemble
from .preparation import Preparation
from .refusal import refuse

AS_ARRAY = "give one row per sample, shape (samples, features) or (samples, steps, features)"


def make_dataset(
    x,
    y,
    x_test=None,
    y_test=None,
    *,
    name="arrays",
    test_fraction=None,
    validation_fraction=None,
    seed=0,
    standardize=False,
    image_size=None,
    lengths=None,
    lengths_test=None,
    encode=None,
):
    """Make a data set of arrays or data frames.

    Parameters
    ----------
    x : array-like, DataFrame or sparse matrix, shape (n_samples, n_features) or (n_samples, n_steps, n_features)
        Arrays of uint8 stay as they are and are seen divided by 255; all other numbers become float32. Three dimensions are sequences (which a
        multilayer perceptron takes as one row of features); more are images.
    y : array-like or Series, shape (n_samples,), or str
        Labels: whole numbers, truth values or text; they need not be 0, 1, 2, ... The name of a column of a DataFrame `x` and `x_test`.
    x_test, y_test : optional
        The test set, of the same kind; without it `test_fraction` takes it from the samples.
    name : str
        Name of the data set.
    test_fraction, validation_fraction : float, optional
        Part of all samples for the test, and of the training samples for validation; every class gives its share.
    seed : int
        Decides which samples these are.
    standardize : bool
        Shift and scale each feature to mean 0 and standard deviation 1 over the training samples.
    image_size : (int, int), optional
        (rows, columns) to which images of shape (n_samples, rows, columns) are brought.
    lengths, lengths_test : int array-like, shape (n_samples,), optional
        Steps of each sequence: the first ones, what follows is padding. `Dataset` keeps them with the padding in front.
    encode : Encoding, optional
        Turn values into spikes.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        One line that names array, column and row: lengths that differ, missing values, text among numbers, labels that are no classes,
        a class of the test set that training lacks, a class too small to be divided, and values out of range.

    Examples
    --------
    >>> data = make_dataset([[0.0, 1.0], [1.0, 0.0], [0.2, 0.9], [0.8, 0.1]], ["cat", "dog", "cat", "dog"], test_fraction=0.5)
    >>> data.class_names, data.n_train, data.n_test
    (('cat', 'dog'), 2, 2)
    """
    preparation = Preparation(None, test_fraction, validation_fraction, seed, standardize, image_size, encode=encode)
    if (x_test is None) != (y_test is None) and not isinstance(y, str):
        given, missing = ("y_test", "x_test") if x_test is None else ("x_test", "y_test")
        raise refuse(name, f"{given} without {missing}", "both or neither", f"give {missing} too")
    arrays, places, columns = {}, {}, None
    for part, part_x, part_y, part_lengths in (("train", x, y, lengths), ("test", x_test, y_test, lengths_test)):
        if part_x is None:
            if part_lengths is not None:
                raise refuse(name, "lengths_test without x_test", "both or neither", "leave lengths_test out")
            continue
        suffix = "" if part == "train" else "_test"
        places |= {f"{key}_{part}": f"{name}: {argument}{suffix}" for key, argument in (("x", "x"), ("y", "y"), ("lengths", "lengths"))}
        part_x, part_y = _take_label_column(part_x, y if isinstance(y, str) else part_y, places[f"x_{part}"])
        part_columns = _columns_of(part_x)
        if part == "train":
            columns = part_columns
        elif part_columns != columns and None not in (part_columns, columns):
            raise refuse(places["x_test"], f"columns {_list(part_columns)}", f"{_list(columns)} as in x", "give the same columns in the same order")
        arrays[f"x_{part}"] = as_samples(part_x, places[f"x_{part}"])
        arrays[f"y_{part}"] = as_labels(part_y, places[f"y_{part}"])
        if part_lengths is not None:
            arrays[f"lengths_{part}"] = part_lengths
    n_steps = steps_of(arrays["x_train"])
    for part in ("train", "test"):
        if f"x_{part}" in arrays:
            set_padding_in_front(arrays, places, part, n_steps)
    samples = Samples(
        arrays,
        places,
        source=name,
        scale=1 / 255 if arrays["x_train"].dtype == np.uint8 else 1.0,
        n_steps=n_steps,
        columns=columns,
    )
    return assemble(name, samples, preparation)


def like_training(dataset, x, lengths=None, name="x"):
    """New samples in the form that a data set has its own in, such as those to be predicted.

    Parameters
    ----------
    dataset : Dataset
    x : array-like, DataFrame or sparse matrix
        As it was given or stored, before anything was divided or standardized: shape (n_samples, n_features), or more dimensions with
        as many values for each sample.
    lengths : int array-like, shape (n_samples,), optional
        As for `make_dataset`.
    name : str
        What errors name.

    Returns
    -------
    x : array, shape (n_samples, n_features)
        ``x * dataset.scale`` is what the network sees; spikes where the data set has them.
    lengths : int32 array, shape (n_samples,), or None

    Raises
    ------
    InputError
        As for `make_dataset`, and another number of values.
    """
    arrays, places = {"x_new": as_samples(x, name)}, {"x_new": name, "lengths_new": f"{name}: lengths"}
    shape, (n_steps, n_inputs) = arrays["x_new"].shape, dataset.stored
    if arrays["x_new"].ndim < 2 or math.prod(shape[1:]) != n_steps * n_inputs:
        raise refuse(name, f"samples of shape {shape[1:]}", f"{n_steps * n_inputs} values for each, as in training", AS_ARRAY)
    if dataset.stored_scale == 1.0:
        arrays["x_new"] = arrays["x_new"].astype(np.float32)
    elif arrays["x_new"].dtype != np.uint8:
        raise refuse(name, f"type {np.asarray(x).dtype}", "bytes (uint8), as in training", "convert the array")
    if lengths is not None:
        arrays["lengths_new"] = lengths
        if arrays["x_new"].ndim == 2:
            arrays["x_new"] = arrays["x_new"].reshape(len(arrays["x_new"]), n_steps, -1)
        set_padding_in_front(arrays, places, "new", n_steps)
    flat, lengths = np.require(arrays["x_new"].reshape(shape[0], -1), None, ["C", "W"]), arrays.get("lengths_new")
    if dataset.standardization is not None:
        flat = dataset.standardization.apply(flat, n_steps, lengths)
    if dataset.encoding is not None:
        scale = 1.0 if dataset.standardization is not None else dataset.stored_scale
        return dataset.encoding.apply(flat * np.float32(scale), n_steps, lengths, len(PARTS))
    return flat, lengths


def steps_of(x):
    """Steps of samples of this form: the second of three dimensions, else 1."""
    return x.shape[1] if x.ndim == 3 else 1


def as_samples(x, place):
    """Samples as uint8 or float32 array.

    Parameters
    ----------
    x : array-like, DataFrame or sparse matrix
    place : str
        What errors name.

    Raises
    ------
    InputError
        Text, missing or infinite values, by column and row; no numbers.
    """
    columns = _columns_of(x)

    def name(position):
        if columns and len(position) > 1:
            return f"column {columns[position[1]]}, row {position[0]}"
        return f"position {position}"

    if columns:
        return _frame_values(x, columns, name, place)
    if hasattr(x, "toarray"):  # a sparse matrix of SciPy
        x = x.toarray()
    try:
        x = np.asarray(x)
    except ValueError as error:  # rows of different lengths
        raise refuse(place, f"no array ({error})", "numbers, the same number for each sample", AS_ARRAY) from None
    return to_float32(x, place, name)


def to_float32(x, place, name=None):
    """An array of any type as uint8 or finite float32; `name` words a position for errors."""
    if x.dtype == np.uint8:
        return x
    original = x
    if x.dtype.kind not in "biuf":
        x = _numbers_among_objects(x, place, name or (lambda position: f"position {position}"))
    # Beyond float32 it becomes infinity, which is refused below by its position.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        values = x.astype(np.float32)
    check_finite(values, x if original.dtype.kind == "O" else original, place, name)
    return values


def _numbers_among_objects(x, place, name):
    """float64 array of an array of Python objects or text; refuses what is no number by its place."""
    if x.dtype.kind in "mMVSUc":
        raise refuse(place, f"type {x.dtype}", "numbers", "convert text and dates to numbers")
    values = np.empty(x.shape)
    for position in np.ndindex(x.shape):
        value = x[position]
        try:
            if isinstance(value, (str, bytes, complex)):
                raise TypeError
            values[position] = np.nan if value is None else value
        except (TypeError, ValueError):  # pandas.NA, too
            if type(value).__name__ in ("NAType", "NaTType"):
                values[position] = np.nan
                continue
            raise refuse(place, f"{value!r:.40} at {name(position)}", "numbers", "make it a number, or leave this column out") from None
    return values


def _frame_values(frame, columns, name, place):
    """Numbers of a data frame: float32 array, shape (n_rows, n_columns), column by column, so that no type spoils another."""
    arrays = []
    for number, column in enumerate(columns):
        values = np.asarray(frame.iloc[:, number] if hasattr(frame, "iloc") else frame[column])
        arrays.append(to_float32(values, place, lambda position, number=number: name((position[0], number))))
    if not arrays:
        return np.empty((len(frame), 0), np.float32)
    return np.column_stack([values.astype(np.float32) for values in arrays])


def as_labels(y, place):
    """Labels as array of whole numbers, truth values or text; whole numbers written as floats are taken for what they are.

    Raises
    ------
    InputError
        A missing label, a number with a fraction, or what is neither number nor text, by its row.
    """
    y = np.asarray(y)
    if y.dtype.kind == "O":
        y = _labels_among_objects(y, place)
    if y.dtype.kind == "S":
        y = np.char.decode(y, "utf-8", "replace")
    if y.dtype.kind == "f":
        is_whole = np.isfinite(y) & (y == np.round(y)) & (np.abs(y) < 2**53)
        if y.size and not is_whole.all():
            position = np.unravel_index(int(is_whole.argmin()), y.shape)
            what = "a missing label" if np.isnan(y[position]) else f"label {y[position]}"
            raise refuse(
                place,
                f"{what} in row {int(position[0])}",
                "classes, whole numbers or text",
                "a quantity to be predicted is no class; remove rows without a label",
            )
        y = y.astype(np.int64)
    return y


def _labels_among_objects(y, place):
    flat = y.ravel()
    for row, value in enumerate(flat):
        if value is None or type(value).__name__ in ("NAType", "NaTType") or isinstance(value, float) and np.isnan(value):
            raise refuse(place, f"a missing label in row {row}", "a class for every sample", "remove samples without a label")
    kinds = {type(value) for value in flat}
    if all(issubclass(kind, (bool, np.bool_)) for kind in kinds):
        return y.astype(bool)
    if all(issubclass(kind, (int, float, np.number)) and not issubclass(kind, bool) for kind in kinds):
        return y.astype(np.float64) if any(issubclass(kind, (float, np.floating)) for kind in kinds) else _whole(y)
    if kinds and not all(issubclass(kind, (str, bytes)) for kind in kinds):
        row = next(i for i, value in enumerate(flat) if not isinstance(value, str))
        raise refuse(
            place,
            f"{flat[row]!r:.40} in row {row} among labels of other types",
            "only text or only whole numbers",
            "convert all labels, such as with astype(str)",
        )
    return y.astype(str)


def _whole(y):
    try:
        return y.astype(np.int64)
    except OverflowError:
        return y.astype(str)


def set_padding_in_front(arrays, places, part, n_steps):
    """Move the steps of each sequence of one part to its end, where a network expects them; changes `arrays`.

    `lengths_train` counts steps from the front of each sequence; a copy is made.
    """
    lengths = arrays.get(f"lengths_{part}")
    if lengths is None:
        return
    x, place = arrays[f"x_{part}"], places[f"lengths_{part}"]
    if x.ndim != 3:
        raise refuse(place, f"lengths for samples of shape {x.shape[1:]}", "sequences, x of shape (samples, steps, features)", "leave lengths out")
    lengths = check_lengths(lengths, len(x), n_steps, place)
    moved = np.zeros_like(x)
    for row, source, length in zip(moved, x, lengths, strict=True):
        row[n_steps - length :] = source[:length]
    arrays[f"x_{part}"], arrays[f"lengths_{part}"] = moved, lengths


def _columns_of(x):
    """Names of the columns of a data frame: tuple of str; None for anything else."""
    columns = getattr(x, "columns", None)
    return None if columns is None else tuple(map(str, columns))


def _take_label_column(x, y, place):
    """Samples and labels, where `y` may be the name of a column of the data frame `x`."""
    if not isinstance(y, str):
        return x, y
    columns = _columns_of(x)
    if not columns or columns.count(y) != 1:
        raise refuse(
            place,
            f"no column {y}" if not columns or y not in columns else f"two columns {y}",
            f"one of {_list(columns or ())}",
            "give y as an array, or the name of a column",
        )
    number = columns.index(y)
    if hasattr(x, "iloc"):
        return x.iloc[:, [i for i in range(len(columns)) if i != number]], x.iloc[:, number]
    return x[[column for column in columns if column != y]], x[y]


def _list(columns, most=8):
    return ", ".join(columns[:most]) + (", ..." if len(columns) > most else "")
