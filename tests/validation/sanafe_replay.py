"""SANA-FE as an independent counter: replays who fired and what was connected.

Every neuron is an input unit with its train of events, one sample a time step, and all weights are 0: SANA-FE computes nothing and
counts everything. It counts one synaptic event per delivered packet and stored synapse, and one packet per (fired neuron, core
with a synapse of it), its own core included. SANA-FE is licensed under the GPL: it is used by tests alone and nothing is copied.
"""

from collections import Counter
from dataclasses import dataclass, field

import sanafe
import yaml

#: Prices in J; distinct, so that none stands in for another one.
PRICES = {"synapse": 23.6e-12, "dendrite": 1.5e-12, "access": 81e-12, "update": 50e-12, "fire": 7.25e-12, "out": 111e-12, "in": 3e-12}
NORTH, EAST = 4.25e-12, 3e-12


@dataclass
class Replay:
    """Counts of a replay; the counters have the ids of cores as keys."""

    energy: dict
    fired: int
    synaptic_events: Counter = field(default_factory=Counter)
    sent: Counter = field(default_factory=Counter)
    received: Counter = field(default_factory=Counter)
    messages: int = 0
    hops: Counter = field(default_factory=Counter)


def architecture(path, n_cores, n_inputs, width, prices=PRICES):
    """Write an architecture of one core per tile, tile i at (i // height, i % height), and load it."""
    soma = {"energy_access_neuron": prices["access"], "energy_spike_out": prices["fire"]}
    soma |= {"latency_access_neuron": 0.0, "latency_update_neuron": 0.0, "latency_spike_out": 0.0}
    hops = {f"energy_{way}_hop": NORTH for way in ("north", "south")} | {f"energy_{way}_hop": EAST for way in ("east", "west")}
    core = {
        "name": "core",
        "attributes": {"buffer_position": "soma", "max_neurons_supported": 10**6},
        "axon_in": [_unit("in", energy_message_in=prices["in"], latency_message_in=0.0)],
        "synapse": [_unit("synapse", model="current_based", energy_process_spike=prices["synapse"], latency_process_spike=0.0)],
        "dendrite": [_unit("dendrite", model="accumulator", energy_update=prices["dendrite"], latency_update=0.0, update_every_timestep=False)],
        "soma": [
            _unit(f"inp[0..{n_inputs - 1}]", model="input", energy_update_neuron=0.0, **soma),
            _unit("neuron", model="leaky_integrate_fire", energy_update_neuron=prices["update"], **soma),
        ],
        "axon_out": [_unit("out", energy_message_out=prices["out"], latency_message_out=0.0)],
    }  # fmt: skip
    tile = {"name": f"tile[0..{n_cores - 1}]", "attributes": hops | {key.replace("energy", "latency"): 0.0 for key in hops}, "core": [core]}
    attributes = {"link_buffer_size": 16, "width": width, "height": n_cores // width}
    path.write_text(yaml.safe_dump({"architecture": {"name": "replay", "attributes": attributes, "tile": [tile]}}, sort_keys=False))
    return sanafe.load_arch(path)


def _unit(name, **attributes):
    return {"name": name, "attributes": attributes}


def replay(path, groups, edges, n_steps, n_cores, width, quiet=()):
    """Run SANA-FE.

    Parameters
    ----------
    path : Path
        Where the architecture may be written.
    groups : dict of str to list of (core, train)
        Neurons in order; a train is a bool array, shape (n_steps,).
    edges : list of (group from, group to, list of (int, int))
    quiet : set of str
        Groups of ordinary neurons that never fire and are updated in every step.

    Returns
    -------
    Replay
    """
    per_core = Counter(core for name, neurons in groups.items() if name not in quiet for core, _ in neurons)
    arch = architecture(path, n_cores, max(per_core.values()), width)
    cores, net, unit = arch.cores(), sanafe.Network(), Counter()
    made = {}
    for name, neurons in groups.items():
        made[name] = net.create_neuron_group(name, len(neurons), {}, soma_hw_name="neuron" if name in quiet else "inp[0]")
        for neuron, (core, train) in zip(made[name].neurons, neurons):
            if name in quiet:
                neuron.set_attributes(model_attributes={"threshold": 1e9, "force_update": True})
            else:
                neuron.set_attributes(soma_hw_name=f"inp[{unit[core]}]", model_attributes={"spikes": [int(fires) for fires in train]})
                unit[core] += 1
            neuron.map_to_core(cores[core])
    for source, target, pairs in edges:
        if pairs:
            made[source].connect_neurons_sparse(made[target], {"weight": [0.0] * len(pairs)}, pairs)
    chip = sanafe.SpikingChip(arch)
    chip.load(net)
    found = chip.sim(n_steps, timing_model="simple", message_trace=True)
    result = Replay(found["energy"], found["neurons_fired"])
    for message in (m for step in found["message_trace"] for m in step if not m["placeholder"]):
        source, target, n = message["src_tile_id"], message["dest_tile_id"], message["spikes"]
        result.messages += 1
        result.synaptic_events[target] += n
        result.hops["north_south"] += abs(message["src_y"] - message["dest_y"])
        result.hops["east_west"] += abs(message["src_x"] - message["dest_x"])
        if source != target:
            result.sent[source] += 1
            result.received[target] += 1
    assert sum(result.synaptic_events.values()) == found["spikes"] and result.messages == found["packets_sent"]
    return result
