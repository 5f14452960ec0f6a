"""Folders in the MNIST layout: four IDX files, images and labels for training and test, under the names that they have in the wild."""

import os
import re
from pathlib import Path

from .dataset import Samples
from .files import list_folder
from .idx import INTEGERS, read_idx
from .info import FileFormat
from .refusal import refuse

# Array -> (official file name, number of dimensions).
IDX_FILES = {
    "x_train": ("train-images-idx3-ubyte", 3),
    "y_train": ("train-labels-idx1-ubyte", 1),
    "x_test": ("t10k-images-idx3-ubyte", 3),
    "y_test": ("t10k-labels-idx1-ubyte", 1),
}
# Rows of numbers, images of grey or of several colours; class numbers, alone or first of several facts (QMNIST).
_DIMENSIONS = {"x": (2, 3, 4), "y": (1, 2)}
# `t10k` is the name of MNIST, `test` that of EMNIST and QMNIST, whose files also begin with the name of the set; a dot before
# `idx` comes from some archives.
_NAME = re.compile(
    r"(?P<prefix>(?:[a-z0-9]+[-_])*?)(?P<part>train|t10k|test)[-_](?P<what>images|labels)(?:[-.]idx\d)?-(?:ubyte|int)(?:\.gz)?",
    re.IGNORECASE | re.ASCII,
)


def find_idx_files(folder, prefix=""):
    """Files of the MNIST layout that stand in `folder`, or in its subfolder ``MNIST/raw`` or ``raw`` (as torchvision unpacks them).

    Each may be plain or `.gz`, be written with a dot (`train-images.idx3-ubyte`), be called `test` instead of `t10k`, or stand in a
    folder of its own name (Kaggle).

    Parameters
    ----------
    folder : str or Path
    prefix : str
        What names begin with, such as ``emnist-letters-``.

    Returns
    -------
    dict of Path
        Keys among `x_train`, `y_train`, `x_test`, `y_test`; missing files have no key.
    """
    return _find_all(folder).get(prefix.lower(), {})


def _find_all(folder):
    """The files of every set in a folder: dict of prefix to dict of key to Path."""
    folder = Path(folder)
    for place in (folder, folder / "MNIST" / "raw", folder / "raw"):
        found = {}
        for path in list_folder(place):
            match = _NAME.fullmatch(path.name)
            if not match:
                continue
            key = f"{'x' if match['what'].lower() == 'images' else 'y'}_{'train' if match['part'].lower() == 'train' else 'test'}"
            if os.path.isdir(path):
                path = path / path.name
            if os.path.isfile(path):
                # The plain file, which comes first in order, wins over its packed twin.
                found.setdefault(match["prefix"].lower(), {}).setdefault(key, path)
        if found:
            return found
    return {}


def _find_set(path):
    """Folder and prefix that a path names: a folder, or a folder and the beginning of its files' names."""
    path = os.path.expanduser(str(path))
    if os.path.isdir(path):
        sets = _find_all(path)
        return path, "" if "" in sets or len(sets) != 1 else next(iter(sets))
    folder, beginning = os.path.split(path)
    sets = _find_all(folder or ".") if beginning else {}
    return folder or ".", next((prefix for prefix in sets if prefix and prefix.rstrip("-_") == beginning.lower().rstrip("-_")), None)


def _files_of(path):
    folder, prefix = _find_set(path)
    return list(_find_all(folder).get(prefix, {}).values()) if prefix is not None else []


def _recognizes(path):
    if os.path.isdir(path):
        return bool(_find_all(path))
    return not os.path.exists(path) and _find_set(path)[1] is not None


def read_idx_files(path):
    """Read the four IDX files of a folder.

    Parameters
    ----------
    path : str or Path
        The folder; or, where it holds several sets, the folder and the beginning of the names: ``EMNIST/raw/emnist-letters``.

    Returns
    -------
    Samples
        x uint8, shape (n_samples, rows, columns), or with colours as last dimension, scale 1/255.

    Raises
    ------
    InputError
        A missing or malformed file, or several sets in one folder.
    """
    folder, prefix = _find_set(path)
    sets = _find_all(folder)
    if not prefix and "" not in sets and len(sets) > 1:
        raise refuse(
            path,
            f"the files of {len(sets)} data sets: {', '.join(each.rstrip('-_') for each in sorted(sets)[:8])}",
            "one",
            f"name one of them: {Path(path) / min(sets).rstrip('-_')}",
        )
    paths = sets.get(prefix or "", {})
    missing = [f"{prefix or ''}{official}" for key, (official, _) in IDX_FILES.items() if key not in paths]
    if missing:
        raise refuse(
            folder,
            f"no {' and no '.join(missing)}",
            "the four IDX files of the MNIST layout, plain or .gz",
            "complete the folder (MNIST: `neurosim data fetch mnist`)",
        )
    arrays, notes = {}, []
    for key, file in paths.items():
        array = read_idx(file, _DIMENSIONS[key[0]], INTEGERS if key[0] == "y" else (8,))
        if key[0] == "y" and array.ndim == 2:
            notes += [f"labels are the first of {array.shape[1]} columns of {file.name}"] if array.shape[1] > 1 else []
            array = array[:, 0] if array.shape[1] else array.reshape(-1)
        arrays[key] = array
    return Samples(arrays, dict(paths), scale=1 / 255, source=f"IDX files in {folder}", notes=notes)


FORMAT = FileFormat(
    what="a folder of IDX files",
    recognizes=_recognizes,
    read=lambda path, reading: read_idx_files(path),
    files=_files_of,
)
