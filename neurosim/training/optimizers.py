"""Optimizers: how the gradient of theta becomes a step."""

from dataclasses import dataclass

import numpy as np

from neurosim.kernels.optimizer import OptimizerStep
from neurosim.networks.optimizers import NUMBERS, OPTIMIZERS


@dataclass(frozen=True)
class Optimizer:
    """Direction of a step, for every rewiring rule alike.

    theta moves by ``-eta * (direction + l1) + noise``. L1 and noise stay outside of the direction, as weight decay
    does in AdamW (Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019): they neither enter
    the moments nor are they scaled by them, so alpha and T mean what they mean with plain SGD.

    Formulas and sources: `neurosim.kernels.optimizer.direct_chunk`. The state of an arrival is zero.

    Parameters
    ----------
    kind : str
        Name of a row of `neurosim.networks.OPTIMIZERS`.
    momentum : float
    beta1, beta2, epsilon : float
        Of Adam.
    """

    kind: str = "sgd"
    momentum: float = NUMBERS["momentum"]
    beta1: float = NUMBERS["beta1"]
    beta2: float = NUMBERS["beta2"]
    epsilon: float = NUMBERS["epsilon"]

    @property
    def n_moments(self):
        """Numbers that each slot keeps between steps."""
        return OPTIMIZERS[self.kind].state_words

    @property
    def step_numbers(self):
        """What the kernels need: `OptimizerStep`; zeros where the optimizer takes fewer numbers."""
        numbers = [getattr(self, key) for key in OPTIMIZERS[self.kind].keys]
        numbers += [0.0] * (len(OptimizerStep._fields) - len(numbers))
        return OptimizerStep(*map(np.float32, numbers))
