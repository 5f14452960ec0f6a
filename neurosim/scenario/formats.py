"""Weight formats by name: how wide a stored strength is, and which values it can take.

The constant sign of a connection is one bit. In the widths of `sM.N` and `intN` it counts; the strength theta has the
other bits, M integer and N fraction bits, or N - 1 bits with a scale. A chip holds it where it holds signs:
in the sign field of the word, or in the choice between two rows of an array. `float16` and `float32` are whole
floating-point numbers with the sign beside them, as in the authors' C code (32 + 1 bits).
"""

import math
import re
from dataclasses import dataclass

#: Rounding is simulated in float32, exactly up to this many bits of strength.
MOST_THETA_BITS = 22
#: Full scale of intN, in standard deviations of the initial strengths: see docs/weight_formats.md.
AUTO_RANGE = 16

_FIXED = re.compile(r"s(\d{1,3})\.(\d{1,3})")
_SCALED = re.compile(r"int(\d{1,3})")


@dataclass(frozen=True)
class WeightFormat:
    """One format.

    Attributes
    ----------
    name : str
    theta_bits : int
        Bits of a stored strength, without the sign.
    fraction_bits : int or None
        Of fixed point; None for the others.
    """

    name: str
    theta_bits: int
    fraction_bits: int | None = None

    @property
    def is_rounded(self):
        """Whether weights are narrower than what the simulation computes with."""
        return self.name != "float32"

    @property
    def has_scale(self):
        """Whether the step of a matrix is a choice."""
        return self.name.startswith("int")

    def grid(self, n_pre, full_scale=None):
        """Values of the strengths of one matrix.

        Parameters
        ----------
        n_pre : int
            Pre neurons of the matrix: its initial strengths have a standard deviation of 1 / sqrt(n_pre).
        full_scale : float, optional
            Of a format with a scale: a power of two just above the largest strength. Without it, the power of two
            at or above `AUTO_RANGE` / sqrt(n_pre).

        Returns
        -------
        step, top, ulp : float
            See `neurosim.synapses.Grid`.
        """
        if self.name == "float32":
            return 0.0, 3.4028234663852886e38, 2.0**-23
        if self.name == "float16":
            return 2.0**-24, 65504.0, 2.0**-10
        if self.has_scale:
            full_scale = full_scale or 2.0 ** math.ceil(math.log2(AUTO_RANGE / math.sqrt(n_pre)))
            step = full_scale / 2.0**self.theta_bits
        else:
            step = 2.0**-self.fraction_bits
        return step, step * (2**self.theta_bits - 1), 2.0**-23


def parse_weight_format(name):
    """Format from its name.

    Raises
    ------
    ValueError
        One line with the known forms.
    """
    if name in ("float32", "float16"):
        return WeightFormat(name, int(name.removeprefix("float")))
    if match := _FIXED.fullmatch(name):
        found = WeightFormat(name, int(match[1]) + int(match[2]), int(match[2]))
    elif match := _SCALED.fullmatch(name):
        found = WeightFormat(name, int(match[1]) - 1)
    else:
        raise ValueError("expected float32, float16, fixed point such as s3.12 (sign, integer and fraction bits), or intN such as int8")
    if not 1 <= found.theta_bits <= MOST_THETA_BITS:
        raise ValueError(f"expected 1 to {MOST_THETA_BITS} bits beside the sign: wider is float32 here")
    return found
