"""What a synapse store is built from: matrices, segments, scopes and limits, without any array."""

from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import numpy as np


class Grid(NamedTuple):
    """Values that a stored strength can take: multiples of `step` up to `top`, both powers of two or a difference of two.

    `ulp` makes it a floating-point format: strengths in [2^e, 2^(e+1)) are multiples of max(step, 2^e * ulp).
    A step of 0 stands for float32.
    """

    step: float = 0.0
    top: float = 3.4028234663852886e38
    ulp: float = 2.0**-23

    def round(self, weight):
        """Weights on the grid: the nearest value, of two the even one; beyond the range the largest.

        Parameters
        ----------
        weight : float32 array

        Returns
        -------
        rounded : float32 array
            With the sign bits of `weight`.
        n_over : int
            Weights beyond the range.
        """
        if not self.step:
            return weight.astype(np.float32), 0
        theta = np.abs(weight.astype(np.float64))
        step = np.maximum(self.step, np.ldexp(self.ulp, np.frexp(theta)[1] - 1))
        near = np.rint(theta / step) * step
        return np.copysign(np.minimum(near, self.top), weight).astype(np.float32), int((near > self.top).sum())


@dataclass(frozen=True)
class MatrixPlan:
    """One weight matrix.

    `pre_neuron` and `post_neuron` are the first neuron of either side in the numbering of `plan_matrices`; where a neuron has
    several sums, each of them is a post neuron of the matrix; with `skips_self` pre and post are the same neurons, and none has a synapse to
    itself. `fan_in_limit` is the most active synapses of one post neuron, or None. Weights lie on
    `grid`.
    """

    n_pre: int
    n_post: int
    pre_neuron: int
    post_neuron: int
    fan_in_limit: int | None = None
    grid: Grid = Grid()
    skips_self: bool = False

    def count_positions(self, n_post):
        """Positions of a range of `n_post` post neurons."""
        return (self.n_pre - self.skips_self) * n_post


@dataclass(frozen=True)
class SegmentPlan:
    """The slots of one matrix on one core: post neurons [post_start, post_stop) with all their inputs.

    `n_active` synapses are drawn at the start; `n_slots` is the fixed capacity.
    """

    matrix: int
    core: int
    post_start: int
    post_stop: int
    n_active: int
    n_slots: int


@dataclass(frozen=True)
class CorePlan:
    """Limits beside slots and fan-in: one number per core, or None where nothing is stated.

    `in_axons`: distinct pre neurons with synapses on the core. `out_axons`: pairs of a neuron of the core and another
    core that holds synapses of it. `words`: words of packed lists, with `synapse_bits` bits a synapse on each core; a
    block of at most `block_synapses` has `header_bits` more and is rounded up to `word_bits`.

    `chip`: of each core, all 0 without it. `routing_entries`: by the number of the chip, neurons whose packets its router steers to
    another core. `targets`: most places with synapses of one neuron, by the home of the neuron; `target_place` says which place each
    core is, all of one number counting as one.
    """

    in_axons: tuple[int, ...] | None = None
    out_axons: tuple[int, ...] | None = None
    words: tuple[int, ...] | None = None
    synapse_bits: tuple[int, ...] | None = None
    header_bits: int = 0
    block_synapses: int = 1
    word_bits: int = 0
    chip: tuple[int, ...] | None = None
    routing_entries: tuple[int, ...] | None = None
    targets: tuple[int, ...] | None = None
    target_place: tuple[int, ...] | None = None


@dataclass(frozen=True)
class StorePlan:
    """Plan of a whole network: segments are ordered by matrix, then by core.

    `scope` is one of ``core`` (a synapse stays in its core and matrix), ``layer`` (it stays in its
    matrix) and ``network``. `home` gives the core of every numbered neuron, -1 for inputs. `n_moments` is how many
    numbers the optimizer keeps per slot; `has_master`, whether a float32 copy of the weights learns in their place.

    What the rewiring rule is like, in plain values: with ``constant`` `signs` the sign of a position never changes,
    with ``free`` ones weights learn it, as they do in `free_matrices`, which never rewire; `starts_dense` activates every position at the start; `is_strict` promises
    that never more than `n_active` synapses are active. `counts_pairs` asks for the activations between each pair of cores, `counts_replays`
    for the steps in which traces of spikes are followed. `shares_signs`: all positions of a pre neuron have one constant sign.
    With `has_given_signs` the first connections had signs of their own, which they keep until they leave.
    `sender` : first number of the same neuron, of every numbered one, where neurons have several; routes are taken once for them all.
    """

    matrices: tuple[MatrixPlan, ...]
    segments: tuple[SegmentPlan, ...]
    scope: str
    home: tuple[int, ...]
    n_cores: int
    n_moments: int = 0
    has_master: bool = False
    limits: CorePlan = CorePlan()
    signs: str = "constant"
    free_matrices: tuple[int, ...] = ()
    starts_dense: bool = False
    is_strict: bool = True
    counts_pairs: bool = False
    counts_replays: bool = False
    sender: tuple[int, ...] | None = None
    shares_signs: bool = False
    has_given_signs: bool = False

    @property
    def n_neurons(self):
        """Numbered neurons, inputs included."""
        return len(self.home)

    @property
    def scope_start(self):
        """Where the segments of each scope start, and their end."""
        if self.scope == "core":
            return tuple(range(len(self.segments) + 1))
        if self.scope == "network":
            return (0, len(self.segments))
        first = [g for g, s in enumerate(self.segments) if g == 0 or self.segments[g - 1].matrix != s.matrix]
        return (*first, len(self.segments))

    @property
    def n_wanted(self):
        """Active synapses promised in each scope."""
        starts = self.scope_start
        return tuple(sum(s.n_active for s in self.segments[a:b]) for a, b in zip(starts, starts[1:]))

    @property
    def senders(self):
        """First number of the same neuron, of every numbered one."""
        return tuple(range(self.n_neurons)) if self.sender is None else self.sender

    @property
    def can_fill_routes(self):
        """Whether some draw could need more routing entries or targets than there are."""
        limits = self.limits
        by_targets = limits.targets is not None and len(set(limits.target_place)) > min(limits.targets)
        if limits.routing_entries is None or self.n_cores == 1:
            return by_targets
        senders, sending = self.senders, set()
        for m in self.matrices:
            if self.home[m.pre_neuron] >= 0:
                sending.update(senders[m.pre_neuron : m.pre_neuron + m.n_pre])
        by_entries = len(sending) > min(limits.routing_entries)
        return by_entries or by_targets

    @property
    def n_start(self):
        """Synapses of each segment that are active at the start."""
        if not self.starts_dense:
            return tuple(s.n_active for s in self.segments)
        return tuple(self.matrices[s.matrix].count_positions(s.post_stop - s.post_start) for s in self.segments)


