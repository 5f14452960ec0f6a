"""From an experiment to a trainer on its data: what a run needs besides a folder."""

import hashlib
import json
from dataclasses import replace

import neurosim
from neurosim.datasets import change_task, check_same_sizes
from neurosim.errors import InputError, NeurosimError
from neurosim.placement import MERGE_ENTRIES
from neurosim.placement.families import family_of
from neurosim.placement.memory import has_row_pointers, host_rewires
from neurosim.scenario.experiment import check_shape, refuse_unless_walked
from neurosim.scenario.learning import auto_rate
from neurosim.scenario.start import find_start


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
    from neurosim.scenario.inference import set_biases
    from neurosim.scenario.network import make_network, make_store
    from neurosim.scenario.start_given import as_data_enter, digest_of, read_given
    from neurosim.training import Trainer

    scenario = experiment.scenario
    if scenario.network.has_maps:
        refuse_unless_walked(experiment.profile)
    if dataset is None:
        dataset = scenario.dataset.load(data_dir)
    check_shape(scenario, dataset.shape)
    phases, start, given = _phases(experiment, dataset, data_dir), find_start(experiment), read_given(scenario)
    if given is not None:
        given = as_data_enter(given, dataset, scenario)
    store, plan = make_store(experiment, is_drawn=start is None, given=given), training_plan(experiment)
    network = make_network(experiment, store)
    if given is not None:
        set_biases(network, given)
    first = phases[0].dataset if phases else dataset
    trainer = Trainer(store, first, plan, network, phases, first_step=start.n_steps if start else 0)
    if start:
        start.give(trainer)
    content = {
        "scenario": scenario.model_dump(mode="json", exclude={"report", "description"}),
        "profile": experiment.profile.sha256,
        "dataset": dataset.sha256,
        "version": neurosim.__version__,
        "rule": scenario.rewiring.source_digest,
    }
    if (own := experiment.placement.workload.own) is not None:  # another version of the partitioner may find another one
        content["own"] = own
    if phases:
        content["phases"] = [phase.dataset.sha256 for phase in phases]
    if start:
        content["start"] = start.sha256
    if given is not None:
        content["start"] = digest_of(given)
    return trainer, hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _phases(experiment, dataset, data_dir):
    """The `Phase` of each of the scenario's phases; empty where it has none."""
    from neurosim.training import Phase

    scenario, plan, loaded, found = experiment.scenario, training_plan(experiment), {None: dataset}, []
    for i, choice in enumerate(scenario.phases or ()):
        where = f"phases.{i}"
        if choice.dataset not in loaded:
            loaded[choice.dataset] = choice.dataset.load(data_dir)
            check_same_sizes(loaded[choice.dataset].shape, choice.dataset.name, dataset.shape, dataset.name, f"{where}.dataset")
        schedule = plan.schedule if choice.learning_rate is None else replace(plan.schedule, base=choice.learning_rate)
        samples = change_task(loaded[choice.dataset], **choice.change, where=where)
        found.append(Phase(samples, choice.epochs, schedule, restarts=scenario.training.schedule.restart != "run"))
    return tuple(found)


def learning_rate(experiment):
    """Learning rate of epoch 0: the number of the scenario, or what ``auto`` comes to for the synapses of this network."""
    training, workload = experiment.scenario.training, experiment.placement.workload
    if training.learning_rate != "auto":
        return training.learning_rate[0] if isinstance(training.learning_rate, tuple) else training.learning_rate
    n_sums = sum(population.n_sums for population in workload.topology.populations[1:])
    return auto_rate(training.optimizer, workload.n_synapses / n_sums, training.optimizer_numbers.get("momentum", 0.9))


def training_plan(experiment):
    """The `TrainingPlan` of an experiment."""
    from neurosim.training import Optimizer, Schedule, TrainingPlan

    scenario, workload = experiment.scenario, experiment.placement.workload
    training, schedule = scenario.training, scenario.training.schedule
    rates = training.learning_rate
    return TrainingPlan(
        seed=scenario.seed,
        n_epochs=training.epochs,
        batch_size=training.batch_size,
        schedule=Schedule(
            kind=schedule.kind,
            base=learning_rate(experiment),
            factor=schedule.factor if schedule.factor is not None else (0.0 if schedule.kind == "cosine" else 1.0),
            milestones=schedule.milestones or (),
        ),
        optimizer=Optimizer(training.optimizer, **training.optimizer_numbers),
        is_stochastic=scenario.hardware.rounding == "stochastic",
        rate_factors=tuple(rate / rates[0] for rate in rates) if isinstance(rates, tuple) else None,
        keeps_best=training.keep == "best",
        epoch_samples=training.epoch_samples,
        horizon=scenario.rewiring.horizon or "phase",
        rule=scenario.rewiring.make_rule(),
        # The host orders all arrivals at once, whatever their number.
        merge_entries=2**62 if workload.host_learns or host_rewires(experiment.profile, workload) else MERGE_ENTRIES,
        watches=_watched(experiment),
        counts_pairs=has_row_pointers(experiment.profile, workload),
    )


def _watched(experiment):
    """Neurons whose non-zero values cost something: rows that are walked, activations that travel."""
    placement = experiment.placement
    if placement.workload.topology.spiking:
        return "all"
    if placement.workload.execution == "event_driven" or not family_of(placement.profile).is_program:
        return "all"
    return "hidden" if placement.n_cores > 1 else "none"


def set_threads(n_threads=None):
    """Let kernels use so many threads, or all of this machine; returns the number. Results do not depend on it."""
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
