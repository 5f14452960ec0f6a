"""Exact answers that hold of spiking networks and of e-prop, held against the code that runs use."""

import math
from dataclasses import replace

import numpy as np
import pytest
from reference_spiking import Twin
from test_spiking_gradients import BASE, N_CLASSES, N_INPUTS, Data, make, read_gradient, twin_of

from neurosim.kernels.train import Counting, StepRule
from neurosim.networks import Spiking, Topology
from neurosim.nn.spiking import SpikingNetwork, spiking_plan
from neurosim.synapses import SynapseStore
from neurosim.training.loop import new_progress

RULE = StepRule(np.float32(1e-3), np.float32(0), np.float32(0), np.float32(0), 2**62, np.uint64(1), np.uint64(2), has_free_signs=True)


class Train:
    """One sample of given input trains, shape (steps, inputs)."""

    def __init__(self, x, label=0):
        self.n_steps, self.n_train, self.scale = len(x), 1, 1.0
        self.x_train, self.y_train, self.lengths_train = np.asarray(x, np.float32).reshape(1, -1), np.array([label], np.int32), None


def chain(spiking, n_inputs, units, matrices, n_steps, is_recurrent):
    """A network of given weights: {(matrix): [(pre, post, weight)]}, two classes."""
    topology = Topology.spikes(spiking, n_inputs, units, 2, n_steps, is_recurrent=is_recurrent)
    plan = spiking_plan(topology, [len(found) for found in matrices])
    columns = [tuple(np.array(column) for column in zip(*found, strict=True)) for found in matrices]
    store = SynapseStore.of(replace(plan, signs="free"), [(a.astype(np.int64), b.astype(np.int64), w.astype(np.float32)) for a, b, w in columns])
    return store, SpikingNetwork(store, topology, 1)


def spikes_and_psi(network, data):
    """Spikes of every step of the first layer, and what lies in the place of psi, after a training step."""
    network.train(network.make_batch(data, np.arange(1)), RULE._replace(eta=np.float32(0)), Counting(False, 0, False, 2**62), new_progress(), 0, 1, 0)
    tiles, shape = network._tiles, network._shape
    n = int(shape.unit_start[-1])
    return (tiles.masks[0].reshape(-1, n) != 0).astype(int), tiles.act[0].reshape(shape.n_steps, shape.stride)[:, :n]


def test_first_spike_of_a_constant_input():
    """At step ceil(ln(1 - v_th (1 - alpha) / I) / ln alpha): 11 for alpha 0.9, I 0.15, v_th 1; v is 1.02928 there."""
    tau = -1 / math.log(0.9)
    store, network = chain(Spiking(tau_m=tau, v_th=1.0, gamma=1.0), 1, (1,), [[(0, 0, 0.15)], [(0, 0, 0.5)]], 15, False)
    spikes, psi = spikes_and_psi(network, Train(np.ones((15, 1))))
    expected = math.ceil(math.log(1 - 1.0 * (1 - 0.9) / 0.15) / math.log(0.9))
    assert expected == 11 and np.flatnonzero(spikes[:, 0])[0] == expected - 1
    v = 0.15 * (1 - 0.9 ** np.arange(1, 12)) / 0.1
    assert v[-1] == pytest.approx(1.02928, abs=1e-5)
    # psi is 1 - |v - 1|: v below the threshold, 2 - v above.
    assert psi[:11, 0] == pytest.approx(np.where(v < 1, v, 2 - v), rel=1e-5)


def test_a_neuron_without_a_leak_counts_its_input():
    store, network = chain(Spiking(tau_m=math.inf, v_th=1.0), 1, (1,), [[(0, 0, 0.137)], [(0, 0, 0.5)]], 2000, False)
    spikes, _ = spikes_and_psi(network, Train(np.ones((2000, 1))))
    off = np.cumsum(spikes[:, 0]) - np.arange(1, 2001) * 0.137
    assert np.abs(off).max() <= 1.0


