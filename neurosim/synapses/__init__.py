"""The synapse store: slots of fixed capacity that rewiring re-uses."""

from neurosim.synapses.plan import CorePlan, Grid, MatrixPlan, SegmentPlan, StorePlan, find_senders, layered_plan, one_core_plan, plan_matrices
from neurosim.synapses.store import SynapseStore

__all__ = [
    "CorePlan",
    "Grid",
    "MatrixPlan",
    "SegmentPlan",
    "StorePlan",
    "SynapseStore",
    "find_senders",
    "layered_plan",
    "one_core_plan",
    "plan_matrices",
]
