"""Words in byte-addressed local memory, which a program walks, as on SpiNNaker: a removed synapse frees its exact bytes."""

from neurosim.errors import InputError
from neurosim.hardware.storage import AddressSpace
from neurosim.placement.checks import Check, cite
from neurosim.placement.families.base import Family
from neurosim.placement.states import array_bytes
from neurosim.units import format_bytes


#: Bits of words that a strength and its sign make together, and then share; else signs are an array of their own.
_WORDS = (8, 16)


def row_pointer_bits(profile):
    """Width of the pointers to rows that event-driven execution keeps: quantity of the profile.

    Raises
    ------
    InputError
        The profile states none.
    """
    if profile.formats.row_pointer_bits is None:
        raise InputError(f"profile {profile.name}: formats.row_pointer_bits missing; execution event_driven needs it")
    return profile.formats.row_pointer_bits


class AddressSpaceFamily(Family):
    """A slot is a word of pre index, post index, weight and sign; `event_driven` keeps them sorted behind row pointers."""

    storage = AddressSpace
    home = "synapses"
    is_program = True
    shares_kernels = True

    def slot_bytes(self, profile, workload, slots):
        word = profile.synapse_word
        index_bits = 0 if workload.has_places else word.pre_index_bits.value + word.post_index_bits.value
        strength, sign = self.theta_bits(profile, workload), word.sign_bits.value
        if strength + sign in _WORDS:
            return array_bytes(slots, index_bits) + array_bytes(slots, strength + sign)
        return array_bytes(slots, index_bits) + array_bytes(slots, strength) + array_bytes(slots, sign)

    def bytes_beside(self, profile, n_synapses, n_words):
        return 0  # they are in local memory

    def takes_widths(self, profile):
        return True

    def fixed_checks(self, profile, layout):
        for name, used in (("pre_index", layout.n_pre), ("post_index", layout.n_post)):
            bits = getattr(profile.synapse_word, name + "_bits")
            source = cite(profile, f"synapse_word.{name}_bits", bits)
            yield Check(name, used, 2**bits.value - 1, "neurons", source, layout.core, layout.matrix)

    def array_checks(self, room):
        return ()

    def list_checks(self, room):
        if room.workload.execution == "event_driven":
            bits, layout = row_pointer_bits(room.profile), room.layout
            source = cite(room.profile, "formats.row_pointer_bits", bits)
            yield Check("row_pointer", room.slots, 2**bits.value - 1, "slots", source, layout.core, layout.matrix)

    def release_text(self, placement):
        return None

    def room_text(self, storage):
        return "size not stated" if storage.local_bytes is None else format_bytes(storage.local_bytes.value)

    def forward(self, t, phase, activity, walks, visits):
        if t.is_sorted:
            _walk_rows(t, phase, activity, walks)
            t.read(phase, self.home, t.per_segment(visits.forward * (t.w.post + t.w.strength)))
        else:
            t.read_pre(phase, visits.forward)
            t.read(phase, self.home, t.per_segment(visits.forward_words * (t.w.position + t.w.strength)))
            t.pass_free_slots(phase, walks, visits.forward_words)
        t.start_sums(phase, activity.passes[0])
        t.add_to_sums(phase, visits.forward_ops)

    def backward(self, t, activity, walks, visits):
        if not t.is_sorted:
            super().backward(t, activity, walks, visits)
            return
        _walk_rows(t, "backward", activity, walks, with_first=False)
        t.read("backward", self.home, t.per_segment(visits.backward * t.w.post))
        t.read("backward", self.home, t.per_segment(visits.backward_ops * t.w.strength))
        # The sum of a row stays in a register.
        t.write("backward", "neuron_state", t.per_segment(activity.segment["rows_nonzero"] * t.w.error, t.shape.pre > 0))

    def gradient(self, t, activity, walks, visits):
        if not t.is_sorted:
            super().gradient(t, activity, walks, visits)
            return
        _walk_rows(t, "gradient", activity, walks)
        t.read("gradient", self.home, t.per_segment(visits.gradient * t.w.post))

    def propose(self, t, events, proposals):
        if t.is_sorted:
            t.read("rewire", "row_pointers", t.per_segment(proposals * 2 * t.w.row_pointer))
            t.read("rewire", self.home, t.per_segment(events["rows_checked"] * t.w.post))
        else:
            t.read("rewire", self.home, t.per_segment(proposals * t.shape.n_slots * t.w.position))

    def take_exchange(self, t, events, arrivals):
        if not t.is_sorted:
            super().take_exchange(t, events, arrivals)
            return
        # A segment that got arrivals is written anew, in order.
        t.write("rewire", self.home, t.per_segment(events["erased"] * t.w.mark))
        t.write("rewire", self.home, t.per_segment(events["merges"] * t.shape.n_slots * (t.w.position + t.w.strength)))
        t.write("rewire", "row_pointers", t.per_segment(events["merges"] * (t.shape.n_pre + 1) * t.w.row_pointer))


def _walk_rows(t, phase, activity, n_walks, with_first=True):
    """Test every pre neuron of every segment in each walk, and read two row pointers where it is non-zero."""
    t.read_pre(phase, n_walks * t.shape.n_pre)
    first_rows, later_rows = t.shape.visible_rows(activity)
    rows = later_rows + (first_rows if with_first else 0)
    t.read(phase, "row_pointers", rows * 2 * t.w.row_pointer)
