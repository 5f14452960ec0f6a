"""What a network did, and where: the counts of a run and the placement that counting reads them with."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Activity:
    """What a network did over some samples: exact counts, the same on every chip.

    Attributes
    ----------
    segment : dict of str to int64 array, shape (n_segments,)
        ``slots``, ``slots_backward``, ``slots_gradient``, ``pre_nonzero``, ``pair_nonzero``, ``rows_nonzero``, ``updated``, ``drawn``,
        ``released``, ``accepted``, ``rejected``, ``exact``, ``rows_checked``, ``merges``, ``unfilled``, ``placed``, ``erased``,
        ``searches``, ``ranked``, ``dense_samples``, ``dense_rows``, ``dense_searches``, ``masked``, ``dormant``, ``seen``, ``words_seen``,
        ``place_rows``.
        See `kernels.layout.SegmentEvent`.
    nonzero : int64 array, shape (n_neurons,)
        Forward walks in which a pre neuron of a matrix was non-zero, matrix after matrix.
    sent, received : int64 array, shape (n_matrices, n_cores)
        Values that crossed between cores, by the matrix that asked for them.
    pairs : int64 array, shape (n_cores, n_cores)
        The same, from core to core, where packets differ by where they go; else of size 0.
    sent_back, received_back : int64 array, shape (n_cores,)
        Partial errors that crossed between cores.
    pairs_back : int64 array
        The same, as `pairs`.
    passes : int64 array, shape (2, n_populations)
        How often each population went forward and backward, as `Topology.count_passes` says.
    walks : int64 array, shape (3, n_matrices)
        How often each matrix was walked forward, backward and for its gradient, as `Topology.count_walks` says.
    n_samples, n_steps : int
        Samples seen; updates of the weights, 0 for an evaluation.
    n_losses : int
        Times that outputs had errors, as `Topology.count_losses` says; once a sample but in some spiking networks.
    """

    segment: dict
    nonzero: np.ndarray
    sent: np.ndarray
    received: np.ndarray
    pairs: np.ndarray
    sent_back: np.ndarray
    received_back: np.ndarray
    pairs_back: np.ndarray
    passes: np.ndarray
    walks: np.ndarray
    n_samples: int
    n_steps: int = 0
    n_losses: int = 0


class Shape:
    """Where segments and neurons lie: the integer facts of a placement that counting needs.

    Attributes
    ----------
    core, matrix, pre, n_pre, n_slots, n_positions : int64 array, shape (n_segments,)
        `pre` is the population that feeds the segment.
    own, own_sums : int64 array, shape (n_populations, n_cores)
        Neurons of each population that live on a core, and their sums; 0 for inputs. Those of maps count at every place.
    own_sent, own_pooled : int64 array, shape (n_populations, n_cores)
        Values that they send; those of them that pooling makes.
    pooled_pairs : int64 array, shape (n_populations, n_cores)
        (pooled value, value of its window) pairs.
    window_rows : int64 array, shape (n_populations, n_cores)
        Rows of the windows of pooling.
    own_biases : int64 array, shape (n_populations, n_cores)
        Their biases: one for all places of a map.
    homes : list of int64 array
        Core of each neuron of each population; -1 for inputs.
    pre_start : int64 array, shape (n_matrices + 1,)
        First number of the pre neurons of each matrix, and of the outputs.
    remote : int64 array, shape (n_segments,)
        Hidden pre neurons of a segment that live on other cores.
    has_input, has_output : bool array, shape (n_cores,)
    other_outputs : int64 array, shape (n_cores,)
        For a core with output neurons: output neurons of other cores.
    output_cores : int
        Cores with output neurons.
    """

    def __init__(self, placement):
        layout = placement.layout
        self.topology, self.n_cores = layout.topology, layout.n_cores
        self.core, self.matrix, self.pre, self.n_pre = layout.core, layout.matrix, layout.pre, layout.n_pre
        self.n_positions, self.remote, self.has_input = layout.n_positions, layout.remote, layout.has_input
        self.n_slots = np.array([s.n_slots for s in placement.segments], np.int64)
        self.homes, populations = placement.homes, self.topology.populations
        units = layout.own
        is_pooled = np.array([[p.maps is not None and p.maps.pool is not None] for p in populations])
        self.own = units * np.array([[p.places] for p in populations])
        self.own_sums = self.own * np.array([[p.sums] for p in populations])
        self.own_sent = units * np.array([[p.sent] for p in populations])
        self.own_pooled = self.own_sent * is_pooled
        self.pooled_pairs = units * np.array([[p.maps.n_pooled if p.maps else 0] for p in populations])
        self.window_rows = units * np.array([[p.maps.n_window_rows if p.maps else 0] for p in populations])
        self.own_biases = units * np.array([[p.sums * p.has_bias] for p in populations])
        self.pre_start = np.cumsum([0, *(n_pre for n_pre, _ in self.topology.shapes)])
        self.n_inputs, self.n_outputs = self.topology.n_values[0], self.topology.sizes[-1]
        self.has_output = self.own[-1] > 0
        self.output_cores = int(self.has_output.sum())
        self.other_outputs = np.where(self.has_output, self.n_outputs - self.own[-1], 0)

    def per_core(self, values):
        """Sum of segment values on each core: int64, shape (n_cores,)."""
        total = np.zeros(self.n_cores, np.int64)
        np.add.at(total, self.core, values)
        return total

    def updates(self, passes):
        """Sums that neurons turned into their values, and pooled values, on each core, in `passes` of each population."""
        return (passes[:, None] * (self.own_sums + self.own_pooled)).sum(axis=0)

    def own_hidden(self, passes):
        """Values that hidden neurons of each core had in `passes` of each population, before pooling."""
        return (passes[:, None] * self.own)[1:-1].sum(axis=0)

    @property
    def n_biases(self):
        """Biases of each core."""
        return self.own_biases.sum(axis=0)

    @property
    def norm_packets(self):
        """Packets of each core to each other that one norm of the gradient takes: every core with neurons has a part of it."""
        has_part = self.own.any(axis=0)
        packets = np.outer(has_part, has_part).astype(np.int64)
        np.fill_diagonal(packets, 0)
        return packets

    def visible_rows(self, activity):
        """(walk, non-zero pre neuron) pairs that a core sees, by first matrix and by all others.

        A core sees every input, its own hidden neurons, and the activations that were sent to it.
        """
        first = np.where(self.has_input, activity.nonzero[: self.n_inputs].sum(), 0)
        later = activity.received.sum(axis=0)
        for g in np.flatnonzero(self.pre > 0):
            start, stop = self.pre_start[self.matrix[g]], self.pre_start[self.matrix[g] + 1]
            here = self.homes[self.pre[g]] == self.core[g]
            later[self.core[g]] += activity.nonzero[start:stop][here].sum()
        return first, later
