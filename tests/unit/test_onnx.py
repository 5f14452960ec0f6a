"""ONNX out and in: what onnxruntime computes, what comes back, and what PyTorch writes."""

import io
import json
import warnings

import numpy as np
import onnx
import onnxruntime
import pytest
from networks_given import make_perceptron, make_recurrent, same_connections

from neurosim.interchange.onnx_in import read_onnx
from neurosim.interchange.onnx_out import onnx_bytes

CASES = {
    "relu": make_perceptron(cells="relu", biases=(), seed=1),
    "biased tanh": make_perceptron(cells="tanh", biases=(1, 2, 3), seed=2),
    "two cells, some biases": make_perceptron(seed=3),
    "standardized": make_perceptron(seed=4, mean=np.linspace(-1, 1, 64), spread=np.linspace(0.5, 2, 64)),
    "no hidden layer": make_perceptron(sizes=(64, 10), cells=(), biases=(1,)),
    "lstm": make_recurrent(),
    "lstm, mean": make_recurrent(readout="mean"),
    "rnn, one layer": make_recurrent("rnn", units=(6,)),
    "rnn, mean": make_recurrent("rnn", "mean"),
    "lstm, standardized": make_recurrent(mean=np.linspace(-1, 1, 6), spread=np.linspace(0.5, 2, 6)),
}


def samples_of(network, n=23, seed=5):
    """Samples, and lengths of sequences of several lengths."""
    rng = np.random.default_rng(seed)
    if network.type == "mlp":
        return rng.integers(0, 17, (n, network.n_inputs)).astype(np.float32), None
    return rng.normal(size=(n, network.n_steps, network.n_inputs)).astype(np.float32), rng.integers(1, network.n_steps + 1, n).astype(np.int32)


def run_onnx(content, x, lengths=None):
    feed = {"input": x} | ({} if lengths is None else {"lengths": lengths})
    return onnxruntime.InferenceSession(content).run(None, feed)[0]


@pytest.mark.parametrize("dense", [False, True], ids=["sparse", "dense"])
@pytest.mark.parametrize("name", CASES)
def test_onnxruntime_computes_the_same(name, dense):
    network = CASES[name]
    x, lengths = samples_of(network)
    content = onnx_bytes(network, dense)
    # Inference of shapes knows no sparse initializers.
    onnx.checker.check_model(onnx.load_model_from_string(content), full_check=dense)
    want, have = network.logits(x, lengths), run_onnx(content, x, lengths)
    # Sums of some 60 float32 products in another order.
    assert np.abs(have - want).max() <= 1e-5 * np.abs(want).max()
    assert (have.argmax(axis=1) == want.argmax(axis=1)).all()


@pytest.mark.parametrize("name", CASES)
def test_what_was_written_is_read_bit_by_bit(name):
    network = CASES[name]
    back = read_onnx(onnx_bytes(network))
    assert same_connections(back, network)
    assert (back.type, back.sizes, back.n_steps) == (network.type, network.sizes, network.n_steps)
    assert (back.cells if back.type == "mlp" else back.readout) == (network.cells if network.type == "mlp" else network.readout)
    assert back.biases.keys() == network.biases.keys()
    assert all(np.array_equal(back.biases[p], network.biases[p]) for p in network.biases)
    x, lengths = samples_of(network)
    assert np.allclose(back.logits(x, lengths), network.logits(x, lengths), rtol=0, atol=1e-5)


def test_a_dense_file_loses_connections_of_weight_zero_alone():
    network = CASES["relu"]
    back = read_onnx(onnx_bytes(network, dense=True))
    n_zeros = [int((m.weight.data == 0).sum()) for m in network.matrices]
    assert all(n == 2 for n in n_zeros)
    assert [a.weight.nnz + n for a, n in zip(back.matrices, n_zeros, strict=True)] == [m.weight.nnz for m in network.matrices]


def test_sparse_weights_make_a_smaller_file():
    network = make_perceptron(sizes=(784, 300, 10), cells="relu", biases=(), density=0.02)
    assert len(onnx_bytes(network)) < 0.2 * len(onnx_bytes(network, dense=True))


def test_where_it_comes_from_goes_with_it():
    homes = {1: np.repeat([0, 1], 15).astype(np.int32), 2: np.zeros(20, np.int32), 3: np.ones(10, np.int32)}
    origin = {"scenario": "s", "seed": 3, "profile": "loihi1", "profile_sha256": "ab", "neurosim": "0.1.0"}
    network = make_perceptron(homes=homes, origin=origin, classes=np.array(list("abcdefghij")))
    content = onnx_bytes(network)
    assert json.loads({p.key: p.value for p in onnx.load_model_from_string(content).metadata_props}["neurosim.homes"])["hidden 1"] == [
        [0, 15],
        [1, 15],
    ]
    back = read_onnx(content)
    assert back.origin == origin
    assert back.classes.tolist() == list("abcdefghij")
    assert all(np.array_equal(back.homes[p], homes[p]) for p in homes)
    assert onnx_bytes(network) == content


