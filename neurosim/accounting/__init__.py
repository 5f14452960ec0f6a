"""Accounting: integer events, traffic, prices once, and a ledger that closes."""

from neurosim.accounting.activity import Activity
from neurosim.accounting.events import KINDS, PHASES
from neurosim.accounting.ledger import Ledger, count_by_phase, make_ledger
from neurosim.accounting.sensitivity import price_sensitivity

__all__ = ["KINDS", "PHASES", "Activity", "Ledger", "count_by_phase", "make_ledger", "price_sensitivity"]
