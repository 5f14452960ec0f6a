"""Where compiled kernels are kept: a folder named after the text of all kernels and the way they are compiled.

Numba renews a cached function when its own file changes, but not when a function that it inlines from another file
changes: an edited kernel would go on running as it was. And it names its folder after the path of the package, so that
another checkout or virtual environment of the same text would compile everything again. Processor and version of
Numba are in Numba's own key.
"""

import hashlib
import os
import sys
import tempfile
from pathlib import Path
from types import ModuleType

import numba
from numba.core import caching

_KERNELS = Path(__file__).resolve().parent
#: Files here that decide nothing of what is compiled, only where it lies and what is told meanwhile.
_NO_KERNELS = ("cache.py", "compiling.py")
_PACKAGE = __name__.rpartition(".")[0]


def kernel_text_digest():
    """Hexadecimal SHA-256 of all kernels, by name and text, and of the options that change what they compile to."""
    digest = hashlib.sha256(repr((numba.config.OPT, numba.config.BOUNDSCHECK, sys.version_info[:2])).encode())
    for path in sorted(_KERNELS.rglob("*.py")):
        if path.name in _NO_KERNELS and path.parent == _KERNELS:
            continue
        digest.update(path.relative_to(_KERNELS).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def _cache_bases():
    """Folders that may hold the cache, best first; the last for a home that cannot be written."""
    if configured := os.environ.get("NUMBA_CACHE_DIR"):
        return [configured]
    home = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    user = os.getuid() if hasattr(os, "getuid") else 0
    return [os.path.join(home, "neurosim"), os.path.join(tempfile.gettempdir(), f"neurosim-{user}")]


def _find_folder(digest):
    """Folder of the compiled kernels, made here; None where no folder can be written, and nothing is kept."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    for base in _cache_bases():
        folder = Path(base, "kernels", digest[:16])
        try:
            Path(base).mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(parents=True, exist_ok=True)
            owner = os.stat(base).st_uid
        except OSError:
            continue
        # Compiled code is executed: never from a folder that somebody else prepared.
        if os.access(folder, os.W_OK) and owner == user:
            return str(folder)
    return None


KERNEL_DIGEST = kernel_text_digest()
CACHE_FOLDER = _find_folder(KERNEL_DIGEST)


class KernelLocator(caching._CacheLocator):
    """Finds the cache of the functions in this folder, and of those elsewhere that use them and so hold their text.

    Whatever else Numba compiles, it keeps where it always does.
    """

    def __init__(self, py_func, py_file):
        self._py_file, path = py_file, Path(py_file).resolve()
        self._name, self._stamp = f"{path.stem}-{py_func.__code__.co_firstlineno}", KERNEL_DIGEST
        if _KERNELS not in path.parents:
            self._name += f"-{hashlib.sha256(str(path).encode()).hexdigest()[:8]}"
            self._stamp += hashlib.sha256(path.read_bytes()).hexdigest()

    def get_cache_path(self):
        return CACHE_FOLDER

    def get_source_stamp(self):
        return self._stamp

    def get_disambiguator(self):
        return self._name

    @classmethod
    def from_function(cls, py_func, py_file):
        path = Path(py_file)
        is_ours = _KERNELS in path.resolve().parents or (path.is_file() and any(map(_is_kernel, py_func.__globals__.values())))
        return cls(py_func, py_file) if is_ours and CACHE_FOLDER is not None else None


def _is_kernel(value):
    """Whether a global value is one of these functions, or one of their modules."""
    name = getattr(value, "__name__" if isinstance(value, ModuleType) else "__module__", None)
    return isinstance(name, str) and f"{name}.".startswith(f"{_PACKAGE}.")


caching.CacheImpl._locator_classes.insert(0, KernelLocator)
