"""Synapse memory of words with a list of blocks per input axon, as on Loihi: a removed synapse frees whole words only."""

import numpy as np

from neurosim.hardware.storage import PackedLists
from neurosim.placement.checks import Check, cite, cite_limit, drawn
from neurosim.placement.families.base import Family
from neurosim.placement.rows import Packing, count_words
from neurosim.units import format_bytes


class PackedListsFamily(Family):
    """Lists are read and written as whole words; only synapses that exist are stored, so there is no mark of a free one."""

    storage = PackedLists
    home = "synapse_lists"
    unshared_text = (
        "can share lists of weights between axons, but splits no sparse kernels, and of learning on shared lists nothing is published "
        '(nengo-loihi: "Sparse weights not yet supported")'
    )
    marks_free = False
    has_drawn_room = True
    exchange_text = "the lists that changed"

    def takes_widths(self, profile):
        """Where `weight_bits` says which widths are allowed."""
        return bool(profile.synapse_word.weight_bits.allowed)

    def packing(self, profile, workload, n_neurons):
        """`Packing` of the lists of a core with `n_neurons` neurons, whose indices name the targets."""
        storage, word = profile.storage, profile.synapse_word
        fields = (word.sign_bits, word.delay_bits, word.tag_bits, word.type_bits)
        bits = self.theta_bits(profile, workload) + sum(field.value for field in fields if field is not None)
        bits += int(_index_bits(storage, n_neurons))
        return Packing(bits, storage.header_bits.value, storage.block_synapses.value, storage.word_bits.value)

    def bytes_beside(self, profile, n_synapses, n_words):
        return n_words * profile.storage.word_bits.value // 8

    def in_axon_limits(self, profile, workload):
        """Where learning doubles the slots of an input axon, half of them are left; all of them for weights that only the host changes."""
        slots, stated = profile.storage.axon_slots_when_learning.value, profile.limits.in_axons_per_core
        if slots == 1 or stated is None or workload.host_learns:
            return super().in_axon_limits(profile, workload)
        return [(stated.max.value // slots, cite_limit(profile, "in_axons_per_core", " // storage.axon_slots_when_learning"))]

    def fixed_checks(self, profile, layout):
        most = profile.storage.index_bits_most
        used = _index_bits(profile.storage, layout.own.sum(axis=0))
        yield Check("index_bits", used, most.value, "bit", cite(profile, "storage.index_bits_most", most), layout.cores)

    def array_checks(self, room):
        return ()

    def list_checks(self, room):
        layout = room.layout
        # Of cores with segments alone: a machine may have 100,000 that idle.
        of_segments = _of_each(lambda n: self.packing(room.profile, room.workload, n), layout.own.sum(axis=0)[layout.core])
        if room.workload.positions is not None and room.with_expected:
            words = room.workload.positions.on(layout).words(of_segments)
        else:
            words = count_words(of_segments, layout.n_post, layout.n_pre, room.n_active, room.slots, room.with_expected)
        yield drawn("synapse_words", words.map(layout.per_core), *_word_limit(room.profile), "words", layout.cores)

    def row_limits(self, placement):
        packings = [self.packing(placement.profile, placement.workload, core.n_neurons) for core in placement.cores]
        return {
            "words": (_word_limit(placement.profile)[0],) * placement.n_cores,
            "synapse_bits": tuple(packing.synapse_bits for packing in packings),
            **{name: getattr(packings[0], name) for name in ("header_bits", "block_synapses", "word_bits")},
        }

    def release_text(self, placement):
        packing = self.packing(placement.profile, placement.workload, int(placement.layout.own.sum(axis=0).max()))
        unit, bits, header = packing.word_bits, packing.synapse_bits, packing.header_bits
        lone = int(packing.words(1))
        text = f"storage packed_lists: a synapse takes {bits} bits and its block {header} more, in words of {unit}: "
        text += f"a lone synapse costs {_words(lone)} ({lone * unit} bits)"
        shared = next((n for n in range(2, packing.block_synapses + 1) if packing.words(n) == packing.words(n - 1)), None)
        if shared is not None:
            text += f"; releasing one of {shared} in {_words(int(packing.words(shared)))} frees nothing"
        return text

    def room_text(self, storage):
        return format_bytes(storage.synapse_bits.value / 8)

    def forward(self, t, phase, activity, walks, visits):
        t.read_pre(phase, activity.segment["rows_nonzero"])
        self._read(t, phase, activity.segment["words_nonzero"])
        t.start_sums(phase, activity.passes[0])
        t.add_to_sums(phase, visits.forward_ops)

    def backward(self, t, activity, walks, visits):
        self._read(t, "backward", np.where(t.shape.pre > 0, activity.segment["words"], 0))
        t.update_in_place("backward", "neuron_state", t.per_segment(visits.backward_ops * t.w.error))

    def gradient(self, t, activity, walks, visits):
        t.read_pre("gradient", visits.gradient)
        self._read(t, "gradient", activity.segment["words"])

    def update(self, t, activity):
        self._read(t, "update", activity.segment["words_updated"])
        self._write(t, "update", activity.segment["words_updated"])
        steps = t.placement.profile.time.steps
        if (
            steps is not None and t.topology.spiking is None
        ):  # an engine looks at every word in each learning epoch, and writes them when weights change
            n_epochs = steps.of_training(len(t.topology.projections)) * steps.epochs_per_step.value
            self._read(t, "update", np.maximum(n_epochs * activity.segment["words"] - activity.segment["words_updated"], 0))
        t.update_in_place("update", "master_weights", t.per_segment(activity.segment["updated"] * t.w.master))

    def visit_all(self, t, phase, activity, n_visits):
        """Read and write every word, as an engine does that learns in its lists; the words of each moment are those of the updates.

        `n_visits` : times in the whole training.
        """
        words = activity.segment["words_updated"] * n_visits // max(activity.n_steps, 1)
        self._read(t, phase, words)
        self._write(t, phase, words)

    def propose(self, t, events, proposals):
        """Searches of lists."""
        self._read(t, "rewire", events["words_read"])

    def exchange(self, t, events, arrivals):
        """The lists of rows that changed, read before and written after."""
        self._write(t, "rewire", events["words_written"])

    def take_weights(self, t, events):
        """The host has a copy, so words are written and not read."""
        self._write(t, "update", events["words_updated"])

    def give_weights(self, t, events):
        self._read(t, "rewire", events["words_seen"])

    def take_exchange(self, t, events, arrivals):
        self._write(t, "rewire", events["words_written"])

    def _read(self, t, phase, n_words):
        t.read(phase, self.home, t.per_segment(n_words * t.placement.profile.storage.word_bits.value))

    def _write(self, t, phase, n_words):
        t.write(phase, self.home, t.per_segment(n_words * t.placement.profile.storage.word_bits.value))


def _of_each(function, numbers):
    """`function` of each number of an array, called once for equal ones: list."""
    distinct, which = np.unique(numbers, return_inverse=True)
    found = [function(n) for n in distinct.tolist()]
    return [found[k] for k in which.tolist()]


def _index_bits(storage, n_neurons):
    """Bits of the index of a target on a core with `n_neurons` neurons: int64 array, or one number of each."""
    n_bits = np.frexp(np.maximum(n_neurons, 1) - 1)[1]  # x = fraction * 2**bits, exact below 2**53
    return np.maximum(n_bits, storage.index_bits_least.value).astype(np.int64)


def _word_limit(profile):
    """Words that a core has, and the source."""
    storage = profile.storage
    return storage.synapse_bits.value // storage.word_bits.value, cite(profile, "storage.synapse_bits // storage.word_bits", storage.synapse_bits)


def _words(n):
    return "a full word" if n == 1 else f"{n} full words"
