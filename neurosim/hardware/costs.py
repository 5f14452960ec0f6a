"""What events cost on one chip: cycles and latencies, named sets of energy prices, static power."""

import itertools
from typing import Annotated, Literal

from pydantic import Field, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple
from neurosim.errors import nearest
from neurosim.hardware.program import list_programs
from neurosim.hardware.quantities import Count, Cycles, EventPrice, Frequency, Kind, Rate, Seconds, Text, Watts, iter_quantities

SetName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
CornerName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.]*$")]  # such as 0.8V


class EventCycles(Strict):
    """Cycles that one core spends per event."""

    synaptic_op: Cycles | None = None
    synaptic_update: Cycles | None = None
    synaptic_write: Cycles | None = None
    neuron_update: Cycles | None = None
    random_draw: Cycles | None = None
    packet: Cycles | None = None
    trace_update: Cycles | None = None
    history_read: Cycles | None = None


class BarrierTime(Strict):
    """Time of one barrier of cores on so many tiles."""

    tiles: Count
    time: Seconds


def _between(x, points):
    """What lies at x on the straight lines between points in ascending order; beyond the ends, the end."""
    if x <= points[0][0]:
        return points[0][1]
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        if x <= x1:
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
    return points[-1][1]


class EventLatencies(Strict):
    """Time in s that one core of a chip without a clock spends per event.

    A barrier takes `barrier`, or, where `barriers` state more than one number of tiles, what lies between them on a straight line.
    """

    synaptic_op: Seconds | None = None
    synaptic_update: Seconds | None = None
    trace_update: Seconds | None = None
    history_read: Seconds | None = None
    neuron_update: Seconds | None = None
    neuron_update_inactive: Seconds | None = None
    neuron_access: Seconds | None = None
    spike_generate: Seconds | None = None
    packet: Seconds | None = None
    packet_received: Seconds | None = None
    packet_local: Seconds | None = None
    hop_east_west: Seconds | None = None
    hop_north_south: Seconds | None = None
    barrier: Seconds | None = None
    barriers: Annotated[tuple[BarrierTime, ...], as_tuple] = ()

    def barrier_seconds(self, n_tiles):
        """Time of a barrier of cores on `n_tiles` tiles in s, None where it is not stated."""
        if self.barriers:
            return _between(n_tiles, [(barrier.tiles.value, barrier.time.value) for barrier in self.barriers])
        return None if self.barrier is None else self.barrier.value

    @model_validator(mode="after")
    def _check_barriers(self):
        tiles = [barrier.tiles.value for barrier in self.barriers]
        if tiles != sorted(set(tiles)):
            raise WrongKey(["barriers"], f"found {tiles} tiles; expected them in ascending order, each once")
        return self


class SampleSteps(Strict):
    """Time steps in which a chip takes one sample, as the program that was published for it needs them.

    Attributes
    ----------
    evaluated, evaluated_per_matrix : Quantity
        Steps of a forward pass: so many, and so many more for each matrix.
    trained, trained_per_matrix : Quantity
        Steps of a sample that is trained.
    epochs_per_step : Quantity
        Learning epochs in each step of training; in each the engine visits every synapse that learns, whatever the activity.
    barriers_evaluated, barriers_trained : Quantity
        Barriers of all cores in a step.
    latency : Quantity, optional
        Least time of a step without its learning, with whatever the host does in it, s.
    """

    evaluated: Count
    evaluated_per_matrix: Count
    trained: Count
    trained_per_matrix: Count
    epochs_per_step: Count
    barriers_evaluated: Count
    barriers_trained: Count
    latency: Seconds | None = None

    def of_training(self, n_matrices):
        """Steps of a sample that is trained."""
        return self.trained.value + self.trained_per_matrix.value * n_matrices

    def of_evaluation(self, n_matrices):
        """Steps of a forward pass."""
        return self.evaluated.value + self.evaluated_per_matrix.value * n_matrices


class Time(Strict):
    """Clock in Hz, cycles per event, and latencies in s; `forward_latency` is per sample for the whole chip.

    A clock that depends on the operating point stands in `corners`; ask `HardwareProfile.clock`.
    """

    clock: Frequency | None = None
    cycles: EventCycles = EventCycles()
    forward_latency: Seconds | None = None
    packet_latency: Seconds | None = None
    barrier: Seconds | None = None
    steps: SampleSteps | None = None


