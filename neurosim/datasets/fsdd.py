"""The Free Spoken Digit Dataset (Z. Jackson and others, CC BY-SA 4.0, doi 10.5281/zenodo.1342401)."""

from .info import DatasetInfo
from .places import find_folder
from .recordings import find_recordings, read_recordings


def _read(info, reading):
    folder = find_folder(info.name, reading.data_dir, find_recordings, info.how_to_get)
    return read_recordings(folder, reading.speech, n_classes=info.n_classes)


FSDD = DatasetInfo(
    name="fsdd",
    n_features=None,
    n_classes=10,
    image_shape=None,
    scale=1.0,
    summary="spoken digits as log-mel sequences, 2700 training and 300 test recordings of 6 speakers (Z. Jackson and others)",
    how_to_get="doi 10.5281/zenodo.1342401: place its folder `recordings` of WAV files by hand",
    n_steps=None,
    read=_read,
)
