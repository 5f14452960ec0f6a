"""Rewiring rules: who leaves and who arrives."""

from neurosim.rewiring.deep_r import DeepR
from neurosim.rewiring.dense import Dense
from neurosim.rewiring.l1_shrinkage import L1Shrinkage
from neurosim.rewiring.prune import Prune
from neurosim.rewiring.prune_retrain import PruneRetrain
from neurosim.rewiring.rigl import RigL
from neurosim.rewiring.rule import Moment, Rule
from neurosim.rewiring.set import Set
from neurosim.rewiring.soft_deep_r import SoftDeepR
from neurosim.rewiring.static import Static

RULES = {
    "deep_r": DeepR,
    "soft_deep_r": SoftDeepR,
    "set": Set,
    "rigl": RigL,
    "static": Static,
    "dense": Dense,
    "prune": Prune,
    "prune_retrain": PruneRetrain,
    "l1_shrinkage": L1Shrinkage,
}

__all__ = ["RULES", "DeepR", "Dense", "L1Shrinkage", "Moment", "Prune", "PruneRetrain", "RigL", "Rule", "Set", "SoftDeepR", "Static"]
