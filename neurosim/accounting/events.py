"""What a run did, as integers per core and phase: the only place where activity becomes events.

The training program whose events are counted is the one whose memory is modelled: see the docstring of
`neurosim.placement.memory`, and `docs/hardware-model.md` for the table of accesses.
"""

from dataclasses import dataclass

import numpy as np

from neurosim.accounting.activity import Shape
from neurosim.accounting.routes import count_hops, count_packets
from neurosim.accounting.spiking_signals import Signals, count_spiking_events
from neurosim.accounting.visits import count_arrivals, count_dense, count_search_passes, count_visits
from neurosim.placement.families import family_of
from neurosim.placement.memory import host_rewires, theta_bits
from neurosim.placement.spiking import input_bits as width_of_input

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
    # Of spiking networks: visits of synapses to their traces, steps of the past that they read, and errors of outputs sent to cores with neurons,
    # which are among the packets.
    "trace_update",
    "history_read",
    "target_broadcast",
)
PHASE = {name: i for i, name in enumerate(PHASES)}
KIND = {name: i for i, name in enumerate(KINDS)}


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
    for phase, idle in count_idle(placement, training, evaluation).items():
        add(phase, "neuron_update", idle)
    logits = _bytes(evaluation.n_samples * logit_bits(shape, formats))
    add("evaluate", "host_byte", _bytes(input_bits(shape, placement, evaluation)) + logits)
    if placement.geometry.tells_packets_apart:
        for phase, packets in count_packets(shape, placement.workload, training, evaluation, broadcast_pairs(shape, placement, training)).items():
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
    add("input", "host_byte", _bytes(input_bits(shape, placement, training)) + _bytes(n * label_bits(shape, formats)))
    if placement.workload.topology.spiking:
        count_spiking_events(add, shape, placement, training, lambda phase, activity: _count_forward(add, phase, shape, placement, activity))
    else:
        _count_passes(add, shape, placement, training)
    _count_update(add, shape, placement, training)


def _count_passes(add, shape, placement, training):
    """The passes through a network whose neurons have values."""
    n, visits = training.n_samples, count_visits(placement, training)
    _count_forward(add, "forward", shape, placement, training)
    add("forward", "packet_sent", n * shape.own[-1] * max(shape.output_cores - 1, 0))
    add("forward", "packet_received", n * shape.other_outputs)
    add("backward", "synaptic_op", shape.per_core(visits.backward_ops))
    hidden = np.arange(len(shape.own)) < len(shape.own) - 1  # the softmax has given the outputs their errors
    add("backward", "neuron_update", shape.updates(training.passes[1] * hidden))
    add("backward", "packet_sent", training.sent_back)
    add("backward", "packet_received", training.received_back)
    add("gradient", "synaptic_op", shape.per_core(visits.gradient_ops))


def _count_update(add, shape, placement, training):
    """Updates of weights and biases, and rewiring."""
    formats = placement.profile.formats
    add("update", "neuron_update", training.n_steps * shape.n_biases)
    if placement.workload.clips:
        _count_norm(add, shape, training.n_steps)
    add("update", "synaptic_update", shape.per_core(_count_engine_visits(placement, training)))
    add("update", "random_draw", shape.per_core(training.segment["drawn"]))
    for kind in ("synaptic_update", "random_draw"):
        add("update", kind, shape.per_core(training.segment["dormant"]))
    arrivals = count_arrivals(placement, training)
    add("rewire", "synaptic_write", shape.per_core(arrivals))
    dense = count_dense(placement, training)
    add("rewire", "packet_sent", dense.sent.sum(axis=0))
    add("rewire", "packet_received", dense.received.sum(axis=0))
    add("rewire", "synaptic_op", shape.per_core(dense.operations))
    if host_rewires(placement.profile, placement.workload):
        return  # it searches and draws
    proposals = training.segment["accepted"] + training.segment["rejected"]
    add("rewire", "proposal_accepted", shape.per_core(training.segment["accepted"]))
    add("rewire", "proposal_rejected", shape.per_core(training.segment["rejected"]))
    # One draw a proposal, one for the sign of an arrival.
    add("rewire", "random_draw", shape.per_core(proposals + training.segment["exact"] + arrivals))
    # A search looks at every number once a pass, and once more to name what it found.
    n_looks = count_search_passes(theta_bits(placement.profile, placement.workload)) + 1
    n_dense_looks = count_search_passes(formats.gradient_bits.value) + 1
    searched = n_looks * training.segment["ranked"] + n_dense_looks * training.segment["dense_searches"] * shape.n_positions
    add("rewire", "synaptic_op", shape.per_core(searched))


def _count_engine_visits(placement, training):
    """Updates of synapses, per segment: one in each step of the weights, or one in each learning epoch of an engine with time steps."""
    steps = placement.profile.time.steps
    if steps is None:
        return training.segment["updated"]
    if placement.workload.topology.spiking:  # a step of the chip is one of the sample
        return steps.epochs_per_step.value * training.segment["slots"]
    n_matrices = len(placement.workload.topology.projections)
    return steps.of_training(n_matrices) * steps.epochs_per_step.value * training.segment["slots_gradient"]


