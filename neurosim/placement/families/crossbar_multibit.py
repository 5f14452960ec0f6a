"""Crossbar of multi-bit synapses, as on BrainScaleS and ODIN."""

from neurosim.hardware.storage import CrossbarMultibit
from neurosim.placement.families.arrays import CrossbarFamily


class CrossbarMultibitFamily(CrossbarFamily):
    storage = CrossbarMultibit

    def not_modelled(self, profile):
        labels = profile.synapse_word.label_bits
        return [] if labels is None else [f"address labels of {labels.value} bits: which pre neurons can share a row of the array"]
