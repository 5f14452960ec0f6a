"""The 8 x 8 handwritten digits that come with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .catalog import DATASETS
from .dataset import make_dataset


def load_digits_dataset(limit=None):
    """Load scikit-learn's `digits` with a fixed split.

    Parameters
    ----------
    limit : int, optional
        Keep only the first samples of each part.

    Returns
    -------
    Dataset
        x uint8 in 0..16, shape (1437, 64) and (360, 64); scale 1/16.

    Raises
    ------
    InputError
        A `limit` below 1.
    """
    info = DATASETS["digits"]
    table = _read_table()
    images, labels = table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(np.int64)
    is_test = split_every_fifth(labels)
    return make_dataset(
        info.name,
        {
            "x_train": images[~is_test],
            "y_train": labels[~is_test],
            "x_test": images[is_test],
            "y_test": labels[is_test],
        },
        dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), "scikit-learn's digits"),
        scale=info.scale,
        source="sklearn.datasets.load_digits, every fifth sample by class for test",
        n_classes=info.n_classes,
        limit=limit,
    )


def digits_folder():
    """Where scikit-learn keeps its tables: Path, found without the import of the package."""
    return Path(find_spec("sklearn").origin).parent / "datasets" / "data"


def _read_table():
    """Pixels and label of each digit: uint8 array, shape (1797, 65)."""
    path = digits_folder() / "digits.csv.gz"
    if path.is_file():
        return np.loadtxt(path, np.uint8, delimiter=",")
    from sklearn.datasets import load_digits  # takes about a second: half of the time to the first step of a small run

    bunch = load_digits()
    return np.column_stack((bunch.data, bunch.target)).astype(np.uint8)


def split_every_fifth(labels):
    """Stratified test mask without random numbers.

    The samples are listed by class, in file order within a class; the first of that list
    and every fifth after it are test samples. So each class gives a fifth of its samples,
    rounded up or down, and the result hangs on no generator or library version.

    Parameters
    ----------
    labels : integer array, shape (n_samples,)

    Returns
    -------
    bool array, shape (n_samples,)
        True for test samples.
    """
    by_class = np.argsort(labels, kind="stable")
    is_test = np.zeros(len(labels), dtype=bool)
    is_test[by_class[::5]] = True
    return is_test
