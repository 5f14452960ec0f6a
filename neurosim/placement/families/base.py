"""What a storage family is asked for: limits, bytes, what a removed synapse frees, accesses, words."""

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from neurosim.hardware import HardwareProfile
from neurosim.hardware.storage import StorageFamily, family_name
from neurosim.networks import Topology
from neurosim.placement.checks import Check, cite_limit
from neurosim.placement.layout import Layout
from neurosim.placement.sections import Section
from neurosim.placement.workload import Workload


@dataclass(frozen=True)
class Room:
    """Segments whose room on cores is checked, as arrays over them.

    Attributes
    ----------
    profile : HardwareProfile
    workload : Workload
    layout : Layout
    n_active, slots : int64 array, shape (n_segments,)
    with_expected : bool
        Whether to compute expected uses beside their bounds.
    """

    profile: HardwareProfile
    workload: Workload
    layout: Layout
    n_active: np.ndarray
    slots: np.ndarray
    with_expected: bool = True


class Family(ABC):
    """One way of storing synapses.

    A method without a body here is one that every family answers in its own way: nothing is taken for granted of a family that is not
    known. Those with a body say what holds for a processor that walks all slots where they lie, in the section `home`; a family
    overrides what differs.

    Accesses are asked for by `neurosim.accounting`, with the counter of one placement as `t` (`accounting.accesses.Accesses`):
    ``t.read(phase, section, bits)``, ``t.write`` and ``t.update_in_place`` book bits per core, ``t.per_segment`` adds segments up per
    core, ``t.w`` are the widths, ``t.shape`` says where segments and neurons lie. `activity` is what the network did, `visits` which
    slots that walked (`accounting.visits`).

    Attributes
    ----------
    storage : type
        Class of the part `storage` of its profiles.
    home : str
        Section that holds the synapses.
    sections : tuple of Section
        Sections of its own, beside those of `placement.sections`.
    is_program : bool
        Whether synapses are words that a program walks: it computes neurons of any kind, walks all slots or only the rows of values that
        are not zero (``execution: event_driven``), and nobody need watch its neurons otherwise. Else circuits multiply, at each value that is not
        zero, and have neurons of their own kind.
    marks_free : bool
        Whether a free slot is seen by its index or weight; where only synapses are stored there is none.
    has_drawn_room : bool
        Whether how much fits depends on which positions are drawn.
    exchange_text : str
        What a host that rewires writes, in words.
    shares_kernels : bool
        Whether one word can stand for a connection at all places of a map, so that convolutions are laid out.
    unshared_text : str
        Why not, in words that follow the name of the chip.
    has_tables : bool
        Whether `core_sections` are all that cores keep, which its limits cover.
    walks_maps : bool
        Whether what it does with maps is counted, so that networks of convolutions run; else they are placed and judged only.
    """

    storage: type[StorageFamily]
    home: str
    sections: tuple[Section, ...] = ()
    is_program: bool = False
    marks_free: bool = True
    has_drawn_room: bool = False
    exchange_text: str = "the synapses that came and the marks of those that left"
    shares_kernels: bool = False
    walks_maps: bool = True
    has_tables: bool = False
    unshared_text: str = "stores a synapse for every pair of neurons, and how its weights could be shared by places is not modelled"

    @property
    def name(self) -> str:
        """Value of ``storage.family`` in its profiles."""
        return family_name(self.storage)

    # Where neurons lie

    def homes(self, profile: HardwareProfile, topology: Topology, n_cores: int) -> tuple[tuple[int, ...], ...] | None:
        """Neurons of each population but the inputs on each core, where the chip leaves no choice: as `Workload.own`; else None."""
        return None

    # Bytes

    def core_sections(self, profile: HardwareProfile, layout: Layout) -> dict[str, np.ndarray] | None:
        """Bytes of all that cores keep, by section, where these are `has_tables`; None where they keep what `placement.memory` says."""
        return None

    def slot_bytes(self, profile: HardwareProfile, workload: Workload, slots: np.ndarray) -> np.ndarray | None:
        """Bytes of `home` in local memory for the synapses of segments: int64 array like `slots`; None where they lie elsewhere."""
        return None

    def takes_widths(self, profile: HardwareProfile) -> bool:
        """Whether a run may choose how wide a weight is stored."""
        return False

    def theta_bits(self, profile, workload):
        """Width of a stored strength, without its sign where that has a field of its own: as chosen where the chip leaves a choice."""
        if workload.theta_bits is None or not self.takes_widths(profile):
            return profile.synapse_word.weight_bits.value
        return workload.theta_bits + (profile.synapse_word.sign_bits is None)

    # Limits

    def rows_per_weight(self, profile: HardwareProfile) -> int:
        """Places that one signed weight takes."""
        return 1

    def computes_sums_elsewhere(self, profile: HardwareProfile) -> bool:
        """Whether something that computes gets the sums of neurons, adds biases and sends values of any sign; else neurons are circuits that
        rectify, and send spikes."""
        return True

    def adds_biases(self, profile: HardwareProfile) -> bool:
        """Whether sums may start at a bias."""
        return self.computes_sums_elsewhere(profile)

    def has_signed_rows(self, profile: HardwareProfile) -> bool:
        """Whether the sign of a weight is that of its place, so that the stored strength needs none."""
        return self.rows_per_weight(profile) > 1

    def places_per_neuron(self, profile: HardwareProfile) -> tuple[int, str] | None:
        """(most synapses of a neuron, source) where the memory has so many places for each, else None."""
        return None

    def merged_columns(self, profile, n_active, n_post, fan_in):
        """Places of one neuron that are merged into it, where its average fan-in needs more than one: int64 array like `n_active`.

        Parameters
        ----------
        profile : HardwareProfile
        n_active, n_post : int64 array
            Synapses and post neurons, of segments or matrices.
        fan_in : int
            Most synapses of a neuron of one place.
        """
        return np.ones_like(n_active)

    def bytes_beside(self, profile: HardwareProfile, n_synapses: int, n_words: int) -> int:
        """Bytes of a core's synapses that lie beside its local memory: in `n_words` words of lists, in cells, in words of neurons."""
        word = profile.synapse_word
        bits = sum(getattr(word, name).value for name in type(word).model_fields if getattr(word, name) is not None)
        return -(-n_synapses * self.rows_per_weight(profile) * bits // 8)

    def in_axon_limits(self, profile: HardwareProfile, workload: Workload) -> list[tuple[int, str]]:
        """(most distinct pre neurons of a core, source) of everything that limits them; empty where nothing does."""
        stated = profile.limits.in_axons_per_core
        return [] if stated is None else [(stated.max.value, cite_limit(profile, "in_axons_per_core"))]

    def fixed_checks(self, profile: HardwareProfile, layout: Layout) -> Iterable[Check]:
        """Checks that do not depend on the number of synapses."""
        return ()

    @abstractmethod
    def array_checks(self, room: Room) -> Iterable[Check]:
        """Checks of the room for all synapses of a core; empty where that is local memory, which is checked for all.

        `room` : `Room`.
        """

    def list_checks(self, room: Room) -> Iterable[Check]:
        """Checks of how the synapses of rows or columns lie there."""
        return ()

    def row_limits(self, placement) -> dict:
        """Limits that the run keeps at every step: keyword arguments of `synapses.CorePlan`."""
        return {}

    # Words

    @abstractmethod
    def release_text(self, placement) -> str | None:
        """What removing a synapse frees, in one sentence; None where it frees its exact bytes."""

    @abstractmethod
    def room_text(self, storage) -> str:
        """Room for synapses on one core, in the measure of the family; `storage` is that part of a profile."""

    def hints(self, placement) -> Iterable[str]:
        """What would help a placement that does not fit and no search of `placement.remedies` finds, in one sentence each."""
        return ()

    def not_modelled(self, profile: HardwareProfile) -> list[str]:
        """What the chip would also demand and nothing here checks: list of str."""
        return []

    # Accesses of a chip that learns

    @abstractmethod
    def forward(self, t, phase, activity, walks, visits):
        """Multiply slots with the values of their pre neurons, and add up the sums of post neurons."""

    def backward(self, t, activity, walks, visits):
        """Multiply slots with the errors of their post neurons, and add up the errors of pre neurons."""
        t.read("backward", self.home, t.per_segment(visits.backward_words * (t.w.position + t.w.strength)))
        t.pass_free_slots("backward", walks, visits.backward_words)
        for projection, values in t.per_matrix(visits.backward_ops):
            t.update_in_place("backward", t.home_of_errors(projection.pre), values * t.w.error)

    def gradient(self, t, activity, walks, visits):
        """Find the slots that have a gradient, and the values that it is made of."""
        t.read_pre("gradient", visits.gradient)
        t.read("gradient", self.home, t.per_segment(visits.gradient_words * t.w.mark))
        t.pass_free_slots("gradient", walks, visits.gradient_words)

    def update(self, t, activity):
        """Move the strengths of slots, and read a master copy out."""
        updated = activity.segment["updated"]
        t.move_strengths("update", updated)
        if t.w.master:
            t.write("update", self.home, t.per_segment(updated * t.w.weight))

    @abstractmethod
    def propose(self, t, events, proposals):
        """Look whether the position of a proposal is taken. `proposals` : int64 array, shape (n_segments,)."""

    def exchange(self, t, events, arrivals):
        """Draw exactly, which walks the slots twice: to count the free positions, and to find the drawn one; and write arrivals."""
        t.read("rewire", self.home, t.per_segment(events["exact"] * 2 * t.shape.n_slots * t.w.mark))
        t.write("rewire", self.home, t.per_segment(arrivals * (t.w.position + t.w.strength)))

    # Accesses of a chip whose host learns or rewires

    def take_weights(self, t, events):
        """Take the weights that a host changed."""
        t.write("update", self.home, t.per_segment(events["updated"] * t.w.weight))

    def give_weights(self, t, events):
        """Give all weights to the host."""
        t.read("rewire", self.home, t.per_segment(events["seen"] * t.w.strength))

    def take_exchange(self, t, events, arrivals):
        """Take the synapses that came, and the marks of those that left."""
        t.write("rewire", self.home, t.per_segment(events["erased"] * t.w.mark))
        t.write("rewire", self.home, t.per_segment(arrivals * (t.w.position + t.w.strength)))
