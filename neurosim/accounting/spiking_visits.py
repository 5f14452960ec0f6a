"""Slots that the programs of spiking networks visit, by segment; what each of them does there stands in `accounting.spiking`."""

import numpy as np

from neurosim.placement.families import family_of
from neurosim.placement.programs import find_program, has_one_signal
from neurosim.placement.spiking import is_hidden


def forward_visits(placement, activity):
    """Slots that spikes reach, or, where every slot is looked at in every step, all."""
    return activity.segment["pre_nonzero" if jumps_rows(placement) else "slots"]


def jumps_rows(placement):
    """Whether the slots of a neuron are found by its spike: rows behind pointers, lists, or the wires of an array."""
    return placement.workload.execution == "event_driven" or not family_of(placement.profile).is_program


def count_sample_slots(training):
    """(sample, slot) pairs of each segment: exact with equal batches, or as long as segments keep their synapses."""
    return training.segment["updated"] * training.n_samples // max(training.n_steps, 1)


def count_replayed(placement, training):
    """Steps of history that slots replay, by segment: from each spike to the next of its neuron, or to the end, at most the cut-off."""
    return np.where(is_hidden(placement.layout), training.segment["pre_replayed"], 0)


def visits_by_spikes(placement):
    """Segments whose gradients are gathered at the spikes of pre neurons, and not slot by slot: bool array."""
    workload = placement.workload
    topology, hidden = workload.topology, is_hidden(placement.layout)
    program, one_signal = find_program(workload.program), has_one_signal(topology)
    if program.name == "eprop_spike":
        return hidden | (not one_signal)
    if program.name == "bptt" and jumps_rows(placement) and topology.reach == topology.n_steps:
        return hidden | (not one_signal)
    return np.zeros_like(hidden)


def gradient_visits(placement, training):
    """Slots that are visited for their gradient: int64 array, shape (n_segments,)."""
    return np.where(visits_by_spikes(placement), training.segment["pre_nonzero"], training.segment["slots_gradient"])


def visible_spikes(shape, activity):
    """Spikes of pre neurons that the core of each segment sees: of all inputs, of its own neurons, and those that were sent to it."""
    found = np.zeros(shape.core.size, np.int64)
    for g, (matrix, core) in enumerate(zip(shape.matrix, shape.core, strict=True)):
        spikes = activity.nonzero[shape.pre_start[matrix] : shape.pre_start[matrix + 1]]
        is_here = shape.homes[shape.pre[g]] == core if shape.pre[g] else np.ones(spikes.size, bool)
        found[g] = spikes[is_here].sum() + activity.received[matrix, core] * (shape.pre[g] > 0)
    return found
