"""The table of optimizers: what each keeps and which numbers it takes. One row of facts per optimizer.

What it does with them stands in the kernels (`kernels.optimizer`).
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class OptimizerModel:
    """Facts of one optimizer.

    Attributes
    ----------
    name : str
    state_words : int
        Numbers that it keeps per slot, as wide as a gradient.
    counts_steps : bool
        Whether each core counts the steps of the run, for a bias correction.
    numbers : tuple of (str, float)
        Numbers that it takes and their defaults, in the order of `kernels.optimizer.OptimizerStep`.
    """

    name: str
    state_words: int = 0
    counts_steps: bool = False
    numbers: tuple[tuple[str, float], ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of its numbers."""
        return tuple(name for name, _ in self.numbers)


_ROWS = (
    OptimizerModel("sgd"),
    OptimizerModel("momentum", 1, numbers=(("momentum", 0.9),)),
    OptimizerModel("adam", 2, counts_steps=True, numbers=(("beta1", 0.9), ("beta2", 0.999), ("epsilon", 1e-8))),
)

#: Every optimizer by its name.
OPTIMIZERS = {row.name: row for row in _ROWS}
#: Every number of an optimizer, and its default.
NUMBERS = dict(number for row in _ROWS for number in row.numbers)
