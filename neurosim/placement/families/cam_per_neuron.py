"""Content-addressed words of each neuron, as on DYNAP-SE2: a removed synapse frees one word of its own neuron."""

from neurosim.hardware.storage import CamPerNeuron
from neurosim.placement.checks import Check, cite
from neurosim.placement.families.arrays import ArrayFamily
from neurosim.units import format_count


class CamPerNeuronFamily(ArrayFamily):
    storage = CamPerNeuron

    def places_per_neuron(self, profile):
        words = profile.storage.words_per_neuron
        return words.value, cite(profile, "storage.words_per_neuron", words)

    def array_checks(self, room):
        return ()

    def list_checks(self, room):
        words, layout = room.profile.storage.words_per_neuron, room.layout
        source = cite(room.profile, "storage.words_per_neuron * neurons", words)
        yield Check("cam_words", layout.per_core(room.slots), layout.own.sum(axis=0) * words.value, "words", source, layout.cores)

    def release_text(self, placement):
        return "storage cam_per_neuron: a removed synapse frees one word, for its own neuron alone"

    def room_text(self, storage):
        return f"{format_count(storage.words_per_neuron.value)} per neuron"
