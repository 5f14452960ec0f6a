"""What a core keeps of a spiking network while it learns, in bytes, section by section, for each of the programs in `programs`.

Widths: spikes are bits; `formats.trace_bits` are those of a trace (of the output's, `output_trace_bits`), `surrogate_bits` those of a derivative that
is kept; what a profile does not state is as wide as a gradient or an activation. Arrays are rounded up to bytes as elsewhere (`states`):
numbers of neurons per core, copies and traces of pre neurons per segment.

Where circuits compute the neurons they have their sums, potentials and learning signals, and what is kept here are traces, histories and
feedback alone.
"""

import numpy as np

from neurosim.placement.families import family_of
from neurosim.placement.programs import count_synapse_words, find_program, has_one_signal
from neurosim.placement.states import array_bytes


def bits_of(formats, name):
    """Width of a value that a profile need not state."""
    stated = getattr(formats, name)
    if stated is not None:
        return stated.value
    if name == "output_trace_bits" and formats.trace_bits is not None:
        return formats.trace_bits.value
    return (formats.activation_bits if name == "surrogate_bits" else formats.gradient_bits).value


def input_bits(formats, workload):
    """Width of one input of one step."""
    return 1 if workload.has_spike_inputs else formats.input_bits.value


def history_steps(workload):
    """Steps of which neurons keep what happened: those through which errors go back, or as long as a trace lasts."""
    topology = workload.topology
    if workload.host_learns or not find_program(workload.program).has_history:
        return 0
    if workload.program == "bptt":
        spiking = topology.spiking
        return topology.window if spiking.readout == "every" and not spiking.learning.is_online else topology.reach
    # One signal for all steps is known at the end, and a synapse replays all that went before.
    return topology.n_steps if has_one_signal(topology) else workload.trace_cutoff


def synapse_words(workload, layout):
    """Numbers that each slot keeps beside its accumulator, by segment: int64 array."""
    if workload.host_learns:
        return np.zeros(layout.matrix.size, np.int64)
    words = count_synapse_words(find_program(workload.program), workload.topology)
    return np.where(is_hidden(layout), words, 0)


def is_hidden(layout):
    """Which segments lead into spiking neurons, and not into the read-out: bool array."""
    return layout.matrix < len(layout.topology.projections) - 1


def trace_bits(formats, workload, layout):
    """Bits of the trace that each pre neuron of a segment has on its core: int64 array, 0 where it has none."""
    topology, program = workload.topology, find_program(workload.program)
    hidden = program.has_traces and not program.repeats_traces
    # A read-out with one signal takes one sum of spikes of each neuron; with a signal in every step a filtered spike, where it leaks.
    outputs = has_one_signal(topology) or program.has_traces and topology.spiking.kappa > 0
    return np.where(is_hidden(layout), hidden * bits_of(formats, "trace_bits"), outputs * bits_of(formats, "output_trace_bits"))


def count_state(workload):
    """Numbers of the present step that a spiking neuron, and one of the read-out, keep: (values, errors) of each."""
    topology, program = workload.topology, find_program(workload.program)
    spiking, model = topology.spiking, topology.populations[1].model
    # Sum, potential (and adaptation), steps for which it stays refractory; what the learning needs of the present step.
    values = model.sums + model.states + (spiking.refractory > 0)
    if workload.host_learns:
        return (values, 0), (2 + (spiking.readout == "mean"), 0)
    values += program.has_traces  # psi
    errors = model.errors + has_one_signal(topology) if program.name == "bptt" else 1  # the learning signal
    return (values, errors), (2 + (spiking.readout == "mean"), 1)


def spiking_sections(profile, workload, layout):
    """Bytes on each core of `neuron_state`, `history`, `pre_traces`, `feedback` and `input_buffer`.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
    layout : Layout

    Returns
    -------
    dict of str to int64 array, shape (n_cores,)
    """
    formats, topology, learns = profile.formats, workload.topology, not workload.host_learns
    is_program = family_of(profile).is_program
    spiking, own = topology.spiking, layout.own
    activation, gradient, error = (field.value for field in (formats.activation_bits, formats.gradient_bits, formats.error_bits))
    n_hidden, n_outputs = own[1:-1].sum(axis=0), own[-1]
    kept, program = history_steps(workload), find_program(workload.program)
    remote = np.where(layout.pre > 0, layout.remote, 0)

    (hidden_values, hidden_errors), (output_values, output_errors) = count_state(workload)
    biases = np.array([population.n_biases // max(population.n, 1) for population in topology.populations]) @ own
    state = array_bytes(n_hidden * hidden_values + n_outputs * output_values, activation) * is_program + array_bytes(biases, activation)
    if not kept:
        state = state + is_program * (array_bytes(n_hidden, 1) + layout.per_core(array_bytes(remote, 1)))
    if learns:
        _, backward, _ = topology.count_walks([topology.n_steps])
        partial = layout.per_core(array_bytes(remote * (backward > 0)[layout.matrix], error))
        logits = np.where(n_outputs > 0, topology.sizes[-1] - n_outputs, 0)
        state = state + is_program * (
            array_bytes(n_hidden * hidden_errors + n_outputs * output_errors, error) + partial + array_bytes(logits, activation)
        )
        if spiking.feedback != "symmetric":  # errors of the outputs of other cores
            state = state + is_program * np.where(n_hidden > 0, array_bytes(topology.sizes[-1] - n_outputs, error), 0)
        state = state + is_program * (1 + workload.state_words) * array_bytes(biases, gradient)
    sections = {"neuron_state": state}
    if kept:
        history = array_bytes(n_hidden * kept, bits_of(formats, "surrogate_bits")) + array_bytes(n_hidden * kept, 1)
        history = history + layout.per_core(array_bytes(remote * kept, 1))
        if spiking.readout == "every":
            history = history + array_bytes(n_outputs * kept, error)
            if program.is_online:
                history = history + array_bytes(n_hidden * kept, error)  # a learning signal for each step
        sections["history"] = history
    if learns:
        traces = layout.per_core(array_bytes(layout.n_pre * trace_bits(formats, workload, layout), 1))
        if traces.any():
            sections["pre_traces"] = traces
        if spiking.feedback != "symmetric":
            sections["feedback"] = array_bytes(n_hidden * topology.sizes[-1], gradient)
    sections["input_buffer"] = layout.has_input * array_bytes(topology.sizes[0] * max(kept, 1), input_bits(formats, workload))
    return sections
