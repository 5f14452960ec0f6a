"""Weights to start from: a run that goes on with a given network, inside the budgets of its chip.

Of each segment the connections with the largest weights are taken, as many as the scenario plans and as find room under every limit of the
chip; what is missing is drawn, with weight 0, so that the given network is what is trained. Where rules keep signs constant, a given
connection keeps its own until it leaves.
"""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np

from neurosim.datasets.standardize import ImageStandardization
from neurosim.errors import InputError
from neurosim.interchange import looks_like_network, read_any


def read_given(scenario):
    """The network of the file that a scenario starts from: `TrainedNetwork`, or None; a folder is that of a run (`scenario.start`).

    Raises
    ------
    InputError
        No such file or run, or a network of another kind, size or cell than the scenario's.
    """
    if scenario.start_from is None or not looks_like_network(scenario.start_from):
        return None
    network, choice = read_any(Path(scenario.start_from).expanduser()), scenario.network
    if network.type != choice.type:
        raise InputError(f"start_from: {scenario.start_from} holds a network of type {network.type}; network.type is {choice.type}")
    if choice.has_maps:
        want, have, key = _layers_of(choice.convolutional), _layers_of(network.topology), "network.layers"
    elif choice.is_recurrent:
        want, have = tuple(choice.units), network.sizes[1:-1]
        key = "network.units"
        if network.readout != (choice.readout or "last"):
            raise InputError(f"start_from: {scenario.start_from} reads out the {network.readout}; set network.readout to {network.readout}")
    else:
        want, have, key = tuple(choice.layers), network.sizes, "network.layers"
    if not choice.is_recurrent and tuple(network.cells) != tuple(choice.cells) and want == have:
        raise InputError(
            f"start_from: {scenario.start_from} has cells {', '.join(network.cells)}, the scenario {', '.join(choice.cells)}; "
            "set network.activation to them"
        )
    if want != have:
        raise InputError(f"start_from: {scenario.start_from} has sizes [{', '.join(map(str, have))}]; {key} is [{', '.join(map(str, want))}]")
    if network.biases and not choice.is_recurrent and not choice.bias:
        raise InputError(f"start_from: {scenario.start_from} has biases; set network.bias to true")
    return network


def _layers_of(topology):
    """Layers of a network with maps in words: of each its maps or neurons, its kernel and its pooling."""
    inputs, *layers = topology.populations
    words = [f"{inputs.n}x{inputs.maps.height}x{inputs.maps.width}"]
    for population, projection in zip(layers, topology.projections, strict=True):
        kernel, pool = projection.pattern, population.maps and population.maps.pool
        word = f"{population.n}"
        word += f" of kernel {kernel.kernel} stride {kernel.stride} padding {kernel.padding}" if kernel else ""
        word += f" {pool.kind} {pool.window} stride {pool.stride} padding {pool.padding}" if pool else ""
        words.append(word)
    return words


def digest_of(network):
    """What tells a start from another, for checkpoints."""
    return hashlib.sha256(network.npz_bytes()).hexdigest()


def as_data_enter(network, dataset, scenario):
    """The network as it must be for samples as they enter this run: what it does with its inputs goes into its first weights and biases.

    Parameters
    ----------
    network : TrainedNetwork
    dataset : Dataset
    scenario : Scenario

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
        A shift of the inputs, and no biases to take it; images that are standardized each by itself here or there alone; or, of a
        convolution, what differs within a map, or a shift at a border.
    """
    if network.scale is None:
        raise InputError(f"start_from: {scenario.start_from} does not say how its inputs are scaled")
    by_image = isinstance(dataset.standardization, ImageStandardization)
    if network.per_image != by_image:
        as_trained = "image" if network.per_image else "true" if network.mean is not None else "false"
        raise InputError(
            f"start_from: {scenario.start_from} {'takes' if network.per_image else 'does not take'} each image standardized by itself, and this run "
            f"{'does' if by_image else 'does not'}; set dataset.standardize to {as_trained} as it was trained"
        )
    if by_image:
        return network
    # A stored value x is (x * factor - mean) / spread here, and was so there, in units of 0 to 1 unless it comes from neurosim.
    known, unit = dataset.standardization, "neurosim" not in network.origin
    raw = dataset.scale if known is None else known.scale
    here = _affine(raw, None if known is None else known.mean, None if known is None else known.spread)
    there = _affine(network.scale * (raw if unit else 1.0), network.mean, network.spread)
    if all(np.array_equal(np.float32(a), np.float32(b)) for a, b in zip(here, there, strict=True)):
        return network
    ratio = np.broadcast_to(there[0] / here[0], network.n_inputs)
    shift = np.broadcast_to(there[1] - here[1] * there[0] / here[0], network.n_inputs)
    first = network.matrices[0]
    if network.maps is not None:
        ratio, shift = _by_tap(network, ratio, shift, scenario)
    weight = first.weight.astype(np.float64)
    added = shift @ weight
    biases = dict(network.biases)
    if np.abs(added).max(initial=0) > 1e-6 * max(1.0, float(np.abs(weight.data).max(initial=0))):
        if not scenario.network.is_recurrent and not scenario.network.bias:
            raise InputError(
                f"start_from: {scenario.start_from} shifts its inputs, which takes biases here; set network.bias to true, or "
                f"dataset.standardize to {'false' if known is not None else 'true'} as it was trained"
            )
        biases[first.post] = (biases.get(first.post, 0) + added).astype(np.float32)
    scaled = first.weight.copy()
    scaled.data = (np.repeat(ratio, np.diff(scaled.indptr)) * scaled.data).astype(np.float32)
    return replace(network, matrices=(replace(first, weight=scaled), *network.matrices[1:]), biases=biases)


