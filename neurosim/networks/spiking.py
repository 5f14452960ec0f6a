"""Numbers of a spiking network beside its populations: its dynamics, its read-out and how it learns.

Per step (Bellec et al. 2020; time constants in steps)::

    v(t) = alpha v(t-1) + sums(t) - v_th z(t-1)            alpha = exp(-1 / tau_m)
    a(t) = rho a(t-1) + z(t-1)                             rho = exp(-1 / tau_a)
    z(t) = 1 where v(t) > v_th + beta a(t), 0 for `refractory` steps after a spike
    y(t) = kappa y(t-1) + W_out z(t) + b                   kappa = exp(-1 / tau_out)

Sums are not scaled by 1 - alpha; a neuron has no synapse to itself.
"""

import math
from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError, refuse_unknown
from neurosim.networks.methods import METHODS, LearningMethod

#: What the loss is of: the last read-out, the mean of them over the steps, or each of them (the mean of their losses).
READOUTS = ("last", "mean", "every")
#: Derivatives that stand for that of the step function, of the distance x of v to the threshold in units of `v_th`; see `kernels.cells.lif`.
SURROGATES = ("triangular", "superspike", "exponential", "arctan")


@dataclass(frozen=True)
class Spiking:
    """Dynamics, read-out and learning of a spiking network.

    Attributes
    ----------
    tau_m, tau_out : float
        Time constants of membrane and read-out, in steps; 0 for a `tau_out` without memory.
    v_th : float
        Threshold; a spike takes it from the membrane.
    refractory : int
        Steps after a spike in which a neuron cannot spike.
    tau_a, beta : float
        Of neurons that adapt: time constant of the adaptation in steps, and how much it raises the threshold.
    adaptive : float
        Fraction of the neurons of a layer that adapt, spread evenly over it.
    surrogate : str
        Of `SURROGATES`.
    gamma, slope : float
        Height of the surrogate in units of 1 / `v_th`, and how steeply it falls.
    readout : str
        Of `READOUTS`.
    readout_steps : int
        Steps at the end of a sample that have a loss; 0 for all of them, and 1 with ``last``.
    method, feedback : str
        Of `networks.METHODS`, and one of its feedbacks.
    feedback_decay : float
        Part of the read-out and of an adaptive feedback that decays with each update.
    rate_cost, rate_target : float
        Added to the loss of a sample: rate_cost / 2 times the sum over neurons of (spikes per step - rate_target) squared.
    """

    tau_m: float = 20.0
    tau_out: float = 20.0
    v_th: float = 0.6
    refractory: int = 0
    tau_a: float = 200.0
    beta: float = 0.0
    adaptive: float = 0.0
    surrogate: str = "triangular"
    gamma: float = 0.3
    slope: float = 1.0
    readout: str = "mean"
    readout_steps: int = 0
    method: str = "bptt"
    feedback: str = "symmetric"
    feedback_decay: float = 0.0
    rate_cost: float = 0.0
    rate_target: float = 0.0

    def __post_init__(self):
        for key, known in (("surrogate", SURROGATES), ("readout", READOUTS), ("method", tuple(METHODS)), ("feedback", self.learning.feedbacks)):
            refuse_unknown(getattr(self, key), known, key)
        if self.learning.instant_layers and self.readout != "every":
            raise InputError(f"readout: found {self.readout} with method {self.method}, which takes the errors of each step as they come; use every")
        for key in ("tau_m", "tau_a"):
            if not getattr(self, key) >= 1:
                raise InputError(f"{key}: found {getattr(self, key):g}; expected at least 1 step")

    @property
    def learning(self) -> LearningMethod:
        """Facts of the learning method."""
        return METHODS.get(self.method, METHODS["bptt"])

    @property
    def alpha(self) -> float:
        """What is left of a membrane after one step."""
        return math.exp(-1.0 / self.tau_m)

    @property
    def rho(self) -> float:
        """What is left of an adaptation after one step."""
        return math.exp(-1.0 / self.tau_a)

    @property
    def kappa(self) -> float:
        """What is left of a read-out after one step."""
        return math.exp(-1.0 / self.tau_out) if self.tau_out > 0 else 0.0

    def adapts(self, n: int) -> np.ndarray:
        """Which of `n` neurons of a layer adapt: bool array, shape (n,). Evenly spread, so that every core has its share."""
        bounds = np.floor(self.adaptive * np.arange(n + 1) + 1e-9)
        return np.diff(bounds) > 0

    def count_readouts(self, n_steps: int) -> int:
        """Steps, from the last back, whose read-outs have a loss, of a sample of `n_steps`."""
        return 1 if self.readout == "last" else min(self.readout_steps or n_steps, n_steps)

    def reach(self, n_steps: int, window: int) -> int:
        """Steps, from the last back, that an error reaches, where it goes back through windows of `window` steps."""
        if window >= n_steps or self.learning.is_online:
            return n_steps
        return min(-(-self.count_readouts(n_steps) // window) * window, n_steps)
