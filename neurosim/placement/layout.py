"""Which post neurons, and so which segments, each core holds: arrays over segments, for one number of cores."""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from neurosim.networks import Topology


@dataclass(frozen=True, eq=False)
class Layout:
    """Segments of a network on `n_cores` cores, ordered by matrix, then by core.

    Attributes
    ----------
    topology : Topology
    n_cores : int
    matrix, core, post_start, post_stop, n_pre, n_post : int64 array, shape (n_segments,)
        Post neurons [post_start, post_stop) of the matrix, each a sum of a neuron of its post population;
        n_post = post_stop - post_start.
    own : int64 array, shape (n_populations, n_cores)
        Neurons of each population on each core, of which each map is one; 0 for the inputs, which live on no core.
    first : tuple of int
        First segment of each matrix, and the number of segments.
    """

    topology: Topology
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
    def cores(self):
        """Numbers of all cores: int64 array, shape (n_cores,)."""
        return np.arange(self.n_cores)

    @property
    def n_positions(self):
        """Positions of each segment."""
        return self.n_pre * self.n_post

    @cached_property
    def n_possible(self):
        """The same without those of neurons to themselves, where these are none."""
        skips = np.array([projection.skips_self for projection in self.topology.projections], np.int64)[self.matrix]
        return (self.n_pre - skips) * self.n_post

    @cached_property
    def pre(self):
        """Number of the population that feeds each segment."""
        return np.array([projection.pre for projection in self.topology.projections], np.int64)[self.matrix]

    @cached_property
    def rows_per_sender(self):
        """Pre neurons of each segment that stand for one neuron, or map, of the population that feeds it: int64 array, shape (n_segments,)."""
        return np.array(self.topology.rows_per_neuron, np.int64)[self.matrix]

    @cached_property
    def n_senders(self):
        """Neurons of the population that feeds each segment; a map is one, whatever of it is read: int64 array, shape (n_segments,)."""
        return self.n_pre // self.rows_per_sender

    @cached_property
    def n_from_sender(self):
        """Positions that one of these has in each segment."""
        return self.n_post * self.rows_per_sender

    @cached_property
    def n_neurons(self):
        """Neurons of each core, those of maps at every place: int64 array, shape (n_cores,)."""
        return np.array([p.places for p in self.topology.populations]) @ self.own

    @cached_property
    def used(self):
        """Numbers of the cores that have neurons, ascending: int64 array. All segments lie on these."""
        return np.flatnonzero(self.own.any(axis=0))

    @cached_property
    def remote(self):
        """Values that pre neurons of each segment send from other cores; inputs live on none."""
        n, sent = (np.array([getattr(p, name) for p in self.topology.populations]) for name in ("n", "sent"))
        return np.where(self.pre > 0, (n[self.pre] - self.own[self.pre, self.core]) * sent[self.pre], 0)

    @cached_property
    def has_input(self):
        """Whether each core has a segment that the inputs feed."""
        return np.bincount(self.core[self.pre == 0], minlength=self.n_cores) > 0

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
        n_matrix = np.array([n_post for _, n_post in self.topology.shapes], np.int64)[self.matrix]
        return np.divmod(np.asarray(n_active, dtype=np.int64)[self.matrix] * self.n_post, n_matrix)

    def hidden_parts(self):
        """Per matrix that a hidden population feeds: pre neurons on each core, and the slice of its segments."""
        for projection, start, stop in zip(self.topology.projections, self.first, self.first[1:], strict=False):
            if projection.pre > 0:
                yield self.own[projection.pre], slice(start, stop)

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


def layout_of(workload, n_cores):
    """Layout of a workload on so many cores: as it is arranged, or even ranges where it is arranged for another number of cores.

    Parameters
    ----------
    workload : Workload
    n_cores : int

    Returns
    -------
    Layout
    """
    own = workload.own
    return make_layout(workload.topology, n_cores, own if own is not None and len(own[0]) == n_cores else None)


@lru_cache(maxsize=8)
def make_layout(topology, n_cores, own=None):
    """Contiguous ranges: the neurons of a population, with all sums of each, go to the cores in order.

    Parameters
    ----------
    topology : Topology
    n_cores : int
    own : tuple of tuple of int, optional
        Neurons of each population but the inputs on each core. Without it core c of C gets neurons [n * c // C, n * (c + 1) // C) of n.

    Returns
    -------
    Layout
        Shared between callers: read only.
    """
    bounds = np.arange(n_cores + 1, dtype=np.int64)
    populations = topology.populations
    if own is None:
        edges = [population.n * bounds // n_cores for population in populations]
    else:
        edges = [np.zeros(n_cores + 1, np.int64), *(np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]) for counts in own)]
    own = np.array([np.diff(edge) for edge in edges])
    own[0] = 0
    parts, first = [], [0]
    for i, projection in enumerate(topology.projections):
        core = np.flatnonzero(own[projection.post])
        edge = edges[projection.post] * populations[projection.post].model.sums
        start, stop = edge[core], edge[core + 1]
        parts.append((np.full(core.size, i), core, start, stop, np.full(core.size, topology.shapes[i][0]), stop - start))
        first.append(first[-1] + core.size)
    columns = [np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True)]
    for array in (*columns, own):
        array.flags.writeable = False
    return Layout(topology, n_cores, *columns, own, tuple(first))
