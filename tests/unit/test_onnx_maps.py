"""Convolutions through ONNX: out into onnxruntime and in again, in from PyTorch, and what is refused."""

import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from networks_given import make_convolutional, make_perceptron, same_connections
from test_onnx import model_of

import neurosim as ns
from neurosim.errors import InputError
from neurosim.interchange.onnx_in import read_onnx
from neurosim.interchange.onnx_out import onnx_bytes
from neurosim.interchange.writing import write_network

N_VALUES = 2 * 9 * 8
NETWORKS = {
    "max pooling, a stride": make_convolutional(),
    "average pooling over padding": make_convolutional(pools=(("average", 3, 2, 1), ("max", 3, 1, 1)), layers=((6, 3, 1, 1), (5, 4, 1, 2))),
    "one convolution, no bias": make_convolutional(layers=((7, 5, 1, 0),), pools=(("average", 2, 1, 0),), dense=(3,), biases=(), scale=1.0),
    "cells, all biases": make_convolutional(cells=("tanh", "leaky_relu", "relu"), biases=(1, 2, 3, 4)),
    "standardized": make_convolutional(mean=np.linspace(-1, 1, N_VALUES), spread=np.linspace(0.5, 2, N_VALUES)),
    "each image by itself": make_convolutional(per_image=True, scale=1 / 255),
}


def images(network, n=40, seed=0):
    return np.random.default_rng(seed).integers(0, 17, (n, *network.maps["input_shape"])).astype(np.float32)


@pytest.mark.parametrize("dense", [False, True])
@pytest.mark.parametrize("name", NETWORKS)
def test_onnxruntime_computes_the_same(name, dense):
    network = NETWORKS[name]
    content = onnx_bytes(network, dense)
    onnx.checker.check_model(onnx.load_model_from_string(content))
    x, want = images(network), network.logits(images(network))
    (have,) = onnxruntime.InferenceSession(content).run(None, {"input": x})
    assert np.abs(want).max() > 0.1 and have.shape == want.shape
    assert np.abs(have - want).max() <= 1e-5 * np.abs(want).max()
    assert (have.argmax(axis=1) == want.argmax(axis=1)).all()


def test_a_perceptron_standardizes_each_image_too(tmp_path):
    network = make_perceptron(per_image=True, scale=1 / 255)
    x = np.random.default_rng(0).integers(0, 256, (30, 64)).astype(np.float32)
    x[0] = 7  # no spread at all
    (have,) = onnxruntime.InferenceSession(onnx_bytes(network)).run(None, {"input": x})
    want = network.logits(x)
    assert np.abs(have - want).max() <= 1e-5 * np.abs(want).max()
    with pytest.raises(InputError, match="standardized over its own values.*--format onnx"):
        write_network(network, "torch", tmp_path / "net.py")


@pytest.mark.parametrize("name", NETWORKS)
def test_out_and_in_again(name):
    network = NETWORKS[name]
    if network.per_image:
        with pytest.raises(InputError, match=r"mean_of_image \(ReduceMean\)|node .* takes input as"):
            read_onnx(onnx_bytes(network))
        return
    back = read_onnx(onnx_bytes(network))
    assert (back.type, back.populations, back.maps, back.cells) == ("conv", network.populations, network.maps, network.cells)
    assert [m.name for m in back.matrices] == [m.name for m in network.matrices] and same_connections(network, back)
    assert back.biases.keys() == network.biases.keys() and all(np.array_equal(back.biases[p], network.biases[p]) for p in back.biases)
    x = images(network)
    assert np.allclose(back.logits(x), network.logits(x), rtol=1e-5, atol=1e-5 * np.abs(network.logits(x)).max())
    assert same_connections(back, read_onnx(onnx_bytes(back)))


def test_sparse_kernels_are_smaller():
    network = make_convolutional(layers=((60, 5, 1, 2), (60, 5, 1, 2)), pools=(None, ("max", 2, 2, 0)), density=0.1)
    assert len(onnx_bytes(network)) < 0.5 * len(onnx_bytes(network, dense=True))


