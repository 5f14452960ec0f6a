"""The 8 x 8 handwritten digits that come with scikit-learn."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from .dataset import Samples
from .info import DatasetInfo


def read_digits(info, reading):
    """Scikit-learn's `digits` with a fixed split: `Samples`, x uint8 in 0..16, shape (1437, 8, 8) and (360, 8, 8)."""
    table = _read_table()
    images, labels = table[:, :-1].reshape(-1, *info.image_shape), table[:, -1].astype(np.int64)
    is_test = split_every_fifth(labels)
    arrays = {"x_train": images[~is_test], "y_train": labels[~is_test], "x_test": images[is_test], "y_test": labels[is_test]}
    return Samples(
        arrays,
        dict.fromkeys(arrays, "scikit-learn's digits"),
        scale=info.scale,
        source="sklearn.datasets.load_digits, every fifth sample by class for test",
        n_classes=info.n_classes,
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


def _fetch(info, base, progress):
    progress("digits comes with scikit-learn: nothing to fetch")
    return digits_folder()


DIGITS = DatasetInfo(
    name="digits",
    n_features=64,
    n_classes=10,
    image_shape=(8, 8),
    scale=1 / 16,
    summary="handwritten digits, 1437 training and 360 test images (E. Alpaydin, C. Kaynak; UCI)",
    how_to_get="comes with scikit-learn, nothing to fetch",
    read=read_digits,
    fetch=_fetch,
)
