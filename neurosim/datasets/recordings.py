"""Spoken words from a folder of WAV files named ``{label}_{speaker}_{index}.wav``, as log-mel sequences.

The layout and the split (indices 0 to 4 of each speaker and label are the test set) are those of the Free
Spoken Digit Dataset (Z. Jackson and others, CC BY-SA 4.0, doi 10.5281/zenodo.1342401).
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np

from .dataset import DataShape, Samples, assemble
from .files import list_folder
from .info import FileFormat, Reading
from .preparation import Preparation
from .refusal import refuse
from .speech import SpeechFeatures, log_mel, mel_filters
from .wav import read_samples

N_TEST_INDICES = 5
_OTHER_FORMATS = (".flac", ".mp3", ".ogg", ".oga", ".opus", ".m4a", ".aac", ".aif", ".aiff", ".au", ".wave", ".wma")
_NAME = re.compile(r"(?P<label>[^_]+)_(?P<speaker>.+)_(?P<index>\d{1,18})\.wav", re.IGNORECASE | re.ASCII)
_NAME_FORM = "{label}_{speaker}_{index}.wav with a whole number as index and as each label, or words as labels, such as 7_jackson_12.wav"


def find_recordings(folder):
    """WAV files of a folder, or of its subfolder ``recordings``: sorted list of Path, empty when there are none.

    Upper case counts, as recorders write it; hidden files do not, as macOS leaves them beside every file.
    """
    for place in (Path(folder), Path(folder) / "recordings"):
        found = [path for path in list_folder(place) if path.suffix.lower() == ".wav"]
        if found:
            return found
    return []


def recordings_shape(folder, reading, preparation):
    """`DataShape` from the names of the files: none is opened, and what names alone can make wrong is refused."""
    speech, parts = reading.speech or SpeechFeatures(), _find_parts(folder)
    arrays = {f"y_{part}": np.array([label for label, _ in samples]) for part, samples in parts.items()}
    arrays |= {f"x_{part}": np.ones((len(samples), 1), np.float32) for part, samples in parts.items()}
    samples = Samples(arrays, dict.fromkeys(arrays, str(folder)), str(folder), notes=_note_others(folder))
    data = assemble(str(folder), samples, replace(preparation, standardize=False, augment=None))
    return DataShape(speech.bands, speech.max_steps, data.n_classes, data.notes)


def read_recordings(folder, features=None, n_classes=None):
    """Read a data set of spoken words.

    Each band is shifted and scaled to mean 0 and standard deviation 1 over all frames of the *training*
    set. Sequences are padded with zeros in front, so that all end together.

    Parameters
    ----------
    folder : str or Path
        With the WAV files, or with a subfolder ``recordings`` of them: 16-bit mono.
    features : SpeechFeatures, optional
    n_classes : int, optional
        Classes promised beforehand; without it, those of the training files.

    Returns
    -------
    Samples
        x float32, shape (n_samples, max_steps, bands), and the lengths; ordered by index, then label. So the shape of a network is
        known before any file is opened.

    Raises
    ------
    InputError
        No WAV files; a name without label and index; stereo, other than 16 bit, another sample rate, empty
        or damaged; longer than `max_steps`; no file in one of the two parts.
    """
    features = features or SpeechFeatures()
    filters = mel_filters(features)
    found = _find_parts(folder)
    if n_classes is None:
        recordings_shape(folder, Reading(speech=features), Preparation())  # refuses labels before the long part
    parts = {part: [log_mel(read_wav(path, features), features, filters) for _, path in samples] for part, samples in found.items()}
    train = np.concatenate(parts["train"])
    mean, spread = train.mean(0), train.std(0)
    spread[spread == 0] = 1.0
    n_steps = features.max_steps
    arrays = {}
    for part, samples in parts.items():
        x = np.zeros((len(samples), n_steps, features.bands), np.float32)
        for row, frames in zip(x, samples, strict=True):
            row[n_steps - len(frames) :] = (frames - mean) / spread
        arrays[f"x_{part}"] = x
        arrays[f"y_{part}"] = np.array([label for label, _ in found[part]])
        arrays[f"lengths_{part}"] = np.array([len(frames) for frames in samples], np.int32)
    return Samples(
        arrays,
        dict.fromkeys(arrays, str(folder)),
        source=f"{sum(map(len, found.values()))} WAV files in {folder}, log-mel {features.frame_ms:g}/{features.hop_ms:g} ms, {features.bands} bands",
        n_classes=n_classes,
        n_steps=n_steps,
        notes=_note_others(folder),
    )


def _find_parts(folder):
    """Label and path of the files of both parts, ordered by index, then label."""
    paths = find_recordings(folder)
    if not paths:
        raise refuse(folder, "no WAV files", _NAME_FORM, "give the folder of the recordings")
    names = [(*_parse_name(path), path) for path in paths]
    is_number = [label.isdigit() for _, label, _, _ in names]
    if any(is_number) and not all(is_number):
        _, label, _, path = names[is_number.index(False)]
        raise refuse(path, f"label {label!r}", _NAME_FORM, "rename or remove the file")
    make = int if all(is_number) else str
    parts = {"train": [], "test": []}
    for index, label, _, path in sorted((index, make(label), speaker, path) for index, label, speaker, path in names):
        parts["test" if index < N_TEST_INDICES else "train"].append((label, path))
    for part, indices in (("train", f"{N_TEST_INDICES} and above"), ("test", f"0 to {N_TEST_INDICES - 1}")):
        if not parts[part]:
            raise refuse(folder, f"no {part} files", f"files with index {indices}", "complete the folder")
    return parts


def _note_others(folder):
    """What is said of recordings in other formats, which are not read: list of str."""
    place = find_recordings(folder)[0].parent
    others = [path.name for path in list_folder(place) if path.suffix.lower() in _OTHER_FORMATS]
    if not others:
        return []
    plural = "s are" if len(others) > 1 else " is"
    return [f"{len(others)} file{plural} no WAV and not read, such as {others[0]}: convert {'them' if len(others) > 1 else 'it'}"]


def _parse_name(path):
    """(index, label, speaker) of a file; the label in words."""
    match = _NAME.fullmatch(path.name)
    if not match or len(match["label"]) > 18:
        raise refuse(path, "another name", _NAME_FORM, "rename or remove the file")
    return int(match["index"]), match["label"], match["speaker"]


def read_wav(path, features):
    """Samples of a file: float64 in [-1, 1), at most `max_steps` frames of them; see `wav.read_samples`."""
    samples, n_samples = read_samples(path, features.sample_rate, features.max_samples)
    n_steps = features.n_steps(n_samples)
    if n_steps > features.max_steps:
        raise refuse(
            path,
            f"{n_steps} steps of {features.hop_ms:g} ms",
            f"at most {features.max_steps} (max_steps)",
            "raise max_steps or hop_ms, or shorten the recording",
        )
    return samples


FORMAT = FileFormat(
    what="a folder of WAV files",
    recognizes=lambda path: os.path.isdir(path) and bool(find_recordings(path)),
    read=lambda path, reading: read_recordings(path, reading.speech),
    takes=("speech",),
    files=find_recordings,
    shape=recordings_shape,
)
