"""Sweeps: one base scenario along axes and seeds, each point an ordinary run, collected in one table."""

from neurosim.sweeps.expand import Plan, expand, list_sweeps, load_sweep
from neurosim.sweeps.runner import run_sweep
from neurosim.sweeps.schema import Sweep

__all__ = ["Plan", "Sweep", "expand", "list_sweeps", "load_sweep", "run_sweep"]