def test_refractory_steps_are_kept():
    store, network = chain(Spiking(v_th=1.0, refractory=4), 1, (1,), [[(0, 0, 5.0)], [(0, 0, 0.5)]], 40, False)
    spikes, psi = spikes_and_psi(network, Train(np.ones((40, 1))))
    when = np.flatnonzero(spikes[:, 0])
    assert when.size == 8 and set(np.diff(when)) == {5} and not psi[1:5].any()


def test_eligibility_of_an_adapting_neuron():
    """One spike at 0, psi constant: e(t) = psi (alpha^t - beta psi (alpha^t - r^t) / (alpha - r)), r = rho - psi beta; the tail is negative."""
    alpha, rho, beta, psi = 0.9, 0.98, 0.5, 0.2
    eps, trace, found = 0.0, 1.0, []
    for t in range(31):
        if t:
            eps = psi * trace + (rho - psi * beta) * eps
            trace *= alpha
        found.append(psi * (trace - beta * eps))
    r = rho - psi * beta
    t = np.arange(31)
    assert found == pytest.approx(psi * (alpha**t - beta * psi * (alpha**t - r**t) / (alpha - r)), rel=1e-12)
    assert [found[i] for i in (0, 1, 2, 10, 30)] == pytest.approx([0.2, 0.16, 0.1264, -0.000442, -0.012312], abs=5e-7)


@pytest.mark.parametrize("at", [0, 1, 2, 10, 30])
def test_kernels_have_that_eligibility(at):
    """dE/dw of a synapse with one spike at 0, of an error of 1 at step `at`, with psi held at 0.2 by a flat surrogate."""
    alpha, rho, beta, psi = 0.9, 0.98, 0.5, 0.2
    spiking = Spiking(
        tau_m=-1 / math.log(alpha), tau_a=-1 / math.log(rho), beta=beta, adaptive=1.0, v_th=1.0, gamma=psi, slope=1e-30, method="eprop",
        readout="last", tau_out=0.0,
    )  # fmt: skip
    store, network = chain(spiking, 1, (1,), [[(0, 0, 0.01)], [(0, 0, 1.0)]], at + 1, False)
    x = np.zeros((at + 1, 1))
    x[0] = 1
    (found, _), bias = read_gradient(store, network, network.make_batch(Train(x, label=1), np.arange(1)), RULE, new_progress())
    expected = {0: 0.2, 1: 0.16, 2: 0.1264, 10: -0.000442, 30: -0.012312}[at]
    assert found[0, 0] == pytest.approx(expected * bias[0], abs=5e-7 + 1e-6 * abs(expected))


def test_sum_of_a_filtered_eligibility():
    """Constant psi, all steps with a loss: the sum over time is psi / ((1 - alpha) (1 - kappa))."""
    alpha, kappa, psi = 0.8, 0.7, 0.3
    spiking = Spiking(tau_m=-1 / math.log(alpha), tau_out=-1 / math.log(kappa), v_th=1.0, gamma=psi, slope=1e-30, method="eprop")
    store, network = chain(spiking, 1, (1,), [[(0, 0, 0.01)], [(0, 0, 1.0)]], 200, False)
    x = np.zeros((200, 1))
    x[0] = 1
    (found, _), _ = read_gradient(store, network, network.make_batch(Train(x), np.arange(1)), RULE, new_progress())
    # Every read-out has the error e / steps, where e is that of the mean.
    e = network._tiles.head_err[0].reshape(-1, 1)[1, 0]
    assert found[0, 0] == pytest.approx(psi / ((1 - alpha) * (1 - kappa)) * e / 200, rel=1e-5)


