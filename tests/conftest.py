"""What tests of several folders share: where MNIST stands, the command line, one small finished run."""

import os
import subprocess
import sys
import wave
from dataclasses import replace
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # Workers share the cores: threads that wait must not spin, and libraries of linear algebra need none. Kernels keep their threads, which
    # tests count; what they compute does not depend on them. Read by child processes as well, before Numba loads.
    os.environ |= {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": "0", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

REPOSITORY = Path(__file__).resolve().parents[1]
#: Variables of the caller that would change what a command prints or where it looks.
_NOT_PASSED_ON = ("NEUROSIM_DEBUG", "NEUROSIM_DATA", "FORCE_COLOR", "NO_COLOR", "COLUMNS", "PYTHONPATH", "PYTHONUNBUFFERED", "TERM")


def _data_dir(name, find_files):
    """Folder to give as ``--data``: ``$NEUROSIM_DATA``, else ``../shared/data`` beside the repository."""
    configured = os.environ.get("NEUROSIM_DATA")
    place = Path(configured).expanduser() if configured else REPOSITORY.parent / "shared" / "data"
    if not any(find_files(folder) for folder in (place / name, place)):
        pytest.skip(f"no files of {name} in {place}; set NEUROSIM_DATA to the folder that holds them")
    return place


@pytest.fixture(scope="session")
def mnist_dir():
    """Folder with MNIST to give as ``--data``."""
    from neurosim.datasets.idx_folder import find_idx_files

    return _data_dir("mnist", find_idx_files)


@pytest.fixture(scope="session")
def fsdd_dir():
    """Folder with the Free Spoken Digit Dataset to give as ``--data``."""
    from neurosim.datasets.recordings import find_recordings

    return _data_dir("fsdd", find_recordings)


@pytest.fixture(scope="session")
def cli_environment():
    """Environment of a command in a pipe, without what the caller's shell may have set."""
    return {name: value for name, value in os.environ.items() if name not in _NOT_PASSED_ON}


@pytest.fixture(scope="session")
def run_cli(cli_environment):
    """Call ``run_cli(*arguments, cwd=...)``: ``neurosim`` in a process of its own, warnings as errors."""

    def run(*arguments, cwd, timeout=300):
        command = [sys.executable, "-W", "error", "-m", "neurosim.cli", *map(str, arguments)]
        return subprocess.run(command, cwd=cwd, env=cli_environment, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)

    return run


@pytest.fixture
def main_cli(tmp_path, monkeypatch, capsys):
    """Call ``main_cli(*arguments)``: ``neurosim`` inside this process, with `tmp_path` as working folder; modules from there are forgotten."""
    from neurosim.cli import main

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delenv("NEUROSIM_DEBUG", raising=False)

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return SimpleNamespace(code=code, out=captured.out, err=captured.err)

    yield run
    for name in [name for name, module in sys.modules.items() if _comes_from(module, tmp_path)]:
        del sys.modules[name]


def _comes_from(module, folder):
    """Whether a module was found in `folder`: its file, or the folder of a package that has no ``__init__.py``."""
    spec = getattr(module, "__spec__", None)
    if not isinstance(spec, ModuleSpec):
        return False
    return any(Path(place).is_relative_to(folder) for place in (spec.origin or "", *(spec.submodule_search_locations or ())))


@pytest.fixture(scope="session")
def tiny_run(tmp_path_factory):
    """A finished run of digits_santos with two epochs: `scenario`, `record` and `folder`. Do not change the folder."""
    from neurosim.scenario import load_scenario, run_scenario

    scenario = load_scenario("digits_santos", ["training.epochs=2"])
    record, folder = run_scenario(scenario, out=tmp_path_factory.mktemp("tiny") / "run")
    return SimpleNamespace(scenario=scenario, record=record, folder=folder)


@pytest.fixture(scope="session")
def digit_rows():
    """The 8 x 8 digits as sequences of 8 rows, every third of them shorter by its first 3 rows. Do not change them."""
    from neurosim.datasets import load_dataset

    data = load_dataset("digits")
    parts = {}
    for part in ("train", "test"):
        x = getattr(data, f"x_{part}").copy()
        lengths = np.full(len(x), 8, np.int32)
        lengths[::3] = 5
        x[::3, :24] = 0
        parts |= {f"x_{part}": x, f"lengths_{part}": lengths}
    return replace(data, n_steps=8, **parts)


def write_wav(path, samples, *, rate=8000, n_channels=1, width=2):
    """Write a WAV file; `samples` are 16-bit numbers, or raw bytes of another `width`."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(n_channels)
        file.setsampwidth(width)
        file.setframerate(rate)
        file.writeframes(np.asarray(samples, "<i2").tobytes() if width == 2 else bytes(samples))


@pytest.fixture(scope="session")
def recordings(tmp_path_factory):
    """Folder of 156 WAV files of 4 to 8 steps: two speakers say six words, tones that a low and a high voice bend. Do not change it."""
    folder, noise = tmp_path_factory.mktemp("recordings"), np.random.default_rng(0)
    for word in range(6):
        for index in range(13):
            for speaker, pitch in (("ann", 1.0), ("bob", 0.8)):
                time = np.arange(1000 + 80 * index) / 8000
                tone = np.sin(2 * np.pi * pitch * (300 + 400 * (word % 3)) * (time + (0.5 - word // 3) * 3 * time**2))
                write_wav(folder / f"{word}_{speaker}_{index}.wav", (6000 * tone + 300 * noise.normal(size=time.size)).astype(np.int16))
    return folder
