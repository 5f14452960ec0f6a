"""Spoken words from a folder of WAV files named ``{label}_{speaker}_{index}.wav``, as log-mel sequences.

The layout and the split (indices 0 to 4 of each speaker and label are the test set) are those of the Free
Spoken Digit Dataset (Z. Jackson and others, CC BY-SA 4.0, doi 10.5281/zenodo.1342401).
"""

import os
import re
import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neurosim.errors import InputError

from .checks import count_classes
from .dataset import make_dataset
from .refusal import describe, refuse

N_TEST_INDICES = 5
_NAME = re.compile(r"(?P<label>[^_]+)_(?P<speaker>.+)_(?P<index>\d+)\.wav")
_NAME_FORM = "{label}_{speaker}_{index}.wav with whole numbers as label and index, such as 7_jackson_12.wav"


@dataclass(frozen=True)
class SpeechFeatures:
    """How a recording becomes a sequence: log energies in mel bands, frame by frame.

    Attributes
    ----------
    sample_rate : int
        Samples per second that every file must have.
    frame_ms, hop_ms : float
        Length of a frame and distance between the beginnings of two frames, ms.
    bands : int
        Triangular mel filters from 0 to half the sample rate (mel = 2595 log10(1 + f / 700),
        O'Shaughnessy 1987): the inputs of one step.
    max_steps : int
        Steps of every sequence, shorter ones padded; a longer recording is refused.
    """

    sample_rate: int = 8000
    frame_ms: float = 50.0
    hop_ms: float = 25.0
    bands: int = 32
    max_steps: int = 100

    @property
    def frame(self):
        """Samples of one frame."""
        return max(2, round(self.sample_rate * self.frame_ms / 1000))

    @property
    def hop(self):
        """Samples from one frame to the next."""
        return max(1, round(self.sample_rate * self.hop_ms / 1000))

    def n_steps(self, n_samples):
        """Frames of a recording; the last is filled up with silence."""
        return 1 + max(0, -(-(n_samples - self.frame) // self.hop))


def find_recordings(folder):
    """WAV files of a folder, or of its subfolder ``recordings``: sorted list of Path, empty when there are none."""
    for place in (Path(folder), Path(folder) / "recordings"):
        if os.path.isdir(place):
            found = sorted(place.glob("*.wav"))
            if found:
                return found
    return []


def count_words(folder):
    """Classes of a folder of recordings, from the labels in the names of its training files; opens none.

    Raises
    ------
    InputError
        As for `load_speech_folder`, as far as names and labels go.
    """
    return count_classes(np.array([label for label, _ in _find_parts(folder)["train"]]), str(folder))


def load_speech_folder(folder, *, name, features=None, n_classes=None, limit=None):
    """Load a data set of spoken words.

    Each band is shifted and scaled to mean 0 and standard deviation 1 over all frames of the *training*
    set. Sequences are padded with zeros in front, so that all end together.

    Parameters
    ----------
    folder : str or Path
        With the WAV files, or with a subfolder ``recordings`` of them: 16-bit mono.
    name : str
        Name of the resulting data set.
    features : SpeechFeatures, optional
    n_classes : int, optional
        Classes promised beforehand; without it, one more than the largest training label.
    limit : int, optional
        Keep only the first samples of each part; samples of a part are ordered by index, then label.

    Returns
    -------
    Dataset
        x float32, shape (n_samples, max_steps * bands), and the lengths. So the shape of a network is known before any file is opened.

    Raises
    ------
    InputError
        No WAV files; a name without label and index; stereo, other than 16 bit, another sample rate, empty
        or damaged; longer than `max_steps`; no file in one of the two parts.
    """
    features = features or SpeechFeatures()
    filters = mel_filters(features)
    found = _find_parts(folder)
    parts = {part: [(label, _read_frames(path, features, filters)) for label, path in samples] for part, samples in found.items()}
    train = np.concatenate([frames for _, frames in parts["train"]])
    mean, spread = train.mean(0), train.std(0)
    spread[spread == 0] = 1.0
    n_steps = features.max_steps
    arrays, lengths = {}, {}
    for part, samples in parts.items():
        x = np.zeros((len(samples), n_steps, features.bands), np.float32)
        for row, (_, frames) in zip(x, samples, strict=True):
            row[n_steps - len(frames) :] = (frames - mean) / spread
        arrays[f"x_{part}"] = x
        arrays[f"y_{part}"] = np.array([label for label, _ in samples], np.int32)
        lengths[part] = np.array([len(frames) for _, frames in samples], np.int32)
    return make_dataset(
        name,
        arrays,
        dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), str(folder)),
        scale=1.0,
        n_classes=n_classes,
        source=f"{sum(map(len, found.values()))} WAV files in {folder}, log-mel {features.frame_ms:g}/{features.hop_ms:g} ms, {features.bands} bands",
        n_steps=n_steps,
        lengths=(lengths["train"], lengths["test"]),
        limit=limit,
    )


