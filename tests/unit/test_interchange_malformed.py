"""Networks that cannot be read: one line each, naming the file and the node."""

from dataclasses import replace

import numpy as np
import onnx
import pytest
from networks_given import make_perceptron, make_recurrent
from scipy import sparse
from test_onnx import model_of

import neurosim as ns
from neurosim.errors import InputError
from neurosim.interchange.onnx_in import read_onnx
from neurosim.interchange.onnx_out import onnx_bytes

node = onnx.helper.make_node
W, V = np.ones((4, 3), np.float32), np.ones((3, 2), np.float32)
PRODUCT = node("MatMul", ["x", "w"], ["h"], name="first")

#: Nodes, constants, shape of the input, and what the line says.
GRAPHS = {
    "unknown operator": ([PRODUCT, node("Elu", ["h"], ["y"], name="bent")], {"w": W}, ["n", 4], r"node bent \(Elu\).*known: .*Relu"),
    "convolution": ([node("Conv", ["x", "w"], ["y"], name="conv1")], {"w": np.ones((2, 1, 3, 3), np.float32)}, ["n", 1, 8, 8], r"node conv1 \(Conv\)"),
    "branch": ([PRODUCT, node("Relu", ["h"], ["a"], name="up"), node("Tanh", ["h"], ["b"], name="down"), node("Add", ["a", "b"], ["y"])], {"w": W}, ["n", 4], r"node down \(Tanh\) takes h as node up \(Relu\) does"),
    "weights of the input": ([node("MatMul", ["x", "x"], ["y"], name="square")], {}, ["n", 4], r"node square \(MatMul\).*no constant"),
    "weights that are computed": ([node("MatMul", ["x", "u"], ["q"], name="m"), node("Relu", ["q"], ["y"], name="r")], {}, ["n", 4], r"node m \(MatMul\).*'u' is no constant"),
    "three axes": ([node("MatMul", ["x", "w"], ["y"], name="m")], {"w": np.ones((1, 4, 3), np.float32)}, ["n", 4], r"node m \(MatMul\).*shape \(1, 4, 3\).*two axes"),
    "weight not finite": ([PRODUCT], {"w": np.full((4, 3), np.nan, np.float32)}, ["n", 4], r"initializer w holds a value that is not finite"),
    "open size": ([node("Flatten", ["x"], ["f"], name="flat"), node("MatMul", ["f", "w"], ["y"])], {"w": W}, ["n", "height", 4], r"node flat.*open along an axis"),
    "other size": ([node("MatMul", ["x", "w"], ["y"], name="m")], {"w": W}, ["n", 5], r"node m .*\(4, 3\) for 5 features"),
    "sizes that do not follow": ([PRODUCT, node("Relu", ["h"], ["a"]), node("MatMul", ["a", "w"], ["y"], name="m2")], {"w": W}, ["n", 4], r"node m2 .*for 3 values"),
    "no cell between": ([PRODUCT, node("MatMul", ["h", "v"], ["y"], name="m2")], {"w": W, "v": V}, ["n", 4], r"node m2 .*without a cell"),
    "slope": ([PRODUCT, node("LeakyRelu", ["h"], ["a"], name="leak", alpha=0.2), node("MatMul", ["a", "v"], ["y"])], {"w": W, "v": V}, ["n", 4], r"node leak .*slope 0.2"),
    "ends with a cell": ([PRODUCT, node("Relu", ["h"], ["y"])], {"w": W}, ["n", 4], "ends with a cell"),
    "nothing": ([node("Identity", ["x"], ["y"])], {}, ["n", 4], "no layer with weights"),
    "all zero": ([node("MatMul", ["x", "w"], ["y"], name="m")], {"w": 0 * W}, ["n", 4], "node m .*no weight that is not zero"),
    "behind the softmax": ([PRODUCT, node("Softmax", ["h"], ["a"]), node("MatMul", ["a", "v"], ["y"], name="m2")], {"w": W, "v": V}, ["n", 4], "node m2 .*behind the softmax"),
    "one axis": ([PRODUCT], {"w": W}, [4], "has 1 axes"),
    "own operator": ([node("MatMul", ["x", "w"], ["y"], name="m", domain="com.example")], {"w": W}, ["n", 4], r"com.example.MatMul"),
    "gru": ([node("GRU", ["x", "w", "w"], ["y"], name="g", hidden_size=3)], {"w": W}, [9, "n", 4], r"node g \(GRU\)"),
    "other activations": ([node("RNN", ["x", "w", "r"], ["y"], name="g", hidden_size=3, activations=["Relu"])], {"w": np.ones((1, 3, 4), np.float32), "r": np.ones((1, 3, 3), np.float32)}, [9, "n", 4], r"node g \(RNN\): activations relu"),
    "both ways": ([node("LSTM", ["x", "w", "r"], ["y"], name="g", hidden_size=3, direction="bidirectional")], {"w": np.ones((2, 12, 4), np.float32), "r": np.ones((2, 12, 3), np.float32)}, [9, "n", 4], r"node g \(LSTM\): direction"),
    "steps that are open": ([node("RNN", ["x", "w", "r"], ["y"], name="g", hidden_size=3)], {"w": np.ones((1, 3, 4), np.float32), "r": np.ones((1, 3, 3), np.float32)}, ["t", "n", 4], "node g .*--steps"),
}  # fmt: skip


