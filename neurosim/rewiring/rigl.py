"""RigL: SET whose arrivals are the positions with the largest gradient."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from neurosim.rewiring.set import Set


@dataclass(frozen=True)
class RigL(Set):
    """Rigged lottery: the weakest leave, the free positions with the largest |dE/dweight| arrive.

    The gradient of all positions is that of the batch of the step just made, and is taken at no other time. A position that
    was just left may come back. Where too few free positions have a gradient, the rest arrives uniformly.

    Source: Evci, Gale, Menick, Castro, Elsen, "Rigging the lottery: making all tickets winners", ICML 2020, algorithm 1.
    """

    has_dense_gradient: ClassVar[bool] = True

    def arriving(self, store, moment):
        """Fill each segment by gradient, then what is left over uniformly."""
        starts = store.plan.scope_start
        for wanted, *scope in zip(store.plan.n_wanted, starts, starts[1:]):
            for g in range(*scope):
                active = store.n_active_by_segment
                missing = min(store.plan.segments[g].n_active - active[g], wanted - active[slice(*scope)].sum())
                if missing > 0:
                    store.place(g, _largest_first(moment.dense_gradient(g)), int(missing), self.theta_born)
        return super().arriving(store, moment)


def _largest_first(gradient):
    """Positions with a gradient, the largest magnitude first; of equals the one with the lower number."""
    candidates = np.flatnonzero(gradient)
    return candidates[np.argsort(-np.abs(gradient[candidates]), kind="stable")]
