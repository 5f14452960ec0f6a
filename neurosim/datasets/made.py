"""Data sets that are made and not read: their numbers, checked, and draws that are the same everywhere."""

import math
from dataclasses import fields

import numpy as np

from neurosim.errors import InputError, nearest


def task_of(kind, limits):
    """Function from a data set's name and numbers to the task that they make.

    Parameters
    ----------
    kind : type
        Dataclass of the numbers; `shape` and `samples` are what it makes.
    limits : dict of str to (number, number)
        Smallest and largest of each.

    Returns
    -------
    callable
        From (name, pairs of key and number) to an object of `kind`; InputError for an unknown key and a number out of range.
    """
    defaults = {field.name: field.default for field in fields(kind)}

    def make(name, items):
        for key, value in items:
            if key not in defaults:
                raise InputError(f"dataset.task.{key}: data set {name} has no such number; {nearest(key, defaults)}")
            low, high = limits[key]
            is_whole = isinstance(defaults[key], int)
            is_right = isinstance(value, int) if is_whole else isinstance(value, (int, float)) and math.isfinite(value)
            if isinstance(value, bool) or not is_right or not low <= value <= high:
                what = "a whole number" if is_whole else "a number"
                raise InputError(f"dataset.task.{key}: found {value!r}; expected {what} from {low:g} to {high:g}")
        return kind(**dict(items))

    return make


class Draws:
    """Uniform numbers: the bits of PCG64 are promised, what its generators make of them is not.

    `seed` : whole numbers that name the stream.
    """

    def __init__(self, *seed: int):
        self._bits = np.random.PCG64(np.random.SeedSequence(seed))

    def uniform(self, *shape: int) -> np.ndarray:
        """Numbers in [0, 1), with 53 bits: float64 array."""
        raw = self._bits.random_raw(math.prod(shape)) >> np.uint64(11)
        return (raw * 2.0**-53).reshape(shape)

    def below(self, n: int, *shape: int) -> np.ndarray:
        """Whole numbers from 0 to n - 1: int64 array."""
        return (self.uniform(*shape) * n).astype(np.int64)
