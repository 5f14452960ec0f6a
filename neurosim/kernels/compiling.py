"""What happens while Numba compiles: people are told how far it is, and the collector of Python's garbage rests.

Nothing here happens when kernels come from the cache.
"""

import gc
import time
from contextlib import contextmanager
from typing import NamedTuple

from numba.core import event

#: Objects more than collected until Python looks for garbage among them; while it compiles, Numba makes millions that stay.
_PATIENT = (200_000, 50, 50)

#: Kernels that a run calls, in this order: name, functions that Numba compiles for it (its parts and Numba's own), seconds on one core
#: at 3 GHz. Measured from an empty cache; estimates for people, nothing rests on them. A name stands for the builds whose names go on.
_START = (
    ("fill_scope", 44, 6.7),
    ("choose_positions", 1, 0.1),
    ("occupy_positions", 3, 1.5),
    ("set_strengths", 5, 0.8),
    ("load_strengths", 4, 0.4),
)
_KERNELS = {
    "feedforward": (*_START, ("evaluate", 40, 7.0), ("settle_tally", 1, 1.0), ("train_steps", 123, 20.3), ("fill_bits", 1, 0.1)),
    "maps": (
        *_START,
        ("prepare_order", 3, 0.6),
        ("evaluate_maps", 60, 13.0),
        ("book_forward", 3, 0.5),
        ("train_maps", 160, 38.0),
        ("fill_bits", 1, 0.1),
    ),
    "recurrent": (*_START, ("evaluate_sequences", 44, 11.0), ("book_forward", 6, 1.2), ("train_sequences", 133, 43.0), ("fill_bits", 1, 0.1)),
    # Processor time on a busy machine, divided by what the kernels that others have too took longer there (1.2 times).
    "spiking": (
        ("choose_positions", 3, 0.1),
        ("occupy_positions", 23, 2.8),
        ("fill_scope", 23, 6.3),
        ("set_strengths", 5, 0.8),
        ("load_strengths", 4, 0.4),
        ("prepare_rows", 4, 1.1),
        ("evaluate_spikes", 42, 16.0),
        ("book_forward_slots", 6, 1.3),
        ("settle_tally", 1, 1.0),
        ("train_spikes", 147, 66.0),
        ("fill_bits", 1, 0.1),
    ),
}

#: Seconds of compiling that count as seen before the first, so that one quick function does not make the guess.
_PRIOR_S = 3.0

#: Part of a kernel's time that goes by before its last function, which is LLVM's work on all of it.
_BEFORE_LAST = 0.5


class Compiling(NamedTuple):
    """How far the compilation of kernels is, which happens once per version and computer.

    Attributes
    ----------
    n_done : int
        Functions compiled.
    n_expected : int or None
        About how many there will be; None where that is not known.
    seconds_left : float or None
        About how long it still takes; None where that is not known.
    has_ended : bool
        Whether a function is done now; otherwise one is begun.
    """

    n_done: int
    n_expected: int | None
    seconds_left: float | None
    has_ended: bool = False


class _Pause(event.Listener):
    """Makes the collector patient from the first compilation to the end of the last that it asked for."""

    def __init__(self):
        self._depth, self._thresholds = 0, None

    def on_start(self, event):
        if self._depth == 0:
            self._thresholds = gc.get_threshold()
            gc.set_threshold(*_PATIENT)
        self._depth += 1

    def on_end(self, event):
        self._depth -= 1
        if self._depth == 0:
            gc.set_threshold(*self._thresholds)


class _Meter(event.Listener):
    """Counts compilations, and guesses from the kernel that asks for them how many are to come."""

    def __init__(self, tell, kernels):
        self._tell, self._kernels = tell, kernels
        self._depth = self._n_done = self._n_before = 0
        self._seconds, self._began = 0.0, 0.0
        self._seconds_as_measured = 0.0
        self._place = None

    def on_start(self, event):
        self._depth += 1
        if self._depth == 1:
            name = event.data["dispatcher"].py_func.__name__
            places = [i for i, kernel in enumerate(self._kernels) if name.startswith(kernel[0])]
            self._place = places[-1] if places else None
            self._began, self._n_before = time.monotonic(), self._n_done
            self._tell(self._state())

    def on_end(self, event):
        self._depth -= 1
        self._n_done += 1
        if self._depth == 0:
            self._seconds += time.monotonic() - self._began
            if self._place is not None:
                self._seconds_as_measured += self._kernels[self._place][2]
        self._tell(self._state()._replace(has_ended=True))

    def _state(self):
        if self._place is None:
            return Compiling(self._n_done, None, None)
        _, n, seconds = self._kernels[self._place]
        after = self._kernels[self._place + 1 :]
        n_here = self._n_done - self._n_before
        is_over = self._depth == 0
        if n_here > n and not is_over:  # the measured number is not that of this version or network
            return Compiling(self._n_done, None, None)
        n_expected = self._n_done + (0 if is_over else n - n_here) + sum(kernel[1] for kernel in after)
        done_here = 0.0 if is_over else seconds * _BEFORE_LAST * n_here / n
        left = (0.0 if is_over else seconds - done_here) + sum(kernel[2] for kernel in after)
        spent = self._seconds + (0.0 if is_over else time.monotonic() - self._began)
        slowness = (_PRIOR_S + spent) / (_PRIOR_S + self._seconds_as_measured + done_here)
        return Compiling(self._n_done, n_expected, left * slowness)


@contextmanager
def told(tell, kind):
    """Call ``tell(compiling)`` with a `Compiling` at every beginning and end of a compilation inside of the block; never where there is none.

    `kind` : 'feedforward', 'maps', 'recurrent' or 'spiking', the network whose kernels are to come, or None.
    """
    with event.install_listener("numba:compile", _Meter(tell, _KERNELS.get(kind, ()))):
        yield


event.register("numba:compile", _Pause())
