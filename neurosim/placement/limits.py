"""Every use of a chip with its limit and who says so: the same pairs serve errors, tables and plots."""

from dataclasses import asdict, dataclass

import numpy as np

from neurosim.placement.memory import fixed_sections, has_lists, has_row_pointers, has_words, slot_sections, theta_bits
from neurosim.placement.geometry import locate_cores
from neurosim.placement.routes import count_entries, count_targets, sending_populations
from neurosim.placement.rows import Bounds, Packing, count_rows, count_words
from neurosim.placement.spill import choose_spill


@dataclass(frozen=True)
class Usage:
    """One resource: what is used, what there is, and the key and source of the limit.

    `core` and `matrix` say where, when the limit is of a core or of a segment; `where` says it in words. Where the use
    depends on which positions are drawn, `used` is expected, and every draw uses from `least` to `most`.
    """

    name: str
    where: str
    used: int
    limit: int
    unit: str
    source: str
    core: int | None = None
    matrix: int | None = None
    least: int | None = None
    most: int | None = None

    @property
    def fits(self):
        """Whether some draw fits; the run then keeps the limit, see `is_guaranteed`."""
        return (self.used if self.least is None else self.least) <= self.limit

    @property
    def is_guaranteed(self):
        """Whether every draw fits."""
        return (self.used if self.most is None else self.most) <= self.limit

    @property
    def over(self):
        """How much is used beyond the limit; negative when there is room."""
        return (self.used if self.least is None else self.least) - self.limit

    def to_dict(self):
        return {**asdict(self), "fits": self.fits}


@dataclass(frozen=True, eq=False)
class Check:
    """One limit over many places: `used`, `core` and `matrix` are arrays of one length, or core and matrix None.

    `least` and `most` are arrays beside `used`, the expected use, where it depends on the draw; `limit` is one number, or
    an array of that length. `places` says where in words, instead of core and matrix.
    """

    name: str
    used: np.ndarray
    limit: int
    unit: str
    source: str
    core: np.ndarray | None = None
    matrix: np.ndarray | None = None
    least: np.ndarray | None = None
    most: np.ndarray | None = None
    places: tuple | None = None

    @property
    def fits(self):
        """Whether some draw fits everywhere."""
        return bool(((self.used if self.least is None else self.least) <= self.limit).all())

    @property
    def is_guaranteed(self):
        """Whether every draw fits everywhere."""
        return bool(((self.used if self.most is None else self.most) <= self.limit).all())

    def usages(self):
        """One `Usage` per place."""
        limits = np.broadcast_to(self.limit, self.used.shape).tolist()
        for k, used in enumerate(self.used.tolist()):
            core = None if self.core is None else int(self.core[k])
            matrix = None if self.matrix is None else int(self.matrix[k])
            where = "chip" if core is None else f"core {core}" if matrix is None else f"core {core}, matrix {matrix}"
            where = self.places[k] if self.places else where
            bounds = (None, None) if self.least is None else (int(self.least[k]), int(self.most[k]))
            yield Usage(self.name, where, used, limits[k], self.unit, self.source, core, matrix, *bounds)


