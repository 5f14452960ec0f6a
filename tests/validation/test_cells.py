"""Feed-forward networks of several cells, with biases: whole steps of the kernels against a dense float64 twin in NumPy.

Gradients are read where an optimizer keeps them: with momentum 0 its state after a step is the gradient of that step. Bounds are computed, as
in `test_gradients`; the twin itself is held against central differences. All networks have the same three cells, in any order of
layers, and so the same compiled kernels; single samples are a pass of their own, which rectified layers alone have.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from neurosim.kernels.normal import fill_normal
from neurosim.kernels.train import Batch, Counting, Progress, StepRule
from neurosim.nn import Mlp
from neurosim.nn import mlp as mlp_network
from neurosim.synapses import SynapseStore, layered_plan

EPS = float(np.finfo(np.float32).eps)
LAYERS, N_ACTIVE = (40, 30, 24, 20, 10), (400, 200, 150, 90)
SCALE = np.float32(1.0 / 16.0)
NEVER = 10**6
MIXED = ("tanh", "relu", "leaky_relu")
OUTPUT = {"relu": lambda z: np.maximum(z, 0.0), "leaky_relu": lambda z: np.where(z > 0, z, 0.01 * z), "tanh": np.tanh}
SLOPE = {"relu": lambda z: 1.0 * (z > 0), "leaky_relu": lambda z: np.where(z > 0, 1.0, 0.01), "tanh": lambda z: 1.0 - np.tanh(z) ** 2}
#: What the output of a cell may be off by, beside the error of its sum; and the step of its slope at zero.
OWN_ERROR = {"relu": lambda y: 0.0, "leaky_relu": lambda y: EPS * np.abs(y), "tanh": lambda y: 2e-7}
STEP_OF_SLOPE = {"relu": 1.0, "leaky_relu": 0.99, "tanh": 0.0}


def make_network(n, cells=MIXED, *, has_bias=True, n_moments=1, clip=None, seed=3):
    """A network with free slots that still carry the indices of synapses that left, and biases of the size of sums."""
    store = SynapseStore.random(layered_plan(LAYERS, N_ACTIVE, headroom=0.1, n_moments=n_moments), seed)
    store.release(np.flatnonzero(store.slots.active)[5::17])
    network = Mlp(store, n, cells, has_bias, clip)
    network.biases[:] = np.random.default_rng(seed).normal(0, 0.3, network.biases.size)
    return network


def make_batch(n, seed=11):
    """n samples, half of the inputs zero, in an order that is not the order in memory."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 17, (2 * n, LAYERS[0])) * (rng.random((2 * n, LAYERS[0])) < 0.5)
    return Batch(x.astype(np.uint8), rng.integers(0, LAYERS[-1], 2 * n).astype(np.int32), rng.permutation(2 * n)[:n], SCALE, n)


def rule_of(eta=0.0, l1=0.0, noise_std=0.0, period=NEVER, **more):
    """A rule that does not rewire in the first `period` steps; an eta of 0 moves nothing."""
    return StepRule(np.float32(eta), np.float32(l1), np.float32(noise_std), np.float32(0.0), period, np.uint64(91), np.uint64(92), **more)


def train(network, batch, rule=None, step=7, n_steps=1):
    progress = Progress(np.zeros(1), *(np.zeros(1, np.int64) for _ in range(5)))
    for done in range(n_steps):
        assert network.train(batch, rule or rule_of(), Counting(False, NEVER, False, 1), progress, step + done, 1, 0) == 1
    return progress


def dense(network):
    """Weights, and biases of each layer of sums, in float64."""
    weights = [network.store.dense(m).astype(np.float64) for m in range(len(N_ACTIVE))]
    biases = network.biases.astype(np.float64) if network.biases.size else np.zeros(sum(LAYERS[1:]))
    return weights, np.split(biases, np.cumsum(LAYERS[1:])[:-1])


