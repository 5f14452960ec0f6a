"""Puts the neurons and slots of a workload on the cores of a chip."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from neurosim.hardware import HardwareProfile
from neurosim.placement import layout as layouts
from neurosim.placement.alike import MOST_LISTED, group_alike
from neurosim.placement.families import family_of
from neurosim.placement.geometry import locate_cores
from neurosim.placement.homes import with_homes
from neurosim.placement.limits import fan_in_limit, in_axon_limit, make_checks, target_places
from neurosim.placement.memory import section_bytes
from neurosim.placement.search import check_cores, smallest_cores
from neurosim.placement.spill import choose_spill
from neurosim.placement.workload import Workload


@dataclass(frozen=True)
class Segment:
    """The slots of one matrix on one core: post neurons [post_start, post_stop) of the matrix, all inputs of each.

    `n_active` synapses are drawn at the start; `n_slots` is the fixed capacity; `n_positions` is n_pre * n_post.
    """

    matrix: int
    core: int
    post_start: int
    post_stop: int
    n_active: int
    n_slots: int
    n_pre: int
    n_positions: int

    @property
    def n_post(self):
        return self.post_stop - self.post_start


@dataclass(frozen=True)
class CoreUse:
    """What one core holds. `sections` maps the names of `sections.TABLE` to bytes in its own memory; empty sections are left out.

    `spilled` are sections that moved to the memory that the cores of its chip share.
    """

    id: int
    n_neurons: int
    n_slots: int
    sections: dict[str, int]
    spilled: dict[str, int] = field(default_factory=dict)

    @property
    def n_bytes(self):
        """Local memory in use, B."""
        return sum(self.sections.values())


@dataclass(frozen=True, eq=False)
class Placement:
    """A workload on the cores of a chip, whether it fits or not.

    A verdict needs the arrays only; what lists each core or neuron as an object is made when it is asked for.

    Attributes
    ----------
    profile : HardwareProfile
    workload : Workload
    n_cores : int
    n_active, slots : int64 array, shape (n_segments,)
    local, spilled : dict of str to int64 array, shape (n_cores,)
        Bytes of each section in the memory of each core, and in the memory that the cores of its chip share.
    fan_in_limit : int or None
        Most synapses of one neuron, already divided by the rows that a signed weight takes.
    """

    profile: HardwareProfile
    workload: Workload
    n_cores: int
    n_active: np.ndarray
    slots: np.ndarray
    local: dict[str, np.ndarray]
    spilled: dict[str, np.ndarray]
    fan_in_limit: int | None

    @property
    def fan_in_limits(self):
        """Most synapses of one neuron of each matrix, with the columns that are merged for it: tuple of int, or None."""
        if self.fan_in_limit is None:
            return None
        n_post = [n for _, n in self.workload.topology.shapes]
        n_active, n_post = np.array(self.workload.n_first), np.array(n_post)
        if self.workload.positions is not None:  # for the neuron with most, and not for the mean
            rows, layout = self.workload.positions.on(self.layout), self.layout
            n_active, n_post = np.maximum.reduceat(rows.fan_in, layout.first[:-1]), np.ones_like(n_post)
        merged = family_of(self.profile).merged_columns(self.profile, n_active, n_post, self.fan_in_limit)
        return tuple((self.fan_in_limit * merged).tolist())

    @cached_property
    def segments(self):
        """Tuple of `Segment`, ordered by matrix, then by core."""
        layout = self.layout
        columns = (
            layout.matrix, layout.core, layout.post_start, layout.post_stop, self.n_active, self.slots, layout.n_pre, layout.n_positions,
        )  # fmt: skip
        return tuple(Segment(*row) for row in zip(*(column.tolist() for column in columns), strict=True))

    @cached_property
    def home(self):
        """Core of every neuron of all populations, inputs first; -1 for inputs: tuple of int."""
        layout = self.layout
        cores = np.arange(self.n_cores)
        return (-1,) * layout.topology.sizes[0] + tuple(n for own in layout.own[1:] for n in np.repeat(cores, own).tolist())

    @cached_property
    def cores(self):
        """Tuple of `CoreUse`."""
        return tuple(self._core_uses(range(self.n_cores)))

    @cached_property
    def distinct_cores(self):
        """Cores as (`CoreUse`, how many are like it): one by one, or of very many each kind once."""
        if self.n_cores <= MOST_LISTED:
            return [(core, 1) for core in self.cores]
        layout = self.layout
        first, count = group_alike([layout.n_neurons, layout.per_core(self.slots), *self.local.values(), *self.spilled.values()])
        return list(zip(self._core_uses(first.tolist()), count.tolist(), strict=True))

    def core(self, number):
        """`CoreUse` of one core."""
        return next(self._core_uses([number]))

    def _core_uses(self, numbers):
        layout = self.layout
        n_neurons, n_slots = layout.n_neurons, layout.per_core(self.slots)
        for c in numbers:
            local, spilled = ({name: int(n[c]) for name, n in part.items() if n[c]} for part in (self.local, self.spilled))
            yield CoreUse(c, int(n_neurons[c]), int(n_slots[c]), local, spilled)

    @property
    def n_bytes(self):
        """Local memory in use, B: int64 array, shape (n_cores,)."""
        return sum(self.local.values(), np.zeros(self.n_cores, np.int64))

    @property
    def stored_bytes(self):
        """All that each core keeps by itself, B: local memory, and synapses in cells, in words of neurons or in lists, of which as many words
        are taken as are expected: int64 array, shape (n_cores,).
        """
        lists = next((check for check in self.checks if check.name == "synapse_words"), None)
        words = [0] * self.n_cores if lists is None else lists.used.tolist()
        family, synapses = family_of(self.profile), self.layout.per_core(self.n_active).tolist()
        beside = [family.bytes_beside(self.profile, n, w) for n, w in zip(synapses, words, strict=True)]
        return self.n_bytes + np.array(beside, np.int64)

    @cached_property
    def checks(self):
        """Every limit with its uses: tuple of `Check`."""
        return tuple(make_checks(self.profile, self.workload, self.layout, self.n_active, self.slots))

    @cached_property
    def usages(self):
        """Every resource with its limit: tuple of `Usage`, cores in order within one name; of very many places those alike once."""
        return tuple(usage for check in self.checks for usage in check.usages())

    @cached_property
    def homes(self):
        """`home` of each population: list of int64 arrays."""
        return np.split(np.array(self.home, np.int64), np.cumsum(self.workload.topology.sizes)[:-1])

    @property
    def layout(self):
        """Its segments as arrays: `Layout`."""
        return layouts.layout_of(self.workload, self.n_cores)

    @cached_property
    def geometry(self):
        """Where the cores lie: `Geometry`."""
        return locate_cores(self.profile, self.n_cores)

    @property
    def local_limit(self):
        """Local memory of a core, B; None where the profile states none."""
        local_bytes = self.profile.storage.local_bytes
        return None if local_bytes is None else local_bytes.value

    @property
    def row_limits(self):
        """Limits that the run keeps at every step beside slots and fan-in: keyword arguments of `synapses.CorePlan`."""
        limits, profile = {}, self.profile
        in_axons, out_axons = in_axon_limit(profile, self.workload)[0], profile.limits.out_axons_per_core
        if in_axons is not None:
            limits["in_axons"] = (in_axons,) * self.n_cores
        if out_axons is not None:
            limits["out_axons"] = (out_axons.max.value,) * self.n_cores
        chip, entries, targets = self.geometry.chip, profile.limits.routing_entries, profile.limits.targets_per_neuron
        if entries is not None:
            limits |= {"chip": tuple(chip.tolist()), "routing_entries": (entries.max.value,) * self.n_cores}
        if targets is not None:
            limits |= {"targets": (targets.max.value,) * self.n_cores, "target_place": tuple(target_places(profile, chip).tolist())}
        return limits | family_of(profile).row_limits(self)

    @property
    def fits(self):
        return all(check.fits for check in self.checks)


def place(profile, workload, n_cores=None):
    """Place a workload on a chip. Nothing is refused here: `judge` says whether it fits.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
    n_cores : int, optional
        Without it, the smallest number of cores on which everything fits, if possible without spilling; when there is none, all of
        the chip.

    Returns
    -------
    Placement

    Raises
    ------
    InputError
        When `n_cores` is not a positive whole number, or the profile lacks a format that the workload needs.
    """
    if n_cores is None:
        n_cores = smallest_cores(profile, workload) or profile.cores.value
    check_cores(profile, n_cores)
    workload = with_homes(profile, workload, n_cores)
    layout = layouts.layout_of(workload, n_cores)
    n_active = workload.divide(layout)
    slots = layouts.n_slots(n_active, layout.n_possible, workload)
    sections = section_bytes(profile, workload, layout, slots)
    spilled = choose_spill(profile, sections, sum(sections.values()))
    local = {name: n - spilled.get(name, 0) for name, n in sections.items()}
    return Placement(profile, workload, n_cores, n_active, slots, local, spilled, fan_in_limit(profile)[0])
