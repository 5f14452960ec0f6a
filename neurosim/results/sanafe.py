"""Files for SANA-FE, an event-driven simulator with a way of counting of its own: an architecture, and networks that replay.

A replay computes nothing: every neuron is an input unit with its train of events, every weight is 0. The formats are SANA-FE's
own (architecture and network descriptions of its version 2); the package does not need SANA-FE to write them.
"""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from neurosim.documents import dump_yaml, write_atomic

#: SANA-FE refuses a description without these; they take part in nothing that is compared.
_UNUSED = 0.0
_ARCHITECTURE_NOTE = """\
# Cores and prices of a run, for SANA-FE. It asks for a number for every price: 0 stands for what the replays do not compare (somas,
# dendrites, times), for events that the profile gives no price, and for hops where it states no grid.
"""
_NETWORK_NOTE = "# Who was connected and who was not zero, for SANA-FE: input units with trains of events, one sample a time step.\n"
_SUMMARY_NOTE = """\
# What these files replay, and what neurosim counted and priced in the same step, per phase and kind of event: one number per core.
# Energies stand in J, and only where the profile gives a price.
"""


@dataclass(frozen=True)
class Grid:
    """Cores of an architecture: `n_cores` in use; tile t lies at column t // height and row t % height."""

    n_cores: int
    width: int
    height: int
    cores_per_tile: int = 1


@dataclass
class Replay:
    """One network: `groups` maps names to neurons (core, train of 0 and 1), `edges` are (group, index, group, index).

    `events` is the kind that its synaptic events are, or None where they stand for nothing; `has_packets` says whether its
    messages between cores are packets of `phase`.
    """

    name: str
    phase: str
    n_steps: int
    events: str | None = None
    has_packets: bool = False
    groups: dict = field(default_factory=dict)
    edges: list = field(default_factory=list)

    @property
    def n_units(self):
        """Most neurons of a core."""
        return max(Counter(core for neurons in self.groups.values() for core, _ in neurons).values(), default=0)


def write_sanafe(folder, grid, prices, replays, summary):
    """Write architecture.yaml, a network per replay and, last, replay.yaml into a folder.

    Parameters
    ----------
    folder : path-like
        Created.
    grid : Grid
    prices : dict of str to float
        J per ``synaptic_op``, ``synaptic_update``, ``packet_sent``, ``hop_east_west``, ``hop_north_south``, where known.
    replays : list of Replay
    summary : dict
        Heads replay.yaml.

    Raises
    ------
    InputError
        A file cannot be written.
    """
    folder = Path(folder)
    n_units = max(replay.n_units for replay in replays)
    write_atomic(folder / "architecture.yaml", _ARCHITECTURE_NOTE + dump_yaml(_architecture(grid, prices, n_units)))
    for replay in replays:
        write_atomic(folder / f"{replay.name}.yaml", _NETWORK_NOTE + _network(grid, replay))
    listed = [
        {"network": f"{r.name}.yaml", "phase": r.phase, "steps": r.n_steps, "synaptic_events": r.events, "packets": r.has_packets} for r in replays
    ]
    write_atomic(folder / "replay.yaml", _SUMMARY_NOTE + dump_yaml({**summary, "replays": listed}))


def _architecture(grid, prices, n_units):
    def unit(name, **attributes):
        return {"name": name, "attributes": attributes}

    def timed(**energies):
        return {**energies, **{key.replace("energy", "latency"): _UNUSED for key in energies}}

    soma = timed(energy_access_neuron=_UNUSED, energy_update_neuron=_UNUSED, energy_spike_out=_UNUSED)
    core = {
        "name": f"core[0..{grid.cores_per_tile - 1}]",
        "attributes": {"buffer_position": "soma", "max_neurons_supported": n_units},
        "axon_in": [unit("in", **timed(energy_message_in=_UNUSED))],
        "synapse": [
            unit(kind, model="current_based", **timed(energy_process_spike=prices.get(kind, _UNUSED)))
            for kind in ("synaptic_op", "synaptic_update", "none")
        ],
        "dendrite": [unit("dendrite", model="accumulator", update_every_timestep=False, **timed(energy_update=_UNUSED))],
        "soma": [unit(f"train[0..{n_units - 1}]", model="input", **soma)],
        "axon_out": [unit("out", **timed(energy_message_out=prices.get("packet_sent", _UNUSED)))],
    }
    east_west, north_south = (prices.get(kind, _UNUSED) for kind in ("hop_east_west", "hop_north_south"))
    hops = {"energy_north_hop": north_south, "energy_south_hop": north_south, "energy_east_hop": east_west, "energy_west_hop": east_west}
    n_tiles = -(-grid.n_cores // grid.cores_per_tile)
    tile = {"name": f"tile[0..{n_tiles - 1}]", "attributes": timed(**hops), "core": [core]}
    attributes = {"link_buffer_size": 16, "width": grid.width, "height": grid.height}
    return {"architecture": {"name": "neurosim", "attributes": attributes, "tile": [tile]}}


def _network(grid, replay):
    """Text of a network: by hand, since a YAML library takes seconds for ten thousand edges."""
    lines, mappings = ["network:", f"  name: {replay.name}", "  groups:"], ["mappings:"]
    units: Counter = Counter()
    for name, neurons in replay.groups.items():
        lines += [f"    - name: {name}", f"      attributes: [synapse_hw_name: {replay.events or 'none'}]", "      neurons:"]
        for i, (core, train) in enumerate(neurons):
            spikes = ", ".join(str(int(fires)) for fires in train)
            lines.append(f'        - {i}: [soma_hw_name: "train[{units[core]}]", spikes: [{spikes}]]')
            mappings.append(f"  - {name}.{i}: [core: {core // grid.cores_per_tile}.{core % grid.cores_per_tile}]")
            units[core] += 1
    lines.append("  edges:")
    lines += [f"    - {source}.{i} -> {target}.{j}: [weight: 0.0]" for source, i, target, j in replay.edges]
    return "\n".join([*lines, *mappings, ""])
