"""ONNX in: `Conv`, `MaxPool` and `AveragePool` nodes with square windows, as the layers of a network with maps have them."""

import numpy as np

from neurosim.errors import InputError, printable
from neurosim.networks import Convolution, Pool
from neurosim.networks.patterns import check_window, count_places


def kernels_of(graph, node, value):
    """What a `Conv` node is.

    Returns
    -------
    weight, is_synapse : float32 and bool array, shape (maps, input maps, k, k)
    pattern : Convolution
    bias : float64 array, shape (maps,), or None
    out : (maps, rows, columns)

    Raises
    ------
    InputError
    """
    n, rows, columns = _maps_of(node, value)
    weight = graph.constant(node, 1, "weights")
    if weight.ndim != 4 or weight.shape[2] != weight.shape[3]:
        raise InputError(f"{node.where}: kernels {printable(node.inputs[1])} of shape {weight.shape}; expected (maps, input maps, k, k)")
    if (groups := node.get("group", 1)) != 1 or weight.shape[1] != n:
        raise InputError(f"{node.where}: {groups} groups, kernels over {weight.shape[1]} of {n} maps; expected one group over all")
    size, stride, padding = _window(node, weight.shape[2])
    check_window(node.where, rows, columns, size, stride, padding, size - 1)
    bias = graph.constant(node, 2, "bias").astype(np.float64) if len(node.inputs) > 2 and node.inputs[2] else None
    out = (weight.shape[0], *(count_places(side, size, stride, padding) for side in (rows, columns)))
    return weight.astype(np.float32), graph.synapses.get(node.inputs[1], weight != 0), Convolution(size, stride, padding), bias, out


def pool_of(node, value, kind):
    """What a pooling node is: `Pool`, and (maps, rows, columns) behind it.

    Raises
    ------
    InputError
    """
    n, rows, columns = _maps_of(node, value)
    shape = node["kernel_shape"]
    size, stride, padding = _window(node, shape[0])
    if node.get("ceil_mode", 0) and any((side + 2 * padding - size) % stride for side in (rows, columns)):
        raise InputError(f"{node.where}: ceil_mode with windows beyond the map; expected windows that lie on it")
    if kind == "average" and padding and not node.get("count_include_pad", 0):
        raise InputError(f"{node.where}: leaves padding out of means (count_include_pad 0); padding counts as zeros here")
    check_window(node.where, rows, columns, size, stride, padding, size // 2)
    return Pool(kind, size, stride, padding), (n, *(count_places(side, size, stride, padding) for side in (rows, columns)))


def _maps_of(node, value):
    if len(value.sizes) != 4 or None in value.sizes[1:]:
        raise InputError(
            f"{node.where}: takes axes of sizes {value.sizes}; expected (samples, maps, rows, columns), of which only the samples are open"
        )
    return value.sizes[1:]


def _window(node, size):
    """Size, stride and padding, the same along both axes."""
    found = {
        "kernel_shape": node.get("kernel_shape", [size, size]), "strides": node.get("strides", [1, 1]), "pads": node.get("pads", [0] * 4),
        "dilations": node.get("dilations", [1, 1]),
    }  # fmt: skip
    auto = node.get("auto_pad", b"NOTSET")
    if (auto.decode() if isinstance(auto, bytes) else auto) not in ("NOTSET", "VALID"):
        raise InputError(f"{node.where}: auto_pad; export the model with explicit pads")
    for key, values in found.items():
        if len(set(values)) != 1 or len(values) != (4 if key == "pads" else 2) or key == "dilations" and values[0] != 1:
            raise InputError(f"{node.where}: {key} {list(values)}; expected the same along rows and columns{', 1' if key == 'dilations' else ''}")
    if found["kernel_shape"][0] != size:
        raise InputError(f"{node.where}: kernel_shape {list(found['kernel_shape'])} of kernels of {size}")
    return size, found["strides"][0], found["pads"][0]
