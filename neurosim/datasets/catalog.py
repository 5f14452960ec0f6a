"""The data sets known by name, and the kinds of files that are data sets by their path: a new one is one file and one line here."""

from . import cifar10, events, idx_folder, npz, parquet, recordings, table
from .cue_accumulation import CUE_ACCUMULATION
from .digits import DIGITS
from .fsdd import FSDD
from .mnist import MNIST, MNIST_PIXELS, MNIST_ROWS
from .randman import RANDMAN

DATASETS = {
    info.name: info
    for info in (
        MNIST,
        DIGITS,
        MNIST_ROWS,
        MNIST_PIXELS,
        FSDD,
        RANDMAN,
        CUE_ACCUMULATION,
        cifar10.CIFAR10,
    )
}

#: The first that recognizes a path reads it.
FORMATS = (
    recordings.FORMAT,
    npz.FORMAT,
    events.FORMAT,
    table.FORMAT,
    parquet.FORMAT,
    idx_folder.FORMAT,
    cifar10.FORMAT,
)
