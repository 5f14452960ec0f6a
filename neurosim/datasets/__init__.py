"""Data sets: readers that refuse damaged files in one line, and where files are looked for.

``load_dataset`` answers a name (`mnist`, `digits`), the path of an NPZ file, or the path
of a folder with IDX files. ``fetch`` is the only function that uses the network.
Importing this room reads no data and imports neither scikit-learn nor Numba.
"""

from .catalog import DATASETS, DatasetInfo, dataset_shape
from .dataset import Dataset
from .fetch import fetch
from .library import load_dataset, user_cache_dir

__all__ = [
    "DATASETS",
    "Dataset",
    "DatasetInfo",
    "dataset_shape",
    "fetch",
    "load_dataset",
    "user_cache_dir",
]
