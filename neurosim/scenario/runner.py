"""Run a scenario: refuse early, train, checkpoint, account, write."""

import time
from contextlib import ExitStack

from neurosim.documents import dump_yaml, write_atomic
from neurosim.errors import DrawingError, InterruptedRunError, NeurosimError
from neurosim.placement import refuse_unless_fits, summarize
from neurosim.results import consistent, read_record, write_record, write_tables
from neurosim.scenario.changing import train_control
from neurosim.scenario.callbacks import RunInProgress, tell_compiling, train
from neurosim.scenario.experiment import prepare
from neurosim.scenario.folder import check_folder, claim_folder
from neurosim.scenario.signals import stop_on_signal
from neurosim.scenario.trainer import make_trainer, set_threads

#: Seconds between checkpoints inside a long epoch; after each epoch there is one anyway.
_CHECKPOINT_SECONDS = 30.0


def run_scenario(scenario, *, out=None, resume=False, data_dir=None, n_threads=None, callbacks=(), dataset=None):
    """Train a scenario inside its chip's budgets and write its files.

    Parameters
    ----------
    scenario : Scenario
    out : path-like or RunFolder, optional
        Folder; see `claim_folder`.
    resume : bool
        Continue from the folder's checkpoint.
    data_dir : path-like, optional
        Where to look for data sets first.
    n_threads : int, optional
        Kernel threads; the result does not depend on it.
    callbacks : iterable of Callback
    dataset : Dataset, optional
        Samples in memory, instead of those that the scenario names.

    Returns
    -------
    record : RunRecord
    folder : Path

    Raises
    ------
    InputError, DoesNotFitError
        Before anything is written.
    InterruptedRunError
        After Ctrl-C; the checkpoint is kept.
    TrainingDivergedError
        The last checkpoint is kept.
    DrawingError
        All is written but the figures.
    """
    with stop_on_signal() as stop, ExitStack() as scope:
        experiment = _prepare(scenario, dataset)
        scenario = experiment.scenario  # with the sizes that follow from the chip
        check_folder(scenario.name, out, resume)
        scope.enter_context(tell_compiling(scenario, callbacks))
        trainer, identity = make_trainer(experiment, data_dir, dataset)
        n_threads = set_threads(n_threads)

        from neurosim.scenario.record import make_record, rehearse_record

        rehearse_record(experiment, trainer, n_threads)
        with claim_folder(scenario.name, out, resume) as folder:
            if resume and (record := _restore(trainer, folder, identity)) is not None:
                folder.remove_leftovers()
                with consistent(folder.path):
                    write_tables(record, folder.path)
                _draw(record, folder, scenario)
                return record, folder.path
            try:
                _start_folder(folder, experiment, resume)
                for note in trainer.dataset.notes:
                    folder.log(f"data: {note}")
                if trainer.store.n_unplaced:
                    limits = ", ".join(trainer.store.unplaced_by)
                    folder.log(f"{trainer.store.n_unplaced} connections found no place at the start, limits: {limits}")
                saver = _Saver(trainer, folder, identity)
                if not resume:
                    saver.save()
                _train(RunInProgress(experiment, trainer, folder.path), folder, saver, callbacks, stop)
                control = train_control(experiment, data_dir, dataset, stop)
                if scenario.control and control is None:
                    raise InterruptedRunError(f"interrupted in the control; checkpoint written: continue with --resume --out {folder.path}")
                record = make_record(experiment, trainer, n_threads, control=control)
                if scenario.training.keep == "best":  # the checkpoint holds the last epoch, from which a run would go on
                    from neurosim.scenario.weights import NETWORK, network_of

                    network_of(experiment, trainer).to_npz(folder.path / NETWORK)
                # Before the figures: a folder with a result is complete, whatever becomes of these.
                write_record(record, folder.path)
                folder.log(f"done: test accuracy {record.accuracy.test:.4f}")
                for warning in record.warnings:
                    folder.log(f"learning: {warning}")
                _draw(record, folder, scenario)
            except KeyboardInterrupt:
                if not folder.checkpoint.exists():
                    raise
                raise InterruptedRunError(
                    f"interrupted at once; what the checkpoint holds is kept: continue with --resume --out {folder.path}"
                ) from None
            return record, folder.path


