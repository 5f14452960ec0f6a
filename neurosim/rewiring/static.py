"""Static: the first connections stay."""

from dataclasses import dataclass
from typing import ClassVar

from neurosim.rewiring.rule import Rule


@dataclass(frozen=True)
class Static(Rule):
    """A fixed random network: nobody leaves, nobody arrives. What every rewiring rule must beat.

    Source: the control of Bellec et al. 2018 ("fixed sparse") and of Evci et al. 2020 ("static").
    """

    rewires: ClassVar[bool] = False
