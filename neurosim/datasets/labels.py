"""Class labels of any kind: which there are, and the numbers 0, 1, 2, ... that a network's outputs have instead."""

import numpy as np

from .refusal import refuse

# A larger number is an identifier or a damaged label, and so many classes would ask for one output neuron each.
MAX_CLASSES = 65_536


def check_labels(y, place):
    """Labels as one dimension of whole numbers, truth values or text.

    Parameters
    ----------
    y : array, shape (n_samples,) or (n_samples, 1)
    place : str or Path
        What errors name.

    Returns
    -------
    array, shape (n_samples,)

    Raises
    ------
    InputError
        More dimensions, or numbers with fractions.
    """
    if y.ndim == 2 and y.shape[1] == 1:
        y = y[:, 0]
    if y.ndim != 1:
        raise refuse(
            place,
            f"labels with {y.ndim} dimensions, shape {y.shape}",
            "1 dimension, one class number per sample",
            "save class numbers" + (" (for one-hot rows: y.argmax(axis=1))" if _is_one_hot(y) else ""),
        )
    if y.dtype.kind not in "iubU":
        raise refuse(
            place,
            f"labels of type {y.dtype}",
            "whole numbers or text, one class for each sample",
            "convert class numbers with y.astype('int32'); a quantity to be predicted is no class",
        )
    return y


def _is_one_hot(y):
    """Whether every row holds a single 1 among zeros."""
    if y.ndim != 2 or y.dtype.kind not in "iubf" or y.size == 0:
        return False
    return bool((((y == 0) | (y == 1)).all(1) & ((y == 1).sum(1) == 1)).all())


def find_classes(y, place):
    """The classes that labels name, in order: tuple of int, bool or str.

    Raises
    ------
    InputError
        A single class, numbers that are no classes, or as many classes as samples.
    """
    if y.dtype.kind in "iu":
        for value, position in ((int(y.max()), int(y.argmax())), (int(y.min()), int(y.argmin()))):
            if not -MAX_CLASSES < value < MAX_CLASSES:
                raise refuse(
                    place,
                    f"label {value} at position {position}",
                    f"class numbers up to {MAX_CLASSES - 1}",
                    "number the classes 0, 1, 2, ..., or save what is a code and no number as text (y.astype(str))",
                )
    classes = tuple(np.unique(y).tolist())
    if len(classes) == 1:
        raise refuse(
            place, f"only one class, label {classes[0]} at position 0 and everywhere", "at least 2 classes", "check how the labels were made"
        )
    if len(classes) > MAX_CLASSES or len(y) > 2 and len(classes) == len(y):
        raise refuse(
            place,
            f"{len(classes)} different labels of {len(y)} samples, such as {classes[-1]} at position {len(y) - 1 - int((y[::-1] == classes[-1]).argmax())}",
            f"fewer classes than samples, at most {MAX_CLASSES}",
            "check that these are classes, and no identifiers or measured quantities",
        )
    return classes


def encode_labels(y, classes, place, of="training"):
    """Class numbers instead of labels: int32 array, shape (n_samples,).

    Parameters
    ----------
    y : array, shape (n_samples,)
    classes : tuple
        As of `find_classes`: their positions are the numbers.
    place : str or Path
    of : str
        Where these classes come from, for the refusal of another label.

    Raises
    ------
    InputError
        A label that is no class, by its position.
    """
    known = np.array(classes)
    if (known.dtype.kind == "U") != (y.dtype.kind == "U"):
        y, known = y.astype(str), known.astype(str)
    order = np.argsort(known, kind="stable")
    numbers = order[np.searchsorted(known[order], y).clip(max=len(known) - 1)]
    is_known = known[numbers] == y
    if not is_known.all():
        position = int(is_known.argmin())
        raise refuse(
            place,
            f"label {y[position]} at position {position}",
            f"one of the {len(classes)} classes of {of}, {list_classes(classes)}",
            "check that the parts belong together and that neither is damaged",
        )
    return numbers.astype(np.int32)


def is_plain(classes):
    """Whether the classes are the numbers 0, 1, 2, ... themselves."""
    return all(type(label) is int and label == number for number, label in enumerate(classes))


def list_classes(classes, most=6):
    """Classes in words: ``0 to 9``, or ``a, b, c``, or the first of many."""
    if len(classes) > 2 and all(type(label) is int for label in classes) and classes[-1] - classes[0] == len(classes) - 1:
        return f"{classes[0]} to {classes[-1]}"
    listed = ", ".join(map(str, classes[:most]))
    return listed if len(classes) <= most else f"{listed}, ... {classes[-1]}"


def mapping_note(classes):
    """What is said of labels that are not the numbers 0, 1, 2, ...; None of those that are."""
    if is_plain(classes):
        return None
    return f"labels {list_classes(classes)} are classes {list_classes(tuple(range(len(classes))))}"