@pytest.mark.parametrize("cell", [{}, {"adaptive": 0.5, "beta": 0.7, "tau_a": 30.0}])
@pytest.mark.parametrize("is_recurrent", [False, True])
def test_eprop_is_back_propagation_where_nothing_is_recurrent(cell, is_recurrent):
    found = {}
    for method in ("bptt", "eprop"):
        store, network = make(Spiking(**BASE | cell, method=method), is_recurrent=is_recurrent)
        if is_recurrent:  # all recurrent weights zero
            store.slots.weight[store.matrices.slot_start[1] : store.matrices.slot_start[2]] = 0
        data = Data(20)
        found[method] = read_gradient(store, network, network.make_batch(data, np.arange(20)), RULE, new_progress())
    (a, bias), (b, same) = found.values()
    assert np.array_equal(bias, same) and np.array_equal(a[-1], b[-1])
    for one, other in zip(a, b, strict=True):
        assert np.abs(one).max() > 0 and np.allclose(one, other, rtol=0, atol=1e-7 * np.abs(one).max())


def test_output_weights_have_the_same_gradient_whatever_the_method():
    first = None
    for options in ({}, {"method": "eprop"}, {"method": "eprop", "feedback": "random"}, {"method": "eprop_factorised"}):
        store, network = make(Spiking(**BASE | options))
        found, _ = read_gradient(store, network, network.make_batch(Data(20), np.arange(20)), RULE, new_progress())
        first = found[-1] if first is None else first
        assert np.array_equal(found[-1], first)


@pytest.mark.parametrize("method, expected", [("bptt", 0.24 * 0.7 * 0.18 * 0.5), ("eprop", 0.0)])
def test_a_chain_without_a_way_to_the_output(method, expected):
    """j -> l -> output, no j -> output: e-prop gives synapses into j exactly 0, BPTT psi_j(0) w2 psi_l(1) w3."""
    spiking = Spiking(tau_m=1e9, tau_out=0.0, v_th=1.0, gamma=0.3, readout="last", method=method)
    # Neither reaches the threshold, and both have a psi: j of 0.24 at step 0, l of 0.18 at step 1.
    twin = Twin(spiking, [np.array([[0.8, 0.0], [0.0, 0.6]])], [np.array([[0.0, 0.7], [0.0, 0.0]])], np.array([[0.0, 0.0], [0.5, 0.0]]), np.zeros(2))
    x = np.array([[1.0, 0.0], [0.0, 1.0]])
    z, psi, y = twin.forward(x)
    assert psi[0][0, 0] == pytest.approx(0.24) and psi[0][1, 1] == pytest.approx(0.18)
    store, network = chain(
        spiking, 2, (2,), [[(0, 0, 0.8), (1, 1, 0.6)], [(0, 1, 0.7)], [(1, 0, 0.5)]], 2, True,
    )  # fmt: skip
    (found, _, _), bias = read_gradient(store, network, network.make_batch(Train(x), np.arange(1)), RULE, new_progress())
    if expected == 0.0:
        assert found[0, 0] == 0.0
    else:
        assert expected == pytest.approx(0.01512) and found[0, 0] / bias[0] == pytest.approx(expected, rel=1e-6)


def test_an_adaptive_feedback_comes_to_the_read_out():
    """|B - W_out| = (1 - decay)^n |B_0 - W_0|, where no synapse is missing: 0.0490409 of it after 300 updates with decay 0.01."""
    spiking = Spiking(**BASE, method="eprop", feedback="adaptive", feedback_decay=0.01)
    topology = Topology.spikes(spiking, N_INPUTS, (12,), N_CLASSES, 23)
    store = SynapseStore.random(spiking_plan(topology, list(topology.n_positions)), 3)
    network = SpikingNetwork(store, topology, 20)
    before = network.feedback - store.dense(2)
    data = Data(20)
    batch = network.make_batch(data, np.arange(20))
    for step in range(300):
        network.train(batch, RULE._replace(eta=np.float32(0.05)), Counting(False, 0, False, 2**62), new_progress(), step, 1, 0)
    after = network.feedback - store.dense(2)
    assert np.linalg.norm(after) / np.linalg.norm(before) == pytest.approx(0.99**300, rel=1e-4)
    assert 0.99**300 == pytest.approx(0.0490409, abs=1e-7)
    assert np.allclose(after, before * 0.99**300, atol=1e-5)


