"""l1-shrinkage: train dense under a pull towards zero; who comes within reach of it is gone."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurosim.kernels.layout import SegmentEvent
from neurosim.rewiring.rule import ByMatrix, Fraction, NonNegative, PositiveInt, Rule


@dataclass(frozen=True)
class L1Shrinkage(Rule):
    """Training with the shrinkage operator: a chip must hold the dense network at the start.

    Every weight is pulled towards zero by ``eta * l1`` in every step. Every `period` steps those leave whose magnitude the pull of these
    steps would have used up, ``abs(w) <= eta * l1 * period``, or that is no more than `threshold`; they never come back. No segment falls below
    its K. What is left above K at `end` (a fraction of the run) leaves at once, the weakest first, so that the budget is kept whatever the pull.

    Source: Collins, Kohli, "Memory bounded deep convolutional networks", arXiv:1412.1442 (2014), section 3 (l1 regularization, thresholding of
    small weights during training); a control of Bellec et al. 2018. That exactly K are left, by `end`, is ours.

    Parameters
    ----------
    l1 : float or tuple of float
        Pull of all matrices, or of each.
    threshold : float
        Magnitude at which a weight leaves, where it is more than the pull of a period.
    period : int
        Steps between two looks.
    end : float
        Fraction of the run at which K is reached.
    """

    searches: ClassVar[bool] = True
    has_places: ClassVar[bool] = True
    starts_dense: ClassVar[bool] = True
    is_strict: ClassVar[bool] = False

    l1: ByMatrix = 1e-4
    threshold: NonNegative = 0.0
    period: PositiveInt = 100
    end: Fraction = 0.6

    def next_rewiring(self, step, n_steps):
        """Every `period` steps, and at `end`."""
        end = round(self.end * n_steps)
        regular = super().next_rewiring(step, n_steps)
        return end if step < end < regular else regular

    def reach(self, matrix, learning_rate):
        """Magnitude at which a weight of a matrix leaves."""
        l1 = self.l1[matrix] if isinstance(self.l1, tuple) else self.l1
        return max(self.threshold, learning_rate * l1 * self.period)

    def leaving(self, store, moment):
        """Who is within reach, the weakest first where not all of them may go; all above K after `end`."""
        is_over, found = moment.step >= round(self.end * moment.n_steps), [np.empty(0, np.int64)]
        for g, segment in enumerate(store.plan.segments):
            surplus = int(store.n_active_by_segment[g]) - segment.n_active
            if surplus <= 0:
                continue
            part = slice(store.segments.slot_start[g], store.segments.slot_start[g + 1])
            active = part.start + np.flatnonzero(store.slots.active[part])
            # One comparison a weight: every moment of rewiring books that all are seen.
            near = active[np.abs(store.slots.weight[active]) <= np.float32(self.reach(segment.matrix, moment.learning_rate))]
            leaving = store.smallest(g, surplus) if is_over or near.size > surplus else near
            if leaving.size:
                found.append(leaving)
                store.count(g, SegmentEvent.ERASED, leaving.size)
        return np.concatenate(found)

    def arriving(self, store, moment):
        """Nobody."""
        return 0
