"""WAV files of 16-bit mono PCM, read with sizes that are compared with the file's own.

The standard library's reader believes a header's sizes, and before Python 3.12 knows no extensible format.
"""

import struct
import uuid

import numpy as np

from .files import open_regular, size_of
from .refusal import describe, refuse

EXPECTED = "16-bit mono PCM"
PCM, EXTENSIBLE = 0x0001, 0xFFFE
_PCM_GUID = uuid.UUID("00000001-0000-0010-8000-00aa00389b71").bytes_le
_OTHERS = {0x0002: "ADPCM", 0x0003: "floating point", 0x0006: "A-law", 0x0007: "mu-law", 0x0055: "MP3"}
# What programs that write into a pipe leave as size, because they cannot come back to it.
_STREAMED = (0, 0x7FFFFFFF, 0xFFFFFFFF)


def read_samples(path, sample_rate, max_samples):
    """Samples of a 16-bit mono file: float64 in [-1, 1).

    Parameters
    ----------
    path : str or Path
    sample_rate : int
        Samples per second that it must have.
    max_samples : int
        No more are read: of a longer recording one more than this, so that the caller sees that it is too long.

    Returns
    -------
    samples : float64 array
    n_samples : int
        Samples of the whole recording.

    Raises
    ------
    InputError
        Damaged, empty, cut off, no file, or of another kind, each in one line that names the file.
    """
    with open_regular(path, EXPECTED) as file:
        try:
            n_channels, n_bits, rate, n_bytes, n_there = _read_header(file, size_of(file))
        except (EOFError, ValueError, struct.error) as error:
            raise refuse(path, f"no readable WAV file ({describe(error)})", EXPECTED, "replace the file") from None
        except OSError as error:
            raise refuse(path, f"an unreadable file ({describe(error)})", EXPECTED, "replace the file") from None
        for found, expected, advice in (
            (f"{n_channels} channels", n_channels == 1 or "1 (mono)", "mix the channels"),
            (f"{n_bits}-bit samples", n_bits == 16 or "16-bit samples", "convert the file"),
            (f"{rate} samples per second", rate == sample_rate or f"{sample_rate}", "resample, or set sample_rate"),
            (f"{n_bytes // 2} samples", n_bytes >= 2 or "at least one", "remove the file"),
            (
                f"{n_there // 2} samples of {n_bytes // 2}",
                n_there == n_bytes and n_bytes % 2 == 0 or "all of them",
                "the file is cut off: replace it",
            ),
        ):
            if expected is not True:
                raise refuse(path, found, expected, advice)
        n_samples = n_bytes // 2
        data = file.read(2 * min(n_samples, max_samples + 1))
    return np.frombuffer(data, "<i2") / 32768.0, n_samples


def _read_header(file, n_file):
    """Read up to the first sample.

    Returns
    -------
    n_channels, n_bits, rate, n_bytes, n_there : int
        Bytes of samples that the header announces (of a streamed file: that are there), and how many of these are there.

    Raises
    ------
    EOFError, ValueError
        Cut within the header; something else.
    """
    magic, riff_bytes, form = struct.unpack("<4sI4s", _take(file, 12))
    if magic != b"RIFF" or form != b"WAVE":
        raise ValueError(f"it begins with {magic!r} and {form!r}, no RIFF and WAVE")
    form = None
    while True:
        name, n_bytes = struct.unpack("<4sI", _take(file, 8))
        n_left = n_file - file.tell()
        if name == b"data":
            if form is None:
                raise ValueError("samples before their format")
            is_streamed = n_bytes in _STREAMED and riff_bytes + 8 != n_file or n_bytes > 0x7FFF0000
            if is_streamed:
                n_bytes = n_left - n_left % 2
            return (*form, n_bytes, min(n_bytes, n_left))
        if n_bytes > n_left:
            raise EOFError(f"part {name!r} of {n_bytes} bytes, {n_left} are left")
        end = file.tell() + n_bytes + n_bytes % 2  # parts begin at even places
        if name == b"fmt ":
            form = _parse_format(file.read(min(n_bytes, 40)))
        file.seek(end)


def _parse_format(content):
    """(n_channels, n_bits, rate) of a format part."""
    if len(content) < 16:
        raise EOFError(f"a format of {len(content)} bytes, 16 are needed")
    code, n_channels, rate, _, block, n_bits = struct.unpack_from("<HHIIHH", content)
    if code == EXTENSIBLE:
        if len(content) < 40:
            raise EOFError(f"an extensible format of {len(content)} bytes, 40 are needed")
        inner = int.from_bytes(content[24:26], "little")
        code = PCM if content[24:40] == _PCM_GUID else EXTENSIBLE if inner == PCM else inner
    if code != PCM:
        raise ValueError(f"format {code:#06x}{f', {_OTHERS[code]}' if code in _OTHERS else ''}, no PCM")
    if block != n_channels * ((n_bits + 7) // 8):
        raise ValueError(f"{block} bytes for {n_channels} samples of {n_bits} bits")
    return n_channels, n_bits, rate


def _take(file, n):
    content = file.read(n)
    if len(content) < n:
        raise EOFError(f"the file ends in its header, after {file.tell()} bytes")
    return content
