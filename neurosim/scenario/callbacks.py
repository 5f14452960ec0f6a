"""What may watch a run and end it: one protocol for progress bars, early stops and pruning."""

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neurosim.kernels.compiling import Compiling


class Callback:
    """Watches a run; derive from it and define what you need.

    An exception of a callback ends the run and reaches the caller, after a checkpoint where the run has a folder. That is how a
    search prunes a trial: raise its exception in `on_epoch_end`.

    Examples
    --------
    >>> class EnoughIsEnough(Callback):
    ...     def on_epoch_end(self, run, epoch):
    ...         return epoch.train_accuracy > 0.98
    """

    def on_compile(self, compiling: "Compiling") -> None:
        """Kernels are being compiled: once per version and computer, before `on_start` and after it; never when they are kept already."""

    def on_start(self, run: "RunInProgress") -> None:
        """The run begins, or goes on from a checkpoint."""

    def on_progress(self, run: "RunInProgress", epoch: int, step: int, n_steps: int) -> None:
        """Some steps are done: `step` of `n_steps` of an epoch, counted from 0; a few times a second."""

    def on_epoch_end(self, run: "RunInProgress", epoch: Any) -> bool | None:
        """An epoch is done, `epoch` is its `EpochRecord`; return True to end the run with it."""

    def on_end(self, run: "RunInProgress") -> None:
        """The training is over: all epochs are done, or a callback ended it."""


@dataclass(frozen=True)
class RunInProgress:
    """What callbacks see of a run.

    Attributes
    ----------
    experiment : Experiment
        Scenario, profile, placement and verdict.
    trainer : Trainer
    folder : Path, optional
        None where nothing is written.
    """

    experiment: Any
    trainer: Any
    folder: Path | None = None

    @property
    def scenario(self):
        return self.experiment.scenario

    @property
    def verdict(self):
        return self.experiment.verdict

    @property
    def n_epochs(self) -> int:
        """Epochs that the scenario asks for."""
        return self.trainer.plan.n_epochs

    @property
    def epochs(self) -> list:
        """`EpochRecord` of every finished epoch."""
        return list(self.trainer.history)


@contextmanager
def tell_compiling(scenario, callbacks):
    """Let callbacks know of every compilation inside of the block; how many are to come is known for a scenario only, which may be None."""
    from neurosim.kernels.compiling import told

    def tell(compiling):
        for callback in callbacks:
            callback.on_compile(compiling)

    network = scenario and scenario.network
    kinds = (("maps", network.has_maps), ("spiking", network.is_spiking), ("recurrent", network.is_recurrent)) if network else ((None, True),)
    with told(tell, next((kind for kind, is_kind in kinds if is_kind), "feedforward")):
        yield


def train(run, callbacks=(), *, stop, on_progress=None, on_epoch=None):
    """Train to the end, unless somebody ends it.

    Parameters
    ----------
    run : RunInProgress
    callbacks : iterable of Callback
    stop : Stop
        Whether to stop at once, between two steps.
    on_progress, on_epoch : callable, optional
        As for `Trainer.run`; called before the callbacks.

    Returns
    -------
    bool
        Whether the training is over: all epochs are done, or a callback ended it. False where it was stopped.
    """
    callbacks, trainer, is_enough = list(callbacks), run.trainer, False

    def progress(epoch, step, n_steps):
        if on_progress:
            on_progress(epoch, step, n_steps)
        for callback in callbacks:
            callback.on_progress(run, epoch, step, n_steps)

    def end_epoch(record):
        nonlocal is_enough
        if on_epoch:
            on_epoch(record)
        # All of them: one that ends the run must not hide the epoch from the others.
        is_enough = any([bool(callback.on_epoch_end(run, record)) for callback in callbacks])  # noqa: C419

    for callback in callbacks:
        callback.on_start(run)
    trainer.compile()
    with stop.deferred():
        is_over = trainer.run(on_progress=progress, on_epoch=end_epoch, should_stop=lambda: stop.is_asked, is_enough=lambda: is_enough)
    if is_over:
        for callback in callbacks:
            callback.on_end(run)
    return is_over