def test_a_random_feedback_stays():
    store, network = make(Spiking(**BASE, method="eprop", feedback="random"))
    before = network.feedback.copy()
    network.train(network.make_batch(Data(20), np.arange(20)), RULE, Counting(False, 0, False, 2**62), new_progress(), 0, 1, 0)
    assert np.array_equal(network.feedback, before) and before.std() == pytest.approx(1 / np.sqrt(12), rel=0.3)


def test_finite_differences_of_a_smoothed_network():
    """The surrogate is the derivative of a smoothed step, not of the loss: only a network whose step is its integral has this gradient."""
    spiking = Spiking(tau_m=6.0, tau_out=5.0, v_th=0.6, gamma=1.0, surrogate="arctan", slope=2.0)
    rng = np.random.default_rng(0)
    w_in, w_out = rng.normal(0, 0.3, (N_INPUTS, 6)), rng.normal(0, 0.5, (6, N_CLASSES))
    x = Data(1, seed=3).sample(0)

    def forward(w):
        """One step of time back to the reset is not followed, so it is left out: spikes do not reset."""
        v, y, zs, psis = np.zeros(6), np.zeros(N_CLASSES), [], []
        total = np.zeros(N_CLASSES)
        for row in x:
            v = spiking.alpha * v + row @ w
            d = (v - spiking.v_th) / spiking.v_th
            zs.append(np.arctan(spiking.slope * d) / spiking.slope + 0.5)
            psis.append(1 / (1 + (spiking.slope * d) ** 2) / spiking.v_th)
            y = spiking.kappa * y + zs[-1] @ w_out
            total += y / len(x)
        return np.log(np.exp(total).sum()) - total[0], total, np.array(psis)

    loss, total, psi = forward(w_in)
    p = np.exp(total) / np.exp(total).sum()
    p[0] -= 1
    dv, lam, gradient = np.zeros(6), np.zeros(N_CLASSES), np.zeros_like(w_in)
    for t in range(len(x) - 1, -1, -1):
        lam = spiking.kappa * lam + p / len(x)
        dv = spiking.alpha * dv + psi[t] * (w_out @ lam)
        gradient += np.outer(x[t], dv)
    step, found = 1e-6, np.zeros_like(w_in)
    for i in range(N_INPUTS):
        for j in range(6):
            moved = [w_in.copy() for _ in range(2)]
            moved[0][i, j] += step
            moved[1][i, j] -= step
            found[i, j] = (forward(moved[0])[0] - forward(moved[1])[0]) / (2 * step)
    assert np.abs(found - gradient).max() <= 1e-8


def test_what_a_chip_keeps_does_not_grow_with_the_steps_online_and_is_affine_otherwise():
    kept = {method: [Topology.spikes(Spiking(method=method), 40, (128,), 10, t).kept_steps for t in (50, 100, 150)] for method in ("bptt", "eprop")}
    assert kept == {"bptt": [50, 100, 150], "eprop": [1, 1, 1]}


def test_an_arrival_begins_at_zero():
    """Whatever a slot had before, its gradient after an exchange is that of its own position alone."""
    store, network = make(Spiking(**BASE, method="eprop"))
    data = Data(20)
    batch = network.make_batch(data, np.arange(20))
    rule = StepRule(np.float32(0.05), np.float32(1e-3), np.float32(0.02), np.float32(1e-12), 1, np.uint64(1), np.uint64(2))
    for step in range(30):
        network.train(batch, rule, Counting(True, 0, False, 2**62), new_progress(), step, 1, 0)
        assert not store.slots.gradient.any() and store.violations() == []
    assert store.tally.by_segment[:, 6].sum() > 10, "nobody left"
    twin = twin_of(store, network)
    assert all((np.diag(w) == 0).all() for w in twin.recurrent)
