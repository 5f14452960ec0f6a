"""A progress bar as a callback."""

from neurosim.scenario.callbacks import Callback


class ProgressBar(Callback):
    """Shows a run on the terminal or in the notebook, as the command line does."""

    def __init__(self):
        self._made = None

    @property
    def _observer(self):
        if self._made is None:
            from rich.console import Console

            from neurosim.reports.progress import RunObserver

            self._made = RunObserver(Console(highlight=False))
        return self._made

    def on_compile(self, compiling):
        self._observer.on_compile(compiling)

    def on_start(self, run):
        self._observer.on_start(run)

    def on_progress(self, run, epoch, step, n_steps):
        self._observer.on_progress(run, epoch, step, n_steps)

    def on_epoch_end(self, run, epoch):
        self._observer.on_epoch_end(run, epoch)

    def on_end(self, run):
        self._observer.__exit__()
        self._made = None
