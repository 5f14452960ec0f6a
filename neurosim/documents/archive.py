"""Archives of arrays with a text, and a checksum over both: NumPy files without pickle."""

import hashlib
import io
import json
import math
import zipfile
import zlib

import numpy as np

from neurosim.documents.files import check_regular, write_atomic

_META = "meta"
# RuntimeError, NotImplementedError: a flipped bit can ask for an encrypted or unknown kind of archive. MemoryError: brackets without end.
_DAMAGED = (
    OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, NotImplementedError, MemoryError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip
_HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


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
        arrays = _read_arrays(path)
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


def _read_arrays(path):
    """Arrays of an archive as `write_archive` writes it: not compressed, so that it holds no more than its file is long.

    Nothing is allocated before the sizes in the directory of the archive and in the header of an array agree with each other.
    """
    arrays, n_bytes = {}, check_regular(path)
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if sum(member.file_size for member in members) > n_bytes:
            raise ValueError("more content than file")
        for member in members:
            if member.compress_type != zipfile.ZIP_STORED or member.file_size != member.compress_size:
                raise ValueError("compressed")
            with archive.open(member) as stream:
                arrays[member.filename.removesuffix(".npy")] = _read_array(stream, member.file_size)
    return arrays


def _read_array(stream, n_bytes):
    shape, is_fortran, dtype = _HEADERS[np.lib.format.read_magic(stream)](stream)
    left = n_bytes - stream.tell()
    if dtype.hasobject or math.prod(shape) * dtype.itemsize != left:
        raise ValueError("an array of another size than its header says")
    content = stream.read(left)  # to the end, so that the archive's own checksum is compared
    return np.frombuffer(bytearray(content), dtype).reshape(shape, order="F" if is_fortran else "C")


def _digest(arrays, text):
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()
