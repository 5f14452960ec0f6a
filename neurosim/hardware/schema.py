"""What a hardware profile says: storage, word formats, limits, learning, time and energy of one chip.

A number that nobody published is absent (None), never 0. Refusals name the file, the line and the key.
"""

from typing import Annotated, Literal

from pydantic import Field, PrivateAttr, model_validator

from neurosim.documents import Strict, WrongKey
from neurosim.errors import nearest
from neurosim.hardware.costs import Energy, Time
from neurosim.hardware.quantities import Bits, Count, Text, iter_quantities
from neurosim.hardware.storage import WORD_FIELDS, Formats, Storage, SynapseWord


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