def train_scenario(scenario, *, data_dir=None, n_threads=None, callbacks=(), dataset=None):
    """Train a scenario and write nothing; arguments as for `run_scenario`.

    Returns
    -------
    record : RunRecord
    network : TrainedNetwork

    Raises
    ------
    InputError, DoesNotFitError
        Before anything is trained.
    InterruptedRunError
        After Ctrl-C.
    TrainingDivergedError
    """
    with stop_on_signal() as stop, ExitStack() as scope:
        experiment = _prepare(scenario, dataset)
        scenario = experiment.scenario  # with the sizes that follow from the chip
        scope.enter_context(tell_compiling(scenario, callbacks))
        trainer, _ = make_trainer(experiment, data_dir, dataset)
        n_threads = set_threads(n_threads)

        from neurosim.scenario.record import make_record

        if not train(RunInProgress(experiment, trainer), callbacks, stop=stop):
            raise InterruptedRunError(f"{_where(trainer)}; nothing was written")
        from neurosim.scenario.weights import network_of

        control = train_control(experiment, data_dir, dataset, stop)
        if scenario.control and control is None:
            raise InterruptedRunError("interrupted in the control; nothing was written")
        return make_record(experiment, trainer, n_threads, control=control), network_of(experiment, trainer)


def _prepare(scenario, dataset):
    experiment = prepare(scenario, None if dataset is None else dataset.shape)
    if scenario.hardware.on_violation == "refuse":
        refuse_unless_fits(experiment.placement)
    return experiment


def _restore(trainer, folder, identity):
    """Take over the checkpoint of a folder; returns its record when the run has ended already."""
    from neurosim.training import load_checkpoint

    trainer.restore(*load_checkpoint(folder.checkpoint, identity))
    return read_record(folder.path) if trainer.is_done and folder.has_result else None


def _draw(record, folder, scenario):
    """Write the figures and the page that the scenario asks for."""
    if not (scenario.report.figures or scenario.report.html):
        return
    try:
        from neurosim.reports.publish import publish_run

        publish_run(record, folder.path, formats=("png",) if scenario.report.figures else (), page=scenario.report.html)
    except Exception as error:  # whatever matplotlib and what it stands on may raise
        what = str(error) if isinstance(error, NeurosimError) else f"{type(error).__name__}: {error}"
        raise DrawingError(
            f"the figures could not be drawn ({' '.join(what.split())}); the result is complete: neurosim report {folder.path}"
        ) from error


class _Saver:
    """Writes checkpoints of a trainer."""

    def __init__(self, trainer, folder, identity):
        self.trainer, self.folder, self.identity = trainer, folder, identity
        self.saved_at = time.monotonic()

    def save(self):
        from neurosim.training import save_checkpoint

        save_checkpoint(self.folder.checkpoint, *self.trainer.state(), self.identity)
        self.saved_at = time.monotonic()

    def save_if_due(self):
        if time.monotonic() - self.saved_at > _CHECKPOINT_SECONDS:
            self.save()


def _train(run, folder, saver, callbacks, stop):
    trainer = run.trainer

    def on_progress(epoch, step, n_steps):
        saver.save_if_due()

    def on_epoch(record):
        # Log first: a run killed in between repeats a line of its log and never misses one.
        folder.log(
            f"epoch {record.epoch + 1}/{trainer.plan.n_epochs}: train loss {record.train_loss:.4f}, {_seen_text(record)}, "
            f"{record.n_arrived} rewired, {record.train_s:.2f} s"
            + (
                f"; {record.n_unfilled} slots dormant, limits: {', '.join(trainer.store.unfilled_by or trainer.store.unplaced_by)}"
                if record.n_unfilled
                else ""
            )
        )
        saver.save()

    is_over = train(run, callbacks, on_progress=on_progress, on_epoch=on_epoch, stop=stop)
    if not is_over:
        saver.save()
        folder.log(f"interrupted in epoch {trainer.epoch + 1}, step {trainer.step_in_epoch}")
        raise InterruptedRunError(f"{_where(trainer)}; checkpoint written: continue with --resume --out {folder.path}")
    if not trainer.is_done:
        folder.log(f"ended by a callback after epoch {trainer.epoch} of {trainer.plan.n_epochs}")


def _where(trainer):
    return f"interrupted in epoch {trainer.epoch + 1}, step {trainer.step_in_epoch} of {trainer.steps_per_epoch}"


def _seen_text(record):
    """Accuracy of an epoch on the samples that it was evaluated on."""
    if record.validation_accuracy is None:
        return f"test accuracy {record.test_accuracy:.4f}"
    return f"validation accuracy {record.validation_accuracy:.4f}"


def _start_folder(folder, experiment, resume):
    folder.remove_leftovers()
    if not resume:
        scenario = experiment.scenario.model_dump(mode="json", exclude_none=True)
        write_atomic(folder.path / "scenario.yaml", dump_yaml(scenario))
        write_atomic(folder.path / "profile.yaml", experiment.profile.text)  # and not the file, which may have changed
    folder.log(("resumed: " if resume else "started: ") + experiment.scenario.name)
    if not experiment.verdict.fits:
        folder.log(f"DOES NOT FIT, trained all the same (hardware.on_violation: report): {summarize(experiment.verdict)}")
