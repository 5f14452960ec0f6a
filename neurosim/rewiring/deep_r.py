"""DEEP R: leave when theta falls below zero, arrive anywhere free, uniformly."""

import math
from dataclasses import dataclass
from typing import ClassVar

from neurosim.rewiring.rule import ByMatrix, NonNegative, PositiveInt, Rule


@dataclass(frozen=True)
class DeepR(Rule):
    """Deep rewiring with a strictly bounded number of connections.

    Every active connection moves by ``-eta * (dE/dtheta + l1) + noise``; one whose theta falls below
    zero leaves, and a uniformly drawn free position takes its slot with strength `theta_born`.

    Source: Bellec, Kappel, Maass, Legenstein, "Deep rewiring", ICLR 2018, algorithm 1.

    Parameters
    ----------
    l1 : float or tuple of float
        alpha, strength of the L1 regularization, of all matrices or of each.
    temperature : float, optional
        T: the noise of a step has standard deviation sqrt(2 eta T).
    noise_std : float, optional
        Alternative used by the authors' scripts: the standard deviation is eta * noise_std, so
        T = eta * noise_std**2 / 2 falls with the learning rate. Give one of the two.
    period : int
        Steps between rewirings. A connection that falls below zero leaves at once; its slot is free,
        with weight zero, until the next rewiring.
    theta_born : float
        theta of a new connection.
    """

    signs: ClassVar[str] = "constant"
    is_compiled: ClassVar[bool] = True

    l1: ByMatrix = 1e-5
    temperature: NonNegative | None = None
    noise_std: NonNegative | None = None
    period: PositiveInt = 1
    theta_born: NonNegative = 0.0

    def __post_init__(self):
        if self.temperature is not None and self.noise_std is not None:
            raise ValueError("noise_std: found beside temperature; expected one of the two")

    def step_noise(self, learning_rate):
        """Standard deviation of the noise of one step."""
        if self.temperature is not None:
            return math.sqrt(2.0 * learning_rate * self.temperature)
        return learning_rate * (self.noise_std or 0.0)
