"""Soft DEEP R: dormant connections walk by noise and wake when they cross zero."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from neurosim.rewiring.deep_r import DeepR
from neurosim.rewiring.rule import NonNegative


@dataclass(frozen=True)
class SoftDeepR(DeepR):
    """Deep rewiring without a strict bound: every possible connection keeps its theta.

    An active connection moves as in DEEP R. One whose theta is below zero is dormant: it moves by noise alone, is kept at or
    above `theta_min`, and is active again when it reaches zero. The number of active connections is free; a chip must hold
    one theta per possible connection. Where a limit of the chip (fan-in, axons, routes) leaves no room, a connection that reaches
    zero stays just below it and walks on; the original knows no such limits.

    Source: Bellec, Kappel, Maass, Legenstein, "Deep rewiring", ICLR 2018, algorithm 2. With theta_min = -T (1 - p) / (l1 p) a
    fraction p is active when there is no loss; p is the initial fraction of each segment unless `theta_min` is given.

    Parameters
    ----------
    l1, temperature, noise_std : float
        As for `DeepR`; there must be noise.
    theta_min : float, optional
        Lowest theta, below zero.
    """

    is_compiled: ClassVar[bool] = False
    has_places: ClassVar[bool] = True
    is_strict: ClassVar[bool] = False

    l1: NonNegative = 1e-5
    theta_min: Annotated[float, Field(lt=0, ge=-1e9)] | None = None
    # Every parameter moves in every step, and wakes with the theta that it has reached.
    period: int = field(default=1, init=False)
    theta_born: float = field(default=0.0, init=False)

    def __post_init__(self):
        super().__post_init__()
        if not self.temperature and not self.noise_std:
            raise ValueError("temperature: missing; soft_deep_r explores by noise alone: give temperature or noise_std above 0")
        if not self.l1 and self.theta_min is None:
            raise ValueError("l1: found 0; without a pull theta_min has no default: give rewiring.theta_min")

    def lowest(self, store, learning_rate):
        """theta_min of each segment: float32, shape (G,)."""
        if self.theta_min is not None:
            return np.full(store.segments.matrix.size, self.theta_min, np.float32)
        temperature = self.temperature or self.step_noise(learning_rate) ** 2 / (2.0 * learning_rate)
        n_active = np.array([segment.n_active for segment in store.plan.segments])
        fraction = np.maximum(n_active, 1) / store.segments.n_possible
        least = -np.finfo(np.float32).tiny  # all active: nobody sleeps deeper than that
        return np.minimum(-temperature * (1.0 - fraction) / (self.l1 * fraction), least).astype(np.float32)

    def first_state(self, store, learning_rate, key):
        """Dormant theta, uniformly between theta_min and 0: where the walk without a loss would have them."""
        from neurosim.kernels.dormant import draw_dormant

        dormant = np.empty(int(store.segments.n_positions.sum()), np.float32)
        draw_dormant(store.slots, store.segments, store.matrices, dormant, self.lowest(store, learning_rate), np.uint64(key))
        return {"dormant": dormant}

    def rewire(self, store, moment):
        """One step of all dormant parameters; returns how many reached zero and found no room on their core."""
        from neurosim.kernels.dormant import walk_dormant

        n_refused = walk_dormant(
            store.slots, store.segments, store.matrices, store.tally, moment.state["dormant"],
            self.lowest(store, moment.learning_rate), np.float32(self.step_noise(moment.learning_rate)), np.uint64(moment.noise_key),
        )  # fmt: skip
        return int(n_refused)
