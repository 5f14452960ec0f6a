"""Forward pass, loss, gradient and update step of the kernels against a dense float64 twin.

Bounds are computed, not chosen: every float32 sum of n products may be off by (n + 1) * eps * sum |a||b|,
and what enters a sum with an error passes it on (first order). The twin itself is held against central
differences.
"""

import numpy as np
import pytest

from neurosim.kernels import mlp as mlp_kernels
from neurosim.kernels.cells import join_cells
from neurosim.kernels.compile import kernel
from neurosim.kernels.train import Batch, Counting, Progress, StepRule
from neurosim.kernels.normal import fill_normal
from neurosim.nn import Mlp, choose_tile
from neurosim.nn import mlp as mlp_network
from neurosim.synapses import SynapseStore, layered_plan

EPS = float(np.finfo(np.float32).eps)
LAYERS, N_ACTIVE = (40, 30, 20, 10), (400, 200, 90)
SCALE = np.float32(1.0 / 16.0)
_, ACTIVATE, TURN_BACK = join_cells(("relu",))
NO_BIASES = np.zeros(0, np.float32)
RELU_LAYERS = mlp_kernels.Layers(1, np.zeros(4, np.int64), np.zeros(4, np.uint8))


@kernel
def run_batch(slots, segments, matrices, layers, biases, batch, act, err, lanes, loss, n_correct):
    """One batch without an update: writes act, err (n_tiles, N * n_lanes), slots.gradient, loss, n_correct."""
    n_lanes = len(lanes)
    last = matrices.n_pre.size - 1
    base, n_classes = matrices.post_neuron[last] * n_lanes, matrices.n_post[last]
    n_batch = batch.order.size
    for t in range(act.shape[0]):
        begin = t * n_lanes
        n = min(n_lanes, n_batch - begin)
        mlp_kernels.load_tile(act[t], batch, begin, n, matrices.n_pre[0], n_lanes)
        mlp_kernels.forward(slots, matrices, layers, biases, act[t], n, lanes, ACTIVATE)
        loss[t], n_correct[t] = mlp_kernels.softmax_errors(act[t], err[t], base, batch.labels, batch.order, begin, n, n_classes, n_batch, n_lanes)
        mlp_kernels.backward(slots, segments, matrices, layers, act[t], err[t], slots.gradient, n, lanes, TURN_BACK)


def make_store(seed=3):
    """Store with three matrices and free slots that still carry the indices of synapses that left."""
    store = SynapseStore.random(layered_plan(LAYERS, N_ACTIVE, headroom=0.1), seed)
    store.release(np.flatnonzero(store.slots.active)[5::17])
    assert store.violations() == []
    assert (store.slots.active == 0).sum() > 60
    return store


def forward_bounds(weights, x):
    """Input sums of every layer in float64, and how far float32 may be off, sample by sample."""
    sums, bounds, a, da = [], [], x, np.zeros_like(x)
    for w in weights:
        fan_in = (w != 0).sum(0).max()
        z = a @ w
        bound = (fan_in + 1) * EPS * (np.abs(a) @ np.abs(w)) + da @ np.abs(w)
        sums.append(z)
        bounds.append(bound)
        # Rectification never widens an error.
        a, da = np.maximum(z, 0.0), bound
    return sums, bounds


def make_batch(store, n, seed=11, dtype=np.uint8):
    """n samples, about half of the inputs zero, in an order that is not the order in memory.

    Samples in which rounding could decide whether a hidden unit is on are left out of the order: there
    the derivative of the rectifier hangs on the last bit, and neither answer is wrong.
    """
    rng = np.random.default_rng(seed)
    n_pool = 4 * n + 60
    x = rng.integers(0, 17, (n_pool, LAYERS[0])) * (rng.random((n_pool, LAYERS[0])) < 0.5)
    if dtype == np.float32:
        x = x + rng.random(x.shape) * (x > 0)
    x = np.ascontiguousarray(x.astype(dtype))
    y = rng.integers(0, LAYERS[-1], n_pool).astype(np.int32)
    weights = [store.dense(m).astype(np.float64) for m in range(len(N_ACTIVE))]
    sums, bounds = forward_bounds(weights, (x.astype(np.float32) * SCALE).astype(np.float64))
    clear = np.ones(n_pool, bool)
    for z, bound in zip(sums[:-1], bounds[:-1], strict=True):
        clear &= ~((np.abs(z) <= bound) & (bound > 0)).any(1)
    order = rng.permutation(n_pool)
    order = order[clear[order]][:n]
    assert order.size == n and clear.mean() > 0.5
    return Batch(x, y, order, SCALE, n)


