"""ONNX in: `LSTM` and `RNN` nodes, one direction, samples that begin at zero."""

from typing import Any

import numpy as np

from neurosim.errors import InputError, printable
from neurosim.interchange.onnx_axes import Value
from neurosim.interchange.onnx_graph import Zeros
from neurosim.interchange.onnx_out import LSTM_GATES


def follow_recurrent(reader, node):
    """Tell the layers of a reader what an `LSTM` or `RNN` node is, and name the axes of its output.

    Raises
    ------
    InputError
    """
    graph, value = reader.graph, reader.value
    _refuse_unusual(graph, node)
    kind, gates = ("lstm", LSTM_GATES) if node.kind == "LSTM" else ("rnn", (0,))
    if len(value.axes) != 3:
        raise InputError(f"{node.where}: takes {len(value.axes)} axes; expected (steps, samples, features)")
    axes = ("samples", "steps", "features") if node.get("layout", 0) else ("steps", "samples", "features")
    if any(a in ("steps", "samples", "features") and a != b for a, b in zip(value.axes, axes, strict=True)):
        raise InputError(f"{node.where}: takes axes ({', '.join(value.axes)}); expected ({', '.join(axes)})")
    sizes = value.sizes
    n_steps, n_samples = sizes[axes.index("steps")] or reader.n_steps, sizes[axes.index("samples")]
    if n_steps is None:
        raise InputError(f"{node.where}: the number of steps is open; say how many with --steps")
    weights, n_units = [], node["hidden_size"]
    for i, what in ((1, "weights W"), (2, "weights R")):
        array = graph.constant(node, i, what)
        if array.ndim != 3 or array.shape[:2] != (1, n_units * len(gates)):
            raise InputError(f"{node.where}: {what} of shape {array.shape}; expected (1, {n_units * len(gates)}, ...)")
        is_synapse = graph.synapses.get(node.inputs[i], array != 0)
        weights.append(tuple(_side_by_side(a[0].T, gates) for a in (array.astype(np.float32), is_synapse)))
    if value.sizes[-1] not in (None, weights[0][0].shape[0]):
        raise InputError(f"{node.where}: weights for {weights[0][0].shape[0]} features, its input has {value.sizes[-1]}")
    bias = np.zeros(2 * n_units * len(gates), np.float32)
    if len(node.inputs) > 3 and node.inputs[3]:
        bias = graph.constant(node, 3, "biases B").astype(np.float32).reshape(-1)
    bias = _side_by_side(bias.reshape(2, -1).sum(axis=0)[None], gates)[0]
    reader.layers.recurrent(node.where, kind, weights, bias, n_steps)
    reader.n_walked = n_steps
    # All states, and the last one of each sample; only one of them can be followed.
    outputs = [*node.outputs, "", "", ""][:3]
    used = {name for each in reader.nodes for name in each.inputs} | {graph.outputs[0]}
    taken = [i for i in (0, 1, 2) if outputs[i] and outputs[i] in used]
    if taken != [0] and taken != [1]:
        raise InputError(
            f"{node.where}: its outputs {', '.join(printable(outputs[i]) for i in taken) or 'none'} are used; expected all states or the last"
        )
    if taken == [1]:
        reader.layers.read_out(node.where, "last")
        pairs = [("directions", 1), ("samples", n_samples), ("features", n_units)]
    elif node.get("layout", 0):
        pairs = [("samples", n_samples), ("steps", n_steps), ("directions", 1), ("features", n_units)]
    else:
        pairs = [("steps", n_steps), ("directions", 1), ("samples", n_samples), ("features", n_units)]
    reader.value = Value(tuple(a for a, _ in pairs), tuple(n for _, n in pairs))
    node.outputs[0] = outputs[taken[0]]


def _refuse_unusual(graph, node):
    want: dict[str, Any] = {"direction": "forward", "clip": None, "input_forget": 0, "activation_alpha": None, "activation_beta": None}
    for key, usual in want.items():
        found = node.get(key, usual)
        found = found.decode() if isinstance(found, bytes) else found
        if found != usual:
            raise InputError(f"{node.where}: {key} is {found}; expected {usual if usual is not None else 'none'}")
    cells = ["sigmoid", "tanh", "tanh"] if node.kind == "LSTM" else ["tanh"]
    named = [name.decode().lower() for name in node.get("activations", [])]
    if named and named != cells:
        raise InputError(f"{node.where}: activations {', '.join(named)}; expected {', '.join(cells)}")
    for i, what in ((5, "first state"), (6, "first cell state"), (7, "peepholes")):
        name = node.inputs[i] if i < len(node.inputs) else ""
        found = graph.constants.get(name)
        if name and not isinstance(found, Zeros) and (not isinstance(found, np.ndarray) or found.any()):
            raise InputError(f"{node.where}: {what} {printable(name)!r} is not zero; samples begin at zero here")


def _side_by_side(columns, gates):
    """Columns gate after gate, as ONNX has them, as sums of a unit side by side."""
    n = columns.shape[1] // len(gates)
    return columns.reshape(-1, len(gates), n)[:, np.argsort(gates)].transpose(0, 2, 1).reshape(-1, columns.shape[1])