def count_steps(placement, training, evaluation):
    """Time steps of all samples, trained and evaluated: (int, int), or None on a chip without them."""
    steps, n_matrices = placement.profile.time.steps, len(placement.workload.topology.projections)
    if steps is None:
        return None
    if placement.workload.topology.spiking:
        return int(training.passes[0, 0]), int(evaluation.passes[0, 0])
    trained = steps.of_evaluation(n_matrices) if placement.workload.host_learns else steps.of_training(n_matrices)
    return int(training.passes[0, 0]) * trained, int(evaluation.passes[0, 0]) * steps.of_evaluation(n_matrices)


def count_idle(placement, training, evaluation):
    """Updates of neurons in time steps in which the program needs none of them: every step updates all neurons of a core.

    Returns
    -------
    dict of str to int64 array, shape (n_cores,)
        By phase; empty on a chip without time steps. Those of training are booked in ``update``, or ``forward`` where the host learns.
    """
    steps = count_steps(placement, training, evaluation)
    if steps is None:
        return {}
    shape = Shape(placement)
    own = shape.own_sums.sum(axis=0)
    hidden = np.arange(len(shape.own)) < len(shape.own) - 1
    needed = shape.updates(training.passes[0])
    if not placement.workload.host_learns:
        needed = needed + shape.updates(training.passes[1] * hidden)
    return {
        "forward" if placement.workload.host_learns else "update": np.maximum(steps[0] * own - needed, 0),
        "evaluate": np.maximum(steps[1] * own - shape.updates(evaluation.passes[0]), 0),
    }


def _count_norm(add, shape, n_steps):
    """Events of the norm of the gradient: a product each, and each core tells all others the sum of its own."""
    add("update", "synaptic_op", shape.per_core(n_steps * shape.n_slots))
    add("update", "neuron_update", n_steps * shape.n_biases)
    for kind in ("packet_sent", "packet_received"):
        add("update", kind, n_steps * shape.norm_packets.sum(axis=0))


def _count_host_learning(add, shape, placement, training):
    """Events of a chip whose host learns: the forward pass, what the host reads of it, and what it writes."""
    add("input", "host_byte", _bytes(input_bits(shape, placement, training)))
    _count_forward(add, "forward", shape, placement, training)
    add("forward", "host_byte", _bytes(states_read(shape, placement, training)))
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
    """`Firing` of a run, or None where a program walks synapses: there neurons are not watched in every run."""
    if family_of(placement.profile).is_program:
        return None
    shape = Shape(placement)
    spikes, quiet = (np.zeros((shape.n_cores, len(PHASES)), np.int64) for _ in range(2))
    home = np.concatenate([shape.homes[0][:0], *shape.homes[1:-1]])
    # A neuron is numbered for each matrix that it feeds; the one into the next layer sees its spikes of all steps.
    after = [i for i, projection in enumerate(shape.topology.projections) if projection.pre and not projection.is_recurrent]
    hidden = np.concatenate([np.arange(0), *(np.arange(shape.pre_start[i], shape.pre_start[i + 1]) for i in after)])
    is_spiking = shape.topology.spiking is not None
    for phases, activity in ((("forward",) if is_spiking else ("forward", "backward"), training), (("evaluate",), evaluation)):
        fired = np.bincount(home, weights=activity.nonzero[hidden], minlength=shape.n_cores).astype(np.int64)
        spikes[:, PHASE[phases[0]]] = fired
        for phase in phases if not placement.workload.host_learns else phases[:1]:
            quiet[:, PHASE[phase]] = shape.own_hidden(activity.passes[0]) - fired
    for phase, idle in count_idle(placement, training, evaluation).items():
        quiet[:, PHASE[phase]] += idle
    return Firing(spikes, quiet)


def broadcast_pairs(shape, placement, training):
    """Errors of outputs from core to core; None where values of neurons are all that travels."""
    return Signals(placement, training).pairs(shape) if placement.workload.topology.spiking else None


def input_bits(shape, placement, activity):
    """Bits of all inputs that the host writes to each core: one for each where they are spikes."""
    width = width_of_input(placement.profile.formats, placement.workload)
    return np.where(shape.has_input, activity.passes[0, 0] * shape.n_inputs * width, 0)


def states_read(shape, placement, training):
    """Bits that a host which learns reads of each core: values of all neurons once a sample; of spiking ones the spikes of every step, and read-outs."""
    formats, topology = placement.profile.formats, placement.workload.topology
    if topology.spiking is None:
        return training.n_samples * state_bits(shape, formats)
    return shape.own_hidden(training.passes[0]) + training.n_losses * logit_bits(shape, formats)


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
