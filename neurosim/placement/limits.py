"""Every use of a chip with its limit and who says so: the same pairs serve errors, tables and plots."""

from dataclasses import asdict, dataclass

import numpy as np

from neurosim.placement.memory import fixed_sections, has_row_pointers, has_words, slot_sections


@dataclass(frozen=True)
class Usage:
    """One resource: what is used, what there is, and the key and source of the limit.

    `core` and `matrix` say where, when the limit is of a core or of a segment; `where` says it in words.
    """

    name: str
    where: str
    used: int
    limit: int
    unit: str
    source: str
    core: int | None = None
    matrix: int | None = None

    @property
    def fits(self):
        return self.used <= self.limit

    @property
    def over(self):
        """How much is used beyond the limit; negative when there is room."""
        return self.used - self.limit

    def to_dict(self):
        return {**asdict(self), "fits": self.fits}


@dataclass(frozen=True, eq=False)
class Check:
    """One limit over many places: `used`, `core` and `matrix` are arrays of one length, or core and matrix None."""

    name: str
    used: np.ndarray
    limit: int
    unit: str
    source: str
    core: np.ndarray | None = None
    matrix: np.ndarray | None = None

    @property
    def fits(self):
        return bool((self.used <= self.limit).all())

    def usages(self):
        """One `Usage` per place."""
        for k, used in enumerate(self.used.tolist()):
            core = None if self.core is None else int(self.core[k])
            matrix = None if self.matrix is None else int(self.matrix[k])
            where = "chip" if core is None else f"core {core}" if matrix is None else f"core {core}, matrix {matrix}"
            yield Usage(self.name, where, used, int(self.limit), self.unit, self.source, core, matrix)


