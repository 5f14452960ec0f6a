"""What a core keeps in its local memory while it trains, section by section, in exact bytes.

The training program
--------------------
This is the contract that the counting of traffic follows as well.

- A core owns contiguous ranges of the neurons of each population and every synapse into them. Each sum of a neuron is a post
  neuron (four of an LSTM unit, its gates, unit by unit). A slot is a word of pre index, post index, weight and sign; the index
  of all ones marks a slot that is not in use.
- Samples are processed one after another, and the steps of a sample one after another; a feed-forward network has one. Neuron
  state is therefore that of one sample, whatever the batch size: a scalar core gains nothing from holding the whole batch. With
  batch size 1 each sample of one step updates the weights; else gradients are summed in one accumulator per slot and applied once
  per batch (the weights must not change between the steps of a sample, and a clipped
  gradient waits for its norm). The optimizer keeps its numbers per slot
  as wide as a gradient (momentum one, Adam two), and Adam one count of steps per core. A master copy of the strengths
  is used by updates alone.
- Forward, at each step: a core starts its own sums at zero or at their biases, multiplies its slots with the values of their pre
  neurons, and turns the sums of each neuron into its values (`neurosim.networks.NeuronModel`). The inputs come from the host into
  the input buffer of every core that they feed; values of neurons on other cores arrive in copies, once per projection. A
  recurrent projection takes the values of the step before; at the first step of a sample it is not walked.
- Of the steps only the last are kept, in rings, as far back as errors will go (`Topology.kept_steps`): inputs, own values, copies
  that a walk back will need, and the states that the first of these steps has read. With read-out `mean` the error is known
  only at the end, so all steps are kept whatever the window, and the neurons that are read add their values up in a mean.
- Output, once per sample: each core with output neurons has the one-hot label, and copies of the logits of other cores for the softmax.
- Backward, from the last step to the first that is kept: a core turns the errors of its own neurons into those of their sums, and
  sums, for every hidden pre neuron of its segments, the error that its own slots send back. Sums for
  neurons of other cores are kept in partial sums and sent there. Errors exist for one step only; that of a mean stays for all.
- Biases, one per sum where a population has them, belong to neurons: value, accumulator and the numbers of the optimizer.
- Where the host learns, the core has only what the forward pass needs: no errors, labels, logits of others, accumulators, state of
  an optimizer or generator; the host keeps these, and copies of all synapses.
- Rewiring overwrites released slots in place. `scan` walks all slots and needs no order. `event_driven` keeps the slots
  of a segment sorted by row behind row pointers, by a merge pass that takes at most `MERGE_ENTRIES` arrivals.

- A rule that gives every possible connection a fixed place (`has_places`) keeps no indices; a place that is not active says so by
  its weight, and accumulators exist for all places. A search for the smallest weights or largest dense gradients looks at
  `SEARCH_BITS` of each number per pass and counts how often each value occurs.

Rounding: an array of n values of b bits takes ceil(n * b / 8) bytes; a strength and a sign that are 8 or 16 bits together share a word, as in the program in C. Pre and post indices, weights, signs, row pointers,
master copies, gradients and each number of the optimizer are arrays per segment; copies are arrays per segment; own values of all steps, own values that exist once, errors and
biases are arrays per core (`placement.states`).
The authors' C code reserves n // 8 + 1 bytes of signs, one byte more than this wherever 8 divides n.

How synapses are stored is a matter of the storage family (`placement.families`). On a crossbar they live in the array and not in
these bytes: slots are addressed by their place, so there are no indices, row pointers or arrival lists; the processor beside the array
keeps the rest.
"""

import numpy as np

from neurosim.errors import InputError
from neurosim.placement.families import family_of
from neurosim.placement.families.address_space import row_pointer_bits
from neurosim.placement.programs import has_one_signal
from neurosim.placement.sections import SECTIONS
from neurosim.placement.spiking import bits_of, spiking_sections, synapse_words
from neurosim.placement.states import array_bytes, state_sections

MERGE_ENTRIES = 64
STEP_COUNT_BITS = 32
#: A search looks at so many bits of a number in each pass, and counts in one counter per value of these bits.
SEARCH_BITS, COUNTER_BITS = 8, 32


def host_rewires(profile, workload):
    """Whether the chip learns, and its host reads the weights and exchanges synapses: where the chip cannot do that itself."""
    return workload.rewires and not workload.host_learns and profile.learning.rewiring == "host"


def has_row_pointers(profile, workload):
    """Whether the slots are kept sorted by row behind row pointers."""
    return workload.execution == "event_driven" and family_of(profile).is_program


def theta_bits(profile, workload):
    """Width of a stored strength; see `families.Family.theta_bits`."""
    return family_of(profile).theta_bits(profile, workload)


