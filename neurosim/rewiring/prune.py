"""Prune: train dense, take the weakest away in steps, fine-tune what is left."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurosim.kernels.layout import SegmentEvent
from neurosim.rewiring.rule import Fraction, PositiveInt, Rule, Share


@dataclass(frozen=True)
class Prune(Rule):
    """Gradual magnitude pruning: what a chip must hold if it trains dense and prunes itself.

    From `start` to `end` (fractions of the run) each segment keeps ``K + (N - K) * (1 - progress)**3`` of its N possible
    connections, and K from then on.

    Source: Zhu, Gupta, "To prune, or not to prune", ICLR 2018 workshop, equation 1; training before and after as in Han et
    al., NIPS 2015.

    Parameters
    ----------
    start, end : float
        Fractions of the run at which pruning begins and K is reached.
    period : int
        Steps between two prunings.
    """

    searches: ClassVar[bool] = True
    has_places: ClassVar[bool] = True
    starts_dense: ClassVar[bool] = True
    is_strict: ClassVar[bool] = False

    start: Share = 0.2
    end: Fraction = 0.6
    period: PositiveInt = 100

    def __post_init__(self):
        if self.start >= self.end:
            raise ValueError(f"start: found {self.start}; expected less than end, {self.end}")

    def next_rewiring(self, step, n_steps):
        """Every `period` steps, and when pruning ends: K is reached whatever the period."""
        end = round(self.end * n_steps)
        regular = super().next_rewiring(step, n_steps)
        return end if step < end < regular else regular

    def kept(self, step, n_steps):
        """Fraction of what is to be pruned that is still there after `step` of `n_steps` steps."""
        first, last = round(self.start * n_steps), round(self.end * n_steps)
        if step >= last:
            return 0.0
        return min(1.0, 1.0 - (step - first) / (last - first)) ** 3 if step > first else 1.0

    def n_kept(self, n_final, n_possible, step, n_steps):
        """Connections that a segment keeps after `step` of `n_steps` steps, of `n_possible`, when it keeps `n_final` in the end."""
        return n_final + int(self.kept(step, n_steps) * (n_possible - n_final))

    def leaving(self, store, moment):
        """The weakest slots beyond what each segment keeps now."""
        found = [np.empty(0, np.int64)]
        for g, segment in enumerate(store.plan.segments):
            n_keep = self.n_kept(segment.n_active, int(store.segments.n_possible[g]), moment.step, moment.n_steps)
            n_leave = int(store.n_active_by_segment[g]) - n_keep
            if n_leave > 0:
                found.append(store.smallest(g, n_leave))
                store.count(g, SegmentEvent.ERASED, n_leave)
        return np.concatenate(found)

    def arriving(self, store, moment):
        """Nobody."""
        return 0
