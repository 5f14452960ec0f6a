"""The synapse store: slots of fixed capacity that rewiring re-uses."""

from neurosim.synapses.plan import CorePlan, MatrixPlan, SegmentPlan, StorePlan, layered_plan
from neurosim.synapses.store import SynapseStore

__all__ = ["CorePlan", "MatrixPlan", "SegmentPlan", "StorePlan", "SynapseStore", "layered_plan"]
