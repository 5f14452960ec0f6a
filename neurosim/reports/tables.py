"""Tables for terminals and pipes: the verdict, a run, a sweep, profiles. Imports neither Numba nor Matplotlib."""

from neurosim.reports.profile_table import print_profile, print_profile_list
from neurosim.reports.run_table import print_run
from neurosim.reports.search_table import print_search
from neurosim.reports.sweep_table import print_sweep
from neurosim.reports.verdict_table import print_data_notes, print_verdict

__all__ = ["print_data_notes", "print_profile", "print_profile_list", "print_run", "print_search", "print_sweep", "print_verdict"]
