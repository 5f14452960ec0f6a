"""Finding data: which reader a name or path asks for."""

import math
import os
from dataclasses import fields, replace
from pathlib import Path

from neurosim.errors import InputError, nearest

from .augment_sequences import SequenceAugmentation
from .catalog import DATASETS, FORMATS
from .dataset import Dataset, assemble, check_augmented
from .files import kind_of, list_folder
from .images import with_sides
from .info import Reading
from .preparation import Preparation
from .refusal import describe, one_line, refuse

_DEFAULT = Reading()
_OF_READING, _OF_PREPARATION = ({field.name for field in fields(kind)} for kind in (Reading, Preparation))
#: Key and data set that `dataset_shape` had to load, until `load_dataset` asks for it: so `run` reads a file once.
_loaded: dict[tuple, Dataset] = {}


def load_dataset(name, **options):
    """Load a data set by name or path.

    Parameters
    ----------
    name : str or Path
        A name in `DATASETS`; a path of an NPZ, HDF5, CSV or Parquet file; or of a folder with IDX files in the MNIST layout or with WAV
        files (write `./mnist` for a folder that has the name of a data set).
    **options
        Fields of `Reading` and of `Preparation`. ``data_dir``, a str or Path, comes before `$NEUROSIM_DATA` and the user cache; in each,
        `<place>/<name>/` comes before `<place>/`. ``drop`` may be any iterable, and ``task`` a dict, such as ``{"cues": 5}``.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        An unknown name, files that are not found or are malformed, a `data_dir` that does
        not exist, a number out of range, options that the data do not take. Always one line.
    TypeError
        An option that neither has.
    """
    reading, preparation = _asked(options)
    if not isinstance(name, (str, os.PathLike)):
        raise InputError(f"data set {name!r}: not a name or path; known: {', '.join(sorted(DATASETS))}")
    name = os.fspath(name)
    if reading.data_dir is not None:
        reading = replace(reading, data_dir=Path(os.path.expanduser(reading.data_dir)))
        if not os.path.isdir(reading.data_dir):
            raise InputError(one_line(f"{reading.data_dir}: found no such folder; expected a data folder; check `--data DIR`"))
    info = DATASETS.get(name)
    if info is not None:
        _refuse_unless_taken(name, info, reading, preparation)
        try:
            return assemble(name, info.read(info, reading), preparation)
        except MemoryError as error:
            raise _too_large(name, error) from None
    known = _loaded.pop(_key(name, reading, preparation), None)
    return known or _load_path(name, reading, preparation)


def dataset_shape(name, **options):
    """Sizes of a data set.

    Of named data and of recordings they are known without opening a file. Any other file is read whole and checked as
    `load_dataset` does, so that what is refused is refused here; it is kept for the next `load_dataset`.

    Parameters
    ----------
    name : str
        What a scenario gives as data set.
    **options
        As for `load_dataset`.

    Returns
    -------
    DataShape or None
        What `load_dataset` would give; None where no such file exists (yet), unless the name is nearly a known one.

    Raises
    ------
    InputError
        As for `load_dataset`.
    """
    name = str(name)
    reading, preparation = _asked(options)
    augment, encode, info = preparation.augment, preparation.encode, DATASETS.get(name)
    if info is not None:
        _refuse_unless_taken(name, info, reading, preparation)
        return _encoded(_changed(info, info.shape(reading), preparation), encode)
    path = os.path.expanduser(name)
    form = _format_of(path)
    if form is None:
        # A folder without a file is one that is still to be filled.
        if os.path.isfile(path) or list_folder(path) or kind_of(path) not in (None, "a folder"):
            raise _not_understood(name)
        # A word like a known one is a slip; any other may be a folder that comes later.
        if os.path.basename(path) == path and nearest(name.lower(), DATASETS).startswith("nearest"):
            raise _not_understood(name)
        return None
    if not all(map(os.path.lexists, form.files(path))):
        return None
    if form.shape is not None:
        _refuse_unless_taken(name, form, reading, preparation)
        shape = form.shape(path, reading, preparation)
        if isinstance(augment, SequenceAugmentation):
            shape = _augmented(shape, augment, name)
        elif augment is not None:
            augment.new_shape(None, name)
        return _encoded(shape, encode)
    key = _key(name, reading, preparation)
    if key not in _loaded:
        _loaded.clear()
        data = _load_path(name, reading, preparation)
        _loaded[key] = data
    return _loaded[key].shape


def _load_path(name, reading, preparation):
    path = os.path.expanduser(name)
    form = _format_of(path)
    if form is None:
        raise _no_recordings(name) if reading.speech is not None else _not_understood(name)
    _refuse_unless_taken(name, form, reading, preparation)
    try:
        return assemble(name, form.read(path, reading), preparation)
    except MemoryError as error:
        raise _too_large(name, error) from None


