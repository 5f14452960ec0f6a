"""The loss and the correct samples that training reports, step by step, on every path that a batch can take, against NumPy."""

import numpy as np
import pytest

from neurosim.kernels.train import Batch, Counting, StepRule
from neurosim.nn import Mlp, mlp
from neurosim.nn.recurrent import Recurrent, RecurrentShape, recurrent_plan
from neurosim.synapses import SynapseStore, layered_plan
from neurosim.training.loop import new_progress

LAYERS, N_SAMPLES = (12, 30, 20, 5), 330
#: Weights learn, nobody leaves.
RULE = StepRule(np.float32(0.05), np.float32(0), np.float32(0), np.float32(0), 2**62, np.uint64(1), np.uint64(2), has_free_signs=True)
COUNTING = Counting(True, 0, True, 64)


def cross_entropy(logits, labels):
    """(sum of the losses in nats, correct samples)."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    loss = np.log(np.exp(shifted).sum(axis=1)) - shifted[np.arange(len(labels)), labels]
    return loss.sum(), int((logits.argmax(axis=1) == labels).sum())


def perceptron(store, x):
    """Logits in float64."""
    last = len(store.plan.matrices) - 1
    for m in range(last + 1):
        x = x @ store.dense(m).astype(float)
        x = x if m == last else np.maximum(x, 0)
    return x


def lstm(network, x):
    """Logits of one layer in float64, read from the last state; all sequences have the same length."""
    w_in, w_rec, w_out = (network.store.dense(m).astype(float) for m in range(3))
    gates, out = np.split(network.biases.astype(float), [w_in.shape[1]])
    h = c = np.zeros((len(x), w_rec.shape[0]))
    for step in x.reshape(len(x), network.shape.n_steps, -1).swapaxes(0, 1):
        i, f, g, o = (step @ w_in + h @ w_rec + gates).reshape(len(x), -1, 4).transpose(2, 0, 1)
        i, f, o = (1 / (1 + np.exp(-z)) for z in (i, f, o))
        c = f * c + i * np.tanh(g)
        h = o * np.tanh(c)
    return h @ w_out + out


def make_samples(n_inputs, n_classes):
    rng = np.random.default_rng(1)
    x = (rng.integers(1, 256, (N_SAMPLES, n_inputs)) * (rng.random((N_SAMPLES, n_inputs)) < 0.5)).astype(np.uint8)
    return x, rng.integers(0, n_classes, N_SAMPLES).astype(np.int32), rng.permutation(N_SAMPLES)


#: path: (batch size, kernel, lanes)
PATHS = {
    "single samples": (1, "train_steps", 1),
    "one narrow tile": (10, "train_steps", 16),
    "tiles in one thread": (150, "train_steps", 64),
    "tiles in threads": (150, "train_steps_parallel", 64),
    "narrow tiles in threads": (40, "train_steps_parallel", 16),
    "rows in threads": (100, "train_steps_by_rows", 32),
}


def make_perceptron(path, monkeypatch):
    batch_size, kernel, n_lanes = PATHS[path]
    monkeypatch.setattr(mlp, "PARALLEL_WORK", 2**62 if kernel == "train_steps" else 0)
    for name in ("_is_scattered", "_has_strips"):
        monkeypatch.setattr(mlp, name, lambda matrices: kernel == "train_steps_by_rows")
    network = Mlp(SynapseStore.random(layered_plan(LAYERS, (180, 200, 60)), 7), batch_size)
    assert network._steps is getattr(network._kernels, kernel) and network.n_lanes == n_lanes
    return network


@pytest.mark.parametrize("path", PATHS)
def test_a_perceptron_reports_the_loss_that_it_had(path, monkeypatch):
    network = make_perceptron(path, monkeypatch)
    x, y, order = make_samples(LAYERS[0], LAYERS[-1])
    batch = Batch(x, y, order, np.float32(1 / 255), network.batch_size)
    check_steps(network, batch, lambda rows: perceptron(network.store, x[rows] * (1 / 255)), x, y)


@pytest.mark.parametrize("batch_size", [1, 10, 150])
def test_a_recurrent_network_reports_the_loss_that_it_had(batch_size):
    shape = RecurrentShape("lstm", 4, 6, (9,), 5)
    network = Recurrent(SynapseStore.random(recurrent_plan(shape, [70, 100, 30]), 7), shape, batch_size)
    x, y, order = make_samples(24, 5)
    batch = Batch(x, y, order, np.float32(1 / 255), batch_size, np.full(N_SAMPLES, 6, np.int32))
    check_steps(network, batch, lambda rows: lstm(network, x[rows] * (1 / 255)), x, y)


def check_steps(network, batch, logits, x, y):
    """Steps one by one, while the weights move; then the evaluation."""
    expected, n_steps = np.zeros(2), min(4, N_SAMPLES // batch.size)
    progress, first_weights = new_progress(), network.store.slots.weight.copy()
    for step in range(n_steps):
        rows = batch.order[step * batch.size : (step + 1) * batch.size]
        expected += cross_entropy(logits(rows), y[rows])
        assert network.train(batch, RULE, COUNTING, progress, step, 1, step * batch.size) == 1
        assert progress.loss[0] == pytest.approx(expected[0], rel=1e-5)
        assert (progress.n_correct[0], progress.n_samples[0]) == (expected[1], (step + 1) * batch.size)
    assert (network.store.slots.weight != first_weights).any()
    parts = (x, batch.lengths, y, batch.scale) if batch.lengths.size else (x, y, batch.scale)
    result, (loss, n_correct) = network.evaluate(*parts), cross_entropy(logits(np.arange(len(y))), y)
    assert result.loss == pytest.approx(loss / len(y), rel=1e-5) and result.accuracy == n_correct / len(y)


@pytest.mark.parametrize("path", ["tiles in threads", "rows in threads"])
def test_a_loss_that_is_not_finite_stops_training_in_threads(path, monkeypatch):
    network = make_perceptron(path, monkeypatch)
    x, y, order = make_samples(LAYERS[0], LAYERS[-1])
    network.store.slots.weight[network.store.slots.active == 1] = np.float32(np.inf)
    batch = Batch(x, y, order, np.float32(1 / 255), network.batch_size)
    assert network.train(batch, RULE, COUNTING, new_progress(), 0, 2, 0) == 1
