"""Every use of a chip with its limit and who says so: the same pairs serve errors, tables and plots."""

from functools import lru_cache

import numpy as np

from neurosim.placement.checks import Check, cite, cite_limit, drawn
from neurosim.placement.families import Room, family_of
from neurosim.placement.geometry import locate_cores
from neurosim.placement.memory import fixed_sections, slot_sections
from neurosim.placement.routes import count_entries, count_targets, sending_populations
from neurosim.placement.rows import Bounds, count_rows, log_empties
from neurosim.placement.spill import choose_spill


def fan_in_limit(profile):
    """Most synapses of one neuron and the source of that limit, or (None, None).

    On a crossbar a synapse takes `rows_per_signed_weight` rows of its column, of the array and of a stated limit.
    """
    family, stated = family_of(profile), profile.limits.fan_in_per_neuron
    places = family.places_per_neuron(profile)
    found = [] if places is None else [places]
    if stated is not None:
        rows = family.rows_per_weight(profile)
        found.append((stated.max.value // rows, cite_limit(profile, "fan_in_per_neuron", _per_weight(rows))))
    return min(found, key=lambda pair: pair[0], default=(None, None))


def in_axon_limit(profile, workload):
    """Most distinct pre neurons with synapses on one core and the source of that limit, or (None, None)."""
    return min(family_of(profile).in_axon_limits(profile, workload), key=lambda pair: pair[0], default=(None, None))


def depends_on_draw(profile, workload):
    """Whether some limit is on a count that depends on which positions are drawn."""
    stated = (getattr(profile.limits, name) for name in ("out_axons_per_core", "routing_entries", "targets_per_neuron"))
    return family_of(profile).has_drawn_room or in_axon_limit(profile, workload)[0] is not None or any(limit is not None for limit in stated)


def target_places(profile, chip):
    """What counts as one target of a neuron: number of each core's place, int64 array; None where targets are not limited.

    `chip` : int64 array, shape (n_cores,).
    """
    stated = profile.limits.targets_per_neuron
    return None if stated is None else chip if stated.of == "chip" else np.arange(chip.size)


def fixed_checks(profile, layout):
    """Checks that do not depend on the number of synapses."""
    cores = np.arange(layout.n_cores)
    n_neurons = layout.n_neurons
    yield Check("cores", np.array([layout.n_cores]), profile.cores.value, "cores", cite(profile, "cores", profile.cores))
    stated = profile.limits.neurons_per_core
    if stated is not None:
        yield Check("neurons_per_core", n_neurons, stated.max.value, "neurons", cite_limit(profile, "neurons_per_core"), cores)
    yield from family_of(profile).fixed_checks(profile, layout)


def slot_checks(profile, workload, layout, n_active, slots, fixed_bytes, with_expected=True, may_spill=True):
    """Checks that more synapses can break.

    Parameters
    ----------
    n_active, slots : int64 array, shape (n_segments,)
    fixed_bytes : int64 array, shape (n_cores,)
        Sum of `fixed_sections`; not used where local memory is not limited.
    with_expected : bool
        Whether to compute expected uses beside their bounds, and of given positions the exact ones in their place.
    may_spill : bool
        Whether sections may move to shared memory, where the chip does that.
    """
    storage, limits, cores = profile.storage, profile.limits, np.arange(layout.n_cores)
    if workload.starts_dense:
        n_active = layout.n_possible  # all of them are there at the start, and never more
    if storage.local_bytes is not None:
        sections = slot_sections(profile, workload, layout, slots)
        n_bytes = sum(sections.values(), fixed_bytes)
        source = cite(profile, "storage.local_bytes", storage.local_bytes)
        spilled = choose_spill(profile, sections, n_bytes) if may_spill else {}
        if spilled:
            moved = sum(spilled.values())
            n_bytes = n_bytes - moved
            chip = locate_cores(profile, layout.n_cores).chip
            on_chip = np.bincount(chip, moved).astype(np.int64)
            limit, cited = storage.shared_bytes.value, cite(profile, "storage.shared_bytes", storage.shared_bytes)
            yield Check("shared_memory", on_chip, limit, "B", cited, places=_chips(on_chip.size))
        yield Check("local_memory", n_bytes, storage.local_bytes.value, "B", source, cores)
    family, room = family_of(profile), Room(profile, workload, layout, n_active, slots, with_expected)
    yield from family.array_checks(room)
    if limits.synapses_per_core is not None:
        rows, core_slots = family.rows_per_weight(profile), layout.per_core(slots)
        source = cite_limit(profile, "synapses_per_core", _per_weight(rows))
        yield Check("synapses_per_core", core_slots, limits.synapses_per_core.max.value // rows, "slots", source, cores)
    given = None if workload.positions is None or not with_expected else workload.positions.on(layout)
    limit, source = fan_in_limit(profile)
    if limit is not None and given is not None:
        merged = family.merged_columns(profile, given.fan_in, np.ones_like(given.fan_in), limit)
        limit, source = limit * merged, source + " x storage.merged_columns" * bool((merged > 1).any())
        yield Check("fan_in_per_neuron", given.fan_in, limit, "synapses", source, layout.core, layout.matrix)
    elif limit is not None:
        # Rewiring keeps single neurons inside the limit; there must be room for the average, rounded up.
        merged = family.merged_columns(profile, n_active, layout.n_post, limit)
        limit, source = limit * merged, source + " x storage.merged_columns" * bool((merged > 1).any())
        yield Check("fan_in_per_neuron", -(-n_active // layout.n_post), limit, "synapses", source, layout.core, layout.matrix)
    yield from family.list_checks(room)
    limit, source = in_axon_limit(profile, workload)
    if limit is not None:
        if given is None:
            rows = count_rows(layout.n_pre, layout.n_post, layout.n_pre, n_active, slots, with_expected).map(layout.per_core)
        else:
            rows = given.in_axons()
        yield drawn("in_axons_per_core", rows, limit, source, "axons", cores)
    if limits.out_axons_per_core is not None:
        rows = _count_out_axons(layout, n_active, slots, with_expected) if given is None else given.out_axons()
        limit, source = limits.out_axons_per_core.max.value, cite_limit(profile, "out_axons_per_core")
        yield drawn("out_axons_per_core", rows, limit, source, "axons", cores)
    if workload.is_rounded:
        used, (limit, source) = workload.theta_bits + (not has_sign_apart(profile)), widest_weight(profile)
        yield Check("weight_bits", np.array([used]), limit, "bit", source)
    yield from _route_checks(profile, layout, n_active, slots, with_expected, given)


def make_checks(profile, workload, layout, n_active, slots):
    """All checks of a placement, as a list of `Check`."""
    fixed_bytes = sum(fixed_sections(profile, workload, layout).values())
    return [*slot_checks(profile, workload, layout, n_active, slots, fixed_bytes), *fixed_checks(profile, layout)]


def _route_checks(profile, layout, n_active, slots, with_expected, given):
    limits, chip = profile.limits, locate_cores(profile, layout.n_cores).chip
    if limits.routing_entries is not None:
        entries = count_entries(layout, chip, n_active, slots, with_expected) if given is None else given.entries(chip)
        places = _chips(entries.most.size)
        limit, source = limits.routing_entries.max.value, cite_limit(profile, "routing_entries")
        yield drawn("routing_entries", entries, limit, source, "entries", places=places)
    if limits.targets_per_neuron is not None:
        place, senders = target_places(profile, chip), sending_populations(layout)
        targets = count_targets(layout, place, n_active, slots, with_expected) if given is None else given.targets(place, senders)
        places = tuple(f"each neuron of {layout.topology.populations[p].name}" for p in senders)
        limit, source = limits.targets_per_neuron.max.value, cite_limit(profile, "targets_per_neuron")
        yield drawn("targets_per_neuron", targets, limit, source, f"{limits.targets_per_neuron.of}s", places=places)


@lru_cache(maxsize=4)
def _chips(n):
    return tuple(f"chip {k}" for k in range(n)) if n > 1 else None


def _count_out_axons(layout, n_active, slots, with_expected):
    """Pairs (own row, other core that it feeds), per core: `Bounds`; of a map each row of its kernels, as the run counts them."""
    least, expected, most = np.zeros(layout.n_cores, np.int64), np.zeros(layout.n_cores), np.zeros(layout.n_cores, np.int64)
    for own, part in layout.hidden_parts():
        own = own * layout.rows_per_sender[part][0]
        core, n_pre, n_post = layout.core[part], layout.n_pre[part], layout.n_post[part]
        for n in np.unique(own[own > 0]):
            rows = count_rows(np.full(core.size, n), n_post, n_pre, n_active[part], slots[part], with_expected=False)
            mean = -n * np.expm1(log_empties(n_pre, n_post, n_active[part])) if with_expected else rows.most
            for total, values in ((least, rows.least), (expected, mean), (most, rows.most)):
                on_core = np.zeros(layout.n_cores, total.dtype)
                on_core[core] = values
                total[own == n] += (values.sum() - on_core)[own == n]
    return Bounds(least, np.clip(np.ceil(expected - 1e-9).astype(np.int64), least, most), most)


def has_sign_apart(profile):
    """Whether the sign has a place of its own, a field or the choice of a row, instead of one of the weight's bits."""
    return profile.synapse_word.sign_bits is not None or family_of(profile).has_signed_rows(profile)


def widest_weight(profile):
    """Widest weight that a chip can store, and the source that says so."""
    stated, field = profile.limits.weight_bits_native, profile.synapse_word.weight_bits
    found = [(field.value, cite(profile, "synapse_word.weight_bits", field))]
    if stated is not None:
        found.append((stated.max.value, cite_limit(profile, "weight_bits_native")))
    return min(found, key=lambda pair: pair[0])


def _per_weight(rows):
    return "" if rows == 1 else " // storage.rows_per_signed_weight"