class Twin:
    """Dense float64 perceptron with the weights of a store; `*_bound` is what float32 may be off by."""

    def __init__(self, store, batch):
        n = batch.order.size
        self.weights = [store.dense(m).astype(np.float64) for m in range(len(N_ACTIVE))]
        fan_out = [(w != 0).sum(1).max() for w in self.weights]
        # A stored value times the scale is rounded once by the kernel; the twin takes the rounded value.
        x = (batch.data[batch.order].astype(np.float32) * batch.scale).astype(np.float64)
        self.y = batch.labels[batch.order]
        self.sums, self.sum_bounds = forward_bounds(self.weights, x)
        self.act = [x, *(np.maximum(z, 0.0) for z in self.sums[:-1])]
        act_bound = [np.zeros_like(x), *self.sum_bounds[:-1]]
        z, z_bound = self.sums[-1], self.sum_bounds[-1].max(1, keepdims=True)
        shifted = z - z.max(1, keepdims=True)
        total = np.exp(shifted).sum(1, keepdims=True)
        p = np.exp(shifted) / total
        self.losses = (np.log(total) - shifted[np.arange(n)[:, None], self.y[:, None]])[:, 0]
        self.loss = self.losses.sum()
        self.n_correct = int((z.argmax(1) == self.y).sum())
        one_hot = np.eye(LAYERS[-1])[self.y]
        # The exponent z - top is off by both logits' errors and one rounding; fast_exp by 3 units in the
        # last place; the sum by n_classes, the two scalings by one each.
        exponent = 2 * z_bound + EPS * np.abs(shifted).max(1, keepdims=True)
        relative = 2 * exponent + (3 + LAYERS[-1] + 3) * EPS
        self.loss_bound = (relative + exponent).sum() + EPS * np.abs(self.losses).sum()
        err = (p - one_hot) / n
        bound = (p * relative + 2 * EPS * one_hot) / n
        self.err, self.err_bound = [err], [bound]
        for m in range(len(self.weights) - 1, 0, -1):
            w, mask = np.abs(self.weights[m]).T, self.sums[m - 1] > 0
            bound = ((fan_out[m] + 1) * EPS * np.abs(err) @ w + bound @ w) * mask
            err = (err @ self.weights[m].T) * mask
            self.err.insert(0, err)
            self.err_bound.insert(0, bound)
        self.gradient, self.gradient_bound = [], []
        for a, da, d, dd in zip(self.act, act_bound, self.err, self.err_bound, strict=True):
            self.gradient.append(a.T @ d)
            size = np.abs(a).T @ np.abs(d)
            self.gradient_bound.append((n + 1) * EPS * size + np.abs(a).T @ dd + da.T @ np.abs(d))

    def at_slots(self, store, dense):
        """Values of dense matrices at the position of every slot, free ones included."""
        starts = store.matrices.slot_start
        pieces = []
        for m, values in enumerate(dense):
            rows = slice(starts[m], starts[m + 1])
            pieces.append(values[store.slots.pre[rows], store.slots.post[rows]])
        return np.concatenate(pieces)


def loss_of(weights, x, y):
    """Sum of the samples' cross-entropies, float64."""
    for w in weights[:-1]:
        x = np.maximum(x @ w, 0.0)
    z = x @ weights[-1]
    z = z - z.max(1, keepdims=True)
    return float((np.log(np.exp(z).sum(1)) - z[np.arange(len(y)), y]).sum())


def lanes_to_samples(tiles, n_neurons, n_lanes, n):
    """(n_tiles, N * n_lanes) -> (samples, neurons), and what the lanes without a sample hold."""
    values = tiles.reshape(-1, n_neurons, n_lanes).transpose(0, 2, 1).reshape(-1, n_neurons)
    return values[:n], values[n:]


