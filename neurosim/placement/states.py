"""What neurons keep while they are trained: values of each step, what exists once, errors, biases, copies of others."""

import numpy as np


def array_bytes(n, bits):
    """Bytes of an array of n values of so many bits: whole bytes per array."""
    return (n * bits + 7) // 8


def state_sections(formats, workload, layout):
    """Bytes of `unrolled_state` and `neuron_state` on each core.

    Arrays, each rounded up to bytes: own values of all steps, own spikes of them, own values that exist once, own errors; biases, their accumulators
    and each number of their optimizer; per segment the copies of values and the partial errors; the logits of other cores.

    Parameters
    ----------
    formats : Formats
        Widths of the profile.
    workload : Workload
    layout : Layout

    Returns
    -------
    dict of str to int64 array, shape (n_cores,)
        Without steps there is no `unrolled_state`: everything exists once.
    """
    topology, learns = workload.topology, not workload.host_learns
    activation, gradient, error = (field.value for field in (formats.activation_bits, formats.gradient_bits, formats.error_bits))
    n_kept = workload.kept_steps
    of_steps, once, errors, biases = (counts @ layout.own for counts in _count_numbers(topology, n_kept))
    # A copy is kept as long as the walk back that needs it is to come: the last state of a sample is not copied for a next step.
    forward, backward, _ = topology.count_walks([topology.n_steps])
    of_step = np.array([topology.is_unrolled and not topology.reads_mean(projection) for projection in topology.projections])
    sends_bits = np.array([topology.spiking is not None and projection.pre > 0 for projection in topology.projections])
    widths = np.where(sends_bits, 1, activation)[layout.matrix]
    copies = array_bytes(layout.remote * np.minimum(forward, n_kept)[layout.matrix], widths)
    of_steps_copies, once_copies = (layout.per_core(copies * where[layout.matrix]) for where in (of_step, ~of_step))
    partial = layout.per_core(array_bytes(layout.remote * (backward > 0)[layout.matrix], error))
    logits = np.where(layout.own[-1] > 0, topology.sizes[-1] - layout.own[-1], 0)
    spikes = array_bytes(_count_spikes(topology, n_kept) @ layout.own, 1)
    sections = {"unrolled_state": array_bytes(of_steps, activation) + spikes + of_steps_copies} if topology.is_unrolled else {}
    once = once if topology.is_unrolled else once + of_steps
    sections["neuron_state"] = (
        array_bytes(once, activation)
        + once_copies
        + array_bytes(biases, activation)
        + learns
        * (array_bytes(errors, error) + partial + array_bytes(logits, activation) + (1 + workload.state_words) * array_bytes(biases, gradient))
    )
    return sections


def _count_spikes(topology, n_kept):
    """Spikes that a neuron of each population keeps, of one bit each; int64, shape (n_populations,)."""
    return np.array([n_kept * bool(population.model and population.model.spikes) for population in topology.populations], np.int64)


def _count_numbers(topology, n_kept):
    """Numbers that a neuron of each population keeps: values of steps, values once, errors, biases; int64, shape (4, n_populations)."""
    n_before = n_kept < topology.n_steps  # the states before the first of the kept steps
    numbers, last = np.zeros((4, len(topology.populations)), np.int64), len(topology.populations) - 1
    for i, population in enumerate(topology.populations[1:], 1):
        model = population.model
        if topology.spiking:  # what is kept of steps is there for errors; the states of the present step are there once
            numbers[:, i] = (model.values * n_kept * (i != last), model.states, model.errors, population.has_bias)
            continue
        of_steps = model.values * n_kept + model.states * n_before
        numbers[:, i] = (0, model.values, model.errors, 0) if i == last else (of_steps, 0, model.errors, 0)
        numbers[3, i] = model.sums * population.has_bias
    if topology.readout == "mean":
        numbers[1:3, topology.projections[-1].pre] += 1
    return numbers