@pytest.mark.parametrize("name", GRAPHS)
def test_graphs_that_are_refused(name):
    nodes, arrays, shape, line = GRAPHS[name]
    outputs = ["y"] if any("y" in n.output for n in nodes) else ["h"]
    with pytest.raises(InputError, match=line) as caught:
        read_onnx(model_of(nodes, arrays, shape, outputs=outputs))
    assert "\n" not in str(caught.value)


def test_two_outputs():
    with pytest.raises(InputError, match=r"found 2 outputs \(h, a\)"):
        read_onnx(model_of([PRODUCT, node("Relu", ["h"], ["a"])], {"w": W}, ["n", 4], outputs=["h", "a"]))


def test_weights_in_a_file_that_is_not_there(tmp_path):
    model = onnx.load_model_from_string(onnx_bytes(make_perceptron(), dense=True))
    onnx.save_model(model, tmp_path / "net.onnx", save_as_external_data=True, location="net.bin", size_threshold=0)
    assert ns.load_network(tmp_path / "net.onnx").sizes == (64, 30, 20, 10)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(InputError, match=r"net\.onnx: weights in a file beside it"):
        ns.load_network(tmp_path / "net.onnx")


def test_files_of_other_kinds(tmp_path):
    for name, content in (("a.onnx", b"nothing"), ("b.onnx", b""), ("c.npz", b"PK"), ("d.nir", b"no HDF5"), ("e.h5", b"")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name) as caught:
            ns.load_network(tmp_path / name)
        assert "\n" not in str(caught.value)
    for name in ("gone.onnx", "gone.npz", "gone.nir"):
        with pytest.raises(InputError, match=f"{name}: no such file"):
            ns.load_network(tmp_path / name)
    with pytest.raises(InputError, match=r"nearest: .onnx"):
        ns.load_network(tmp_path / "net.onx")


def test_every_prefix_of_a_file_gives_one_line(tmp_path):
    content, path = onnx_bytes(make_recurrent()), tmp_path / "cut.onnx"
    n_refused = 0
    for n in range(0, len(content), 97):
        path.write_bytes(content[:n])
        try:
            ns.load_network(path)
        except InputError as error:
            n_refused += 1
            assert "\n" not in str(error)
    assert n_refused > 20


def test_matrices_and_estimators():
    with pytest.raises(InputError, match="matrix 1: weights of shape"):
        ns.load_network([W, W])
    with pytest.raises(InputError, match="matrix 0: weights of shape"):
        ns.load_network([np.ones(4), V])
    with pytest.raises(InputError, match="not finite"):
        ns.load_network([np.full((4, 3), np.inf), V])
    with pytest.raises(InputError, match="position is given twice"):
        ns.load_network([sparse.coo_array((np.ones(2), ([0, 0], [1, 1])), shape=(4, 3)), V])
    with pytest.raises(InputError, match="cell 'lstm'"):
        ns.load_network([W, V], activation="lstm")
    with pytest.raises(InputError, match="biases of 1 layers"):
        ns.load_network([W, V], biases=[None])
    with pytest.raises(InputError, match="torch.onnx.export"):
        ns.load_network(object())


def test_what_onnx_has_no_operator_for():
    with pytest.raises(InputError, match="hidden layer 1 has cells softmax"):
        onnx_bytes(replace(make_perceptron(cells="relu"), activation=("softmax", "relu")))