def fan_in_limit(profile):
    """Most synapses of one neuron and the source of that limit, or (None, None).

    On a crossbar a synapse takes `rows_per_signed_weight` rows of its column, of the array and of a stated limit.
    """
    rows, stated = _rows_per_weight(profile), profile.limits.fan_in_per_neuron
    found = [places_per_neuron(profile)] if has_crossbar(profile) or profile.storage.family == "cam_per_neuron" else []
    suffix = "" if rows == 1 else " // storage.rows_per_signed_weight"
    if stated is not None:
        found.append((stated.max.value // rows, _cite(profile, "limits.fan_in_per_neuron" + suffix, stated.max)))
    return min(found, key=lambda pair: pair[0], default=(None, None))


def places_per_neuron(profile):
    """Synapses that a neuron has places for in an array, and the source: cells of its column, or its CAM words."""
    if profile.storage.family == "cam_per_neuron":
        words = profile.storage.words_per_neuron
        return words.value, _cite(profile, "storage.words_per_neuron", words)
    rows = _rows_per_weight(profile)
    suffix = "" if rows == 1 else " // storage.rows_per_signed_weight"
    return profile.storage.rows.value // rows, _cite(profile, "storage.rows" + suffix, profile.storage.rows)


def in_axon_limit(profile):
    """Most distinct pre neurons with synapses on one core and the source of that limit, or (None, None).

    A crossbar has a row for each, or `rows_per_signed_weight`, unless its synapses hold labels and share rows.
    Where learning doubles the slots of an input axon, half of them are left.
    """
    storage, stated, found = profile.storage, profile.limits.in_axons_per_core, []
    if stated is not None:
        slots = getattr(storage, "axon_slots_when_learning", None)
        n, suffix = (1, "") if slots is None or slots.value == 1 else (slots.value, " // storage.axon_slots_when_learning")
        found.append((stated.max.value // n, _cite_limit(profile, "in_axons_per_core", suffix)))
    if has_crossbar(profile) and profile.synapse_word.label_bits is None:
        found.append(places_per_neuron(profile))
    return min(found, key=lambda pair: pair[0], default=(None, None))


def packing_of(profile, workload, n_neurons):
    """`Packing` of the lists of a core with `n_neurons` neurons, whose indices name the targets."""
    storage, word = profile.storage, profile.synapse_word
    fields = (word.sign_bits, word.delay_bits, word.tag_bits, word.type_bits)
    bits = theta_bits(profile, workload) + sum(field.value for field in fields if field is not None) + index_bits(profile, n_neurons)
    return Packing(bits, storage.header_bits.value, storage.block_synapses.value, storage.word_bits.value)


def index_bits(profile, n_neurons):
    """Bits of the index of a target on a core with `n_neurons` neurons."""
    return max(profile.storage.index_bits_least.value, (max(n_neurons, 1) - 1).bit_length())


def has_crossbar(profile):
    """Whether synapses are cells of rows and columns."""
    return profile.storage.family.startswith("crossbar")


def depends_on_draw(profile):
    """Whether some limit is on a count that depends on which positions are drawn."""
    stated = (getattr(profile.limits, name) for name in ("out_axons_per_core", "routing_entries", "targets_per_neuron"))
    return has_lists(profile) or in_axon_limit(profile)[0] is not None or any(limit is not None for limit in stated)


def target_places(profile, chip):
    """What counts as one target of a neuron: number of each core's place, int64 array; None where targets are not limited.

    `chip` : int64 array, shape (n_cores,).
    """
    stated = profile.limits.targets_per_neuron
    return None if stated is None else chip if stated.of == "chip" else np.arange(chip.size)


def word_limit(profile):
    """Words of packed lists that a core has, and the source."""
    storage = profile.storage
    source = _cite(profile, "storage.synapse_bits // storage.word_bits", storage.synapse_bits)
    return storage.synapse_bits.value // storage.word_bits.value, source


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
    if has_lists(profile):
        most = profile.storage.index_bits_most
        used = np.array([index_bits(profile, n) for n in n_neurons.tolist()])
        yield Check("index_bits", used, most.value, "bit", _cite(profile, "storage.index_bits_most", most), cores)
    if has_crossbar(profile):
        columns = profile.storage.columns
        yield Check("columns", n_neurons, columns.value, "columns", _cite(profile, "storage.columns", columns), cores)


def slot_checks(profile, workload, layout, n_active, slots, fixed_bytes, with_expected=True, may_spill=True):
    """Checks that more synapses can break.

    Parameters
    ----------
    n_active, slots : int64 array, shape (n_segments,)
    fixed_bytes : int64 array, shape (n_cores,)
        Sum of `fixed_sections`; not used where local memory is not limited.
    with_expected : bool
        Whether to compute expected uses beside their bounds.
    may_spill : bool
        Whether sections may move to shared memory, where the chip does that.
    """
    storage, limits, cores = profile.storage, profile.limits, np.arange(layout.n_cores)
    if storage.local_bytes is not None:
        sections = slot_sections(profile, workload, layout, slots)
        n_bytes = sum(sections.values(), fixed_bytes)
        source = _cite(profile, "storage.local_bytes", storage.local_bytes)
        spilled = choose_spill(profile, sections, n_bytes) if may_spill else {}
        if spilled:
            moved = sum(spilled.values())
            n_bytes = n_bytes - moved
            chip = locate_cores(profile, layout.n_cores).chip
            on_chip = np.bincount(chip, moved).astype(np.int64)
            limit, cited = storage.shared_bytes.value, _cite(profile, "storage.shared_bytes", storage.shared_bytes)
            yield Check("shared_memory", on_chip, limit, "B", cited, places=_chips(on_chip.size))
        yield Check("local_memory", n_bytes, storage.local_bytes.value, "B", source, cores)
    rows, core_slots = _rows_per_weight(profile), layout.per_core(slots)
    if has_crossbar(profile):
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
    if has_lists(profile):
        packings = [packing_of(profile, workload, n) for n in layout.own.sum(axis=0).tolist()]
        words = count_words([packings[c] for c in layout.core.tolist()], layout.n_post, layout.n_pre, n_active, slots, with_expected)
        yield _drawn("synapse_words", words.map(layout.per_core), *word_limit(profile), "words", cores)
    if profile.storage.family == "cam_per_neuron":
        words = storage.words_per_neuron
        source = _cite(profile, "storage.words_per_neuron * neurons", words)
        yield Check("cam_words", core_slots, layout.own.sum(axis=0) * words.value, "words", source, cores)
    limit, source = in_axon_limit(profile)
    if limit is not None:
        rows = count_rows(layout.n_pre, layout.n_post, layout.n_pre, n_active, slots, with_expected)
        yield _drawn("in_axons_per_core", rows.map(layout.per_core), limit, source, "axons", cores)
    if limits.out_axons_per_core is not None:
        rows = _count_out_axons(layout, n_active, slots, with_expected)
        limit, source = limits.out_axons_per_core.max.value, _cite_limit(profile, "out_axons_per_core")
        yield _drawn("out_axons_per_core", rows, limit, source, "axons", cores)
    if workload.is_rounded:
        used, (limit, source) = workload.theta_bits + (not has_sign_apart(profile)), _weight_limit(profile)
        yield Check("weight_bits", np.array([used]), limit, "bit", source)
    yield from _route_checks(profile, layout, n_active, slots, with_expected)


def make_checks(profile, workload, layout, n_active, slots):
    """All checks of a placement, as a list of `Check`."""
    fixed_bytes = sum(fixed_sections(profile, workload, layout).values())
    return [*slot_checks(profile, workload, layout, n_active, slots, fixed_bytes), *fixed_checks(profile, layout)]


def _route_checks(profile, layout, n_active, slots, with_expected):
    limits, chip = profile.limits, locate_cores(profile, layout.n_cores).chip
    if limits.routing_entries is not None:
        entries = count_entries(layout, chip, n_active, slots, with_expected)
        places = _chips(entries.most.size)
        limit, source = limits.routing_entries.max.value, _cite_limit(profile, "routing_entries")
        yield _drawn("routing_entries", entries, limit, source, "entries", places=places)
    if limits.targets_per_neuron is not None:
        targets = count_targets(layout, target_places(profile, chip), n_active, slots, with_expected)
        places = tuple(f"each neuron of {layout.topology.populations[p].name}" for p in sending_populations(layout))
        limit, source = limits.targets_per_neuron.max.value, _cite_limit(profile, "targets_per_neuron")
        yield _drawn("targets_per_neuron", targets, limit, source, f"{limits.targets_per_neuron.of}s", places=places)


def _chips(n):
    return tuple(f"chip {k}" for k in range(n)) if n > 1 else None


def _drawn(name, bounds, limit, source, unit, cores=None, places=None):
    return Check(name, bounds.expected, limit, unit, source, cores, least=bounds.least, most=bounds.most, places=places)


def _count_out_axons(layout, n_active, slots, with_expected):
    """Pairs (own neuron, other core that it feeds), per core: `Bounds`."""
    total = Bounds(*(np.zeros(layout.n_cores, dtype=np.int64) for _ in range(3)))
    for own, part in layout.hidden_parts():
        for n in np.unique(own[own > 0]):
            n_rows = np.full(layout.core[part].size, n)
            rows = count_rows(n_rows, layout.n_post[part], layout.n_pre[part], n_active[part], slots[part], with_expected)
            for name in ("least", "expected", "most"):
                values = getattr(rows, name)
                on_core = np.zeros(layout.n_cores, dtype=np.int64)
                on_core[layout.core[part]] = values
                getattr(total, name)[own == n] += (values.sum() - on_core)[own == n]
    return total


def has_sign_apart(profile):
    """Whether the sign has a place of its own, a field or the choice of a row, instead of one of the weight's bits."""
    return profile.synapse_word.sign_bits is not None or _rows_per_weight(profile) > 1


def _weight_limit(profile):
    """Widest weight that a chip can store, and the source that says so."""
    stated, field = profile.limits.weight_bits_native, profile.synapse_word.weight_bits
    found = [(field.value, _cite(profile, "synapse_word.weight_bits", field))]
    if stated is not None:
        found.append((stated.max.value, _cite_limit(profile, "weight_bits_native")))
    return min(found, key=lambda pair: pair[0])


def _rows_per_weight(profile):
    return profile.storage.rows_per_signed_weight.value if has_crossbar(profile) else 1


def _cite(profile, key, quantity):
    return f"{key} ({quantity.source}: {profile.sources[quantity.source]})"


def _cite_limit(profile, name, suffix=""):
    return _cite(profile, f"limits.{name}{suffix}", getattr(profile.limits, name).max)
