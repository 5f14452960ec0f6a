"""Sections of memory that traffic is counted for, and the level that each lies in."""

from dataclasses import dataclass

import numpy as np

SECTIONS = (
    "synapses",
    "synapse_array",
    "synapse_lists",
    "master_weights",
    "row_pointers",
    "gradients",
    "optimizer_state",
    "dense_gradient",
    "neuron_state",
    "unrolled_state",
    "input_buffer",
    "label_buffer",
    "rewiring",
)
SECTION = {name: i for i, name in enumerate(SECTIONS)}
DIRECTIONS = ("read", "write")
#: What a host that rewires reads and writes; other accesses of that phase are the chip's.
HOST_SECTIONS = ("synapses", "synapse_array", "synapse_lists", "master_weights", "row_pointers", "optimizer_state")
_LEVEL = {"synapse_array": "synapse_array", "synapse_lists": "synapse_memory"}


def level_of(section, is_spilled=False):
    """Memory level of a section: the core's ``local_sram``, ``synapse_array`` of a crossbar, ``synapse_memory`` of packed lists.

    Of a section that its core has spilled: ``sdram``, which the cores of a chip share.
    """
    return "sdram" if is_spilled else _LEVEL.get(section, "local_sram")


LEVELS = ("local_sram", "sdram", "synapse_array", "synapse_memory")


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
