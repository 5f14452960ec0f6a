"""Data as they are found: labels of any kind, files under other names and headers, and what must not be believed."""

import importlib
import os
import signal
import socket
import struct
import time
import tracemalloc
import zipfile
import zlib
from contextlib import contextmanager

import numpy as np
import pytest
from conftest import write_wav

from neurosim.datasets import SpeechFeatures, dataset_shape, load_dataset
from neurosim.datasets.idx import encode_idx
from neurosim.errors import InputError
from neurosim.results import read_record

RNG = np.random.default_rng(0)
MANY = 300_000_000


@contextmanager
def within(seconds):
    """Fail, rather than hang, when the block takes longer."""

    def stop(number, frame):
        raise TimeoutError(f"more than {seconds} s")

    previous = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


def refused(path, **options):
    """The one line by which a data set is refused, without hanging or filling the memory."""
    tracemalloc.start()
    try:
        with within(5), pytest.raises(InputError) as caught:
            load_dataset(path, **options)
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    message = str(caught.value)
    assert "\n" not in message and len(message) < 700
    return message


# --- Labels ------------------------------------------------------------------------------


def save(path, labels, n_test=20, **arrays):
    labels = np.asarray(labels)
    n = len(labels)
    x = RNG.integers(0, 60, (n, 4, 4), dtype=np.uint8)
    np.savez(path, **{"x_train": x, "y_train": labels, "x_test": x[:n_test], "y_test": labels[:n_test], **arrays})
    return path


LABELS = {
    "from 1": ([1, 2, 3] * 20, (1, 2, 3), "labels 1 to 3 are classes 0 to 2"),
    "gaps": ([0, 4, 8] * 20, (0, 4, 8), "labels 0, 4, 8 are classes 0 to 2"),
    "minus and plus one": ([-1, 1] * 30, (-1, 1), "labels -1, 1 are classes 0, 1"),
    "words": (["cat", "dog", "ant"] * 20, ("ant", "cat", "dog"), "labels ant, cat, dog are classes 0 to 2"),
    "bytes of words": (np.array([b"no", b"yes"] * 30), ("no", "yes"), "labels no, yes are classes 0, 1"),
    "truth": ([False, True] * 30, (False, True), "labels False, True are classes 0, 1"),
    "small unsigned": (np.array([250, 255] * 30, np.uint8), (250, 255), "labels 250, 255 are classes 0, 1"),
    "a column": (np.array([[1], [0]] * 30), (0, 1), None),
}


@pytest.mark.parametrize("case", LABELS)
def test_labels_are_mapped_and_said(tmp_path, case):
    labels, classes, note = LABELS[case]
    data = load_dataset(save(tmp_path / "data.npz", labels))
    assert data.n_classes == len(classes) == len(set(data.y_train)) and data.classes == classes
    assert data.class_names == tuple(map(str, classes))
    found = np.array(data.classes)[data.y_train]
    assert (found.astype(str) == np.ravel(labels).astype(found.dtype).astype(str)).all()
    assert list(data.notes) == ([] if note is None else [note])
    # What `check` places is what `run` trains.
    assert dataset_shape(tmp_path / "data.npz") == data.shape


def test_labels_of_recordings_are_mapped(tmp_path):
    for label in ("no", "yes"):
        for index in range(7):
            write_wav(tmp_path / f"{label}_ann_{index}.wav", RNG.integers(-9000, 9000, 900, dtype=np.int16))
    data = load_dataset(tmp_path)
    assert data.classes == ("no", "yes") and dataset_shape(tmp_path).n_classes == 2


def test_classes_that_a_known_set_promises_and_lacks_are_said(tmp_path):
    for name, content in (("train", [0, 1, 2, 0]), ("t10k", [0, 1])):
        (tmp_path / f"{name}-images-idx3-ubyte").write_bytes(encode_idx(np.full((len(content), 28, 28), 200)))
        (tmp_path / f"{name}-labels-idx1-ubyte").write_bytes(encode_idx(np.array(content)))
    notes = load_dataset("mnist", data_dir=tmp_path).notes
    assert notes[0] == "no training sample of 7 of 10 classes: 3 to 9"


@pytest.mark.parametrize("limit", [10, 3])
def test_a_limit_of_sorted_data_takes_every_class(tmp_path, limit):
    data = load_dataset(save(tmp_path / "data.npz", np.sort([0, 1, 1, 2, 2, 2] * 10), n_test=60), limit=limit)
    assert data.n_train == data.n_test == limit
    assert np.bincount(data.y_train).tolist() == ([2, 3, 5] if limit == 10 else [1, 1, 1])
    assert any("lack classes" in note for note in data.notes)


