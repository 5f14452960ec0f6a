"""Scenarios: the schema, and the runner in which learning meets hardware."""

from neurosim.scenario.experiment import Experiment, prepare
from neurosim.scenario.load import list_scenarios, load_scenario
from neurosim.scenario.runner import run_scenario
from neurosim.scenario.schema import Scenario

__all__ = ["Experiment", "Scenario", "list_scenarios", "load_scenario", "prepare", "run_scenario"]
