"""Readers, finding and fetching of data sets on well-formed files."""

import gzip
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from urllib.error import URLError

import numpy as np
import pytest

from neurosim.datasets import DATASETS, DataShape, dataset_shape, digits, fetch, load_dataset, user_cache_dir
from neurosim.datasets.cifar10 import OFFICIAL, RECORD_BYTES
from neurosim.datasets.digits import split_every_fifth
from neurosim.datasets.fetch import _fetch_mnist
from neurosim.datasets.idx import encode_idx, read_idx
from neurosim.datasets.mnist import IDX_FILES
from neurosim.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
# Read at import, because the fixture below hides the variable from the tests.
MNIST_PLACES = [os.environ.get("NEUROSIM_DATA"), REPOSITORY.parent / "shared" / "data"]


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path, monkeypatch):
    """No test may find the data of the machine that it runs on."""
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def make_arrays(n_train=12, n_test=10, first_pixel=0):
    pixels = np.arange((n_train + n_test) * 784) % 251
    images = pixels.astype(np.uint8).reshape(-1, 28, 28)
    images[:, 0, 0] = first_pixel
    labels = (np.arange(n_train + n_test) % 10).astype(np.uint8)
    return {
        "x_train": images[:n_train],
        "y_train": labels[:n_train],
        "x_test": images[n_train:],
        "y_test": labels[n_train:],
    }


def write_folder(folder, arrays=None, *, suffix="", dotted=False):
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in (arrays or make_arrays()).items():
        name = IDX_FILES[key][0].replace("-idx", ".idx") if dotted else IDX_FILES[key][0]
        content = encode_idx(array)
        (folder / f"{name}{suffix}").write_bytes(gzip.compress(content) if suffix == ".gz" else content)
    return folder


def assert_canonical(data):
    for x, y in ((data.x_train, data.y_train), (data.x_test, data.y_test)):
        assert x.dtype in (np.uint8, np.float32) and x.ndim == 2 and x.flags.c_contiguous
        assert y.dtype == np.int32 and y.shape == (len(x),) and y.flags.c_contiguous
        # Numba compiles a second version of every kernel for read-only arrays.
        assert x.flags.writeable and y.flags.writeable
        assert 0 <= y.min() and y.max() < data.n_classes
    assert data.n_features == data.x_train.shape[1] == data.x_test.shape[1]
    assert (data.n_train, data.n_test) == (len(data.y_train), len(data.y_test))
    assert len(data.sha256) == 64


# --- IDX files ---------------------------------------------------------------------------


