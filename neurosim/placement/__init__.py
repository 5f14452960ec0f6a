"""Neurons and slots on cores, what each core stores, and whether that is inside every limit of the chip."""

from neurosim.placement.checks import Usage
from neurosim.placement.limits import fan_in_limit
from neurosim.placement.memory import MERGE_ENTRIES
from neurosim.placement.place import CoreUse, Placement, Segment, place
from neurosim.placement.positions import Positions
from neurosim.placement.remedies import Remedy
from neurosim.placement.search import largest_fit, smallest_cores
from neurosim.placement.sections import SECTIONS
from neurosim.placement.verdict import SectionOver, Verdict, judge, refuse_unless_fits, summarize
from neurosim.placement.workload import Workload, synapse_counts

__all__ = [
    "MERGE_ENTRIES",
    "SECTIONS",
    "CoreUse",
    "Placement",
    "Positions",
    "Remedy",
    "SectionOver",
    "Segment",
    "Usage",
    "Verdict",
    "Workload",
    "fan_in_limit",
    "judge",
    "largest_fit",
    "place",
    "refuse_unless_fits",
    "smallest_cores",
    "summarize",
    "synapse_counts",
]
