"""Networks whose weights live in synapse stores."""

from neurosim.nn.mlp import Evaluation, Mlp, choose_tile

__all__ = ["Evaluation", "Mlp", "choose_tile"]
