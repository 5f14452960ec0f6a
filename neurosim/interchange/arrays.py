"""Matrices in memory, and NPZ files: of our own layout, or of `scipy.sparse.save_npz`."""

import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from neurosim.errors import InputError
from neurosim.interchange.layers import Layers, check_cells, sparse_of
from neurosim.results.network import TrainedNetwork, read_network


def from_matrices(
    matrices: Iterable[Any], activation: str | Sequence[str] = "relu", biases: Sequence[Any] | None = None, scale: float = 1.0, path: str = "matrices"
) -> TrainedNetwork:
    """A perceptron from its weights.

    Parameters
    ----------
    matrices : sequence of array or sparse array, shape (pre, post)
        Inputs first. Of a dense array zeros are no connections; of a sparse one everything that is stored is one.
    activation : str or sequence of str
        Of the hidden layers, all or each.
    biases : sequence of (array or None), optional
        Of each layer but the inputs.
    scale : float
        What inputs are multiplied by.
    path : str
        For messages.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
    """
    matrices = list(matrices)
    cells = (activation,) * (len(matrices) - 1) if isinstance(activation, str) else tuple(activation)
    if len(cells) != len(matrices) - 1:
        raise InputError(f"{path}: found {len(cells)} activations; expected one, or one per hidden layer, {len(matrices) - 1}")
    check_cells(path, cells)
    biases = [None] * len(matrices) if biases is None else list(biases)
    if len(biases) != len(matrices):
        raise InputError(f"{path}: biases of {len(biases)} layers; expected {len(matrices)}, None where a layer has none")
    layers = Layers(path)
    layers.scale(path, np.float64(scale), None)
    for i, (weight, bias) in enumerate(zip(matrices, biases, strict=True)):
        where = f"{path}: matrix {i}"
        layers.add_sparse(where, sparse_of(where, weight))
        if bias is not None:
            layers.shift(where, np.asarray(bias, np.float64), None)
        if i < len(cells):
            layers.cell(where, cells[i])
    return layers.network()


def read_npz(path: str | Path) -> TrainedNetwork:
    """A network from an NPZ file: of our own layout, or one matrix as SciPy writes it, inputs times outputs.

    Raises
    ------
    InputError
    """
    path = Path(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            is_scipy = {"format", "shape", "data"} <= set(archive.files)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile):
        is_scipy = False
    if not is_scipy:
        return read_network(path)
    try:
        weight = sparse.load_npz(path)
    except (OSError, ValueError, KeyError, TypeError, NotImplementedError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable sparse matrix ({type(error).__name__})") from None
    return from_matrices([weight], path=str(path))
