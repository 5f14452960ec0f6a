"""ONNX out: a trained network as a graph of standard operators, weights as sparse initializers.

Inputs of the graph are what the run was given: ``input``, float32 of shape (samples, features), or (samples, steps, features) of a sequence
beside ``lengths``, int32 of shape (samples,), steps counted from the front, or (samples, maps, rows, columns) of a network with maps; its output ``logits`` are the sums of the output neurons.
Source of the operators: ONNX operator schemas, opset 17.
"""

import numpy as np

from neurosim.errors import InputError
from neurosim.interchange.libraries import need
from neurosim.interchange.metadata import metadata_of
from neurosim.results.network import TrainedNetwork

OPSET = 17
#: Version of the file format that opset 17 came with; readers of today take it, and so do those of some years ago.
_IR_VERSION = 8
#: Blocks of the gates of an ONNX LSTM (i, o, f, c), as numbers of our sums of a unit (i, f, g, o).
LSTM_GATES = (0, 3, 1, 2)
_ACTIVATIONS = {"relu": ("Relu", {}), "tanh": ("Tanh", {}), "leaky_relu": ("LeakyRelu", {"alpha": 0.01})}
#: Largest file of the format: that of a protobuf message.
_MOST_BYTES = 2**31 - 1


def onnx_bytes(network: TrainedNetwork, dense: bool = False) -> bytes:
    """Content of an ONNX file.

    Parameters
    ----------
    network : TrainedNetwork
    dense : bool
        Whether weights are dense arrays, for readers without sparse initializers. Synapses of weight 0 are then not told from none.

    Returns
    -------
    bytes

    Raises
    ------
    InputError
        A cell that ONNX has no operator for, or a network that is larger than a file of this format may be.
    """
    if network.spiking:
        raise InputError("export --format onnx: no operator of ONNX spikes; use --format torch or npz, which are exact")
    graph = _Graph(need("onnx", "onnx", "export --format onnx"), dense)
    _write_inputs(graph, network)
    if network.type in ("mlp", "conv"):
        _write_layers(graph, network)
    else:
        _write_recurrent(graph, network)
    return graph.finish(network)


class _Graph:
    """Nodes and constants of a graph in work; `last` is the name of the value that the next node takes."""

    def __init__(self, onnx, dense):
        self.onnx, self.dense, self.helper, self.proto = onnx, dense, onnx.helper, onnx.TensorProto
        self.nodes, self.arrays, self.sparse, self.inputs, self.last = [], [], [], [], "input"

    def constant(self, name, values):
        self.arrays.append(self.onnx.numpy_helper.from_array(np.ascontiguousarray(values), name))
        return name

    def weights(self, name, matrix):
        """A constant of which only synapses are written: its shape, the row and the column of each of them in (..., row, column), and weights.

        Of kernels, shape (maps, inputs, k, k), a row is an output map, and a column what is left of the shape.
        """
        shape, rows, columns, values = matrix
        width = shape[-1] if len(shape) < 4 else int(np.prod(shape[1:]))
        places = rows.astype(np.int64) * width + columns
        if self.dense:
            full = np.zeros(int(np.prod(shape)), np.float32)
            full[places] = values
            return self.constant(name, full.reshape(shape))
        order = np.argsort(places)
        indices = self.onnx.numpy_helper.from_array(places[order], f"{name}_indices")
        self.sparse.append(self.helper.make_sparse_tensor(self.onnx.numpy_helper.from_array(values[order].copy(), name), indices, list(shape)))
        return name

    def node(self, kind, *inputs, name, outputs=None, **attributes):
        """Add a node; its first input is the last value unless some are given."""
        outputs = outputs or [f"{name}_out"]
        self.nodes.append(self.helper.make_node(kind, list(inputs) or [self.last], outputs, name=name, **attributes))
        self.last = next(output for output in reversed(outputs) if output)
        return self.last

    def finish(self, network):
        helper, proto = self.helper, self.proto
        self.nodes[-1].output[0] = "logits"
        output = helper.make_tensor_value_info("logits", proto.FLOAT, ["samples", network.n_classes])
        graph = helper.make_graph(self.nodes, "neurosim", self.inputs, [output], self.arrays, sparse_initializer=self.sparse)
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="neurosim", ir_version=_IR_VERSION,
            producer_version=str(network.origin.get("neurosim", "")),
        )  # fmt: skip
        helper.set_model_props(model, metadata_of(network))
        if model.ByteSize() > _MOST_BYTES:
            raise InputError(
                f"export --format onnx: {model.ByteSize():,d} B; the format takes at most {_MOST_BYTES:,d} in one file: use --format npz"
            )
        return model.SerializeToString(deterministic=True)


def _write_inputs(graph, network):
    through_time = network.type not in ("mlp", "conv")
    shape = list(network.maps["input_shape"]) if network.maps else [network.n_inputs]
    steps = [network.n_steps] if through_time else []
    graph.inputs.append(graph.helper.make_tensor_value_info("input", graph.proto.FLOAT, ["samples", *steps, *shape]))
    if through_time:
        graph.inputs.append(graph.helper.make_tensor_value_info("lengths", graph.proto.INT32, ["samples"]))
    if network.scale not in (None, 1.0):
        graph.node("Mul", graph.last, graph.constant("scale", np.float32(network.scale)), name="scale_inputs")
    if network.mean is not None:
        graph.node("Sub", graph.last, graph.constant("mean", network.mean.astype(np.float32).reshape(shape)), name="subtract_mean")
        graph.node("Div", graph.last, graph.constant("spread", network.spread.astype(np.float32).reshape(shape)), name="divide_by_spread")
    if network.per_image:
        axes = list(range(1, 1 + len(shape)))
        mean = graph.node("ReduceMean", graph.last, name="mean_of_image", axes=axes)
        shifted = graph.node("Sub", graph.nodes[-1].input[0], mean, name="subtract_mean_of_image")
        squares = graph.node("Mul", shifted, shifted, name="squares")
        spread = graph.node("Sqrt", graph.node("ReduceMean", squares, name="variance_of_image", axes=axes), name="spread_of_image")
        least = graph.constant("least_spread", np.float32(1 / np.sqrt(network.n_inputs)))
        graph.node("Div", shifted, graph.node("Max", spread, least, name="spread_used"), name="divide_by_spread_of_image")