class Prices(Strict):
    """Energy per event in J. An absent price is unknown and makes a total a lower bound.

    `synaptic_op_dense` and `synaptic_op_conv` are for other synapse formats than the sparse one that runs use;
    `neuron_update` is for a neuron that is active where `neuron_update_inactive` stands beside it; `neuron_access` comes on
    top of each neuron update; `trace_update` is for a visit to the traces of a synapse, `history_read` for one step that a synapse replays; a packet costs `packet`, or `packet_bit` for each of its bits.
    """

    synaptic_op: EventPrice | None = None
    synaptic_op_dense: EventPrice | None = None
    synaptic_op_conv: EventPrice | None = None
    synaptic_update: EventPrice | None = None
    synaptic_write: EventPrice | None = None
    neuron_update: EventPrice | None = None
    neuron_update_inactive: EventPrice | None = None
    neuron_access: EventPrice | None = None
    spike_generate: EventPrice | None = None
    random_draw: EventPrice | None = None
    packet: EventPrice | None = None
    packet_bit: EventPrice | None = None
    packet_received: EventPrice | None = None
    packet_local: EventPrice | None = None
    packet_offchip: EventPrice | None = None
    hop: EventPrice | None = None
    hop_east_west: EventPrice | None = None
    hop_north_south: EventPrice | None = None
    barrier: EventPrice | None = None
    reset: EventPrice | None = None
    local_read_byte: EventPrice | None = None
    local_write_byte: EventPrice | None = None
    shared_read_byte: EventPrice | None = None
    shared_write_byte: EventPrice | None = None
    host_byte: EventPrice | None = None
    trace_update: EventPrice | None = None
    history_read: EventPrice | None = None
    core_cycle: EventPrice | None = None


class StaticPower(Strict):
    """Power in W that flows whether or not anything happens: per core, per chip beside its cores, per board."""

    core: Watts | None = None
    chip: Watts | None = None
    board: Watts | None = None


_LOCAL = ("local_read_byte", "local_write_byte")
_NEURON = ("neuron_update", "neuron_update_inactive", "neuron_access", "spike_generate")
_SYNAPSE = ("synaptic_op", "synaptic_op_dense", "synaptic_op_conv", "synaptic_update", "synaptic_write", "trace_update", "history_read")
# What each accounting must not price, because another of its prices already contains it.
CHARGED_TWICE = {
    "event": {
        **dict.fromkeys(_LOCAL, "an event price such as synaptic_op already contains its local memory accesses"),
        "core_cycle": "an event price already contains the cycles of the event",
    },
    "memory": {
        "core_cycle": "a cycle price already contains the local memory accesses that are priced per byte",
        "synaptic_write": "a write is already priced by local_write_byte",
        "neuron_access": "the access is already priced by local_read_byte",
    },
    "cycle": {
        **dict.fromkeys(_LOCAL, "core_cycle already contains the local memory accesses"),
        **dict.fromkeys((*_SYNAPSE, *_NEURON, "random_draw"), "core_cycle already contains the work of the event; give time.cycles instead"),
    },
    "program": {
        **dict.fromkeys(_LOCAL, "core_cycle already contains the local memory accesses"),
        **dict.fromkeys((*_SYNAPSE, *_NEURON, "random_draw", "packet_received"), "core_cycle already contains the loops of the program"),
    },
}


