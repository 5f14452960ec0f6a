"""Files: atomic writing, and the YAML files that come with the package."""

import errno
import os
import re
import stat
from pathlib import Path

from neurosim.documents.wording import input_error, short
from neurosim.errors import NeurosimError, nearest, os_trouble


#: How `write_atomic` calls a file before it has its name: of whom, and by which process.
_TEMPORARY = re.compile(r"\..+\.(\d+)\.[0-9a-f]{8}\.tmp")


def write_atomic(path, content):
    """Write a file so that a reader, or a power cut, sees the old or the new one and never half of it.

    Parameters
    ----------
    path : str or Path
        Its folder must exist.
    content : str or bytes
        Text is written as UTF-8 without changing line ends.

    Raises
    ------
    InputError
        When the file cannot be written there, or is a pipe or a device; no temporary file is left.
    MachineError
        When the disk is full or fails.
    """
    path = Path(path)
    content = content.encode("utf-8") if isinstance(content, str) else content
    try:
        if path.exists():  # a pipe or a device is no place for a file: replacing it would remove it
            check_regular(path)
        try:
            _write(path, content)
        except FileNotFoundError:  # another process took the temporary file for one that a killed process left, or there is no folder
            _write(path, content)
    except OSError as error:
        raise os_trouble(error, path, "cannot be written") from None
    except ValueError as error:  # a null character in the path, or text that no file can hold
        raise input_error(str(path), f"cannot be written: {error}") from None


def read_bytes(path, most):
    """Content of a regular file of bounded size.

    Parameters
    ----------
    path : path-like
    most : int
        Bytes.

    Raises
    ------
    OSError
        Also, without a byte read: a pipe or a device, which could block or never end (EINVAL), and a larger file (EFBIG).
    """
    if check_regular(path) <= most:
        content = Path(path).read_bytes()
        if len(content) <= most:  # a file of the system's own may say 0 and hold more
            return content
    raise OSError(errno.EFBIG, f"more than {most} bytes", str(path))


def check_regular(path):
    """Size of a file in bytes; what is none is refused before it is opened.

    Raises
    ------
    OSError
    """
    status = os.stat(path)
    _refuse_unless_regular(status, path)
    return status.st_size


def _refuse_unless_regular(status, path):
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "a pipe or a device, not a file", str(path))


def _write(path, content):
    temporary = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    # os.open and not mkstemp: the file keeps the permissions that the user's umask gives.
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def remove_leftovers(folder, *, is_claimed):
    """Remove the temporary files that killed processes left in a folder, and no file that `write_atomic` did not make.

    Parameters
    ----------
    folder : path-like
        Need not exist.
    is_claimed : bool
        Whether no other process writes there. Without, the files of processes that live on this computer stay.
    """
    for path in Path(folder).glob(".*.tmp"):
        found = _TEMPORARY.fullmatch(path.name)
        if found and (is_claimed or not _lives(int(found[1]))):
            path.unlink(missing_ok=True)


def _lives(process):
    """Whether a process of this computer has the number, and is not this one, which writes nothing at the moment."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def bundled_folder(kind):
    """Folder of files that come with the package: YAML, or the loops in C.

    Parameters
    ----------
    kind : {"hardware_profiles", "program", "scenarios"}

    Raises
    ------
    NeurosimError
        When the installation lacks them.
    """
    package = Path(__file__).resolve().parent.parent
    folders = [package / "bundled" / kind, package.parent / kind]  # installed; checkout
    for folder in folders:
        if folder.is_dir():
            return folder
    raise NeurosimError(f"the bundled {kind} are missing: no folder {folders[0]} or {folders[1]}; reinstall neurosim")


def bundled_names(kind):
    """Sorted names (file stems) of the bundled YAML files."""
    return sorted(path.stem for path in bundled_folder(kind).glob("*.yaml"))


def find_document(name_or_path, kind, *, what):
    """Path of a bundled document by its name, else of a file by its path.

    Raises
    ------
    InputError
        When it is neither; an unknown name gets the nearest bundled one.
    """
    text = str(name_or_path)
    names = bundled_names(kind)
    if text in names:
        return bundled_folder(kind) / f"{text}.yaml"
    path = Path(text)
    if path.suffix in (".yaml", ".yml") or len(path.parts) > 1 or os.path.isfile(path):
        return path
    beside = next((name for name in (f"{text}.yaml", f"{text}.yml") if os.path.isfile(name)), None)
    if beside is not None:
        raise input_error(short(text), f"no such {what}; the file here is {short(beside)}: give its name with the ending")
    raise input_error(short(text), f"no such {what}; {nearest(text, names)}; or give the path of a YAML file")
