"""Data sets: readers that refuse damaged files in one line, and where files are looked for.

``load_dataset`` answers a name in ``DATASETS``, or a path that one of the formats in `catalog` recognizes: an NPZ, CSV or Parquet
file, a folder with IDX files or with recordings. ``make_dataset`` takes arrays. ``fetch`` is the only function that uses the network.
Importing this room reads no data and imports neither scikit-learn nor Numba.
"""

from .arrays import make_dataset
from .augment import Augmentation
from .augment_sequences import SequenceAugmentation
from .catalog import DATASETS
from .dataset import Dataset, DataShape
from .encode import Encoding
from .events import EventChoice
from .fetch import fetch
from .info import DatasetInfo
from .library import dataset_shape, load_dataset
from .places import user_cache_dir
from .speech import SpeechFeatures
from .tasks import change_task, check_same_sizes

__all__ = [
    "DATASETS",
    "Augmentation",
    "DataShape",
    "Dataset",
    "DatasetInfo",
    "Encoding",
    "EventChoice",
    "SequenceAugmentation",
    "SpeechFeatures",
    "change_task",
    "check_same_sizes",
    "dataset_shape",
    "fetch",
    "load_dataset",
    "make_dataset",
    "user_cache_dir",
]
