"""SANA-FE as an independent counter: runs an architecture and a network from files, and sorts what it reports by core.

It counts one synaptic event per delivered packet and stored synapse, and one packet per (fired neuron, core with a synapse of it), its
own core included. SANA-FE is licensed under the GPL: it is used by tests alone and nothing is copied.
"""

from collections import Counter
from dataclasses import dataclass, field

import sanafe


@dataclass
class Counted:
    """Counts of a replay; the counters have the ids of cores as keys. Sent, received and hops leave out messages to the own core."""

    energy: dict
    fired: int
    messages: int = 0
    synaptic_events: Counter = field(default_factory=Counter)
    sent: Counter = field(default_factory=Counter)
    received: Counter = field(default_factory=Counter)
    hop_east_west: Counter = field(default_factory=Counter)
    hop_north_south: Counter = field(default_factory=Counter)


def replay(architecture, network, n_steps):
    """Run SANA-FE on two files: Counted. Hops are booked at the sender; SANA-FE prices them at the destination tile."""
    arch = sanafe.load_arch(str(architecture))
    chip = sanafe.SpikingChip(arch)
    chip.load(sanafe.load_net(str(network), arch))
    found = chip.sim(n_steps, timing_model="simple", message_trace=True)
    result = Counted(found["energy"], found["neurons_fired"])
    for message in (m for step in found["message_trace"] for m in step if not m["placeholder"]):
        source, target = message["src_core_id"], message["dest_core_id"]
        result.messages += 1
        result.synaptic_events[target] += message["spikes"]
        if source != target:
            result.sent[source] += 1
            result.received[target] += 1
        columns, rows = (abs(message[f"src_{axis}"] - message[f"dest_{axis}"]) for axis in "xy")
        assert columns + rows == message["hops"]
        result.hop_east_west[source] += columns
        result.hop_north_south[source] += rows
    assert sum(result.synaptic_events.values()) == found["spikes"] and result.messages == found["packets_sent"]
    return result
