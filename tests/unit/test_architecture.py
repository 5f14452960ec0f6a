"""The rooms of the house and the arrows between them, read from the imports of every module."""

import ast
import configparser
import re
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
PACKAGE = REPOSITORY / "neurosim"

# Room or top-level module: the others that it may import. Whoever adds an arrow adds it here, and to docs/architecture.md.
ALLOWED = {
    "errors": set(),
    "units": set(),
    "random": set(),
    "documents": {"errors"},
    "kernels": set(),
    "synapses": {"kernels", "random"},
    # Lowest floor: what every other room may know of a network, without compiled code and without a chip.
    "networks": {"errors"},
    "nn": {"networks", "synapses", "kernels", "random"},
    "rewiring": {"synapses", "kernels"},
    "training": {"nn", "networks", "rewiring", "synapses", "kernels", "documents", "errors", "random"},
    "datasets": {"documents", "errors"},
    "hardware": {"documents", "units", "errors"},
    "placement": {"networks", "hardware", "units", "errors"},
    "accounting": {"placement", "networks", "hardware", "errors"},
    "results": {"documents", "networks", "errors"},
    # Files of other tools; what a network costs on a chip is not theirs to know.
    "interchange": {"results", "networks", "documents", "errors"},
    # Facts of profiles, sections and storage families only: what a run cost stands in its record.
    "reports": {"results", "placement", "hardware", "documents", "units", "errors"},
    # The one place where learning meets hardware.
    "scenario": {
        *("errors", "units", "random", "documents", "kernels", "synapses", "nn", "rewiring", "training", "datasets"),
        *("networks", "hardware", "placement", "accounting", "results", "reports", "interchange"),
    },
    # Laws go through the learning side, published workloads through the chip side; never both in one module.
    "validation": {"kernels", "synapses", "rewiring", "random", "networks", "hardware", "placement", "accounting", "documents", "errors"},
    # The program that is charged, as C: what the chip side decided and the learning side drew, written down.
    "silicon": {"scenario", "hardware", "placement", "documents", "errors", "random"},
    "sweeps": {"scenario", "results", "datasets", "hardware", "documents", "errors"},
    "api": {"sweeps", "scenario", "interchange", "results", "reports", "hardware", "datasets", "documents", "errors"},
    "sklearn": {"api", "scenario", "datasets", "errors"},
    # What the package itself offers, each loaded when it is first used.
    "__init__": {"api", "errors"},
    "commands": {"sweeps", "silicon", "scenario", "interchange", "validation", "results", "reports", "hardware", "datasets", "documents", "errors"},
    "cli": {"commands", "errors"},
}
LEARNING = ("networks", "nn", "rewiring", "training", "synapses", "kernels", "datasets")
CHIP_SIDE = {
    *("hardware", "placement", "accounting", "scenario", "sweeps", "results", "interchange", "reports", "validation", "silicon"),
    *("api", "sklearn", "commands", "cli"),
}
# Modules outside of kernels/ that may import Numba, inside functions, so that `check` does not load it.
LAZY_NUMBA = {"scenario/trainer.py", "scenario/record.py"}

MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@cache
def imports_of(module):
    """(absolute dotted name, whether at module level) of every import statement of one module."""
    return tuple(_imports_of(module))


def _imports_of(module):
    tree = ast.parse((PACKAGE / module).read_text(encoding="utf-8"), filename=module)
    in_functions = {
        id(node)
        for function in ast.walk(tree)
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        for node in ast.walk(function)
    }
    folder = ["neurosim", *Path(module).parent.parts]
    for node in ast.walk(tree):
        at_top = id(node) not in in_functions
        if isinstance(node, ast.Import):
            yield from ((alias.name, at_top) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = folder[: len(folder) - node.level + 1] if node.level else []
            base = ".".join([*base, *filter(None, [node.module])])
            # `from neurosim import units` names a module, `from neurosim.units import f` a function of one.
            yield from ((f"{base}.{alias.name}" if base == "neurosim" else base, at_top) for alias in node.names)


def room_of(module):
    return Path(module).parts[0].removesuffix(".py")


def targets_of(module):
    """Rooms and top-level modules that one module imports, without its own."""
    names = {name.split(".")[1] for name, _ in imports_of(module) if name.startswith("neurosim.")}
    return names - {"__version__", room_of(module)}


def test_something_was_read():
    assert len(MODULES) > 50
    assert sum(len(targets_of(module)) for module in MODULES) > 50


def test_the_table_names_every_room_and_module():
    assert {room_of(module) for module in MODULES} == set(ALLOWED)


def test_the_table_has_no_circle():
    assert len(list(TopologicalSorter(ALLOWED).static_order())) == len(ALLOWED)


def test_the_table_keeps_learning_apart_from_chips():
    assert not {room: ALLOWED[room] & CHIP_SIDE for room in LEARNING if ALLOWED[room] & CHIP_SIDE}


def test_imports_follow_the_arrows():
    extra = {module: sorted(targets_of(module) - ALLOWED.get(room_of(module), set())) for module in MODULES}
    assert not {module: names for module, names in extra.items() if names}


def test_numba_stays_in_the_kernels():
    for module in MODULES:
        numba = [at_top for name, at_top in imports_of(module) if name.split(".")[0] in ("numba", "llvmlite")]
        if room_of(module) != "kernels":
            assert not any(numba), f"neurosim/{module} imports numba when it is loaded"
            assert not numba or module in LAZY_NUMBA, module


def test_nothing_of_one_system_is_imported_when_a_module_is_loaded():
    for module in MODULES:
        names = {name.split(".")[0] for name, at_top in imports_of(module) if at_top}
        assert not names & {"fcntl", "grp", "pwd", "resource", "termios", "msvcrt", "winreg"}, module


def test_nothing_is_unpickled_and_yaml_is_read_in_one_place():
    for module in MODULES:
        names = {name.split(".")[0] for name, _ in imports_of(module)}
        assert not names & {"pickle", "cPickle", "dill", "marshal", "shelve", "cloudpickle"}, module
        assert "yaml" not in names or module == "documents/parsing.py", module
        assert "allow_pickle=True" not in (PACKAGE / module).read_text(encoding="utf-8"), module


def test_packages_of_setup_cfg_are_the_folders():
    setup = configparser.ConfigParser()
    setup.read(REPOSITORY / "setup.cfg", encoding="utf-8")
    listed = setup["options"]["packages"].split()
    moved = dict(line.split(" = ") for line in setup["options"]["package_dir"].strip().splitlines())
    folders = [".".join(("neurosim", *path.parent.relative_to(PACKAGE).parts)) for path in PACKAGE.rglob("__init__.py")]
    assert sorted(folders) == sorted(set(listed) - set(moved))
    assert len(listed) == len(set(listed))
    for package, folder in moved.items():
        assert package in listed
        assert list((REPOSITORY / folder).glob("*.c" if folder == "program" else "*.yaml")), f"{folder} has no file to install"


def test_the_architecture_page_names_every_room():
    page = REPOSITORY / "docs" / "architecture.md"
    if not page.exists():
        pytest.skip("docs/architecture.md does not exist yet")
    text = page.read_text(encoding="utf-8")
    assert not [room for room in ROOMS if not re.search(rf"\b{room}\b", text)]
