"""Gradients of spiking networks: traces simulated online against errors followed back, and both against what the kernels give."""

import numpy as np
import pytest

from neurosim.kernels.train import Counting, StepRule
from neurosim.networks import Spiking, Topology
from neurosim.nn.spiking import SpikingNetwork, spiking_plan
from neurosim.synapses import SynapseStore
from neurosim.training.loop import new_progress
from reference_spiking import Twin

N_INPUTS, N_CLASSES, N_STEPS = 9, 4, 23


class Data:
    """Spike trains of different lengths, padded in front."""

    def __init__(self, n, seed=0, n_steps=N_STEPS, rate=0.25):
        draws = np.random.default_rng(seed)
        self.n_steps, self.n_train, self.n_inputs, self.scale = n_steps, n, N_INPUTS, 1.0
        self.lengths_train = draws.integers(n_steps // 2, n_steps + 1, n).astype(np.int32)
        x = (draws.random((n, n_steps, N_INPUTS)) < rate).astype(np.uint8)
        for sample, length in zip(x, self.lengths_train, strict=True):
            sample[: n_steps - length] = 0
        self.x_train, self.y_train = x.reshape(n, -1), draws.integers(0, N_CLASSES, n).astype(np.int32)

    def sample(self, i):
        """The steps of a sample, without its padding: float64, shape (length, inputs)."""
        return self.x_train[i].reshape(self.n_steps, -1)[self.n_steps - self.lengths_train[i] :].astype(np.float64)


def make(spiking, units=(12,), batch_size=20, is_recurrent=True, window=None, fraction=0.6, n_steps=N_STEPS):
    topology = Topology.spikes(spiking, N_INPUTS, units, N_CLASSES, n_steps, window, is_recurrent)
    store = SynapseStore.random(spiking_plan(topology, [max(1, round(fraction * n)) for n in topology.n_positions]), 3)
    # Strong enough to spike; weights of both signs.
    store.slots.weight[:] *= np.float32(2.0)
    network = SpikingNetwork(store, topology, batch_size)
    network.biases[:] = np.random.default_rng(5).normal(size=N_CLASSES).astype(np.float32) * np.float32(0.3)
    return store, network


def twin_of(store, network):
    """The same network in float64."""
    topology, inputs, recurrent = network.topology, [], []
    for m, projection in enumerate(topology.projections):
        if projection.is_recurrent:
            recurrent[-1] = store.dense(m).astype(np.float64)
        else:
            inputs.append(store.dense(m).astype(np.float64))
            recurrent.append(None)
    feedback = None
    if network.spiking.feedback != "symmetric":
        feedback = np.split(network.feedback.astype(np.float64), np.cumsum(topology.sizes[1:-2]))
    return Twin(network.spiking, inputs[:-1], recurrent[:-1], inputs[-1], network.biases.astype(np.float64), feedback)


def gradients_of_kernel(store, network, data):
    """Loss and dense gradients of one batch, from a step of plain gradient descent of rate 1 without rewiring; all signs free."""
    before = [store.dense(m).astype(np.float64) for m in range(len(store.plan.matrices))]
    bias = network.biases.astype(np.float64).copy()
    rule = StepRule(np.float32(1e-3), np.float32(0), np.float32(0), np.float32(0), 2**62, np.uint64(1), np.uint64(2), has_free_signs=True)
    progress = new_progress()
    batch = network.make_batch(data, np.arange(data.n_train))
    gradient = read_gradient(store, network, batch, rule, progress)
    return progress.loss[0] / data.n_train, gradient, (before, bias)


def read_gradient(store, network, batch, rule, progress):
    """Mean gradient of all positions of every matrix, and of the biases, after one step."""
    network.train(batch, rule, Counting(True, 0, False, 2**62), progress, 0, 1, 0)
    n = batch.order.size
    found = []
    for g, segment in enumerate(store.plan.segments):
        matrix = store.plan.matrices[segment.matrix]
        found.append(network.dense_gradient(g, n)[0].reshape(-1, matrix.n_pre).T)
    return found, network._biases.gradient.copy()


def expected(twin, data, window=None):
    """Mean loss and gradients of all samples by the twin, matrix by matrix."""
    loss, parts = 0.0, None
    for i in range(data.n_train):
        one, (inputs, recurrent, output, bias) = twin.back_through_time(data.sample(i), int(data.y_train[i]), window)
        flat = [g for pair in zip(inputs, recurrent, strict=True) for g in pair if g is not None] + [output, bias]
        parts = flat if parts is None else [a + b for a, b in zip(parts, flat, strict=True)]
        loss += one
    return loss / data.n_train, [g / data.n_train for g in parts]


NETWORKS = {
    "lif": {},
    "alif": {"adaptive": 0.5, "beta": 0.7, "tau_a": 30.0},
    "refractory": {"refractory": 2},
    "superspike": {"surrogate": "superspike", "slope": 2.0},
    "exponential": {"surrogate": "exponential"},
    "arctan": {"surrogate": "arctan", "slope": 2.0},
}
READOUTS = {"mean": {}, "last": {"readout": "last"}, "every": {"readout": "every"}, "last steps": {"readout_steps": 5}}
LEARNING = {
    "bptt": {},
    "eprop": {"method": "eprop"},
    "random": {"method": "eprop", "feedback": "random"},
    "factorised": {"method": "eprop_factorised"},
    "rates": {"method": "eprop", "rate_cost": 2.0, "rate_target": 0.1},
}
BASE = {"tau_m": 6.0, "tau_out": 5.0, "v_th": 0.6}


def compare(spiking, data, batch_size=None, window=None, **options):
    store, network = make(spiking, batch_size=batch_size or data.n_train, window=window, **options)
    twin = twin_of(store, network)
    spikes = sum(z.sum() for i in range(data.n_train) for z in twin.forward(data.sample(i))[0])
    assert spikes > 20 * data.n_train / 2, "next to nothing spikes"
    loss, (found, bias), _ = gradients_of_kernel(store, network, data)
    want_loss, want = expected(twin, data, window)
    assert loss == pytest.approx(want_loss, rel=1e-6)
    for m, (a, b) in enumerate(zip([*found, bias], want, strict=True)):
        if m < len(found) and store.plan.matrices[m].skips_self:
            a, b = a - np.diag(np.diag(a)), b - np.diag(np.diag(b))
        assert np.abs(b).max() > 0 or spiking.method != "bptt", m
        assert np.linalg.norm(a - b) <= 1e-6 * max(np.linalg.norm(b), 1e-3), m


@pytest.mark.parametrize("cell", NETWORKS)
@pytest.mark.parametrize("learning", LEARNING)
def test_kernels_give_the_gradient_of_the_twin(cell, learning):
    compare(Spiking(**BASE | NETWORKS[cell] | LEARNING[learning]), Data(20))


@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("learning", LEARNING)
def test_of_every_readout(readout, learning):
    compare(Spiking(**BASE | NETWORKS["alif"] | READOUTS[readout] | LEARNING[learning]), Data(20))


@pytest.mark.parametrize("batch_size, n", [(1, 1), (40, 40), (64, 50)])
def test_of_every_width_of_tiles(batch_size, n):
    compare(Spiking(**BASE | NETWORKS["alif"]), Data(n, seed=2), batch_size=batch_size)


@pytest.mark.parametrize("readout", ["mean", "last", "every"])
@pytest.mark.parametrize("window", [4, 7])
def test_truncated(readout, window):
    compare(Spiking(**BASE | READOUTS[readout]), Data(20), window=window)


@pytest.mark.parametrize("is_recurrent", [False, True])
def test_two_layers(is_recurrent):
    for learning in ("bptt", "random"):
        compare(Spiking(**BASE | LEARNING[learning]), Data(20), units=(12, 8), is_recurrent=is_recurrent)


# Of three layers without adaptation only: with it float32 leaves 2e-6 in the smallest gradient, which the twin follows in float64 below.
@pytest.mark.parametrize("units, cell", [(n, cell) for n in ((12,), (12, 8)) for cell in ("lif", "alif", "refractory")] + [((12, 9, 8), "lif")])
@pytest.mark.parametrize("is_recurrent", [False, True])
def test_errors_between_layers_within_each_step(units, cell, is_recurrent):
    compare(Spiking(**BASE | NETWORKS[cell] | {"readout": "every", "method": "ottt"}), Data(20), units=units, is_recurrent=is_recurrent)


@pytest.mark.parametrize("cell", NETWORKS)
@pytest.mark.parametrize("method, feedback", [("ottt", "symmetric"), ("eprop", "random"), ("eprop_factorised", "random")])
@pytest.mark.parametrize("steps", [0, 5])
def test_online_traces_of_several_layers_are_errors_followed_back(cell, method, feedback, steps):
    spiking = Spiking(**BASE | NETWORKS[cell], readout="every", readout_steps=steps, method=method, feedback=feedback)
    store, network = make(spiking, units=(12, 9, 8), fraction=0.9)
    twin, data = twin_of(store, network), Data(3, seed=1)
    for i in range(3):
        (loss, want), (again, found) = (way(data.sample(i), int(data.y_train[i])) for way in (twin.online, twin.back_through_time))
        assert again == loss
        for a, b in zip([*found[0], *found[1], *found[2:]], [*want[0], *want[1], *want[2:]], strict=True):
            assert np.abs(a - b).max() <= 1e-12 * max(np.abs(b).max(), 1e-12)
        assert all(np.abs(g).max() > 0 for g in found[0])


def test_of_one_layer_it_is_the_factorised_rule():
    data = Data(20)
    for a, b in zip(*(gradients_of_kernel(*make(Spiking(**BASE, readout="every", method=method), batch_size=20), data)[1][0] for method in ("ottt", "eprop_factorised")), strict=True):  # fmt: skip
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("cell", NETWORKS)
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("learning", ["eprop", "random", "factorised", "rates"])
def test_online_traces_are_errors_followed_back_without_the_recurrent_ones(cell, readout, learning):
    """Bellec et al. 2020, equations 1 and 4: e-prop needs no simulated trace."""
    store, network = make(Spiking(**BASE | NETWORKS[cell] | READOUTS[readout] | LEARNING[learning]))
    twin, data = twin_of(store, network), Data(3, seed=1)
    for i in range(3):
        loss, want = twin.online(data.sample(i), int(data.y_train[i]))
        again, found = twin.back_through_time(data.sample(i), int(data.y_train[i]))
        assert again == loss
        for a, b in zip((found[0][0], found[1][0], *found[2:]), (want[0][0], want[1][0], *want[2:]), strict=True):
            assert np.abs(a - b).max() <= 1e-12 * max(np.abs(b).max(), 1e-12)


def torch_gradients(twin, x, label):
    """Loss and gradients of one layer by autograd, in float64: e-prop is the network whose recurrent spikes are detached."""
    torch = pytest.importorskip("torch", reason="PyTorch is compared with where it is installed")
    s, n = twin.spiking, len(x)

    class Step(torch.autograd.Function):
        @staticmethod
        def forward(ctx, distance):
            ctx.save_for_backward(distance)
            return (distance > 0).to(distance.dtype)

        @staticmethod
        def backward(ctx, error):
            (distance,) = ctx.saved_tensors
            return error * s.gamma * torch.clamp(1 - s.slope * distance.abs(), min=0)

    leaves = [torch.tensor(w, requires_grad=True) for w in (twin.inputs[0], twin.recurrent[0], twin.output, twin.bias)]
    w_in, w_rec, w_out, bias = leaves
    beta, events = torch.tensor(twin.beta[0]), torch.tensor(x)
    v, a, z, wait = (torch.zeros(w_in.shape[1], dtype=torch.float64) for _ in range(4))
    y, ys = torch.zeros_like(bias), []
    for t in range(n):
        sent = z if s.learning.recurrent_errors else z.detach()
        a = s.rho * a + z
        v = s.alpha * v + events[t] @ w_in + sent @ w_rec - s.v_th * z.detach()
        free = (wait == 0).to(v.dtype)
        z = Step.apply((v - s.v_th - beta * a) / s.v_th) * free / 1.0
        wait = torch.where(z > 0, torch.tensor(float(s.refractory), dtype=v.dtype), torch.clamp(wait - 1, min=0)).detach()
        y = s.kappa * y + z @ w_out + bias
        ys.append(y)
    first = n - s.count_readouts(n)
    rows = torch.stack(ys[first:]) if s.readout == "every" else torch.stack(ys[first:]).mean(0, keepdim=True)
    loss = torch.nn.functional.cross_entropy(rows, torch.full((len(rows),), label))
    loss.backward()
    return loss.item(), [leaf.grad.numpy() for leaf in leaves]


@pytest.mark.parametrize("cell", ["lif", "alif", "refractory"])
@pytest.mark.parametrize("readout", READOUTS)
@pytest.mark.parametrize("method", ["bptt", "eprop"])
def test_the_twin_is_what_autograd_makes_of_the_network(cell, readout, method):
    # The derivative by v is gamma / v_th * surrogate: autograd divides by v_th in the distance.
    store, network = make(Spiking(**BASE | NETWORKS[cell] | READOUTS[readout], method=method))
    twin, data = twin_of(store, network), Data(3, seed=4)
    for i in range(3):
        loss, want = torch_gradients(twin, data.sample(i), int(data.y_train[i]))
        again, found = twin.back_through_time(data.sample(i), int(data.y_train[i]))
        assert again == pytest.approx(loss, rel=1e-12)
        for a, b in zip((found[0][0], found[1][0], *found[2:]), want, strict=True):
            assert np.linalg.norm(a - b) <= 1e-12 * max(np.linalg.norm(b), 1e-12)
