"""SET: the weakest leave, new ones arrive anywhere free, uniformly."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurosim.rewiring.rule import Fraction, NonNegative, PositiveInt, Rule


@dataclass(frozen=True)
class Set(Rule):
    """Sparse evolutionary training: every `period` steps the fraction of smallest magnitude gives way to random growth.

    Each segment (the slots of a matrix on a core) decides for itself, so cores need not talk. The fraction falls along half
    a cosine to zero at `stop`: f(t) = drop_fraction / 2 * (1 + cos(pi t / (stop * n_steps))).

    Source: Mocanu, Mocanu, Stone, Nguyen, Gibescu, Liotta, "Scalable training of artificial neural networks with adaptive
    sparse connectivity inspired by network science", Nature Communications 9:2383 (2018), algorithm 1 (zeta = drop_fraction,
    once an epoch); the annealing is that of Dettmers, Zettlemoyer 2019 and of RigL (Evci et al. 2020, section 3).

    Parameters
    ----------
    drop_fraction : float
        Fraction of the active connections that leaves at the beginning of the run.
    period : int
        Steps between rewirings.
    stop : float
        Fraction of the run after which nothing is rewired any more.
    theta_born : float
        Strength of a new connection.
    """

    searches: ClassVar[bool] = True
    picks_matrices: ClassVar[bool] = True

    drop_fraction: Fraction = 0.3
    period: PositiveInt = 100
    stop: Fraction = 0.75
    theta_born: NonNegative = 0.0

    def fraction(self, step, n_steps):
        """Fraction of the connections that leaves after `step` of `n_steps` steps."""
        share = step / (self.stop * n_steps)
        return 0.0 if share >= 1.0 else 0.5 * self.drop_fraction * (1.0 + math.cos(math.pi * share))

    def leaving(self, store, moment):
        """The weakest slots of each segment: the fraction of this moment, rounded down."""
        fraction = self.fraction(moment.step, moment.n_steps)
        rewires = [segment.matrix not in store.plan.free_matrices for segment in store.plan.segments]
        counts = [int(fraction * n) * is_on for n, is_on in zip(store.n_active_by_segment, rewires, strict=True)]
        return np.concatenate([np.empty(0, np.int64), *(store.smallest(g, n) for g, n in enumerate(counts) if n)])
