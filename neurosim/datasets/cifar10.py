"""CIFAR-10 (A. Krizhevsky 2009) in its binary version: files of records, one byte of label and 3 x 32 x 32 bytes of image each."""

import os
import re
from pathlib import Path

import numpy as np

from .dataset import Samples
from .files import list_folder, open_regular, size_of
from .info import DatasetInfo, FileFormat
from .places import find_folder
from .refusal import describe, refuse

IMAGE_SHAPE = (3, 32, 32)  # red, green and blue planes; rows; columns
N_CLASSES = 10
_N_PIXELS = int(np.prod(IMAGE_SHAPE))
RECORD_BYTES = 1 + _N_PIXELS
_TRAIN = re.compile(r"data_batch_(\d+)\.bin")
_TEST = "test_batch.bin"
#: The six files as they are published.
OFFICIAL = (*(f"data_batch_{i}.bin" for i in range(1, 6)), _TEST)
#: Folder that the archive unpacks to.
UNPACKED = "cifar-10-batches-bin"
_EXPECTED = f"records of {RECORD_BYTES} bytes: a label and {_N_PIXELS} pixels"
_ADVICE = "get the file again (`neurosim data fetch cifar10`)"


def find_cifar10_files(folder):
    """Files of the binary version in a folder, or in its subfolder of the archive's name: dict of file name to Path, training first.

    Training files are ordered by their number; other files are passed over.
    """
    for place in (Path(folder), Path(folder) / UNPACKED):
        numbered, test = {}, {}
        for path in list_folder(place):
            if match := _TRAIN.fullmatch(path.name):
                numbered[int(match[1])] = path
            elif path.name == _TEST:
                test = {_TEST: path}
        if numbered or test:
            return {path.name: path for _, path in sorted(numbered.items())} | test
    return {}


def read_cifar10(folder, expected=()):
    """Read the files of a folder.

    Parameters
    ----------
    folder : str or Path
    expected : iterable of str
        Files that must be there, beside one of training and one of test.

    Returns
    -------
    Samples
        x uint8, shape (n_samples, 3, 32, 32), scale 1/255.

    Raises
    ------
    InputError
        A file that is missing, cut off, or holds a label above 9, by its name.
    """
    files = find_cifar10_files(folder)
    missing = [name for name in expected or (OFFICIAL[0], _TEST) if name not in files]
    if missing and (expected or _TEST not in files or len(files) == 1):
        raise refuse(folder, f"no {' and no '.join(missing)}", "the files of CIFAR-10's binary version", "complete the folder, or " + _ADVICE)
    arrays, places = {}, {}
    for part, paths in (("train", [path for name, path in files.items() if name != _TEST]), ("test", [files[_TEST]])):
        counts = [_count_records(path) for path in paths]
        images, labels = np.empty((sum(counts), _N_PIXELS), np.uint8), np.empty(sum(counts), np.uint8)
        first = 0
        for path, n in zip(paths, counts, strict=True):
            records = _read_records(path, n)
            labels[first : first + n], images[first : first + n] = records[:, 0], records[:, 1:]
            first += n
        arrays |= {f"x_{part}": images.reshape(-1, *IMAGE_SHAPE), f"y_{part}": labels}
        places |= dict.fromkeys((f"x_{part}", f"y_{part}"), str(folder if len(paths) > 1 else paths[0]))
    return Samples(arrays, places, scale=1 / 255, source=f"CIFAR-10 files in {next(iter(files.values())).parent}", n_classes=N_CLASSES)


def _count_records(path):
    with open_regular(path, _EXPECTED) as file:
        n_bytes = size_of(file)
    if n_bytes == 0 or n_bytes % RECORD_BYTES:
        found = f"{n_bytes} bytes, {n_bytes // RECORD_BYTES} records and {n_bytes % RECORD_BYTES} bytes more" if n_bytes else "an empty file"
        raise refuse(path, found, _EXPECTED, f"the file is cut off or another one: {_ADVICE}")
    return n_bytes // RECORD_BYTES


def _read_records(path, n):
    """Records of a file: uint8 array, shape (n, 3073)."""
    try:
        with open_regular(path, _EXPECTED) as file:
            records = np.frombuffer(file.read(n * RECORD_BYTES), np.uint8)
    except OSError as error:
        raise refuse(path, f"an unreadable file ({describe(error)})", _EXPECTED, _ADVICE) from None
    if records.size != n * RECORD_BYTES:  # it became shorter meanwhile
        raise refuse(path, f"{records.size} bytes", f"{n * RECORD_BYTES}", "do not write to the file while it is read")
    records = records.reshape(n, RECORD_BYTES)
    if (is_wrong := records[:, 0] >= N_CLASSES).any():
        position = int(is_wrong.argmax())
        raise refuse(path, f"label {records[position, 0]} of record {position}", f"0 to {N_CLASSES - 1}", f"a damaged or another file: {_ADVICE}")
    return records


def _read(info, reading):
    return read_cifar10(find_folder(info.name, reading.data_dir, find_cifar10_files, info.how_to_get), OFFICIAL)


def _fetch(info, base, progress):
    from .fetch import fetch_cifar10  # not needed by runs

    return fetch_cifar10(base, progress)


CIFAR10 = DatasetInfo(
    name="cifar10",
    n_features=_N_PIXELS,
    n_classes=N_CLASSES,
    image_shape=IMAGE_SHAPE,
    scale=1 / 255,
    summary="small photographs of ten things, 50000 training and 10000 test images of 3 x 32 x 32 (A. Krizhevsky)",
    how_to_get="`neurosim data fetch cifar10`, or the six .bin files of its binary version placed by hand",
    read=_read,
    fetch=_fetch,
)

FORMAT = FileFormat(
    what="a folder of CIFAR-10's binary files",
    recognizes=lambda path: os.path.isdir(path) and bool(find_cifar10_files(path)),
    read=lambda path, reading: read_cifar10(path),
    files=lambda path: list(find_cifar10_files(path).values()),
)