def _too_large(name, error):
    return refuse(name, f"more than this computer's memory holds ({describe(error)})", "data that fit", "use fewer samples")


def _asked(options):
    """`Reading` and `Preparation` of options by their names, each as what can be compared and hashed."""
    of_reading = {key: options[key] for key in options.keys() & _OF_READING}
    if unknown := sorted(options.keys() - of_reading.keys() - _OF_PREPARATION):
        raise TypeError(f"data sets have no option {unknown[0]!r}; {nearest(unknown[0], _OF_READING | _OF_PREPARATION)}")
    of_reading |= {"drop": tuple(options.get("drop", ())), "task": tuple(sorted((options.get("task") or {}).items()))}
    return Reading(**of_reading), Preparation(**{key: value for key, value in options.items() if key in _OF_PREPARATION})


def _changed(info, shape, preparation):
    """`DataShape` of a known data set after its images were brought to another size and augmented."""
    image_size, augment, image_shape, notes = preparation.image_size, preparation.augment, shape.image_shape, ()
    if image_size is not None and image_shape is not None:
        image_shape = with_sides(image_shape, image_size)
    if isinstance(augment, SequenceAugmentation):
        return _augmented(shape, augment, info.name)
    if augment is not None:
        image_shape, notes = augment.new_shape(image_shape, info.name), (augment.words,)
        check_augmented(augment, shape.n_steps, (), info.name)
    n_inputs = shape.n_inputs if image_shape is None else math.prod(image_shape) // shape.n_steps
    return replace(shape, n_inputs=n_inputs, image_shape=image_shape, notes=notes)


def _augmented(shape, augment, name):
    """`DataShape` of sequences to which something happens."""
    augment.check(shape.n_inputs, shape.n_steps, "spikes" if shape.is_spikes else None, name)
    return replace(shape, notes=(*shape.notes, augment.words))


def _encoded(shape, encode):
    """`DataShape` of samples as they are, or of their spikes."""
    if encode is None:
        return shape
    units, steps = encode.shape(shape.n_inputs, shape.n_steps)
    return replace(shape, n_inputs=units, n_steps=steps, is_spikes=True)


def _not_understood(name):
    """The error that refuses what no format recognizes."""
    path = os.path.expanduser(name)
    kind = kind_of(path)
    if kind == "a folder":
        return refuse(
            name,
            f"a folder without data ({len(list_folder(path))} files)",
            "the four IDX files of the MNIST layout, CIFAR-10's .bin files, or WAV files",
            "check the path",
        )
    if kind is not None:
        return refuse(name, kind, "a file or a folder", "check the path")
    if os.path.isfile(path):
        return refuse(name, "a file of another kind", f"{', '.join(form.what for form in FORMATS)}", "convert it, such as with numpy.savez")
    return InputError(
        one_line(
            f"data set {name!r}: neither a known name nor an existing folder nor the path of an .npz, .h5, .csv or .parquet file; "
            f"{nearest(name.lower(), DATASETS)}"
        )
    )


def _format_of(path):
    return next((form for form in FORMATS if form.recognizes(path)), None)


def _no_recordings(name):
    return refuse(name, "no recordings", "WAV files, which options of speech need", "leave these options out, or give another folder")


def _refuse_unless_taken(name, source, reading, preparation):
    """Refuse options that mean nothing to a data set: they would be ignored without a word."""
    named = hasattr(source, "name")
    what = f"data set {source.name}" if named else source.what
    takes = source.takes
    if reading.speech is not None and "speech" not in takes:
        raise _no_recordings(name)
    for key in ("label", "drop"):
        if getattr(reading, key) != getattr(_DEFAULT, key) and key not in takes:
            raise refuse(f"dataset.{key}", what, "a table (CSV or Parquet), which has columns", "leave it out")
    for key, kinds in (("events", "a file of events"), ("task", "a data set that is made, such as randman")):
        if getattr(reading, key) != getattr(_DEFAULT, key) and key not in takes:
            raise refuse(f"dataset.{key}", what, kinds, "leave it out")
    is_sequence = source.n_steps != 1 if named else source.shape is not None
    if preparation.image_size is not None and is_sequence:
        raise refuse("dataset.image_size", f"{what}, which holds sequences", "images", "leave it out")
    if named and preparation.test_fraction is not None:
        raise refuse("dataset.test_fraction", f"{what}, which has a test set", "data without one", "leave it out")


def _key(name, reading, preparation):
    """What tells whether a file that was loaded before is still the same, and asked for in the same way."""
    path, stamps = os.path.abspath(os.path.expanduser(name)), []
    form = _format_of(path)
    for file in form.files(path) if form else ():
        status = os.stat(file) if os.path.exists(file) else None
        stamps.append((str(file), status and (status.st_mtime_ns, status.st_size, status.st_ino)))
    return (name, path, tuple(stamps), reading.speech, reading.label, reading.drop, reading.events, preparation)
