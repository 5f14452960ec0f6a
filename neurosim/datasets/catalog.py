"""The data sets known by name."""

from dataclasses import dataclass


@dataclass(frozen=True)
class DatasetInfo:
    """What is known of a named data set before any file is read.

    Attributes
    ----------
    name : str
        The word used in scenarios and commands.
    n_features, n_classes : int
        Values per sample, of all steps, and number of classes; features None for recordings, where options of the reader decide.
    image_shape : tuple of int or None
        (rows, columns) of one sample.
    scale : float
        Factor that maps stored values to [0, 1].
    summary : str
        One line on content and origin.
    how_to_get : str
        Where the files come from.
    n_steps : int or None
        Steps of a sequence; 1 for samples that are none, None for recordings.
    """

    name: str
    n_features: int | None
    n_classes: int
    image_shape: tuple[int, int] | None
    scale: float
    summary: str
    how_to_get: str
    n_steps: int | None = 1

    @property
    def has_recordings(self):
        """Whether its files are recordings, which a reader with options turns into sequences."""
        return self.n_features is None


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
        DatasetInfo(
            name="mnist_rows",
            n_features=784,
            n_classes=10,
            image_shape=(28, 28),
            scale=1 / 255,
            summary="the images of mnist as sequences: 28 steps, one row of 28 pixels each",
            how_to_get="the files of mnist",
            n_steps=28,
        ),
        DatasetInfo(
            name="fsdd",
            n_features=None,
            n_classes=10,
            image_shape=None,
            scale=1.0,
            summary="spoken digits as log-mel sequences, 2700 training and 300 test recordings of 6 speakers (Z. Jackson and others)",
            how_to_get="doi 10.5281/zenodo.1342401: place its folder `recordings` of WAV files by hand",
            n_steps=None,
        ),
    )
}