def test_the_command_line_says_what_a_network_with_maps_can_do(tmp_path, main_cli):
    network = NETWORKS["max pooling, a stride"]
    write_network(network, "onnx", tmp_path / "net.onnx")
    assert ns.load_network(tmp_path / "net.onnx").n_synapses == network.n_synapses
    done = main_cli("check", "net.onnx", "--profile", "spinnaker2", "--set", "hardware.cores=2")
    assert done.code == 0 and "conv relu 2x9x8-6c3-max2-5c3-12-4" in done.out and "connections uniform" not in done.out
    done = main_cli("evaluate", "net.onnx", "--data", "digits", "--profile", "spinnaker2")
    assert (done.code, done.err.count("\n")) == (2, 1) and "the network takes 144" in done.err
    write_network(make_convolutional(shape=(1, 8, 8), dense=(10,), pools=(None, None)), "onnx", tmp_path / "eight.onnx")
    done = main_cli("evaluate", "eight.onnx", "--data", "digits", "--profile", "spinnaker2")
    assert done.code == 0 and "360 samples of digits" in done.out
    done = main_cli("evaluate", "eight.onnx", "--data", "digits", "--profile", "speck")
    assert (done.code, done.err.count("\n")) == (2, 1) and "is not modelled" in done.err
    for what in ("torch", "nir", "pynn"):
        with pytest.raises(InputError, match="inputs to conv 1 is a convolution.*--format onnx"):
            write_network(network, what, tmp_path / "net.py")


def chain(*nodes):
    """Nodes one behind the other: (operator, constants, attributes); names of values are made."""
    found, last = [], "x"
    for i, (kind, names, attributes) in enumerate(nodes):
        last, before = f"v{i}", last
        found.append(onnx.helper.make_node(kind, [before, *names], [last], name=f"n{i}", **attributes))
    return found, last


RNG = np.random.default_rng(0)
ARRAYS = {
    "k": RNG.normal(size=(3, 2, 3, 3)).astype(np.float32), "k5": RNG.normal(size=(3, 2, 3, 2)).astype(np.float32), "k1": RNG.normal(size=(4, 1, 3, 3)).astype(np.float32),
    "w": RNG.normal(size=(3 * 6 * 6, 4)).astype(np.float32), "w4": RNG.normal(size=(4 * 6 * 6, 4)).astype(np.float32), "b": RNG.normal(size=(3, 1, 1)).astype(np.float32), "b6": RNG.normal(size=6).astype(np.float32),
    "flat": RNG.normal(size=(128, 4)).astype(np.float32), "wide": RNG.normal(size=(3 * 3 * 3, 4)).astype(np.float32),
}  # fmt: skip
CONV, RELU, FLAT, OUT = ("Conv", ("k",), {}), ("Relu", (), {}), ("Flatten", (), {}), ("MatMul", ("w",), {})
POOL = {"kernel_shape": [2, 2], "strides": [2, 2]}


def test_colours_are_shifted_and_scaled_as_pytorch_normalizes():
    arrays = {"m": np.array([0.3, -0.2], np.float32).reshape(1, 2, 1, 1), "s": np.array([2.0, 0.5], np.float32).reshape(1, 2, 1, 1)}
    nodes, last = chain(("Sub", ("m",), {}), ("Div", ("s",), {}), CONV, RELU, FLAT, OUT)
    content = model_of(nodes, arrays | {name: ARRAYS[name] for name in ("k", "w")}, ["n", 2, 8, 8], last)
    x = RNG.normal(size=(5, 2, 8, 8)).astype(np.float32)
    (want,) = onnxruntime.InferenceSession(content).run(None, {"x": x})
    assert np.allclose(read_onnx(content).logits(x), want, rtol=1e-5, atol=1e-4)


def test_a_bias_of_maps_may_stand_behind_its_convolution():
    nodes, last = chain(CONV, ("Add", ("b",), {}), RELU, ("MaxPool", (), POOL), FLAT, ("MatMul", ("wide",), {}))
    content = model_of(nodes, {name: ARRAYS[name] for name in ("k", "b", "wide")}, ["n", 2, 8, 8], last)
    network = read_onnx(content)
    assert np.array_equal(network.biases[1], ARRAYS["b"].ravel()) and network.maps["pools"] == [
        {"kind": "max", "window": 2, "stride": 2, "padding": 0}
    ]
    x = RNG.normal(size=(5, 2, 8, 8)).astype(np.float32)
    (want,) = onnxruntime.InferenceSession(content).run(None, {"x": x})
    assert np.allclose(network.logits(x), want, rtol=1e-5, atol=1e-5)


