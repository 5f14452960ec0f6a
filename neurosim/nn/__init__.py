"""Networks whose weights live in synapse stores."""

from neurosim.nn.mlp import Mlp
from neurosim.nn.network import Evaluation, Network, choose_tile

__all__ = ["Evaluation", "Mlp", "Network", "choose_tile"]
