"""What events cost on one chip: cycles and latencies, energy prices, static power."""

from typing import Literal

from pydantic import model_validator

from neurosim.documents import Strict, WrongKey
from neurosim.hardware.quantities import Cycles, EventPrice, Frequency, Seconds, Text, Watts, iter_quantities


class EventCycles(Strict):
    """Cycles that one core spends per event."""

    synaptic_op: Cycles | None = None
    synaptic_update: Cycles | None = None
    synaptic_write: Cycles | None = None
    neuron_update: Cycles | None = None
    random_draw: Cycles | None = None
    packet: Cycles | None = None


class Time(Strict):
    """Clock in Hz, cycles per event, and latencies in s; `forward_latency` is per sample for the whole chip."""

    clock: Frequency | None = None
    cycles: EventCycles = EventCycles()
    forward_latency: Seconds | None = None
    packet_latency: Seconds | None = None
    barrier: Seconds | None = None


class Prices(Strict):
    """Energy per event in J. An absent price is unknown and makes a total a lower bound."""

    synaptic_op: EventPrice | None = None
    synaptic_update: EventPrice | None = None
    neuron_update: EventPrice | None = None
    random_draw: EventPrice | None = None
    packet: EventPrice | None = None
    hop: EventPrice | None = None
    synaptic_write: EventPrice | None = None
    local_read_byte: EventPrice | None = None
    local_write_byte: EventPrice | None = None
    shared_read_byte: EventPrice | None = None
    shared_write_byte: EventPrice | None = None
    host_byte: EventPrice | None = None
    core_cycle: EventPrice | None = None


class StaticPower(Strict):
    """Power in W that flows whether or not anything happens: per core, per chip beside its cores, per board."""

    core: Watts | None = None
    chip: Watts | None = None
    board: Watts | None = None


_LOCAL = ("local_read_byte", "local_write_byte")
_EVENTS_ON_A_CORE = ("synaptic_op", "synaptic_update", "neuron_update", "random_draw", "synaptic_write")
# What each accounting must not price, because another of its prices already contains it.
CHARGED_TWICE = {
    "event": {
        **dict.fromkeys(_LOCAL, "an event price such as synaptic_op already contains its local memory accesses"),
        "core_cycle": "an event price already contains the cycles of the event",
    },
    "memory": {
        "core_cycle": "a cycle price already contains the local memory accesses that are priced per byte",
        "synaptic_write": "a write is already priced by local_write_byte",
    },
    "cycle": {
        **dict.fromkeys(_LOCAL, "core_cycle already contains the local memory accesses"),
        **dict.fromkeys(_EVENTS_ON_A_CORE, "core_cycle already contains the work of the event; give time.cycles instead"),
    },
}


class Energy(Strict):
    """How energy is counted, the prices, and the static power.

    Attributes
    ----------
    accounting : str
        event: a price per event, memory accesses inside. memory: event prices are arithmetic only, memory is
        priced per byte. cycle: cycles per event x price of a core cycle.
    price_set : str
        Name of this set, cited by results. Fitted sets travel together.
    prices : Prices
    static : StaticPower
    note : str, optional
        What was published and left out, and why.
    """

    accounting: Literal["event", "memory", "cycle"]
    price_set: Text
    prices: Prices = Prices()
    static: StaticPower = StaticPower()
    note: str | None = None

    @model_validator(mode="after")
    def _check_nothing_twice(self):
        for key, reason in CHARGED_TWICE[self.accounting].items():
            if getattr(self.prices, key) is not None:
                raise WrongKey(["prices", key], f"charged twice with accounting {self.accounting}: {reason}")
        has_static = any(True for _ in iter_quantities(self.static))
        for key_path, price in iter_quantities(self.prices):
            if has_static and price.meaning == "average_including_static":
                raise WrongKey(
                    ["prices", *key_path, "meaning"],
                    "found average_including_static beside static power, which counts static twice; "
                    "expected a marginal or dynamic_total price, or no static power",
                )
        return self
