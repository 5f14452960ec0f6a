"""CIFAR-10 in its binary version: by path, by name, fetched, and damaged."""

import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from neurosim.datasets import DataShape, dataset_shape, fetch, load_dataset
from neurosim.datasets.cifar10 import OFFICIAL, RECORD_BYTES, UNPACKED
from neurosim.datasets.fetch import fetch_cifar10
from neurosim.errors import InputError

REPOSITORY = Path(__file__).resolve().parents[2]
PLACES = [os.environ.get("NEUROSIM_DATA"), REPOSITORY.parent / "shared" / "data"]


@pytest.fixture(autouse=True)
def empty_surroundings(tmp_path, monkeypatch):
    """No test may find the data of the machine that it runs on."""
    monkeypatch.delenv("NEUROSIM_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def records(n, first=0):
    """n records: label i % 10, then pixels that tell record, plane and place: bytes."""
    content = (np.arange(n * RECORD_BYTES) + first).astype(np.uint64) % 251
    content = content.astype(np.uint8).reshape(n, RECORD_BYTES)
    content[:, 0] = np.arange(n) % 10
    return content.tobytes()


def write(folder, n=20, names=OFFICIAL):
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(names):
        (folder / name).write_bytes(records(n, 17 * i))
    return folder


def test_records_become_samples_in_the_order_of_the_files(tmp_path):
    data = load_dataset(write(tmp_path / "mine"))
    assert (data.n_train, data.n_test, data.n_features, data.n_classes, data.scale) == (100, 20, 3072, 10, 1 / 255)
    assert data.image_shape == data.shape.image_shape == (3, 32, 32)
    for sample, content in ((data.x_train[21], records(20, 17)[RECORD_BYTES:]), (data.x_test[0], records(20, 5 * 17))):
        assert sample.tobytes() == content[1:RECORD_BYTES]
    np.testing.assert_array_equal(data.y_train, np.tile(np.arange(20) % 10, 5))


def test_named_data_need_all_six_files_and_a_path_takes_what_is_there(tmp_path):
    write(tmp_path / "cifar10" / UNPACKED)
    assert load_dataset("cifar10", data_dir=tmp_path).n_train == 100
    assert dataset_shape("cifar10") == DataShape(3072, 1, 10) == load_dataset("cifar10", data_dir=tmp_path).shape
    assert dataset_shape("cifar10").image_shape == (3, 32, 32)
    (tmp_path / "cifar10" / UNPACKED / "data_batch_3.bin").unlink()
    with pytest.raises(InputError, match=r"found no data_batch_3.bin; expected the files of CIFAR-10"):
        load_dataset("cifar10", data_dir=tmp_path)
    assert load_dataset(tmp_path / "cifar10").n_train == 80
    (tmp_path / "cifar10" / UNPACKED / "test_batch.bin").unlink()
    with pytest.raises(InputError, match="found no test_batch.bin"):
        load_dataset(tmp_path / "cifar10")


@pytest.mark.parametrize(
    "content, complaint",
    [
        (records(20)[:-1], "61459 bytes, 19 records and 3072 bytes more; expected records of 3073 bytes"),
        (b"", "an empty file"),
        (b"\x0a" + records(20)[1:], "label 10 of record 0; expected 0 to 9"),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, content, complaint):
    write(tmp_path)
    (tmp_path / "data_batch_2.bin").write_bytes(content)
    with pytest.raises(InputError) as caught:
        load_dataset(tmp_path)
    assert complaint in str(caught.value) and "data_batch_2.bin" in str(caught.value) and "\n" not in str(caught.value)


def archive(names=OFFICIAL, prefix=UNPACKED + "/"):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for i, name in enumerate((*names, "../escaped.bin")):
            member = tarfile.TarInfo(prefix + name)
            content = records(20, 17 * i)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def test_fetch_writes_what_load_reads_and_nothing_else(tmp_path, monkeypatch):
    content, calls = archive(), []
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: calls.append(url) or io.BytesIO(content))
    with pytest.raises(InputError, match="MD5") as caught:
        fetch("cifar10", directory=tmp_path, progress=lambda line: None)
    assert "\n" not in str(caught.value) and not (tmp_path / "cifar10").exists()
    lines, md5 = [], hashlib.md5(content).hexdigest()
    folder = fetch_cifar10(tmp_path, lines.append, md5)
    assert sorted(p.name for p in folder.iterdir()) == sorted(OFFICIAL) and "ready" in lines[-1]
    assert load_dataset("cifar10", data_dir=tmp_path).n_train == 100
    fetch_cifar10(tmp_path, lines.append, md5)
    assert len(calls) == 2 and "there already" in lines[-1]
    (folder / "test_batch.bin").write_bytes(b"short")
    fetch_cifar10(tmp_path, lines.append, md5)
    assert len(calls) == 3 and load_dataset("cifar10", data_dir=tmp_path).n_test == 20


def test_fetch_without_network_or_with_a_wrong_archive(tmp_path, monkeypatch):
    def fail(url, timeout):
        raise ConnectionError("no\nnetwork")

    monkeypatch.setattr("urllib.request.urlopen", fail)
    with pytest.raises(InputError, match="ConnectionError: no network.*test_batch.bin in .* by hand") as caught:
        fetch("cifar10", directory=tmp_path)
    assert "\n" not in str(caught.value)
    content = archive(OFFICIAL[:-1])
    monkeypatch.setattr("urllib.request.urlopen", lambda url, timeout: io.BytesIO(content))
    with pytest.raises(InputError, match="archive has no test_batch.bin"):
        fetch_cifar10(tmp_path, lambda line: None, hashlib.md5(content).hexdigest())
