"""Timing of contestants side by side, and the facts about the machine that a figure needs."""

import functools
import os
import platform
import time
from dataclasses import dataclass
from importlib import metadata
from statistics import median

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
    ratios : dict of float
        Median of each contestant over the median of the baseline: above 1 is slower.
    ratio_ranges : dict of (float, float)
        Smallest and largest quotient within one round: how far noise moves the ratio.
    """

    seconds: dict
    medians: dict
    ratios: dict
    ratio_ranges: dict


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


def interleave(functions, repetitions, *, warmup=1, calls=1, baseline=None):
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
        Calls per turn. Work of a millisecond needs 10 or more: OpenMP's threads still spin
        for some milliseconds after the previous contestant, and would be charged to this one.
    baseline : str, optional
        Contestant the ratios refer to; the first one by default.

    Returns
    -------
    Comparison
    """
    if repetitions < 1 or calls < 1:
        raise ValueError(f"repetitions={repetitions}, calls={calls}: both must be at least 1")
    names = list(functions)
    baseline = names[0] if baseline is None else baseline
    if baseline not in functions:
        raise ValueError(f"baseline {baseline!r} is no contestant; known: {', '.join(names)}")
    seconds = {name: [] for name in names}
    for round_index in range(-warmup, repetitions):
        for name in names if round_index % 2 == 0 else reversed(names):
            elapsed = _time_calls(functions[name], calls)
            if round_index >= 0:
                seconds[name].append(elapsed)
    medians = {name: median(times) for name, times in seconds.items()}
    quotients = {
        name: [own / base for own, base in zip(seconds[name], seconds[baseline])] for name in names
    }
    return Comparison(
        seconds=seconds,
        medians=medians,
        ratios={name: medians[name] / medians[baseline] for name in names},
        ratio_ranges={name: (min(values), max(values)) for name, values in quotients.items()},
    )


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
