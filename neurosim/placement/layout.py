"""Which post neurons, and so which segments, each core holds: arrays over segments, for one number of cores."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True, eq=False)
class Layout:
    """Segments of a network on `n_cores` cores, ordered by matrix, then by core.

    Attributes
    ----------
    layers : tuple of int
    n_cores : int
    matrix, core, post_start, post_stop, n_pre, n_post : int64 array, shape (n_segments,)
        Post neurons [post_start, post_stop) of the matrix, counted from the first of their layer;
        n_post = post_stop - post_start.
    own : int64 array, shape (n_layers, n_cores)
        Neurons of each layer on each core; 0 for the inputs, which live on no core.
    first : tuple of int
        First segment of each matrix, and the number of segments.
    """

    layers: tuple[int, ...]
    n_cores: int
    matrix: np.ndarray
    core: np.ndarray
    post_start: np.ndarray
    post_stop: np.ndarray
    n_pre: np.ndarray
    n_post: np.ndarray
    own: np.ndarray
    first: tuple[int, ...]

    @property
    def n_positions(self):
        """Positions of each segment."""
        return self.n_pre * self.n_post

    @property
    def own_pre(self):
        """Pre neurons of each segment that live on its own core."""
        return self.own[self.matrix, self.core]

    def divide(self, n_active):
        """Active synapses of each segment: in proportion to positions, by largest remainder.

        The sum over a matrix is exact, and no segment gets more than its positions: only a quota below the
        positions has a remainder. Equal remainders go to the lower core first.

        Parameters
        ----------
        n_active : sequence of int
            Of each matrix.

        Returns
        -------
        int64 array, shape (n_segments,)
        """
        counts, remainders = self._quotas(n_active)
        for i, total in enumerate(n_active):
            part = slice(self.first[i], self.first[i + 1])
            left = int(total - counts[part].sum())
            if left:
                counts[part][np.argsort(-remainders[part], kind="stable")[:left]] += 1
        return counts

    def divide_at_least(self, n_active):
        """What each segment gets for sure, now or for any larger count: `divide` without the remainders."""
        return self._quotas(n_active)[0]

    def _quotas(self, n_active):
        # Fan-in is the same for all segments of a matrix, so positions are in the proportion of post neurons.
        n_layer = np.asarray(self.layers, dtype=np.int64)[self.matrix + 1]
        return np.divmod(np.asarray(n_active, dtype=np.int64)[self.matrix] * self.n_post, n_layer)

    def per_core(self, values):
        """Sum over the segments of each core: int64 array, shape (n_cores,)."""
        total = np.zeros(self.n_cores, dtype=np.int64)
        for start, stop in zip(self.first, self.first[1:], strict=False):
            total[self.core[start:stop]] += values[start:stop]  # a core occurs once in a matrix
        return total


def n_slots(n_active, n_positions, workload):
    """Capacity of segments: min(positions, n_active + round(headroom * n_active)), or all positions; arrays in and out."""
    if workload.has_places:
        return n_positions.copy()
    headroom = workload.headroom
    return np.minimum(n_positions, n_active + np.rint(headroom * n_active).astype(np.int64))


@lru_cache(maxsize=8)
def make_layout(layers, n_cores):
    """Contiguous post ranges: core c of C gets neurons [n * c // C, n * (c + 1) // C) of a layer with n neurons.

    Parameters
    ----------
    layers : tuple of int
    n_cores : int

    Returns
    -------
    Layout
        Shared between callers: read only.
    """
    bounds = np.arange(n_cores + 1, dtype=np.int64)
    own = np.zeros((len(layers), n_cores), dtype=np.int64)
    parts, first = [], [0]
    for i, (n_pre, n) in enumerate(zip(layers, layers[1:], strict=False)):
        edge = n * bounds // n_cores
        own[i + 1] = np.diff(edge)
        core = np.flatnonzero(own[i + 1])
        parts.append((np.full(core.size, i), core, edge[core], edge[core + 1], np.full(core.size, n_pre), own[i + 1][core]))
        first.append(first[-1] + core.size)
    columns = [np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)]
    for array in (*columns, own):
        array.flags.writeable = False
    return Layout(layers, n_cores, *columns, own, tuple(first))
