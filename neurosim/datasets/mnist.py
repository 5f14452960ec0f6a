"""Folders in the MNIST layout: four IDX files, images and labels for training and test."""

import os
from pathlib import Path

from .dataset import make_dataset
from .idx import read_idx
from .refusal import refuse

# Array -> (official file name, number of dimensions).
IDX_FILES = {
    "x_train": ("train-images-idx3-ubyte", 3),
    "y_train": ("train-labels-idx1-ubyte", 1),
    "x_test": ("t10k-images-idx3-ubyte", 3),
    "y_test": ("t10k-labels-idx1-ubyte", 1),
}


def find_idx_files(folder):
    """Files of the MNIST layout that stand in `folder`.

    Each may be plain or `.gz`, and written with a dot (`train-images.idx3-ubyte`), as some
    archives unpack them.

    Parameters
    ----------
    folder : str or Path

    Returns
    -------
    dict of Path
        Keys among `x_train`, `y_train`, `x_test`, `y_test`; missing files have no key.
    """
    found = {}
    for key, (official, _) in IDX_FILES.items():
        dotted = official.replace("-idx", ".idx")
        for file_name in (official, f"{official}.gz", dotted, f"{dotted}.gz"):
            path = Path(folder) / file_name
            if os.path.isfile(path):
                found[key] = path
                break
    return found


def load_idx_folder(folder, *, name, info=None, limit=None):
    """Load a data set from a folder with the four IDX files of the MNIST layout.

    Parameters
    ----------
    folder : str or Path
    name : str
        Name of the resulting data set.
    info : DatasetInfo, optional
        Image shape and number of classes that the files must have; without it the number
        of classes comes from the training labels.
    limit : int, optional
        Keep only the first samples of each part.

    Returns
    -------
    Dataset
        x uint8, shape (n_samples, rows * columns), scale 1/255.

    Raises
    ------
    InputError
        A missing or malformed file, or files that do not belong together.
    """
    paths = find_idx_files(folder)
    missing = [official for key, (official, _) in IDX_FILES.items() if key not in paths]
    if missing:
        raise refuse(
            folder,
            f"no {' and no '.join(missing)}",
            "the four IDX files of the MNIST layout, plain or .gz",
            "complete the folder (MNIST: `neurosim data fetch mnist`)",
        )
    arrays = {key: read_idx(path, IDX_FILES[key][1]) for key, path in paths.items()}
    if info is not None:
        _check_image_shape(arrays, paths, info)
    return make_dataset(
        name,
        arrays,
        paths,
        scale=1 / 255,
        source=f"IDX files in {folder}",
        n_classes=info.n_classes if info else None,
        n_steps=info.n_steps if info else 1,
        limit=limit,
    )


def _check_image_shape(arrays, paths, info):
    for key in ("x_train", "x_test"):
        shape = arrays[key].shape[1:]
        if shape != info.image_shape:
            raise refuse(
                paths[key],
                f"images of shape {shape}",
                f"{info.image_shape} for {info.name}",
                "give the folder's path as data set if this is other data",
            )
