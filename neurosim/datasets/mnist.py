"""MNIST (Y. LeCun, C. Cortes): four IDX files, as images and as sequences of rows."""

from dataclasses import replace

from .dataset import Samples
from .idx_folder import IDX_FILES, find_idx_files, read_idx_files
from .info import DatasetInfo
from .places import find_folder
from .refusal import refuse

__all__ = ["IDX_FILES", "MNIST", "MNIST_PIXELS", "MNIST_ROWS", "find_idx_files", "read_mnist"]


def read_mnist(info, folder):
    """The files of a folder, which must hold what `info` promises: `Samples`, x uint8, shape (n_samples, 28, 28)."""
    samples = read_idx_files(folder)
    for key in ("x_train", "x_test"):
        shape = samples.arrays[key].shape[1:]
        if shape != info.image_shape:
            raise refuse(
                samples.places[key],
                f"images of shape {shape}",
                f"{info.image_shape} for {info.name}",
                "give the folder's path as data set if this is other data",
            )
    return replace(samples, n_classes=info.n_classes, n_steps=info.n_steps)


def _read(info, reading) -> Samples:
    return read_mnist(info, find_folder("mnist", reading.data_dir, find_idx_files, info.how_to_get))


def _fetch(info, base, progress):
    from .fetch import fetch_mnist  # not needed by runs

    return fetch_mnist(base, progress)


MNIST = DatasetInfo(
    name="mnist",
    n_features=784,
    n_classes=10,
    image_shape=(28, 28),
    scale=1 / 255,
    summary="handwritten digits, 60000 training and 10000 test images (Y. LeCun, C. Cortes)",
    how_to_get="`neurosim data fetch mnist`, or the four IDX files (plain or .gz) placed by hand",
    read=_read,
    fetch=_fetch,
)

MNIST_ROWS = replace(
    MNIST,
    name="mnist_rows",
    summary="the images of mnist as sequences: 28 steps, one row of 28 pixels each",
    how_to_get="the files of mnist",
    n_steps=28,
)

MNIST_PIXELS = replace(
    MNIST,
    name="mnist_pixels",
    summary="the images of mnist as sequences: 784 steps of one pixel each, row by row",
    how_to_get="the files of mnist",
    n_steps=784,
)