def test_a_limit_that_has_every_class_keeps_the_first_samples(tmp_path):
    path = save(tmp_path / "data.npz", [0, 1, 2] * 20)
    data = load_dataset(path, limit=10)
    np.testing.assert_array_equal(data.x_train, load_dataset(path).x_train[:10])
    assert not data.notes


def test_advice_on_labels(tmp_path):
    path = tmp_path / "data.npz"
    assert "argmax" in refused(save(path, np.eye(3, dtype=int)[[0, 1, 2] * 20]))
    for labels in (np.array([[0, 0], [1, 0]] * 30), np.full((60, 3), 0.33)):
        assert "argmax" not in refused(save(path, labels))
    assert "no class" in refused(save(path, np.linspace(0, 1, 60)))


@pytest.mark.parametrize("dtype", ["uint16", "int32"])
def test_advice_on_wide_images(tmp_path, dtype):
    """uint8 would cut them off: what is divided by must be said."""
    x = RNG.integers(0, 2000, (60, 16)).astype(dtype)
    message = refused(save(tmp_path / "data.npz", [0, 1] * 30, x_train=x, x_test=x[:20]))
    assert dtype in message and f"x / {np.iinfo(dtype).max}" in message


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda x: x.astype(np.float32), ["0 to 255", "standardize", "divide by 255"]),
        (lambda x: -100.0 * x, ["-2.55e+04", "standardize"]),
        (lambda x: (x > 100).astype(np.uint8), ["0.00392", "as float32"]),
    ],
    ids=["float images", "large", "bytes of 0 and 1"],
)
def test_values_far_from_one_are_said(tmp_path, make, said):
    x = RNG.integers(0, 256, (60, 16))
    x[0, :2] = 0, 255
    path = save(tmp_path / "data.npz", [0, 1] * 30, x_train=make(x), x_test=make(x[:20]))
    (note,) = load_dataset(path).notes
    assert all(word in note for word in said), note


def test_values_near_one_are_not_said(tmp_path):
    x = RNG.normal(size=(60, 16))
    for values in (x, (255 * np.abs(x) / 5).astype(np.uint8)):
        assert not load_dataset(save(tmp_path / "data.npz", [0, 1] * 30, x_train=values, x_test=values[:20])).notes


# --- IDX ---------------------------------------------------------------------------------

X = RNG.integers(0, 256, (60, 4, 4), dtype=np.uint8)
Y = np.array([0, 1, 2] * 20, np.uint8)


