"""What can go wrong for a user, each with its exit code and one line of text.

An error says where, what was found, which limit (and who says so) and what to do next.
"""

import difflib


class NeurosimError(Exception):
    """Base of every error that is shown as one line, without a traceback."""

    exit_code = 1


class InputError(NeurosimError):
    """A scenario, profile, data file or option that cannot be used as given."""

    exit_code = 2


class UnsuitableChipError(InputError):
    """A chip that cannot run such a network at all, whatever its size."""


class CheckpointError(InputError):
    """A checkpoint that cannot be continued: missing, damaged, or of another run."""


class DoesNotFitError(NeurosimError):
    """The network does not fit the chip; the verdict lists every violated limit."""

    exit_code = 3

    def __init__(self, message, verdict=None):
        super().__init__(message)
        self.verdict = verdict


class TrainingDivergedError(NeurosimError):
    """A loss or weight became infinite or not a number."""


class DrawingError(NeurosimError):
    """Figures or a page could not be drawn; the result that they show is written."""


class LedgerError(NeurosimError):
    """The parts of an account do not add up to its total: a defect of neurosim."""


class InterruptedRunError(NeurosimError):
    """The run was stopped by the user; a checkpoint was written."""

    exit_code = 130


def nearest(word, known):
    """Hint that names the known word closest to `word`, or all of them.

    Parameters
    ----------
    word : str
        What the user wrote.
    known : iterable of str
        What would have been understood.

    Returns
    -------
    str
        ``"nearest: X"`` when a known word is similar, else ``"known: A, B, C"``.
    """
    known = sorted(map(str, known))
    match = difflib.get_close_matches(str(word), known, n=1, cutoff=0.6)
    return f"nearest: {match[0]}" if match else "known: " + ", ".join(known)
