"""The IDX file format of MNIST: big-endian header, then one unsigned byte per value.

A header is believed only as far as the file's size allows: memory grows with the bytes
that are really there, never with the dimensions that a damaged header announces.
"""

import gzip
import math
import os
import struct
import zlib
from pathlib import Path

import numpy as np

from .refusal import describe, refuse

UNSIGNED_BYTE = 0x08
GZIP_MAGIC = b"\x1f\x8b"
# DEFLATE codes at most 258 bytes in 2 bits, so no gzip file unpacks to more than this.
MAX_DEFLATE_RATIO = 1032
CHUNK_BYTES = 1 << 20
ADVICE = "get the file again (MNIST: delete it, then `neurosim data fetch mnist`)"


def read_idx(path, n_dims):
    """Read an IDX file of unsigned bytes, plain or gzip.

    Parameters
    ----------
    path : str or Path
        The file. Its first bytes tell gzip from plain, not its name: browsers unpack
        files and leave the `.gz`.
    n_dims : int
        Number of dimensions that the file must have (3 for images, 1 for labels).

    Returns
    -------
    uint8 array, shape as in the header
        C-contiguous and writable.

    Raises
    ------
    InputError
        Unreadable file, damaged gzip data, wrong magic number or number of dimensions,
        fewer or more bytes than the header announces.
    """
    path = Path(path)
    try:
        with open(path, "rb") as raw:
            n_file_bytes = os.fstat(raw.fileno()).st_size
            is_gzip = raw.read(len(GZIP_MAGIC)) == GZIP_MAGIC
            raw.seek(0)
            if not is_gzip:
                return _read_stream(raw, path, n_dims, n_file_bytes, is_gzip)
            with gzip.GzipFile(fileobj=raw) as stream:
                return _read_stream(stream, path, n_dims, n_file_bytes, is_gzip)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise refuse(
            path,
            f"damaged or truncated gzip data ({describe(error)}) in {n_file_bytes} bytes",
            "a complete gzip file",
            ADVICE,
        ) from error
    except (OSError, MemoryError) as error:
        raise refuse(
            path, f"an unreadable file ({describe(error)})", "a readable IDX file", ADVICE
        ) from error


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
    header = struct.pack(
        f">BBBB{array.ndim}I", 0, 0, UNSIGNED_BYTE, array.ndim, *array.shape
    )
    return header + array.tobytes()


def _read_stream(stream, path, n_dims, n_file_bytes, is_gzip):
    n_header_bytes = 4 + 4 * n_dims
    header = stream.read(n_header_bytes)
    _check_magic(header, path, n_dims)
    if len(header) < n_header_bytes:
        raise refuse(
            path, f"a header of {len(header)} bytes", f"{n_header_bytes} bytes", ADVICE
        )
    shape = struct.unpack_from(f">{n_dims}I", header, 4)
    n_values = math.prod(shape)  # Python integers: 2**32 * 2**32 does not overflow
    announced = f"{n_header_bytes + n_values} bytes, as its header announces with shape {shape}"

    if not is_gzip and n_file_bytes != n_header_bytes + n_values:
        kind = "truncated" if n_file_bytes < n_header_bytes + n_values else "with trailing bytes"
        raise refuse(path, f"a file of {n_file_bytes} bytes, {kind}", announced, ADVICE)
    if is_gzip and n_values > MAX_DEFLATE_RATIO * n_file_bytes:
        raise refuse(
            path, f"a gzip file of {n_file_bytes} bytes, too small to hold it", announced, ADVICE
        )
    values = _read_values(stream, n_values)
    if len(values) != n_values:
        n_found = n_header_bytes + len(values)
        found = (
            f"{n_found} bytes, truncated"
            if len(values) < n_values
            else f"at least {n_found} bytes, with trailing bytes"
        )
        raise refuse(path, found, announced, ADVICE)
    return np.frombuffer(values, dtype=np.uint8).reshape(shape)


def _check_magic(header, path, n_dims):
    expected = f"magic number 0x{UNSIGNED_BYTE << 8 | n_dims:08x} (unsigned bytes, {n_dims} dimensions)"
    if len(header) < 4:
        raise refuse(path, f"a file with only {len(header)} bytes of content", expected, ADVICE)
    zero, value_type, found_dims = struct.unpack_from(">HBB", header)
    if zero == 0 and value_type == UNSIGNED_BYTE and found_dims != n_dims:
        raise refuse(
            path,
            f"{found_dims} dimension(s), magic number 0x{header[:4].hex()}",
            expected,
            "check that image and label files are not exchanged",
        )
    if zero != 0 or value_type != UNSIGNED_BYTE:
        raise refuse(path, f"magic number 0x{header[:4].hex()}", expected, ADVICE)


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
