"""Events of spiking networks: learning signals and who sends them, and what the programs do; see `accounting.spiking`."""

import numpy as np

from neurosim.accounting.activity import Shape
from neurosim.accounting.spiking_visits import count_replayed
from neurosim.accounting.visits import count_visits
from neurosim.placement.families import family_of
from neurosim.placement.programs import count_synapse_words, find_program
from neurosim.placement.spiking import is_hidden


class Signals:
    """Learning signals of a training: how many, and who sends errors to whom.

    Attributes
    ----------
    n_losses : int
        Times that the outputs have errors.
    has_hidden : bool array, shape (n_cores,)
        Cores with spiking neurons.
    sent, received : int64 array, shape (n_cores,)
        Errors that outputs send to cores with spiking neurons, where these are fed back by numbers of their own.
    """

    def __init__(self, placement, training):
        shape, topology = Shape(placement), placement.workload.topology
        self.n_losses = training.n_losses
        self.has_hidden = shape.own[1:-1].sum(axis=0) > 0
        broadcasts = topology.spiking.feedback != "symmetric" and not placement.workload.host_learns
        targets = np.maximum(self.has_hidden.sum() - self.has_hidden, 0) * broadcasts
        self.sent = self.n_losses * shape.own[-1] * targets
        self.received = self.n_losses * np.where(self.has_hidden, shape.n_outputs - shape.own[-1], 0) * broadcasts

    def pairs(self, shape):
        """The errors from core to core: int64 array, shape (n_cores, n_cores)."""
        found = np.outer(self.n_losses * shape.own[-1], self.has_hidden) * bool(self.sent.any())
        np.fill_diagonal(found, 0)
        return found.astype(np.int64)


def count_spiking_events(add, shape, placement, training, count_forward):
    """Events of a chip that learns by one of the programs; those of updates and rewiring are as elsewhere.

    Parameters
    ----------
    add : callable
        From (phase, kind, values per core).
    shape : Shape
    placement : Placement
    training : Activity
    count_forward : callable
        From (phase, activity).
    """
    program, topology = find_program(placement.workload.program), placement.workload.topology
    signals, hidden = Signals(placement, training), is_hidden(placement.layout)
    visits = count_visits(placement, training)
    n, n_hidden = training.n_losses, shape.own[1:-1].sum(axis=0)
    count_forward("forward", training)
    add("forward", "packet_sent", n * shape.own[-1] * max(shape.output_cores - 1, 0))
    add("forward", "packet_received", n * shape.other_outputs)
    add("backward", "synaptic_op", shape.per_core(visits.backward))
    add("backward", "neuron_update", n * n_hidden)
    if program.name == "bptt":
        add("backward", "neuron_update", training.passes[1, 1] * n_hidden)
    add("backward", "packet_sent", training.sent_back + signals.sent)
    add("backward", "packet_received", training.received_back + signals.received)
    add("backward", "target_broadcast", signals.sent)
    add("gradient", "synaptic_op", shape.per_core(visits.gradient))
    # An engine beside circuits visits a synapse once a step for all that it does, which is an update.
    if family_of(placement.profile).is_program and program.has_traces and count_synapse_words(program, topology):
        add("gradient", "trace_update", shape.per_core(visits.gradient * hidden))
    if program.name == "eprop_spike":
        add("gradient", "history_read", shape.per_core(count_replayed(placement, training)))
