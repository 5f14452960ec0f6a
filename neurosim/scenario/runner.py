"""Run a scenario: refuse early, train, checkpoint, account, write."""

import hashlib
import json
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import neurosim
from neurosim.documents import dump_yaml, write_atomic
from neurosim.errors import DrawingError, InputError, InterruptedRunError, NeurosimError
from neurosim.placement import MERGE_ENTRIES, refuse_unless_fits, summarize
from neurosim.placement.memory import host_rewires
from neurosim.results import read_record, write_record, write_tables
from neurosim.scenario.experiment import check_shape, prepare
from neurosim.scenario.folder import check_folder, claim_folder

#: Seconds between checkpoints inside a long epoch; after each epoch there is one anyway.
_CHECKPOINT_SECONDS = 30.0


def run_scenario(scenario, *, out=None, resume=False, data_dir=None, n_threads=None, observer=None):
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
    observer : object, optional
        With methods ``start(experiment, trainer, folder)``, ``progress(epoch, step, n_steps)`` and
        ``epoch(record)``.

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
    with _stop_on_signal() as stop:
        experiment = prepare(scenario)
        if scenario.hardware.on_violation == "refuse":
            refuse_unless_fits(experiment.placement)
        check_folder(scenario.name, out, resume)
        try:
            trainer, identity = _make_trainer(experiment, data_dir)
        except MemoryError:
            raise InputError(
                f"{scenario.name}: this computer has too little memory for the network, its data and its batches; "
                "lower training.batch_size, the sizes of the network or dataset.max_steps"
            ) from None
        n_threads = _set_threads(n_threads)

        from neurosim.scenario.record import make_record, rehearse_record

        rehearse_record(experiment, trainer, n_threads)
        with claim_folder(scenario.name, out, resume) as folder:
            if resume and (record := _restore(trainer, folder, identity)) is not None:
                folder.remove_leftovers()
                write_tables(record, folder.path)
                _draw(record, folder, scenario)
                return record, folder.path
            try:
                _start_folder(folder, experiment, resume)
                saver = _Saver(trainer, folder, identity)
                if not resume:
                    saver.save()
                if observer:
                    observer.start(experiment, trainer, folder.path)
                trainer.compile()
                _train(trainer, folder, saver, observer, stop)
                record = make_record(experiment, trainer, n_threads)
                # Before the figures: a folder with a result is complete, whatever becomes of these.
                write_record(record, folder.path)
                folder.log(f"done: test accuracy {record.accuracy.test:.4f}")
                _draw(record, folder, scenario)
            except KeyboardInterrupt:
                if not folder.checkpoint.exists():
                    raise
                raise InterruptedRunError(
                    f"interrupted at once; what the checkpoint holds is kept: continue with --resume --out {folder.path}"
                ) from None
            return record, folder.path


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


def _train(trainer, folder, saver, observer, stop):
    def on_progress(epoch, step, n_steps):
        saver.save_if_due()
        if observer:
            observer.progress(epoch, step, n_steps)

    def on_epoch(record):
        # Log first: a run killed in between repeats a line of its log and never misses one.
        folder.log(
            f"epoch {record.epoch + 1}/{trainer.plan.n_epochs}: train loss {record.train_loss:.4f}, "
            f"test accuracy {record.test_accuracy:.4f}, {record.n_arrived} rewired, {record.train_s:.2f} s"
            + (f"; {record.n_unfilled} slots dormant, limits: {', '.join(trainer.store.unfilled_by)}" if record.n_unfilled else "")
        )
        saver.save()
        if observer:
            observer.epoch(record)

    with stop.deferred():
        is_done = trainer.run(on_progress=on_progress, on_epoch=on_epoch, should_stop=lambda: stop.is_asked)
    if not is_done:
        saver.save()
        folder.log(f"interrupted in epoch {trainer.epoch + 1}, step {trainer.step_in_epoch}")
        raise InterruptedRunError(
            f"interrupted in epoch {trainer.epoch + 1}, step {trainer.step_in_epoch} of {trainer.steps_per_epoch}; "
            f"checkpoint written: continue with --resume --out {folder.path}"
        )


