"""ONNX in: a graph of layers, one behind the other, as a trained network.

Read is what inference needs: constants are folded (`Constant`, `Identity`, `Transpose`, `Reshape`, ... of initializers), names of axes follow
each value through `Transpose`, `Squeeze` and `Reshape`, so that it is known what an operator sees. Refused, by the name of the node, is what
a `TrainedNetwork` cannot hold: branches, unknown operators, weights that are no constants.
Source of the operators: ONNX operator schemas, opset 7 and later.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import InputError, printable
from neurosim.interchange.layers import Layers
from neurosim.interchange.libraries import need
from neurosim.interchange.onnx_out import LSTM_GATES
from neurosim.results.network import TrainedNetwork

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
#: Operators that let every value through.
_PASSED = {"Identity", "Dropout", "Cast"}
#: Names of axes that hold nothing, of size 1.
_IDLE = ("one", "directions")
#: In the shape of a value: as many as there are samples.
_OPEN = -1
_CELLS = {"Relu": "relu", "Tanh": "tanh", "LeakyRelu": "leaky_relu"}
#: Slope of our leaky cell below zero.
_SLOPE = 0.01


def _cut(x, starts, ends, axes=None, steps=None):
    for start, end, axis, step in zip(starts, ends, axes or range(len(starts)), steps or [1] * len(starts), strict=True):
        x = x[(*[slice(None)] * (axis % x.ndim), slice(start, None if end > x.shape[axis] else end, step))]
    return x


@dataclass
class _Node:
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


@dataclass(frozen=True)
class _Value:
    """A value that samples flow through: what its axes are, and how long; None is not known."""

    axes: tuple[str, ...]
    sizes: tuple[int | None, ...]


class _Zeros:
    """A constant of zeros whose shape depends on the number of samples."""


def read_onnx(source: Any, n_steps: int | None = None) -> TrainedNetwork:
    """A network from an ONNX file.

    Parameters
    ----------
    source : path-like, bytes or onnx.ModelProto
    n_steps : int, optional
        Steps of a sequence, where the graph leaves them open.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
        One line that names the file and the node.
    """
    path = printable(source) if isinstance(source, (str, Path)) else "the ONNX model"
    onnx = need("onnx", "onnx", path)
    model = _load(onnx, source, path)
    try:
        return _Reader(onnx, model, path, n_steps).read()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a graph that can be followed ({type(error).__name__}: {printable(error)[:200]})") from None


def _load(onnx, source, path):
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


class _Reader:
    """Follows a graph from its input to its output and tells a `Layers` what stands on the way."""

    def __init__(self, onnx, model, path, n_steps):
        self.onnx, self.model, self.graph, self.path, self.n_steps = onnx, model, model.graph, path, n_steps
        self.constants: dict[str, Any] = {}
        self.synapses: dict[str, np.ndarray] = {}
        self.layers = Layers(path)
        self.lengths = None
        self.value = _Value((), ())
        self.name = ""
        self.n_walked: int | None = None  # steps of the last recurrent layer
        self.nodes: list[_Node] = []

    def read(self):
        self._read_constants()
        nodes = [self._node(i, node) for i, node in enumerate(self.graph.node)]
        self._find_input(nodes)
        if len(self.graph.output) != 1:
            names = ", ".join(printable(output.name) for output in self.graph.output[:4])
            raise InputError(f"{self.path}: found {len(self.graph.output)} outputs ({names}); expected one, the scores of the classes")
        goal = self.graph.output[0].name
        nodes = self.nodes = _needed(_take_last_layer(nodes, self.constants), goal)
        users: dict[str, list[_Node]] = {}
        for node in nodes:
            for name in set(node.inputs) if node.kind != "Shape" else ():
                users.setdefault(name, []).append(node)
        values = {self.name: self.value}
        for node in nodes:
            if node.kind == "Shape" and node.inputs[0] in values:
                sizes = values[node.inputs[0]].sizes
                self.constants[node.outputs[0]] = np.array([_OPEN if n is None else n for n in sizes], np.int64)
                continue
            if self.name not in node.inputs:
                self._fold(node)
                continue
            if len(users[self.name]) > 1:
                one, other = (user.where.rpartition(": ")[2] for user in users[self.name][:2])
                raise InputError(f"{self.path}: {other} takes {printable(self.name)} as {one} does; a network of layers has no branches")
            self._follow(node)
            values[self.name] = self.value
        if self.name != goal:
            raise InputError(
                f"{self.path}: output {printable(goal)} is not reached from the input through known operators; the last is {printable(self.name)}"
            )
        return self._finish()

    # Constants

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
        return _Node(kind, f"{self.path}: node {name} ({printable(kind)})", list(node.input), list(node.output), attributes)

    def _fold(self, node):
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
        if any(isinstance(value, _Zeros) for value in given):
            self.constants[node.outputs[0]] = _Zeros()
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
        if isinstance(value, _Zeros) or isinstance(value, np.ndarray) and not value.any():
            self.constants[node.outputs[0]] = _Zeros()

    def _constant(self, node, i, what):
        name = node.inputs[i] if i < len(node.inputs) else ""
        found = self.constants.get(name)
        if not isinstance(found, np.ndarray):
            raise InputError(f"{node.where}: its {what} {printable(name)!r} is no constant of the file")
        return found

    # Where samples come in

    def _find_input(self, nodes):
        known = set(self.constants)
        given = [i for i in self.graph.input if i.name not in known]
        at = {name for node in nodes if node.kind in ("LSTM", "RNN", "GRU") and len(node.inputs) > 4 for name in [node.inputs[4]] if name}
        lengths = [i for i in given if i.name in at]
        samples = [i for i in given if i.name not in at]
        if len(samples) != 1:
            names = ", ".join(printable(i.name) for i in samples[:4]) or "none"
            raise InputError(f"{self.path}: found {len(samples)} inputs ({names}); expected one, the samples")
        self.lengths = lengths[0].name if lengths else None
        (entry,) = samples
        shape = entry.type.tensor_type.shape
        sizes = tuple(d.dim_value if d.HasField("dim_value") else None for d in shape.dim)
        if len(sizes) < 2:
            raise InputError(f"{self.path}: input {printable(entry.name)} has {len(sizes)} axes; expected samples and features at least")
        self.name, self.value = entry.name, _Value(tuple(f"axis {i}" for i in range(len(sizes))), sizes)
        self.entry = printable(entry.name)

    # Operators

    def _follow(self, node):
        handler = getattr(self, f"_op_{node.kind.lower()}", None)
        if node.kind in _PASSED:
            handler = self._pass
        elif node.kind in _CELLS:
            handler = self._cell
        elif node.kind in ("LSTM", "RNN"):
            handler = self._recurrent
        elif node.kind in ("Softmax", "LogSoftmax", "ArgMax"):
            handler = self._end
        if handler is None:
            known = sorted({*_PASSED, *_CELLS, "LSTM", "RNN", "Softmax", *(n for n in _NAMES)})
            raise InputError(f"{node.where}: this operator has no place in a network of neurosim; known: {', '.join(known)}")
        if self.layers.is_over and handler not in (self._end, self._pass):
            raise InputError(f"{node.where}: stands behind the softmax, which ends a network")
        handler(node)
        self.name = node.outputs[0] if self.name in node.inputs else self.name

    def _pass(self, node):
        if node.kind == "Dropout" and len(node.inputs) > 2 and np.any(self.constants.get(node.inputs[2], False)):
            raise InputError(f"{node.where}: drops at random (training_mode); export the model for inference")

    def _end(self, node):
        self.layers.end(node.where)

    def _cell(self, node):
        slope = node.get("alpha", _SLOPE)
        if node.kind == "LeakyRelu" and abs(slope - _SLOPE) > 1e-6:
            raise InputError(f"{node.where}: slope {slope:g} below zero; the cell leaky_relu has {_SLOPE:g}")
        self.layers.cell(node.where, _CELLS[node.kind])

    def _op_flatten(self, node):
        axis = node.get("axis", 1)
        if axis % max(1, len(self.value.axes)) != 1:
            raise InputError(f"{node.where}: flattens from axis {axis}; expected 1, all features of a sample")
        self._merge_features(node)

    def _op_reshape(self, node):
        shape, sizes = self._constant(node, 1, "shape").tolist(), self.value.sizes
        shape = [sizes[i] if n == 0 and i < len(sizes) else n for i, n in enumerate(shape)]
        places = _align(self.value, shape)
        if places is not None:
            self.value = _Value(
                tuple("one" if i is None else self.value.axes[i] for i in places), tuple(1 if i is None else sizes[i] for i in places)
            )
        elif len(shape) == 2 and shape[1] in (_OPEN, self._size_of(node, sizes[1:])):
            self._merge_features(node)
        else:
            raise InputError(f"{node.where}: reshapes to {tuple(shape)}; expected (samples, features)")

    def _merge_features(self, node):
        if "steps" in self.value.axes:
            raise InputError(f"{node.where}: puts the steps of a sequence side by side behind a recurrent layer; expected its last state or mean")
        n = self._size_of(node, self.value.sizes[1:])
        self.value = _Value((self.value.axes[0], "features"), (self.value.sizes[0], n))

    def _size_of(self, node, sizes):
        if any(n is None for n in sizes):
            raise InputError(
                f"{node.where}: the size of input {self.entry} is open along an axis that is not that of the samples; export the model with fixed sizes"
            )
        return int(np.prod(sizes))

    def _op_transpose(self, node):
        n = len(self.value.axes)
        perm = node.get("perm") or list(reversed(range(n)))
        self.value = _Value(tuple(self.value.axes[i] for i in perm), tuple(self.value.sizes[i] for i in perm))

    def _op_squeeze(self, node):
        axes = node.get("axes") if node.get("axes") is not None else self._constant(node, 1, "axes").tolist() if len(node.inputs) > 1 else None
        n = len(self.value.axes)
        axes = [i for i, axis in enumerate(self.value.axes) if axis in _IDLE] if axes is None else [a % n for a in axes]
        if any(self.value.sizes[a] not in (1, None) for a in axes):
            raise InputError(f"{node.where}: leaves out an axis of size {self.value.sizes[axes[0]]}")
        kept = [i for i in range(n) if i not in axes]
        self.value = _Value(tuple(self.value.axes[i] for i in kept), tuple(self.value.sizes[i] for i in kept))

    def _op_gather(self, node):
        at, axis = self._constant(node, 1, "indices"), node.get("axis", 0) % len(self.value.axes)
        self._take(node, axis, int(at) if at.size == 1 else None, keeps=at.ndim > 0)

    def _op_slice(self, node):
        starts, ends, axes = (self._constant(node, i, what) for i, what in ((1, "starts"), (2, "ends"), (3, "axes")))
        if starts.size != 1:
            raise InputError(f"{node.where}: cuts {starts.size} axes; expected the last step of a recurrent layer")
        axis, start = int(axes[0]) % len(self.value.axes), int(starts[0])
        is_one = start == -1 and int(ends[0]) > 2**30 or self.value.sizes[axis] is not None and int(ends[0]) - start == 1
        self._take(node, axis, start if is_one else None, keeps=True)

    def _take(self, node, axis, at, keeps):
        axes, size = self.value.axes, self.value.sizes[axis]
        is_last = at is not None and (at == -1 or size is not None and at == size - 1)
        is_alone = size == 1 and at in (0, -1)
        if axes[axis] == "steps" and is_last:
            self.layers.read_out(node.where, "last")
        elif not is_alone:
            raise InputError(f"{node.where}: takes a part of {axes[axis]}; expected the last step of a recurrent layer")
        if keeps:
            self.value = _Value((*axes[:axis], "one", *axes[axis + 1 :]), (*self.value.sizes[:axis], 1, *self.value.sizes[axis + 1 :]))
        else:
            self.value = _Value(axes[:axis] + axes[axis + 1 :], self.value.sizes[:axis] + self.value.sizes[axis + 1 :])

    def _op_reducemean(self, node):
        self._reduce(node, "mean")

    def _op_reducesum(self, node):
        self._reduce(node, "sum")

    def _reduce(self, node, how):
        axes = node.get("axes") if node.get("axes") is not None else self._constant(node, 1, "axes").tolist()
        axis = axes[0] % len(self.value.axes)
        if len(axes) != 1 or self.value.axes[axis] != "steps":
            raise InputError(f"{node.where}: {how} over {self.value.axes[axis]}; expected the steps of a recurrent layer")
        if how == "mean" and self.lengths:
            raise InputError(
                f"{node.where}: mean over all steps of sequences that may be shorter ({printable(self.lengths)}); expected their sum divided by the lengths"
            )
        self.layers.read_out(node.where, how)
        keeps = node.get("keepdims", 1)
        middle = (("one", 1),) if keeps else ()
        pairs = [*zip(self.value.axes[:axis], self.value.sizes[:axis]), *middle, *zip(self.value.axes[axis + 1 :], self.value.sizes[axis + 1 :])]
        self.value = _Value(tuple(a for a, _ in pairs), tuple(n for _, n in pairs))

    def _op_div(self, node):
        other = self.constants.get(node.inputs[1])
        if isinstance(other, str) and self.name == node.inputs[0]:
            self.layers.divide_by_lengths(node.where)
            return
        if self.name != node.inputs[0]:
            raise InputError(f"{node.where}: divides by the values of the network; no layer does that")
        divisor = self._constant(node, 1, "divisor").astype(np.float64)
        if not divisor.all():
            raise InputError(f"{node.where}: divides by zero")
        if self.layers.sum_over_steps and divisor.size == 1 and divisor.item() == self.n_walked:
            self.layers.divide_by_lengths(node.where)
            return
        self.layers.scale(node.where, 1 / divisor, self._n_features())

    def _op_mul(self, node):
        i = 1 - node.inputs.index(self.name)
        self.layers.scale(node.where, self._constant(node, i, "factor").astype(np.float64), self._n_features())

    def _op_add(self, node):
        i = 1 - node.inputs.index(self.name)
        self.layers.shift(node.where, self._constant(node, i, "summand").astype(np.float64), self._n_features())

    def _op_sub(self, node):
        if self.name != node.inputs[0]:
            raise InputError(f"{node.where}: subtracts the values of the network from a constant; no layer does that")
        self.layers.shift(node.where, -self._constant(node, 1, "subtrahend").astype(np.float64), self._n_features())

    def _n_features(self):
        return self.value.sizes[-1]

    def _op_matmul(self, node):
        if self.name != node.inputs[0]:
            raise InputError(f"{node.where}: weights stand before the values; expected values times weights")
        self._multiply(node, self._weights(node, 1))

    def _op_gemm(self, node):
        if node.get("transA", 0) or self.name != node.inputs[0]:
            raise InputError(f"{node.where}: transA or weights as first input; expected values times weights")
        weight, is_synapse = self._weights(node, 1)
        if node.get("transB", 0):
            weight, is_synapse = weight.T, is_synapse.T
        self._multiply(node, (weight * np.float32(node.get("alpha", 1.0)), is_synapse))
        if len(node.inputs) > 2 and node.inputs[2]:
            bias = self._constant(node, 2, "bias").astype(np.float64) * node.get("beta", 1.0)
            self.layers.shift(node.where, bias.reshape(-1) if bias.size > 1 else bias, weight.shape[1])

    def _weights(self, node, i):
        weight = self._constant(node, i, "weights")
        if weight.ndim != 2:
            raise InputError(f"{node.where}: weights {printable(node.inputs[i])} of shape {weight.shape}; expected two axes, (pre, post)")
        return weight.astype(np.float32), self.synapses.get(node.inputs[i], weight != 0)

    def _multiply(self, node, weights):
        weight, is_synapse = weights
        if not self.layers.has_weights:
            # Only here is it known which axis of the input holds what.
            axes, sizes = self.value.axes, self.value.sizes
            if len(axes) != 2:
                raise InputError(f"{node.where}: takes an input of {len(axes)} axes {sizes}; flatten it to (samples, features) before")
            if sizes[1] not in (None, weight.shape[0]):
                raise InputError(f"{node.where}: weights of shape {weight.shape} for {sizes[1]} features")
        elif "steps" in self.value.axes:
            raise InputError(f"{node.where}: works at every step of a sequence; expected the last state or the mean of the recurrent layer before it")
        elif self._n_features() not in (None, weight.shape[0]):
            raise InputError(f"{node.where}: weights of shape {weight.shape} for {self._n_features()} values")
        self.layers.multiply(node.where, weight, is_synapse)
        self.value = _Value(("samples", "features"), (self.value.sizes[0], weight.shape[1]))

    def _recurrent(self, node):
        self._refuse_unusual(node)
        kind, gates = ("lstm", LSTM_GATES) if node.kind == "LSTM" else ("rnn", (0,))
        if len(self.value.axes) != 3:
            raise InputError(f"{node.where}: takes {len(self.value.axes)} axes; expected (steps, samples, features)")
        axes = ("samples", "steps", "features") if node.get("layout", 0) else ("steps", "samples", "features")
        if any(a in ("steps", "samples", "features") and a != b for a, b in zip(self.value.axes, axes, strict=True)):
            raise InputError(f"{node.where}: takes axes ({', '.join(self.value.axes)}); expected ({', '.join(axes)})")
        sizes = self.value.sizes
        n_steps, n_samples = sizes[axes.index("steps")] or self.n_steps, sizes[axes.index("samples")]
        if n_steps is None:
            raise InputError(f"{node.where}: the number of steps is open; say how many with --steps")
        weights, n_units = [], node["hidden_size"]
        for i, what in ((1, "weights W"), (2, "weights R")):
            array = self._constant(node, i, what)
            if array.ndim != 3 or array.shape[:2] != (1, n_units * len(gates)):
                raise InputError(f"{node.where}: {what} of shape {array.shape}; expected (1, {n_units * len(gates)}, ...)")
            is_synapse = self.synapses.get(node.inputs[i], array != 0)
            weights.append(tuple(_side_by_side(a[0].T, gates) for a in (array.astype(np.float32), is_synapse)))
        if self._n_features() not in (None, weights[0][0].shape[0]):
            raise InputError(f"{node.where}: weights for {weights[0][0].shape[0]} features, its input has {self._n_features()}")
        bias = np.zeros(2 * n_units * len(gates), np.float32)
        if len(node.inputs) > 3 and node.inputs[3]:
            bias = self._constant(node, 3, "biases B").astype(np.float32).reshape(-1)
        bias = _side_by_side(bias.reshape(2, -1).sum(axis=0)[None], gates)[0]
        self.layers.recurrent(node.where, kind, weights, bias, n_steps)
        self.n_walked = n_steps
        # All states, and the last one of each sample; only one of them can be followed.
        outputs = [*node.outputs, "", "", ""][:3]
        used = {name for each in self.nodes for name in each.inputs} | {self.graph.output[0].name}
        taken = [i for i in (0, 1, 2) if outputs[i] and outputs[i] in used]
        if taken != [0] and taken != [1]:
            raise InputError(
                f"{node.where}: its outputs {', '.join(printable(outputs[i]) for i in taken) or 'none'} are used; expected all states or the last"
            )
        if taken == [1]:
            self.layers.read_out(node.where, "last")
            pairs = [("directions", 1), ("samples", n_samples), ("features", n_units)]
        elif node.get("layout", 0):
            pairs = [("samples", n_samples), ("steps", n_steps), ("directions", 1), ("features", n_units)]
        else:
            pairs = [("steps", n_steps), ("directions", 1), ("samples", n_samples), ("features", n_units)]
        self.value = _Value(tuple(a for a, _ in pairs), tuple(n for _, n in pairs))
        node.outputs[0] = outputs[taken[0]]

    def _refuse_unusual(self, node):
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
            found = self.constants.get(name)
            if name and not isinstance(found, _Zeros) and (not isinstance(found, np.ndarray) or found.any()):
                raise InputError(f"{node.where}: {what} {printable(name)!r} is not zero; samples begin at zero here")

    def _finish(self):
        network = self.layers.network(self.lengths is not None)
        told = {prop.key: prop.value for prop in self.model.metadata_props}
        return _with_metadata(network, told, self.path, self.model.producer_name)


_NAMES = [
    "Flatten",
    "Reshape",
    "Transpose",
    "Squeeze",
    "Gather",
    "Slice",
    "ReduceMean",
    "ReduceSum",
    "Div",
    "Mul",
    "Add",
    "Sub",
    "MatMul",
    "Gemm",
    "ArgMax",
    "LogSoftmax",
]


def _needed(nodes, goal):
    """Nodes on which an output depends, in their order."""
    wanted, kept = {goal}, []
    for node in reversed(nodes):
        if wanted & set(node.outputs):
            wanted |= set(node.inputs)
            kept.append(node)
    return kept[::-1]


def _take_last_layer(nodes, constants):
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
                node = _Node("Squeeze", node.where, [join.inputs[-1]], node.outputs, {"axes": [0]})
        found.append(node)
    return found


def _align(value, shape):
    """Which axis of a value each axis of a shape is, None for a new one of size 1; None where they are others.

    Axes of size 1 come and go, but not that of the samples, of which there may be one.
    """
    places: list[int | None] = []
    left = [i for i, axis in enumerate(value.axes) if axis not in _IDLE]
    for n in shape:
        if left and (n == _OPEN or n == value.sizes[left[0]]):
            places.append(left.pop(0))
        elif n == 1:
            places.append(None)
        else:
            return None
    return None if left else places


def _side_by_side(columns, gates):
    """Columns gate after gate, as ONNX has them, as sums of a unit side by side."""
    n = columns.shape[1] // len(gates)
    return columns.reshape(-1, len(gates), n)[:, np.argsort(gates)].transpose(0, 2, 1).reshape(-1, columns.shape[1])


def _with_metadata(network, told, path, producer):
    """What our own export wrote beside the graph; what is damaged is left out, since nothing depends on it."""
    from dataclasses import replace

    found: dict[str, Any] = {"origin": {"file": Path(path).name, "producer": printable(producer) or "unknown"}}
    try:
        if "neurosim.origin" in told:
            found["origin"] = dict(json.loads(told["neurosim.origin"]))
        if "neurosim.classes" in told:
            classes = np.array(json.loads(told["neurosim.classes"]))
            found |= {"classes": classes} if len(classes) == network.n_classes else {}
        if "neurosim.homes" in told:
            cores = {
                name: np.concatenate([np.full(n, core, np.int32) for core, n in runs]) for name, runs in json.loads(told["neurosim.homes"]).items()
            }
            sizes = dict(zip(network.populations, network.sizes, strict=True))
            if all(len(home) == sizes.get(name) for name, home in cores.items()):
                found["homes"] = {network.populations.index(name): home for name, home in cores.items()}
    except (ValueError, TypeError, KeyError):
        pass
    return replace(network, **found)
