"""Compile ahead what scenarios need, on stand-ins for their data.

Kernels lie in one folder on disk, written atomically, so what a second process compiles is found by the first. That process is a
help and no more: whatever becomes of it, the last pass, a short run of every scenario, compiles what is missing.
"""

import multiprocessing
import os
import signal
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from neurosim.datasets import DATASETS, Dataset
from neurosim.errors import InputError
from neurosim.placement import refuse_unless_fits
from neurosim.scenario.callbacks import Callback, tell_compiling
from neurosim.scenario.experiment import prepare
from neurosim.scenario.load import load_scenario
from neurosim.scenario.runner import train_scenario
from neurosim.scenario.signals import stop_on_signal

#: Bundled scenarios that together compile what all of them do.
KINDS = (
    *("digits_santos", "digits_brainscales2", "digits_conv_spinnaker2", "fsdd_lstm_santos_truncated", "mnist_rows_lstm"),
    *("fsdd_lif_spinnaker2", "mnist_latency_lif_loihi1"),
)

#: Samples of a stand-in.
_N_SAMPLES = 20


@dataclass(frozen=True)
class Warmup:
    """What `warm_up` did.

    Attributes
    ----------
    folder : str
        Of the kernels.
    n_compiled : int
        Functions that this process compiled.
    seconds : float
    """

    folder: str
    n_compiled: int
    seconds: float


class _Relay(Callback):
    """Counts compilations and hands them on; of all else that a short run does nobody is told."""

    def __init__(self, callbacks):
        self.callbacks, self.n_compiled = list(callbacks), 0

    def on_compile(self, compiling):
        self.n_compiled += compiling.has_ended
        for callback in self.callbacks:
            callback.on_compile(compiling)


def warm_up(names, *, overrides=(), plugins=(), jobs=None, callbacks=()):
    """Compile the kernels of scenarios, and keep them.

    Parameters
    ----------
    names : list of str
        Bundled scenarios or files.
    overrides, plugins
        As for `load_scenario`.
    jobs : int, optional
        1 process or 2 of them; without it as many as this process may use cores.
    callbacks : iterable of Callback
        Of these, `on_compile` is called.

    Returns
    -------
    Warmup

    Raises
    ------
    InputError
        No folder can be written, or a scenario cannot be read or prepared.
    DoesNotFitError
        A scenario that a run would refuse.
    """
    from neurosim.kernels.cache import CACHE_FOLDER

    if CACHE_FOLDER is None:
        raise InputError("warmup: no folder for kernels can be written; set NUMBA_CACHE_DIR to one of yours that can")
    began, relay = time.monotonic(), _Relay(callbacks)
    scenarios = [load_scenario(name, overrides, plugins) for name in names]
    for scenario in scenarios:
        experiment = prepare(scenario)
        if scenario.hardware.on_violation == "refuse":
            refuse_unless_fits(experiment.placement)
    # How many functions are to come is known for one network alone.
    only = scenarios[0] if len(scenarios) == 1 else None
    with stop_on_signal(), tell_compiling(only, [relay]), _tasks_shared((names, overrides, plugins), _n_processes(jobs)) as tasks:
        for part, i in tasks:
            _PARTS[part](scenarios[i])
    with stop_on_signal():
        for scenario in scenarios:
            short = scenario.model_copy(update={"training": scenario.training.model_copy(update={"epochs": 1})})
            train_scenario(short, dataset=stand_in(scenario), callbacks=[relay])
    return Warmup(CACHE_FOLDER, relay.n_compiled, time.monotonic() - began)


def stand_in(scenario):
    """Data of the shape and the type of a scenario's, all zero; a file of the user's stands for itself.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    Dataset
    """
    choice, info = scenario.dataset, DATASETS.get(scenario.dataset.name)
    shape = choice.shape()
    if info is None and shape is not None:
        return choice.load()
    if shape is None:
        raise InputError(f"{scenario.name}: no such data: {choice.name}; its values decide what is compiled")
    n_features, n_classes = shape.n_features, shape.n_classes
    is_float = choice.encode is None and (info is None or info.has_recordings or choice.standardize)
    x = np.zeros((_N_SAMPLES, n_features), np.float32 if is_float else np.uint8)
    y = np.arange(_N_SAMPLES, dtype=np.int32) % n_classes
    parts = ("train", "test", "validation") if choice.validation_fraction else ("train", "test")
    return Dataset(
        name=choice.name,
        **{f"x_{part}": x for part in parts},
        **{f"y_{part}": y for part in parts},
        scale=1.0,
        n_classes=n_classes,
        image_shape=None,
        source="zeros",
        sha256="",
        n_steps=shape.n_steps,
    )


def _trainer(scenario):
    """Trainer on a store without connections: all types are those of a run."""
    from neurosim.scenario.network import make_network, make_store
    from neurosim.scenario.trainer import training_plan
    from neurosim.training import Trainer

    experiment = prepare(scenario)
    store = make_store(experiment, is_drawn=False)
    return Trainer(store, stand_in(scenario), training_plan(experiment), make_network(experiment, store))


def _compile_start(scenario):
    from neurosim.scenario.network import make_store

    make_store(prepare(scenario))


#: Parts of what a scenario needs that two processes can compile side by side.
_PARTS = {
    "start": _compile_start,
    "evaluation": lambda scenario: _trainer(scenario).compile_evaluation(),
    "steps": lambda scenario: _trainer(scenario).compile_steps(),
}


def _list_tasks(n_scenarios):
    """(part, scenario) in an order such that two processes, from either end, rarely compile the same at the same time."""
    return [(part, i) for part in _PARTS for i in range(n_scenarios)]


def _n_processes(jobs):
    import joblib

    return max(1, min(jobs or joblib.cpu_count(), 2))


@contextmanager
def _tasks_shared(what, n_processes):
    """Tasks for this process; where there are two, the other works from the end of the list, and the last task here waits for it."""
    tasks = _list_tasks(len(what[0]))
    context = multiprocessing.get_context("spawn")
    bounds = context.Array("i", [0, len(tasks)])
    helper = None
    if n_processes > 1:
        helper = context.Process(target=_help, args=(what, bounds, os.getpid()), daemon=True)
        try:
            helper.start()
        except OSError:  # no memory, no processes left: this one does it all
            helper = None
    try:
        yield _take(tasks, bounds, 0, helper)
    finally:
        if helper is not None:
            helper.terminate()
            helper.join()


def _take(tasks, bounds, end, helper=None):
    """Tasks from the front (0) or from the back (1) of the list, until both have met; then wait for the helper."""
    while True:
        with bounds.get_lock():
            if bounds[0] >= bounds[1]:
                break
            if end:
                bounds[1] -= 1
            else:
                bounds[0] += 1
            place = bounds[1] if end else bounds[0] - 1
        yield tasks[place]
    if helper is not None:
        helper.join()


def _help(what, bounds, parent):
    """The second process. It says nothing: what it fails to compile, the first one does, or says why not."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches both; the first one ends this one
    names, overrides, plugins = what
    scenarios = [load_scenario(name, overrides, plugins) for name in names]
    for part, i in _take(_list_tasks(len(names)), bounds, 1):
        if os.getppid() != parent:
            return
        try:
            _PARTS[part](scenarios[i])
        except Exception:  # the first process compiles it again, and tells
            continue
