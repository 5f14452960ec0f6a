"""A wheel, installed into an environment of its own, is complete: commands find scenarios and profiles by name."""

import importlib.util
import json
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from neurosim.documents import bundled_names

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCES = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE", "neurosim", "scenarios", "hardware_profiles")
#: What a source distribution holds besides.
FOR_PEOPLE = ("MANIFEST.in", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile", ".ci", "benchmarks", "docs", "program", "tests")


def call(command, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=600, **options)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """Copy of the working tree: building leaves files beside its sources."""
    copy = tmp_path_factory.mktemp("sources")
    for name in (*SOURCES, *FOR_PEOPLE):
        source = REPOSITORY / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, copy / name)
    return copy


@pytest.fixture(scope="module")
def wheel(copy, tmp_path_factory):
    """Wheel of the working tree."""
    target = tmp_path_factory.mktemp("wheel")
    # With the tools at hand nothing is fetched; Python 3.12 and later come without setuptools.
    has_tools = all(map(importlib.util.find_spec, ("setuptools", "wheel")))
    options = ["--no-build-isolation"] if has_tools else []
    call([sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", *options, "--wheel-dir", target, copy])
    (path,) = target.glob("neurosim-*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Folder with the commands of a fresh environment that holds neurosim and sees our dependencies."""
    folder = tmp_path_factory.mktemp("fresh") / "environment"
    venv.create(folder, with_pip=False, symlinks=True)
    scripts = folder / "bin"
    call([sys.executable, "-m", "pip", "--python", scripts / "python", "install", "--quiet", "--no-deps", "--no-index", wheel])
    # The .pth files of the other environment are not read, so its editable neurosim stays invisible.
    (site_packages,) = folder.glob("lib/python*/site-packages")
    places = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    places.update(dict.fromkeys(path for path in sys.path if path.endswith("site-packages")))
    (site_packages / "dependencies.pth").write_text("\n".join(places) + "\n")
    return scripts


@pytest.fixture
def neurosim(installed, cli_environment, tmp_path):
    return lambda *arguments: call([installed / "neurosim", *arguments], cwd=tmp_path, env=cli_environment)


def test_the_wheel_holds_code_profiles_and_scenarios(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    for kind in ("scenarios", "scenarios/sweeps", "hardware_profiles"):
        folder = f"neurosim/bundled/{kind}/"
        found = [name.removeprefix(folder) for name in names if name.startswith(folder) and name.endswith(".yaml")]
        assert sorted(name for name in found if "/" not in name) == [f"{name}.yaml" for name in bundled_names(kind)]
    modules = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "neurosim").rglob("*.py")}
    assert modules <= set(names)
    assert not [name for name in names if name.startswith(("tests", "benchmarks", "scenarios", "hardware_profiles"))]
    assert any(name.endswith("LICENSE") for name in names)
    for folder, inside in (("program", "neurosim/bundled/program"), ("neurosim/silicon/c", "neurosim/silicon/c")):
        texts = [path for path in (REPOSITORY / folder).iterdir() if path.suffix in (".c", ".h", ".in")]
        assert texts and not {f"{inside}/{path.name}" for path in texts} - set(names)


def test_the_installed_package_is_the_one_that_runs(installed, cli_environment, tmp_path):
    command = "import neurosim, neurosim.documents as d; print(neurosim.__file__); print(d.bundled_folder('scenarios'))"
    for line in call([installed / "python", "-c", command], cwd=tmp_path, env=cli_environment).splitlines():
        assert Path(line).is_relative_to(installed.parent)


def test_lists_by_name(neurosim):
    for command, kind in (("scenarios", "scenarios"), ("profiles", "hardware_profiles")):
        assert [row["name"] for row in json.loads(neurosim(command, "list", "--json"))] == bundled_names(kind)


def test_check_by_name(neurosim):
    assert "fits" in neurosim("check", "digits_santos")


def test_a_program_by_name(neurosim, tmp_path):
    neurosim("export", "digits_santos", "--format", "c", "--out", "program")
    assert {"core.c", "loops.c", "exact.h", "Makefile", "memory_0.c"} <= {path.name for path in (tmp_path / "program").iterdir()}


def test_run_by_name(neurosim, tiny_run, tmp_path):
    result = json.loads(neurosim("run", "digits_santos", "--set", "training.epochs=2", "--json"))
    folder = tmp_path / "runs" / "digits_santos"
    assert json.loads((folder / "result.json").read_text(encoding="utf-8")) == result
    assert list((folder / "figures").glob("*.png"))
    assert result["accuracy"] == tiny_run.record.accuracy.model_dump()


def test_another_environment_of_the_same_text_compiles_nothing(installed, tiny_run, cli_environment, tmp_path):
    code = """
import neurosim as ns

class Nothing(ns.Callback):
    def on_compile(self, compiling):
        raise SystemExit("compiled")

ns.run(ns.load_scenario("digits_santos", {"training.epochs": 2}), callbacks=[Nothing()])
"""
    call([installed / "python", "-c", code], cwd=tmp_path, env=cli_environment)


def test_the_source_distribution_holds_tests_docs_and_changelog(copy, tmp_path):
    if importlib.util.find_spec("setuptools") is None:
        pytest.skip("without setuptools at hand it would be fetched")
    code = f"from setuptools import build_meta; print(build_meta.build_sdist({str(tmp_path)!r}))"
    call([sys.executable, "-c", code], cwd=copy)
    (path,) = tmp_path.glob("neurosim-*.tar.gz")
    names = {name.partition("/")[2] for name in tarfile.open(path).getnames()}
    wanted = {*SOURCES, *FOR_PEOPLE, "tests/conftest.py", "tests/kernel_calls.py", "docs/architecture.md", "neurosim/py.typed", ".ci/run"}
    tests = {path.relative_to(REPOSITORY).as_posix() for path in (REPOSITORY / "tests").rglob("test_*.py")}
    assert (wanted | tests) - {"pyproject.toml"} <= names
