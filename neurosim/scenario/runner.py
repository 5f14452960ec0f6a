"""Run a scenario: refuse early, train, checkpoint, account, write."""

import hashlib
import json
import re
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import neurosim
from neurosim.documents import dump_yaml, read_yaml, write_atomic
from neurosim.errors import InputError, InterruptedRunError
from neurosim.placement import MERGE_ENTRIES, refuse_unless_fits, summarize
from neurosim.placement.memory import host_rewires
from neurosim.results import read_record, write_record, write_tables
from neurosim.scenario.experiment import check_shape, prepare

CHECKPOINT = "checkpoint.npz"
RESULT = "result.json"
#: Seconds between checkpoints inside a long epoch; after each epoch there is one anyway.
_CHECKPOINT_SECONDS = 30.0


@dataclass
class RunFolder:
    """Where a run leaves its files."""

    path: Path

    @property
    def checkpoint(self):
        return self.path / CHECKPOINT

    @property
    def is_used(self):
        return self.checkpoint.exists() or (self.path / RESULT).exists()

    def holds(self, name):
        """Whether the run in this folder is of the scenario called `name`."""
        try:
            return read_yaml(self.path / "scenario.yaml").data.get("name") == name
        except InputError:
            return False

    def log(self, line):
        """Append one line to log.txt."""
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")


def choose_folder(name, out=None, resume=False):
    """Folder of a run, not created yet.

    Without `out` it is ``runs/NAME``, or the next free ``runs/NAME-2``, ...; with `resume` the latest of them.

    Raises
    ------
    InputError
        `out` already holds a run and `resume` is false, or there is nothing to resume.
    """
    if out is not None:
        if str(out) in ("", "."):
            raise InputError(f"--out: found {str(out)!r}; give a folder of its own, such as --out runs/first")
        folder = RunFolder(Path(out))
        if folder.path.exists() and not folder.path.is_dir():
            raise InputError(f"{folder.path}: is a file; --out takes a folder")
        if folder.is_used and not resume:
            raise InputError(f"{folder.path}: already holds a run; add --resume to continue it, or give another --out")
        if resume and not folder.checkpoint.exists():
            raise InputError(f"{folder.checkpoint}: no checkpoint to resume from; run without --resume")
        return folder
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?$")
    found = {int(m[1] or 1): p for p in Path("runs").glob(f"{name}*") if (m := pattern.match(p.name))}
    used = {n: RunFolder(p) for n, p in found.items() if RunFolder(p).is_used}
    if resume:
        used = {n: run for n, run in used.items() if run.holds(name)}
        if not used:
            raise InputError(f"runs/{name}: no run to resume here; run without --resume, or name its folder with --out")
        return used[max(used)]
    n = max(used, default=0) + 1
    return RunFolder(Path("runs") / (name if n == 1 else f"{name}-{n}"))


def run_scenario(scenario, *, out=None, resume=False, data_dir=None, n_threads=None, observer=None):
    """Train a scenario inside its chip's budgets and write its files.

    Parameters
    ----------
    scenario : Scenario
    out : path-like, optional
        Folder; see `choose_folder`.
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
        After Ctrl-C; a checkpoint was written.
    TrainingDivergedError
        The last checkpoint is kept.
    """
    experiment = prepare(scenario)
    if scenario.hardware.on_violation == "refuse":
        refuse_unless_fits(experiment.placement)
    folder = choose_folder(scenario.name, out, resume)
    try:
        trainer, identity = _make_trainer(experiment, data_dir)
    except MemoryError:
        raise InputError(
            f"{scenario.name}: this computer has too little memory for the network, its data and its batches; "
            "lower training.batch_size, the sizes of the network or dataset.max_steps"
        ) from None
    n_threads = _set_threads(n_threads)
    if resume:
        from neurosim.training import load_checkpoint

        trainer.restore(*load_checkpoint(folder.checkpoint, identity))
        if trainer.is_done and (folder.path / RESULT).exists():
            record = read_record(folder.path)
            _write_views(record, folder, scenario)
            return record, folder.path
    _start_folder(folder, experiment, resume)
    for note in trainer.dataset.notes:
        folder.log(f"data: {note}")
    saver = _Saver(trainer, folder, identity)
    if not resume:
        saver.save()
    if observer:
        observer.start(experiment, trainer, folder.path)
    _train(trainer, folder, saver, observer)

    from neurosim.scenario.record import make_record

    record = make_record(experiment, trainer, n_threads)
    _write_views(record, folder, scenario)
    # Last: a folder with a result is complete.
    write_record(record, folder.path)
    folder.log(f"done: test accuracy {record.accuracy.test:.4f}")
    return record, folder.path


def _write_views(record, folder, scenario):
    """Write tables and figures, which follow from the record."""
    write_tables(record, folder.path)
    if scenario.report.figures or scenario.report.html:
        from neurosim.reports.publish import publish_run

        publish_run(record, folder.path, formats=("png",) if scenario.report.figures else (), page=scenario.report.html)


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


def _train(trainer, folder, saver, observer):
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

    with _stop_on_signal() as stopped:
        is_done = trainer.run(on_progress=on_progress, on_epoch=on_epoch, should_stop=lambda: bool(stopped))
    if not is_done:
        saver.save()
        folder.log(f"interrupted in epoch {trainer.epoch + 1}, step {trainer.step_in_epoch}")
        raise InterruptedRunError(
            f"interrupted in epoch {trainer.epoch + 1}, step {trainer.step_in_epoch} of {trainer.steps_per_epoch}; "
            f"checkpoint written: continue with --resume --out {folder.path}"
        )


@contextmanager
def _stop_on_signal():
    """List that fills when the user or the system asks to stop; a second Ctrl-C stops at once.

    Signals are noted and not raised: an exception between a compiled call and the counting of its
    steps would leave a state that cannot be resumed.
    """
    stopped = []

    def note(number, frame):
        if stopped:
            raise KeyboardInterrupt
        stopped.append(number)

    try:
        previous = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller handles signals
        previous = {}
    try:
        yield stopped
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


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

    most = numba.config.NUMBA_NUM_THREADS
    if n_threads is not None and not 1 <= n_threads <= most:
        raise InputError(f"--threads: found {n_threads}; expected 1 to {most}, the threads of this machine")
    numba.set_num_threads(n_threads or most)
    return n_threads or most


def _start_folder(folder, experiment, resume):
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder.path}: cannot be created: {error.strerror}") from None
    for left in folder.path.glob(".*.tmp"):  # of a run that was killed while it wrote
        left.unlink(missing_ok=True)
    if not resume:
        scenario = experiment.scenario.model_dump(mode="json", exclude_none=True)
        write_atomic(folder.path / "scenario.yaml", dump_yaml(scenario))
        write_atomic(folder.path / "profile.yaml", Path(experiment.profile.path).read_text(encoding="utf-8"))
    folder.log(("resumed: " if resume else "started: ") + experiment.scenario.name)
    if not experiment.verdict.fits:
        folder.log(f"DOES NOT FIT, trained all the same (hardware.on_violation: report): {summarize(experiment.verdict)}")
