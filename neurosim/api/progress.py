"""A progress bar as a callback."""

from neurosim.scenario.callbacks import Callback


class ProgressBar(Callback):
    """Shows a run on the terminal or in the notebook, as the command line does."""

    def __init__(self):
        self._observer = None

    def on_start(self, run):
        from rich.console import Console

        from neurosim.reports.progress import RunObserver

        self._observer = RunObserver(Console(highlight=False))
        self._observer.on_start(run)

    def on_progress(self, run, epoch, step, n_steps):
        self._observer.on_progress(run, epoch, step, n_steps)

    def on_epoch_end(self, run, epoch):
        self._observer.on_epoch_end(run, epoch)

    def on_end(self, run):
        self._observer.__exit__()
