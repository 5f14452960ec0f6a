"""Progress of a search: a line per trial."""

from neurosim.reports.progress import Observer
from neurosim.reports.rich_parts import line
from neurosim.reports.search_table import OUTCOMES, value_text
from neurosim.reports.sweep_facts import spread_text


class SearchObserver(Observer):
    """Shows a search."""

    def start(self, record, folder, n_workers):
        """The search begins, or goes on: say what and where."""
        if self.console is not None:
            n = len(next(iter(record.budget.values())))
            what = f"{100 * record.target:g} % with the least {record.minimize}; {next(iter(record.budget))}: {n:,d} values"
            line(self.console, (record.name, "bold"), f": {what}, {n_workers} worker{'s' * (n_workers != 1)}, in {folder}", unbroken=True)

    def trial(self, trial):
        """A setting has been measured, or more seeds of it."""
        if self.console is not None:
            values = ", ".join(f"{key}={value_text(value)}" for key, value in trial.overrides.items())
            found = f"{spread_text(trial.accuracy)} %, " if trial.accuracy else ""
            n = f"{trial.n_runs} seed{'s' * (trial.n_runs != 1)}: "
            line(self.console, f"trial {trial.number}: {values}: {n}{found}{OUTCOMES[trial.outcome]} ({trial.why})", unbroken=True)

    def point(self, point, status):
        """A run has ended."""