def test_gemm_with_factors_and_softmax():
    helper, rng = onnx.helper, np.random.default_rng(0)
    w, b = rng.normal(size=(3, 5)).astype(np.float32), rng.normal(size=3).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["x"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "b"], ["g"], alpha=0.5, beta=2.0, transB=1),
        helper.make_node("Softmax", ["g"], ["p"], axis=1),
    ]
    network = read_onnx(model_of(nodes, {"w": w, "b": b}, ["n", 5], "p"))
    x = rng.normal(size=(4, 5)).astype(np.float32)
    assert np.allclose(network.logits(x), 0.5 * x @ w.T + 2 * b, rtol=1e-6, atol=1e-6)


def test_factors_of_inputs_and_sums_are_folded():
    helper, rng = onnx.helper, np.random.default_rng(0)
    arrays = {"m": rng.normal(size=5), "s": rng.random(5) + 0.5, "w": rng.normal(size=(5, 3)), "k": np.array([2.0]), "b": rng.normal(size=3)}
    arrays = {name: a.astype(np.float32) for name, a in arrays.items()}
    nodes = [
        helper.make_node("Sub", ["x", "m"], ["a"]), helper.make_node("Div", ["a", "s"], ["c"]), helper.make_node("MatMul", ["c", "w"], ["d"]),
        helper.make_node("Mul", ["d", "k"], ["e"]), helper.make_node("Add", ["b", "e"], ["y"]),
    ]  # fmt: skip
    network = read_onnx(model_of(nodes, arrays, ["n", 5], "y"))
    x = rng.normal(size=(4, 5)).astype(np.float32)
    assert np.allclose(network.logits(x), (x - arrays["m"]) / arrays["s"] @ arrays["w"] * 2 + arrays["b"], rtol=1e-5, atol=1e-5)


def model_of(nodes, arrays, shape, output="y", inputs="x", outputs=None):
    """Bytes of a model of some nodes."""
    helper, float32 = onnx.helper, onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info(inputs, float32, shape)],
        [helper.make_tensor_value_info(name, float32, None) for name in outputs or [output]],
        [onnx.numpy_helper.from_array(a, name) for name, a in arrays.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8).SerializeToString()


class TestTorch:
    """What PyTorch's exporter writes."""

    torch = None

    @pytest.fixture(autouse=True)
    def _torch(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            type(self).torch = pytest.importorskip("torch", reason="PyTorch is for development, not for CI")

    def exported(self, model, x, samples_axis=None):
        model.eval()
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            open_axes = None if samples_axis is None else {"x": {samples_axis: "n"}}
            self.torch.onnx.export(model, (x,), file, dynamo=False, dynamic_axes=open_axes, input_names=["x"])
            with self.torch.no_grad():
                want = model(x).numpy()
        return read_onnx(file.getvalue()), want

    @pytest.mark.parametrize("samples_axis", [None, 0])
    def test_perceptron_pruned_by_a_mask(self, samples_axis):
        torch, nn = self.torch, self.torch.nn
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(784, 300), nn.ReLU(), nn.Dropout(0.2), nn.Linear(300, 10))
        for layer in (model[1], model[4]):
            layer.weight.data *= torch.rand_like(layer.weight) < 0.03
        x = torch.randn(5, 1, 28, 28)
        network, want = self.exported(model, x, samples_axis)
        assert np.allclose(network.logits(x.numpy()), want, rtol=1e-5, atol=1e-5)
        assert [m.weight.nnz for m in network.matrices] == [int((layer.weight != 0).sum()) for layer in (model[1], model[4])]

    @pytest.mark.parametrize("samples_axis", [None, 0])
    @pytest.mark.parametrize("how", ["last", "state", "mean"])
    @pytest.mark.parametrize("kind", ["LSTM", "RNN"])
    def test_recurrent(self, kind, how, samples_axis):
        torch, nn = self.torch, self.torch.nn

        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers, self.out = getattr(nn, kind)(6, 7, 2, batch_first=True), nn.Linear(7, 4)

            def forward(self, x):
                states, last = self.layers(x)
                last = last[0] if kind == "LSTM" else last
                return self.out(states[:, -1] if how == "last" else last[-1] if how == "state" else states.mean(1))

        torch.manual_seed(0)
        x = torch.randn(5, 9, 6)
        network, want = self.exported(Net(), x, samples_axis)
        assert (network.type, network.n_steps, network.sizes) == (kind.lower(), 9, (6, 7, 7, 4))
        assert np.allclose(network.logits(x.numpy()), want, rtol=1e-5, atol=1e-6)


def test_what_stands_in_a_file_comes_back_as_it_stood():
    """An input at its mean is 0, which nobody sends, and 1e-16 is sent: so a mean may not move by rounding."""
    mean, spread = np.linspace(0, 3, 64).astype(np.float32).astype(float), np.linspace(0.1, 7, 64).astype(np.float32).astype(float)
    network = make_perceptron(mean=mean, spread=spread, scale=1.0)
    back = read_onnx(onnx_bytes(network))
    assert back.mean.tolist() == mean.tolist() and back.spread.tolist() == spread.tolist()
