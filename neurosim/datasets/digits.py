"""The 8 x 8 handwritten digits that come with scikit-learn."""

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
    # Imported here because scikit-learn takes about a second.
    from sklearn.datasets import load_digits

    info = DATASETS["digits"]
    bunch = load_digits()
    images = bunch.images.astype(np.uint8)
    labels = bunch.target
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
