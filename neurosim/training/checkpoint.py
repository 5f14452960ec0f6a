"""Checkpoints: archives of arrays with the digest of their scenario."""

import json

from neurosim.documents.archive import DamagedArchiveError, read_archive, write_archive
from neurosim.errors import CheckpointError

_VERSION = 3


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
    write_archive(path, arrays, json.dumps({"version": _VERSION, "identity": identity, "values": values}))


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
        arrays, content = read_archive(path)
    except FileNotFoundError:
        raise CheckpointError(f"{path}: no checkpoint to resume from; run without --resume") from None
    except DamagedArchiveError as error:
        raise CheckpointError(f"{path}: {error}; delete it and run again") from None
    if content["version"] != _VERSION:
        raise CheckpointError(f"{path}: checkpoint version {content['version']}, this neurosim reads {_VERSION}; run again")
    if content["identity"] != identity:
        raise CheckpointError(f"{path}: belongs to a different scenario, profile or data set; use --out for another folder or run without --resume")
    return arrays, content["values"]
