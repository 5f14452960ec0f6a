"""What one core stores: the storage families with their release rule, the synapse word and the value formats."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from neurosim.documents import Strict, WrongKey
from neurosim.hardware.quantities import Bandwidth, Bits, Bytes, Count, StateBits


def _check_code_fits(storage):
    if storage.code_bytes.value >= storage.local_bytes.value:
        message = f"found {storage.code_bytes.value}; expected less than local_bytes, {storage.local_bytes.value} B"
        raise WrongKey(["code_bytes", "value"], message)


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
            message = f"found {self.rows_per_signed_weight.value}; expected at most rows, {self.rows.value}"
            raise WrongKey(["rows_per_signed_weight", "value"], message)
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