REFUSED = {
    "groups": ([("Conv", ("k1",), {"group": 2}), RELU, FLAT, ("MatMul", ("w4",), {})], r"n0 \(Conv\): 2 groups"),
    "dilations": ([("Conv", ("k",), {"dilations": [2, 2]}), RELU, FLAT, OUT], r"n0 \(Conv\): dilations \[2, 2\]"),
    "strides": ([("Conv", ("k",), {"strides": [1, 2]}), RELU, FLAT, OUT], r"n0 \(Conv\): strides \[1, 2\]"),
    "pads": ([("Conv", ("k",), {"pads": [0, 0, 1, 1]}), RELU, FLAT, OUT], r"n0 \(Conv\): pads"),
    "auto_pad": ([("Conv", ("k",), {"auto_pad": "SAME_UPPER"}), RELU, FLAT, OUT], r"n0 \(Conv\): auto_pad"),
    "kernels": ([("Conv", ("k5",), {}), RELU, FLAT, OUT], r"n0 \(Conv\): kernels k5 of shape \(3, 2, 3, 2\)"),
    "no cell": ([CONV, FLAT, OUT], r"n2 \(MatMul\): two products without a cell"),
    "pool before cell": ([CONV, ("MaxPool", (), POOL), RELU, FLAT, ("MatMul", ("wide",), {})], r"n1 \(MaxPool\): pooling before the cell"),
    "pool first": ([("MaxPool", (), POOL), CONV, RELU, FLAT, OUT], r"n0 \(MaxPool\): pooling belongs"),
    "mean without padding": (
        [CONV, RELU, ("AveragePool", (), {"kernel_shape": [3, 3], "pads": [1] * 4}), FLAT, OUT], r"n2 \(AveragePool\): leaves padding out"
    ),
    "ceil": ([CONV, RELU, ("MaxPool", (), {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1}), FLAT, OUT], r"n2 \(MaxPool\): ceil_mode"),
    "bias along columns": ([CONV, ("Add", ("b6",), {}), RELU, FLAT, OUT], r"n1 \(Add\): constants of shape \(6,\) on maps"),
    "the end": ([CONV], r"n0 \(Conv\): a convolution at the end"),
    "sizes": ([CONV, RELU, FLAT, ("MatMul", ("flat",), {})], r"n3 \(MatMul\): weights of shape \(128, 4\) for 108 values"),
    "not flat": ([CONV, RELU, ("MatMul", ("b6",), {})], r"n2 \(MatMul\)"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused_by_the_name_of_its_node(name):
    steps, line = REFUSED[name]
    nodes, last = chain(*steps)
    used = {i for node in nodes for i in node.input}
    with pytest.raises(InputError, match=line) as caught:
        read_onnx(model_of(nodes, {n: a for n, a in ARRAYS.items() if n in used}, ["n", 2, 8, 8], last))
    assert "\n" not in str(caught.value)


def test_open_sizes_of_images_are_refused():
    nodes, last = chain(CONV, RELU, FLAT, OUT)
    with pytest.raises(InputError, match=r"n0 \(Conv\): takes axes of sizes"):
        read_onnx(model_of(nodes, {n: ARRAYS[n] for n in ("k", "w")}, ["n", 2, "rows", 8], last))


@pytest.mark.parametrize("dynamo", [True, False])
def test_a_network_of_pytorch(dynamo, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", reason="PyTorch is for development, not for CI")
        if dynamo:
            pytest.importorskip("onnxscript", reason="the newer exporter needs onnxscript")
        torch.manual_seed(0)
        nn = torch.nn
        model = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
            nn.Linear(16 * 5 * 5, 30), nn.ReLU(), nn.Linear(30, 10),
        ).eval()  # fmt: skip
        x = torch.rand(8, 1, 28, 28)
        torch.onnx.export(model, (x,), str(tmp_path / "lenet.onnx"), dynamo=dynamo)
        network = ns.load_network(tmp_path / "lenet.onnx")
        assert (network.type, network.maps["input_shape"]) == ("conv", [1, 28, 28])
        want = model(x).detach().numpy()
        assert np.abs(network.logits(x.numpy()) - want).max() <= 1e-5 * np.abs(want).max()