class PriceSet(Strict):
    """Prices that belong together: one way to count, one origin, one operating point.

    Attributes
    ----------
    accounting : str
        event: a price per event, memory accesses inside. memory: event prices are arithmetic only, memory is
        priced per byte. cycle: cycles per event x price of a core cycle. program: turns of the loops of the training program x
        cycles per turn (`program`) x price of a core cycle.
    kind : str
        How the set came about. The prices of a simulated or fitted set all have the set's own source: taken out of their
        set, or mixed with others, they mean nothing.
    source : str
        Key into the profile's `sources`.
    corner : str, optional
        Operating point for which the set holds; without it the source does not say.
    prices : Prices
    inside : tuple of str
        Names of prices that others of the set, or its static power, already contain: the event is paid for, not unknown.
    latencies : EventLatencies
    cycles : EventCycles, optional
        Cycles per event of this set alone, instead of `Time.cycles`: another circuit of the core does the work.
    peak_rate : Quantity, optional
        Synaptic operations per second and chip, or board, at which an average that contains static power was measured; far below it the set means nothing.
    static : StaticPower
        Of this set alone; what holds for every set stands in `Energy.static`.
    program : str, optional
        Table of cycles per turn of each loop (`neurosim.hardware.program`), derived from the program's own code.
    draws : {'software', 'chip'}
        Where random bits come from, with `program`: a generator in software, or the chip's.
    note : str, optional
        What was published and left out, and why.
    """

    accounting: Literal["event", "memory", "cycle", "program"]
    kind: Kind
    source: str
    corner: CornerName | None = None
    prices: Prices = Prices()
    inside: Annotated[tuple[str, ...], as_tuple] = ()
    latencies: EventLatencies = EventLatencies()
    cycles: EventCycles | None = None
    peak_rate: Rate | None = None
    static: StaticPower = StaticPower()
    program: Text | None = None
    draws: Literal["software", "chip"] = "software"
    note: str | None = None

    @model_validator(mode="after")
    def _check_program(self):
        if (self.program is None) != (self.accounting != "program"):
            raise WrongKey(["program"], f"found {self.program!r} with accounting {self.accounting}; the two go together")
        if self.program is not None and self.program not in list_programs():
            raise WrongKey(["program"], f"found {self.program!r}; {nearest(self.program, list_programs())}")
        return self

    @model_validator(mode="after")
    def _check_nothing_twice(self):
        for key, reason in CHARGED_TWICE[self.accounting].items():
            if getattr(self.prices, key) is not None:
                raise WrongKey(["prices", key], f"charged twice with accounting {self.accounting}: {reason}")
        for index, key in enumerate(self.inside):
            if key not in Prices.model_fields:
                raise WrongKey(["inside", index], f"found {key!r}, which is no price; {nearest(key, Prices.model_fields)}")
            if getattr(self.prices, key) is not None:
                raise WrongKey(["prices", key], "charged twice: inside says that another price of the set already contains it")
        for key, whole in (("packet_bit", "packet"), ("hop_east_west", "hop"), ("hop_north_south", "hop")):
            if getattr(self.prices, key) is not None and getattr(self.prices, whole) is not None:
                raise WrongKey(["prices", key], f"charged twice: {whole} already contains it")
        return self

    @model_validator(mode="after")
    def _check_origin(self):
        if self.kind in ("fitted", "simulated"):
            for key_path, price in iter_quantities(self.prices):
                if price.source != self.source:
                    message = f"found {price.source!r} in a {self.kind} set of {self.source}; expected a set of its own: such prices do not mix"
                    raise WrongKey(["prices", *key_path, "source"], message)
        return self


class Energy(Strict):
    """Named price sets, which of them counts, and the static power that all share.

    Attributes
    ----------
    price_set : str
        The set that is used; a scenario may choose another with ``hardware.price_set``. Cited by results.
    price_sets : dict of str to PriceSet
    static : StaticPower
        Of every set; a level stands here or in the sets, not in both.
    note : str, optional
        What was published and left out, and why.
    """

    price_set: Text
    price_sets: Annotated[dict[SetName, PriceSet], Field(min_length=1)]
    static: StaticPower = StaticPower()
    note: str | None = None

    @property
    def chosen(self):
        """The `PriceSet` in use."""
        return self.price_sets[self.price_set]

    @property
    def accounting(self):
        return self.chosen.accounting

    @property
    def prices(self):
        return self.chosen.prices

    @property
    def static_power(self):
        """`StaticPower` of the set in use and of every set, together."""
        return self.static_of(self.price_set)

    def static_of(self, name):
        """`StaticPower` that flows with a price set: its own and the shared one."""
        own, shared = self.price_sets[name].static, self.static
        return StaticPower.model_construct(**{key: getattr(own, key) or getattr(shared, key) for key in StaticPower.model_fields})

    @model_validator(mode="after")
    def _check_sets(self):
        if self.price_set not in self.price_sets:
            raise WrongKey(["price_set"], f"found {self.price_set!r}; {nearest(self.price_set, self.price_sets)}")
        for name, chosen in self.price_sets.items():
            for level in StaticPower.model_fields:
                if getattr(self.static, level) is not None and getattr(chosen.static, level) is not None:
                    message = f"a second static power of the level {level}, which energy.static states for every set; expected one of the two"
                    raise WrongKey(["price_sets", name, "static", level], message)
            has_static = any(True for _ in iter_quantities(self.static_of(name)))
            for key_path, price in iter_quantities(chosen.prices):
                if has_static and price.meaning == "average_including_static":
                    raise WrongKey(
                        ["price_sets", name, "prices", *key_path, "meaning"],
                        "found average_including_static beside static power, which counts static twice; "
                        "expected a marginal or dynamic_total price, or no static power",
                    )
        return self
