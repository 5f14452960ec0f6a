"""Data sets in NumPy's NPZ format, read without pickle and without trusting headers.

`numpy.load` allocates what an array's header announces before it reads a byte. Here each
header is compared with the size of its zip entry first, and that with the file's size.
"""

import math
import os
import zipfile
from pathlib import Path

import numpy as np
from numpy.lib import format as npy_format

from neurosim.errors import InputError

from .dataset import make_dataset
from .idx import MAX_DEFLATE_RATIO
from .refusal import describe, refuse

KEYS = ("x_train", "y_train", "x_test", "y_test")
HOW_TO_SAVE = "write it with numpy.savez(file, x_train=..., y_train=..., x_test=..., y_test=...)"
AS_NUMBERS = "save x as uint8 (0..255) or float32, y as int32"


def load_npz(path, *, name=None, limit=None):
    """Load a data set from an NPZ file with `x_train`, `y_train`, `x_test`, `y_test`.

    Samples of more than one dimension are flattened. x of type uint8 stays as it is, with
    scale 1/255; floats become float32 with scale 1; other types are refused, because
    nothing tells how large their values may be. Other arrays in the file are ignored.

    Parameters
    ----------
    path : str or Path
    name : str, optional
        Name of the resulting data set; the path by default.
    limit : int, optional
        Keep only the first samples of each part.

    Returns
    -------
    Dataset

    Raises
    ------
    InputError
        No NPZ file, a missing array, object arrays, types other than the above, NaN or
        infinity, and everything that `make_dataset` refuses.
    """
    path = Path(path)
    if not os.path.isfile(path):
        found = "a folder" if os.path.isdir(path) else "no such file"
        raise refuse(path, found, "an NPZ file", "check the path")
    try:
        with zipfile.ZipFile(path) as archive:
            arrays = {key: _read_member(archive, path, key) for key in KEYS}
    except InputError:
        raise
    except Exception as error:
        # Broad on purpose: on damaged bytes the readers of zip, DEFLATE and npy headers
        # raise more than ten types, and each of them means the same to the user.
        raise refuse(
            path, f"no readable NPZ content ({describe(error)})", "a complete NPZ file", HOW_TO_SAVE
        ) from error

    places = {key: f"{path}: {key}" for key in KEYS}
    is_bytes = arrays["x_train"].dtype == np.uint8
    if is_bytes != (arrays["x_test"].dtype == np.uint8):
        raise refuse(
            places["x_test"],
            f"type {arrays['x_test'].dtype}",
            f"{arrays['x_train'].dtype} as in x_train, because one scale serves both",
            "save both parts with the same type",
        )
    for key in ("x_train", "x_test"):
        arrays[key] = _as_samples(arrays[key], places[key])
    return make_dataset(
        str(path) if name is None else name,
        arrays,
        places,
        scale=1 / 255 if is_bytes else 1.0,
        source=f"NPZ file {path}",
        limit=limit,
    )


def _read_member(archive, path, key):
    """One array of the archive, after its announced size was compared with the real one."""
    place = f"{path}: {key}"
    try:
        member = archive.getinfo(f"{key}.npy")
    except KeyError:
        names = ", ".join(name.removesuffix(".npy") for name in archive.namelist()[:8])
        raise refuse(
            path, f"no array {key} (arrays: {names or 'none'})", ", ".join(KEYS), HOW_TO_SAVE
        ) from None
    n_possible = min(member.compress_size, path.stat().st_size)
    if member.compress_type != zipfile.ZIP_STORED:
        n_possible *= MAX_DEFLATE_RATIO
    if member.file_size > n_possible:
        raise refuse(
            place,
            f"an entry of {member.file_size} bytes",
            f"at most {n_possible}, which is all that the file can hold",
            HOW_TO_SAVE,
        )
    with archive.open(member) as stream:
        shape, dtype = _read_header(stream, place)
        n_expected = stream.tell() + math.prod(shape) * dtype.itemsize
    if member.file_size != n_expected:
        raise refuse(
            place,
            f"{member.file_size} bytes",
            f"{n_expected}, as its header announces with shape {shape} of {dtype}",
            HOW_TO_SAVE,
        )
    with archive.open(member) as stream:
        array = npy_format.read_array(stream, allow_pickle=False)
        stream.read(1)  # reaching the end makes zipfile compare the checksum
    return array


def _read_header(stream, place):
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
            AS_NUMBERS,
        )
    if min(shape, default=0) < 0:
        raise refuse(place, f"shape {shape}", "sizes of at least 0", HOW_TO_SAVE)
    return shape, dtype


def _as_samples(x, place):
    """x as uint8 or finite float32, C-contiguous."""
    if x.dtype == np.uint8:
        return np.ascontiguousarray(x)
    if x.dtype.kind != "f":
        raise refuse(place, f"type {x.dtype}", "uint8 or a floating-point type", AS_NUMBERS)
    # float64 beyond float32 becomes infinity, which is refused below by its position.
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        samples = np.ascontiguousarray(x, dtype=np.float32)
    is_finite = np.isfinite(samples)
    if not is_finite.all():
        position = tuple(int(i) for i in np.unravel_index(is_finite.argmin(), x.shape))
        raise refuse(
            place,
            f"value {x[position]} at position {position}",
            "finite values within float32",
            "remove or replace samples with missing values",
        )
    return samples
