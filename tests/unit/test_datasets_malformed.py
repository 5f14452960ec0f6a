"""Damaged and wrong data files: one line that names the file and the offending quantity."""

import gzip
import io
import struct
import tracemalloc
import zipfile

import numpy as np
import pytest

from neurosim.datasets import load_dataset
from neurosim.datasets.idx import encode_idx, read_idx
from neurosim.errors import InputError

X_TRAIN, Y_TRAIN = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"
X_TEST, Y_TEST = "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"


def images(n, rows=28, columns=28):
    return encode_idx(np.zeros((n, rows, columns), dtype=np.uint8))


def labels(*values):
    return encode_idx(np.array(values, dtype=np.uint8))


def header(*shape, magic=None):
    return struct.pack(f">I{len(shape)}I", 0x0800 | len(shape) if magic is None else magic, *shape)


def with_damaged_checksum(content):
    packed = bytearray(gzip.compress(content))
    packed[-8] ^= 0xFF
    return bytes(packed)


GOOD = {X_TRAIN: images(4), Y_TRAIN: labels(0, 1, 2, 9), X_TEST: images(2), Y_TEST: labels(3, 4)}

# (file that replaces the good one, content, what the message must name)
IDX_CASES = {
    "wrong magic": (X_TRAIN, b"PNG!" + images(4)[4:], ["0x504e4721", "0x00000803"]),
    "wrong element type": (X_TRAIN, header(4, 28, 28, magic=0x0D03) + bytes(3136), ["0x00000d03"]),
    "labels as images": (X_TRAIN, labels(0, 1, 2, 9), ["1 dimension(s)", "exchanged"]),
    "images as labels": (Y_TRAIN, images(4), ["3 dimension(s)", "0x00000801"]),
    "empty file": (X_TRAIN, b"", ["only 0 bytes"]),
    "magic cut": (Y_TEST, b"\0\0\x08", ["only 3 bytes"]),
    "header cut": (X_TEST, header(2, 28, 28)[:10], ["header of 10 bytes", "16 bytes"]),
    "truncated": (X_TRAIN, images(4)[:-1], ["3151 bytes, truncated", "3152 bytes"]),
    "trailing bytes": (Y_TRAIN, labels(0, 1, 2, 9) + b"x", ["13 bytes, with trailing", "12 bytes"]),
    "2**31 images": (X_TRAIN, header(2**31, 28, 28) + bytes(84), ["100 bytes", "2147483648"]),
    "2**96 values": (X_TRAIN, header(2**32 - 1, 2**32 - 1, 2**32 - 1), ["16 bytes", "4294967295"]),
    "gzip not gzip": (X_TRAIN, b"\x1f\x8b" + bytes(60), ["gzip", "62 bytes"]),
    "gzip cut": (X_TRAIN, gzip.compress(images(4))[:-5], ["gzip", "EOFError"]),
    "gzip checksum": (X_TRAIN, with_damaged_checksum(images(4)), ["gzip", "CRC"]),
    "gzip garbage after": (Y_TEST, gzip.compress(labels(3, 4)) + b"garbage", ["gzip"]),
    "gzip content cut": (X_TEST, gzip.compress(images(2)[:-3]), ["1581 bytes, truncated", "1584"]),
    "gzip content trailing": (X_TEST, gzip.compress(images(2) + b"xyz"), ["1585 bytes, with trail"]),
    "gzip 2**31 images": (X_TRAIN, gzip.compress(header(2**31, 28, 28)), ["2147483648"]),
    "counts differ": (Y_TRAIN, labels(0, 1, 2), ["3 labels", "4, one for each"]),
    "test counts differ": (X_TEST, images(3), ["2 labels", "3, one for each"]),
    "label out of range": (Y_TEST, labels(3, 10), ["label 10 at position 1", "0 to 9"]),
    "no images": (X_TEST, images(0), ["empty", "(0, 28, 28)"]),
    "no pixels": (X_TEST, images(2, rows=0), ["(0, 28)", "(28, 28)"]),
    "other image size": (X_TEST, images(2, 14, 56), ["(14, 56)", "(28, 28)"]),
}


def assert_one_line(caught, *parts):
    message = str(caught.value)
    assert "\n" not in message and len(message) < 500
    for part in parts:
        assert part in message, message


@pytest.mark.parametrize("case", IDX_CASES)
def test_malformed_idx(tmp_path, case):
    name, content, parts = IDX_CASES[case]
    for file_name, good in GOOD.items():
        (tmp_path / file_name).write_bytes(good)
    assert load_dataset("mnist", data_dir=tmp_path).n_train == 4  # the surroundings are good
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_dataset("mnist", data_dir=tmp_path)
    assert_one_line(caught, str(tmp_path / name), *parts)


