"""Tables of kernels, neurons and biases of cores that compute a layer of maps each, as on Speck: a removed synapse frees nothing."""

from dataclasses import replace

import numpy as np

from neurosim.hardware.storage import ConvTables
from neurosim.networks import Topology
from neurosim.placement.checks import Check, cite
from neurosim.placement.families.arrays import ArrayFamily
from neurosim.placement.sections import Section
from neurosim.placement.states import array_bytes
from neurosim.units import format_count

TABLES = ("kernel_entries", "neuron_entries", "bias_entries")


class ConvTablesFamily(ArrayFamily):
    """A layer lives on one core, of unequal ones; dense layers are kernels as large as the maps that they see."""

    storage = ConvTables
    home = "kernel_memory"
    sections = (Section("kernel_memory", ("#2f4b7c", "\\\\\\\\", "#ffffff"), level="kernel_memory", has_host_copy=True),)
    shares_kernels = True
    walks_maps = False
    has_tables = True

    def homes(self, profile, topology, n_cores):
        """Each layer on a core where it fits, so that as many as possible do; the others where they lack least."""
        needs, rooms = layer_entries(topology), core_entries(profile, n_cores)
        n_layers = len(needs)
        shares = (needs[:, None, :] / rooms[None, :, :]).max(axis=2)  # (n_layers, n_cores)
        core_of = _match(shares <= 1, np.argsort(rooms[:, 0] * rooms[:, 1], kind="stable"))
        free = [c for c in range(n_cores) if c not in core_of.values()]
        for layer in range(n_layers):
            if layer not in core_of:
                candidates = free or range(n_cores)  # more layers than cores, which `fixed_checks` refuses
                core_of[layer] = min(candidates, key=lambda c, layer=layer: (shares[layer, c], c))
                free = [c for c in free if c != core_of[layer]]
        sizes = topology.sizes[1:]
        return tuple(tuple(n * (core_of[layer] == c) for c in range(n_cores)) for layer, n in enumerate(sizes))

    def core_sections(self, profile, layout):
        widths = {"kernel_memory": profile.synapse_word.weight_bits.value, "neuron_state": profile.formats.activation_bits.value}
        used = _used(layout)
        return {name: array_bytes(used[:, i], bits) for i, (name, bits) in enumerate(widths.items())}

    def fixed_checks(self, profile, layout):
        storage, cores, topology = profile.storage, layout.cores, layout.topology
        lives = (layout.own[1:] > 0).T  # (n_cores, n_layers)
        names = [population.name for population in topology.populations[1:]]
        places = tuple(f"core {c}" + f" ({', '.join(names[i] for i in np.flatnonzero(row))})" * bool(row.any()) for c, row in enumerate(lives))
        n_layers = lives.sum(axis=1)
        yield Check("layers_per_core", n_layers, 1, "layers", f"storage.family {storage.family}: a core computes one layer", cores)
        used, rooms = _used(layout), core_entries(profile, layout.n_cores)
        for i, name in enumerate(TABLES):
            source = cite(profile, f"storage.tables.{name}", getattr(storage.tables[0], name))
            yield Check(name, used[:, i], rooms[:, i], "entries", source, cores, places=places)
        for name, key, values, unit in (
            ("kernel_side", "kernel_side", _kernel_sides(topology), "elements"),
            ("input_side", "input_side", _sides(topology, inputs=True), "values"),
            ("output_side", "output_side", _sides(topology, inputs=False), "places"),
            ("maps", "maps", [max(c, f) for c, f in _channels(topology)], "maps"),
            ("padding", "padding", [p.pattern.padding if p.pattern else 0 for p in topology.projections], "zeros"),
        ):
            limit = getattr(storage, key)
            yield Check(name, np.array(values), limit.value, unit, cite(profile, f"storage.{key}", limit), places=tuple(names))
        yield from _other_layers(profile, topology, names)

    def array_checks(self, room):
        return ()  # an entry for every position, whatever is connected

    def bytes_beside(self, profile, n_synapses, n_words):
        return 0  # in `core_sections`

    def adds_biases(self, profile):
        return True  # a leak of each map

    def release_text(self, placement):
        return (
            "storage conv_tables: a removed synapse frees nothing, its kernel keeps an entry of zero; tables are rounded up to powers of two, so fewer "
            "maps or smaller kernels free entries, and fewer connections do not"
        )

    def hints(self, placement):
        """Of each layer that no core holds: how many maps of it some core would."""
        topology, rooms = placement.workload.topology, core_entries(placement.profile, placement.profile.cores.value)
        for layer, (projection, needs) in enumerate(zip(topology.projections, layer_entries(topology), strict=True)):
            post = topology.populations[projection.post]
            if (needs <= rooms).all(axis=1).any() or projection.post == len(topology.populations) - 1:
                continue
            fewer = [2**p for p in range(post.n.bit_length()) if (_with_maps(topology, layer, 2**p) <= rooms).all(axis=1).any()]
            what = "maps" if post.maps else "neurons"
            most = f"at most {max(fewer):,d} {what} of it would, not {post.n:,d}" if fewer else "not even one of its maps would fit"
            yield f"{post.name} fits no core, whatever is connected: {most}"

    def room_text(self, storage):
        kernels, neurons = (sorted({getattr(table, name).value for table in storage.tables}) for name in TABLES[:2])
        return f"{_span(kernels)} weights, {_span(neurons)} neurons"

    def not_modelled(self, profile):
        return [
            "values travel as trains of spikes, and an event may read entries of zero: here each value that is not zero reads those of its connections once"
        ]

    def forward(self, t, phase, activity, walks, visits):
        """An event reads the entries of its connections, and moves the states of their neurons."""
        t.read(phase, self.home, t.per_segment(visits.forward * t.w.strength))
        t.start_sums(phase, activity.passes[0])
        t.add_to_sums(phase, visits.forward_ops)

    def propose(self, t, events, proposals):
        """The host draws: it alone can learn for such a chip."""


