"""Checks on samples that do not depend on the file format they came from."""

import numpy as np

from .refusal import refuse

# Values that a network learns from lie near 1: training on pixels from 0 to 255 stays near chance at usual rates.
LARGE_VALUE = 30.0
SMALL_VALUE = 0.05


def check_samples(x_shape, y_shape, x_place, y_place):
    """Refuse samples and labels that are empty, of a wrong form, or unequal in number: from their shapes alone.

    Parameters
    ----------
    x_shape, y_shape : tuple of int
    x_place, y_place : str or Path
        What errors name.

    Raises
    ------
    InputError
    """
    if len(x_shape) < 2:
        raise refuse(
            x_place,
            f"an array with {len(x_shape)} dimension(s)",
            "at least 2 (samples, features)",
            "save one row per sample",
        )
    if 0 in x_shape:
        raise refuse(
            x_place,
            f"an empty array of shape {x_shape}",
            "at least one sample with one feature",
            "check how the file was made",
        )
    if len(y_shape) and x_shape[0] != y_shape[0]:
        raise refuse(
            y_place,
            f"{y_shape[0]} labels",
            f"{x_shape[0]}, one for each sample in {x_place}",
            "samples and labels must belong together",
        )


def check_same_sample(shape, place, train_shape, train_place):
    """Refuse samples of another shape than those of training."""
    if shape[1:] != train_shape[1:]:
        raise refuse(
            place,
            f"samples of shape {shape[1:]}",
            f"{train_shape[1:]} as in {train_place}",
            "training and other parts must belong together",
        )


def check_lengths(lengths, n_samples, n_steps, place):
    """Lengths of sequences as int32 array, shape (n_samples,).

    Raises
    ------
    InputError
        No whole numbers, another number of them, or a length outside 1 to n_steps, by its position.
    """
    lengths = np.asarray(lengths)
    if lengths.shape != (n_samples,) or lengths.dtype.kind not in "iu":
        raise refuse(
            place,
            f"lengths of type {lengths.dtype} and shape {lengths.shape}",
            f"{n_samples} whole numbers, one for each sequence",
            "give the number of steps of each sequence",
        )
    is_outside = (lengths < 1) | (lengths > n_steps)
    if is_outside.any():
        position = int(is_outside.argmax())
        raise refuse(place, f"length {lengths[position]} at position {position}", f"1 to {n_steps} steps", "check how lengths were made")
    return lengths.astype(np.int32)


def check_finite(x, original, place, name=None):
    """Refuse values that are not finite, or not within float32.

    Parameters
    ----------
    x : float32 array, shape (n_samples, ...)
    original : array
        The same before it became float32, for the value that is named.
    place : str or Path
    name : callable, optional
        From a position to the words that name it, such as column and row; the position itself without it.
    """
    is_finite = np.isfinite(x)
    if is_finite.all():
        return
    position = tuple(int(i) for i in np.unravel_index(is_finite.argmin(), x.shape))
    where = name(position) if name else f"position {position}"
    value = original[position]
    found = f"a missing value (nan) at {where}" if np.isnan(value) else f"value {value} at {where}"
    raise refuse(place, found, "finite values within float32", "remove or replace samples with missing values")


def note_on_values(x, scale):
    """What is said of samples whose values, as the network sees them, are far from 1; None of others."""
    low, high = float(x.min()) * scale, float(x.max()) * scale
    largest = max(-low, high)
    if SMALL_VALUE < largest <= LARGE_VALUE or largest == 0:
        return None
    advice = "set dataset.standardize to true"
    if largest < SMALL_VALUE and x.dtype == np.uint8:
        advice += f", or save values from 0 to {x.max()} as float32, because bytes are divided by {1 / scale:g}"
    elif low >= 0 and 128 <= high <= 255:
        advice += ", or divide by 255"
    return f"values from {low:.3g} to {high:.3g}: networks learn from values near 1; {advice}"


def constant_columns(x):
    """Positions of features that have one value in all samples: int array; x of shape (n_samples, n_features)."""
    return np.flatnonzero((x == x[:1]).all(0)) if len(x) > 1 else np.empty(0, np.intp)