def twin_of(network, batch, cells):
    """Loss and gradients of a batch in float64, and what float32 may be off by."""
    weights, biases = dense(network)
    n = batch.order.size
    x = (batch.data[batch.order].astype(np.float32) * batch.scale).astype(np.float64)
    y = batch.labels[batch.order]
    acts, act_bounds, sums, sum_bounds = [x], [np.zeros_like(x)], [], []
    for m, (w, b) in enumerate(zip(weights, biases, strict=True)):
        a, da = acts[-1], act_bounds[-1]
        z, n_terms = a @ w + b, (w != 0).sum(0).max() + 1
        bound = (n_terms + 1) * EPS * (np.abs(a) @ np.abs(w) + np.abs(b)) + da @ np.abs(w)
        sums.append(z)
        sum_bounds.append(bound)
        if m < len(weights) - 1:  # no slope is above 1
            acts.append(OUTPUT[cells[m]](z))
            act_bounds.append(bound + OWN_ERROR[cells[m]](acts[-1]))
    shifted = sums[-1] - sums[-1].max(1, keepdims=True)
    total = np.exp(shifted).sum(1, keepdims=True)
    p, one_hot = np.exp(shifted) / total, np.eye(LAYERS[-1])[y]
    exponent = 2 * sum_bounds[-1].max(1, keepdims=True) + EPS * np.abs(shifted).max(1, keepdims=True)
    relative = 2 * exponent + (3 + LAYERS[-1] + 3) * EPS
    err, err_bound = (p - one_hot) / n, (p * relative + 2 * EPS * one_hot) / n
    slots, slot_bounds, of_biases, bias_bounds = [], [], [], []
    for m in range(len(weights) - 1, -1, -1):
        a, da, size = np.abs(acts[m]), act_bounds[m], np.abs(err)
        slots.insert(0, acts[m].T @ err)
        slot_bounds.insert(0, (n + 1) * EPS * (a.T @ size) + a.T @ err_bound + da.T @ (size + err_bound))
        of_biases.insert(0, err.sum(0))
        bias_bounds.insert(0, n * EPS * size.sum(0) + err_bound.sum(0))
        if m == 0:
            break
        w, z, dz, cell = np.abs(weights[m]).T, sums[m - 1], sum_bounds[m - 1], cells[m - 1]
        slope, back = SLOPE[cell](z), err @ weights[m].T
        slope_bound = STEP_OF_SLOPE[cell] * (np.abs(z) <= dz) + (2 * da * a + 3 * EPS if cell == "tanh" else EPS)
        bound = ((weights[m] != 0).sum(1).max() + 1) * EPS * (size @ w) + err_bound @ w
        err, err_bound = back * slope, bound * slope + (np.abs(back) + bound) * slope_bound + EPS * np.abs(back * slope)
    loss = (np.log(total)[:, 0] - shifted[np.arange(n), y]).sum()
    return SimpleNamespace(
        loss=loss, loss_bound=(relative + exponent).sum() + EPS * loss, slots=slots, slot_bounds=slot_bounds,
        biases=np.concatenate(of_biases), bias_bounds=np.concatenate(bias_bounds),
    )  # fmt: skip


def at_slots(store, values):
    """Values of dense matrices at the position of every slot, free ones included."""
    starts = store.matrices.slot_start
    parts = [slice(starts[m], starts[m + 1]) for m in range(len(values))]
    return np.concatenate([value[store.slots.pre[part], store.slots.post[part]] for value, part in zip(values, parts, strict=True)])


def gradients_of(network, batch):
    """What a step finds at every slot and bias, by the state of momentum 0."""
    progress = train(network, batch)
    return network.store.slots.moments[0].copy(), network.state()["bias_moments"][0].copy(), progress


def norm_of(network, twin):
    """Norm of the gradient of the twin over active slots and biases, and what float32 may be off by."""
    active = network.store.slots.active == 1
    parts = [at_slots(network.store, values)[active] for values in (twin.slots, twin.slot_bounds)]
    values = np.concatenate([parts[0], twin.biases if network.biases.size else []])
    bounds = np.concatenate([parts[1], twin.bias_bounds if network.biases.size else []])
    norm = np.sqrt((values**2).sum())
    return norm, (np.abs(values) @ bounds + (bounds**2).sum()) / norm + 4 * EPS * norm


def loss_of(weights, biases, cells, x, y):
    for m, (w, b) in enumerate(zip(weights, biases, strict=True)):
        x = (OUTPUT[cells[m - 1]](x) if m else x) @ w + b
    x = x - x.max(1, keepdims=True)
    return float((np.log(np.exp(x).sum(1)) - x[np.arange(len(y)), y]).sum())


class Dense:
    """What a twin needs of a network, without a compiled kernel."""

    def __init__(self, seed=3):
        self.store = SynapseStore.random(layered_plan(LAYERS, N_ACTIVE), seed)
        self.biases = np.random.default_rng(seed).normal(0, 0.3, sum(LAYERS[1:])).astype(np.float32)


