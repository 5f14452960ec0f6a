"""From an experiment to a trainer on its data: what a run needs besides a folder."""

import hashlib
import json
import signal
from contextlib import contextmanager

import neurosim
from neurosim.errors import InputError
from neurosim.placement import MERGE_ENTRIES
from neurosim.placement.memory import host_rewires
from neurosim.scenario.experiment import check_shape


def make_trainer(experiment, data_dir=None, dataset=None):
    """Trainer of an experiment on its data, and the digest of all that decides its course.

    Parameters
    ----------
    experiment : Experiment
    data_dir : path-like, optional
        Where to look for data sets first.
    dataset : Dataset, optional
        Samples in memory, instead of those that the scenario names.

    Returns
    -------
    trainer : Trainer
    identity : str
        What a checkpoint is compared with.

    Raises
    ------
    InputError
        Data that are missing, malformed or of other sizes than the network, or too little memory in this computer.
    """
    try:
        return _make_trainer(experiment, data_dir, dataset)
    except MemoryError:
        raise InputError(
            f"{experiment.scenario.name}: this computer has too little memory for the network, its data and its batches; "
            "lower training.batch_size, the sizes of the network or dataset.max_steps"
        ) from None


def _make_trainer(experiment, data_dir, dataset):
    from neurosim.scenario.network import make_network, make_store
    from neurosim.training import Trainer

    scenario = experiment.scenario
    if dataset is None:
        dataset = scenario.dataset.load(data_dir)
    check_shape(scenario, dataset.shape)
    store = make_store(experiment)
    trainer = Trainer(store, dataset, training_plan(experiment), make_network(experiment, store))
    content = {
        "scenario": scenario.model_dump(mode="json", exclude={"report", "description"}),
        "profile": experiment.profile.sha256,
        "dataset": dataset.sha256,
        "version": neurosim.__version__,
        "rule": scenario.rewiring.source_digest,
    }
    return trainer, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def training_plan(experiment):
    """The `TrainingPlan` of an experiment."""
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


@contextmanager
def stop_on_signal():
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


def set_threads(n_threads=None):
    """Let kernels use so many threads, or all of this machine; returns the number. Results do not depend on it."""
    import numba

    most = numba.config.NUMBA_NUM_THREADS
    if n_threads is not None and not 1 <= n_threads <= most:
        raise InputError(f"--threads: found {n_threads}; expected 1 to {most}, the threads of this machine")
    numba.set_num_threads(n_threads or most)
    return n_threads or most
