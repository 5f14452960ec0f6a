"""Dense: every possible connection, always."""

from dataclasses import dataclass
from typing import ClassVar

from neurosim.rewiring.static import Static


@dataclass(frozen=True)
class Dense(Static):
    """All possible connections, each in a fixed place without indices; `network.connectivity` has no effect.

    The upper mark of accuracy and of cost.
    """

    has_places: ClassVar[bool] = True
    starts_dense: ClassVar[bool] = True
