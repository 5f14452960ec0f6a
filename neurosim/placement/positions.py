"""Where the connections of a given network are: what is bounded for a network that is still to be drawn is counted exactly here.

A row is a pre neuron with at least one connection in a segment; what rows use is counted as the run keeps it (`kernels.limits`).
"""

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np

from neurosim.placement.rows import Bounds


@dataclass(frozen=True, eq=False)
class Positions:
    """Connections of a network.

    Attributes
    ----------
    pre, post : tuple of int64 array, shape (n_synapses of the matrix,)
        Of each matrix; no position twice. A post neuron is one sum.
    """

    pre: tuple[np.ndarray, ...]
    post: tuple[np.ndarray, ...]

    @cached_property
    def n_active(self) -> tuple[int, ...]:
        """Connections of each matrix."""
        return tuple(pre.size for pre in self.pre)

    @cached_property
    def _in_order(self):
        """Connections of each matrix by post neuron, and by pre neuron within one."""
        orders = [np.lexsort((pre, post)) for pre, post in zip(self.pre, self.post, strict=True)]
        return [(pre[order], post[order]) for pre, post, order in zip(self.pre, self.post, orders, strict=True)]

    @cached_property
    def fan_in(self) -> tuple[np.ndarray, ...]:
        """Connections of each post neuron up to the last that has one, of each matrix."""
        return tuple(np.bincount(post) for post in self.post)

    def count_on(self, layout):
        """Connections of each segment of a layout: int64 array, shape (n_segments,)."""
        counts = []
        for m, (_, post) in enumerate(self._in_order):
            starts = layout.post_start[layout.first[m] : layout.first[m + 1]]
            counts.append(np.diff(np.searchsorted(post, [*starts, layout.topology.shapes[m][1]])))
        return np.concatenate(counts).astype(np.int64)

    def on(self, layout):
        """The same on the segments of a layout: `SegmentRows`."""
        return _rows_on(self, layout)


@dataclass(frozen=True, eq=False)
class SegmentRows:
    """Rows of all segments of a layout: int64 arrays, shape (n_rows,), ordered by segment.

    Attributes
    ----------
    segment, pre, n : array
        Segment, pre neuron and connections of each row.
    n_active, fan_in : array, shape (n_segments,)
        Connections of each segment, and of its neuron with most.
    of_post : tuple of array
        Connections of each post neuron, of each matrix.
    """

    layout: object
    segment: np.ndarray
    pre: np.ndarray
    n: np.ndarray
    n_active: np.ndarray
    fan_in: np.ndarray
    of_post: tuple[np.ndarray, ...]

    def columns(self, merged):
        """Columns of each segment, where a neuron takes ``merged(fan_in)`` of them: int64 array, shape (n_segments,)."""
        layout = self.layout
        taken = [np.add.reduceat(merged(n), layout.post_start[a:b]) for n, a, b in zip(self.of_post, layout.first, layout.first[1:])]
        return np.concatenate(taken).astype(np.int64)

    def in_axons(self):
        """Rows of each core: `Bounds`."""
        return exactly(self.layout.per_core(np.bincount(self.segment, minlength=self.n_active.size)))

    def words(self, packings):
        """Words of packed lists of each segment: `Bounds`; `packings` : list of `rows.Packing`, of each segment."""
        words, starts = np.zeros(self.n_active.size, np.int64), np.searchsorted(self.segment, np.arange(self.n_active.size + 1))
        for g, packing in enumerate(packings):
            words[g] = packing.words(self.n[starts[g] : starts[g + 1]]).sum()
        return exactly(words)

    @cached_property
    def _sent(self):
        """Rows of neurons that live on a core: (population, neuron, home, core) arrays; a map is a neuron, whatever of its values is read."""
        layout = self.layout
        population, core = layout.pre[self.segment], layout.core[self.segment]
        neuron = self.pre // layout.rows_per_sender[self.segment]
        lives = population > 0
        population, neuron, core = population[lives], neuron[lives], core[lives]
        home = np.zeros_like(core)
        for p in np.unique(population).tolist():
            of_p, edges = population == p, np.cumsum(layout.own[p])
            home[of_p] = np.searchsorted(edges, neuron[of_p], side="right")
        return population, neuron, home, core

    def out_axons(self):
        """Rows on other cores of the neurons of each core: `Bounds`."""
        _, _, home, core = self._sent
        return exactly(np.bincount(home[home != core], minlength=self.layout.n_cores))

    def entries(self, chip):
        """Routing entries of each chip: `Bounds`; `chip` : int64 array, shape (n_cores,)."""
        population, neuron, home, core = self._sent
        away = home != core
        found = [np.stack([population[away], neuron[away], chip[at[away]]], 1) for at in (home, core)]
        taken = np.unique(np.concatenate(found), axis=0)
        return exactly(np.bincount(taken[:, 2].astype(np.int64), minlength=int(chip.max()) + 1))

    def targets(self, place, populations):
        """Most targets of a neuron of each population: `Bounds`; `place` : int64 array, shape (n_cores,)."""
        population, neuron, _, core = self._sent
        reached = np.unique(np.stack([population, neuron, place[core]], 1), axis=0)
        most = [np.bincount(reached[reached[:, 0] == p, 1]).max(initial=0) for p in populations]
        return exactly(np.array(most, np.int64))

    def routes(self, geometry):
        """Where packets go when each neuron sends one value, and each map all of its values: plain numbers.

        Returns
        -------
        dict of str to int
            ``packets`` to other cores, ``packets_offchip`` of them to other chips, ``hops`` of all within a chip (XY routes: the Manhattan
            distance of tiles) and ``most_hops`` of one; hops only where the profile says where tiles lie.
        """
        population, neuron, home, core = self._sent
        away = home != core
        pairs = np.unique(np.stack([population, neuron, home, core], 1)[away], axis=0)
        n = np.array([p.sent for p in self.layout.topology.populations], np.int64)[pairs[:, 0]]
        home, core = pairs[:, 2], pairs[:, 3]
        same = geometry.chip[home] == geometry.chip[core]
        found = {"packets": int(n.sum()), "packets_offchip": int(n[~same].sum())}
        if geometry.x is not None:
            hops = (abs(geometry.x[home] - geometry.x[core]) + abs(geometry.y[home] - geometry.y[core]))[same]
            found |= {"hops": int((n[same] * hops).sum()), "most_hops": int(hops.max(initial=0))}
        return found


def exactly(values):
    """`Bounds` of a count that is known."""
    values = np.asarray(values, np.int64)
    return Bounds(values, values, values, is_exact=True)


@lru_cache(maxsize=4)
def _rows_on(positions, layout):
    parts, fan_in, of_posts, n_active = [], [], [], positions.count_on(layout)
    for m, (pre, _) in enumerate(positions._in_order):
        first, last = layout.first[m : m + 2]
        n_pre, n_post = layout.topology.shapes[m]
        of_post = np.pad(positions.fan_in[m], (0, n_post - positions.fan_in[m].size))
        of_posts.append(of_post)
        fan_in.append(np.maximum.reduceat(of_post, layout.post_start[first:last]))
        segment = np.repeat(np.arange(first, last), n_active[first:last])
        keys, counts = np.unique(segment * n_pre + pre, return_counts=True)
        parts.append((keys // n_pre, keys % n_pre, counts))
    segment, pre, n = (np.concatenate(column).astype(np.int64) for column in zip(*parts, strict=True))
    return SegmentRows(layout, segment, pre, n, n_active, np.concatenate(fan_in).astype(np.int64), tuple(of_posts))