def fan_in_limit(profile):
    """Most synapses of one neuron and the source of that limit, or (None, None).

    On a crossbar a synapse takes `rows_per_signed_weight` rows of its column, of the array and of a stated limit.
    """
    rows, stated, found = _rows_per_weight(profile), profile.limits.fan_in_per_neuron, []
    suffix = "" if rows == 1 else " // storage.rows_per_signed_weight"
    if stated is not None:
        found.append((stated.max.value // rows, _cite(profile, "limits.fan_in_per_neuron" + suffix, stated.max)))
    if not has_words(profile):
        found.append((profile.storage.rows.value // rows, _cite(profile, "storage.rows" + suffix, profile.storage.rows)))
    return min(found, key=lambda pair: pair[0], default=(None, None))


def fixed_checks(profile, layout):
    """Checks that do not depend on the number of synapses."""
    cores = np.arange(layout.n_cores)
    n_neurons = layout.own.sum(axis=0)
    yield Check("cores", np.array([layout.n_cores]), profile.cores.value, "cores", _cite(profile, "cores", profile.cores))
    stated = profile.limits.neurons_per_core
    if stated is not None:
        yield Check("neurons_per_core", n_neurons, stated.max.value, "neurons", _cite_limit(profile, "neurons_per_core"), cores)
    if has_words(profile):
        for name, used in (("pre_index", layout.n_pre), ("post_index", layout.n_post)):
            bits = getattr(profile.synapse_word, name + "_bits")
            source = _cite(profile, f"synapse_word.{name}_bits", bits)
            yield Check(name, used, 2**bits.value - 1, "neurons", source, layout.core, layout.matrix)
    else:
        columns = profile.storage.columns
        yield Check("columns", n_neurons, columns.value, "columns", _cite(profile, "storage.columns", columns), cores)


def slot_checks(profile, workload, layout, n_active, slots, fixed_bytes):
    """Checks that more synapses can break.

    Parameters
    ----------
    n_active, slots : int64 array, shape (n_segments,)
    fixed_bytes : int64 array, shape (n_cores,)
        Sum of `fixed_sections`.
    """
    storage, limits, cores = profile.storage, profile.limits, np.arange(layout.n_cores)
    n_bytes = sum(slot_sections(profile, workload, layout, slots).values(), fixed_bytes)
    yield Check("local_memory", n_bytes, storage.local_bytes.value, "B", _cite(profile, "storage.local_bytes", storage.local_bytes), cores)
    rows, core_slots = _rows_per_weight(profile), layout.per_core(slots)
    if not has_words(profile):
        source = _cite(profile, "storage.rows // storage.rows_per_signed_weight * storage.columns", storage.rows)
        yield Check("synapse_array", core_slots, storage.rows.value // rows * storage.columns.value, "slots", source, cores)
    if limits.synapses_per_core is not None:
        source = _cite_limit(profile, "synapses_per_core", "" if rows == 1 else " // storage.rows_per_signed_weight")
        yield Check("synapses_per_core", core_slots, limits.synapses_per_core.max.value // rows, "slots", source, cores)
    limit, source = fan_in_limit(profile)
    if limit is not None:
        # Rewiring keeps single neurons inside the limit; there must be room for the average, rounded up.
        most = slots if workload.starts_dense else n_active
        yield Check("fan_in_per_neuron", -(-most // layout.n_post), limit, "synapses", source, layout.core, layout.matrix)
    if has_row_pointers(profile, workload):
        bits = profile.formats.row_pointer_bits
        source = _cite(profile, "formats.row_pointer_bits", bits)
        yield Check("row_pointer", slots, 2**bits.value - 1, "slots", source, layout.core, layout.matrix)
    if limits.in_axons_per_core is not None:
        used, limit = layout.per_core(np.minimum(layout.n_pre, slots)), limits.in_axons_per_core.max.value
        yield Check("in_axons_per_core", used, limit, "axons", _cite_limit(profile, "in_axons_per_core"), cores)
    if limits.out_axons_per_core is not None:
        used, limit = _count_out_axons(layout, slots), limits.out_axons_per_core.max.value
        yield Check("out_axons_per_core", used, limit, "axons", _cite_limit(profile, "out_axons_per_core"), cores)
    if limits.routing_entries is not None:
        used, limit = _count_routing_entries(layout, slots), limits.routing_entries.max.value
        yield Check("routing_entries", np.array([used]), limit, "entries", _cite_limit(profile, "routing_entries"))


def make_checks(profile, workload, layout, n_active, slots):
    """All checks of a placement, as a list of `Check`."""
    fixed_bytes = sum(fixed_sections(profile, workload, layout).values())
    return [*slot_checks(profile, workload, layout, n_active, slots, fixed_bytes), *fixed_checks(profile, layout)]


def _hidden_sources(layout, slots):
    """Per matrix with a hidden pre layer: its pre neurons per core, and the slots of its segment on each core."""
    for i in range(1, len(layout.layers) - 1):
        part = slice(layout.first[i], layout.first[i + 1])
        on_core = np.zeros(layout.n_cores, dtype=np.int64)
        on_core[layout.core[part]] = slots[part]
        yield layout.own[i], on_core


def _count_out_axons(layout, slots):
    """Upper bound of pairs (own neuron, other core that it feeds), per core."""
    total = np.zeros(layout.n_cores, dtype=np.int64)
    for own, on_core in _hidden_sources(layout, slots):
        for c in np.flatnonzero(own):
            total[c] += np.minimum(own[c], np.delete(on_core, c)).sum()
    return total


def _count_routing_entries(layout, slots):
    """Upper bound of the hidden neurons with synapses on other cores; inputs come from the host."""
    total = 0
    for own, on_core in _hidden_sources(layout, slots):
        total += int(np.minimum(own, on_core.sum() - on_core).sum())
    return total


def _rows_per_weight(profile):
    return 1 if has_words(profile) else profile.storage.rows_per_signed_weight.value


def _cite(profile, key, quantity):
    return f"{key} ({quantity.source}: {profile.sources[quantity.source]})"


def _cite_limit(profile, name, suffix=""):
    return _cite(profile, f"limits.{name}{suffix}", getattr(profile.limits, name).max)
