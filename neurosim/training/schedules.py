"""Learning rate of an epoch."""

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Schedule:
    """Learning rate as a function of the epoch, counted from 0.

    Parameters
    ----------
    kind : {'constant', 'step', 'exponential', 'cosine'}
        ``step`` multiplies by `factor` at the start of each epoch in `milestones`; ``exponential``
        multiplies by `factor` after every epoch; ``cosine`` falls from the base rate to
        `factor` times the base rate over all epochs.
    base : float
        Learning rate of epoch 0.
    factor : float
    milestones : tuple of int
    """

    kind: str
    base: float
    factor: float = 1.0
    milestones: tuple[int, ...] = ()

    def rate(self, epoch, n_epochs):
        """Learning rate of `epoch` in a run of `n_epochs`."""
        if self.kind == "step":
            return self.base * self.factor ** sum(epoch >= m for m in self.milestones)
        if self.kind == "exponential":
            return self.base * self.factor**epoch
        if self.kind == "cosine":
            share = epoch / max(n_epochs - 1, 1)
            return self.base * (self.factor + (1.0 - self.factor) * 0.5 * (1.0 + math.cos(math.pi * share)))
        return self.base
