"""The IDX file format of MNIST: big-endian header, then the values.

A header is believed only as far as the file's size allows: memory grows with the bytes
that are really there, never with the dimensions that a damaged header announces.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np

from .files import MAX_DEFLATE_RATIO, check_unpacked, open_regular, size_of
from .refusal import describe, refuse

UNSIGNED_BYTE = 0x08
# The types of whole numbers; labels are stored as any of them.
INTEGERS = {UNSIGNED_BYTE: np.dtype("u1"), 0x09: np.dtype("i1"), 0x0B: np.dtype(">i2"), 0x0C: np.dtype(">i4")}
GZIP_MAGIC = b"\x1f\x8b"
CHUNK_BYTES = 1 << 20
ADVICE = "get the file again (MNIST: delete it, then `neurosim data fetch mnist`)"


def read_idx(path, n_dims, types=(UNSIGNED_BYTE,)):
    """Read an IDX file of whole numbers, plain or gzip.

    Parameters
    ----------
    path : str or Path
        The file. Its first bytes tell gzip from plain, not its name: browsers unpack
        files and leave the `.gz`.
    n_dims : int or tuple of int
        Number of dimensions that the file may have (3 for images, 1 for labels).
    types : collection of int
        Codes of `INTEGERS` that its values may have.

    Returns
    -------
    array, shape as in the header
        uint8, or int64 for other types; C-contiguous and writable.

    Raises
    ------
    InputError
        Unreadable file, damaged gzip data, wrong magic number or number of dimensions,
        fewer or more bytes than the header announces.
    """
    path = Path(path)
    n_dims = (n_dims,) if isinstance(n_dims, int) else tuple(n_dims)
    try:
        with open_regular(path, "a readable IDX file") as raw:
            n_file_bytes = size_of(raw)
            is_gzip = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            if not is_gzip:
                return _read_stream(raw, path, n_dims, types, n_file_bytes, is_gzip)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read_stream(stream, path, n_dims, types, n_file_bytes, is_gzip)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise refuse(
            path,
            f"damaged or truncated gzip data ({describe(error)}) in {n_file_bytes} bytes",
            "a complete gzip file",
            ADVICE,
        ) from error
    except (OSError, MemoryError) as error:
        raise refuse(path, f"an unreadable file ({describe(error)})", "a readable IDX file", ADVICE) from error


def encode_idx(array):
    """Bytes of a uint8 array in IDX format: header and values.

    Parameters
    ----------
    array : uint8 array
        Up to 255 dimensions, each below 2**32.

    Returns
    -------
    bytes
    """
    array = np.ascontiguousarray(array, dtype=np.uint8)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + array.tobytes()


def _read_stream(stream, path, n_dims, types, n_file_bytes, is_gzip):
    header = stream.read(4)
    value_type, found_dims = _check_magic(header, path, n_dims, types)
    n_header_bytes = 4 + 4 * found_dims
    header += stream.read(n_header_bytes - 4)
    if len(header) < n_header_bytes:
        raise refuse(path, f"a header of {len(header)} bytes", f"{n_header_bytes} bytes", ADVICE)
    shape = struct.unpack_from(f">{found_dims}I", header, 4)
    n_values = math.prod(shape) * value_type.itemsize  # Python integers: 2**32 * 2**32 does not overflow
    announced = f"{n_header_bytes + n_values} bytes, as its header announces with shape {shape}"

    if not is_gzip and n_file_bytes != n_header_bytes + n_values:
        kind = "truncated" if n_file_bytes < n_header_bytes + n_values else "with trailing bytes"
        raise refuse(path, f"a file of {n_file_bytes} bytes, {kind}", announced, ADVICE)
    if is_gzip:
        if n_values > MAX_DEFLATE_RATIO * n_file_bytes:
            raise refuse(path, f"a gzip file of {n_file_bytes} bytes, too small to hold it", announced, ADVICE)
        check_unpacked(path, n_values, n_file_bytes)
    values = _read_values(stream, n_values)
    if len(values) != n_values:
        n_found = n_header_bytes + len(values)
        found = f"{n_found} bytes, truncated" if len(values) < n_values else f"at least {n_found} bytes, with trailing bytes"
        raise refuse(path, found, announced, ADVICE)
    array = np.frombuffer(values, value_type).reshape(shape)
    return array if value_type == np.uint8 else array.astype(np.int64)


def _check_magic(header, path, n_dims, types):
    """Type and number of dimensions of the values."""
    magic = " or ".join(f"0x{UNSIGNED_BYTE << 8 | n:08x}" for n in n_dims)
    expected = f"magic number {magic} (unsigned bytes, {' or '.join(map(str, n_dims))} dimensions)"
    if len(header) < 4:
        raise refuse(path, f"a file with only {len(header)} bytes of content", expected, ADVICE)
    zero, value_type, found_dims = struct.unpack_from(">HBB", header)
    if zero == 0 and value_type in types and found_dims not in n_dims:
        raise refuse(
            path,
            f"{found_dims} dimension(s), magic number 0x{header[:4].hex()}",
            expected,
            "check that image and label files are not exchanged",
        )
    if zero != 0 or value_type not in types:
        raise refuse(path, f"magic number 0x{header[:4].hex()}", expected, ADVICE)
    return INTEGERS[value_type], found_dims


def _read_values(stream, n_values):
    """Read up to one byte more than `n_values`, growing with what is there.

    The extra byte shows trailing data, and asking for it makes gzip reach its end and
    compare the checksum.
    """
    values = bytearray()
    while len(values) <= n_values:
        chunk = stream.read(min(CHUNK_BYTES, n_values + 1 - len(values)))
        if not chunk:
            break
        values += chunk
    return values
