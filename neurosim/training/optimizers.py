"""Optimizers: how the gradient of theta becomes a step."""

from dataclasses import dataclass

import numpy as np

from neurosim.kernels.optimizer import OptimizerStep

#: Numbers kept per slot.
N_MOMENTS = {"sgd": 0, "momentum": 1, "adam": 2}


@dataclass(frozen=True)
class Optimizer:
    """Direction of a step, for every rewiring rule alike.

    theta moves by ``-eta * (direction + l1) + noise``. L1 and noise stay outside of the direction, as weight decay
    does in AdamW (Loshchilov, Hutter, "Decoupled weight decay regularization", ICLR 2019): they neither enter
    the moments nor are they scaled by them, so alpha and T mean what they mean with plain SGD.

    Formulas and sources: `neurosim.kernels.optimizer.direct_chunk`. The state of an arrival is zero.

    Parameters
    ----------
    kind : {'sgd', 'momentum', 'adam'}
    momentum : float
    beta1, beta2, epsilon : float
        Of Adam.
    """

    kind: str = "sgd"
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8

    @property
    def n_moments(self):
        """Numbers that each slot keeps between steps."""
        return N_MOMENTS[self.kind]

    @property
    def step_numbers(self):
        """What the kernels need: `OptimizerStep`."""
        decay = {"sgd": 0.0, "momentum": self.momentum, "adam": self.beta1}[self.kind]
        return OptimizerStep(np.float32(decay), np.float32(self.beta2), np.float32(self.epsilon))
