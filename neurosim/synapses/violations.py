"""Everything that can be wrong with a synapse store, one line each."""

import numpy as np

from neurosim.kernels.layout import Resource
from neurosim.kernels.limits import recount_routes, recount_use
from neurosim.kernels.membership import is_taken
from neurosim.synapses.recount import count_from_slots


def find_violations(store):
    """Breaches of the canonical form of `store` (see `SynapseStore`): list of str, empty when fine."""
    found = []
    in_range = True
    slots, segments, matrices, plan = store.slots, store.segments, store.matrices, store.plan
    for g, segment in enumerate(plan.segments):
        where = f"segment {g} (matrix {segment.matrix}, core {segment.core})"
        start, stop = segments.slot_start[g], segments.slot_start[g + 1]
        active = slots.active[start:stop]
        if not np.isin(active, (0, 1)).all():
            found.append(f"{where}: active flags other than 0 and 1")
        used = active == 1
        pre, post, weight = slots.pre[start:stop], slots.post[start:stop], slots.weight[start:stop]
        n_pre = plan.matrices[segment.matrix].n_pre
        if ((pre < 0) | (pre >= n_pre)).any():
            found.append(f"{where}: pre index out of range")
            in_range = False
        if ((post < segment.post_start) | (post >= segment.post_stop)).any():
            found.append(f"{where}: post index outside the core's neurons")
            in_range = False
        if not np.isfinite(weight).all():
            found.append(f"{where}: weight not finite")
        if (weight[~used] != 0).any():
            found.append(f"{where}: free slot with a weight")
        if not _lies_on(plan.matrices[segment.matrix].grid, weight):
            found.append(f"{where}: a weight that its format cannot hold")
        if slots.master.size:
            master = slots.master[start:stop]
            if (np.signbit(master) != np.signbit(weight))[used].any() or not np.isfinite(master).all() or (master[~used] != 0).any():
                found.append(f"{where}: a master copy that does not belong to its weight")
        if (slots.moments[:, start:stop][:, ~used] != 0).any():
            found.append(f"{where}: free slot with a state of the optimizer")
        if plan.matrices[segment.matrix].skips_self and (pre[used] == post[used]).any():
            found.append(f"{where}: a synapse of a neuron to itself")
        ids = pre[used].astype(np.int64) * plan.matrices[segment.matrix].n_post + post[used]
        if np.unique(ids).size != ids.size:
            found.append(f"{where}: {ids.size - np.unique(ids).size} positions held twice")
        n_free = int(slots.n_free[g, 0])
        if n_free != int((~used).sum()):
            found.append(f"{where}: {n_free} free slots counted, {int((~used).sum())} found")
        stack = slots.free_slot[start : start + n_free]
        if not np.array_equal(np.sort(stack), start + np.flatnonzero(~used)):
            found.append(f"{where}: stack of free slots does not list the free slots")
        for k in np.flatnonzero(used):
            if not is_taken(slots, matrices, segment.matrix, pre[k], post[k]):
                found.append(f"{where}: slot {start + k} is not found under its position")
                break
        is_constant = plan.signs == "constant" and not plan.has_given_signs and segment.matrix not in plan.free_matrices
        signs = [store.sign(segment.matrix, p, q) for p, q in zip(pre[used], post[used])] if is_constant else ()
        if is_constant and not np.array_equal(np.copysign(1.0, weight[used]), np.asarray(signs, np.float32)):
            found.append(f"{where}: a sign differs from the constant sign of its position")
    n_entries = int((slots.table >= 0).sum())
    if n_entries != store.n_active:
        found.append(f"membership table holds {n_entries} entries for {store.n_active} synapses")
    if not in_range:
        return found  # the counters cannot be recomputed from such indices
    counts = count_from_slots(store)
    for name, have in (("fan_in", slots.fan_in), ("fan_out", slots.fan_out), ("n_destinations", store.tally.n_destinations)):
        if not np.array_equal(have, getattr(counts, name)):
            found.append(f"{name} differs from a recount")
    for m, matrix in enumerate(plan.matrices):
        first = matrices.fan_in_start[m]
        most = slots.fan_in[first : first + matrix.n_post].max(initial=0)
        if matrix.fan_in_limit is not None and most > matrix.fan_in_limit:
            found.append(f"matrix {m}: fan-in {most} above its limit {matrix.fan_in_limit}")
    found += _limits(store)
    starts = segments.scope_start
    for scope, wanted in enumerate(segments.n_wanted):
        have = int(store.n_active_by_segment[starts[scope] : starts[scope + 1]].sum())
        if plan.is_strict and have > wanted:
            found.append(f"scope {scope}: {have} active synapses, promised {wanted}")
    return found


def _limits(store):
    """Counters of the cores' rows that differ from a recount, and limits that are broken, now or at the peak."""
    slots, segments = store.slots, store.segments
    names = ("in_axons", "out_axons", "words", "segment_words", "routed", "routing_entries", "reached", "targets")
    fresh = slots._replace(**{name: np.zeros_like(getattr(slots, name)) for name in names})
    for recount in (recount_use, recount_routes):
        recount(fresh, segments, store.matrices, store.tally)
    for name in names:
        if not np.array_equal(getattr(slots, name), getattr(fresh, name)):
            yield f"{name} differs from a recount"
    limits = (segments.in_axon_limit, segments.out_axon_limit, segments.word_limit, segments.entry_limit, segments.target_limit)
    for resource, limit, used in zip(Resource, limits, used_by_core(store), strict=True):
        name, peak = resource.name.lower(), store.tally.peak[resource]
        where = "chip" if resource == Resource.ROUTING_ENTRIES else "core"
        for place in np.flatnonzero(np.maximum(used, peak) > limit):
            yield f"{where} {place}: {name} {used[place]} (peak {peak[place]}) above its limit {limit[place]}"
        if (peak < used).any():
            yield f"{name}: the peak is below what is used"


def used_by_core(store):
    """What is in use of each `Resource` now: list of int64 arrays, shape (n_cores,), 0 where it is not counted.

    Routing entries are by the number of the chip; targets are the most of any neuron of the core.
    """
    slots, home = store.slots, store.tally.home
    most = np.zeros(store.plan.n_cores, np.int64)
    np.maximum.at(most, home[home >= 0], slots.targets[home >= 0])
    return [slots.in_axons, slots.out_axons, slots.words, slots.routing_entries, most]


def _lies_on(grid, weight):
    """Whether all weights are values of the grid."""
    if not grid.step:
        return True
    theta = np.abs(weight.astype(np.float64))
    step = np.maximum(grid.step, np.ldexp(grid.ulp, np.frexp(theta)[1] - 1))
    return bool(((theta <= grid.top) & (theta / step == np.floor(theta / step))).all())
