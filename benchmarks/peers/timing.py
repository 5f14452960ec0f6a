"""Timing of contestants side by side, and the facts about the machine that a figure needs."""

import functools
import os
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from statistics import median

#: PyTorch's threads spin on for some 12 ms after a turn, and would be charged to whoever comes next. A rest would be no remedy: threads
#: that wake from it share a core until the scheduler has parted them.
LEAD = 0.02

VERSIONED = ("neurosim", "numpy", "numba", "scipy", "torch")


@dataclass(frozen=True)
class Comparison:
    """Times of contestants that took turns.

    Attributes
    ----------
    seconds : dict of list of float
        Per contestant, seconds per call in each round, in the order of the rounds.
    medians : dict of float
        Median of `seconds`.
    """

    seconds: dict
    medians: dict


def measure(function, *, warmup, repetitions):
    """Seconds of each of `repetitions` calls, after `warmup` calls that are not counted.

    Parameters
    ----------
    function : callable
        Takes no arguments.
    warmup, repetitions : int

    Returns
    -------
    list of float, length `repetitions`
    """
    for _ in range(warmup):
        function()
    return [_time_calls(function, 1) for _ in range(repetitions)]


def interleave(functions, repetitions, *, warmup=1, calls=1, lead=0.0):
    """Let contestants take turns, so that a busy moment of the machine hits all alike.

    Every second round runs in reverse order, so that nobody always follows the same
    neighbour's caches and threads.

    Parameters
    ----------
    functions : dict of callable
        Name -> function without arguments.
    repetitions : int
        Rounds; at least 1.
    warmup : int, optional
        Rounds before that are not counted.
    calls : int, optional
        Calls per turn; work of a millisecond needs 10 or more.
    lead : float, optional
        Seconds of calls before a turn that are not counted, `LEAD` for turns of some milliseconds.

    Returns
    -------
    Comparison
    """
    if repetitions < 1 or calls < 1:
        raise ValueError(f"repetitions={repetitions}, calls={calls}: both must be at least 1")
    names = list(functions)
    seconds = {name: [] for name in names}
    for round_index in range(-warmup, repetitions):
        for name in names if round_index % 2 == 0 else reversed(names):
            begin = time.perf_counter()
            while time.perf_counter() < begin + lead:
                functions[name]()
            elapsed = _time_calls(functions[name], calls)
            if round_index >= 0:
                seconds[name].append(elapsed)
    return Comparison(seconds=seconds, medians={name: median(times) for name, times in seconds.items()})


def on_torch_threads(n_threads, function):
    """Wrap `function` so that PyTorch uses `n_threads` during each call, and as before after it."""
    import torch

    @functools.wraps(function)
    def run():
        before = torch.get_num_threads()
        torch.set_num_threads(n_threads)
        try:
            return function()
        finally:
            torch.set_num_threads(before)

    return run


def machine_facts():
    """CPU, cores, load and versions, ready for JSON.

    Returns
    -------
    dict
        A package that is not installed has no key in `versions`.
    """
    versions = {"python": platform.python_version()}
    for package in VERSIONED:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            pass
    return {
        "cpu": _cpu_model(),
        "n_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        # More than the suite's own threads means that others are using the cores.
        "load_average_1min": os.getloadavg()[0],
        "versions": versions,
    }


def _time_calls(function, calls):
    start = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - start) / calls


def _cpu_model():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:
            for line in lines:
                if line.startswith("model name"):
                    return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