def layer_entries(topology: Topology) -> np.ndarray:
    """Entries that each layer takes in the tables of kernels, neurons and biases: int64 array, shape (n_layers, 3)."""
    found = []
    for projection, (c, f) in zip(topology.projections, _channels(topology), strict=True):
        pre, post = topology.populations[projection.pre], topology.populations[projection.post]
        elements = projection.pattern.taps if projection.pattern else pre.sent
        height, width = (post.maps.height, post.maps.width) if post.maps else (1, 1)
        found.append((c * _power(elements) * _power(f), f * _power(height) * _power(width), post.n_biases))
    return np.array(found, np.int64)


def core_entries(profile, n_cores):
    """Entries of the tables of the first cores of the chip: int64 array, shape (n_cores, 3). Cores that are not there are like the last one."""
    tables = profile.storage.tables
    entries = np.array([[getattr(table, name).value for name in TABLES] for table in tables], np.int64)
    last = np.cumsum([table.cores.value for table in tables]) - 1
    return entries[np.minimum(np.searchsorted(last, np.arange(n_cores)), len(tables) - 1)]


def _with_maps(topology, layer, n):
    """Entries of a layer with so many maps."""
    populations = list(topology.populations)
    post = topology.projections[layer].post
    populations[post] = replace(populations[post], n=n)
    return layer_entries(replace(topology, populations=tuple(populations)))[layer]


def _power(n):
    """The power of two from `n` on."""
    return 1 << (int(n) - 1).bit_length()


def _channels(topology):
    """(input maps, output maps) of each layer; neurons without maps are maps of one value."""
    return [(topology.populations[p.pre].n, topology.populations[p.post].n_sums) for p in topology.projections]


def _kernel_sides(topology):
    pre = [topology.populations[p.pre] for p in topology.projections]
    return [
        p.pattern.kernel if p.pattern else max(a.maps.sent_height, a.maps.sent_width) if a.maps else 1
        for p, a in zip(topology.projections, pre, strict=True)
    ]


def _sides(topology, inputs):
    """Values in a row of the maps that each layer reads, or makes before pooling."""
    populations = [topology.populations[p.pre if inputs else p.post] for p in topology.projections]
    return [0 if p.maps is None else max(p.maps.sent_height, p.maps.sent_width) if inputs else max(p.maps.height, p.maps.width) for p in populations]


def _other_layers(profile, topology, names):
    """Layers that such a core does not compute: steps of kernels and kinds of pooling."""
    storage = profile.storage
    strides, pools = storage.strides.allowed or range(1, storage.strides.value + 1), storage.pools.allowed or range(1, storage.pools.value + 1)
    found = {"stride": [], "pooling": []}
    for name, projection in zip(names, topology.projections, strict=True):
        pattern, maps = projection.pattern, topology.populations[projection.post].maps
        if pattern and pattern.stride not in strides:
            found["stride"].append(f"{name} (stride {pattern.stride})")
        pool = maps.pool if maps else None
        if pool and (pool.kind != "average" or pool.stride != pool.window or pool.padding or pool.window not in pools):
            found["pooling"].append(f"{name} ({pool.kind} of {pool.window} x {pool.window}, stride {pool.stride})")
    for name, key, known in (
        ("stride", "strides", f"one of {_list(strides)}"),
        ("pooling", "pools", f"sums of {_list(pools)} in a row, side by side"),
    ):
        where = tuple(found[name])
        if where:
            source = f"{cite(profile, f'storage.{key}', getattr(storage, key))}: {known}"
            yield Check(f"other_{name}", np.ones(len(where), np.int64), 0, "layers", source, places=where)


def _list(numbers):
    return ", ".join(map(str, numbers))


def _span(numbers):
    low, high = format_count(numbers[0]), format_count(numbers[-1])
    return low if low == high else f"{low} to {high}"


def _used(layout):
    """Entries of each table that the layers of each core take: int64 array, shape (n_cores, 3)."""
    return (layout.own[1:] > 0).T.astype(np.int64) @ layer_entries(layout.topology)


def _match(fits, cores):
    """Core of as many layers as possible, each on one that it fits and none on two: dict (Kuhn 1955, by augmenting paths).

    `fits` : bool array, shape (n_layers, n_cores); `cores` : those to try, in order.
    """
    layer_on = {}

    def place(layer, seen):
        for c in cores.tolist():
            if fits[layer, c] and c not in seen:
                seen.add(c)
                if c not in layer_on or place(layer_on[c], seen):
                    layer_on[c] = layer
                    return True
        return False

    for layer in range(len(fits)):
        place(layer, set())
    return {layer: c for c, layer in layer_on.items()}
