"""Data sets in NumPy's NPZ format, read without pickle and without trusting headers.

`numpy.load` allocates what an array's header announces before it reads a byte. Here each
header is compared with the size of its zip entry first, that with the file's size, and the shapes with each other.
"""

import io
import math
import re
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from neurosim.errors import InputError

from .arrays import set_padding_in_front, steps_of
from .checks import check_finite, check_same_sample, check_samples
from .dataset import PARTS, Samples
from .events import EventChoice, as_events, make_samples
from .files import MAX_DEFLATE_RATIO, check_unpacked, open_regular, size_of
from .info import FileFormat
from .refusal import describe, refuse

HOW_TO_SAVE = "write it with numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)"
AS_NUMBERS = "save x as uint8 (0..255) or float32, y as int32"
#: Bytes of the largest array header that is parsed; NumPy's own take about 100.
MAX_HEADER = 10_000
_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("test", "testing"), "test"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "validation"),
    **dict.fromkeys(("x", "data", "images", "image", "features", "samples", "inputs", "input"), "x"),
    **dict.fromkeys(("y", "labels", "label", "targets", "target"), "y"),
    **dict.fromkeys(("lengths", "length", "seqlen"), "lengths"),
    "events": "events",
}


@dataclass
class _Member:
    """One array of the archive, before it is read."""

    name: str
    info: zipfile.ZipInfo
    place: str
    shape: tuple
    dtype: np.dtype


def read_npz(path, reading=None):
    """Read a data set from an NPZ file with `x_train`, `y_train`, and `x_test`, `y_test`, or under other usual names.

    Samples of more than one dimension are flattened, three dimensions are sequences. x of type uint8 stays as it is, with
    scale 1/255; floats become float32 with scale 1; other types are refused, because
    nothing tells how large their values may be. Arrays with other names are ignored. In the place of x there may be events, as
    `events_train` and `events_test` of shape (events, 3): sample, step and unit of each; see `events.fill_steps`.

    Parameters
    ----------
    path : str or Path
    reading : Reading, optional
        `events` says how many steps and units events have.

    Returns
    -------
    Samples

    Raises
    ------
    InputError
        No NPZ file, a missing array, object arrays, types other than the above, NaN or
        infinity, shapes that do not belong together, and more content than a file of this size is trusted with.
    """
    path = Path(path)
    with open_regular(path, "an NPZ file") as file:
        try:
            with zipfile.ZipFile(file) as archive:
                members = _find_members(archive, path, size_of(file))
                arrays = {key: _read_values(archive, member) for key, member in members.items()}
        except InputError:
            raise
        except Exception as error:
            # Broad on purpose: on damaged bytes the readers of zip, DEFLATE and npy headers
            # raise more than ten types, and each of them means the same to the user.
            raise refuse(path, f"no readable NPZ content ({describe(error)})", "a complete NPZ file", HOW_TO_SAVE) from error

    if "events_train" in members:
        return _samples_of_events(arrays, members, path, reading and reading.events)
    if reading and reading.events is not None:
        raise refuse("dataset.events", f"{path}, which holds values", "a file of events", "leave it out")
    places = {key: member.place for key, member in members.items()}
    for key, array in arrays.items():
        if key[0] == "x":
            arrays[key] = _as_samples(array, places[key])
        elif array.dtype.kind == "S":
            arrays[key] = np.char.decode(array, "utf-8", "replace")
    n_steps = steps_of(arrays["x_train"])
    for part in PARTS:
        set_padding_in_front(arrays, places, part, n_steps)
    return Samples(
        arrays,
        places,
        scale=1 / 255 if arrays["x_train"].dtype == np.uint8 else 1.0,
        source=f"NPZ file {path}",
        n_steps=n_steps,
    )


def _samples_of_events(arrays, members, path, choice):
    parts = [part for part in PARTS if f"events_{part}" in arrays]
    places = {part: members[f"events_{part}"].place for part in parts}
    events = {part: as_events(arrays[f"events_{part}"], places[part]) for part in parts}
    labels = {part: arrays[f"y_{part}"] for part in parts}
    labels = {part: np.char.decode(y, "utf-8", "replace") if y.dtype.kind == "S" else y for part, y in labels.items()}
    return make_samples(events, labels, places, choice or EventChoice(), f"NPZ file {path}, events")


def role_of(name):
    """What an array is by its name, such as ``x_train`` for `X_train`, `train_images` or `data`; None for others."""
    spaced = re.sub(r"^([xy])(?=train|test|val)|(?<=train|valid)([xy])$|(?<=test)([xy])$", r" \1\2\3 ", name.lower())
    words = re.findall(r"[a-z]+|[0-9]+", spaced)
    meant = [_WORDS.get(word) for word in words]
    if None in meant or not meant:
        return None
    kinds, parts = [m for m in meant if m not in PARTS], [m for m in meant if m in PARTS]
    if len(kinds) != 1 or len(parts) > 1:
        return None
    return f"{kinds[0]}_{(parts or ['train'])[0]}"


