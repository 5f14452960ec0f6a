"""Events as samples: who fired when, from an NPZ file of (sample, step, unit) or from HDF5 files in the layout of SHD.

SHD is the Spiking Heidelberg Digits set (Cramer, Stradmann, Schemmel and Zenke 2022, IEEE Trans. Neural Netw. Learn. Syst. 33:2744, doi
10.5281/zenodo.5578997): groups ``spikes/times``, in s, and ``spikes/units``, an array of each for every sample, and ``labels``.
"""

import os
import re
from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError

from .dataset import Samples
from .files import list_folder, open_regular
from .info import FileFormat
from .refusal import describe, refuse

_SUFFIXES = (".h5", ".hdf5")
_PART = re.compile(r"(?:^|[-_. ])(train|test|valid|validation)(?=[-_. ]|$)", re.IGNORECASE)
_HOW_TO_SAVE = "save events_train as whole numbers of shape (events, 3): sample, step, unit"
#: Larger numbers of steps or units are a slip: the samples would be taken as bytes of (steps x units) each.
_MOST = {"steps": 10_000, "units": 100_000}


@dataclass(frozen=True)
class EventChoice:
    """How events become steps.

    Attributes
    ----------
    units : int, optional
        Inputs of the network; without it, one more than the largest number in the training events.
    step_ms : float
        Of times in s: length of a step, ms.
    steps : int, optional
        Steps of every sample; without it, as many as the last training event needs. An event beyond them is refused.

    Raises
    ------
    InputError
    """

    units: int | None = None
    step_ms: float = 10.0
    steps: int | None = None

    def __post_init__(self):
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is not None and not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most):
                raise InputError(f"events.{name}: found {value!r}; expected a whole number from 1 to {most}")
        if isinstance(self.step_ms, bool) or not isinstance(self.step_ms, (int, float)) or not 0 < self.step_ms <= 1e6:
            raise InputError(f"events.step_ms: found {self.step_ms!r}; expected a number above 0, ms")


def fill_steps(events, n_samples, n_steps, n_units, place, notes):
    """Events as samples.

    Parameters
    ----------
    events : int64 array, shape (n_events, 3)
        Sample, step and unit of each.
    n_samples, n_steps, n_units : int
    place : str
        What errors name.
    notes : list of str
        What is to be said is added: events in no order, and several of one unit in one step, which are one spike.

    Returns
    -------
    uint8 array, shape (n_samples, n_steps, n_units)
        1 where there is an event.

    Raises
    ------
    InputError
        A number that is negative, or beyond samples, steps or units, by its event.
    """
    for column, (word, most, advice) in enumerate(
        (
            ("sample", n_samples, "there is one label for each sample"),
            ("step", n_steps, "raise dataset.events.steps, or correct the file"),
            ("unit", n_units, "raise dataset.events.units, or correct the file"),
        )
    ):
        wrong = (events[:, column] < 0) | (events[:, column] >= most)
        if wrong.any():
            row = int(wrong.argmax())
            raise refuse(place, f"{word} {events[row, column]} in event {row}", f"0 to {most - 1}", advice)
    order = (events[:, 0] * n_steps + events[:, 1]) * n_units + events[:, 2]
    if (order[1:] < order[:-1]).any():
        notes.append(f"{place}: events are in no order, which makes no difference; they were sorted")
    n_twice = len(order) - len(np.unique(order))
    if n_twice:
        notes.append(f"{place}: {n_twice} of {len(order)} events share unit and step with another; a unit fires once a step")
    x = np.zeros((n_samples, n_steps, n_units), np.uint8)
    x[tuple(events.T)] = 1
    return x


def make_samples(events, labels, places, choice, source, sizes=None):
    """Samples of the events of all parts.

    Parameters
    ----------
    events : dict of str to int64 array, shape (n_events, 3)
        By part; `train` must be there.
    labels : dict of str to array
    places : dict of str to str
        What errors name, by part.
    choice : EventChoice
    source : str
    sizes : (int or None, int or None), optional
        Steps and units that the file states.

    Returns
    -------
    Samples
        Where nobody states sizes, those that the training events need.
    """
    stated_steps, stated_units = sizes or (None, None)
    train = events["train"]
    n_steps = choice.steps or stated_steps or (int(train[:, 1].max()) + 1 if len(train) else 1)
    n_units = choice.units or stated_units or (int(train[:, 2].max()) + 1 if len(train) else 1)
    for word, number in (("steps", n_steps), ("units", n_units)):
        if number > _MOST[word]:
            raise refuse(places["train"], f"{number} {word}", f"at most {_MOST[word]}", f"set dataset.events.{word}, or divide events coarser")
    arrays, named, notes = {}, {}, []
    for part, found in events.items():
        arrays[f"x_{part}"] = fill_steps(found, len(labels[part]), max(n_steps, 1), max(n_units, 1), places[part], notes)
        arrays[f"y_{part}"] = labels[part]
        named |= dict.fromkeys((f"x_{part}", f"y_{part}"), places[part])
    return Samples(arrays, named, source=source, n_steps=max(n_steps, 1), notes=notes, is_spikes=True)


