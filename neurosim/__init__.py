"""neurosim: on-chip training inside the budgets of neuromorphic hardware.

    import neurosim as ns

    scenario = ns.load_scenario("digits_santos", {"training.epochs": 20})
    print(ns.check(scenario))
    run = ns.run(scenario)

Everything that a script or notebook needs stands here and is loaded when it is first used; docs/python.md shows it in use.
"""

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from neurosim.api import (  # noqa: F401  (what type checkers and editors see of the names below)
        Callback,
        Comparison,
        ProgressBar,
        Run,
        Scenario,
        SearchResult,
        SweepResult,
        TrainedNetwork,
        Verdict,
        check,
        compare,
        evaluate,
        load_network,
        load_profile,
        load_scenario,
        make_dataset,
        open_run,
        open_search,
        open_sweep,
        profiles,
        run,
        scenarios,
        search,
        sweep,
    )
    from neurosim.errors import DoesNotFitError, InputError, InterruptedRunError, NeurosimError, TrainingDivergedError  # noqa: F401

#: Public name to the module that holds it.
_HOMES = {
    "Callback": "neurosim.api",
    "Comparison": "neurosim.api",
    "DoesNotFitError": "neurosim.errors",
    "InputError": "neurosim.errors",
    "InterruptedRunError": "neurosim.errors",
    "NeurosimError": "neurosim.errors",
    "ProgressBar": "neurosim.api",
    "Run": "neurosim.api",
    "Scenario": "neurosim.api",
    "SearchResult": "neurosim.api",
    "SweepResult": "neurosim.api",
    "TrainedNetwork": "neurosim.api",
    "TrainingDivergedError": "neurosim.errors",
    "Verdict": "neurosim.api",
    "check": "neurosim.api",
    "compare": "neurosim.api",
    "evaluate": "neurosim.api",
    "load_network": "neurosim.api",
    "load_profile": "neurosim.api",
    "load_scenario": "neurosim.api",
    "make_dataset": "neurosim.api",
    "open_run": "neurosim.api",
    "open_search": "neurosim.api",
    "open_sweep": "neurosim.api",
    "profiles": "neurosim.api",
    "run": "neurosim.api",
    "scenarios": "neurosim.api",
    "search": "neurosim.api",
    "sweep": "neurosim.api",
}

__all__ = ["__version__", *_HOMES]


def __getattr__(name):
    if name not in _HOMES:
        raise AttributeError(f"module 'neurosim' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return sorted({*globals(), *_HOMES})
