"""Counters of a store recomputed from its slots alone: the check of what is kept incrementally."""

from dataclasses import dataclass

import numpy as np

from neurosim.kernels.limits import recount_routes, recount_use


@dataclass(frozen=True)
class Counts:
    """Counters as recomputed from the slots alone."""

    fan_in: np.ndarray
    fan_out: np.ndarray
    n_destinations: np.ndarray


def count_from_slots(store):
    """Fan-in, fan-out and destinations recomputed from `pre`, `post` and `active`."""
    segments, matrices, slots, tally = store.segments, store.matrices, store.slots, store.tally
    fan_in, fan_out = np.zeros_like(slots.fan_in), np.zeros_like(slots.fan_out)
    cores_of_neuron = set()
    for g in range(segments.matrix.size):
        m = segments.matrix[g]
        rows = slice(segments.slot_start[g], segments.slot_start[g + 1])
        active = slots.active[rows] == 1
        pre, post = slots.pre[rows][active], slots.post[rows][active]
        np.add.at(fan_in, matrices.fan_in_start[m] + post, 1)
        np.add.at(fan_out, segments.fan_out_start[g] + pre, 1)
        for neuron in np.unique(pre) + matrices.pre_neuron[m]:
            if tally.home[neuron] >= 0 and tally.home[neuron] != segments.core[g]:
                cores_of_neuron.add((int(neuron), int(g)))
    n_destinations = np.zeros_like(tally.n_destinations)
    for neuron, _ in cores_of_neuron:
        n_destinations[neuron] += 1
    return Counts(fan_in, fan_out, n_destinations)


def recount(store):
    """Write the counters of `count_from_slots` into the store."""
    counts = count_from_slots(store)
    store.slots.fan_in[:] = counts.fan_in
    store.slots.fan_out[:] = counts.fan_out
    store.tally.n_destinations[:] = counts.n_destinations
    recount_use(store.slots, store.segments, store.matrices, store.tally)
    recount_routes(store.slots, store.segments, store.matrices, store.tally)