def _write_layers(graph, network):
    has_maps = network.maps is not None
    for i, (matrix, cell) in enumerate(zip(network.matrices, (*network.cells, None), strict=True)):
        weight, kernel = matrix.weight.tocoo(), network.maps and network.maps["kernels"][i]
        if kernel:
            size, pad = kernel["kernel"], kernel["padding"]
            shape = (weight.shape[1], weight.shape[0] // size**2, size, size)
            names = [graph.weights(f"weight_{i}", (shape, weight.col, weight.row, weight.data))]
            if matrix.post in network.biases:
                names.append(graph.constant(f"bias_{i}", network.biases[matrix.post]))
            stride = [kernel["stride"]] * 2
            graph.node("Conv", graph.last, *names, name=f"sums_{i}", kernel_shape=[size] * 2, strides=stride, pads=[pad] * 4)
        else:
            if has_maps:
                graph.node("Flatten", graph.last, name="values_of_maps")
                has_maps = False
            name = graph.weights(f"weight_{i}", (weight.shape, weight.row, weight.col, weight.data))
            graph.node("MatMul", graph.last, name, name=f"sums_{i}")
            _write_bias(graph, network, matrix.post, i)
        if cell is not None:
            if cell not in _ACTIVATIONS:
                raise InputError(
                    f"export --format onnx: hidden layer {i + 1} has cells {cell}, for which ONNX has no operator here; use --format npz"
                )
            kind, attributes = _ACTIVATIONS[cell]
            graph.node(kind, name=f"hidden_{i}", **attributes)
        if pool := network.maps and i < len(network.maps["pools"]) and network.maps["pools"][i]:
            window: dict = {"kernel_shape": [pool["window"]] * 2, "strides": [pool["stride"]] * 2, "pads": [pool["padding"]] * 4}
            if pool["kind"] == "average":
                window["count_include_pad"] = 1
            graph.node("MaxPool" if pool["kind"] == "max" else "AveragePool", name=f"pooled_{i}", **window)


def _write_bias(graph, network, population, i):
    if population in network.biases:
        graph.node("Add", graph.last, graph.constant(f"bias_{i}", network.biases[population]), name=f"add_bias_{i}")


def _write_recurrent(graph, network):
    """Layers take (steps, samples, features); a sequence that is shorter ends earlier, and its values are 0 from there on."""
    kind, gates = ("LSTM", LSTM_GATES) if network.type == "lstm" else ("RNN", (0,))
    graph.node("Transpose", name="steps_first", perm=[1, 0, 2])
    n_layers, one, first = (len(network.matrices) - 1) // 2, graph.constant("axis_1", np.array([1], np.int64)), None
    for i in range(n_layers):
        into, own = network.matrices[2 * i], network.matrices[2 * i + 1]
        n_units = own.weight.shape[0]
        names = [graph.weights(f"{what}_{i}", _by_gate(matrix.weight, gates)) for what, matrix in (("W", into), ("R", own))]
        bias = np.asarray(network.biases.get(into.post, np.zeros(n_units * len(gates))), np.float32).reshape(n_units, len(gates)).T[list(gates)]
        names.append(graph.constant(f"B_{i}", np.concatenate([bias.ravel(), np.zeros_like(bias.ravel())])[None]))
        graph.node(kind, graph.last, *names, "lengths", name=f"{network.type}_{i}", outputs=[f"all_{i}", f"final_{i}"], hidden_size=n_units)
        first = f"final_{i}"
        if i < n_layers - 1 or network.readout == "mean":
            graph.node("Squeeze", f"all_{i}", one, name=f"states_{i}")
    if network.readout == "mean":
        axis = graph.constant("axis_0", np.array([0], np.int64))
        total = graph.node("ReduceSum", graph.last, axis, name="sum_of_states", keepdims=0)
        floats = graph.node("Cast", "lengths", name="steps", to=graph.proto.FLOAT)
        steps = graph.node("Unsqueeze", floats, one, name="steps_of_sample")
        graph.node("Div", total, steps, name="mean_state")
    else:
        graph.node("Squeeze", first, graph.constant("axis_0", np.array([0], np.int64)), name="last_state")
    last = network.matrices[-1]
    weight = last.weight.tocoo()
    graph.node("MatMul", graph.last, graph.weights("weight_out", (weight.shape, weight.row, weight.col, weight.data)), name="sums_out")
    _write_bias(graph, network, last.post, "out")


def _by_gate(weight, gates):
    """Weights (pre, sums side by side for each unit) as ONNX has them: (1, gate after gate, pre)."""
    weight = weight.tocoo()
    n_units = weight.shape[1] // len(gates)
    block = np.argsort(gates)
    rows = block[weight.col % len(gates)] * n_units + weight.col // len(gates)
    return (1, weight.shape[1], weight.shape[0]), rows, weight.row, weight.data
