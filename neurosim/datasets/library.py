"""Finding data: which reader a name or path asks for, and the places where files may stand."""

import os
from pathlib import Path

from neurosim.errors import InputError, nearest

from .catalog import DATASETS
from .dataset import DataShape, check_limit
from .digits import load_digits_dataset
from .mnist import find_idx_files, load_idx_folder
from .npz import load_npz
from .refusal import one_line, refuse
from .speech import SpeechFeatures, count_words, find_recordings, load_speech_folder

DATA_VARIABLE = "NEUROSIM_DATA"


def load_dataset(name, *, data_dir=None, limit=None, speech=None):
    """Load a data set by name or path.

    Parameters
    ----------
    name : str or Path
        `mnist`, `mnist_rows`, `digits` or `fsdd`; a path ending in `.npz`; or a folder with IDX files in
        the MNIST layout or with WAV files (write `./mnist` for a folder that has the name of a data set).
    data_dir : str or Path, optional
        Where files of named data are looked for first, before `$NEUROSIM_DATA` and the
        user cache; in each, `<place>/<name>/` comes before `<place>/`.
    limit : int, optional
        Keep only the first `limit` training and the first `limit` test samples.
    speech : SpeechFeatures, optional
        How recordings become sequences; for `fsdd` and folders of WAV files only.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        An unknown name, files that are not found or are malformed, a `data_dir` that does
        not exist, a `limit` below 1, options of speech for a path of other data. Always one line.
    """
    limit = check_limit(limit)
    if not isinstance(name, (str, os.PathLike)):
        raise InputError(f"data set {name!r}: not a name or path; known: {', '.join(sorted(DATASETS))}")
    name = os.fspath(name)
    if data_dir is not None:
        data_dir = Path(os.path.expanduser(data_dir))
        if not os.path.isdir(data_dir):
            raise InputError(
                one_line(f"{data_dir}: found no such folder; expected a data folder; check `--data DIR`")
            )
    if name == "digits":
        return load_digits_dataset(limit)
    if name in ("mnist", "mnist_rows"):
        folder = find_folder("mnist", data_dir, find_idx_files)
        return load_idx_folder(folder, name=name, info=DATASETS[name], limit=limit)
    if name == "fsdd":
        folder = find_folder(name, data_dir, find_recordings)
        return load_speech_folder(folder, name=name, features=speech, n_classes=DATASETS[name].n_classes, limit=limit)
    path = os.path.expanduser(name)
    if find_recordings(path):
        return load_speech_folder(path, name=name, features=speech, limit=limit)
    if speech is not None:
        raise refuse(name, "no recordings", "WAV files, which options of speech need", "leave these options out, or give another folder")
    if path.endswith(".npz"):
        return load_npz(path, name=name, limit=limit)
    if os.path.isdir(path):
        return load_idx_folder(path, name=name, limit=limit)
    raise InputError(
        one_line(
            f"data set {name!r}: neither a known name nor an existing folder nor an .npz path; "
            f"{nearest(name.lower(), DATASETS)}"
        )
    )


def dataset_shape(name, speech=None):
    """Sizes of a data set without loading it: no file is opened.

    Parameters
    ----------
    name : str
        What a scenario gives as data set.
    speech : SpeechFeatures, optional
        As for `load_dataset`.

    Returns
    -------
    DataShape or None
        What `load_dataset` would give; None where only the contents of files can tell.

    Raises
    ------
    InputError
        A folder of recordings whose names do not make a data set.
    """
    info, speech = DATASETS.get(str(name)), speech or SpeechFeatures()
    if info and info.has_recordings:
        return DataShape(speech.bands, speech.max_steps, info.n_classes)
    if info:
        return DataShape(info.n_features // info.n_steps, info.n_steps, info.n_classes)
    folder = os.path.expanduser(str(name))
    return DataShape(speech.bands, speech.max_steps, count_words(folder)) if find_recordings(folder) else None


def find_folder(name, data_dir, find_files):
    """Folder that holds the files of a named data set.

    The first place with any of its files is taken: an incomplete folder is reported
    when it is loaded, rather than passed over for other data further down the list.

    Parameters
    ----------
    name : str
    data_dir : Path or None
    find_files : callable
        What the reader finds in a folder; empty when nothing.

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
            f"data set {name!r}: no files found in {', '.join(looked_at)}; get them ({DATASETS[name].how_to_get}) "
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
