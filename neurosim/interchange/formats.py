"""Which file is read by what, and what Python objects are networks."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from neurosim.errors import InputError, nearest

if TYPE_CHECKING:  # it loads SciPy, which a look at a name need not
    from neurosim.results.network import TrainedNetwork


def _read_onnx(path, n_steps=None):
    from neurosim.interchange.onnx_in import read_onnx

    return read_onnx(path, n_steps)


def _read_npz(path, n_steps=None):
    from neurosim.interchange.arrays import read_npz

    return read_npz(path)


def _read_nir(path, n_steps=None):
    from neurosim.interchange.nir_in import read_nir

    return read_nir(path, n_steps)


#: Suffix of a file: its reader, ``read(path, n_steps)``.
SUFFIXES = {".onnx": _read_onnx, ".npz": _read_npz, ".nir": _read_nir, ".h5": _read_nir, ".hdf5": _read_nir}


def looks_like_network(name: Any) -> bool:
    """Whether a name is that of a file with a network, and not of a scenario."""
    return Path(str(name)).suffix.lower() in SUFFIXES


def holds_network(name: Any) -> bool:
    """Whether a name is that of a file with a network, or of the folder of a finished run or its result.json, and not of a scenario."""
    path = Path(str(name))
    return looks_like_network(name) or (path if path.name == "result.json" else path / "result.json").is_file()


def read_any(path: str | Path, n_steps: int | None = None) -> "TrainedNetwork":
    """A network from a file, by its suffix.

    Parameters
    ----------
    path : path-like
    n_steps : int, optional
        Steps of a sample, where the file leaves them open.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
        One line that names the file, and the node or layer.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: found a file {suffix or 'without suffix'}; {nearest(suffix, SUFFIXES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file" + (" (it is a folder)" if path.is_dir() else ""))
    return SUFFIXES[suffix](path, n_steps)


def network_of(source: Any, n_steps: int | None = None, **about: Any) -> "TrainedNetwork":
    """A network from whatever holds one.

    Parameters
    ----------
    source : TrainedNetwork, path-like, onnx.ModelProto, scikit-learn estimator, or sequence of matrices
        Matrices are arrays or SciPy sparse arrays of shape (pre, post), inputs first.
    n_steps : int, optional
        Steps of a sample, where the source leaves them open.
    **about
        Of matrices: `activation`, `biases` and `scale`; see `neurosim.interchange.arrays.from_matrices`.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
    """
    from neurosim.results.network import TrainedNetwork

    if isinstance(source, TrainedNetwork):
        return source
    if isinstance(source, (str, Path)):
        return read_any(source, n_steps)
    kind = type(source)
    if kind.__module__.partition(".")[0] == "onnx":
        return _read_onnx(source, n_steps)
    if hasattr(source, "coefs_") and hasattr(source, "intercepts_"):
        from neurosim.interchange.scikit import from_sklearn

        return from_sklearn(source)
    if isinstance(source, (list, tuple)):
        from neurosim.interchange.arrays import from_matrices

        return from_matrices(source, **about)
    raise InputError(
        f"network: found a {kind.__module__}.{kind.__name__}; expected a file, an ONNX model, a scikit-learn MLPClassifier or a list of matrices "
        "(a PyTorch module goes through torch.onnx.export)"
    )