@pytest.mark.parametrize("compress", [bytes, gzip.compress], ids=["plain", "gzip"])
@pytest.mark.parametrize("shape", [(7,), (3, 4, 5), (2, 2, 2, 2)])
def test_idx_round_trip(tmp_path, compress, shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    path = tmp_path / "array"
    path.write_bytes(compress(encode_idx(array)))
    result = read_idx(path, len(shape))
    np.testing.assert_array_equal(result, array)
    assert result.dtype == np.uint8 and result.flags.writeable


def test_encode_idx_bytes():
    # Worked by hand from the format's description.
    expected = bytes([0, 0, 8, 2, 0, 0, 0, 1, 0, 0, 0, 3, 7, 8, 9])
    assert encode_idx(np.array([[7, 8, 9]], dtype=np.uint8)) == expected


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize("dotted", [False, True])
def test_folder_by_path(tmp_path, suffix, dotted):
    arrays = make_arrays()
    data = load_dataset(write_folder(tmp_path / "mine", arrays, suffix=suffix, dotted=dotted))
    assert_canonical(data)
    np.testing.assert_array_equal(data.x_train, arrays["x_train"].reshape(12, 784))
    np.testing.assert_array_equal(data.y_test, arrays["y_test"])
    assert (data.scale, data.n_classes, data.image_shape) == (1 / 255, 10, (28, 28))
    assert str(tmp_path / "mine") in data.source


def test_plain_file_named_gz_is_read_by_content(tmp_path):
    folder = write_folder(tmp_path / "mine")
    for path in list(folder.iterdir()):
        path.rename(f"{path}.gz")
    assert load_dataset(folder).n_train == 12


# --- Finding -----------------------------------------------------------------------------


def test_search_order(tmp_path, monkeypatch):
    """Every place holds other pixels; removing the first reveals the next."""
    monkeypatch.setenv("NEUROSIM_DATA", str(tmp_path / "variable"))
    given = tmp_path / "given"
    folders = [
        given / "mnist",
        given,
        tmp_path / "variable" / "mnist",
        tmp_path / "variable",
        user_cache_dir() / "mnist",
        user_cache_dir(),
    ]
    for i, folder in enumerate(folders):
        write_folder(folder, make_arrays(first_pixel=i + 1))
    for i, folder in enumerate(folders):
        data = load_dataset("mnist", data_dir=given)
        assert data.x_train[0, 0] == i + 1
        assert data.source == f"IDX files in {folder}"
        for name, _ in IDX_FILES.values():
            (folder / name).unlink()
    with pytest.raises(InputError) as caught:
        load_dataset("mnist", data_dir=given)
    message = str(caught.value)
    assert "\n" not in message
    for part in [*map(str, folders), "neurosim data fetch mnist", "--data DIR", "NEUROSIM_DATA"]:
        assert part in message


def test_user_cache_dir(monkeypatch, tmp_path):
    assert user_cache_dir() == tmp_path / "cache" / "neurosim"
    monkeypatch.setenv("HOME", "/somewhere")
    for ignored in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", ignored)
        assert user_cache_dir() == Path("/somewhere/.cache/neurosim")


def test_incomplete_folder_is_reported_and_not_passed_over(tmp_path):
    write_folder(user_cache_dir() / "mnist")
    given = write_folder(tmp_path / "given")
    (given / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(InputError, match="given: found no t10k-labels-idx1-ubyte"):
        load_dataset("mnist", data_dir=given)


@pytest.mark.parametrize(
    "name, hint",
    [("mnits", "nearest: mnist"), ("MNIST", "nearest: mnist"), ("", "known: cifar10, cue_accumulation, digits, fsdd, mnist"), (3, "mnist")],
)
def test_unknown_name(name, hint):
    with pytest.raises(InputError, match=hint) as caught:
        load_dataset(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["mnist", "digits"])
def test_missing_data_dir(tmp_path, name):
    with pytest.raises(InputError, match="nowhere: found no such folder"):
        load_dataset(name, data_dir=tmp_path / "nowhere")


def test_dataset_shape_tells_what_loading_gives(tmp_path):
    assert dataset_shape("mnist") == DataShape(784, 1, 10)
    assert dataset_shape("digits") == DataShape(64, 1, 10)
    assert dataset_shape("x.npz") is None and dataset_shape("unknown") is None
    folder = write_folder(tmp_path / "mnist")
    for name in OFFICIAL:
        (folder / name).write_bytes(bytes(2 * RECORD_BYTES))
    assert dataset_shape("mnist_rows") == DataShape(28, 28, 10)
    for name, info in DATASETS.items():
        if info.n_features:
            data = load_dataset(name, data_dir=folder)
            assert data.shape == dataset_shape(name)
            assert (data.image_shape, data.scale, data.n_steps) == (info.image_shape, info.scale, info.n_steps)


# --- limit and digest --------------------------------------------------------------------


def test_limit_keeps_the_first_samples(tmp_path):
    folder = write_folder(tmp_path / "mine")
    full, few = load_dataset(folder), load_dataset(folder, limit=3)
    assert_canonical(few)
    assert (few.n_train, few.n_test) == (3, 3)
    # The classes are those of the full data: a trial has the network of the full run.
    assert few.n_classes == full.n_classes == 10
    np.testing.assert_array_equal(few.x_train, full.x_train[:3])
    np.testing.assert_array_equal(few.y_test, full.y_test[:3])
    assert few.x_train.base is None or few.x_train.base.size == few.x_train.size
    assert few.sha256 != full.sha256
    assert load_dataset(folder, limit=1000).sha256 == full.sha256
    assert load_dataset(folder, limit=np.int64(3)).n_train == 3


@pytest.mark.parametrize("limit", [0, -1, 2.5, True, "3"])
def test_limit_refused(limit):
    with pytest.raises(InputError, match="limit: found"):
        load_dataset("digits", limit=limit)


def test_digest_names_the_data(tmp_path):
    plain = load_dataset(write_folder(tmp_path / "plain"))
    packed = load_dataset(write_folder(tmp_path / "packed", suffix=".gz"))
    other = load_dataset(write_folder(tmp_path / "other", make_arrays(first_pixel=1)))
    assert plain.sha256 == packed.sha256 != other.sha256


# --- NPZ ---------------------------------------------------------------------------------


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_npz_bytes(tmp_path, save):
    arrays = make_arrays()
    save(tmp_path / "data.npz", **arrays, more=np.arange(3))
    data = load_dataset(str(tmp_path / "data.npz"))
    assert_canonical(data)
    np.testing.assert_array_equal(data.x_test, arrays["x_test"].reshape(10, 784))
    assert (data.x_train.dtype, data.scale, data.image_shape) == (np.uint8, 1 / 255, (28, 28))


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", ">f8"])
def test_npz_floats_become_float32(tmp_path, dtype):
    x = np.asfortranarray(np.linspace(-1, 1, 20).reshape(4, 5).astype(dtype))
    y = np.array([0, 1, 2, 0], dtype=np.int64)
    np.savez(tmp_path / "data.npz", x_train=x, y_train=y, x_test=x[:2], y_test=y[:2])
    data = load_dataset(tmp_path / "data.npz")
    assert_canonical(data)
    np.testing.assert_array_equal(data.x_train, x.astype(np.float32))
    assert (data.scale, data.n_classes, data.image_shape) == (1.0, 3, None)


# --- digits ------------------------------------------------------------------------------


@pytest.mark.parametrize("has_table", [True, False])
def test_digits_split(has_table, tmp_path, monkeypatch):
    """As scikit-learn loads them, whether its table is where we look or not."""
    from sklearn.datasets import load_digits

    if has_table:
        assert (digits.digits_folder() / "digits.csv.gz").is_file()
    else:
        monkeypatch.setattr(digits, "digits_folder", lambda: tmp_path)
    labels = load_digits().target
    is_test = split_every_fifth(labels)
    assert (np.sum(~is_test), np.sum(is_test)) == (1437, 360)
    share = np.bincount(labels[is_test]) / np.bincount(labels)
    np.testing.assert_allclose(share, 0.2, atol=1 / 174)  # one sample of the smallest class

    data = load_dataset("digits")
    assert_canonical(data)
    assert data.n_train + data.n_test == 1797 == len(labels)
    assert set(data.y_train) == set(data.y_test) == set(range(10))
    assert (data.x_train.max(), data.scale, data.image_shape) == (16, 1 / 16, (8, 8))
    # Disjoint and complete: both parts together are the original samples, each once.
    together = np.empty((1797, 64))
    together[~is_test], together[is_test] = data.x_train, data.x_test
    np.testing.assert_array_equal(together, load_digits().data)


def test_split_every_fifth_by_hand():
    #  class 0 at 0, 2, 4 and class 1 at 1, 3, 5: the list is 0 2 4 1 3 5
    np.testing.assert_array_equal(split_every_fifth(np.array([0, 1, 0, 1, 0, 1])), [True, False, False, False, False, True])


# --- Real MNIST --------------------------------------------------------------------------


def test_real_mnist():
    places = [Path(p) for p in MNIST_PLACES if p and (Path(p) / "mnist").is_dir()]
    if not places:
        pytest.skip("MNIST is neither in $NEUROSIM_DATA nor in ../shared/data")
    data = load_dataset("mnist", data_dir=places[0])
    assert_canonical(data)
    assert (data.n_train, data.n_test, data.n_features, data.n_classes) == (60_000, 10_000, 784, 10)
    assert data.y_train[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert data.x_train.mean() == pytest.approx(33.318, abs=1e-3)  # given to three places


# --- Fetching ----------------------------------------------------------------------------


def fake_openml(arrays, monkeypatch, calls=None):
    def fetch_openml(name, *, version, as_frame, parser, data_home):
        assert (name, version, as_frame, parser) == ("mnist_784", 1, False, "liac-arff")
        if calls is not None:
            calls.append(data_home)
        images = np.concatenate([arrays["x_train"], arrays["x_test"]])
        labels = np.concatenate([arrays["y_train"], arrays["y_test"]])
        return SimpleNamespace(
            data=images.reshape(len(images), -1).astype(np.float64),
            target=labels.astype(str).astype(object),
        )

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)


def test_fetch_mnist_writes_what_load_reads(tmp_path, monkeypatch):
    arrays, calls, lines = make_arrays(), [], []
    fake_openml(arrays, monkeypatch, calls)
    folder = user_cache_dir() / "mnist"
    assert _fetch_mnist(folder, lines.append, n_train=12, n_test=10) == folder
    assert sorted(p.name for p in folder.iterdir()) == sorted(f"{n}.gz" for n, _ in IDX_FILES.values())
    data = load_dataset("mnist")
    np.testing.assert_array_equal(data.x_train, arrays["x_train"].reshape(12, 784))
    np.testing.assert_array_equal(data.y_test, arrays["y_test"])
    assert lines and all("\n" not in line for line in lines)
    assert not Path(calls[0]).exists()  # scikit-learn's own copy is not left behind

    _fetch_mnist(folder, lines.append, n_train=12, n_test=10)
    assert len(calls) == 1 and "there already" in lines[-1]

    damaged = folder / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-9])
    _fetch_mnist(folder, lines.append, n_train=12, n_test=10)
    assert len(calls) == 2
    assert load_dataset("mnist").sha256 == data.sha256


