"""The data sets known by name, with the shapes that can be told without loading anything."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a named data set before any file is read.

    Attributes
    ----------
    name : str
        The word used in scenarios and commands.
    n_features, n_classes : int
        Inputs per sample and number of classes.
    image_shape : tuple of int
        (rows, columns) of one sample.
    scale : float
        Factor that maps stored values to [0, 1].
    summary : str
        One line on content and origin.
    how_to_get : str
        Where the files come from.
    """

    name: str
    n_features: int
    n_classes: int
    image_shape: tuple[int, int]
    scale: float
    summary: str
    how_to_get: str


DATASETS = {
    info.name: info
    for info in (
        DatasetInfo(
            name="mnist",
            n_features=784,
            n_classes=10,
            image_shape=(28, 28),
            scale=1 / 255,
            summary="handwritten digits, 60000 training and 10000 test images (Y. LeCun, C. Cortes)",
            how_to_get="`neurosim data fetch mnist`, or the four IDX files (plain or .gz) placed by hand",
        ),
        DatasetInfo(
            name="digits",
            n_features=64,
            n_classes=10,
            image_shape=(8, 8),
            scale=1 / 16,
            summary="handwritten digits, 1437 training and 360 test images (E. Alpaydin, C. Kaynak; UCI)",
            how_to_get="comes with scikit-learn, nothing to fetch",
        ),
    )
}


def dataset_shape(name):
    """Number of inputs and classes of a named data set, without loading it.

    Parameters
    ----------
    name : str
        What a scenario gives as data set.

    Returns
    -------
    tuple of int or None
        (n_features, n_classes); None for paths and unknown names, whose shape only
        their files can tell.
    """
    info = DATASETS.get(str(name))
    return (info.n_features, info.n_classes) if info else None
