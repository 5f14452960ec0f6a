"""What one core stores: the storage families with their release rule, the synapse word and the value formats."""

import typing
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SerializeAsAny, WrapValidator, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple, check_part
from neurosim.documents.wording import short
from neurosim.errors import nearest
from neurosim.hardware.quantities import Bandwidth, Bits, Bytes, Choice, Count, MemoryBits, StateBits, Width


def _check_code_fits(storage):
    if storage.code_bytes.value >= storage.local_bytes.value:
        message = f"found {storage.code_bytes.value}; expected less than local_bytes, {storage.local_bytes.value} B"
        raise WrongKey(["code_bytes", "value"], message)


class StorageFamily(Strict):
    """What every storage family says: a processor that learns may have a local memory. Synapses live there or in a memory of their own.

    A family has the fields `family`, a `Literal` of its name, and `release`, what a removed synapse frees. What it does with them
    stands in `placement.families`.

    Attributes
    ----------
    word_fields : tuple of str
        Fields of `SynapseWord` that its profiles must state.
    local_bytes : Quantity, optional
        Memory of the processor that learns, B per core; absent where there is none or its size is not published.
    code_bytes : Quantity, optional
        Part of `local_bytes` reserved for its program and stack, B.
    """

    word_fields: ClassVar[tuple[str, ...]] = ("weight_bits",)

    local_bytes: Bytes | None = None
    code_bytes: Bytes | None = None

    @model_validator(mode="after")
    def _check_processor(self):
        if (self.local_bytes is None) != (self.code_bytes is None):
            missing, other = ("local_bytes", "code_bytes") if self.local_bytes is None else ("code_bytes", "local_bytes")
            raise WrongKey([missing], f"missing; expected beside {other}")
        if self.local_bytes is not None:
            _check_code_fits(self)
        return self

    def check_cores(self, n_cores: int) -> None:
        """Refuse what does not go together with so many cores of the chip.

        Raises
        ------
        WrongKey
            With a key of the profile.
        """


class AddressSpace(StorageFamily):
    """Byte-addressed local memory, as on SpiNNaker: a removed synapse frees its exact bytes.

    Attributes
    ----------
    local_bytes : Quantity, optional
        Local memory per core, B; absent where no size is published: then bytes are counted and not limited.
    code_bytes : Quantity, optional
        Reserved for program and stack, B per core, part of `local_bytes`.
    shares_code_and_data : bool
        Whether program and data live in one memory.
    shared_bytes : Quantity, optional
        Off-chip or shared memory, B per chip.
    shared_bandwidth : Quantity, optional
        B/s per chip.
    overflow : {'refuse', 'spill'}
        What happens to a core that needs more than `local_bytes`: it does not fit, or whole sections of what it keeps per slot move to the
        shared memory (`placement.spill`).
    """

    word_fields: ClassVar[tuple[str, ...]] = ("pre_index_bits", "post_index_bits", "weight_bits", "sign_bits")

    family: Literal["address_space"]
    shares_code_and_data: bool
    shared_bytes: Bytes | None = None
    shared_bandwidth: Bandwidth | None = None
    overflow: Literal["refuse", "spill"] = "refuse"
    release: Literal["exact_bytes"] = "exact_bytes"

    @model_validator(mode="after")
    def _check(self):
        if self.overflow == "spill" and (self.shared_bytes is None or self.local_bytes is None):
            missing = "shared_bytes" if self.shared_bytes is None else "local_bytes"
            raise WrongKey(["overflow"], f"found 'spill'; expected {missing} beside it")
        return self


