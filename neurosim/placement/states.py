"""What neurons keep while they are trained: values of each step, what exists once, errors, biases, copies of others."""

import numpy as np


def array_bytes(n, bits):
    """Bytes of an array of n values of so many bits: whole bytes per array."""
    return (n * bits + 7) // 8


def state_sections(formats, workload, layout):
    """Bytes of `unrolled_state`, `feature_maps` and `neuron_state` on each core.

    Arrays, each rounded up to bytes: own values of all steps, own values that exist once, own errors; biases, their accumulators
    and each number of their optimizer; per segment the copies of values and the partial errors; the logits of other cores.

    Values and errors of maps stand in `feature_maps`, before and after pooling. A copy of maps of other cores is needed until the gradient of
    the segment is summed, and the partial errors only then, so that they take its place.

    Parameters
    ----------
    formats : Formats
        Widths of the profile.
    workload : Workload
    layout : Layout

    Returns
    -------
    dict of str to int64 array, shape (n_cores,)
        Without steps there is no `unrolled_state`: everything exists once; without maps no `feature_maps`.
    """
    topology, learns = workload.topology, not workload.host_learns
    activation, gradient, error = (field.value for field in (formats.activation_bits, formats.gradient_bits, formats.error_bits))
    n_kept = workload.kept_steps
    is_map = np.array([population.maps is not None for population in topology.populations])
    kept = np.array([population.places + (population.sent if population.maps and population.maps.pool else 0) for population in topology.populations])
    numbers = _count_numbers(topology, n_kept)
    of_steps, once, errors, biases = (counts @ layout.own for counts in numbers * ~is_map)
    biases = numbers[3] @ layout.own
    # A copy is kept as long as the walk back that needs it is to come: the last state of a sample is not copied for a next step.
    forward, backward, _ = topology.count_walks([topology.n_steps])
    of_step = np.array([topology.is_unrolled and not topology.reads_mean(projection) for projection in topology.projections])
    copies = array_bytes(layout.remote * np.minimum(forward, n_kept)[layout.matrix], activation)
    from_maps = is_map[layout.pre]
    of_steps_copies, once_copies = (layout.per_core(copies * where[layout.matrix] * ~from_maps) for where in (of_step, ~of_step))
    partial = layout.per_core(array_bytes(layout.remote * (backward > 0)[layout.matrix] * ~from_maps, error))
    logits = np.where(layout.own[-1] > 0, topology.sizes[-1] - layout.own[-1], 0)
    sections = {"unrolled_state": array_bytes(of_steps, activation) + of_steps_copies} if topology.is_unrolled else {}
    if topology.has_maps:
        own = (kept * is_map) @ layout.own
        of_others = layout.per_core(array_bytes(layout.remote * from_maps, max(activation, error * learns)))
        sections["feature_maps"] = array_bytes(own, activation) + learns * array_bytes(own, error) + of_others
    once = once if topology.is_unrolled else once + of_steps
    sections["neuron_state"] = (
        array_bytes(once, activation)
        + once_copies
        + array_bytes(biases, activation)
        + learns
        * (array_bytes(errors, error) + partial + array_bytes(logits, activation) + (1 + workload.state_words) * array_bytes(biases, gradient))
    )
    return sections


def _count_numbers(topology, n_kept):
    """Numbers that a neuron of each population keeps: values of steps, values once, errors, biases; int64, shape (4, n_populations)."""
    n_before = n_kept < topology.n_steps  # the states before the first of the kept steps
    numbers, last = np.zeros((4, len(topology.populations)), np.int64), len(topology.populations) - 1
    for i, population in enumerate(topology.populations[1:], 1):
        model = population.model
        of_steps = model.values * n_kept + model.states * n_before
        numbers[:, i] = (0, model.values, model.errors, 0) if i == last else (of_steps, 0, model.errors, 0)
        numbers[3, i] = model.sums * population.has_bias
    if topology.readout == "mean":
        numbers[1:3, topology.projections[-1].pre] += 1
    return numbers
