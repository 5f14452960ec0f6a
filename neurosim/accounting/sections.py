"""Arrays of traffic by memory section: which of it is that of shared memory."""

from dataclasses import dataclass

import numpy as np

from neurosim.placement.sections import SECTIONS

DIRECTIONS = ("read", "write")


@dataclass(frozen=True)
class Spill:
    """Which traffic is that of shared memory.

    `sections` : bool array, shape (n_cores, len(SECTIONS)), what each core has spilled; `chip` : int64 array, shape (n_cores,), the chip
    with whose cores it shares the memory.
    """

    sections: np.ndarray
    chip: np.ndarray

    @classmethod
    def of(cls, placement):
        sections = [[section in core.spilled for section in SECTIONS] for core in placement.cores]
        return cls(np.array(sections, bool), placement.geometry.chip)

    def bytes_by_chip(self, traffic_bytes):
        """Bytes that each chip's shared memory moves per phase: int64 array, shape (n_chips, phases)."""
        moved = (traffic_bytes * self.sections[:, None, :, None]).sum(axis=(2, 3))
        found = np.zeros((int(self.chip.max()) + 1, moved.shape[1]), np.int64)
        np.add.at(found, self.chip, moved)
        return found
