"""Files: atomic writing, and the YAML files that come with the package."""

import os
from pathlib import Path

from neurosim.documents.wording import input_error, short
from neurosim.errors import NeurosimError, nearest


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
        When the file cannot be written there; no temporary file is left.
    """
    path = Path(path)
    content = content.encode("utf-8") if isinstance(content, str) else content
    temporary = path.parent / f".{path.name}.{os.getpid()}.{os.urandom(4).hex()}.tmp"
    try:
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
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        raise input_error(str(path), f"cannot be written: {getattr(error, 'strerror', None) or error}") from None


def bundled_folder(kind):
    """Folder of the YAML files that come with the package.

    Parameters
    ----------
    kind : {"hardware_profiles", "scenarios"}

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
    raise input_error(short(text), f"no such {what}; {nearest(text, names)}; or give the path of a YAML file")
