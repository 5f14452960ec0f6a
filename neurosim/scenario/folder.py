"""Folders of runs: chosen, claimed by one process at a time for as long as a run lives, freed of what a killed run left.

A claim is a lock on a file in the folder. The system lets go of it when the process ends, however that is, so no claim is ever stale;
on file systems without such locks `filelock` writes down who holds it, and a later process of the same computer sees whether that one
still lives. The file is removed, still locked, when the claim is given back.
"""

import errno
import itertools
import os
import re
import time
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, SoftFileLock, Timeout

from neurosim.documents import read_yaml, remove_leftovers
from neurosim.errors import InputError

CHECKPOINT = "checkpoint.npz"
RESULT = "result.json"
FIGURES = "figures"
CLAIM = "claim"
#: What a file system answers that has no locks, or whose server of locks is not there; ENOSYS is known to `filelock`.
_HAS_NO_LOCKS = (errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOLCK, errno.EINVAL)


@dataclass
class RunFolder:
    """Where a run leaves its files; `is_held` says that this process has the claim."""

    path: Path
    is_held: bool = False

    @property
    def checkpoint(self):
        return self.path / CHECKPOINT

    @property
    def is_used(self):
        return self.checkpoint.exists() or self.has_result

    @property
    def has_result(self):
        return (self.path / RESULT).exists()

    def holds(self, name):
        """Whether the run in this folder is of the scenario called `name`."""
        try:
            return read_yaml(self.path / "scenario.yaml").data.get("name") == name
        except InputError:
            return False

    def log(self, line):
        """Append one line to log.txt."""
        with open(self.path / "log.txt", "a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")

    def remove_leftovers(self):
        """Remove the temporary files of an earlier run in this folder, which was killed while it wrote."""
        for folder in (self.path, self.path / FIGURES):
            remove_leftovers(folder, is_claimed=True)


def check_folder(name, out=None, resume=False):
    """Refuse a folder that a run cannot use, before the work begins; nothing is made or claimed.

    Parameters
    ----------
    name : str
        Of the scenario.
    out : path-like or RunFolder, optional
    resume : bool

    Raises
    ------
    InputError
        `out` already holds a run and `resume` is false, or there is nothing to resume.
    """
    if out is not None:
        _check_out(_folder_of(out), resume)
    elif resume:
        _latest(name)


@contextmanager
def claim_folder(name, out=None, resume=False):
    """Folder of a run, made and claimed until the end of the block.

    Parameters
    ----------
    name : str
        Of the scenario.
    out : path-like or RunFolder, optional
        Without it ``runs/NAME``, or the next free ``runs/NAME-2``, ...; with `resume` the latest of them. The claim of a `RunFolder`
        that is held already is the caller's.
    resume : bool

    Yields
    ------
    RunFolder

    Raises
    ------
    InputError
        The folder cannot be made, holds a run already, holds none to resume, or a run is at work in it.
    """
    if out is None and not resume:
        with _claim_next(name) as folder:
            yield folder
        return
    folder = _latest(name) if out is None else _folder_of(out)
    _check_out(folder, resume)
    if folder.is_held:
        yield folder
        return
    is_new = _make(folder.path)
    try:
        with hold_folder(folder.path) as held:
            _check_out(held, resume)  # another run may have come and gone since
            yield held
    finally:
        if is_new:
            _remove_if_empty(folder.path)


@contextmanager
def hold_folder(path):
    """A folder that exists, claimed until the end of the block: a `RunFolder`.

    Raises
    ------
    InputError
        Another process has it, or nothing can be written there.
    """
    with claim(path) as is_mine:
        if not is_mine:
            raise InputError(f"{path}: a run is at work in it; wait for it to end, or give another --out")
        yield RunFolder(Path(path), is_held=True)


@contextmanager
def claim(folder):
    """Whether this process may work in a folder, which exists; yields true to one at a time.

    Raises
    ------
    InputError
        Nothing can be written there.
    """
    path = Path(folder) / CLAIM
    lock = _lock(path)
    if lock is None:
        yield False
        return
    try:
        yield True
    finally:
        _give_back(path, lock)


@contextmanager
def in_turn(path, seconds):
    """Wait for the processes that came before, at most some seconds; yields the function that lets the next one go first."""
    lock = None
    with suppress(InputError):  # a courtesy, not a must
        lock = _lock(Path(path), seconds)

    def release():
        if lock is not None and lock.is_locked:
            _give_back(path, lock)

    try:
        yield release
    finally:
        release()


def _give_back(path, lock):
    # Before the lock goes: whoever waits for this file sees that it has no name any more, and makes another one.
    Path(path).unlink(missing_ok=True)
    lock.release()


def _lock(path, seconds=0.0):
    """Lock on a file, or None when another process still has it after some seconds."""
    for kind, name in ((FileLock, path), (SoftFileLock, f"{path}.soft")):
        lock = kind(name, timeout=seconds)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that the file system has no locks
                lock.acquire()
        except Timeout:
            return None
        except OSError as error:
            if error.errno in _HAS_NO_LOCKS and kind is FileLock:
                continue
            raise InputError(f"{path}: cannot be written: {error.strerror}") from None
        return lock


def _folder_of(out):
    if isinstance(out, RunFolder):
        return out
    if str(out) in ("", "."):
        raise InputError(f"--out: found {str(out)!r}; give a folder of its own, such as --out runs/first")
    return RunFolder(Path(out))


def _check_out(folder, resume):
    if folder.path.exists() and not folder.path.is_dir():
        raise InputError(f"{folder.path}: is a file; --out takes a folder")
    if folder.is_used and not resume:
        raise InputError(f"{folder.path}: already holds a run; add --resume to continue it, or give another --out")
    if resume and not folder.checkpoint.exists():
        raise InputError(f"{folder.checkpoint}: no checkpoint to resume from; run without --resume")


def _used(name):
    """Folders in ``runs`` that hold a run, by their number: those called `name`, `name`-2, ..."""
    pattern = re.compile(re.escape(name) + r"(?:-(\d+))?$")
    found = {int(match[1] or 1): RunFolder(path) for path in Path("runs").glob("*") if (match := pattern.match(path.name))}
    return {n: folder for n, folder in found.items() if folder.is_used}


def _latest(name):
    used = {n: folder for n, folder in _used(name).items() if folder.holds(name)}
    if not used:
        raise InputError(f"runs/{name}: no run to resume here; run without --resume, or name its folder with --out")
    return used[max(used)]


@contextmanager
def _claim_next(name):
    """The first folder behind those in use in which no run has begun."""
    for n in itertools.count(max(_used(name), default=0) + 1):
        folder = RunFolder(Path("runs") / (name if n == 1 else f"{name}-{n}"), is_held=True)
        is_new = _make(folder.path)
        try:
            with claim(folder.path) as is_mine:
                if is_mine and not folder.is_used:
                    yield folder
                    return
        finally:
            if is_new:
                _remove_if_empty(folder.path)


def _make(path):
    """Make a folder; returns whether it was not there before."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except FileExistsError:
        if path.is_dir():
            return False
        raise InputError(f"{path}: cannot be created: a file is in the way") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be created: {error.strerror}") from None
    return True


def _remove_if_empty(path):
    try:
        os.rmdir(path)
    except OSError:
        pass  # it holds something