class _Stop:
    """Whether the user or the system has asked to stop, and what that does: it ends all work at once, but for steps of training.

    During these it is noted and not raised: an exception between a compiled call and the counting of its steps would leave a state
    that cannot be resumed. A second signal ends these at once, too: what the last checkpoint holds is kept.
    """

    def __init__(self):
        self.is_asked = self.is_deferred = False

    def note(self, number, frame):
        """Handler of a signal."""
        is_first, self.is_asked = not self.is_asked, True
        if not (self.is_deferred and is_first):
            raise KeyboardInterrupt

    @contextmanager
    def deferred(self):
        """Only note the first signal until the end of the block."""
        self.is_deferred = True
        try:
            if self.is_asked:  # somebody swallowed it: Python drops what is raised inside of callbacks
                raise KeyboardInterrupt
            yield
        finally:
            self.is_deferred = False


@contextmanager
def _stop_on_signal():
    """Let SIGTERM be the same as Ctrl-C until the end of the block; yields a `_Stop`."""
    stop = _Stop()
    try:
        previous = {number: signal.signal(number, stop.note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller handles signals
        previous = {}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _make_trainer(experiment, data_dir):
    """Trainer of an experiment on its data, and the digest of all that decides its course."""
    from neurosim.scenario.network import make_network, make_store
    from neurosim.training import Trainer

    scenario = experiment.scenario
    dataset = scenario.dataset.load(data_dir)
    check_shape(scenario, dataset.shape)
    store = make_store(experiment)
    trainer = Trainer(store, dataset, _training_plan(experiment), make_network(experiment, store))
    content = {
        "scenario": scenario.model_dump(mode="json", exclude={"report", "description"}),
        "profile": experiment.profile.sha256,
        "dataset": dataset.sha256,
        "version": neurosim.__version__,
        "rule": scenario.rewiring.source_digest,
    }
    return trainer, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _training_plan(experiment):
    from neurosim.training import Optimizer, Schedule, TrainingPlan

    scenario, workload = experiment.scenario, experiment.placement.workload
    training, schedule = scenario.training, scenario.training.schedule
    return TrainingPlan(
        seed=scenario.seed,
        n_epochs=training.epochs,
        batch_size=training.batch_size,
        schedule=Schedule(
            kind=schedule.kind,
            base=training.learning_rate,
            factor=schedule.factor if schedule.factor is not None else (0.0 if schedule.kind == "cosine" else 1.0),
            milestones=schedule.milestones or (),
        ),
        optimizer=Optimizer(training.optimizer, **training.optimizer_numbers),
        is_stochastic=scenario.hardware.rounding == "stochastic",
        rule=scenario.rewiring.make_rule(),
        # The host orders all arrivals at once, whatever their number.
        merge_entries=2**62 if workload.host_learns or host_rewires(experiment.profile, workload) else MERGE_ENTRIES,
        watches=_watched(experiment),
        counts_pairs=scenario.hardware.execution == "event_driven" and experiment.profile.storage.family == "address_space",
    )


def _watched(experiment):
    """Neurons whose non-zero values cost something: rows that are walked, activations that travel."""
    placement = experiment.placement
    if placement.workload.execution == "event_driven" or placement.profile.storage.family != "address_space":
        return "all"
    return "hidden" if placement.n_cores > 1 else "none"


def _set_threads(n_threads):
    import numba

    from neurosim.kernels.forks import is_alone, refusal

    most = numba.config.NUMBA_NUM_THREADS
    if n_threads is not None and not 1 <= n_threads <= most:
        raise InputError(f"--threads: found {n_threads}; expected 1 to {most}, the threads of this machine")
    if why := refusal():
        raise NeurosimError(why)
    try:
        numba.set_num_threads(n_threads or most)
    except ValueError:
        raise InputError(
            f"NUMBA_THREADING_LAYER: found {str(numba.config.THREADING_LAYER)!r}, which Numba cannot load on this computer; "
            "unset it, or set it to workqueue"
        ) from None
    return 1 if is_alone() else n_threads or most


def _start_folder(folder, experiment, resume):
    folder.remove_leftovers()
    if not resume:
        scenario = experiment.scenario.model_dump(mode="json", exclude_none=True)
        write_atomic(folder.path / "scenario.yaml", dump_yaml(scenario))
        write_atomic(folder.path / "profile.yaml", Path(experiment.profile.path).read_bytes())
    folder.log(("resumed: " if resume else "started: ") + experiment.scenario.name)
    if not experiment.verdict.fits:
        folder.log(f"DOES NOT FIT, trained all the same (hardware.on_violation: report): {summarize(experiment.verdict)}")
