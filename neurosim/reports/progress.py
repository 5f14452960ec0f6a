"""Progress of a run: a bar with time left on a terminal, plain lines in a pipe."""

import time

from neurosim.reports.facts import unplaced_text
from neurosim.reports.rich_parts import line
from neurosim.reports.verdict_table import print_data_notes


class Observer:
    """Shows long work while it happens; a context manager.

    Parameters
    ----------
    console : rich.console.Console or None
        None shows nothing.
    """

    def __init__(self, console):
        self.console = console
        self.bar = self.task = None

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self.bar:
            self.bar.stop()


#: Seconds between two lines on compiling in a pipe.
_COMPILING_SECONDS = 10.0


class CompileObserver(Observer):
    """Says that kernels are compiled, how many are done and how long it may take; nothing where none is."""

    def __init__(self, console):
        super().__init__(console)
        self._compiling_line = None
        self._compiling_bar = self._compiling_task = None

    def __exit__(self, *exception):
        self._end_compiling()
        super().__exit__(*exception)

    def on_compile(self, compiling):
        """A compilation begins or ends; see `neurosim.kernels.compiling.Compiling`."""
        if self.console is None:
            return
        text = compiling_text(compiling)
        if not self.console.is_terminal:
            now = time.monotonic()
            if self._compiling_line is None or now - self._compiling_line > _COMPILING_SECONDS:
                self._compiling_line = now
                line(self.console, text, unbroken=True)
        elif self.bar:
            self.bar.update(self.task, description=text)
        else:
            if self._compiling_bar is None:
                from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

                columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
                self._compiling_bar = Progress(*columns, console=self.console, transient=True)
                self._compiling_task = self._compiling_bar.add_task(text, total=None)
                self._compiling_bar.start()
            self._compiling_bar.update(self._compiling_task, description=text, completed=compiling.n_done, total=compiling.n_expected)

    def _end_compiling(self):
        if self._compiling_bar:
            self._compiling_bar.stop()
        self._compiling_bar = None


def compiling_text(compiling):
    """``compiling 37 of 220, about 40 s left; once per version and computer``."""
    done, expected, left = compiling.n_done, compiling.n_expected, compiling.seconds_left
    text = f"compiling {done}" + (f" of {expected}" if expected is not None else " so far" if done else " kernels")
    if left is not None:
        text += f", about {max(left, 1):.0f} s left"
    return f"{text}; once per version and computer"


class RunObserver(CompileObserver):
    """Shows a run: a callback of `run_scenario`, see `neurosim.scenario.callbacks.Callback`."""

    def __init__(self, console):
        super().__init__(console)
        self.n_epochs = 0
        self.last_line = 0.0
        self.description = "training"

    def on_start(self, run):
        """The run begins (or goes on): say what and where."""
        if self.console is None:
            return
        self._end_compiling()
        experiment, trainer = run.experiment, run.trainer
        placement, store = experiment.placement, trainer.store
        self.n_epochs = run.n_epochs
        line(
            self.console,
            (experiment.scenario.name, "bold"),
            f" on {experiment.profile.title}: {store.n_active:,} synapses on "
            f"{placement.n_cores} core{'s' * (placement.n_cores > 1)}, {trainer.dataset.n_train:,} training samples, "
            f"{trainer.epoch} of {self.n_epochs} epochs done",
            unbroken=True,
        )
        if unplaced := unplaced_text(store.n_unplaced, store.unplaced_by):
            line(self.console, (unplaced, "bold red"), unbroken=True)
        print_data_notes(self.console, trainer.dataset.notes)
        if not experiment.verdict.fits:
            worst = experiment.verdict.worst
            line(
                self.console,
                ("DOES NOT FIT", "bold red"),
                f" and is trained all the same: {worst.where}: {worst.name} needs {worst.used:,d} of {worst.limit:,d} {worst.unit}",
                unbroken=True,
            )
        if self.console.is_terminal:
            from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

            self.bar = Progress(TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn(), console=self.console)
            done = trainer.epoch * trainer.steps_per_epoch + trainer.step_in_epoch
            self.task = self.bar.add_task(self.description, total=self.n_epochs * trainer.steps_per_epoch, completed=done)
            self.bar.start()

    def on_progress(self, run, epoch, step, n_steps):
        """Some steps of an epoch are done."""
        if self.bar:
            self.bar.update(self.task, completed=epoch * n_steps + step, description=self.description)

    def on_end(self, run):
        """The training is over: the last line stands in the table that follows."""

    def on_epoch_end(self, run, record):
        """An epoch is done. In a pipe at most two lines a second are printed, and always the last."""
        part, seen = ("test", record.test_accuracy) if record.validation_accuracy is None else ("validation", record.validation_accuracy)
        text = f"epoch {record.epoch + 1}/{self.n_epochs}: {part} accuracy {seen:.2%}"
        if self.bar:
            self.description = text
            self.bar.update(self.task, description=text)
        elif self.console is not None:
            now = time.monotonic()
            if now - self.last_line > 0.5 or record.epoch + 1 == self.n_epochs:
                self.last_line = now
                self.console.print(
                    f"{text}, train loss {record.train_loss:.4f}, {record.n_arrived:,} rewired, "
                    f"about {record.train_s * (self.n_epochs - record.epoch - 1):.0f} s left",
                    soft_wrap=True,
                )
