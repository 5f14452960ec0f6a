"""Train, prune, retrain: dense training, the weakest away at once, the rest trained on; in rounds."""

from dataclasses import dataclass, field

from neurosim.rewiring.prune import Prune
from neurosim.rewiring.rule import Fraction, PositiveInt, Share


@dataclass(frozen=True)
class PruneRetrain(Prune):
    """Magnitude pruning in one blow or in a few: what a chip must hold if it trains dense, prunes, and trains what is left.

    The dense network learns until `start`; then, in each of `rounds` that lie evenly from `start` to `end`, the weakest leave, so that each round
    keeps the same fraction of what the round before had kept, and K are left after the last one. Between rounds and after them what is left learns
    on from its weights.

    Source: Han, Pool, Tran, Dally, "Learning both weights and connections for efficient neural networks", NIPS 2015, sections 3 and 3.3. There
    the threshold is a multiple of the standard deviation of a layer's weights; here it is the one that leaves K, so that budgets can be compared.

    Parameters
    ----------
    start, end : float
        Fractions of the run of the first and the last round; one round takes place at `start`.
    rounds : int
    """

    start: Share = 0.5
    end: Fraction = 0.7
    rounds: PositiveInt = 1
    # Rounds decide when something happens.
    period: int = field(default=1, init=False)

    def moments(self, n_steps):
        """Steps after which a round takes place: list of int."""
        if self.rounds == 1:
            return [max(1, round(self.start * n_steps))]
        span = self.end - self.start
        return [max(1, round((self.start + span * i / (self.rounds - 1)) * n_steps)) for i in range(self.rounds)]

    def next_rewiring(self, step, n_steps):
        """The next round; none after the last."""
        return next((moment for moment in self.moments(n_steps) if moment > step), None)

    def n_kept(self, n_final, n_possible, step, n_steps):
        """Connections that a segment keeps: one fraction a round, the same in all of them."""
        n_done = sum(moment <= step for moment in self.moments(n_steps))
        if n_done == self.rounds or n_final == 0:
            return n_final if n_done == self.rounds else n_possible
        return max(n_final, int(n_possible * (n_final / n_possible) ** (n_done / self.rounds)))
