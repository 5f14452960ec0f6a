"""The Dataset, and the one way in which every reader makes one."""

import hashlib
import operator
from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError

from .checks import check_label_range, check_split, count_classes
from .refusal import refuse

SPLITS = (("x_train", "y_train"), ("x_test", "y_test"))


@dataclass(frozen=True)
class DataShape:
    """Sizes that a network must agree with: a sample is `n_steps` times `n_inputs` values, of one of `n_classes` classes."""

    n_inputs: int
    n_steps: int
    n_classes: int

    @property
    def n_features(self):
        """Values per sample, of all steps."""
        return self.n_inputs * self.n_steps


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training and test samples in memory, as stored in the files.

    Made by `load_dataset`; `make_dataset` checks what this class only holds.

    Attributes
    ----------
    name : str
        Name or path by which it was asked for.
    x_train, x_test : uint8 or float32 array, shape (n_samples, n_features)
        C-contiguous; ``x * scale`` is what a network sees.
    y_train, y_test : int32 array, shape (n_samples,)
        Class numbers in [0, n_classes).
    scale : float
        Maps stored values to [0, 1] (1/255 for 8-bit images, 1/16 for `digits`), or 1.0.
    n_classes : int
        Number of classes.
    image_shape : tuple of int or None
        Shape of one sample before it was flattened, when known.
    n_steps : int
        Steps of a sequence; 1 for samples that are no sequences. A sample is n_steps * n_inputs values.
    lengths_train, lengths_test : int32 array, shape (n_samples,), or None
        Steps of each sequence where they differ; shorter ones are padded with zeros in front.
    source : str
        Where the arrays came from.
    sha256 : str
        Hex digest over names, types, shapes and bytes of the four arrays (after `limit`).
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    scale: float
    n_classes: int
    image_shape: tuple[int, ...] | None
    source: str
    sha256: str
    n_steps: int = 1
    lengths_train: np.ndarray | None = None
    lengths_test: np.ndarray | None = None

    @property
    def n_features(self):
        """Values per sample, of all steps."""
        return self.x_train.shape[1]

    @property
    def n_inputs(self):
        """Inputs of one step."""
        return self.n_features // self.n_steps

    @property
    def shape(self):
        """The `DataShape`."""
        return DataShape(self.n_inputs, self.n_steps, self.n_classes)

    @property
    def n_train(self):
        """Number of training samples."""
        return self.x_train.shape[0]

    @property
    def n_test(self):
        """Number of test samples."""
        return self.x_test.shape[0]


def make_dataset(name, arrays, places, *, scale, source, n_classes=None, n_steps=1, lengths=None, limit=None):
    """Check four arrays against each other and put them into a Dataset.

    Parameters
    ----------
    name, source : str
        As in `Dataset`.
    arrays : dict of array
        `x_train`, `x_test`: uint8 or float32, shape (n_samples, ...), dimensions after the
        first are flattened; `y_train`, `y_test`: any integer type, shape (n_samples,).
    places : dict of str or Path
        For the same keys, the file (and array) that errors name.
    scale : float
        As in `Dataset`.
    n_classes : int, optional
        Classes promised beforehand; without it, one more than the largest training label.
    n_steps : int
        Steps of a sequence, a divisor of the number of features.
    lengths : tuple of array, optional
        Steps of each training and of each test sequence, where they differ.
    limit : int, optional
        Keep only the first `limit` training and the first `limit` test samples. Checks and
        `n_classes` come from all samples, so a quick trial has the network of the full run.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        Empty arrays, counts or shapes that do not agree, labels that are no class numbers,
        a `limit` below 1.
    """
    limit = check_limit(limit)
    for x_key, y_key in SPLITS:
        check_split(arrays[x_key], arrays[y_key], places[x_key], places[y_key])
    sample_shape = arrays["x_train"].shape[1:]
    if arrays["x_test"].shape[1:] != sample_shape:
        raise refuse(
            places["x_test"],
            f"test samples of shape {arrays['x_test'].shape[1:]}",
            f"{sample_shape} as in {places['x_train']}",
            "training and test files must belong together",
        )
    if n_classes is None:
        n_classes = count_classes(arrays["y_train"], places["y_train"])
    for _, y_key in SPLITS:
        check_label_range(arrays[y_key], n_classes, places[y_key])

    kept = {}
    for x_key, y_key in SPLITS:
        x, y = arrays[x_key], arrays[y_key]
        if limit is not None:
            # A copy, because a view would keep the full array in memory.
            x, y = x[:limit].copy(), y[:limit]
        kept[x_key] = np.ascontiguousarray(x.reshape(len(x), -1))
        kept[y_key] = np.array(y, dtype=np.int32)
    if lengths is not None:
        for part, steps in zip(("train", "test"), lengths, strict=True):
            kept[f"lengths_{part}"] = np.array(steps[:limit], np.int32)
    return Dataset(
        name=name,
        **kept,
        scale=float(scale),
        n_classes=n_classes,
        image_shape=sample_shape if len(sample_shape) > 1 else None,
        source=source,
        sha256=digest(kept),
        n_steps=n_steps,
    )


def check_limit(limit):
    """`limit` as int or None; InputError when it is not a whole number of at least 1."""
    if limit is None:
        return None
    try:
        number = operator.index(limit)
    except TypeError:
        number = 0
    if isinstance(limit, bool) or number < 1:
        raise InputError(
            f"data set limit: found {limit!r}; expected a whole number of at least 1; "
            "leave it out to use all samples"
        )
    return number


def digest(arrays):
    """SHA-256 hex digest over name, type, shape and bytes of each array, in key order."""
    hasher = hashlib.sha256()
    for key in sorted(arrays):
        array = arrays[key]
        # Byte order is fixed so that the digest names the data and not the machine.
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        hasher.update(f"{key} {array.dtype.name} {array.shape}\n".encode())
        hasher.update(array.data)
    return hasher.hexdigest()