class Crossbar(StorageFamily):
    """Array of synapses with a row per input axon and a column per neuron: a removed synapse frees no row but an empty one.

    Attributes
    ----------
    rows, columns : Quantity
        Size of the array of one core.
    rows_per_signed_weight : Quantity
        2 when excitation and inhibition take a row each.
    shares_signs : bool
        Whether the network gives all synapses of a pre neuron one sign, which is then that of its row: a weight takes one row. Chosen by
        scenarios (``network.signs: pre``); no chip is like that by itself.
    merged_columns : Quantity, optional
        Most columns that are merged into one neuron whose fan-in needs more than one; absent where they cannot be.
    neuron_bits : Quantity, optional
        Memory of one neuron beside the array, where it is public.
    """

    rows: Count
    columns: Count
    rows_per_signed_weight: Count
    shares_signs: bool = False
    merged_columns: Count | None = None
    neuron_bits: Bits | None = None
    release: Literal["none_until_row_is_empty"] = "none_until_row_is_empty"

    @model_validator(mode="after")
    def _check_rows(self):
        if self.rows_per_signed_weight.value > self.rows.value:
            message = f"found {self.rows_per_signed_weight.value}; expected at most rows, {self.rows.value}"
            raise WrongKey(["rows_per_signed_weight", "value"], message)
        return self


class CrossbarMultibit(Crossbar):
    """Array of multi-bit synapses, as on BrainScaleS and ODIN.

    With `synapse_word.label_bits` every synapse holds the label of its input axon, and axons share rows
    (BrainScaleS-2). Without, a row belongs to one input axon, and rows limit the distinct axons of a core.
    """

    family: Literal["crossbar_multibit"]


class CrossbarBinary(Crossbar):
    """Array of one-bit synapses, as on TrueNorth; the weight comes from a table of each neuron, by the type of the axon.

    Attributes
    ----------
    weights_per_neuron : Quantity
        Entries of that table, so types of axons.
    weight_value_bits : Quantity
        Width of an entry.
    core_bits : Quantity, optional
        All memory of a core, bit.
    """

    family: Literal["crossbar_binary"]
    weights_per_neuron: Count
    weight_value_bits: Bits
    core_bits: MemoryBits | None = None


class PackedLists(StorageFamily):
    """Synapse memory of words: a list of blocks per input axon, as on Loihi. A removed synapse frees whole words only.

    A block of n synapses takes ``n * (weight + delay + tag + sign + index) + header_bits`` bits, rounded up to
    `word_bits`. The index names the target neuron within its core: as wide as the number of neurons needs,
    from `index_bits_least` to `index_bits_most`.

    Attributes
    ----------
    synapse_bits : Quantity
        Synapse memory of one core, bit.
    word_bits : Quantity
        Unit in which it is given out, bit.
    block_synapses : Quantity
        Most synapses of a block.
    header_bits : Quantity
        Beside the synapses of a block, bit.
    index_bits_least, index_bits_most : Quantity
    axon_slots_when_learning : Quantity
        Input-axon slots that an axon with synapses that learn takes; 1 where learning costs none.
    """

    family: Literal["packed_lists"]
    synapse_bits: MemoryBits
    word_bits: Bits
    block_synapses: Count
    header_bits: Bits
    index_bits_least: Bits
    index_bits_most: Bits
    axon_slots_when_learning: Count
    release: Literal["whole_words"] = "whole_words"

    @model_validator(mode="after")
    def _check_index(self):
        if self.index_bits_least.value > self.index_bits_most.value:
            message = f"found {self.index_bits_least.value}; expected at most index_bits_most, {self.index_bits_most.value}"
            raise WrongKey(["index_bits_least", "value"], message)
        return self


class CamPerNeuron(StorageFamily):
    """Content-addressed words of each neuron, as on DYNAP-SE2: a removed synapse frees one word of its own neuron.

    Attributes
    ----------
    words_per_neuron : Quantity
        Most synapses of one neuron.
    """

    family: Literal["cam_per_neuron"]
    words_per_neuron: Count
    release: Literal["one_word_of_its_neuron"] = "one_word_of_its_neuron"


class ConvTable(Strict):
    """Equal cores of a chip of convolution cores: how many there are, and the entries of the three tables of each."""

    cores: Count
    kernel_entries: Count
    neuron_entries: Count
    bias_entries: Count