def as_events(array, place):
    """Events of an array as int64, shape (n_events, 3).

    Raises
    ------
    InputError
        Another shape, or no whole numbers.
    """
    if array.ndim != 2 or array.shape[1] != 3 or array.dtype.kind not in "iu":
        raise refuse(place, f"an array of {array.dtype} of shape {array.shape}", "whole numbers of shape (events, 3)", _HOW_TO_SAVE)
    return array.astype(np.int64)


def read_hdf5(path, reading):
    """Events of HDF5 files in the layout of SHD.

    Parameters
    ----------
    path : str
        A folder with files named for their parts, such as ``shd_train.h5`` and ``shd_test.h5``; or one file.
    reading : Reading
        `events` says how long a step is.

    Returns
    -------
    Samples

    Raises
    ------
    InputError
        h5py is not installed, no such groups, times that are negative or not finite, and what `fill_steps` refuses.
    """
    try:
        import h5py
    except ImportError:
        raise InputError(f"{path}: reading HDF5 needs h5py, which is not installed; pip install neurosim[hdf5]") from None
    choice = reading.events or EventChoice()
    events, labels, places = {}, {}, {}
    for part, file in _parts_of(path).items():
        open_regular(file, "an HDF5 file").close()
        try:
            with h5py.File(file, "r") as content:
                events[part], labels[part] = _read_file(content, file, choice.step_ms)
        except InputError:
            raise
        except Exception as error:
            # Broad on purpose: on damaged files h5py raises what its C library says, in many types.
            raise refuse(file, f"no readable HDF5 content ({describe(error)})", "a file in the layout of SHD", "load it again") from error
        places[part] = str(file)
    return make_samples(events, labels, places, choice, f"HDF5 events in {path}, steps of {choice.step_ms:g} ms")


def _read_file(content, file, step_ms):
    """Events and labels of one file."""
    missing = [name for name in ("spikes/times", "spikes/units", "labels") if name not in content]
    if missing:
        raise refuse(file, f"no {' and no '.join(missing)}", "spikes/times, spikes/units and labels, as SHD has them", "give a file of events")
    times, units, labels = content["spikes/times"], content["spikes/units"], np.asarray(content["labels"])
    if not len(times) == len(units) == len(labels):
        raise refuse(file, f"{len(times)} times, {len(units)} units and {len(labels)} labels", "as many of each", "complete the file")
    parts = []
    for sample in range(len(labels)):
        # In float64: times are often stored with 16 bits, whose products with 1000 would overflow.
        when, who = np.asarray(times[sample], np.float64), np.asarray(units[sample])
        place = f"{file}: sample {sample}"
        if when.shape != who.shape or when.ndim != 1:
            raise refuse(place, f"{when.size} times and {who.size} units", "as many of each", "complete the file")
        wrong = ~np.isfinite(when) | (when < 0)
        if wrong.any():
            raise refuse(place, f"time {when[wrong.argmax()]} s in event {int(wrong.argmax())}", "0 or later", "count time from the sample's start")
        step = np.floor(when * 1000.0 / step_ms)
        parts.append(np.column_stack([np.full(len(who), sample), np.minimum(step, 2**62), who]).astype(np.int64))
    return np.concatenate(parts) if parts else np.zeros((0, 3), np.int64), labels


def _parts_of(path):
    """Files by part: of a folder those named for one; of a file the file itself, as training samples."""
    if not os.path.isdir(path):
        return {"train": path}
    found = {}
    for file in list_folder(path):
        match = _PART.search(file.stem)
        if file.suffix.lower() in _SUFFIXES and match:
            part = {"valid": "validation"}.get(match[1].lower(), match[1].lower())
            if part in found:
                raise refuse(path, f"two files for {part}: {found[part].name} and {file.name}", "one", "give a folder with one set")
            found[part] = file
    if "train" not in found:
        raise refuse(path, "no training file", "a name with train, such as shd_train.h5", "complete the folder")
    return found


def _has_files(path):
    return any(file.suffix.lower() in _SUFFIXES for file in list_folder(path))


FORMAT = FileFormat(
    what="HDF5 files of events",
    recognizes=lambda path: path.lower().endswith(_SUFFIXES) or os.path.isdir(path) and _has_files(path),
    read=read_hdf5,
    takes=("events",),
    files=lambda path: [file for file in list_folder(path) if file.suffix.lower() in _SUFFIXES] if os.path.isdir(path) else [path],
)
