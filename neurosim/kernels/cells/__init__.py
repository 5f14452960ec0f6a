"""What neurons compute. A cell of feed-forward layers is one file with two functions:

    forward(values, start, stop, lanes)
        Turn the sums in the rows [start, stop) of a tile, float32 (N * n_lanes,), into outputs, in place. A sum of zero gives zero.
    backward(errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes)
        Turn dE/d(output) in these rows of `errors` into dE/d(sum), in place, from the outputs in `values`; and keep which outputs count as
        something (`live`) and which errors are not zero (`wrong`), each if its place is not negative: see `kernels.marks`. Of a cell whose
        zeros have errors every output of the first `n_samples` lanes is something.

Its facts stand in `neurosim.networks.models`, under the same name. Recurrent cells (`cells.gated`) have functions of a step.
"""

import hashlib
from importlib import import_module
from pathlib import Path
from typing import NamedTuple

from neurosim.kernels.compile import inlined

_BUNDLED = ("relu", "leaky_relu", "tanh")


class Cell(NamedTuple):
    """The two functions of a cell, and a name for what is compiled with them."""

    name: str
    forward: object
    backward: object


_added: dict[str, Cell] = {}


def add_cell(name: str, forward, backward) -> None:
    """Make a cell from elsewhere known; its facts are a row of `neurosim.networks.MODELS`.

    Parameters
    ----------
    name : str
    forward, backward : function
        Made with `neurosim.kernels.compile.inlined`.
    """
    texts = b"".join(Path(f.py_func.__code__.co_filename).read_bytes() for f in (forward, backward))
    _added[name] = Cell(f"{name}_{hashlib.sha256(texts).hexdigest()[:12]}", forward, backward)


def find_cell(name: str) -> Cell:
    """The functions of a cell.

    Raises
    ------
    KeyError
        No feed-forward cell of this name computes anything here.
    """
    if name in _added:
        return _added[name]
    if name not in _BUNDLED:
        raise KeyError(name)
    module = import_module(f"{__name__}.{name}")
    return Cell(name, module.forward, module.backward)


def join_cells(names):
    """One pair of functions for the layers of a network.

    Parameters
    ----------
    names : sequence of str
        Different cells.

    Returns
    -------
    Cell
        Its functions take the number of the layer's cell in `names` before all other arguments.
    """
    cells = [find_cell(name) for name in names]
    joined = _only(cells[-1].forward, cells[-1].backward)
    for number in range(len(cells) - 2, -1, -1):
        joined = _either(number, cells[number].forward, cells[number].backward, *joined)
    return Cell("_".join(cell.name for cell in cells), *joined)


def _only(cell_forward, cell_backward):
    @inlined
    def forward(kind, values, start, stop, lanes):
        cell_forward(values, start, stop, lanes)

    @inlined
    def backward(kind, errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes):
        cell_backward(errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes)

    return forward, backward


def _either(number, cell_forward, cell_backward, other_forward, other_backward):
    @inlined
    def forward(kind, values, start, stop, lanes):
        if kind == number:
            cell_forward(values, start, stop, lanes)
        else:
            other_forward(kind, values, start, stop, lanes)

    @inlined
    def backward(kind, errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes):
        if kind == number:
            cell_backward(errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes)
        else:
            other_backward(kind, errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes)

    return forward, backward