class ConvTables(StorageFamily):
    """Tables of a core that computes one layer of maps, as on Speck: kernels, neuron states and biases. A removed synapse frees nothing.

    A kernel has an entry for every weight, zero or not. Addresses are made of bit fields, so sizes are rounded up to powers of two: f output maps of x times y
    places, with kernels of k times k elements for each of c input maps, take ``c * 2 ** (ceil(log2(k * k)) + ceil(log2(f)))`` entries of kernels,
    ``f * 2 ** (ceil(log2(x)) + ceil(log2(y)))`` of neurons and f of biases.

    Attributes
    ----------
    tables : tuple of ConvTable
        Cores in the order of their numbers.
    kernel_side, input_side, output_side : Quantity
        Most elements of a kernel, values of an input map and places of an output map in a row.
    maps : Quantity
        Most maps of a layer, on either side.
    padding : Quantity
        Most zeros around a map.
    strides, pools : Quantity
        The steps of kernels and the windows of pooling, without overlap and by sums, of which it takes only the `allowed` ones.
    """

    family: Literal["conv_tables"]
    tables: Annotated[tuple[ConvTable, ...], as_tuple, Field(min_length=1)]
    kernel_side: Count
    input_side: Count
    output_side: Count
    maps: Count
    padding: Count
    strides: Choice
    pools: Choice
    release: Literal["nothing"] = "nothing"

    def check_cores(self, n_cores):
        n = sum(table.cores.value for table in self.tables)
        if n != n_cores:
            raise WrongKey(["storage", "tables"], f"found {n} cores in all; expected those of the chip, {n_cores}")


_BUILT_IN = AddressSpace | CrossbarMultibit | CrossbarBinary | PackedLists | CamPerNeuron | ConvTables
#: Classes of storage families from elsewhere, by name.
_ADDED: dict[str, type[StorageFamily]] = {}


def family_name(storage_class):
    """Value of the key `family` that stands for a class of storage."""
    (name,) = typing.get_args(storage_class.model_fields["family"].annotation)
    return name


def add_storage(storage_class):
    """Let profiles name a storage family that is defined elsewhere: its class says what they must state.

    Parameters
    ----------
    storage_class : type
        Subclass of `StorageFamily`, with ``family: Literal["name"]`` and ``release``.
    """
    if storage_class not in typing.get_args(_BUILT_IN):
        _ADDED[family_name(storage_class)] = storage_class


def storage_class(family):
    """Class of a storage family by its name; None for an unknown one."""
    return {family_name(one): one for one in (*typing.get_args(_BUILT_IN), *_ADDED.values())}.get(family) if isinstance(family, str) else None


def _validate_added(value, handler):
    if isinstance(value, tuple(_ADDED.values())):
        return value
    family = value.get("family") if isinstance(value, dict) else None
    if not isinstance(family, str):
        return handler(value)
    if family in _ADDED:
        return check_part(_ADDED[family], value, what=f"storage family {family}")
    known = [*map(family_name, typing.get_args(_BUILT_IN)), *_ADDED]
    if family not in known:
        raise WrongKey(["family"], f"found {short(family)}; {nearest(family, known)}")
    return handler(value)


Storage = Annotated[SerializeAsAny[_BUILT_IN], Field(discriminator="family"), WrapValidator(_validate_added)]


class SynapseWord(Strict):
    """Bit fields of one stored synapse; which are required depends on the storage family (`StorageFamily.word_fields`).

    The sign is part of `weight_bits` where `sign_bits` is absent. Where `weight_bits` lists the widths that are `allowed`, a packed list
    has fields of the width that is chosen, else of `weight_bits`. `delay_bits`, `tag_bits` (learning) and
    `type_bits` (of the synapse circuit) take room on the chip and are not trained.
    """

    pre_index_bits: Bits | None = None
    post_index_bits: Bits | None = None
    weight_bits: Width | None = None
    sign_bits: Bits | None = None
    label_bits: Bits | None = None
    delay_bits: Bits | None = None
    tag_bits: Bits | None = None
    type_bits: Bits | None = None


class Formats(Strict):
    """Bits of the values stored during training; `random_state_bits` is the generator state per core.

    `trace_bits`, `output_trace_bits`, `surrogate_bits`: of traces of spiking networks, of those that the read-out takes, and of surrogate derivatives
    that are kept; as wide as a gradient, a trace and an activation where they are not stated.
    """

    activation_bits: Bits
    error_bits: Bits
    gradient_bits: Bits
    input_bits: Bits
    row_pointer_bits: Bits | None = None
    random_state_bits: StateBits
    trace_bits: Bits | None = None
    output_trace_bits: Bits | None = None
    surrogate_bits: Bits | None = None