def plan_matrices(sizes, projections, fan_in_limit=None, grids=None, rows=None, skips_self=None):
    """Matrices of a network, with numbers for all neurons that feed them, and for the outputs.

    A neuron has a number for each matrix that it feeds, so that what it does there is counted apart: a state may feed the
    next step more often than the read-out. The numbers follow the order of the matrices; the outputs come last.

    Parameters
    ----------
    sizes : sequence of (int, int)
        Neurons of each population and sums of each neuron; inputs first, outputs last.
    projections : sequence of (int, int)
        Pre and post population of each matrix.
    fan_in_limit : int or sequence of int, optional
        Most active synapses of one post neuron; of each matrix, or of all.
    grids : sequence of Grid, optional
        Of the weights of each matrix.
    rows : sequence of int, optional
        Of each matrix, how many of its pre neurons stand for one neuron of the population: of a map, elements of a kernel. One without.
    skips_self : sequence of bool, optional
        Of each matrix: whether no neuron has a synapse to itself; all may without it.

    Returns
    -------
    matrices : tuple of MatrixPlan
    populations : tuple of int
        Whose neurons are numbered, one population after the other.
    """
    populations = (*(pre for pre, _ in projections), len(sizes) - 1)
    rows = (*(rows or [1] * len(projections)), 1)
    starts = [0, *accumulate(sizes[i][0] * n for i, n in zip(populations, rows, strict=True))]
    limits = fan_in_limit if isinstance(fan_in_limit, (tuple, list)) else [fan_in_limit] * len(projections)
    matrices = tuple(
        MatrixPlan(sizes[pre][0] * n, sizes[post][0] * sizes[post][1], start, starts[populations.index(post)], limit, grid, bool(skips))
        for (pre, post), n, start, limit, grid, skips in zip(
            projections, rows, starts, limits, grids or [Grid()] * len(projections), skips_self or [False] * len(projections), strict=False
        )
    )
    return matrices, populations


def find_senders(sizes, populations, rows=None):
    """First number of the same neuron, of every number of `plan_matrices`: tuple of int.

    Parameters
    ----------
    sizes : sequence of int
        Neurons of each population.
    populations : sequence of int
        As `plan_matrices` returns it.
    rows : sequence of int, optional
        As there; a population with several rows a neuron feeds one matrix.
    """
    starts, senders = {}, []
    for i, n in zip(populations, (*(rows or [1] * (len(populations) - 1)), 1), strict=True):
        first = starts.setdefault(i, len(senders))
        senders += [first + k * n for k in range(sizes[i]) for _ in range(n)]
    return tuple(senders)


def one_core_plan(
    sizes,
    projections,
    n_active,
    *,
    scope="core",
    fan_in_limit=None,
    headroom=0.0,
    n_moments=0,
    grids=None,
    has_master=False,
    rows=None,
    skips_self=None,
):
    """Plan of a network on a single core.

    Parameters
    ----------
    sizes, projections, fan_in_limit, grids, rows, skips_self
        As in `plan_matrices`.
    n_active : sequence of int
        Active synapses of each matrix.
    scope : {'core', 'layer', 'network'}
        Where a released slot may be re-used.
    headroom : float
        Free slots of each segment, as a fraction of its active synapses.
    n_moments : int
        Numbers that the optimizer keeps per slot.
    has_master : bool
        Whether a float32 copy of the weights learns.

    Returns
    -------
    StorePlan
    """
    matrices, populations = plan_matrices(sizes, projections, fan_in_limit, grids, rows, skips_self)
    segments = tuple(
        SegmentPlan(i, 0, 0, m.n_post, k, min(m.count_positions(m.n_post), k + round(headroom * k)))
        for i, (m, k) in enumerate(zip(matrices, n_active, strict=True))
    )
    home = tuple(0 if i else -1 for i, n in zip(populations, (*(rows or [1] * len(projections)), 1), strict=True) for _ in range(sizes[i][0] * n))
    return StorePlan(matrices, segments, scope, home, 1, n_moments, has_master)


def layered_plan(layers, n_active, **options):
    """Plan of a multilayer perceptron on a single core.

    Parameters
    ----------
    layers : sequence of int
        Neurons of each layer, inputs first.
    n_active, options
        As in `one_core_plan`.

    Returns
    -------
    StorePlan
    """
    return one_core_plan([(n, 1) for n in layers], [(i, i + 1) for i in range(len(layers) - 1)], n_active, **options)
