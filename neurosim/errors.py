"""What can go wrong for a user, each with its exit code and one line of text.

An error says where, what was found, which limit (and who says so) and what to do next.
"""

import difflib
import errno
import os
import re

#: What a user can mend by naming another file or option. Everything else that an operating system refuses is trouble of the machine.
_MENDED_BY_THE_USER = {
    errno.ENOENT, errno.EACCES, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ENAMETOOLONG, errno.ELOOP,
    errno.EROFS, errno.EINVAL, errno.ENODEV, errno.ENXIO, errno.EFBIG,
}  # fmt: skip


class NeurosimError(Exception):
    """Base of every error that is shown as one line, without a traceback."""

    exit_code = 1


class InputError(NeurosimError):
    """A scenario, profile, data file or option that cannot be used as given."""

    exit_code = 2


class InputErrors(InputError):
    """All that is wrong with a file: `lines`, one line each; its text is the first, and how many more there are."""

    def __init__(self, lines):
        more = f" (and {len(lines) - 1} more)" if len(lines) > 1 else ""
        super().__init__(lines[0] + more)
        self.lines = tuple(lines)


class UnsuitableChipError(InputError):
    """A chip that cannot run such a network at all, whatever its size."""


class LearningError(UnsuitableChipError):
    """A chip that does not learn, asked to."""


class CheckpointError(InputError):
    """A checkpoint that cannot be continued: missing, damaged, or of another run."""


class MachineError(InputError):
    """The computer or the network failed, and no other input would help: a full disk, a device, a lost connection, too little memory.

    Who cares for files catches it with `InputError`; who keeps results must ask, because it says nothing about the scenario.
    """

    exit_code = 1


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


def os_trouble(error, path=None, action=None):
    """The error to raise for an `OSError`: where it happened, what was tried, and the cause in the system's words.

    Parameters
    ----------
    error : OSError
    path : path-like, optional
        Without it, the file that the error names, if any.
    action : str, optional
        Such as ``cannot be written``.

    Returns
    -------
    InputError or MachineError
        The latter where no other input would help.
    """
    found = getattr(error, "filename", None) if path is None else path
    cause = getattr(error, "strerror", None) or " ".join(str(error).split()) or type(error).__name__
    where = [] if found is None else [found.decode(errors="replace") if isinstance(found, bytes) else str(found)]
    kind = InputError if getattr(error, "errno", None) in _MENDED_BY_THE_USER else MachineError
    return kind(printable(": ".join([*where, *([action] if action else []), cause])))


def is_debugging():
    """Whether the traceback of an error is wanted (``neurosim --debug``)."""
    return bool(os.environ.get("NEUROSIM_DEBUG"))


def printable(text):
    """`text` as one line without characters that could steer a terminal; of words longer than any path, the two ends."""
    line = "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))
    return re.sub(r"\S{4200,}", lambda word: f"{word[0][:60]}...{word[0][-20:]}", line)


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


def refuse_unknown(word, known, what):
    """Refuse a word that is not among the known ones.

    Parameters
    ----------
    word : str
    known : iterable of str
    what : str
        Key that it was given for.

    Raises
    ------
    InputError
        One line that offers the nearest.
    """
    if word not in known:
        raise InputError(f"{what}: found {word!r}; {nearest(word, known)}")


def find(name, table, what):
    """Row of a table by its name; arguments and errors as of `refuse_unknown`."""
    refuse_unknown(name, table, what)
    return table[name]
