"""Checks on samples and labels that do not depend on the file format they came from."""

from .refusal import refuse

# A larger label is an identifier or a damaged number; a network that took it for a class
# would ask for one output neuron for each.
MAX_CLASSES = 65_536


def check_split(x, y, x_place, y_place):
    """Refuse samples and labels that are empty, of a wrong form, or unequal in number."""
    if x.ndim < 2:
        raise refuse(
            x_place,
            f"an array with {x.ndim} dimension(s)",
            "at least 2 (samples, features)",
            "save one row per sample",
        )
    if x.size == 0:
        raise refuse(
            x_place,
            f"an empty array of shape {x.shape}",
            "at least one sample with one feature",
            "check how the file was made",
        )
    if y.ndim != 1:
        raise refuse(
            y_place,
            f"labels with {y.ndim} dimensions, shape {y.shape}",
            "1 dimension, one class number per sample",
            "save class numbers (for one-hot rows: y.argmax(axis=1))",
        )
    if y.dtype.kind not in "iu":
        raise refuse(
            y_place,
            f"labels of type {y.dtype}",
            "integer class numbers",
            "convert the labels with y.astype('int32')",
        )
    if len(x) != len(y):
        raise refuse(
            y_place,
            f"{len(y)} labels",
            f"{len(x)}, one for each sample in {x_place}",
            "samples and labels must belong together",
        )


def count_classes(y_train, place):
    """One more than the largest training label; refuses a single class and absurd labels."""
    largest = int(y_train.max())
    if largest >= MAX_CLASSES:
        raise refuse(
            place,
            f"label {largest} at position {int(y_train.argmax())}",
            f"class numbers from 0 to at most {MAX_CLASSES - 1}",
            "number the classes 0, 1, 2, ...",
        )
    # Negative labels are reported by the range check, which follows.
    if largest == int(y_train.min()) == 0:
        raise refuse(
            place, "only one class, label 0", "at least 2 classes", "check how the labels were made"
        )
    return max(largest + 1, 2)


def check_label_range(y, n_classes, place):
    """Refuse labels outside [0, n_classes)."""
    is_outside = (y < 0) | (y >= n_classes)
    if is_outside.any():
        position = int(is_outside.argmax())
        raise refuse(
            place,
            f"label {int(y[position])} at position {position}",
            f"class numbers from 0 to {n_classes - 1}",
            "check that the file belongs to this data set and is not damaged",
        )
