"""What a hardware profile says: storage, word formats, limits, learning, time and energy of one chip.

A number that nobody published is absent (None), never 0. Refusals name the file, the line and the key.
"""

from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from neurosim.documents import Strict, WrongKey
from neurosim.errors import nearest
from neurosim.hardware.quantities import (
    Bandwidth,
    Bits,
    Bytes,
    Count,
    Cycles,
    EventPrice,
    Frequency,
    Seconds,
    StateBits,
    Text,
    Watts,
    iter_quantities,
)


def _check_code_fits(storage):
    if storage.code_bytes.value >= storage.local_bytes.value:
        raise WrongKey(["code_bytes", "value"], f"found {storage.code_bytes.value}; expected less than local_bytes, {storage.local_bytes.value} B")


class AddressSpace(Strict):
    """Byte-addressed local memory, as on SpiNNaker: a removed synapse frees its exact bytes.

    Attributes
    ----------
    local_bytes : Quantity
        Local memory per core, B.
    code_bytes : Quantity
        Reserved for program and stack, B per core, part of `local_bytes`.
    shares_code_and_data : bool
        Whether program and data live in one memory.
    shared_bytes : Quantity, optional
        Off-chip or shared memory, B per chip.
    shared_bandwidth : Quantity, optional
        B/s per chip.
    shared_used : bool
        Whether the shared memory takes part in a run.
    """

    family: Literal["address_space"]
    local_bytes: Bytes
    code_bytes: Bytes
    shares_code_and_data: bool
    shared_bytes: Bytes | None = None
    shared_bandwidth: Bandwidth | None = None
    shared_used: bool = False
    release: Literal["exact_bytes"] = "exact_bytes"

    @model_validator(mode="after")
    def _check(self):
        _check_code_fits(self)
        if self.shared_used and self.shared_bytes is None:
            raise WrongKey(["shared_used"], "found true; expected shared_bytes beside it")
        return self


class CrossbarMultibit(Strict):
    """Array of multi-bit synapses, as on BrainScaleS-2: a removed synapse frees nothing until its row is empty.

    Attributes
    ----------
    rows, columns : Quantity
        Size of the array of one core.
    rows_per_signed_weight : Quantity
        2 when excitation and inhibition take a row each.
    local_bytes : Quantity
        Memory of the plasticity processor, B per core.
    code_bytes : Quantity
        Part of `local_bytes` reserved for its program and stack, B.
    """

    family: Literal["crossbar_multibit"]
    rows: Count
    columns: Count
    rows_per_signed_weight: Count
    local_bytes: Bytes
    code_bytes: Bytes
    release: Literal["none_until_row_is_empty"] = "none_until_row_is_empty"

    @model_validator(mode="after")
    def _check(self):
        _check_code_fits(self)
        if self.rows_per_signed_weight.value > self.rows.value:
            raise WrongKey(["rows_per_signed_weight", "value"], f"found {self.rows_per_signed_weight.value}; expected at most rows, {self.rows.value}")
        return self


Storage = Annotated[AddressSpace | CrossbarMultibit, Field(discriminator="family")]


class SynapseWord(Strict):
    """Bit fields of one stored synapse; which are required depends on the storage family."""

    pre_index_bits: Bits | None = None
    post_index_bits: Bits | None = None
    weight_bits: Bits | None = None
    sign_bits: Bits | None = None
    label_bits: Bits | None = None


WORD_FIELDS = {
    "address_space": ("pre_index_bits", "post_index_bits", "weight_bits", "sign_bits"),
    "crossbar_multibit": ("weight_bits", "label_bits"),
}


class Formats(Strict):
    """Bits of the values stored during training; `random_state_bits` is the generator state per core."""

    activation_bits: Bits
    error_bits: Bits
    gradient_bits: Bits
    input_bits: Bits
    row_pointer_bits: Bits | None = None
    random_state_bits: StateBits


class _Limit(Strict):
    kind: Literal["wall", "budget"]
    action: Literal["error", "spill"]


class CountLimit(_Limit):
    """Largest count, whether it is structural (wall) or bytes and time (budget), and what happens beyond it."""

    max: Count


class BitLimit(_Limit):
    """Like `CountLimit`, in bits."""

    max: Bits


class Limits(Strict):
    """Limits that the profile states; `routing_entries` is per chip, the others per core, neuron or synapse."""

    neurons_per_core: CountLimit | None = None
    synapses_per_core: CountLimit | None = None
    fan_in_per_neuron: CountLimit | None = None
    in_axons_per_core: CountLimit | None = None
    out_axons_per_core: CountLimit | None = None
    routing_entries: CountLimit | None = None
    weight_bits_native: BitLimit | None = None


KNOWN_LIMITS = tuple(Limits.model_fields)


class Learning(Strict):
    """Where learning runs, who rewires, and the key of the source that says so."""

    where: Literal["none", "host", "embedded_cpu", "simd_beside_array", "synapse_engine", "same_core"]
    rewiring: Literal["on_chip", "host", "none"]
    source: str
    note: str | None = None


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
                raise WrongKey(["prices", *key_path, "meaning"], "found average_including_static beside static power, which counts static twice; expected a marginal or dynamic_total price, or no static power")
        return self


class HardwareProfile(Strict):
    """One chip, each number with its source. Made by `load_profile`.

    Attributes
    ----------
    cores : Quantity
        Cores of one chip that worker programs can use.
    path, sha256 : str
        File it was loaded from and the digest of its bytes; empty for a profile made in Python.
    """

    schema_version: Literal[1]
    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    title: Text
    description: Text
    sources: dict[str, Text]
    cores: Count
    storage: Storage
    synapse_word: SynapseWord
    formats: Formats
    limits: Limits = Limits()
    learning: Learning
    time: Time = Time()
    energy: Energy

    _path: str = PrivateAttr("")
    _sha256: str = PrivateAttr("")

    @property
    def path(self):
        return self._path

    @property
    def sha256(self):
        return self._sha256

    @model_validator(mode="after")
    def _check_sources(self):
        for key_path, quantity in iter_quantities(self):
            self._check_source(key_path, quantity.source)
            for index, other in enumerate(quantity.alternatives):
                self._check_source((*key_path, "alternatives", index), other.source)
        self._check_source(("learning",), self.learning.source)
        return self

    def _check_source(self, key_path, source):
        if source not in self.sources:
            raise WrongKey([*key_path, "source"], f"found {source!r}, which is not in sources; {nearest(source, self.sources)}")

    @model_validator(mode="after")
    def _check_word(self):
        for key in WORD_FIELDS[self.storage.family]:
            if getattr(self.synapse_word, key) is None:
                raise WrongKey(["synapse_word", key], f"missing; storage family {self.storage.family} needs it")
        return self

    @model_validator(mode="after")
    def _check_spill(self):
        for key in KNOWN_LIMITS:
            limit = getattr(self.limits, key)
            if limit is not None and limit.action == "spill" and getattr(self.storage, "shared_bytes", None) is None:
                raise WrongKey(["limits", key, "action"], "found 'spill' but storage has no shared_bytes to spill to; expected 'error'")
        return self
