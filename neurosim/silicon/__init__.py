"""From simulation to silicon: the training program that is charged, written as C for the cores of a chip."""

from neurosim.silicon.export import export_program
from neurosim.silicon.reading import read_states

__all__ = ["export_program", "read_states"]
