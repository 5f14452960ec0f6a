"""Another task of the same samples: labels or features permuted, some classes alone."""

import hashlib
from dataclasses import replace

import numpy as np

from .dataset import PARTS
from .refusal import refuse


def permutation(n, seed):
    """A permutation of n numbers: int64 array, the same with every version of NumPy (only the bits of PCG64 are promised)."""
    return np.argsort(np.random.PCG64(seed).random_raw(n), kind="stable")


def change_task(dataset, *, relabel=None, permute_inputs=None, classes=None, where="phase"):
    """The samples of a data set as another task.

    Parameters
    ----------
    dataset : Dataset
    relabel : int, optional
        Seed of a permutation of the class numbers: a sample of class c is one of class permutation[c].
    permute_inputs : int, optional
        Seed of a permutation of the features, of a sequence within each of its steps.
    classes : tuple of int, optional
        Class numbers, before they are permuted; samples of others are left out, of all parts. The network keeps an output for every class.
    where : str
        What errors name.

    Returns
    -------
    Dataset
        Arrays that do not change are shared; `sha256` names samples and change.

    Raises
    ------
    InputError
        A class that does not exist or has no samples, or permuted features of images that are moved.
    """
    changes = {"relabel": relabel, "permute_inputs": permute_inputs, "classes": classes}
    if all(value is None for value in changes.values()):
        return dataset
    arrays = {f"{key}_{part}": getattr(dataset, f"{key}_{part}") for part in PARTS for key in ("x", "y", "lengths")}
    arrays["x_whole"] = dataset.x_whole
    if classes is not None:
        _choose_classes(arrays, classes, dataset, where)
    if permute_inputs is not None:
        if dataset.augmentation is not None:
            raise refuse(
                f"{where}.permute_inputs", "permuted features beside dataset.augment", "one of them", "pixels that are permuted are no image"
            )
        order = permutation(dataset.n_inputs, permute_inputs)
        for part in PARTS:
            x = arrays[f"x_{part}"]
            arrays[f"x_{part}"] = np.ascontiguousarray(x.reshape(len(x), dataset.n_steps, dataset.n_inputs)[:, :, order]).reshape(x.shape)
    if relabel is not None:
        new = permutation(dataset.n_classes, relabel).astype(np.int32)
        for part in PARTS:
            arrays[f"y_{part}"] = new[arrays[f"y_{part}"]]
    text = f"{dataset.sha256} {sorted((key, value) for key, value in changes.items() if value is not None)}"
    return replace(dataset, **arrays, sha256=hashlib.sha256(text.encode()).hexdigest())


def _choose_classes(arrays, classes, dataset, where):
    wrong = [c for c in classes if not 0 <= c < dataset.n_classes]
    if wrong:
        raise refuse(f"{where}.classes", f"class {wrong[0]}", f"0 to {dataset.n_classes - 1}, the classes of {dataset.name}", "give their numbers")
    for part in PARTS:
        is_taken = np.isin(arrays[f"y_{part}"], classes)
        if part != "validation" and not is_taken.any():
            raise refuse(
                f"{where}.classes", f"no {part} sample of {list(classes)}", "at least one", "choose other classes, or a larger dataset.limit"
            )
        keys = ("x", "y", "lengths")
        for key in [f"{key}_{part}" for key in keys] + (["x_whole"] if part == "train" else []):
            if arrays[key] is not None:
                arrays[key] = arrays[key][is_taken]


def check_same_sizes(shape, name, first_shape, first_name, where):
    """Refuse data of another `DataShape` than that of the first ones.

    Raises
    ------
    InputError
    """
    if shape != first_shape:
        raise refuse(where, _sizes(shape, name), f"{_sizes(first_shape, first_name)}, because one network learns both", "give data of the same sizes")


def _sizes(shape, name):
    steps = f"{shape.n_steps} steps of " if shape.n_steps > 1 else ""
    return f"{steps}{shape.n_inputs} features and {shape.n_classes} classes in {name}"
