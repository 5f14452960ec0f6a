"""Which positions a projection may have, and what a position stands for: all pairs of neurons, or the elements of shared kernels.

A convolution is a weight matrix like any other: its pre neurons are the rows (input map, row of the kernel, column of the kernel), its post neurons
the output maps. What differs is how often a slot is used: once at each place whose tap lies inside the input map.
"""

from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError

POOLS = ("max", "average")


@dataclass(frozen=True)
class Pool:
    """How maps are made smaller: the largest value of each window, or the mean, of which padding counts as zeros.

    Attributes
    ----------
    kind : {'max', 'average'}
    window, stride, padding : int
        Values in a row; at most half of the window is padding.
    """

    kind: str
    window: int
    stride: int
    padding: int = 0

    def spans(self, n: int) -> np.ndarray:
        """First and last value, exclusive, of each window of a row of `n` values: int64 array, shape (windows, 2)."""
        first = np.arange(count_places(n, self.window, self.stride, self.padding)) * self.stride - self.padding
        return np.stack([np.maximum(first, 0), np.minimum(first + self.window, n)], axis=1)


@dataclass(frozen=True)
class Maps:
    """Values of a population that stand in maps: one map is one post neuron, whose sum exists at every place.

    Attributes
    ----------
    height, width : int
        Places of the sums.
    pool : Pool, optional
        What becomes of the values before they are sent.
    """

    height: int
    width: int
    pool: Pool | None = None

    @property
    def places(self) -> int:
        """Sums of one map."""
        return self.height * self.width

    @property
    def sent_height(self) -> int:
        return count_places(self.height, self.pool.window, self.pool.stride, self.pool.padding) if self.pool else self.height

    @property
    def sent_width(self) -> int:
        return count_places(self.width, self.pool.window, self.pool.stride, self.pool.padding) if self.pool else self.width

    @property
    def sent(self) -> int:
        """Values of one map that are sent."""
        return self.sent_height * self.sent_width

    @property
    def n_pooled(self) -> int:
        """(pooled value, value of its window) pairs of one map, without padding; 0 without pooling."""
        if self.pool is None:
            return 0
        rows, columns = (int(np.diff(self.pool.spans(n), axis=1).sum()) for n in (self.height, self.width))
        return rows * columns

    @property
    def n_window_rows(self) -> int:
        """Rows of all windows of one map, without padding; 0 without pooling."""
        return int(np.diff(self.pool.spans(self.height), axis=1).sum()) * self.sent_width if self.pool else 0


@dataclass(frozen=True)
class Convolution:
    """Square kernels that are shared by all places (cross-correlation, as everybody computes it).

    Attributes
    ----------
    kernel, stride, padding : int
        Elements of a kernel in a row; places from one output to the next; zeros around the input.
    """

    kernel: int
    stride: int = 1
    padding: int = 0

    @property
    def taps(self) -> int:
        """Elements of a kernel."""
        return self.kernel**2

    def uses(self, height: int, width: int) -> np.ndarray:
        """Places at which each element of a kernel reads the map and not its border: int64 array, shape (kernel, kernel).

        Parameters
        ----------
        height, width : int
            Of the input map.
        """
        return np.outer(*self._uses_by_side(height, width))

    def row_uses(self, height: int, width: int) -> np.ndarray:
        """Rows of places at which each element of a kernel reads the map: int64 array, shape (kernel, kernel)."""
        return np.repeat(self._uses_by_side(height, width)[0][:, None], self.kernel, axis=1)

    def _uses_by_side(self, height, width):
        """Places of a column, and of a row, at which elements of a kernel read no border: int64 arrays, shape (kernel,)."""
        taps, found = np.arange(self.kernel), []
        for n in (height, width):
            at = np.arange(count_places(n, self.kernel, self.stride, self.padding))[:, None] * self.stride + taps - self.padding
            found.append(((at >= 0) & (at < n)).sum(axis=0).astype(np.int64))
        return found


def count_places(n: int, window: int, stride: int, padding: int) -> int:
    """Outputs of windows over a row of `n` values: ``(n + 2 * padding - window) // stride + 1``."""
    return (n + 2 * padding - window) // stride + 1


def check_window(what: str, n_rows: int, n_columns: int, window: int, stride: int, padding: int, most_padding: int) -> None:
    """Refuse windows that do not lie on a map.

    Raises
    ------
    InputError
        `what`, then the sizes and what to do.
    """
    if min(window, stride) < 1 or padding < 0:
        raise InputError(f"{what}: found size {window}, stride {stride}, padding {padding}; sizes and strides begin at 1, padding at 0")
    if padding > most_padding:
        raise InputError(f"{what}: found padding {padding} around windows of {window}; at most {most_padding}, or some would see nothing but zeros")
    if window > min(n_rows, n_columns) + 2 * padding:
        found = f"{n_rows} x {n_columns}" + f" with padding {padding}" * (padding > 0)
        raise InputError(f"{what}: found a window of {window} x {window} on maps of {found}; use a smaller one, or more padding")
