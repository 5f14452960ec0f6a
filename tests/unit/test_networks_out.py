"""Weights of finished runs as arrays: read without data or numba, equal to what ran, and used by a forward pass of their own."""

import json
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import sparse

import neurosim as ns
from neurosim.errors import InputError
from neurosim.results.network import read_network
from neurosim.scenario import load_scenario, run_scenario
from neurosim.scenario.weights import read_run_network

QUICK = ["training.epochs=2", "report.figures=false"]
LSTM = {
    "name": "words", "dataset": {"max_steps": 9, "features": {"bands": 6}}, "network": {"type": "lstm", "units": [7, 5], "connectivity": 0.4},
    "hardware": {"profile": "spinnaker2", "cores": 2, "headroom": 0.25}, "training": {"epochs": 2, "batch_size": 8, "optimizer": "adam", "learning_rate": 0.02},
    "rewiring": {"rule": "deep_r", "scope": "layer", "l1": 1e-4, "noise_std": 1e-4, "theta_born": 1e-3}, "report": {"figures": False},
}  # fmt: skip
#: Networks of the same cells share their kernels, whatever the order.
THREE_CELLS = ["network.layers=[64, 40, 30, 20, 10]", "network.connectivity=0.3", "network.bias=true", "training.learning_rate=0.1"]
CASES = {
    "one core": ("digits_santos", QUICK),
    "four cores, headroom": ("digits_santos", [*QUICK, "hardware.cores=4", "hardware.headroom=0.25", "rewiring.scope=layer"]),
    "slots that wait": ("digits_santos", [*QUICK, "hardware.cores=2", "rewiring.period=7"]),
    "biases, two cores": ("digits_santos", [*QUICK, *THREE_CELLS, "network.activation=[leaky_relu, tanh, relu]", "hardware.cores=2"]),
    "biases, smooth at first": ("digits_santos", [*QUICK, *THREE_CELLS, "network.activation=[tanh, relu, leaky_relu]"]),
    "quantised": ("digits_brainscales2", QUICK),
    "lstm": (LSTM, []),
    "rnn, mean": ({**LSTM, "network": {"type": "rnn", "units": [6], "readout": "mean", "connectivity": 0.5}}, []),
}


@pytest.fixture(scope="module", params=CASES)
def case(request, tmp_path_factory, recordings):
    """A finished run with its data, its record, and its network from the files."""
    base, overrides = CASES[request.param]
    if isinstance(base, dict):
        scenario = ns.Scenario(**{**base, "dataset": {**base["dataset"], "name": str(recordings)}})
    else:
        scenario = load_scenario(base, overrides)
    record, folder = run_scenario(scenario, out=tmp_path_factory.mktemp("out") / "run")
    return SimpleNamespace(
        name=request.param, scenario=scenario, record=record, folder=folder, network=read_run_network(folder), data=scenario.dataset.load()
    )


