"""The synapse store: slots of fixed capacity that rewiring re-uses."""

from neurosim.synapses.plan import CorePlan, Grid, MatrixPlan, SegmentPlan, StorePlan, layered_plan
from neurosim.synapses.store import SynapseStore

__all__ = ["CorePlan", "Grid", "MatrixPlan", "SegmentPlan", "StorePlan", "SynapseStore", "layered_plan"]
