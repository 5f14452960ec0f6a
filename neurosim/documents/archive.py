"""Archives of arrays with a text, and a checksum over both: NumPy files without pickle."""

import hashlib
import io
import json
import zipfile
import zlib

import numpy as np

from neurosim.documents.files import write_atomic

_META = "meta"
# RuntimeError, NotImplementedError: a flipped bit can ask for an encrypted or unknown kind of archive.
_DAMAGED = (
    OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


class DamagedArchiveError(Exception):
    """What is wrong with a file that is no whole archive."""


def write_archive(path, arrays, text):
    """Write an archive atomically.

    Parameters
    ----------
    path : path-like
    arrays : dict of str to ndarray
    text : str
        JSON.
    """
    meta = json.dumps({"text": text, "sha256": _digest(arrays, text)})
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{_META: np.frombuffer(meta.encode(), np.uint8)})
    write_atomic(path, buffer.getvalue())


def read_archive(path):
    """Read an archive back.

    Returns
    -------
    arrays : dict of str to ndarray
    content : object
        What the text says.

    Raises
    ------
    FileNotFoundError
    DamagedArchiveError
        With what is wrong, in words.
    """
    try:
        # Opened here: np.load leaves the file open when it refuses it.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(arrays.pop(_META).tobytes())
        text = meta["text"]
        content = json.loads(text)
    except FileNotFoundError:
        raise
    except _DAMAGED as error:
        raise DamagedArchiveError(f"not a readable checkpoint ({type(error).__name__})") from None
    if _digest(arrays, text) != meta.get("sha256"):
        raise DamagedArchiveError("checksum does not match, the file is damaged")
    return arrays, content


def _digest(arrays, text):
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
