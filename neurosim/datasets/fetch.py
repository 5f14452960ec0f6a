"""Fetching data over the network, once, into the user's cache."""

import gzip
import hashlib
import io
import os
import shutil
import socket
import tarfile
import tempfile
import urllib.request
import warnings
from pathlib import Path

import numpy as np

from neurosim.errors import InputError, nearest

from .catalog import DATASETS
from .cifar10 import OFFICIAL, find_cifar10_files, read_cifar10
from .dataset import assemble
from .idx import encode_idx
from .idx_folder import IDX_FILES, find_idx_files
from .mnist import read_mnist
from .places import user_cache_dir
from .refusal import describe, one_line

# Without it, urllib waits as long as the system does when packets are dropped silently.
NETWORK_TIMEOUT_S = 60.0
# Archive of the binary version, with the checksum that its page gives.
CIFAR10_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
CIFAR10_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"


def fetch(name, directory=None, progress=print):
    """Download a named data set, unless it is there already.

    Parameters
    ----------
    name : str
        `mnist` or `mnist_rows` (from OpenML, through scikit-learn), `cifar10` (from its page) or `digits` (nothing to download).
    directory : str or Path, optional
        Files go to `<directory>/<name>/`; by default the user cache. Pass the same folder
        as `data_dir` to `load_dataset`.
    progress : callable
        Takes one line of text.

    Returns
    -------
    Path
        The folder that holds the files.

    Raises
    ------
    InputError
        Unknown name, no network, unexpected content, or a folder that cannot be written.
    """
    if name not in DATASETS:
        raise InputError(one_line(f"data set {name!r}: not known; {nearest(str(name).lower(), DATASETS)}"))
    info = DATASETS[name]
    if info.fetch is None:
        raise InputError(f"data set {name}: cannot be fetched; {info.how_to_get}, and give their place with --data")
    return info.fetch(info, user_cache_dir() if directory is None else Path(os.path.expanduser(directory)), progress)


def fetch_mnist(base, progress):
    """Four IDX files in the folder ``mnist`` of `base`, which serve `mnist` and `mnist_rows`: the folder."""
    return _fetch_mnist(base / "mnist", progress)


def _fetch_mnist(folder, progress, n_train=60_000, n_test=10_000):
    """Fill `folder` with the four gzip IDX files; the sizes are parameters for the tests."""
    if len(find_idx_files(folder)) == len(IDX_FILES):
        try:
            assemble("mnist", read_mnist(DATASETS["mnist"], folder))
        except InputError as error:
            progress(f"fetching again, because of a damaged file: {error}")
        else:
            progress(f"mnist is there already: {folder}")
            return folder
    progress("fetching mnist_784 from openml.org and parsing it: this may take some minutes")
    images, labels = _download_mnist(folder, n_train + n_test)
    arrays = {
        "x_train": images[:n_train],
        "y_train": labels[:n_train],
        "x_test": images[n_train:],
        "y_test": labels[n_train:],
    }
    progress(f"writing four IDX files to {folder}")
    _write_all({folder / f"{IDX_FILES[key][0]}.gz": array for key, array in arrays.items()})
    # Reads back what a run will read, including a damaged plain file that hides a new .gz.
    assemble("mnist", read_mnist(DATASETS["mnist"], folder))
    progress(f"mnist is ready: {folder}")
    return folder


def _download_mnist(folder, n_samples):
    """Images (n_samples, 28, 28) and labels (n_samples,), uint8, in OpenML's order: train first."""
    from sklearn import datasets  # imported here because it takes about a second

    by_hand = f"or place {', '.join(f'{official}.gz' for official, _ in IDX_FILES.values())} in {folder} by hand"
    timeout = socket.getdefaulttimeout()
    try:
        socket.setdefaulttimeout(NETWORK_TIMEOUT_S)
        # scikit-learn keeps its download for ever; a temporary home leaves nothing behind.
        with tempfile.TemporaryDirectory() as data_home, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # one per retry; the last failure is reported
            bunch = datasets.fetch_openml("mnist_784", version=1, as_frame=False, parser="liac-arff", data_home=data_home)
    except Exception as error:
        # Broad on purpose: sockets, HTTP, gzip, JSON and ARFF each raise their own types,
        # and the way out is the same for all of them.
        raise InputError(
            one_line(f"data set 'mnist': download from openml.org failed ({describe(error)}); check the network and try again, {by_hand}")
        ) from error
    finally:
        socket.setdefaulttimeout(timeout)
    return _check_bunch(bunch, n_samples, by_hand)