def _find_members(archive, path, n_file_bytes):
    """The arrays of a data set by their keys; every check that headers allow is made before a value is read."""
    infos = {info.filename: info for info in archive.infolist()}
    roles = {}
    for file_name in infos:
        name = file_name.removesuffix(".npy")
        if file_name.endswith(".npy") and (key := role_of(name)):
            roles.setdefault(key, []).append(name)
    members, x = {}, "events" if "events_train" in roles and "x_train" not in roles else "x"
    for part in PARTS:
        there = {kind for kind in (x, "y") if f"{kind}_{part}" in roles}
        if part != "train" and not there:
            continue
        for kind in (x, "y", "lengths") if x == "x" else (x, "y"):
            key = f"{kind}_{part}"
            # A file may hold an array of a common name beside the one with the plain name.
            names = [name for name in roles.get(key, []) if name.lower() == key] or roles.get(key, [])
            if len(names) > 1:
                raise refuse(path, f"two arrays for {key}: {' and '.join(names[:2])}", "one", HOW_TO_SAVE)
            if names:
                members[key] = _read_member_header(archive, infos[f"{names[0]}.npy"], path, names[0], n_file_bytes)
            elif kind != "lengths":
                listed = ", ".join(name.removesuffix(".npy") for name in list(infos)[:8])
                raise refuse(path, f"no array {key} (arrays: {listed or 'none'})", "x_train, y_train, x_test, y_test", HOW_TO_SAVE)
    if x == "x":
        _check_together(members)
    check_unpacked(path, sum(member.info.file_size for member in members.values()), n_file_bytes)
    return members


def _check_together(members):
    """Compare the headers of the arrays with each other."""
    train = members["x_train"]
    for part in PARTS:
        if f"x_{part}" not in members:
            continue
        x, y = members[f"x_{part}"], members[f"y_{part}"]
        check_samples(x.shape, y.shape, x.place, y.place)
        if (x.dtype == np.uint8) != (train.dtype == np.uint8):
            raise refuse(
                x.place,
                f"type {x.dtype}",
                f"{train.dtype} as in {train.name}, because one scale serves both",
                "save both parts with the same type",
            )
        if x.dtype != np.uint8 and x.dtype.kind != "f":
            raise refuse(x.place, f"type {x.dtype}", "uint8 or a floating-point type", _advice_on(x.dtype))
        check_same_sample(x.shape, x.place, train.shape, train.place)
        lengths = members.get(f"lengths_{part}")
        if lengths is not None and lengths.shape != x.shape[:1]:
            raise refuse(
                lengths.place, f"lengths of shape {lengths.shape}", f"{x.shape[:1]}, one for each sequence", "save one number for each sequence"
            )


def _advice_on(dtype):
    """How values of a type that says nothing about their range are saved."""
    if dtype.kind in "iu":
        return f"divide by the largest possible value and save as float32 (values from 0 to 255: as uint8), such as x / {np.iinfo(dtype).max}"
    return AS_NUMBERS


def _read_member_header(archive, info, path, name, n_file_bytes):
    """Shape and type of one array, after its announced size was compared with the real one."""
    place = f"{path}: {name}"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise refuse(place, f"compression of kind {info.compress_type}", "none or DEFLATE, as numpy writes", HOW_TO_SAVE)
    n_possible = min(info.compress_size, n_file_bytes)
    if info.compress_type != zipfile.ZIP_STORED:
        n_possible *= MAX_DEFLATE_RATIO
    if info.file_size > n_possible:
        raise refuse(
            place,
            f"an entry of {info.file_size} bytes",
            f"at most {n_possible}, which is all that the file can hold",
            HOW_TO_SAVE,
        )
    with archive.open(info) as stream:
        # No more than this: a header's own length may be announced as 4 GB.
        start = io.BytesIO(stream.read(MAX_HEADER + 12))
    shape, dtype = _parse_header(start, place)
    n_expected = start.tell() + math.prod(shape) * dtype.itemsize
    if info.file_size != n_expected:
        raise refuse(
            place,
            f"{info.file_size} bytes",
            f"{n_expected}, as its header announces with shape {shape} of {dtype}",
            HOW_TO_SAVE,
        )
    return _Member(name, info, place, shape, dtype)


def _read_values(archive, member):
    """One array, whose header was checked."""
    with archive.open(member.info) as stream:
        array = npy_format.read_array(stream, allow_pickle=False)
        stream.read(1)  # reaching the end makes zipfile compare the checksum
    return array


def _parse_header(stream, place):
    version = npy_format.read_magic(stream)
    readers = {
        (1, 0): npy_format.read_array_header_1_0,
        (2, 0): npy_format.read_array_header_2_0,
    }
    if version not in readers:  # version 3 exists only for field names in record arrays
        raise refuse(place, f"npy format version {version}", "1.0 or 2.0", AS_NUMBERS)
    shape, _, dtype = readers[version](stream)
    if dtype.hasobject:
        raise refuse(
            place,
            "an object array, which only pickle can read",
            "an array of numbers",
            f"{AS_NUMBERS}; labels in words with y.astype(str)",
        )
    if min(shape, default=0) < 0:
        raise refuse(place, f"shape {shape}", "sizes of at least 0", HOW_TO_SAVE)
    return shape, dtype


def _as_samples(x, place):
    """x as uint8 or finite float32, C-contiguous."""
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    # float64 beyond float32 becomes infinity, which is refused below by its position.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        samples = np.ascontiguousarray(x, dtype=np.float32)
    check_finite(samples, x, place)
    return samples


FORMAT = FileFormat(
    what="an NPZ file",
    recognizes=lambda path: path.lower().endswith(".npz"),
    read=read_npz,
    takes=("events",),
)
