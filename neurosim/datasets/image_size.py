"""Images brought to another size by the average of the area that each new pixel covers."""

import numpy as np

from .images import axes_of
from .refusal import refuse

#: Images at a time; a block of float64 copies stays small.
_BLOCK = 4096


def resize_images(arrays, places, size, n_steps):
    """Bring all images of a data set to one size.

    Parameters
    ----------
    arrays : dict of array
        As in `Samples`; those of x are replaced. Bytes are rounded to the nearest whole number, halves to the even one.
    places : dict
    size : (int, int)
        (rows, columns).
    n_steps : int

    Raises
    ------
    InputError
        Samples that are no images with rows and columns, or sequences.
    """
    for key in [key for key in arrays if key.startswith("x_")]:
        images = arrays[key]
        if images.ndim not in (3, 4) or n_steps > 1:
            found = "sequences" if n_steps > 1 else f"samples of shape {images.shape[1:]}"
            raise refuse(
                places[key],
                found,
                "images of rows and columns, with or without colours, for dataset.image_size",
                "leave dataset.image_size out",
            )
        arrays[key] = _resized(images, size)


def _resized(images, size):
    axes = [1 + axis for axis in axes_of(images.shape[1:])]
    images = np.moveaxis(images, axes, (-2, -1))
    down, across = (cover(old, new) for old, new in zip(images.shape[-2:], size, strict=True))
    out = np.empty((*images.shape[:-2], *size), images.dtype)
    for start in range(0, len(images), _BLOCK):
        block = images[start : start + _BLOCK].astype(np.float64)
        # Sums of whole numbers below 2^53 are exact in any order, and others are added in one order: same bits on every machine.
        add = np.matmul if images.dtype == np.uint8 else lambda a, b: np.einsum("...ij,...jk->...ik", a, b)
        means = add(add(down, block), across.T) / (images.shape[-2] * images.shape[-1])
        out[start : start + _BLOCK] = np.rint(means) if images.dtype == np.uint8 else means
    return np.moveaxis(out, (-2, -1), axes)


def cover(old, new):
    """How much of each old pixel lies in each new one.

    Parameters
    ----------
    old, new : int
        Pixels of a row or column.

    Returns
    -------
    float64 array, shape (new, old)
        Whole numbers, in units of 1/new of an old pixel; each row's sum is `old`.
    """
    before, after = np.arange(old) * new, np.arange(new) * old
    shared = np.minimum(before + new, after[:, None] + old) - np.maximum(before, after[:, None])
    return np.maximum(shared, 0).astype(np.float64)
