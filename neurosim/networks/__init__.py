"""Networks as data: which neurons there are, which project to which, and how often each takes part in one sample.

What learns, what places, what counts and what reads scenarios all read this description. It depends on no chip and on no compiled code.
"""

from neurosim.networks.methods import METHODS, LearningMethod, find_method
from neurosim.networks.models import MODELS, NeuronModel, find_model
from neurosim.networks.optimizers import OPTIMIZERS, OptimizerModel
from neurosim.networks.patterns import Convolution, Maps, Pool
from neurosim.networks.spiking import READOUTS, SURROGATES, Spiking
from neurosim.networks.topology import Convolve, Population, Projection, Topology

__all__ = [
    "METHODS",
    "MODELS",
    "OPTIMIZERS",
    "READOUTS",
    "SURROGATES",
    "Convolution",
    "Convolve",
    "LearningMethod",
    "Maps",
    "NeuronModel",
    "OptimizerModel",
    "Pool",
    "Population",
    "Projection",
    "Spiking",
    "Topology",
    "find_method",
    "find_model",
]
