"""Rewiring rules: who leaves and who arrives."""

from neurosim.rewiring.deep_r import DeepR

RULES = {"deep_r": DeepR}

__all__ = ["RULES", "DeepR"]
