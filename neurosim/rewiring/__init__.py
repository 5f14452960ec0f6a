"""Rewiring rules: who leaves and who arrives."""

from neurosim.rewiring.deep_r import DeepR
from neurosim.rewiring.dense import Dense
from neurosim.rewiring.prune import Prune
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
}

__all__ = ["RULES", "DeepR", "Dense", "Moment", "Prune", "RigL", "Rule", "Set", "SoftDeepR", "Static"]
