"""Tables for terminals and pipes: the verdict, a run, profiles. Imports neither Numba nor Matplotlib."""

from neurosim.reports.profile_table import print_profile, print_profile_list
from neurosim.reports.run_table import print_run
from neurosim.reports.verdict_table import print_verdict

__all__ = ["print_profile", "print_profile_list", "print_run", "print_verdict"]
