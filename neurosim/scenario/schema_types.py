"""Numbers of a scenario and the ranges that they must be in."""

import math
from typing import Annotated

from pydantic import AfterValidator, Field

PositiveInt = Annotated[int, Field(ge=1)]
LayerSize = Annotated[int, Field(ge=1, le=10**6)]
# Far above any use, and far below the end of float32.
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
Fraction = Annotated[float, Field(gt=0, le=1)]
# Below 1 in float32 as well, so that 1 - beta is not 0.
Decay = Annotated[float, Field(ge=0, le=0.99999)]


def _check_power_of_two(value):
    if math.frexp(value)[0] != 0.5:
        below = 2.0 ** math.floor(math.log2(value))
        raise ValueError(f"expected a power of two, so that scaling is a shift: {below:g} or {2 * below:g}")
    return value


PowerOfTwo = Annotated[float, Field(ge=2**-20, le=2**20), AfterValidator(_check_power_of_two)]