@pytest.mark.parametrize(
    "error",
    [ConnectionError("refused"), URLError("no\nnetwork"), TimeoutError(), ValueError("md5 checksum")],
    ids=lambda e: type(e).__name__,
)
def test_fetch_without_network(tmp_path, monkeypatch, error):
    def fetch_openml(*args, **kwargs):
        raise error

    monkeypatch.setattr("sklearn.datasets.fetch_openml", fetch_openml)
    with pytest.raises(InputError) as caught:
        fetch("mnist", directory=tmp_path, progress=lambda line: None)
    message = str(caught.value)
    assert "\n" not in message
    for part in (type(error).__name__, str(tmp_path / "mnist"), "train-images-idx3-ubyte.gz", "by hand"):
        assert part in message
    assert not (tmp_path / "mnist").exists()


def test_fetch_refuses_unexpected_content(tmp_path, monkeypatch):
    fake_openml(make_arrays(), monkeypatch)
    with pytest.raises(InputError, match=r"images of shape \(22, 784\)"):
        fetch("mnist", directory=tmp_path, progress=lambda line: None)  # expects 70000
    assert not (tmp_path / "mnist").exists()


def test_fetch_leaves_nothing_when_a_file_cannot_be_written(tmp_path, monkeypatch):
    fake_openml(make_arrays(), monkeypatch)

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(InputError, match="No space left on device") as caught:
        _fetch_mnist(tmp_path / "mnist", lambda line: None, n_train=12, n_test=10)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_fetch_digits_and_unknown():
    lines = []
    assert (fetch("digits", progress=lines.append) / "digits.csv.gz").is_file()
    assert "comes with scikit-learn" in lines[0]
    with pytest.raises(InputError, match="nearest: mnist"):
        fetch("mnits")


# --- Imports -----------------------------------------------------------------------------


def test_import_is_light():
    code = (
        "import sys, neurosim.datasets as d; d.dataset_shape('mnist'); "
        "print([m for m in ('numba', 'sklearn', 'matplotlib', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("ask", [load_dataset, dataset_shape])
def test_an_option_that_does_not_exist_is_named_with_the_nearest(ask):
    with pytest.raises(TypeError, match="no option 'test_fractions'; nearest: test_fraction"):
        ask("digits", test_fractions=0.2)