BATCHES = [(1, 1), (1, 3), (16, 1), (16, 5), (16, 16), (16, 17), (16, 40), (64, 50), (64, 64), (64, 128), (64, 150)]


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("n_lanes", "n"), BATCHES)
def test_forward_loss_and_gradient(n_lanes, n, dtype):
    store = make_store()
    batch = make_batch(store, n, dtype=dtype)
    n_tiles, n_neurons = -(-n // n_lanes), sum(LAYERS)
    # Left-over values of earlier batches must not matter.
    act, err = np.full((2, n_tiles, n_neurons * n_lanes), 7.0, np.float32)
    loss, n_correct = np.zeros(n_tiles), np.zeros(n_tiles, np.int64)
    run_batch(store.slots, store.segments, store.matrices, RELU_LAYERS, NO_BIASES, batch.for_kernels(), act, err, (0,) * n_lanes, loss, n_correct)
    twin = Twin(store, batch)

    acts, idle_acts = lanes_to_samples(act, n_neurons, n_lanes, n)
    errs, idle_errs = lanes_to_samples(err, n_neurons, n_lanes, n)
    assert np.all(idle_acts[:, : LAYERS[0]] == 0) and np.all(idle_errs[:, LAYERS[0] :] == 0)
    first = np.cumsum((0, *LAYERS))
    np.testing.assert_array_equal(acts[:, : LAYERS[0]], twin.act[0])
    for m in range(3):
        here = slice(first[m + 1], first[m + 2])
        want = twin.sums[m] if m == 2 else twin.act[m + 1]
        assert np.all(np.abs(acts[:, here] - want) <= twin.sum_bounds[m])
        assert np.all(np.abs(errs[:, here] - twin.err[m]) <= twin.err_bound[m])
    assert abs(loss.sum() - twin.loss) <= twin.loss_bound
    assert n_correct.sum() == twin.n_correct

    want, bound = twin.at_slots(store, twin.gradient), twin.at_slots(store, twin.gradient_bound)
    active = store.slots.active == 1
    assert np.all(np.abs(store.slots.gradient - want)[active] <= bound[active])
    # The bound must be able to fail, and the gradients must reach every matrix.
    assert np.median(bound[active & (want != 0)]) < 1e-3 * np.median(np.abs(want[active & (want != 0)]))
    for m in range(3):
        rows = slice(store.matrices.slot_start[m], store.matrices.slot_start[m + 1])
        assert np.count_nonzero(want[rows][active[rows]]) > 20


def test_bounds_notice_a_small_defect():
    """A gradient that is off by one part in a thousand in a single sample leaves the bounds."""
    store = make_store()
    batch = make_batch(store, 16)
    twin = Twin(store, batch)
    wrong = batch._replace(data=batch.data.copy())
    wrong.data[batch.order[3]] = np.where(wrong.data[batch.order[3]] > 0, wrong.data[batch.order[3]] + 1, 0)
    other = Twin(store, wrong)
    assert any(np.any(np.abs(a - b) > 10 * c) for a, b, c in zip(twin.gradient, other.gradient, twin.gradient_bound, strict=True))


def test_twin_equals_central_differences():
    """h = 1e-6: truncation is about h**2 = 1e-12, rounding about 2**-52 * loss / h = 1e-8."""
    store = make_store()
    batch = make_batch(store, 20)
    twin = Twin(store, batch)
    rng = np.random.default_rng(5)
    x = twin.act[0]
    h, n_nonzero = 1e-6, 0
    assert abs(loss_of(twin.weights, x, twin.y) - twin.loss) < 1e-12 * twin.loss
    for m, w in enumerate(twin.weights):
        # Free positions have a gradient too: it is what a synapse would see there.
        for i, j in zip(rng.integers(0, w.shape[0], 40), rng.integers(0, w.shape[1], 40)):
            up, down = [[v.copy() for v in twin.weights] for _ in range(2)]
            up[m][i, j] += h
            down[m][i, j] -= h
            slope = (loss_of(up, x, twin.y) - loss_of(down, x, twin.y)) / (2 * h) / batch.size
            assert abs(slope - twin.gradient[m][i, j]) < 1e-8
            n_nonzero += slope != 0
    assert n_nonzero > 60


NO_COUNTING = Counting(False, 10**6, False, 1)


def rule_of(eta, l1=0.0, noise_std=0.0, period=1000):
    """Rule without rewiring inside the first `period` steps: slots that left stay empty."""
    return StepRule(np.float32(eta), np.float32(l1), np.float32(noise_std), np.float32(0.0), period, np.uint64(91), np.uint64(92))


def train_one_step(store, batch, rule, step=0):
    progress = Progress(np.zeros(1), *(np.zeros(1, np.int64) for _ in range(5)))
    network = Mlp(store, batch.size)
    assert network.train(batch, rule, NO_COUNTING, progress, step, 1, 0) == 1
    assert progress.n_samples[0] == batch.size
    return progress


# Batch sizes that Mlp cuts into 1 x 1, 1 x 16, 2 x 16 (parallel), 1 x 64, 2 x 64 and 3 x 64 lanes.
STEP_BATCHES = [1, 10, 17, 64, 128, 150]


def test_step_batches_cover_all_tiles():
    assert {choose_tile(n)[0] for n in STEP_BATCHES} == {1, 16, 64}
    assert {choose_tile(n)[1] for n in STEP_BATCHES} == {1, 2, 3}


@pytest.mark.parametrize(("l1", "noise_std"), [(0.0, 0.0), (0.25, 0.0), (0.0, 1e-2), (0.25, 1e-2)])
@pytest.mark.parametrize("n", STEP_BATCHES)
def test_whole_step(n, l1, noise_std):
    """theta' = theta - eta * (sign * gradient + l1) + noise_std * nu, below zero leaves."""
    check_whole_step(n, l1, noise_std)


@pytest.mark.parametrize("n", [30, 90])
def test_whole_step_of_a_scattered_network(n, monkeypatch):
    """The same in tiles of 32 lanes, one and three of them, which networks get that are too large for this test."""
    monkeypatch.setattr(mlp_network, "is_scattered", lambda n_pre, n_post, n_slots: True)
    assert Mlp(make_store(), n).n_lanes == 32
    check_whole_step(n, 0.25, 1e-2)


def check_whole_step(n, l1, noise_std):
    eta, step = (0.25 if l1 or noise_std else 8.0), 7  # so that some synapses leave, not all
    store = make_store()
    store.sort()  # as a wide network would, which moves slots
    batch = make_batch(store, n)
    twin = Twin(store, batch)
    active, sign = store.slots.active == 1, np.copysign(1.0, store.slots.weight.astype(np.float64))
    theta = store.theta.astype(np.float64)
    positions = store.slots.pre.copy(), store.slots.post.copy()
    gradient, bound = twin.at_slots(store, twin.gradient), twin.at_slots(store, twin.gradient_bound)
    nu = np.zeros(store.n_slots, np.float32)
    if noise_std:
        fill_normal(nu, np.uint64(91), step)
    want = theta - eta * (sign * gradient + np.float64(np.float32(l1))) + np.float64(np.float32(noise_std)) * nu
    # One rounding each of slope + l1, of theta after the slope and of theta after the noise.
    bound = eta * (bound + EPS * (np.abs(gradient) + l1)) + 2 * EPS * (np.abs(want) + theta + noise_std * np.abs(nu))

    progress = train_one_step(store, batch, rule_of(eta, l1, noise_std), step)
    assert abs(progress.loss[0] - twin.loss) <= twin.loss_bound
    stays, leaves = active & (want > bound), active & (want < -bound)
    assert leaves.sum() >= 1 and stays.sum() > 400
    assert (active & ~stays & ~leaves).sum() == 0
    np.testing.assert_array_equal(store.slots.active == 1, stays)
    assert np.all(np.abs(store.theta - want)[stays] <= bound[stays])
    assert np.all(store.theta[~stays] == 0)
    np.testing.assert_array_equal(np.copysign(1.0, store.slots.weight)[stays], sign[stays])
    np.testing.assert_array_equal(store.slots.pre, positions[0])
    np.testing.assert_array_equal(store.slots.post, positions[1])
    assert np.all(store.slots.gradient == 0)
    assert store.violations() == []


def test_noise_alone_is_the_documented_deviate():
    """Without gradient and L1 the step is theta + noise_std * nu, rounded once."""
    store = make_store()
    batch = make_batch(store, 10)
    batch.data[:] = 0
    theta, active = store.theta.astype(np.float64), store.slots.active == 1
    nu = np.empty(store.n_slots, np.float32)
    fill_normal(nu, np.uint64(91), 23)
    want = theta + np.float64(np.float32(0.05)) * nu
    stays = active & (want >= 0)
    train_one_step(store, batch, rule_of(0.5, noise_std=0.05), step=23)
    assert 0 < (active & ~stays).sum() < stays.sum()
    # Twice rounded in the twin (float64, then float32): the two may differ by one unit in the last place.
    np.testing.assert_array_max_ulp(store.theta[stays], want[stays].astype(np.float32), maxulp=1)
    np.testing.assert_array_equal(store.slots.active == 1, stays)
