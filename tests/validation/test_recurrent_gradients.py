"""Gradients of recurrent networks: kernels against a dense twin in NumPy, the twin against central
differences, and both against PyTorch's LSTM where that is installed.

The float32 kernels may be off from the float64 twin by a few times what the same program is off when NumPy
runs it in float32: rounding is the only difference that is allowed.
"""

import itertools

import numpy as np
import pytest

from neurosim.kernels.train import Counting, StepRule
from neurosim.kernels.train import Batch
from neurosim.nn.recurrent import Recurrent, RecurrentShape, recurrent_plan
from neurosim.synapses import SynapseStore
from neurosim.training.loop import new_progress

N_SAMPLES, N_STEPS, N_INPUTS, N_CLASSES = 70, 9, 6, 5
SCALE = np.float32(1 / 16)
SHAPES = {
    f"{cell}-{len(units)}-{readout}-{window}": RecurrentShape(cell, N_INPUTS, N_STEPS, units, N_CLASSES, readout, window)
    for cell, units, readout, window in itertools.product(("lstm", "rnn"), ((12,), (12, 7)), ("last", "mean"), (None, 4))
}


def make_network(shape, batch_size=N_SAMPLES, seed=5, **options):
    n_active = [max(4, a * b // 3) for a, b in shape.matrices]
    store = SynapseStore.random(recurrent_plan(shape, n_active), seed)
    network = Recurrent(store, shape, batch_size, **options)
    network.biases[:] += np.random.default_rng(seed).normal(0, 0.3, network.biases.size).astype(np.float32)
    return network


def make_sequences(n=N_SAMPLES, seed=3):
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, N_STEPS + 1, n).astype(np.int32)
    lengths[0] = N_STEPS
    x = rng.integers(0, 17, (n, N_STEPS, N_INPUTS)).astype(np.uint8)
    for i, length in enumerate(lengths):
        x[i, : N_STEPS - length] = 0
    y = rng.integers(0, N_CLASSES, n).astype(np.int32)
    return Batch(x.reshape(n, -1), y, rng.permutation(n), SCALE, n, lengths)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


class Twin:
    """The network as dense NumPy arrays of one type: `loss` (mean), `weight_gradients`, `bias_gradients`."""

    def __init__(self, shape, weights, biases, batch, dtype=np.float64):
        self.shape, self.dtype = shape, dtype
        self.weights = [np.asarray(w, dtype) for w in weights]
        sizes = [shape.n_gates * n for n in shape.units] + [shape.n_classes]
        self.biases = np.split(np.asarray(biases, dtype), np.cumsum(sizes)[:-1])
        n = batch.order.size
        x = (batch.data[batch.order].astype(np.float32) * batch.scale).astype(dtype)
        self.x = x.reshape(n, shape.n_steps, shape.n_inputs)
        self.alive = (np.arange(shape.n_steps) >= shape.n_steps - batch.lengths[batch.order][:, None]).astype(dtype)
        self.y = batch.labels[batch.order]
        self._forward()
        self._backward()

    def _gates(self, z):
        """Values and derivatives of the gates of an LSTM, units last: i, f, g, o."""
        z = z.reshape(len(z), -1, 4)
        values = [np.tanh(z[:, :, k]) if k == 2 else sigmoid(z[:, :, k]) for k in range(4)]
        return values, [1 - v * v if k == 2 else v * (1 - v) for k, v in enumerate(values)]

    def _forward(self):
        shape, n = self.shape, len(self.y)
        self.h, self.c, self.z = [], [], []
        below = self.x
        for layer, units in enumerate(shape.units):
            w_in, w_rec = self.weights[2 * layer : 2 * layer + 2]
            h = np.zeros((n, shape.n_steps + 1, units), self.dtype)
            c, z = np.zeros_like(h), np.zeros((n, shape.n_steps, w_in.shape[1]), self.dtype)
            for t in range(shape.n_steps):
                alive = self.alive[:, t, None]
                z[:, t] = below[:, t] @ w_in + h[:, t] @ w_rec + self.biases[layer]
                if shape.cell == "lstm":
                    (i, f, g, o), _ = self._gates(z[:, t])
                    c[:, t + 1] = (f * c[:, t] + i * g) * alive
                    h[:, t + 1] = o * np.tanh(c[:, t + 1])
                else:
                    h[:, t + 1] = np.tanh(z[:, t]) * alive
            self.h.append(h)
            self.c.append(c)
            self.z.append(z)
            below = h[:, 1:]
        self.share = self.alive / self.alive.sum(1, keepdims=True)
        self.read = below[:, -1] if shape.readout == "last" else (below * self.share[:, :, None]).sum(1)
        logits = self.read @ self.weights[-1] + self.biases[-1]
        shifted = logits - logits.max(1, keepdims=True)
        self.p = np.exp(shifted) / np.exp(shifted).sum(1, keepdims=True)
        self.loss = -np.log(self.p[np.arange(n), self.y]).mean()

    def _backward(self):
        shape, n, last = self.shape, len(self.y), self.shape.n_steps - 1
        window = shape.window or shape.n_steps
        d_logits = (self.p - np.eye(shape.n_classes, dtype=self.dtype)[self.y]) / self.dtype(n)
        d_read = d_logits @ self.weights[-1].T
        self.weight_gradients = [np.zeros_like(w) for w in self.weights]
        self.bias_gradients = [np.zeros_like(b) for b in self.biases]
        self.weight_gradients[-1] = self.read.T @ d_logits
        self.bias_gradients[-1] = d_logits.sum(0)
        d_below = None
        for layer in reversed(range(len(shape.units))):
            h, c, z = self.h[layer], self.c[layer], self.z[layer]
            d_out = np.zeros_like(h[:, 1:]) if d_below is None else d_below
            if d_below is None and shape.readout == "last":
                d_out[:, last] = d_read
            elif d_below is None:
                d_out += d_read[:, None] * self.share[:, :, None]
            below = self.x if layer == 0 else self.h[layer - 1][:, 1:]
            d_below = np.zeros_like(below)
            d_h_next, d_c_next = np.zeros_like(h[:, 0]), np.zeros_like(c[:, 0])
            for t in reversed(range(shape.n_steps)):
                alive = self.alive[:, t, None]
                d_h = d_out[:, t] + d_h_next
                if shape.cell == "lstm":
                    (i, f, g, o), (d_i, d_f, d_g, d_o) = self._gates(z[:, t])
                    d_h = d_h * alive
                    squashed = np.tanh(c[:, t + 1])
                    d_c = d_h * o * (1 - squashed**2) + d_c_next * alive
                    d_z = np.stack([d_c * g * d_i, d_c * c[:, t] * d_f, d_c * i * d_g, d_h * squashed * d_o], 2)
                    d_z, d_c_next = d_z.reshape(n, -1), d_c * f
                else:
                    d_z = d_h * (1 - h[:, t + 1] ** 2) * alive
                self.weight_gradients[2 * layer] += below[:, t].T @ d_z
                self.weight_gradients[2 * layer + 1] += h[:, t].T @ d_z
                self.bias_gradients[layer] += d_z.sum(0)
                d_below[:, t] = d_z @ self.weights[2 * layer].T
                d_h_next = d_z @ self.weights[2 * layer + 1].T
                if (last - t + 1) % window == 0:
                    d_h_next, d_c_next = np.zeros_like(d_h_next), np.zeros_like(d_c_next)


def weights_of(network):
    return [network.store.dense(m).astype(np.float64) for m in range(len(network.store.plan.matrices))]


def kernel_gradients(network, batch):
    """dE/dweight of every active synapse and dE/dbias, from one step that does nothing but shift by -eta * gradient."""
    eta, store = np.float32(2.0**-10), network.store
    before, biases = store.slots.weight.copy(), network.biases.copy()
    # Strengths far above every step: nobody falls below zero, and the rounding of the shift stays the only loss.
    rule = StepRule(eta, np.float32(0), np.float32(0), np.float32(0), 10**9, np.uint64(1), np.uint64(2))
    done = network.train(batch, rule, Counting(True, 0, False, 64), new_progress(), 0, 1, 0)
    assert done == 1
    gradient = (before.astype(np.float64) - store.slots.weight) / float(eta)
    return gradient, (biases.astype(np.float64) - network.biases) / float(eta)


def slot_values(store, dense):
    """Entries of dense matrices at the slots: float64 (S,)."""
    out = np.zeros(store.n_slots)
    for m, matrix in enumerate(dense):
        rows = slice(store.matrices.slot_start[m], store.matrices.slot_start[m + 1])
        out[rows] = matrix[store.slots.pre[rows], store.slots.post[rows]]
    return out


@pytest.mark.parametrize("name", SHAPES)
def test_kernels_agree_with_the_twin(name):
    shape, batch = SHAPES[name], make_sequences()
    network = make_network(shape)
    store = network.store
    # The shift by eta * gradient is read back from the weights: these must keep its bits.
    weights, biases = weights_of(network), network.biases.copy()
    exact, rough = Twin(shape, weights, biases, batch), Twin(shape, weights, biases, batch, np.float32)
    result = network.evaluate(batch.data, batch.lengths, batch.labels, SCALE)
    assert result.loss == pytest.approx(exact.loss, abs=8 * abs(rough.loss - exact.loss) + 1e-6)
    gradient, bias_gradient = kernel_gradients(network, batch)
    eps, eta = float(np.finfo(np.float32).eps), 2.0**-10
    for ours, of_twin, of_rough, at in (
        (gradient, slot_values(store, exact.weight_gradients), slot_values(store, rough.weight_gradients), store.slots.weight),
        (bias_gradient, np.concatenate(exact.bias_gradients), np.concatenate(rough.bias_gradients), network.biases),
    ):
        rounding = 8 * np.abs(of_rough - of_twin).max() + 4 * eps * np.abs(of_twin).max()
        reading = eps * (np.abs(at) / eta + np.abs(of_twin))
        assert np.abs(of_twin).max() > 1e-3
        assert (np.abs(ours - of_twin) <= rounding + reading).all()


@pytest.mark.parametrize("name", [n for n in SHAPES if n.endswith("None")])
def test_the_twin_agrees_with_central_differences(name):
    shape, batch = SHAPES[name], make_sequences(20)
    network = make_network(shape, 20)
    weights, biases = weights_of(network), network.biases.astype(np.float64)
    twin = Twin(shape, weights, biases, batch)
    rng, h = np.random.default_rng(1), 1e-5
    for m, w in enumerate(weights):
        for i, j in rng.permutation(np.argwhere(w != 0))[:6]:
            shifted = []
            for delta in (h, -h):
                w[i, j] += delta
                shifted.append(Twin(shape, weights, biases, batch).loss)
                w[i, j] -= delta
            slope = (shifted[0] - shifted[1]) / (2 * h)
            # Truncation h^2 and cancellation eps / h, both near 1e-10, times moderate factors.
            assert slope == pytest.approx(twin.weight_gradients[m][i, j], abs=1e-8)
    flat = np.concatenate(twin.bias_gradients)
    for i in rng.permutation(biases.size)[:8]:
        shifted = []
        for delta in (h, -h):
            biases[i] += delta
            shifted.append(Twin(shape, weights, biases, batch).loss)
            biases[i] -= delta
        assert (shifted[0] - shifted[1]) / (2 * h) == pytest.approx(flat[i], abs=1e-8)


def test_a_short_window_changes_the_gradient():
    batch = make_sequences()
    network = make_network(SHAPES["lstm-1-last-None"])
    twins = [Twin(SHAPES[f"lstm-1-last-{w}"], weights_of(network), network.biases, batch) for w in (None, 4)]
    assert twins[0].loss == twins[1].loss
    assert np.abs(twins[0].weight_gradients[1] - twins[1].weight_gradients[1]).max() > 1e-4


@pytest.mark.parametrize("cell", ["lstm", "rnn"])
def test_equal_to_pytorch(cell):
    torch = pytest.importorskip("torch", reason="PyTorch is compared with where it is installed")
    shape = SHAPES[f"{cell}-2-last-None"]
    batch = make_sequences()._replace(lengths=np.full(N_SAMPLES, N_STEPS, np.int32))
    network = make_network(shape)
    twin = Twin(shape, weights_of(network), network.biases, batch)
    names, below = {}, shape.n_inputs
    modules = []
    for layer, units in enumerate(shape.units):
        module = (torch.nn.LSTM if cell == "lstm" else torch.nn.RNN)(below, units, batch_first=True, dtype=torch.float64)
        # Ours keeps the gates of a unit together, PyTorch all units of a gate.
        order = np.arange(shape.n_gates * units).reshape(units, shape.n_gates).T.ravel()
        names[layer] = order
        with torch.no_grad():
            module.weight_ih_l0.copy_(torch.tensor(twin.weights[2 * layer].T[order]))
            module.weight_hh_l0.copy_(torch.tensor(twin.weights[2 * layer + 1].T[order]))
            module.bias_ih_l0.copy_(torch.tensor(twin.biases[layer][order]))
            module.bias_hh_l0.zero_()
        modules.append(module)
        below = units
    out = torch.tensor(twin.x)
    for module in modules:
        out, _ = module(out)
    w_out = torch.tensor(twin.weights[-1], requires_grad=True)
    logits = out[:, -1] @ w_out + torch.tensor(twin.biases[-1])
    loss = torch.nn.functional.cross_entropy(logits, torch.tensor(twin.y, dtype=torch.int64))
    loss.backward()
    assert loss.item() == pytest.approx(twin.loss, rel=1e-12)
    for layer, module in enumerate(modules):
        order = names[layer]
        for ours, theirs in ((2 * layer, module.weight_ih_l0), (2 * layer + 1, module.weight_hh_l0)):
            np.testing.assert_allclose(twin.weight_gradients[ours].T[order], theirs.grad.numpy(), atol=1e-13)
        np.testing.assert_allclose(twin.bias_gradients[layer][order], module.bias_ih_l0.grad.numpy(), atol=1e-13)
    np.testing.assert_allclose(twin.weight_gradients[-1], w_out.grad.numpy(), atol=1e-13)
