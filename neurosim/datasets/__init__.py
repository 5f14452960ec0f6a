"""Data sets: readers that refuse damaged files in one line, and where files are looked for.

``load_dataset`` answers a name (`mnist`, `mnist_rows`, `digits`, `fsdd`), the path of an NPZ file, or
the path of a folder with IDX files or with recordings. ``fetch`` is the only function that uses the network.
Importing this room reads no data and imports neither scikit-learn nor Numba.
"""

from .catalog import DATASETS, DatasetInfo
from .dataset import Dataset, DataShape
from .fetch import fetch
from .library import dataset_shape, load_dataset, user_cache_dir
from .speech import SpeechFeatures

__all__ = [
    "DATASETS",
    "DataShape",
    "Dataset",
    "DatasetInfo",
    "SpeechFeatures",
    "dataset_shape",
    "fetch",
    "load_dataset",
    "user_cache_dir",
]