def test_folder_without_pixels(tmp_path):
    for file_name, good in (GOOD | {X_TRAIN: images(4, rows=0)}).items():
        (tmp_path / file_name).write_bytes(good)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path)
    assert_one_line(caught, X_TRAIN, "empty", "(4, 0, 28)")


def test_folder_where_train_and_test_differ(tmp_path):
    for file_name, good in (GOOD | {X_TEST: images(2, 14, 14)}).items():
        (tmp_path / file_name).write_bytes(good)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path)
    assert_one_line(caught, X_TEST, "(14, 14)", "(28, 28)")


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("n_images", [2**31, 1_000])
def test_header_does_not_allocate(tmp_path, compress, n_images):
    """1000 images pass the ratio check of gzip; memory still follows the bytes that are there."""
    path = tmp_path / "file"
    path.write_bytes(compress(header(n_images, 1000, 10) + bytes(20_000)))
    tracemalloc.start()
    try:
        with pytest.raises(InputError):
            read_idx(path, 3)
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


# --- NPZ ---------------------------------------------------------------------------------

FLOATS = np.linspace(0, 1, 12).reshape(4, 3)
GOOD_NPZ = {
    "x_train": FLOATS,
    "y_train": np.array([0, 1, 2, 1]),
    "x_test": FLOATS[:2],
    "y_test": np.array([1, 2]),
}


def floats_with(value, row, column):
    x = FLOATS.copy()
    x[row, column] = value
    return x


# (array that is replaced, its value or None to leave it out, what the message must name)
NPZ_CASES = {
    "missing key": ("y_test", None, ["no array y_test", "x_train, y_train, x_test"]),
    "object array": ("x_train", np.array([[1], [2], [3], None], dtype=object), ["object array"]),
    "nan": ("x_train", floats_with(np.nan, 2, 1), ["nan", "(2, 1)"]),
    "infinity": ("x_train", floats_with(-np.inf, 0, 2), ["-inf", "(0, 2)"]),
    "beyond float32": ("x_train", floats_with(1e300, 3, 0), ["1e+300", "(3, 0)"]),
    "nan in test": ("x_test", np.full((2, 3), np.nan), ["nan", "(0, 0)"]),
    "int64 samples": ("x_train", np.ones((4, 3), dtype=np.int64), ["int64", "uint8"]),
    "bool samples": ("x_test", np.ones((2, 3), dtype=bool), ["bool"]),
    "complex samples": ("x_train", FLOATS + 1j, ["complex128"]),
    "text samples": ("x_train", np.full((4, 3), "a"), ["<U1"]),
    "bytes and floats": ("x_test", np.ones((2, 3), dtype=np.uint8), ["uint8", "float64"]),
    "lengths differ": ("y_train", np.array([0, 1, 2]), ["3 labels", "4, one for each"]),
    "negative label": ("y_test", np.array([1, -2]), ["label -2 at position 1", "0 to 2"]),
    "all labels negative": ("y_train", np.full(4, -1), ["label -1 at position 0"]),
    "test label unknown": ("y_test", np.array([1, 3]), ["label 3 at position 1", "0 to 2"]),
    "identifiers as labels": ("y_train", np.array([0, 1, 2, 2**40]), [str(2**40), "position 3"]),
    "huge unsigned label": ("y_train", np.array([0, 1, 2, 2**64 - 1], dtype=np.uint64), [str(2**64 - 1)]),
    "one class": ("y_train", np.zeros(4, dtype=int), ["only one class"]),
    "float labels": ("y_train", np.array([0.0, 1, 2, 1]), ["float64", "astype"]),
    "one-hot labels": ("y_train", np.eye(4, dtype=int), ["2 dimensions", "argmax"]),
    "scalar label": ("y_test", np.array(1), ["0 dimensions"]),
    "feature counts differ": ("x_test", FLOATS[:2, :2], ["(2,)", "(3,)"]),
    "image shapes differ": ("x_test", np.ones((2, 3, 1)), ["(3, 1)", "(3,)"]),
    "one dimension": ("x_train", np.ones(4), ["1 dimension(s)"]),
    "no samples": ("x_test", np.ones((0, 3)), ["empty", "(0, 3)"]),
    "no features": ("x_train", np.ones((4, 0)), ["empty", "(4, 0)"]),
    "record array": ("y_test", np.zeros(2, dtype=[("a", "i4")]), ["'a'"]),
}


@pytest.mark.parametrize("case", NPZ_CASES)
def test_malformed_npz(tmp_path, case):
    key, value, parts = NPZ_CASES[case]
    arrays = GOOD_NPZ | {key: value}
    path = tmp_path / "data.npz"
    np.savez(path, **{k: v for k, v in arrays.items() if v is not None})
    with pytest.raises(InputError) as caught:
        load_dataset(str(path))
    assert_one_line(caught, str(path), key, *parts)


