"""Bits read and written, by core, phase and section: what every part of the counting of traffic stands on."""

from dataclasses import dataclass

import numpy as np

from neurosim.accounting.activity import Shape
from neurosim.accounting.events import PHASE, PHASES
from neurosim.placement.families import family_of
from neurosim.placement.memory import has_accumulators, has_row_pointers
from neurosim.placement.sections import SECTIONS


@dataclass(frozen=True)
class Widths:
    """Bits of what is stored, from the profile; index widths are 0 where slots have a fixed place."""

    position: int
    mark: int  # what says whether a slot is free: its index, or its weight in a fixed place; nothing where none ever is
    post: int
    strength: int  # weight and sign
    weight: int
    master: int
    activation: int
    error: int
    gradient: int
    input: int
    row_pointer: int

    @classmethod
    def of(cls, profile, workload):
        word, formats = profile.synapse_word, profile.formats
        bits = {name: getattr(word, name).value if getattr(word, name) else 0 for name in type(word).model_fields}
        if workload.has_places:
            bits["pre_index_bits"] = bits["post_index_bits"] = 0
        family = family_of(profile)
        weight = family.theta_bits(profile, workload)
        position = bits["pre_index_bits"] + bits["post_index_bits"] + bits["label_bits"]
        return cls(
            position=position,
            mark=(position or (0 if workload.starts_dense and not workload.rewires else weight)) * family.marks_free,
            post=bits["post_index_bits"] or position,
            strength=weight + bits["sign_bits"],
            weight=weight,
            master=workload.master_bits,
            activation=formats.activation_bits.value,
            error=formats.error_bits.value,
            gradient=formats.gradient_bits.value,
            input=formats.input_bits.value,
            row_pointer=formats.row_pointer_bits.value if formats.row_pointer_bits else 0,
        )


class Accesses:
    """Accesses of one placement.

    Parameters
    ----------
    placement : Placement

    Attributes
    ----------
    bits : int64 array, shape (n_cores, len(PHASES), len(SECTIONS), 2)
        Bits read and written.
    """

    def __init__(self, placement):
        self.placement = placement
        self.shape, self.topology = Shape(placement), placement.workload.topology
        self.homes_of_x = self._homes_of_x()
        self.w = Widths.of(placement.profile, placement.workload)
        self.family = family_of(placement.profile)
        self.is_sorted = has_row_pointers(placement.profile, placement.workload)
        self.has_accumulators = has_accumulators(placement.profile, placement.workload)
        self.state = placement.workload.state_words * self.w.gradient
        self._place = {name: i for i, name in enumerate(SECTIONS)}
        self.bits = np.zeros((self.shape.n_cores, len(PHASES), len(SECTIONS), 2), np.int64)

    def read(self, phase, section, bits):
        self.bits[:, PHASE[phase], self._place[section], 0] += bits

    def write(self, phase, section, bits):
        self.bits[:, PHASE[phase], self._place[section], 1] += bits

    def update_in_place(self, phase, section, bits):
        self.read(phase, section, bits)
        self.write(phase, section, bits)

    def per_segment(self, values, where=True):
        return self.shape.per_core(np.where(where, values, 0))

    def home_of_values(self, population):
        """Section of the values of a population other than the inputs: those of maps, or of every step, where there are several."""
        if self.topology.populations[population].maps:
            return "feature_maps"
        return "unrolled_state" if self.topology.is_unrolled and population in self.topology.hidden else "neuron_state"

    def home_of_errors(self, population):
        """Section of the errors of a population, and of partial errors on their way to it."""
        return "feature_maps" if self.topology.populations[population].maps else "neuron_state"

    def per_matrix(self, values):
        """(projection, values per core) of each matrix, from `values` per segment."""
        for matrix, projection in enumerate(self.topology.projections):
            yield projection, self.per_segment(values, self.shape.matrix == matrix)

    def _homes_of_x(self):
        """Section of the values that each matrix is multiplied with: list of str."""
        return [
            "input_buffer" if p.pre == 0 else "neuron_state" if self.topology.reads_mean(p) else self.home_of_values(p.pre)
            for p in self.topology.projections
        ]

    def read_pre(self, phase, times):
        """Read pre activations, `times` per segment, each from its section."""
        for matrix, (home, projection) in enumerate(zip(self.homes_of_x, self.topology.projections, strict=True)):
            width = self.w.activation if projection.pre else self.w.input
            self.read(phase, home, self.per_segment(times * width, self.shape.matrix == matrix))

    def pass_free_slots(self, phase, n_walks, used):
        """A walk over all slots reads the mark of the free ones too, to pass them over."""
        free = n_walks * self.shape.n_slots - used
        self.read(phase, self.family.home, self.per_segment(free * self.w.mark))
