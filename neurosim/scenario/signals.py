"""What Ctrl-C and a polite end of the process do to a run."""

import signal
from contextlib import contextmanager


class Stop:
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
def stop_on_signal():
    """Let SIGTERM be the same as Ctrl-C until the end of the block; yields a `Stop`."""
    stop = Stop()
    try:
        previous = {number: signal.signal(number, stop.note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not in the main thread: the caller handles signals
        previous = {}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
