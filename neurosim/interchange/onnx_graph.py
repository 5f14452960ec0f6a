"""ONNX in: the graph of a file, with everything in it that depends on constants alone already computed.

Constants are folded (`Constant`, `Identity`, `Transpose`, `Reshape`, ... of initializers), and where sparse ones have connections goes with them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import InputError, printable

#: Operators that compute constants from constants, in NumPy.
_FOLDED: dict[str, Callable] = {
    "Identity": lambda node, x: x,
    "Cast": lambda node, x: x,
    "Transpose": lambda node, x: np.transpose(x, node.get("perm")),
    "Reshape": lambda node, x, shape: x.reshape([x.shape[i] if n == 0 else n for i, n in enumerate(shape.tolist())]),
    "Flatten": lambda node, x: x.reshape(int(np.prod(x.shape[: node.get("axis", 1)])), -1),
    "Squeeze": lambda node, x, axes=None: np.squeeze(x, tuple(int(a) for a in (axes if axes is not None else node["axes"]))),
    "Unsqueeze": lambda node, x, axes=None: np.expand_dims(x, tuple(int(a) for a in (axes if axes is not None else node["axes"]))),
    "Mul": lambda node, x, y: x * y,
    "Add": lambda node, x, y: x + y,
    "Neg": lambda node, x: -x,
    "Concat": lambda node, *x: np.concatenate(x, node["axis"]),
    "Gather": lambda node, x, at: np.take(x, at, node.get("axis", 0)),
    "Slice": lambda node, x, *cut: _cut(x, *(c.tolist() for c in cut)),
}


def _cut(x, starts, ends, axes=None, steps=None):
    for start, end, axis, step in zip(starts, ends, axes or range(len(starts)), steps or [1] * len(starts), strict=True):
        x = x[(*[slice(None)] * (axis % x.ndim), slice(start, None if end > x.shape[axis] else end, step))]
    return x


@dataclass
class Node:
    """A node with what it was called, for messages."""

    kind: str
    where: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any] = field(default_factory=dict)

    def get(self, key, default=None):
        return self.attributes.get(key, default)

    def __getitem__(self, key):
        return self.attributes[key]


class Zeros:
    """A constant of zeros whose shape depends on the number of samples."""


def load_model(onnx, source, path):
    if isinstance(source, onnx.ModelProto):
        return source
    try:
        model = onnx.load_model_from_string(source) if isinstance(source, bytes) else onnx.load_model(str(source))
    except FileNotFoundError as error:
        if not isinstance(source, bytes) and not Path(source).exists():
            raise InputError(f"{path}: no such file") from None
        raise InputError(f"{path}: {_external(error)}") from None
    except Exception as error:  # protobuf and the checker raise kinds of their own
        if "xternal" in str(error) or "should be stored in" in str(error):
            raise InputError(f"{path}: {_external(error)}") from None
        raise InputError(f"{path}: not an ONNX file ({type(error).__name__})") from None
    if not model.HasField("graph") or not (model.graph.node or model.graph.input):
        raise InputError(f"{path}: not an ONNX file (it holds no graph)")
    return model


def _external(error):
    return (
        f"weights in a file beside it that cannot be read ({printable(error)[:160]}); give that file the same folder, or save the model in one file"
    )


class Graph:
    """Constants and nodes of a model.

    Attributes
    ----------
    inputs : list of onnx.ValueInfoProto
    outputs : list of str
    constants : dict
        By name: arrays, `Zeros`, or ``"lengths"`` for what is made from the lengths of samples.
    synapses : dict of str to bool array
        Where sparse constants have connections.
    lengths : str, optional
        Name of the input that holds the lengths of samples.
    """

    def __init__(self, onnx, model, path):
        self.onnx, self.graph, self.path = onnx, model.graph, path
        self.inputs, self.outputs = list(model.graph.input), [output.name for output in model.graph.output]
        self.constants: dict[str, Any] = {}
        self.synapses: dict[str, np.ndarray] = {}
        self.lengths = None
        self._read_constants()

    def nodes(self):
        """All nodes in the order of the file."""
        return [self._node(i, node) for i, node in enumerate(self.graph.node)]

    def _read_constants(self):
        for tensor in self.graph.initializer:
            self.constants[tensor.name] = self._array(tensor)
        for sparse in self.graph.sparse_initializer:
            name, dims = sparse.values.name, list(sparse.dims)
            values, places = self._array(sparse.values), self.onnx.numpy_helper.to_array(sparse.indices)
            if places.ndim == 2:
                places = np.ravel_multi_index(tuple(places.T), dims)
            if places.size and not (0 <= places.min() and places.max() < np.prod(dims)):
                raise InputError(f"{self.path}: initializer {printable(name)} has a weight outside of its shape {tuple(dims)}")
            full, is_synapse = np.zeros(int(np.prod(dims)), values.dtype), np.zeros(int(np.prod(dims)), bool)
            full[places], is_synapse[places] = values, True
            self.constants[name] = full.reshape(dims)
            self.synapses[name] = is_synapse.reshape(dims)

    def _array(self, tensor):
        if tensor.data_location == self.onnx.TensorProto.EXTERNAL and not tensor.HasField("raw_data"):
            raise InputError(
                f"{self.path}: initializer {printable(tensor.name)} stands in a file beside it that was not given; save the model in one file"
            )
        values = self.onnx.numpy_helper.to_array(tensor)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise InputError(f"{self.path}: initializer {printable(tensor.name)} holds a value that is not finite")
        return values

    def _node(self, i, node):
        name = printable(node.name or node.output[0] if node.output else f"node {i}")
        attributes = {a.name: self.onnx.helper.get_attribute_value(a) for a in node.attribute}
        kind = node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"
        return Node(kind, f"{self.path}: node {name} ({printable(kind)})", list(node.input), list(node.output), attributes)

    def fold(self, node):
        """Compute what depends on constants alone."""
        if node.kind == "Constant":
            value = node.get("value")
            found = self._array(value) if value is not None else np.asarray(next(iter(node.attributes.values())))
            self.constants[node.outputs[0]] = found
            return
        given = [self.constants.get(name) for name in node.inputs if name]
        if node.kind in ("ConstantOfShape", "Expand"):
            self._fill(node, given)
            return
        if any(isinstance(value, Zeros) for value in given):
            self.constants[node.outputs[0]] = Zeros()
            return
        if any(value is None for value in given) or node.kind not in _FOLDED:
            if node.kind == "Cast" and node.inputs[0] == self.lengths:
                self.constants[node.outputs[0]] = "lengths"
            elif node.kind == "Unsqueeze" and isinstance(self.constants.get(node.inputs[0]), str):
                self.constants[node.outputs[0]] = "lengths"
            return
        if any(isinstance(value, str) for value in given):
            self.constants[node.outputs[0]] = "lengths"
            return
        self.constants[node.outputs[0]] = _FOLDED[node.kind](node, *given)
        if node.inputs[0] in self.synapses and node.kind in ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Cast"):
            self.synapses[node.outputs[0]] = _FOLDED[node.kind](node, self.synapses[node.inputs[0]], *given[1:])

    def _fill(self, node, given):
        """States at the start of a sample: zeros, as many as there are samples."""
        if node.kind == "ConstantOfShape":
            value = node.get("value")
            value = np.zeros(1, np.float32) if value is None else self.onnx.numpy_helper.to_array(value)
        else:
            value = given[0]
        if isinstance(value, Zeros) or isinstance(value, np.ndarray) and not value.any():
            self.constants[node.outputs[0]] = Zeros()

    def constant(self, node, i, what):
        """An input of a node that is an array of the file.

        Raises
        ------
        InputError
        """
        name = node.inputs[i] if i < len(node.inputs) else ""
        found = self.constants.get(name)
        if not isinstance(found, np.ndarray):
            raise InputError(f"{node.where}: its {what} {printable(name)!r} is no constant of the file")
        return found


def needed(nodes, goal):
    """Nodes on which an output depends, in their order."""
    wanted, kept = {goal}, []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            wanted |= set(node.inputs)
            kept.append(node)
    return kept[::-1]


def take_last_layer(nodes, constants):
    """Nodes in which the last states of all layers, put together to take those of the last layer, are those of the last layer."""
    last = {node.outputs[1] for node in nodes if node.kind in ("LSTM", "RNN") and len(node.outputs) > 1 and node.outputs[1]}
    joined = {node.outputs[0]: node for node in nodes if node.kind == "Concat" and set(node.inputs) <= last and node.get("axis") == 0}
    found = []
    for node in nodes:
        join = joined.get(node.inputs[0]) if node.inputs else None
        if join and node.kind == "Gather" and node.get("axis", 0) == 0:
            at = constants.get(node.inputs[1], next((n["value"] for n in nodes if n.kind == "Constant" and n.outputs[0] == node.inputs[1]), None))
            at = np.frombuffer(at.raw_data, np.int64) if hasattr(at, "raw_data") and at.raw_data else at
            if isinstance(at, np.ndarray) and at.size == 1 and at.item() in (-1, len(join.inputs) - 1):
                node = Node("Squeeze", node.where, [join.inputs[-1]], node.outputs, {"axes": [0]})
        found.append(node)
    return found
