"""What a run did, as integers per core and phase: the only place where activity becomes events.

The training program whose events are counted is the one whose memory is modelled: see the docstring of
`neurosim.placement.memory`, and `docs/hardware-model.md` for the table of accesses.
"""

from dataclasses import dataclass

import numpy as np

from neurosim.accounting.routes import count_hops, count_packets
from neurosim.placement.memory import SEARCH_BITS, theta_bits

PHASES = ("input", "forward", "backward", "gradient", "update", "rewire", "evaluate")
KINDS = (
    "synaptic_op",
    "neuron_update",
    "synaptic_update",
    "synaptic_write",
    "random_draw",
    "proposal_accepted",
    "proposal_rejected",
    "packet_sent",
    "packet_received",
    "host_byte",
    # Of the packets sent: those within a tile, those to another chip, and the hops between tiles that they take.
    "packet_local",
    "packet_offchip",
    "hop_east_west",
    "hop_north_south",
)
PHASE = {name: i for i, name in enumerate(PHASES)}
KIND = {name: i for i, name in enumerate(KINDS)}


@dataclass(frozen=True)
class Activity:
    """What a network did over some samples: exact counts, the same on every chip.

    Attributes
    ----------
    segment : dict of str to int64 array, shape (n_segments,)
        ``slots``, ``slots_backward``, ``slots_gradient``, ``pre_nonzero``, ``pair_nonzero``, ``rows_nonzero``, ``updated``, ``drawn``,
        ``released``, ``accepted``, ``rejected``, ``exact``, ``rows_checked``, ``merges``, ``unfilled``, ``placed``, ``erased``,
        ``searches``, ``ranked``, ``dense_samples``, ``dense_rows``, ``dense_searches``, ``masked``, ``dormant``.
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


class Shape:
    """Where segments and neurons lie: the integer facts of a placement that counting needs.

    Attributes
    ----------
    core, matrix, pre, n_pre, n_slots, n_positions : int64 array, shape (n_segments,)
        `pre` is the population that feeds the segment.
    own, own_sums : int64 array, shape (n_populations, n_cores)
        Neurons of each population that live on a core, and their sums; 0 for inputs.
    has_bias : bool array, shape (n_populations, 1)
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
        self.n_positions, self.own, self.remote, self.has_input = layout.n_positions, layout.own, layout.remote, layout.has_input
        self.n_slots = np.array([s.n_slots for s in placement.segments], np.int64)
        self.homes, populations = placement.homes, self.topology.populations
        self.own_sums = self.own * np.array([[p.model.sums if p.model else 0] for p in populations])
        self.has_bias = np.array([[p.has_bias] for p in populations])
        self.pre_start = np.cumsum([0, *(n_pre for n_pre, _ in self.topology.shapes)])
        self.n_inputs, self.n_outputs = self.topology.sizes[0], self.topology.sizes[-1]
        self.has_output = self.own[-1] > 0
        self.output_cores = int(self.has_output.sum())
        self.other_outputs = np.where(self.has_output, self.n_outputs - self.own[-1], 0)

    def per_core(self, values):
        """Sum of segment values on each core: int64, shape (n_cores,)."""
        total = np.zeros(self.n_cores, np.int64)
        np.add.at(total, self.core, values)
        return total

    def updates(self, passes):
        """Sums that neurons turned into their values, on each core, in `passes` of each population."""
        return (passes[:, None] * self.own_sums).sum(axis=0)

    def own_hidden(self, passes):
        """Values that hidden neurons of each core had in `passes` of each population."""
        return (passes[:, None] * self.own)[1:-1].sum(axis=0)

    @property
    def n_biases(self):
        """Biases of each core."""
        return np.where(self.has_bias, self.own_sums, 0).sum(axis=0)

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


@dataclass(frozen=True)
class Visits:
    """Slots that a core walks and multiplies per phase: int64 arrays, shape (n_segments,)."""

    forward: np.ndarray
    backward: np.ndarray
    gradient: np.ndarray
    forward_ops: np.ndarray
    backward_ops: np.ndarray
    gradient_ops: np.ndarray


