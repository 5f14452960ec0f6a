"""Crossbar of one-bit synapses, as on TrueNorth."""

from neurosim.hardware.storage import CrossbarBinary
from neurosim.placement.families.arrays import CrossbarFamily


class CrossbarBinaryFamily(CrossbarFamily):
    storage = CrossbarBinary

    def not_modelled(self, profile):
        n, bits = profile.storage.weights_per_neuron.value, profile.storage.weight_value_bits.value
        return [f"weights of one bit, each neuron with {n} values of {bits} bits: training uses a weight of its own for each synapse"]
