"""Sweeps: one base scenario along axes and seeds, each point an ordinary run, collected in one table."""

from neurosim.sweeps.expand import Plan, expand, list_sweeps, load_sweep
from neurosim.sweeps.runner import run_sweep
from neurosim.sweeps.schema import Sweep
from neurosim.sweeps.search import Goal, run_search

__all__ = ["Goal", "Plan", "Sweep", "expand", "list_sweeps", "load_sweep", "run_search", "run_sweep"]