def npz_bytes(**arrays):
    buffer = io.BytesIO()
    np.savez(buffer, **(GOOD_NPZ | arrays))
    return buffer.getvalue()


def zip_bytes(member, compression=zipfile.ZIP_STORED):
    """An archive whose x_train entry is `member`, byte for byte."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("x_train.npy", member)
    return buffer.getvalue()


def npy_header(shape, dtype="<f4"):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text


NPZ_FILES = {
    "not a zip": (b"x_train,y_train\n1,2\n", ["BadZipFile"]),
    "empty": (b"", ["BadZipFile"]),
    "npy instead": (npy_header((1, 1)) + bytes(4), ["BadZipFile"]),
    "cut": (npz_bytes()[:-30], ["BadZipFile"]),
    "empty zip": (b"PK\x05\x06" + bytes(18), ["no array x_train", "none"]),
    "member is no npy": (zip_bytes(b"hello, this is no array"), ["magic string"]),
    "2**40 samples": (zip_bytes(npy_header((2**40, 784))), [str(2**40)]),
    "2**40 samples, packed": (zip_bytes(npy_header((2**40, 784)), zipfile.ZIP_DEFLATED), [str(2**40)]),
    "shape overflows": (zip_bytes(npy_header((2**62, 2**62)) + bytes(64)), [str(2**62)]),
    "negative shape": (zip_bytes(npy_header((-4, -3)) + bytes(48)), ["(-4, -3)"]),
    "array cut": (zip_bytes(npy_header((4, 3)) + bytes(47)), ["(4, 3)"]),
    "array too long": (zip_bytes(npy_header((4, 3)) + bytes(49)), ["(4, 3)"]),
    "npy version 3": (zip_bytes(b"\x93NUMPY\x03\x00" + bytes(60)), ["version (3, 0)"]),
    "unknown type": (zip_bytes(npy_header((4, 3), "<q9") + bytes(48)), ["q9"]),
}


@pytest.mark.parametrize("case", NPZ_FILES)
def test_damaged_npz(tmp_path, case):
    content, parts = NPZ_FILES[case]
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    tracemalloc.start()
    try:
        with pytest.raises(InputError) as caught:
            load_dataset(str(path))
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()
    assert_one_line(caught, str(path), *parts)


def test_npz_checksum(tmp_path):
    """One flipped bit in the numbers gives no other error than the checksum."""
    content = bytearray(npz_bytes())
    at = content.index(FLOATS.tobytes()) + 5
    content[at] ^= 1
    path = tmp_path / "data.npz"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_dataset(path)
    assert_one_line(caught, str(path), "CRC-32")


def test_paths_that_are_no_files(tmp_path):
    (tmp_path / "folder.npz").mkdir()
    for name, found in (("missing.npz", "no such file"), ("folder.npz", "a folder")):
        with pytest.raises(InputError) as caught:
            load_dataset(tmp_path / name)
        assert_one_line(caught, name, found)
    for name in ("nul\0byte", "nul\0byte.npz", "long" * 2000, "two\nlines", str(tmp_path / "no")):
        with pytest.raises(InputError) as caught:
            load_dataset(name)
        assert "\n" not in str(caught.value)


def test_line_break_in_path_stays_one_line(tmp_path):
    folder = tmp_path / "two\nlines"
    folder.mkdir()
    (folder / X_TRAIN).write_bytes(b"")
    with pytest.raises(InputError) as caught:
        load_dataset(folder)
    assert_one_line(caught, Y_TRAIN)


@pytest.mark.parametrize("kind", ["idx", "gzip", "npz", "npz packed"])
def test_random_damage_never_escapes(tmp_path, kind):
    """Flipped bytes and cuts: either the file still loads or one line says why not."""
    rng = np.random.default_rng(5)
    pixels = encode_idx(rng.integers(0, 256, (3, 4, 5), dtype=np.uint8))
    packed = io.BytesIO()
    np.savez_compressed(packed, **GOOD_NPZ)
    content = {
        "idx": pixels,
        "gzip": gzip.compress(pixels),
        "npz": npz_bytes(),
        "npz packed": packed.getvalue(),
    }[kind]
    path = tmp_path / "data.npz"
    n_refused = 0
    for _ in range(300):
        damaged = bytearray(content[: rng.integers(1, len(content) + 1)] if rng.random() < 0.2 else content)
        for position in rng.integers(0, len(damaged), rng.integers(1, 4)):
            damaged[position] = rng.integers(0, 256)
        path.write_bytes(damaged)
        try:
            read_idx(path, 3) if "npz" not in kind else load_dataset(path)
        except InputError as error:
            assert "\n" not in str(error) and "data.npz" in str(error)
            n_refused += 1
    assert n_refused > 30  # something was really damaged
