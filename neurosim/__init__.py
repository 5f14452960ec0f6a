"""neurosim: on-chip training inside the budgets of neuromorphic hardware."""

__version__ = "0.1.0"