def count_visits(placement, activity):
    """Slots walked and multiplied, by execution style and storage family.

    ``scan`` walks and multiplies every slot. ``event_driven`` walks the rows of non-zero activations and
    multiplies, in backward and gradient, only where the error is non-zero. In a crossbar the forward
    product is analog and happens for non-zero activations; its processor walks all slots to learn.
    """
    segment, later = activity.segment, placement.layout.pre > 0
    slots, backward, gradient = (segment[k] for k in ("slots", "slots_backward", "slots_gradient"))
    rows, pairs = segment["pre_nonzero"], segment["pair_nonzero"]
    if placement.profile.storage.family != "address_space":
        return Visits(rows, backward, gradient, rows, backward, gradient)
    if placement.workload.execution == "event_driven":
        return Visits(rows, rows * later, rows, rows, pairs * later, pairs)
    return Visits(slots, backward, gradient, slots, backward, gradient)


@dataclass(frozen=True)
class Dense:
    """What dense gradients took, int64: (walk, position) products per segment; packets by matrix and core."""

    operations: np.ndarray
    sent: np.ndarray
    received: np.ndarray


def count_dense(placement, activity):
    """Products and packets of dense gradients.

    ``event_driven`` skips the rows of zero activations. Every core needs all activations of the layers before it, with or
    without a synapse, so each hidden neuron sends to every other core with a segment of the next matrix.
    """
    shape = Shape(placement)
    walks = activity.segment["dense_samples"]
    is_sorted = placement.profile.storage.family == "address_space" and placement.workload.execution == "event_driven"
    rows = activity.segment["dense_rows"] if is_sorted else walks * shape.n_pre
    sent, received = (np.zeros((len(shape.topology.projections), shape.n_cores), np.int64) for _ in range(2))
    for g in np.flatnonzero(shape.remote):
        own = shape.own[shape.pre[g]].copy()
        own[shape.core[g]] = 0
        sent[shape.matrix[g]] += walks[g] * own
        received[shape.matrix[g], shape.core[g]] += walks[g] * shape.remote[g]
    return Dense(rows * (shape.n_positions // shape.n_pre), sent, received)


def count_arrivals(placement, activity):
    """Synapses that were written into slots. In fixed places a dormant one wakes where it lies: its update has written it."""
    events = activity.segment
    wakes_in_place = placement.workload.has_places and not placement.workload.host_learns
    return events["accepted"] + events["exact"] + (0 if wakes_in_place else events["placed"])


def count_passes(bits):
    """Passes over numbers of `bits` bits in which a search counts."""
    return -(-bits // SEARCH_BITS)


def count_events(placement, training, evaluation):
    """Events of a run.

    Parameters
    ----------
    placement : Placement
    training, evaluation : Activity

    Returns
    -------
    int64 array, shape (n_cores, len(PHASES), len(KINDS))
    """
    shape = Shape(placement)
    events = np.zeros((shape.n_cores, len(PHASES), len(KINDS)), np.int64)

    def add(phase, kind, values):
        events[:, PHASE[phase], KIND[kind]] += values

    formats = placement.profile.formats
    if placement.workload.host_learns:
        _count_host_learning(add, shape, placement, training)
    else:
        _count_learning(add, shape, placement, training)
    _count_forward(add, "evaluate", shape, placement, evaluation)
    logits = _bytes(evaluation.n_samples * logit_bits(shape, formats))
    add("evaluate", "host_byte", _bytes(input_bits(shape, formats, evaluation)) + logits)
    if placement.geometry.tells_packets_apart:
        for phase, packets in count_packets(shape, training, evaluation, placement.workload.host_learns).items():
            for kind, values in count_hops(placement.geometry, packets).items():
                add(phase, kind, values)
    return events


def _count_forward(add, phase, shape, placement, activity):
    add(phase, "synaptic_op", shape.per_core(count_visits(placement, activity).forward_ops))
    add(phase, "neuron_update", shape.updates(activity.passes[0]))
    add(phase, "packet_sent", activity.sent.sum(axis=0))
    add(phase, "packet_received", activity.received.sum(axis=0))


def _count_learning(add, shape, placement, training):
    """Events of a chip that learns."""
    formats = placement.profile.formats
    n = training.n_samples
    visits = count_visits(placement, training)
    add("input", "host_byte", _bytes(input_bits(shape, formats, training)) + _bytes(n * label_bits(shape, formats)))
    _count_forward(add, "forward", shape, placement, training)
    add("forward", "packet_sent", n * shape.own[-1] * max(shape.output_cores - 1, 0))
    add("forward", "packet_received", n * shape.other_outputs)
    add("backward", "synaptic_op", shape.per_core(visits.backward_ops))
    hidden = np.arange(len(shape.own)) < len(shape.own) - 1  # the softmax has given the outputs their errors
    add("backward", "neuron_update", shape.updates(training.passes[1] * hidden))
    add("backward", "packet_sent", training.sent_back)
    add("backward", "packet_received", training.received_back)
    add("gradient", "synaptic_op", shape.per_core(visits.gradient_ops))
    add("update", "neuron_update", training.n_steps * shape.n_biases)
    add("update", "synaptic_update", shape.per_core(training.segment["updated"]))
    add("update", "random_draw", shape.per_core(training.segment["drawn"]))
    for kind in ("synaptic_update", "random_draw"):
        add("update", kind, shape.per_core(training.segment["dormant"]))
    proposals = training.segment["accepted"] + training.segment["rejected"]
    arrivals = count_arrivals(placement, training)
    add("rewire", "proposal_accepted", shape.per_core(training.segment["accepted"]))
    add("rewire", "proposal_rejected", shape.per_core(training.segment["rejected"]))
    # One draw a proposal, one for the sign of an arrival.
    add("rewire", "random_draw", shape.per_core(proposals + training.segment["exact"] + arrivals))
    add("rewire", "synaptic_write", shape.per_core(arrivals))
    dense = count_dense(placement, training)
    add("rewire", "packet_sent", dense.sent.sum(axis=0))
    add("rewire", "packet_received", dense.received.sum(axis=0))
    # A search looks at every number once a pass, and once more to name what it found.
    n_looks = count_passes(theta_bits(placement.profile, placement.workload)) + 1
    n_dense_looks = count_passes(formats.gradient_bits.value) + 1
    searched = n_looks * training.segment["ranked"] + n_dense_looks * training.segment["dense_searches"] * shape.n_positions
    add("rewire", "synaptic_op", shape.per_core(dense.operations + searched))


def _count_host_learning(add, shape, placement, training):
    """Events of a chip whose host learns: the forward pass, what the host reads of it, and what it writes."""
    formats, n = placement.profile.formats, training.n_samples
    add("input", "host_byte", _bytes(input_bits(shape, formats, training)))
    _count_forward(add, "forward", shape, placement, training)
    add("forward", "host_byte", _bytes(n * state_bits(shape, formats)))
    add("update", "synaptic_write", shape.per_core(training.segment["updated"]))
    add("rewire", "synaptic_write", shape.per_core(count_arrivals(placement, training)))


@dataclass(frozen=True)
class Firing:
    """Neurons that were non-zero or not, for chips on which it makes a difference: int64, shape (n_cores, len(PHASES)).

    `spikes` are non-zero values of hidden neurons in a forward pass; `quiet` are updates of hidden neurons that were zero.
    """

    spikes: np.ndarray
    quiet: np.ndarray


def count_firing(placement, training, evaluation):
    """`Firing` of a run, or None where synapses are words in memory: there neurons are not watched in every run."""
    if placement.profile.storage.family == "address_space":
        return None
    shape = Shape(placement)
    spikes, quiet = (np.zeros((shape.n_cores, len(PHASES)), np.int64) for _ in range(2))
    hidden, home = slice(shape.pre_start[1], shape.pre_start[-1]), np.concatenate([shape.homes[0][:0], *shape.homes[1:-1]])
    for phases, activity in ((("forward", "backward"), training), (("evaluate",), evaluation)):
        fired = np.bincount(home, weights=activity.nonzero[hidden], minlength=shape.n_cores).astype(np.int64)
        spikes[:, PHASE[phases[0]]] = fired
        for phase in phases if not placement.workload.host_learns else phases[:1]:
            quiet[:, PHASE[phase]] = shape.own_hidden(activity.passes[0]) - fired
    return Firing(spikes, quiet)


def input_bits(shape, formats, activity):
    """Bits of all inputs that the host writes to each core."""
    return np.where(shape.has_input, activity.passes[0, 0] * shape.n_inputs * formats.input_bits.value, 0)


def label_bits(shape, formats):
    """Bits of one sample's label that the host writes to each core."""
    return np.where(shape.has_output, shape.n_outputs * formats.input_bits.value, 0)


def state_bits(shape, formats):
    """Bits of one sample's hidden activations and logits that a host which learns reads from each core."""
    return shape.own.sum(axis=0) * formats.activation_bits.value


def logit_bits(shape, formats):
    """Bits of one sample's logits that the host reads from each core."""
    return shape.own[-1] * formats.activation_bits.value


def _bytes(bits):
    return (bits + 7) // 8
