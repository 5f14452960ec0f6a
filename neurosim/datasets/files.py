"""Opening data files: regular files only, and no more bytes than they can be trusted with."""

import os
import stat
from pathlib import Path

from .refusal import describe, refuse

# DEFLATE codes at most 258 bytes in 2 bits, so no packed file unpacks to more than this many times its size.
MAX_DEFLATE_RATIO = 1032
# What a packed file may unpack to without being asked how it came to that.
FREE_BYTES = 1 << 28
# Beyond it a file may unpack to this many times its own size: real samples pack 2 to 50 times.
TRUSTED_RATIO = 100
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path, expected):
    """Open a file for reading bytes, unless it is a pipe, a device or a folder, which might be read for ever.

    Parameters
    ----------
    path : str or Path
    expected : str
        What should stand there, for the refusal.

    Returns
    -------
    file object
        Buffered, at its beginning.

    Raises
    ------
    InputError
        No such file, not readable, or no regular file.
    """
    try:
        # O_NONBLOCK: opening a pipe without a writer would wait before anybody could ask what it is.
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError:
        raise refuse(path, "no such file", expected, "check the path") from None
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        found = kind_of(path) or f"an unreadable file ({getattr(error, 'strerror', None) or describe(error)})"
        raise refuse(path, found, expected, "check the path") from None
    kind = _KINDS.get(stat.S_IFMT(os.fstat(descriptor).st_mode))
    if kind is not None:
        os.close(descriptor)
        raise refuse(path, kind, expected, f"a {'directory' if kind == 'a folder' else 'stream'} cannot be read as a file: check the path")
    return os.fdopen(descriptor, "rb")


def kind_of(path):
    """What stands at `path` if it is no regular file, such as "a named pipe"; None for a file and for nothing."""
    try:
        return _KINDS.get(stat.S_IFMT(os.stat(path).st_mode))
    except (OSError, ValueError):
        return None


def size_of(file):
    """Bytes of an open file, as the file system has them."""
    return os.fstat(file.fileno()).st_size


def check_unpacked(place, n_bytes, n_packed):
    """Refuse a packed file that would fill the memory, before anything of it is unpacked.

    Parameters
    ----------
    place : str or Path
    n_bytes : int
        What it says to unpack to.
    n_packed : int
        Bytes of the file.

    Raises
    ------
    InputError
    """
    limit = max(FREE_BYTES, TRUSTED_RATIO * n_packed)
    if n_bytes > limit:
        raise refuse(
            place,
            f"{n_bytes} bytes of content in a file of {n_packed}",
            f"at most {limit} ({FREE_BYTES >> 20} MiB, or {TRUSTED_RATIO} times the file)",
            "store it without compression if its content is really so uniform",
        )


def list_folder(folder):
    """Files of a folder by name, without hidden ones (``._*`` is what macOS leaves beside every file): sorted list of Path.

    Empty when there is no such folder.
    """
    try:
        return sorted(Path(folder) / name for name in os.listdir(folder) if not name.startswith("."))
    except (OSError, ValueError):
        return []
