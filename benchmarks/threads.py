"""neurosim's threads as its users have them, beside PyTorch in one process."""

import os
import sys
import time

import numba
import numpy as np
from numba import prange

from neurosim.kernels.compile import parallel_kernel  # sets how threads wait, before the library is loaded


def launch(n_threads):
    """Start the threads with an OpenMP library of their own; returns how many there are.

    PyTorch's wheel brings one whose names every later library finds first: neurosim's loops would run in its threads, which spin for
    some milliseconds after each loop. RTLD_DEEPBIND makes numba look into the system's first.
    """
    flags = sys.getdlopenflags()
    sys.setdlopenflags(flags | getattr(os, "RTLD_DEEPBIND", 0))
    try:
        numba.set_num_threads(min(n_threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
    finally:
        sys.setdlopenflags(flags)
    return numba.get_num_threads()


@parallel_kernel
def _loop(values):
    for i in prange(values.size):
        values[i] += np.float32(1.0)


def sleep_between_loops():
    """Whether the threads leave the cores to others after a parallel loop."""
    values = np.zeros(64, np.float32)
    _loop(values)
    time.sleep(0.1)
    begin = time.process_time()
    for _ in range(5):
        _loop(values)
        time.sleep(0.02)
    return time.process_time() - begin < 0.01