def idx_of(array, code=0x08):
    array = np.asarray(array)
    header = struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
    return header + array.astype({0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4"}[code]).tobytes()


def write_idx(folder, names, x=X, y=Y, code=0x08):
    for part, stop in (("train", 60), ("test", 20)):
        for what, array in (("images", idx_of(x[:stop])), ("labels", idx_of(y[:stop], code))):
            path = folder / names(part, what)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(array)


def usual(part, what):
    return f"{'t10k' if part == 'test' else 'train'}-{what}-idx{3 if what == 'images' else 1}-ubyte"


def of_qmnist(part, what):
    return f"qmnist-{part}-{what}-idx{'3-ubyte' if what == 'images' else '2-int'}"


# (names of the files, labels, code of their type, what names the data set)
IDX = {
    "int32 labels": (usual, Y, 0x0C, ""),
    "int16 labels": (usual, Y, 0x0B, ""),
    "a folder for each file": (
        lambda part, what: f"{usual(part, what).replace('-idx', '.idx')}/{usual(part, what).replace('-idx', '.idx')}",
        Y,
        8,
        "",
    ),
    "torchvision": (lambda part, what: f"MNIST/raw/{usual(part, what)}", Y, 8, ""),
    "raw": (lambda part, what: f"raw/{usual(part, what)}", Y, 8, "raw"),
    "a dataset's folder of torchvision": (lambda part, what: f"raw/{usual(part, what)}", Y, 8, ""),
    "emnist": (lambda part, what: f"emnist-letters-{usual(part, what)}".replace("t10k", "test"), Y, 8, ""),
    "emnist by its name": (lambda part, what: f"emnist-letters-{usual(part, what)}".replace("t10k", "test"), Y, 8, "emnist-letters"),
    "qmnist": (of_qmnist, np.column_stack([Y] + [np.arange(60)] * 7), 0x0C, ""),
    "test": (lambda part, what: usual(part, what).replace("t10k", "test"), Y, 8, ""),
}


@pytest.mark.parametrize("case", IDX)
def test_idx_layouts(tmp_path, case):
    names, y, code, place = IDX[case]
    write_idx(tmp_path / "mine", names, y=y, code=code)
    # What macOS leaves beside every file is no file of the set.
    for path in list((tmp_path / "mine").rglob("*ubyte")):
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7")
    data = load_dataset(tmp_path / "mine" / place)
    np.testing.assert_array_equal(data.x_train, X.reshape(60, 16))
    np.testing.assert_array_equal(data.y_test, Y[:20])
    assert data.n_classes == 3 and dataset_shape(tmp_path / "mine" / place) == data.shape


def test_idx_colours(tmp_path):
    write_idx(tmp_path, usual, x=RNG.integers(0, 256, (60, 4, 4, 3), dtype=np.uint8))
    assert load_dataset(tmp_path).image_shape == (4, 4, 3)


def test_several_idx_sets_in_one_folder(tmp_path):
    for name in ("letters", "digits"):
        write_idx(tmp_path, lambda part, what, name=name: f"emnist-{name}-{usual(part, what)}".replace("t10k", "test"))
    message = refused(tmp_path)
    assert "emnist-digits, emnist-letters" in message and f"{tmp_path}/emnist-digits" in message
    assert load_dataset(tmp_path / "emnist-digits").n_train == 60
    (tmp_path / "emnist-digits-test-labels-idx1-ubyte").unlink()
    assert "no emnist-digits-t10k-labels" in refused(tmp_path / "emnist-digits")


def test_a_known_set_is_found_where_torchvision_leaves_it(tmp_path, monkeypatch):
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    write_idx(tmp_path, lambda part, what: f"MNIST/raw/{usual(part, what)}", x=np.zeros((60, 28, 28), np.uint8))
    assert load_dataset("mnist", data_dir=tmp_path).n_train == 60


# --- WAV ---------------------------------------------------------------------------------

TONE = (8000 * np.sin(np.arange(1200) / 5)).astype(np.int16)


def wav_bytes(samples=TONE, *, code=1, rate=8000, riff=None, data=None, before=b"", after=b""):
    """A WAV file made by hand: what its header says may differ from what it holds."""
    content = samples.tobytes()
    form = struct.pack("<HHIIHH", code, 1, rate, 2 * rate, 2, 16)
    if code == 0xFFFE:
        form += struct.pack("<HHI", 22, 16, 4) + bytes.fromhex("0100000000001000800000aa00389b71")
    parts = b"fmt " + struct.pack("<I", len(form)) + form + before
    parts += b"data" + struct.pack("<I", len(content) if data is None else data) + content + after
    return b"RIFF" + struct.pack("<I", 4 + len(parts) if riff is None else riff) + b"WAVE" + parts


def write_words(folder, content=None, name="1_ann_5.wav", indices=range(7)):
    """Two words, seven recordings each; one of them is replaced."""
    folder.mkdir(exist_ok=True)
    for label in (0, 1):
        for index in indices:
            (folder / f"{label}_ann_{index}.wav").write_bytes(wav_bytes(TONE[label * 100 :]))
    if content is not None:
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize(
    "options",
    [
        {"code": 0xFFFE},
        {"riff": 0, "data": 0},
        {"riff": 0xFFFFFFFF, "data": 0xFFFFFFFF},
        {"riff": 0x7FFFFFFF, "data": 0x7FFFFFFF},
        {"riff": 0xFFFFFFFF, "data": 0xFFFFFFFF - 36},
        {"before": b"LIST\x05\0\0\0INFOx\0"},
        {"after": b"LIST\x04\0\0\0INFO"},
        {"riff": 12},
    ],
    ids=["extensible", "streamed 0", "streamed all ones", "streamed 31 bits", "streamed less header", "odd part", "part behind", "size of the whole"],
)
def test_wav_headers(tmp_path, options):
    plain = load_dataset(write_words(tmp_path / "words", wav_bytes()))
    other = load_dataset(write_words(tmp_path / "words", wav_bytes(**options)))
    assert plain.sha256 == other.sha256


def test_upper_case_counts_and_hidden_files_do_not(tmp_path):
    folder = write_words(tmp_path / "words")
    plain = load_dataset(folder)
    for index in range(7):
        (folder / f"0_ann_{index}.wav").rename(folder / f"0_ann_{index}.WAV")
        (folder / f"._0_ann_{index}.wav").write_bytes(b"\0\5\x16\7")
    (folder / ".DS_Store").write_bytes(b"\0")
    assert load_dataset(folder).sha256 == plain.sha256
    (tmp_path / "DATA.NPZ").write_bytes(save(tmp_path / "data.npz", [0, 1] * 30).read_bytes())
    assert load_dataset(tmp_path / "DATA.NPZ").n_train == 60


def test_recordings_of_other_formats_are_said(tmp_path):
    folder = write_words(tmp_path / "words")
    (folder / "1_bob_5.flac").write_bytes(b"fLaC")
    assert load_dataset(folder).notes == dataset_shape(folder).notes == ("1 file is no WAV and not read, such as 1_bob_5.flac: convert it",)


WAV = {
    "header cut by three bytes": (wav_bytes()[:30] + wav_bytes()[33:], ["1_ann_5.wav"]),
    "floating point": (wav_bytes(code=3), ["floating point"]),
    "extensible floating point": (
        wav_bytes(code=0xFFFE).replace(bytes.fromhex("0100000000001000"), bytes.fromhex("0300000000001000")),
        ["floating point"],
    ),
    "mu-law": (wav_bytes(code=7), ["mu-law"]),
    "no format": (b"RIFF\x64\0\0\0WAVEdata\x04\0\0\0abcd", ["before their format"]),
    "a format of 2 GB": (b"RIFF\x64\0\0\0WAVEfmt \0\0\0\x80abcd", ["fmt"]),
    "big-endian": (b"RIFX" + wav_bytes()[4:], ["RIFX"]),
    "64 bit": (b"RF64" + wav_bytes()[4:], ["RF64"]),
    "half a sample": (wav_bytes(riff=0)[:-1], ["cut off"]),
    "empty": (b"", ["EOFError"]),
}


@pytest.mark.parametrize("case", WAV)
def test_damaged_wav(tmp_path, case):
    content, words = WAV[case]
    message = refused(write_words(tmp_path / "words", content))
    assert all(word in message for word in ("1_ann_5.wav", *words)), message


def test_a_recording_of_hours_is_refused_by_its_header(tmp_path):
    folder = write_words(tmp_path / "words", wav_bytes(data=MANY, riff=MANY + 36))
    os.truncate(folder / "1_ann_5.wav", MANY + 44)  # a file with holes
    assert "at most 100 (max_steps)" in refused(folder)


# --- What is no file, and what is too large ----------------------------------------------


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def connection(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(path))


@pytest.mark.parametrize("make", [pipe, device, connection])
@pytest.mark.parametrize("name", ["data.npz", "data.csv", "data.parquet", "data", "words/1_ann_5.wav", "words/1_bob_5.wav", "idx"])
def test_what_is_no_file_is_refused_at_once(tmp_path, monkeypatch, name, make):
    monkeypatch.chdir(tmp_path)
    path, place = tmp_path / name, tmp_path / name
    if "words" in name:
        place = write_words(tmp_path / "words")
        path.unlink(missing_ok=True)
    if name == "idx":
        write_idx(place, usual)
        path = place / usual("train", "images")
        path.unlink()
    make(path)
    message = refused(place)
    kinds = {pipe: "a named pipe", device: "a device", connection: "a socket"}
    assert kinds[make] in message or name == "idx" and "no train-images" in message, message
    if "words" not in name:
        with within(5), pytest.raises(InputError):
            assert dataset_shape(place) is not None


def test_a_pipe_as_result_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "result.json")
    with within(5), pytest.raises(InputError, match="a pipe or a device, not a file"):
        read_record(tmp_path)


def npy_start(shape, dtype="|u1", version=1, announced=None):
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = struct.pack("<H" if version == 1 else "<I", len(text) if announced is None else announced)
    return b"\x93NUMPY" + bytes([version, 0]) + size + text


def write_zip(path, members, kind=zipfile.ZIP_DEFLATED):
    """Members are (beginning, how many zeros follow)."""
    with zipfile.ZipFile(path, "w", kind, compresslevel=1) as archive:
        for name, (start, n_zeros) in members.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as stream:
                stream.write(start)
                for first in range(0, n_zeros, 1 << 20):
                    stream.write(bytes(min(1 << 20, n_zeros - first)))
    return path


BOMBS = {
    "a bomb": {"x_train": (npy_start((MANY // 100, 100)), MANY), "y_train": (npy_start((MANY // 100,)), MANY // 100)},
    "labels of another number": {"x_train": (npy_start((MANY // 100, 100)), MANY), "y_train": (npy_start((5,)), 5)},
    "no labels": {"x_train": (npy_start((MANY // 100, 100)), MANY)},
    "samples of a type that is refused": {
        "x_train": (npy_start((MANY // 800, 100), "<i8"), MANY // 1),
        "y_train": (npy_start((MANY // 800,)), MANY // 800),
    },
    "a header of 4 GB": {"x_train": (npy_start((4, 4), version=2, announced=MANY), MANY)},
    "one feature in all bytes": {"x_train": (npy_start((1, MANY)), MANY), "y_train": (npy_start((1,)), 1)},
}


@pytest.mark.parametrize("case", BOMBS)
def test_npz_bombs(tmp_path, case):
    path = write_zip(tmp_path / "data.npz", BOMBS[case])
    assert path.stat().st_size < 4_000_000
    assert str(path) in refused(path)


@pytest.mark.parametrize("kind", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compressions_are_refused(tmp_path, kind):
    path = tmp_path / "data.npz"
    with zipfile.ZipFile(path, "w", kind) as archive:
        archive.writestr("x_train.npy", npy_start((4, 4)) + bytes(16))
    assert "DEFLATE" in refused(path)


def test_a_packed_idx_bomb(tmp_path):
    write_idx(tmp_path, usual)
    (tmp_path / usual("train", "images")).unlink()
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    content = packer.compress(struct.pack(">IIII", 0x803, MANY // 100, 10, 10))
    content += b"".join(packer.compress(bytes(1 << 20)) for _ in range(MANY >> 20)) + packer.flush()
    (tmp_path / f"{usual('train', 'images')}.gz").write_bytes(content)
    assert "bytes of content" in refused(tmp_path)


# --- Mutations ---------------------------------------------------------------------------


def mutate(content, rng):
    """Some bytes changed, cut, removed, doubled or replaced by sizes that programs fear; mostly near the beginning or the end."""
    content = bytearray(content)
    for _ in range(rng.integers(1, 4)):
        near = int(min(rng.exponential(60), len(content) - 1))
        place = near if rng.random() < 0.6 else len(content) - 1 - near
        match rng.integers(6):
            case 0:
                content[place] = rng.integers(256)
            case 1:
                content[place : place + 4] = int(rng.choice([0, 1, 2**16, 2**31 - 1, 2**31, 2**32 - 1])).to_bytes(4, "little")
            case 2:
                del content[place : place + int(rng.integers(1, 9))]
            case 3:
                content[place:place] = content[place : place + int(rng.integers(1, 40))]
            case 4:
                content[place] ^= 1 << int(rng.integers(8))
            case 5:
                del content[int(rng.integers(1, len(content))) :]
        if not content:
            break
    return bytes(content)


def mutated_npz(folder, rng):
    path = folder / "data.npz"
    if not path.exists():
        x = rng.normal(size=(20, 3)).astype(np.float32)
        y = np.array([1, 2] * 10)
        np.savez_compressed(path, x_train=x, y_train=y, x_test=x, y_test=y)
        path.rename(folder / "packed")
        np.savez(path, x_train=x, y_train=y, x_test=x, y_test=y.astype(str))
        path.rename(folder / "plain")
    path.write_bytes(mutate((folder / ("packed" if rng.random() < 0.5 else "plain")).read_bytes(), rng))
    return path


def mutated_idx(folder, rng):
    write_idx(folder / "idx", usual, code=int(rng.choice([8, 9, 11, 12])))
    path = folder / "idx" / usual(rng.choice(["train", "test"]), rng.choice(["images", "labels"]))
    content = path.read_bytes()
    if rng.random() < 0.5:
        packer = zlib.compressobj(6, zlib.DEFLATED, 31)
        content = packer.compress(content) + packer.flush()
    path.write_bytes(mutate(content, rng))
    return folder / "idx"


def mutated_wav(folder, rng):
    options = [{}, {"code": 0xFFFE}, {"riff": 0, "data": 0}, {"before": b"LIST\x05\0\0\0INFOx\0"}][rng.integers(4)]
    return write_words(folder / "words", mutate(wav_bytes(TONE[:600], **options), rng), indices=(0, 5))


@pytest.mark.parametrize("make", [mutated_npz, mutated_idx, mutated_wav])
def test_300_mutated_files(tmp_path, make):
    """Each is read, or refused in one line, in no time and little memory."""
    rng, n_refused = np.random.default_rng(16), 0
    importlib.import_module("scipy.signal")  # takes seconds while memory is traced
    speech = SpeechFeatures(bands=4) if make is mutated_wav else None
    tracemalloc.start()
    try:
        for _ in range(300):
            place = make(tmp_path, rng)
            began = time.monotonic()
            try:
                with within(5):
                    load_dataset(place, speech=speech)
            except InputError as error:
                assert "\n" not in str(error) and str(place) in str(error) and len(str(error)) < 700
                n_refused += 1
            assert time.monotonic() - began < 5
        assert tracemalloc.get_traced_memory()[1] < 30_000_000
    finally:
        tracemalloc.stop()
    assert 100 < n_refused < 300
