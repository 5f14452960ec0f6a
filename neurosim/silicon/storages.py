"""How strengths are stored in the program: the formats that have loops of their own in program/loops.c."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Storage:
    """One way of storing a strength and its sign.

    Attributes
    ----------
    name : str
        Suffix of its loops.
    width : int
        Bits of a strength.
    has_signs_apart : bool
        Whether signs are an array of their own.
    """

    name: str
    width: int
    has_signs_apart: bool = True

    @property
    def most(self):
        """Largest stored number of steps; 0 for float32."""
        return 0 if self.name == "f32" else 2**self.width - 1

    def words(self, theta, is_negative, grid):
        """Stored strengths: float32, uint16 or uint8 array."""
        if self.name == "f32":
            return theta.astype(np.float32)
        steps = np.rint(theta.astype(np.float64) / grid.step).astype(np.uint32)
        if not self.has_signs_apart:
            kind = np.uint16 if self.width == 15 else np.uint8
            return (steps | is_negative.astype(np.uint32) << self.width).astype(kind)
        bits = (steps[:, None] >> np.arange(self.width, dtype=np.uint32)) & 1
        return np.packbits(bits.astype(np.uint8).ravel(), bitorder="little")


def storage_for(weights):
    """The `Storage` of a `scenario.formats.WeightFormat`, or None where the emitter has none."""
    if weights.name == "float32":
        return Storage("f32", 32)
    if weights.name == "float16":
        return None
    words = {15: "i16", 7: "i8"}
    return Storage(words.get(weights.theta_bits, "bits"), weights.theta_bits, weights.theta_bits not in words)
