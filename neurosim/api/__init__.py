"""The Python door: what the command line does, as functions and objects.

Checking loads neither numba nor matplotlib; running, predicting and drawing load what they need when they are called. Tables are
pandas DataFrames, and pandas is loaded by whoever asks for one.
"""

from neurosim.api.choosing import load_scenario, scenarios
from neurosim.api.comparisons import Comparison, compare
from neurosim.api.progress import ProgressBar
from neurosim.api.networks import evaluate, load_network
from neurosim.api.runs import Run, open_run, run
from neurosim.api.searching import SearchResult, open_search, search
from neurosim.api.sweep_results import SweepResult, open_sweep, sweep
from neurosim.api.verdicts import Verdict, check
from neurosim.datasets import make_dataset
from neurosim.hardware import list_profiles as profiles
from neurosim.hardware import load_profile
from neurosim.results.network import TrainedNetwork
from neurosim.scenario.callbacks import Callback
from neurosim.scenario.schema import Scenario

__all__ = [
    "Callback",
    "Comparison",
    "ProgressBar",
    "Run",
    "Scenario",
    "SearchResult",
    "SweepResult",
    "TrainedNetwork",
    "Verdict",
    "check",
    "compare",
    "evaluate",
    "load_network",
    "load_profile",
    "load_scenario",
    "make_dataset",
    "open_run",
    "open_search",
    "open_sweep",
    "profiles",
    "run",
    "scenarios",
    "search",
    "sweep",
]