def dense_logits(network, x, lengths):
    """Logits in float64 from dense matrices: written for this test, step by step and sample by sample."""
    dense = [matrix.weight.toarray().astype(np.float64) for matrix in network.matrices]

    def bias(m):
        return network.biases.get(network.matrices[m].post, np.zeros(1)).astype(np.float64)

    if network.type == "mlp":
        cells = {"relu": lambda z: np.maximum(z, 0), "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z), "tanh": np.tanh}
        for m, weight in enumerate(dense):
            x = (cells[network.cells[m - 1]](x) if m else x) @ weight + bias(m)
        return x

    def sigmoid(z):
        return 1 / (1 + np.exp(-z))

    logits = []
    for sample, length in zip(x.reshape(len(x), network.n_steps, -1), lengths):
        layers = range(0, len(dense) - 1, 2)
        h, c, seen = ([np.zeros(dense[m + 1].shape[0]) for m in layers] for _ in range(3))
        for value in sample[network.n_steps - length :]:
            for layer, m in enumerate(layers):
                z = value @ dense[m] + h[layer] @ dense[m + 1] + bias(m)
                if network.type == "lstm":
                    i, f, g, o = z[0::4], z[1::4], z[2::4], z[3::4]
                    c[layer] = sigmoid(f) * c[layer] + sigmoid(i) * np.tanh(g)
                    h[layer] = sigmoid(o) * np.tanh(c[layer])
                else:
                    h[layer] = np.tanh(z)
                value = h[layer]
            seen[-1] = seen[-1] + value
        logits.append((seen[-1] / length if network.readout == "mean" else h[-1]) @ dense[-1] + bias(len(dense) - 1))
    return np.array(logits)


def test_probabilities_are_those_of_a_dense_network_in_float64(case):
    data, network = case.data, case.network
    lengths = np.full(data.n_test, data.n_steps) if data.lengths_test is None else data.lengths_test
    logits = dense_logits(network, data.x_test.astype(np.float64) * data.scale, lengths)
    found = network.sums(data.x_test.astype(np.float32) * np.float32(data.scale), data.lengths_test)
    assert found.dtype == np.float32
    # float32 sums of at most some hundred terms near 1, through at most nine steps
    np.testing.assert_allclose(found, logits, atol=2e-5, rtol=2e-5)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    probabilities /= probabilities.sum(1, keepdims=True)
    front = data.x_test if case.scenario.network.type == "mlp" else in_front(data)
    np.testing.assert_allclose(network.predict_proba(front, data.lengths_test), probabilities, atol=2e-5)


def test_biases_are_there_where_they_should_be(case):
    has_biases = "biases" in case.name or case.network.type != "mlp"
    assert set(case.network.biases) == (set(range(1, len(case.network.populations))) if has_biases else set())
    assert all(values.any() for values in case.network.biases.values())


def in_front(data):
    """Sequences with their steps in front, as users have them."""
    x = np.zeros((data.n_test, data.n_steps, data.n_inputs), np.float32)
    for row, steps, n in zip(x, data.x_test.reshape(x.shape), data.lengths_test):
        row[:n] = steps[data.n_steps - n :]
    return x


def test_the_accuracy_is_that_of_the_run(case):
    data, network = case.data, case.network
    x = data.x_test if network.type == "mlp" else in_front(data)
    predicted = network.predict(x, data.lengths_test)
    assert np.isin(predicted, data.classes).all()
    assert (predicted == np.array(data.classes)[data.y_test]).mean() == case.record.accuracy.test
    classes = case.record.classes
    assert np.trace(classes.confusion) / data.n_test == case.record.accuracy.test
    assert np.sum(classes.confusion, axis=1).tolist() == classes.n_samples == np.bincount(data.y_test).tolist()
    assert np.sum(classes.confusion, axis=0).tolist() == classes.n_predicted


def test_files_and_memory_say_the_same(case):
    run = ns.run(case.scenario)
    assert run.network.npz_bytes() == case.network.npz_bytes()
    for found, counted in zip(case.network.matrices, case.record.connectivity.matrices, strict=True):
        assert found.weight.nnz == counted.active and found.weight.shape == (counted.n_pre, counted.n_post)
        assert found.weight.has_canonical_format or found.weight.has_sorted_indices
        assert (np.signbit(found.weight.data) == (found.signs < 0)).all()
        assert sparse.csr_array(found.weight).nnz > 0
    assert sorted({core for home in case.network.homes.values() for core in home}) == [core.id for core in case.record.cores]
    assert np.bincount(np.concatenate(list(case.network.homes.values()))).tolist() == [core.n_neurons for core in case.record.cores]


def test_the_npz_file_gives_the_network_back(case, main_cli, tmp_path):
    done = main_cli("export", case.folder, "--format", "npz", "--out", "network.npz")
    assert (done.code, done.out, done.err) == (0, "", "")
    again = read_network(tmp_path / "network.npz")
    assert again.npz_bytes() == case.network.npz_bytes() == (tmp_path / "network.npz").read_bytes()
    with np.load(tmp_path / "network.npz", allow_pickle=False) as arrays:  # as docs/python.md reads it
        weight = sparse.csr_array((arrays["matrix0_data"], arrays["matrix0_indices"], arrays["matrix0_indptr"]), shape=arrays["matrix0_shape"])
        about = json.loads(str(arrays["about"]))
    assert (weight != case.network.matrices[0].weight).nnz == 0
    assert about["matrices"][0]["name"] == case.network.matrices[0].name
    assert about["origin"]["profile"] == case.record.profile.name


def test_weights_are_read_without_data_and_numba(tiny_run, cli_environment):
    code = (
        "import sys, neurosim as ns\n"
        f"run = ns.open_run({str(tiny_run.folder)!r})\n"
        "run.to_npz('network.npz') if False else run.network.npz_bytes()\n"
        "run.predict([[0] * 64])\n"
        "assert not {'numba', 'matplotlib', 'sklearn', 'pandas'} & set(sys.modules), sorted(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], env=cli_environment, capture_output=True, text=True, timeout=120, cwd=tiny_run.folder)
    assert done.returncode == 0, done.stderr


def test_an_older_run_is_read_too(tiny_run, tmp_path):
    """Its record lacks what is new, and its profile is its own: nothing of either is needed."""
    data = json.loads((tiny_run.folder / "result.json").read_text())
    for part, keys in (("dataset", ("scale", "classes", "notes", "n_validation", "mean", "spread")), ("accuracy", ("best_epoch", "validation"))):
        for key in keys:
            del data[part][key]
    for key in ("classes", "warnings"):
        del data[key]
    for matrix in data["connectivity"]["matrices"]:
        for key in ("name", "weights", "fan_in"):
            del matrix[key]
    data["schema"] = "neurosim.result/1"
    data["environment"]["neurosim"] = "0.0.1"
    (tmp_path / "result.json").write_text(json.dumps(data))
    (tmp_path / "checkpoint.npz").write_bytes((tiny_run.folder / "checkpoint.npz").read_bytes())
    old, new = read_run_network(tmp_path), read_run_network(tiny_run.folder)
    assert old.scale == new.scale == 1 / 16
    for a, b in zip(old.matrices, new.matrices, strict=True):
        assert (a.weight != b.weight).nnz == 0
    assert ns.open_run(tmp_path).warnings == [] and ns.open_run(tmp_path).confusion is None


def test_what_cannot_be_read_is_one_line(tiny_run, tmp_path, main_cli):
    missing = main_cli("export", tiny_run.folder, "--format", "npz")
    assert missing.code == 2 and "--out" in missing.err
    (tmp_path / "result.json").write_bytes((tiny_run.folder / "result.json").read_bytes())
    with pytest.raises(InputError, match="no such file"):
        read_run_network(tmp_path)
    content = bytearray((tiny_run.folder / "checkpoint.npz").read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "checkpoint.npz").write_bytes(content)
    with pytest.raises(InputError, match="checkpoint"):
        read_run_network(tmp_path)
    data = json.loads((tiny_run.folder / "result.json").read_text())
    data["connectivity"]["matrices"][0]["active"] -= 1
    (tmp_path / "result.json").write_text(json.dumps(data))
    (tmp_path / "checkpoint.npz").write_bytes((tiny_run.folder / "checkpoint.npz").read_bytes())
    with pytest.raises(InputError, match="different runs"):
        read_run_network(tmp_path)
    network = tmp_path / "network.npz"
    network.write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(InputError, match="not a readable network"):
        read_network(network)
    with pytest.raises(InputError, match="no such file"):
        read_network(tmp_path / "none.npz")


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((3, 63)), "64"),
        ([["a"] * 64], "numbers"),
        (np.full((2, 64), np.nan), "finite"),
        (np.zeros(64), "64"),
    ],
)
def test_predict_says_what_it_takes(tiny_run, x, says):
    with pytest.raises(InputError, match=says):
        read_run_network(tiny_run.folder).predict(x)


def test_sparse_and_dense_samples_are_predicted_alike(tiny_run):
    network, data = read_run_network(tiny_run.folder), tiny_run.scenario.dataset.load()
    dense = network.logits(data.x_test)
    np.testing.assert_allclose(network.logits(sparse.csr_array(data.x_test)), dense, atol=1e-5)
    np.testing.assert_array_equal(network.logits(data.x_test.reshape(-1, 8, 8)), dense)
    assert network.logits(data.x_test[:0]).shape == (0, 10)
