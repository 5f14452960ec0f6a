"""Features shifted to mean 0 and scaled to standard deviation 1 over the training samples, or images over their own pixels."""

from dataclasses import dataclass

import numpy as np

# Samples that are float64 numbers at one time: all of them at once would take many times the memory of the bytes of images.
_BLOCK = 4096


@dataclass(frozen=True, eq=False)
class Standardization:
    """Shift and scale of each input.

    Attributes
    ----------
    mean, spread : float64 array, shape (n_inputs,)
        Over all steps of all training samples; the spread of a constant input is 1.
    scale : float
        Factor of the stored values, which comes first.
    """

    mean: np.ndarray
    spread: np.ndarray
    scale: float = 1.0

    @classmethod
    def of(cls, x, scale, n_steps=1, lengths=None):
        """From training samples.

        Parameters
        ----------
        x : array, shape (n_samples, n_steps * n_inputs)
        scale : float
            Factor of the stored values.
        n_steps : int
        lengths : int array, shape (n_samples,), optional
            Steps of each sequence; the padding in front does not count.
        """

        def blocks():
            for first in range(0, len(x), _BLOCK):
                steps = x[first : first + _BLOCK].reshape(-1, n_steps, x.shape[1] // n_steps)
                if lengths is not None:
                    yield steps[np.arange(n_steps) >= n_steps - lengths[first : first + _BLOCK, None]] * np.float64(scale)
                else:
                    yield steps.reshape(-1, steps.shape[2]) * np.float64(scale)

        # About the first step: a constant input then has a mean and a spread without rounding.
        origin = next(blocks())[0]
        n = sum(len(block) for block in blocks())
        mean = sum((block - origin).sum(0) for block in blocks()) / n + origin
        spread = np.sqrt(sum(((block - mean) ** 2).sum(0) for block in blocks()) / n)
        return cls(mean, np.where(spread > 0, spread, 1.0), float(scale))

    def apply(self, x, n_steps=1, lengths=None):
        """Samples of the same form, shifted and scaled: float32 array of the same shape; padding in front stays 0."""
        result = np.empty(x.shape, np.float32)
        for first in range(0, len(x), _BLOCK):
            part = slice(first, first + _BLOCK)
            steps = x[part].reshape(-1, n_steps, len(self.mean))
            result[part] = ((steps * np.float64(self.scale) - self.mean) / self.spread).reshape(-1, x.shape[1])
        if lengths is not None:
            result.reshape(len(x), n_steps, -1)[np.arange(n_steps) < n_steps - lengths[:, None]] = 0.0
        return result


@dataclass(frozen=True)
class ImageStandardization:
    """Shift and scale of each sample to mean 0 and standard deviation 1 of its own values.

    A spread below ``1 / sqrt(n_features)`` counts as that, so that a sample of one value does not divide by 0 (as in
    ``tf.image.per_image_standardization``).

    Attributes
    ----------
    scale : float
        Factor of the stored values, which comes first.
    """

    scale: float = 1.0

    def apply(self, x, n_steps=1, lengths=None):
        """float32 array, shape (n_samples, n_features); `lengths` must be None."""
        result = np.empty(x.shape, np.float32)
        for first in range(0, len(x), _BLOCK):
            part = slice(first, first + _BLOCK)
            result[part] = standardize_images(x[part], self.scale)
        return result


def standardize_images(x, scale):
    """See `ImageStandardization`: float64 array of the shape of `x`."""
    values = np.asarray(x) * np.float64(scale)
    values -= values.mean(axis=1, keepdims=True)
    return values / np.maximum(np.sqrt((values**2).mean(axis=1, keepdims=True)), 1 / np.sqrt(values.shape[1]))
