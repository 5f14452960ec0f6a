"""Images moved, mirrored and cropped as they are learned: another picture of the same thing in every epoch.

Nothing is stored of it: which image is moved where is a function of random bits, of which the trainer makes a word pair for each sample
from (seed, epoch, sample). On a chip an image is read from another first address, and what lies outside of it is 0: it takes no memory.
"""

from dataclasses import dataclass

import numpy as np

from .images import axes_of, with_sides
from .refusal import refuse

_FULL = 1 << 24


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image.

    Attributes
    ----------
    shift : int
        Most pixels by which an image is moved along rows and along columns: each offset from -shift to shift alike, none included.
    probability : float
        Of an image to be moved; the others stay.
    late_after, late_probability : float, optional
        From this fraction of the epochs on, another probability.
    flip : bool
        Whether every other image, on average, is mirrored left to right.
    crop : int, optional
        Rows and columns of a window, which takes the place of the image: at random when it is learned, else in the middle.
    """

    shift: int = 0
    probability: float = 1.0
    late_after: float | None = None
    late_probability: float | None = None
    flip: bool = False
    crop: int | None = None

    @property
    def words(self):
        """What it does, in words."""
        parts = []
        if self.crop:
            parts.append(f"cropped to {self.crop} x {self.crop}")
        if self.shift:
            late = f", {self.late_probability:g} after {self.late_after:.0%} of the epochs" if self.late_after is not None else ""
            parts.append(f"moved by up to {self.shift} pixel{'s' * (self.shift > 1)} with probability {self.probability:g}{late}")
        if self.flip:
            parts.append("mirrored with probability 0.5")
        return f"training images are {', '.join(parts)}: on the chip another first address or direction of reading, which takes no memory"

    def probability_at(self, done):
        """Probability that an image is moved after a fraction `done` of the epochs."""
        return self.late_probability if self.late_after is not None and done >= self.late_after else self.probability

    def new_shape(self, image_shape, name):
        """Shape of an image as the network gets it.

        Raises
        ------
        InputError
            No images, or smaller ones than the window or the offset need.
        """
        if image_shape is None or len(image_shape) not in (2, 3):
            raise refuse("dataset.augment", f"data set {name}, whose samples are no images", "images of rows and columns", "leave it out")
        rows, columns = axes_of(image_shape)
        least = min(image_shape[rows], image_shape[columns])
        for key, value, most in (("crop", self.crop, least), ("shift", self.shift, (self.crop or least) - 1)):
            if value and value > most:
                raise refuse(
                    f"dataset.augment.{key}", str(value), f"at most {most} for images of {_times(image_shape)} in {name}", "choose a smaller one"
                )
        if not self.crop:
            return tuple(image_shape)
        return with_sides(image_shape, (self.crop, self.crop))

    def middle(self, x, image_shape):
        """The window in the middle of each image: array of x's type, shape (n_samples, features); `x` itself without a crop."""
        if not self.crop:
            return x
        rows, columns = axes_of(image_shape)
        start = tuple((image_shape[axis] - self.crop) // 2 for axis in (rows, columns))
        return np.ascontiguousarray(_window(x.reshape(-1, *image_shape), (rows, columns), start, self.crop)).reshape(len(x), -1)

    def apply(self, x, image_shape, bits, done):
        """Images of one epoch.

        Parameters
        ----------
        x : array, shape (n_samples, features)
            Whole images.
        image_shape : tuple of int
            Of a whole image.
        bits : uint64 array, shape (2 * n_samples,)
            Random; two words for each sample.
        done : float
            Fraction of the epochs that is over.

        Returns
        -------
        array of x's type, shape (n_samples, features of the window)
            New memory. What lies outside of an image is 0.
        """
        axes = axes_of(image_shape)
        images, words = x.reshape(-1, *image_shape), bits.reshape(-1, 2)
        sizes = [image_shape[axis] for axis in axes]
        window = [self.crop or size for size in sizes]
        out = np.zeros((len(x), *(window[axes.index(axis)] if axis in axes else n for axis, n in enumerate(image_shape))), x.dtype)
        is_moved = (words[:, 0] & np.uint64(_FULL - 1)) < np.uint64(int(self.probability_at(done) * _FULL))
        starts = []
        for number, (size, wide) in enumerate(zip(sizes, window, strict=True)):
            # 16 of the bits for each draw: what they favour is less than 1 in 2,000 for any window of an image of 32 pixels.
            start = _below(words[:, 1], 16 * number, size - wide + 1)
            starts.append(start + np.where(is_moved, _below(words[:, 0], 24 + 16 * number, 2 * self.shift + 1) - self.shift, 0))
        is_flipped = (words[:, 1] >> np.uint64(63)).astype(bool) & self.flip
        span = max(sizes) + 2 * self.shift
        codes = ((starts[0] + self.shift) * span + starts[1] + self.shift) * 2 + is_flipped
        order = np.argsort(codes, kind="stable")
        bounds = np.flatnonzero(np.diff(codes[order], prepend=-1))
        for group in np.split(order, bounds[1:]):
            first = group[0]
            _copy(images, out, group, axes, [int(start[first]) for start in starts], sizes, window, bool(is_flipped[first]))
        return out.reshape(len(x), -1)


def _below(words, shift, n):
    """Whole numbers from 0 to n - 1 of 16 bits of each word: int64 array."""
    return (((words >> np.uint64(shift)) & np.uint64(0xFFFF)) * np.uint64(n) >> np.uint64(16)).astype(np.int64)


def _copy(images, out, group, axes, starts, sizes, window, is_flipped):
    """Write the windows of a group of images, all with the same first pixel; `out` is 0 where a window lies outside of its image."""
    source, target = [slice(None)] * images.ndim, [slice(None)] * images.ndim
    for axis, start, size, wide in zip(axes, starts, sizes, window, strict=True):
        low, high = max(start, 0), min(start + wide, size)
        source[axis + 1], target[axis + 1] = slice(low, high), slice(low - start, high - start)
    target[0] = group
    moved = images[tuple(source)][group]
    if is_flipped:
        column = axes[1] + 1
        moved = np.flip(moved, column)
        target[column] = slice(window[1] - target[column].stop, window[1] - target[column].start)
    out[tuple(target)] = moved


def _window(images, axes, start, wide):
    part = [slice(None)] * images.ndim
    for axis, first in zip(axes, start, strict=True):
        part[axis + 1] = slice(first, first + wide)
    return images[tuple(part)]


def _times(shape):
    return " x ".join(map(str, shape))