def _check_bunch(bunch, n_samples, by_hand):
    n_features = DATASETS["mnist"].n_features
    try:
        images = np.asarray(bunch.data)
        labels = np.asarray(bunch.target).astype(np.int64)  # OpenML writes them as text
    except (AttributeError, TypeError, ValueError) as error:
        problem = describe(error)
    else:
        problem = _find_problem(images, labels, (n_samples, n_features))
    if problem:
        raise InputError(
            one_line(
                f"data set 'mnist': openml.org sent unexpected content ({problem}); "
                f"expected {n_samples} images of {n_features} values from 0 to 255 with labels 0 to 9; "
                f"try again later, {by_hand}"
            )
        )
    return images.astype(np.uint8).reshape(n_samples, *DATASETS["mnist"].image_shape), labels.astype(np.uint8)


def _find_problem(images, labels, shape):
    if images.shape != shape or images.dtype.kind not in "iuf":
        return f"images of shape {images.shape}, type {images.dtype}"
    if labels.shape != shape[:1]:
        return f"labels of shape {labels.shape}"
    # Written so that NaN fails too.
    if not (images.min() >= 0 and images.max() <= 255):
        return f"pixel values from {images.min()} to {images.max()}"
    if labels.min() < 0 or labels.max() > 9:
        return f"labels from {labels.min()} to {labels.max()}"
    return None


def _write_all(arrays):
    """Write arrays as gzip IDX files; none gets its name before all are safely on disk."""
    temporary = {}
    try:
        for path, array in arrays.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary[path] = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            with open(temporary[path], "wb") as file:
                file.write(_gzip_bytes(encode_idx(array)))
                file.flush()
                os.fsync(file.fileno())
        for path in arrays:
            os.replace(temporary[path], path)
    except OSError as error:
        raise InputError(one_line(f"{path}: cannot be written ({describe(error)}); free space or choose another folder")) from error
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)


def _gzip_bytes(content):
    buffer = io.BytesIO()
    # No time stamp, so that the same data give the same file.
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as stream:
        stream.write(content)
    return buffer.getvalue()


def fetch_cifar10(base, progress, md5=None):
    """Six files of records in the folder ``cifar10`` of `base`: the folder; `md5` of the archive is a parameter for the tests."""
    folder = base / "cifar10"
    if set(OFFICIAL) <= set(find_cifar10_files(folder)):
        try:
            read_cifar10(folder, OFFICIAL)
        except InputError as error:
            progress(f"fetching again, because of a damaged file: {error}")
        else:
            progress(f"cifar10 is there already: {folder}")
            return folder
    progress(f"fetching {CIFAR10_URL} (162 MiB): this may take some minutes")
    by_hand = f"or place {', '.join(OFFICIAL)} in {folder} by hand"
    with tempfile.TemporaryFile() as archive:
        try:
            with urllib.request.urlopen(CIFAR10_URL, timeout=NETWORK_TIMEOUT_S) as answer:
                shutil.copyfileobj(answer, archive)
        except Exception as error:  # as above: each layer raises its own types
            raise InputError(
                one_line(f"data set 'cifar10': download from {CIFAR10_URL} failed ({describe(error)}); check the network and try again, {by_hand}")
            ) from error
        archive.seek(0)
        found = hashlib.file_digest(archive, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
        if found != (md5 or CIFAR10_MD5):
            raise InputError(f"data set 'cifar10': found an archive with MD5 {found}; expected {md5 or CIFAR10_MD5}; try again later, {by_hand}")
        archive.seek(0)
        progress(f"writing {len(OFFICIAL)} files to {folder}")
        _unpack(archive, folder, by_hand)
    read_cifar10(folder, OFFICIAL)
    progress(f"cifar10 is ready: {folder}")
    return folder


def _unpack(archive, folder, by_hand):
    """Write the six files of the archive under their own names, and nothing else of it."""
    temporary = {}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=archive, mode="r:gz") as tar:
            members = {os.path.basename(member.name): member for member in tar if member.isfile()}
            if missing := [name for name in OFFICIAL if name not in members]:
                raise InputError(f"data set 'cifar10': the archive has no {' and no '.join(missing)}; try again later, {by_hand}")
            for name in OFFICIAL:
                path = folder / name
                temporary[path] = path.with_name(f".{name}.{os.getpid()}.tmp")
                with open(temporary[path], "wb") as file, tar.extractfile(members[name]) as source:
                    shutil.copyfileobj(source, file)
                    file.flush()
                    os.fsync(file.fileno())
        for path in temporary:
            os.replace(temporary[path], path)
    except (OSError, tarfile.TarError) as error:
        raise InputError(one_line(f"{folder}: cannot be written ({describe(error)}); free space or choose another folder")) from error
    finally:
        for path in temporary.values():
            path.unlink(missing_ok=True)