@pytest.mark.parametrize("cells", [MIXED, ("leaky_relu", "tanh", "tanh")])
def test_twin_equals_central_differences(cells):
    """h = 1e-6: truncation is about h**2 = 1e-12, rounding about 2**-52 * loss / h = 1e-8."""
    network, batch, h = Dense(), make_batch(20), 1e-6
    twin, (weights, biases) = twin_of(network, batch, cells), dense(network)
    x, y = batch.data[batch.order] * np.float64(SCALE), batch.labels[batch.order]
    assert abs(loss_of(weights, biases, cells, x, y) - twin.loss) < 1e-12 * twin.loss
    rng, n_nonzero = np.random.default_rng(5), 0

    def slope(arrays, index):
        values, here = [], arrays[index]
        for sign in (1, -1):
            here += sign * h
            values.append(loss_of(weights, biases, cells, x, y))
            here -= sign * h
        return (values[0] - values[1]) / (2 * h) / batch.size

    for m, w in enumerate(weights):
        for i, j in zip(rng.integers(0, w.shape[0], 30), rng.integers(0, w.shape[1], 30)):
            found = slope(w[i : i + 1, j : j + 1], slice(None))
            assert abs(found - twin.slots[m][i, j]) < 1e-8
            n_nonzero += found != 0
    starts = np.cumsum([0, *LAYERS[1:]])
    for m, b in enumerate(biases):
        for i in range(0, b.size, 3):
            assert abs(slope(b[i : i + 1], slice(None)) - twin.biases[starts[m] + i]) < 1e-8
    assert n_nonzero > 60


# One narrow tile, full and not; one wide one; several, shared by threads; single samples, which rectified layers alone take.
SHAPES = [
    pytest.param(1, MIXED, False, id="1 in a narrow tile"),
    pytest.param(10, ("leaky_relu", "tanh", "relu"), False, id="10"),
    pytest.param(64, ("relu", "leaky_relu", "tanh"), False, id="64 in a wide tile"),
    pytest.param(50, MIXED, False, id="50 in a wide tile"),
    pytest.param(20, ("relu", "tanh", "leaky_relu"), True, id="20 in two tiles, threads"),
    pytest.param(1, ("relu",) * 3, False, id="1 alone, rectified"),
]


@pytest.mark.parametrize("has_bias", [True, False], ids=["biases", "none"])
@pytest.mark.parametrize(("n", "cells", "is_parallel"), SHAPES)
def test_gradients(n, cells, is_parallel, has_bias, monkeypatch):
    monkeypatch.setattr(mlp_network, "PARALLEL_WORK", 0 if is_parallel else 2**62)
    network, batch = make_network(n, cells, has_bias=has_bias), make_batch(n)
    assert network.is_parallel == is_parallel and network.n_lanes == (1 if cells == ("relu",) * 3 else 64 if n >= 50 else 16)
    twin = twin_of(network, batch, cells)
    if not has_bias:
        moments = network.store.slots.moments
        progress, of_biases = train(network, batch), np.zeros(0)
        of_slots = moments[0].copy()
    else:
        of_slots, of_biases, progress = gradients_of(network, batch)
    assert abs(progress.loss[0] - twin.loss) <= twin.loss_bound
    active = network.store.slots.active == 1
    want, bound = at_slots(network.store, twin.slots), at_slots(network.store, twin.slot_bounds)
    assert np.all(np.abs(of_slots - want)[active] <= bound[active]) and np.all(of_slots[~active] == 0)
    # The bound must be able to fail, and the gradients must reach every matrix.
    reached = active & (want != 0) & (bound < np.inf)
    assert np.median(bound[reached]) < 1e-3 * np.median(np.abs(want[reached])) and reached.sum() > 100
    if has_bias:
        assert np.all(np.abs(of_biases - twin.biases) <= twin.bias_bounds)
        assert np.median(twin.bias_bounds) < 1e-3 * np.median(np.abs(twin.biases[twin.biases != 0]))
    else:
        assert network.biases.size == 0 and "biases" not in network.state()


def test_the_order_of_cells_and_a_bias_matter():
    """What the tests above compare is told apart by them."""
    network, batch = make_network(10), make_batch(10)
    twin = twin_of(network, batch, MIXED)
    other = twin_of(network, batch, MIXED[::-1])
    network.biases[3] += np.float32(1e-2)
    moved = twin_of(network, batch, MIXED)
    for wrong in (other, moved):
        assert any((np.abs(a - b) > 10 * c).any() for a, b, c in zip(twin.slots, wrong.slots, twin.slot_bounds, strict=True))