def _find_parts(folder):
    """Label and path of the files of both parts, ordered by index, then label."""
    paths = find_recordings(folder)
    if not paths:
        raise refuse(folder, "no WAV files", _NAME_FORM, "give the folder of the recordings")
    parts = {"train": [], "test": []}
    for index, label, _, path in sorted((*_parse_name(path), path) for path in paths):
        parts["test" if index < N_TEST_INDICES else "train"].append((label, path))
    for part, indices in (("train", f"{N_TEST_INDICES} and above"), ("test", f"0 to {N_TEST_INDICES - 1}")):
        if not parts[part]:
            raise refuse(folder, f"no {part} files", f"files with index {indices}", "complete the folder")
    return parts


def _read_frames(path, features, filters):
    """Log-mel frames of a file, at most `max_steps`."""
    frames = log_mel(read_wav(path, features), features, filters)
    if len(frames) > features.max_steps:
        raise refuse(
            path,
            f"{len(frames)} steps of {features.hop_ms:g} ms",
            f"at most {features.max_steps} (max_steps)",
            "raise max_steps or hop_ms, or shorten the recording",
        )
    return frames


def _parse_name(path):
    """(index, label, speaker) of a file."""
    match = _NAME.fullmatch(path.name)
    if not match or not match["label"].isascii() or not match["label"].isdigit():
        what = f"label {match['label']!r}" if match else "another name"
        raise refuse(path, what, _NAME_FORM, "rename or remove the file")
    return int(match["index"]), int(match["label"]), match["speaker"]


def read_wav(path, features):
    """Samples of a 16-bit mono file: float64 in [-1, 1).

    Raises
    ------
    InputError
        Damaged, empty, stereo, another width or sample rate.
    """
    try:
        with wave.open(str(path), "rb") as file:
            n_channels, width, rate, n = file.getnchannels(), file.getsampwidth(), file.getframerate(), file.getnframes()
            data = file.readframes(n)
    except (wave.Error, EOFError) as error:
        raise refuse(path, f"no readable WAV file ({describe(error)})", "16-bit mono PCM", "replace the file") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    for found, expected, advice in (
        (f"{n_channels} channels", n_channels == 1 or "1 (mono)", "mix the channels"),
        (f"{8 * width}-bit samples", width == 2 or "16-bit samples", "convert the file"),
        (f"{rate} samples per second", rate == features.sample_rate or f"{features.sample_rate}", "resample, or set sample_rate"),
        (f"{len(data) // 2} samples", len(data) >= 2 or "at least one", "remove the file"),
        (f"{len(data) // 2} samples of {n}", len(data) == 2 * n or "all of them", "the file is cut off: replace it"),
    ):
        if expected is not True:
            raise refuse(path, found, expected, advice)
    return np.frombuffer(data, "<i2") / 32768.0


def mel_filters(features):
    """Triangular filters: float64, shape (frame // 2 + 1, bands); columns have maximum 1 near their centre."""
    top = 2595.0 * np.log10(1.0 + features.sample_rate / 2 / 700.0)
    edges = 700.0 * (10.0 ** (np.linspace(0.0, top, features.bands + 2) / 2595.0) - 1.0)
    frequency = np.arange(features.frame // 2 + 1)[:, None] * features.sample_rate / features.frame
    low, centre, high = edges[:-2], edges[1:-1], edges[2:]
    # A band narrower than the spacing of the spectrum would be empty: it takes at least one spacing to either side.
    spacing = features.sample_rate / features.frame
    rise, fall = np.maximum(centre - low, spacing), np.maximum(high - centre, spacing)
    return np.maximum(0.0, np.minimum((frequency - centre) / rise + 1.0, (centre - frequency) / fall + 1.0))


def log_mel(samples, features, filters):
    """Log energies of the frames of one recording: float64, shape (n_steps, bands)."""
    from scipy.fft import rfft
    from scipy.signal import get_window

    n_steps = features.n_steps(len(samples))
    padded = np.zeros((n_steps - 1) * features.hop + features.frame)
    padded[: len(samples)] = samples
    frames = np.lib.stride_tricks.sliding_window_view(padded, features.frame)[:: features.hop]
    power = np.abs(rfft(frames * get_window("hann", features.frame), axis=1)) ** 2
    # The floor is some 100 dB below a loud frame: silence is a number, and the same in every file.
    return np.log(power @ filters + 1e-6)