def has_accumulators(profile, workload):
    """Whether each slot has a gradient accumulator.

    With batch size 1 and one step a gradient goes straight into the strength, unless it is clipped. In event-driven execution that happens before
    the pass that moves all slots: what is stored in between must be as wide as a gradient, be it a
    strength, its master copy or the state of an optimizer.
    """
    is_narrow = workload.is_rounded and not workload.master_bits and not workload.state_words
    is_unrolled = workload.topology.is_unrolled and not _learns_at_once(profile, workload)
    is_late = workload.batch_size > 1 or workload.clips or is_unrolled or workload.topology.has_maps
    return is_late or has_row_pointers(profile, workload) and is_narrow


def _learns_at_once(profile, workload):
    """Whether a spiking network with steps updates its weights without a sum of their gradients: at the end of a sample, or, as an engine may, in each step."""
    if workload.topology.spiking is None or workload.program in ("bptt", "eprop_spike"):
        return False
    # At the end of a sample the gradient is in a register: its one trace times its one signal.
    return has_one_signal(workload.topology) or profile.learning.updates == "step"


def section_bytes(profile, workload, layout, slots):
    """Bytes of each section on each core.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
    layout : Layout
    slots : int64 array, shape (n_segments,)

    Returns
    -------
    dict of str to int64 array, shape (n_cores,)
        In the order of `sections.SECTIONS`; a section that does not exist is left out.

    Raises
    ------
    InputError
        When the profile lacks a format that the execution needs.
    """
    sections = fixed_sections(profile, workload, layout) | slot_sections(profile, workload, layout, slots)
    return {name: sections[name] for name in SECTIONS if name in sections}


def slot_sections(profile, workload, layout, slots):
    """The sections that depend on the number of slots."""
    sections = {}
    family = family_of(profile)
    synapses = family.slot_bytes(profile, workload, slots)
    if synapses is not None:
        sections[family.home] = layout.per_core(synapses)
    if workload.host_learns:
        return sections
    if workload.master_bits:
        sections["master_weights"] = layout.per_core(array_bytes(slots, workload.master_bits))
    if workload.topology.spiking and family.is_program:  # an engine has them in its synapses
        words = synapse_words(workload, layout)
        if words.any():
            sections["eligibility"] = layout.per_core(words * array_bytes(slots, bits_of(profile.formats, "trace_bits")))
    if has_accumulators(profile, workload):
        sections["gradients"] = layout.per_core(array_bytes(slots, profile.formats.gradient_bits.value))
    if workload.state_words:
        state = workload.state_words * layout.per_core(array_bytes(slots, profile.formats.gradient_bits.value))
        sections["optimizer_state"] = state + workload.counts_steps * layout.own.any(axis=0) * array_bytes(1, STEP_COUNT_BITS)
    return sections


def _states(profile, workload, layout):
    """The sections of neurons and inputs."""
    if workload.topology.spiking:
        return spiking_sections(profile, workload, layout)
    n_inputs = layout.topology.n_values[0] * workload.kept_steps
    inputs = layout.has_input * array_bytes(n_inputs, profile.formats.input_bits.value)
    return {**state_sections(profile.formats, workload, layout), "input_buffer": inputs}


def fixed_sections(profile, workload, layout):
    """The sections that do not depend on the number of slots."""
    tables = family_of(profile).core_sections(profile, layout)
    if tables is not None:
        return tables
    formats, word = profile.formats, profile.synapse_word
    reserved = profile.storage.code_bytes
    code = workload.code_bytes if workload.code_bytes is not None else reserved.value if reserved else 0
    has_outputs = layout.own[-1] > 0
    learns = not workload.host_learns
    sections = {
        "code": np.full(layout.n_cores, code, dtype=np.int64),
        **_states(profile, workload, layout),
        "label_buffer": learns * has_outputs * array_bytes(layout.topology.sizes[-1], formats.input_bits.value),
    }
    has_slots = layout.own.any(axis=0)
    rewiring, chip_rewires = 0, workload.rewires and not host_rewires(profile, workload)
    if workload.has_dense_gradient and learns:
        sections["dense_gradient"] = layout.per_core(array_bytes(layout.n_positions, formats.gradient_bits.value))
    if workload.searches and learns and not host_rewires(profile, workload):
        rewiring += array_bytes(2**SEARCH_BITS, COUNTER_BITS)
    if (workload.draws_in_steps or chip_rewires) and learns:
        sections["random_state"] = has_slots * array_bytes(1, formats.random_state_bits.value)
    if has_row_pointers(profile, workload):
        if workload.has_places:
            raise InputError(
                "hardware.execution: found event_driven with a rewiring rule that keeps every connection in its fixed place; "
                "rows behind pointers are for sparse slots: use execution scan"
            )
        sections["row_pointers"] = layout.per_core(array_bytes(layout.n_pre + 1, row_pointer_bits(profile).value))
        if chip_rewires and learns:
            rewiring += array_bytes(MERGE_ENTRIES, word.pre_index_bits.value + word.post_index_bits.value)
    if rewiring:
        sections["rewiring"] = has_slots * rewiring
    return sections