def _by_tap(network, ratio, shift, scenario):
    """What an input is multiplied with and shifted by, of each row of the first kernels: the same all over a map, which they walk."""
    n_maps, kernel = network.maps["input_shape"][0], network.maps["kernels"][0]
    of_maps = []
    for values in (ratio, np.broadcast_to(shift, network.n_inputs)):
        values = np.asarray(values, np.float64).reshape(n_maps, -1)
        if np.ptp(values, axis=1).max() > 1e-6 * max(1e-30, np.abs(values).max()):
            raise InputError(
                f"start_from: {scenario.start_from} takes inputs that are scaled or shifted one by one, which kernels cannot take over; set "
                f"dataset.standardize to {'true' if network.mean is not None else 'false'} as it was trained"
            )
        of_maps.append(np.repeat(values[:, 0], kernel["kernel"] ** 2))
    if kernel["padding"] and np.abs(of_maps[1]).max() > 0:
        raise InputError(
            f"start_from: {scenario.start_from} shifts its inputs, of which the padding of its first convolution takes no part; set "
            f"dataset.standardize to {'true' if network.mean is not None else 'false'} as it was trained"
        )
    return of_maps


def _affine(factor, mean, spread):
    """Slope and shift of what enters, of each input."""
    if mean is None:
        return np.float64(factor), np.float64(0.0)
    return factor / np.asarray(spread, np.float64), -np.asarray(mean, np.float64) / spread


def place_network(store, network):
    """Give an empty store the connections of a network: the largest weights of each segment that find room, then drawn ones of weight 0.

    Parameters
    ----------
    store : SynapseStore
        Without connections.
    network : TrainedNetwork

    Returns
    -------
    dict
        ``taken`` and ``given`` connections, and those ``drawn``: ints.
    """
    from neurosim.synapses.initial import fill_up

    plan, slots = store.plan, store.slots
    n_taken = 0
    for g in sorted(range(len(plan.segments)), key=lambda g: plan.segments[g].n_active) if store.segments.is_limited else range(len(plan.segments)):
        segment, matrix = plan.segments[g], plan.matrices[plan.segments[g].matrix]
        weight = network.matrices[segment.matrix].weight.tocsc()[:, segment.post_start : segment.post_stop].tocoo()
        positions = weight.col.astype(np.int64) * matrix.n_pre + weight.row
        order = np.lexsort((positions, -np.abs(weight.data)))
        n_taken += store.place(g, positions[order], plan.n_start[g])
        start, stop = store.segments.slot_start[g : g + 2]
        used = np.flatnonzero(slots.active[start:stop]) + start
        by_position = np.argsort(positions)
        places = (slots.post[used].astype(np.int64) - segment.post_start) * matrix.n_pre + slots.pre[used]
        given = weight.data[by_position[np.searchsorted(positions[by_position], places)]] if used.size else np.zeros(0, np.float32)
        if slots.master.size:
            slots.master[used] = np.copysign(np.minimum(np.abs(given), matrix.grid.top), given)
        slots.weight[used] = matrix.grid.round(given)[0]
    n_drawn = fill_up(store)
    return {"given": network.n_synapses, "taken": int(n_taken), "drawn": n_drawn}
