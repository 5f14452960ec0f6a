"""Progress of a sweep: one bar over all points on a terminal, plain lines in a pipe."""

import time

from neurosim.reports.progress import Observer
from neurosim.reports.rich_parts import line


class SweepObserver(Observer):
    """Shows a sweep."""

    def __init__(self, console):
        super().__init__(console)
        self.n_left = self.n_workers = 0
        self.keys = []
        self.ended = {"done": 0, "unfit": 0, "failed": 0, "missing": 0}
        self.began = time.monotonic()

    def start(self, record, folder, n_left, n_workers):
        """The sweep begins (or goes on): say what and where."""
        if self.console is None:
            return
        self.n_left, self.n_workers, self.began = n_left, n_workers, time.monotonic()
        self.keys = record.telling_keys
        n = len(record.points)
        n_done = max(n - n_left, 0) if record.count("missing") <= n_left else n - record.count("missing")  # of a shard others are missing, too
        line(
            self.console,
            (record.name, "bold"),
            f": {n:,} points, {n_done:,} of them done before, {f'{n_left:,} to do here, ' if n_left < n - n_done else ''}{n_workers} worker{'s' * (n_workers != 1)}, in {folder}",
            unbroken=True,
        )
        if self.console.is_terminal:
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
            self.bar = Progress(*columns, console=self.console)
            self.task = self.bar.add_task(self._text(), total=n, completed=n - n_left)
            self.bar.start()

    def point(self, point, status):
        """A point has ended."""
        self.ended[status] += 1
        if self.bar:
            self.bar.update(self.task, advance=1, description=self._text())
        elif self.console is not None:
            values = [f"{key}={point.overrides[key]}" for key in self.keys if key in point.overrides]
            where = ", ".join([point.scenario.hardware.profile, *values, f"seed={point.scenario.seed}"])
            line(self.console, f"{status} {where}: {self._text()}", unbroken=True)

    def wait(self, points):
        """Nothing is left but points that other processes have claimed."""
        if self.console is not None:
            n = len(points)
            self.console.print(
                f"waiting for {n} point{'s' * (n != 1)} on which other processes work; where there are none (another computer that was "
                f"switched off), remove the file claim in points/{points[0].id}",
                soft_wrap=True,
                markup=False,
            )

    def _text(self):
        n_ended = sum(self.ended.values())
        left = self.n_left - n_ended
        parts = [f"{n} {status}" for status, n in self.ended.items() if n or status == "done"]
        parts += [f"{min(left, self.n_workers)} running", f"{max(left - self.n_workers, 0)} waiting"]
        # The points that end first say most about the others; one of them is enough for a first guess.
        if n_ended and left:
            parts.append(f"about {duration((time.monotonic() - self.began) / n_ended * left)} left")
        return ", ".join(parts)


def duration(seconds):
    """Time as people read it: ``95 -> "1 min 35 s"``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
