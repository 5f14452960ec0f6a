"""ONNX in: a graph of layers, one behind the other, as a trained network.

Read is what inference needs: constants are folded (`Constant`, `Identity`, `Transpose`, `Reshape`, ... of initializers), names of axes follow
each value through `Transpose`, `Squeeze` and `Reshape`, so that it is known what an operator sees. Refused, by the name of the node, is what
a `TrainedNetwork` cannot hold: branches, unknown operators, weights that are no constants.
Source of the operators: ONNX operator schemas, opset 7 and later.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import InputError, printable
from neurosim.interchange.layers import Layers
from neurosim.interchange.libraries import need
from neurosim.interchange.metadata import with_metadata
from neurosim.interchange.onnx_maps import kernels_of, pool_of
from neurosim.interchange.onnx_axes import IDLE, OPEN, Value, align
from neurosim.interchange.onnx_graph import Graph, Node, load_model, needed, take_last_layer
from neurosim.interchange.onnx_recurrent import follow_recurrent
from neurosim.results.network import TrainedNetwork

#: Operators that let every value through.
_PASSED = {"Identity", "Dropout", "Cast"}
_CELLS = {"Relu": "relu", "Tanh": "tanh", "LeakyRelu": "leaky_relu"}
#: Slope of our leaky cell below zero.
_SLOPE = 0.01


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
    model = load_model(onnx, source, path)
    try:
        return _Reader(onnx, model, path, n_steps).read()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: not a graph that can be followed ({type(error).__name__}: {printable(error)[:200]})") from None


class _Reader:
    """Follows a graph from its input to its output and tells a `Layers` what stands on the way."""

    def __init__(self, onnx, model, path, n_steps):
        self.model, self.graph, self.path, self.n_steps = model, Graph(onnx, model, path), path, n_steps
        self.layers = Layers(path)
        self.value = Value((), ())
        self.name = ""
        self.n_walked: int | None = None  # steps of the last recurrent layer
        self.nodes: list[Node] = []

    def read(self):
        nodes = self.graph.nodes()
        self._find_input(nodes)
        if len(self.graph.outputs) != 1:
            names = ", ".join(map(printable, self.graph.outputs[:4]))
            raise InputError(f"{self.path}: found {len(self.graph.outputs)} outputs ({names}); expected one, the scores of the classes")
        (goal,) = self.graph.outputs
        nodes = self.nodes = needed(take_last_layer(nodes, self.graph.constants), goal)
        users: dict[str, list[Node]] = {}
        for node in nodes:
            for name in set(node.inputs) if node.kind != "Shape" else ():
                users.setdefault(name, []).append(node)
        values = {self.name: self.value}
        for node in nodes:
            if node.kind == "Shape" and node.inputs[0] in values:
                sizes = values[node.inputs[0]].sizes
                self.graph.constants[node.outputs[0]] = np.array([OPEN if n is None else n for n in sizes], np.int64)
                continue
            if self.name not in node.inputs:
                self.graph.fold(node)
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

    # Where samples come in

    def _find_input(self, nodes):
        known = set(self.graph.constants)
        given = [i for i in self.graph.inputs if i.name not in known]
        at = {name for node in nodes if node.kind in ("LSTM", "RNN", "GRU") and len(node.inputs) > 4 for name in [node.inputs[4]] if name}
        lengths = [i for i in given if i.name in at]
        samples = [i for i in given if i.name not in at]
        if len(samples) != 1:
            names = ", ".join(printable(i.name) for i in samples[:4]) or "none"
            raise InputError(f"{self.path}: found {len(samples)} inputs ({names}); expected one, the samples")
        self.graph.lengths = lengths[0].name if lengths else None
        (entry,) = samples
        shape = entry.type.tensor_type.shape
        sizes = tuple(d.dim_value if d.HasField("dim_value") else None for d in shape.dim)
        if len(sizes) < 2:
            raise InputError(f"{self.path}: input {printable(entry.name)} has {len(sizes)} axes; expected samples and features at least")
        self.name, self.value = entry.name, Value(tuple(f"axis {i}" for i in range(len(sizes))), sizes)
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
        if node.kind == "Dropout" and len(node.inputs) > 2 and np.any(self.graph.constants.get(node.inputs[2], False)):
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
        shape, sizes = self.graph.constant(node, 1, "shape").tolist(), self.value.sizes
        shape = [sizes[i] if n == 0 and i < len(sizes) else n for i, n in enumerate(shape)]
        places = align(self.value, shape)
        if places is not None:
            self.value = Value(tuple("one" if i is None else self.value.axes[i] for i in places), tuple(1 if i is None else sizes[i] for i in places))
        elif len(shape) == 2 and shape[1] in (OPEN, self._size_of(node, sizes[1:])):
            self._merge_features(node)
        else:
            raise InputError(f"{node.where}: reshapes to {tuple(shape)}; expected (samples, features)")

    def _merge_features(self, node):
        if "steps" in self.value.axes:
            raise InputError(f"{node.where}: puts the steps of a sequence side by side behind a recurrent layer; expected its last state or mean")
        n = self._size_of(node, self.value.sizes[1:])
        self.value = Value((self.value.axes[0], "features"), (self.value.sizes[0], n))

    def _size_of(self, node, sizes):
        if any(n is None for n in sizes):
            raise InputError(
                f"{node.where}: the size of input {self.entry} is open along an axis that is not that of the samples; export the model with fixed sizes"
            )
        return int(np.prod(sizes))

    def _op_conv(self, node):
        weight, is_synapse, pattern, bias, out = kernels_of(self.graph, node, self.value)
        self.layers.convolve(node.where, weight, is_synapse, pattern, self.value.sizes[1:])
        if bias is not None:
            self.layers.shift(node.where, bias, weight.shape[0])
        self.value = Value(("samples", "maps", "rows", "columns"), (self.value.sizes[0], *out))

    def _op_maxpool(self, node):
        self._pool(node, "max")

    def _op_averagepool(self, node):
        self._pool(node, "average")

    def _pool(self, node, kind):
        pool, out = pool_of(node, self.value, kind)
        self.layers.pool(node.where, pool)
        self.value = replace(self.value, sizes=(self.value.sizes[0], *out))

    def _op_transpose(self, node):
        n = len(self.value.axes)
        perm = node.get("perm") or list(reversed(range(n)))
        self.value = Value(tuple(self.value.axes[i] for i in perm), tuple(self.value.sizes[i] for i in perm))

    def _op_squeeze(self, node):
        axes = node.get("axes") if node.get("axes") is not None else self.graph.constant(node, 1, "axes").tolist() if len(node.inputs) > 1 else None
        n = len(self.value.axes)
        axes = [i for i, axis in enumerate(self.value.axes) if axis in IDLE] if axes is None else [a % n for a in axes]
        if any(self.value.sizes[a] not in (1, None) for a in axes):
            raise InputError(f"{node.where}: leaves out an axis of size {self.value.sizes[axes[0]]}")
        kept = [i for i in range(n) if i not in axes]
        self.value = Value(tuple(self.value.axes[i] for i in kept), tuple(self.value.sizes[i] for i in kept))

    def _op_gather(self, node):
        at, axis = self.graph.constant(node, 1, "indices"), node.get("axis", 0) % len(self.value.axes)
        self._take(node, axis, int(at) if at.size == 1 else None, keeps=at.ndim > 0)

    def _op_slice(self, node):
        starts, ends, axes = (self.graph.constant(node, i, what) for i, what in ((1, "starts"), (2, "ends"), (3, "axes")))
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
            self.value = Value((*axes[:axis], "one", *axes[axis + 1 :]), (*self.value.sizes[:axis], 1, *self.value.sizes[axis + 1 :]))
        else:
            self.value = Value(axes[:axis] + axes[axis + 1 :], self.value.sizes[:axis] + self.value.sizes[axis + 1 :])

    def _op_reducemean(self, node):
        self._reduce(node, "mean")

    def _op_reducesum(self, node):
        self._reduce(node, "sum")

    def _reduce(self, node, how):
        axes = node.get("axes") if node.get("axes") is not None else self.graph.constant(node, 1, "axes").tolist()
        axis = axes[0] % len(self.value.axes)
        if len(axes) != 1 or self.value.axes[axis] != "steps":
            raise InputError(f"{node.where}: {how} over {self.value.axes[axis]}; expected the steps of a recurrent layer")
        if how == "mean" and self.graph.lengths:
            raise InputError(
                f"{node.where}: mean over all steps of sequences that may be shorter ({printable(self.graph.lengths)}); expected their sum divided by the lengths"
            )
        self.layers.read_out(node.where, how)
        keeps = node.get("keepdims", 1)
        middle = (("one", 1),) if keeps else ()
        pairs = [*zip(self.value.axes[:axis], self.value.sizes[:axis]), *middle, *zip(self.value.axes[axis + 1 :], self.value.sizes[axis + 1 :])]
        self.value = Value(tuple(a for a, _ in pairs), tuple(n for _, n in pairs))

    def _op_div(self, node):
        other = self.graph.constants.get(node.inputs[1])
        if isinstance(other, str) and self.name == node.inputs[0]:
            self.layers.divide_by_lengths(node.where)
            return
        if self.name != node.inputs[0]:
            raise InputError(f"{node.where}: divides by the values of the network; no layer does that")
        divisor = self.graph.constant(node, 1, "divisor").astype(np.float64)
        if not divisor.all():
            raise InputError(f"{node.where}: divides by zero")
        if self.layers.sum_over_steps and divisor.size == 1 and divisor.item() == self.n_walked:
            self.layers.divide_by_lengths(node.where)
            return
        self._scale(node, 1 / divisor)

    def _op_mul(self, node):
        i = 1 - node.inputs.index(self.name)
        self._scale(node, self.graph.constant(node, i, "factor").astype(np.float64))

    def _op_add(self, node):
        i = 1 - node.inputs.index(self.name)
        self._shift(node, self.graph.constant(node, i, "summand").astype(np.float64))

    def _op_sub(self, node):
        if self.name != node.inputs[0]:
            raise InputError(f"{node.where}: subtracts the values of the network from a constant; no layer does that")
        self._shift(node, -self.graph.constant(node, 1, "subtrahend").astype(np.float64))

    def _scale(self, node, values):
        self.layers.scale(node.where, *self._of_features(node, values))

    def _shift(self, node, values):
        self.layers.shift(node.where, *self._of_features(node, values))

    def _of_features(self, node, values):
        """Constants as a layer takes them, and how many: of images each value of a sample, of maps one for each map."""
        sizes = self.value.sizes
        if len(sizes) != 4 or values.size == 1:
            return values, self._n_features()
        if not self.layers.has_weights:
            n = self._size_of(node, sizes[1:])
            values = values[0] if values.ndim == 4 and values.shape[0] == 1 else values
            return np.broadcast_to(values, tuple(size or 0 for size in sizes[1:])).reshape(-1), n
        if values.shape[-3:] != (sizes[1], 1, 1):
            raise InputError(f"{node.where}: constants of shape {values.shape} on maps; expected one, or one for each map, ({sizes[1]}, 1, 1)")
        return values, sizes[1]

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
            bias = self.graph.constant(node, 2, "bias").astype(np.float64) * node.get("beta", 1.0)
            self.layers.shift(node.where, bias.reshape(-1) if bias.size > 1 else bias, weight.shape[1])

    def _weights(self, node, i):
        weight = self.graph.constant(node, i, "weights")
        if weight.ndim != 2:
            raise InputError(f"{node.where}: weights {printable(node.inputs[i])} of shape {weight.shape}; expected two axes, (pre, post)")
        return weight.astype(np.float32), self.graph.synapses.get(node.inputs[i], weight != 0)

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
        self.value = Value(("samples", "features"), (self.value.sizes[0], weight.shape[1]))

    def _recurrent(self, node):
        follow_recurrent(self, node)

    def _finish(self):
        network = self.layers.network(self.graph.lengths is not None)
        told = {prop.key: prop.value for prop in self.model.metadata_props}
        return with_metadata(network, told, self.path, self.model.producer_name)


_NAMES = [
    "Conv",
    "MaxPool",
    "AveragePool",
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
