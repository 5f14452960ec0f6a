"""The places where files of named data may stand."""

import os
from pathlib import Path

from neurosim.errors import InputError

from .refusal import one_line

DATA_VARIABLE = "NEUROSIM_DATA"


def find_folder(name, data_dir, find_files, how_to_get):
    """Folder that holds the files of a named data set.

    The first place with any of its files is taken: an incomplete folder is reported
    when it is loaded, rather than passed over for other data further down the list.

    Parameters
    ----------
    name : str
    data_dir : Path or None
    find_files : callable
        What the reader finds in a folder; empty when nothing.
    how_to_get : str
        What to do when there are none.

    Returns
    -------
    Path

    Raises
    ------
    InputError
        Names every place looked at.
    """
    looked_at = []
    for place in _places(data_dir):
        for folder in (place / name, place):
            if find_files(folder):
                return folder
            looked_at.append(str(folder))
    raise InputError(
        one_line(
            f"data set {name!r}: no files found in {', '.join(looked_at)}; get them ({how_to_get}) "
            f"or give the folder with `--data DIR` or {DATA_VARIABLE}"
        )
    )


def user_cache_dir():
    """Folder for fetched data: ``$XDG_CACHE_HOME/neurosim``, else ``~/.cache/neurosim``.

    Returns
    -------
    Path
        It need not exist.
    """
    configured = os.environ.get("XDG_CACHE_HOME", "")
    # The XDG base directory specification says to ignore relative paths.
    base = configured if os.path.isabs(configured) else os.path.expanduser("~/.cache")
    return Path(base) / "neurosim"


def _places(data_dir):
    if data_dir is not None:
        yield data_dir
    configured = os.environ.get(DATA_VARIABLE)
    if configured:
        yield Path(os.path.expanduser(configured))
    yield user_cache_dir()
