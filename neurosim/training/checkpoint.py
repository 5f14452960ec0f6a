"""Checkpoints: NumPy archives without pickle, with a checksum and the digest of their scenario."""

import hashlib
import io
import json
import zipfile
import zlib

import numpy as np

from neurosim.documents import write_atomic
from neurosim.errors import CheckpointError

_META = "meta"
_VERSION = 3
# RuntimeError, NotImplementedError: a flipped bit can ask for an encrypted or unknown kind of archive.
_DAMAGED = (
    OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error,
)  # fmt: skip


def _digest(arrays, text):
    digest = hashlib.sha256(text.encode())
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def save_checkpoint(path, arrays, values, identity):
    """Write a checkpoint atomically.

    Parameters
    ----------
    path : path-like
    arrays : dict of str to ndarray
    values : dict
        JSON-able numbers and lists.
    identity : str
        Digest of everything that decides the course of the run; `load_checkpoint` compares it.
    """
    text = json.dumps({"version": _VERSION, "identity": identity, "values": values})
    meta = json.dumps({"text": text, "sha256": _digest(arrays, text)})
    buffer = io.BytesIO()
    np.savez(buffer, **arrays, **{_META: np.frombuffer(meta.encode(), np.uint8)})
    write_atomic(path, buffer.getvalue())


def load_checkpoint(path, identity):
    """Read a checkpoint back.

    Returns
    -------
    arrays : dict of str to ndarray
    values : dict

    Raises
    ------
    CheckpointError
        The file is missing, damaged, or belongs to another scenario, seed, profile or data set.
    """
    try:
        # Opened here: np.load leaves the file open when it refuses it.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        meta = json.loads(arrays.pop(_META).tobytes())
        text = meta["text"]
        content = json.loads(text)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no checkpoint to resume from; run without --resume") from None
    except _DAMAGED as error:
        raise CheckpointError(f"{path}: not a readable checkpoint ({type(error).__name__}); delete it and run again") from None
    if _digest(arrays, text) != meta.get("sha256"):
        raise CheckpointError(f"{path}: checksum does not match, the file is damaged; delete it and run again")
    if content["version"] != _VERSION:
        raise CheckpointError(f"{path}: checkpoint version {content['version']}, this neurosim reads {_VERSION}; run again")
    if content["identity"] != identity:
        raise CheckpointError(
            f"{path}: belongs to a different scenario, profile or data set; use --out for another folder or run without --resume"
        )
    return arrays, content["values"]