@pytest.mark.parametrize(("n", "cells", "is_parallel"), [SHAPES[1], SHAPES[4], SHAPES[5]])
def test_clipping(n, cells, is_parallel, monkeypatch):
    """Scaled by clip / norm over active slots and biases; free slots, which no chip has gradients of, count for nothing."""
    monkeypatch.setattr(mlp_network, "PARALLEL_WORK", 0 if is_parallel else 2**62)
    batch = make_batch(n)
    plain = make_network(n, cells)
    twin = twin_of(plain, batch, cells)
    norm, norm_bound = norm_of(plain, twin)
    every = np.sqrt((at_slots(plain.store, twin.slots) ** 2).sum() + (twin.biases**2).sum())
    assert every > norm + 20 * norm_bound, "free slots must make a difference here"
    of_slots, of_biases, _ = gradients_of(plain, batch)

    clip = 0.5 * norm
    clipped = make_network(n, cells, clip=clip)
    slots, biases, _ = gradients_of(clipped, batch)
    relative = norm_bound / norm + 3 * EPS
    for found, whole in ((slots, of_slots), (biases, of_biases)):
        assert np.all(np.abs(found - 0.5 * whole.astype(np.float64)) <= 1.01 * relative * np.abs(0.5 * whole)) and (found != 0).sum() > 20
    active = clipped.store.slots.active == 1
    size = np.sqrt((slots[active].astype(np.float64) ** 2).sum() + (biases.astype(np.float64) ** 2).sum())
    assert abs(size - clip) <= clip * relative

    roomy = make_network(n, cells, clip=1.01 * norm)
    slots, biases, _ = gradients_of(roomy, batch)
    np.testing.assert_array_equal(slots, of_slots)
    np.testing.assert_array_equal(biases, of_biases)


def test_a_step_moves_biases_by_the_rate_alone():
    """b' = b - eta * gradient: no L1, no noise."""
    network, batch, eta = make_network(10, n_moments=0), make_batch(10), 0.5
    before, twin = network.biases.astype(np.float64), twin_of(network, batch, MIXED)
    train(network, batch, rule_of(eta, l1=0.25, noise_std=0.01))
    bound = eta * twin.bias_bounds + EPS * (np.abs(before) + eta * np.abs(twin.biases))
    assert np.all(np.abs(network.biases - (before - eta * twin.biases)) <= bound)
    assert (network.biases != before.astype(np.float32)).sum() > 60


BY_MATRIX = np.array([(0.3, 0.01, 0.0, 0), (0.05, 0.0, 0.02, 0), (20.0, 0.0, 0.0, 1), (0.1, 0.2, 0.005, 0)], np.float32)


def test_rates_pulls_and_noise_by_matrix_and_a_matrix_with_free_signs():
    """Each matrix moves by its own numbers, also where a chunk of slots holds several; the third learns its signs, and nobody leaves it."""
    network, batch, step = make_network(10, n_moments=0), make_batch(10), 23
    store = network.store
    twin = twin_of(network, batch, MIXED)
    matrix = np.repeat(np.arange(4), np.diff(store.matrices.slot_start))
    eta, l1, noise_std, is_free = BY_MATRIX.astype(np.float64)[matrix].T
    active, weight = store.slots.active == 1, store.slots.weight.astype(np.float64)
    sign, theta = np.copysign(1.0, weight), np.abs(weight)
    gradient, bound = at_slots(store, twin.slots), at_slots(store, twin.slot_bounds)
    nu = np.zeros(store.n_slots, np.float32)
    fill_normal(nu, np.uint64(91), step)
    want = theta - eta * (sign * gradient + l1) + noise_std * nu
    bound = eta * (bound + EPS * (np.abs(gradient) + l1)) + 2 * EPS * (np.abs(want) + theta + noise_std * np.abs(nu))
    biases = network.biases.astype(np.float64)
    train(network, batch, rule_of(0.3, by_matrix=BY_MATRIX), step)

    stays = active & ((is_free == 1) | (want > bound))
    assert (active & ~stays & (want > -bound)).sum() == 0 and (active & ~stays).sum() > 3
    np.testing.assert_array_equal(store.slots.active == 1, stays)
    assert np.all(np.abs(store.slots.weight - sign * want)[stays] <= bound[stays])
    flipped = stays & (np.copysign(1.0, store.slots.weight) != sign)
    assert flipped.sum() > 3 and (matrix[flipped] == 2).all()
    bias_bound = 0.3 * twin.bias_bounds + 2 * EPS * (np.abs(biases) + 0.3 * np.abs(twin.biases))
    assert np.all(np.abs(network.biases - (biases - np.float64(np.float32(0.3)) * twin.biases)) <= bias_bound)


def test_a_free_matrix_keeps_its_connections_and_its_free_slots():
    """The others take in as many as leave; nothing arrives in the free one, not even where it has fewer than were promised."""
    network, batch = make_network(10, n_moments=0), make_batch(10)
    store = network.store
    kept, promised = store.connections(2)[:2], list(store.plan.n_wanted)
    assert kept[0].size < promised[2]
    progress = train(network, batch, rule_of(0.3, by_matrix=BY_MATRIX, period=1), n_steps=5)
    for old, new in zip(kept, store.connections(2)[:2], strict=True):
        np.testing.assert_array_equal(old, new)
    assert [store.connections(m)[0].size for m in (0, 1, 3)] == [promised[m] for m in (0, 1, 3)]
    assert progress.n_unfilled[0] == promised[2] - kept[0].size
