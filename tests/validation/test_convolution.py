"""Convolutions: kernels against a dense twin in float64, the twin against central differences and against PyTorch where that is installed."""

import numpy as np
import pytest

from neurosim.kernels.convolutional import convolve, convolve_back, prepare_order
from neurosim.kernels.train import Batch, Counting, StepRule
from neurosim.networks import Convolution, Convolve, Pool, Topology
from neurosim.nn.convolutional import N_LANES, Convolutional, convolutional_plan
from neurosim.synapses import SynapseStore
from neurosim.training.loop import new_progress

N_SAMPLES = 37  # two whole tiles and a part of one
SCALE = np.float32(1 / 16)


def _conv(n, kernel, stride=1, padding=0):
    return Convolve(n, Convolution(kernel, stride, padding))


#: Input shape, layers, cell or those of the hidden layers. All that are not rectified alone are of the same two cells, and so of one build.
NETWORKS = {
    "padded, pooled with padding": ((3, 12, 12), (_conv(6, 5, 1, 2), Pool("max", 3, 2, 1), _conv(7, 3, 1, 1), Pool("max", 2, 2), 15, 5), "relu"),
    "strides": ((2, 15, 13), (_conv(5, 3, 2, 1), _conv(6, 3, 2, 0), 5), ("tanh", "leaky_relu")),
    "no padding, average": ((1, 14, 14), (_conv(4, 5), Pool("average", 3, 2, 1), _conv(5, 2), 9, 5), ("leaky_relu", "leaky_relu", "tanh")),
    "one map": ((1, 7, 9), (_conv(1, 7, 1, 3), Pool("max", 3, 1, 1), _conv(3, 1), Pool("average", 2, 1), 5), ("tanh", "leaky_relu")),
    "three": ((2, 10, 24), (_conv(3, 3, 1, 1), Pool("max", 2, 2), _conv(5, 4, 1, 3), _conv(4, 3, 1, 2), Pool("average", 4, 3), 5), "relu"),
    "many elements": ((5, 6, 9), (_conv(9, 5, 1, 2), Pool("max", 3, 3), 5), "relu"),
}


def make_network(name, batch_size=N_SAMPLES, seed=5, density=0.4, **options):
    shape, layers, cell = NETWORKS[name]
    topology = Topology.convolutional(shape, layers, cell, bias=True)
    n_active = [min(n, max(4, round(n * density))) for n in topology.n_positions]
    store = SynapseStore.random(convolutional_plan(topology, n_active, **{"n_moments": 1} | options), seed)
    network = Convolutional(store, topology, batch_size)
    network.biases[:] = np.random.default_rng(seed).normal(0, 0.3, network.biases.size)
    return network


def make_images(topology, n=N_SAMPLES, seed=3):
    rng = np.random.default_rng(seed)
    x = rng.integers(0, 17, (n, topology.n_values[0])).astype(np.uint8)
    return Batch(x, rng.integers(0, 5, n).astype(np.int32), rng.permutation(n), SCALE, n)


CELLS = {
    "relu": (lambda z: np.maximum(z, 0), lambda y: (y > 0).astype(y.dtype)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda y: np.where(y > 0, 1.0, 0.01)),
    "tanh": (np.tanh, lambda y: 1 - y * y),
}


class Twin:
    """The network in NumPy, place by place: `loss` (mean), `logits`, `weight_gradients`, `bias_gradients`."""

    def __init__(self, topology, weights, biases, x, y):
        self.topology, self.weights, self.y = topology, [np.asarray(w, np.float64) for w in weights], y
        self.biases = np.split(np.asarray(biases, np.float64), np.cumsum([n for _, n in topology.shapes])[:-1])
        self.cells = [CELLS[topology.populations[projection.post].cell] for projection in topology.projections[:-1]]
        maps = topology.populations[0].maps
        self.inputs = [x.astype(np.float64).reshape(len(x), -1, maps.height, maps.width)]
        self.values = []
        self._run()
        self._return()

    def _patches(self, x, pattern):
        """(sample, pre neuron, place) of a convolution, and where each comes from: flat indices into the padded maps."""
        n, c, h, w = x.shape
        p, k, s = pattern.padding, pattern.kernel, pattern.stride
        padded = np.zeros((n, c, h + 2 * p, w + 2 * p))
        padded[:, :, p : p + h, p : p + w] = x
        number = np.arange(padded[0].size).reshape(padded.shape[1:])
        heights, widths = range(0, h + 2 * p - k + 1, s), range(0, w + 2 * p - k + 1, s)
        at = np.array([[number[ci, y0 + ky, x0 + kx] for y0 in heights for x0 in widths] for ci in range(c) for ky in range(k) for kx in range(k)])
        return padded.reshape(n, -1)[:, at], at, padded.shape

    def _run(self):
        t = self.topology
        self.patches, self.pooled_at = {}, {}
        for m, projection in enumerate(t.projections):
            post, x = t.populations[projection.post], self.inputs[-1]
            if projection.pattern:
                found, *where = self._patches(x, projection.pattern)
                self.patches[m] = (found, *where)
                z = np.einsum("npk,pc->nck", found, self.weights[m]) + self.biases[m][:, None]
                z = z.reshape(len(x), post.n, post.maps.height, post.maps.width)
            else:
                z = x.reshape(len(x), -1) @ self.weights[m] + self.biases[m]
            if m == len(t.projections) - 1:
                break
            value = self.cells[m][0](z)
            self.values.append(value)
            self.inputs.append(self._pool(m, value, post.maps.pool) if post.maps and post.maps.pool else value)
        self.logits = z
        shifted = z - z.max(axis=1, keepdims=True)
        p = np.exp(shifted) / np.exp(shifted).sum(axis=1, keepdims=True)
        self.loss = -np.log(p[np.arange(len(p)), self.y]).mean()
        p[np.arange(len(p)), self.y] -= 1
        self.error = p / len(p)

    def _windows(self, shape, pool):
        for y, (top, bottom) in enumerate(pool.spans(shape[2])):
            for x, (left, right) in enumerate(pool.spans(shape[3])):
                yield (slice(None), slice(None), y, x), (slice(None), slice(None), slice(top, bottom), slice(left, right))

    def _pool(self, m, value, pool):
        out = np.zeros((*value.shape[:2], len(pool.spans(value.shape[2])), len(pool.spans(value.shape[3]))))
        for at, window in self._windows(value.shape, pool):
            part = value[window].reshape(*value.shape[:2], -1)
            out[at] = part.max(axis=2) if pool.kind == "max" else part.sum(axis=2) / pool.window**2
        return out

    def _unpool(self, value, error, pool):
        back = np.zeros_like(value)
        for at, window in self._windows(value.shape, pool):
            part = value[window]
            flat = part.reshape(*part.shape[:2], -1)
            if pool.kind == "max":
                chosen = np.zeros_like(flat)
                np.put_along_axis(chosen, flat.argmax(axis=2)[:, :, None], 1, axis=2)
            else:
                chosen = np.full_like(flat, 1 / pool.window**2)
            back[window] += (chosen * error[at][:, :, None]).reshape(part.shape)
        return back

    def _return(self):
        t, error = self.topology, self.error
        self.weight_gradients, self.bias_gradients = [None] * len(self.weights), [None] * len(self.weights)
        for m in range(len(t.projections) - 1, -1, -1):
            x = self.inputs[m]
            if t.projections[m].pattern:
                patches, at, shape = self.patches[m]
                flat = error.reshape(*error.shape[:2], -1)
                self.weight_gradients[m] = np.einsum("npk,nck->pc", patches, flat)
                self.bias_gradients[m] = flat.sum(axis=(0, 2))
                back = np.einsum("nck,pc->npk", flat, self.weights[m])
                padded = np.zeros((len(x), int(np.prod(shape[1:]))))
                np.add.at(padded, (slice(None), at), back)
                p = t.projections[m].pattern.padding
                error = padded.reshape(shape)[:, :, p : p + x.shape[2], p : p + x.shape[3]]
            else:
                self.weight_gradients[m], self.bias_gradients[m] = x.reshape(len(x), -1).T @ error, error.sum(axis=0)
                error = (error @ self.weights[m].T).reshape(x.shape)
            if m:
                maps = t.populations[m].maps
                error = self._unpool(self.values[m - 1], error, maps.pool) if maps and maps.pool else error
                error = error * self.cells[m - 1][1](self.values[m - 1])


def twin_of(network, batch):
    x = batch.data[batch.order] * np.float64(SCALE)
    return Twin(network.topology, weights_of(network), network.biases, x, batch.labels[batch.order])


def weights_of(network):
    return [network.store.dense(m).astype(np.float64) for m in range(len(network.store.plan.matrices))]


def kernel_gradients(network, batch):
    """dE/dweight of every slot and dE/dbias, as momentum without memory keeps them: bit for bit."""
    rule = StepRule(np.float32(1e-8), np.float32(0), np.float32(0), np.float32(0), 10**9, np.uint64(1), np.uint64(2))
    assert network.train(batch, rule, Counting(True, 0, False, 64), new_progress(), 0, 1, 0) == 1
    return network.store.slots.moments[0].copy(), network.state()["bias_moments"][0].copy() if network.biases.size else None


def slot_values(store, dense):
    out = np.zeros(store.n_slots)
    for m, matrix in enumerate(dense):
        rows = slice(store.matrices.slot_start[m], store.matrices.slot_start[m + 1])
        out[rows] = matrix[store.slots.pre[rows], store.slots.post[rows]]
    return out


def relative_error(ours, exact):
    return np.abs(ours - exact).max() / np.abs(exact).max()


@pytest.mark.parametrize("density", [0.4, 1.0])
@pytest.mark.parametrize("name", NETWORKS)
def test_kernels_agree_with_the_twin(name, density):
    network = make_network(name, density=density)
    batch = make_images(network.topology)
    exact = twin_of(network, batch)
    assert network.evaluate(batch.data, batch.labels, SCALE).loss == pytest.approx(exact.loss, rel=1e-5)
    gradient, bias_gradient = kernel_gradients(network, batch)
    store = network.store
    of_twin = slot_values(store, exact.weight_gradients)
    for m in range(len(exact.weights)):
        rows = slice(store.matrices.slot_start[m], store.matrices.slot_start[m + 1])
        assert relative_error(gradient[rows], of_twin[rows]) < 1e-5, m
    assert relative_error(bias_gradient, np.concatenate(exact.bias_gradients)) < 1e-5


@pytest.mark.parametrize("name", NETWORKS)
def test_maps_that_read_the_same_places_are_summed_together_with_the_same_bits(name):
    """In dense layers, whose maps are taken four by four; what is left over, and sparse layers, map by map."""
    network, lanes = make_network(name, density=1.0), (0,) * N_LANES
    shape, order, store = network._shape, network._tiles, network.store
    rng = np.random.default_rng(0)
    order.act[:], order.wide[:] = rng.normal(size=order.act.shape), rng.normal(size=order.wide.shape)
    prepare_order(store.slots, store.matrices, shape, order, lanes)
    for m in range(shape.n_maps):
        first, n_post, width = int(order.post_first[m]), int(shape.n_post[m]), int(shape.out_width[m])
        alike = order.alike[first : first + n_post].astype(bool)
        assert alike.tolist() == [post + 4 <= n_post for post in range(n_post)]
        rows = slice(int(shape.z_row[m]) * N_LANES, int(shape.z_row[m] + n_post * shape.out_height[m] * width) * N_LANES)
        act = order.act[0].copy()
        convolve(shape, order, m, network.biases, act, lanes)
        together = act[rows].copy()
        kept = order.alike.copy()
        order.alike[:] = 0
        convolve(shape, order, m, network.biases, act, lanes)
        assert np.array_equal(act[rows], together) and together.any()
        order.alike[:] = kept
        if m == 0:
            continue
        first, n_pre, row = int(order.pre_first[m]), int(shape.n_pre[m]), int(shape.pooled_row[m - 1])
        assert order.alike_back[first : first + n_pre].astype(bool).tolist() == [pre + 4 <= n_pre for pre in range(n_pre)]
        rows = slice(row * N_LANES, (row + n_pre * int(shape.height[m] * shape.width[m])) * N_LANES)
        errors, kept = [], order.alike_back.copy()
        for alike in (0, kept):
            order.alike_back[:] = alike
            err = np.zeros_like(order.err[0])
            convolve_back(shape, order, m, order.wide[0], err, row, lanes)
            errors.append(err[rows])
        assert np.array_equal(*errors) and errors[0].any()
    sparse = make_network(name)
    prepare_order(sparse.store.slots, sparse.store.matrices, sparse._shape, sparse._tiles, lanes)
    assert not sparse._tiles.alike.any() and not sparse._tiles.alike_back.any()


@pytest.mark.parametrize("name", ["padded, pooled with padding", "strides"])
def test_the_twin_agrees_with_central_differences(name):
    network = make_network(name, 6)
    batch = make_images(network.topology, 6)
    weights, biases = weights_of(network), network.biases.astype(np.float64)
    x, y = batch.data[batch.order] * np.float64(SCALE), batch.labels[batch.order]
    twin = Twin(network.topology, weights, biases, x, y)
    rng, h = np.random.default_rng(1), 1e-6

    def slope(array, at):
        shifted = []
        for delta in (h, -h):
            array[at] += delta
            shifted.append(Twin(network.topology, weights, biases, x, y).loss)
            array[at] -= delta
        return (shifted[0] - shifted[1]) / (2 * h)

    for m, w in enumerate(weights):
        for i, j in rng.permutation(np.argwhere(w != 0))[:3]:
            # Cancellation eps / h is near 1e-9; a largest value of a window rarely changes within h.
            assert slope(w, (i, j)) == pytest.approx(twin.weight_gradients[m][i, j], abs=2e-8)
    for i in rng.permutation(biases.size)[:4]:
        assert slope(biases, i) == pytest.approx(np.concatenate(twin.bias_gradients)[i], abs=2e-8)


@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_pytorch(name):
    torch = pytest.importorskip("torch", reason="PyTorch is compared with where it is installed")
    network = make_network(name)
    topology, batch = network.topology, make_images(network.topology)
    twin = twin_of(network, batch)
    cells = {"relu": torch.relu, "tanh": torch.tanh, "leaky_relu": lambda z: torch.nn.functional.leaky_relu(z, 0.01)}
    value, weights, biases = torch.tensor(twin.inputs[0]), [], []
    for m, projection in enumerate(topology.projections):
        pre, post, pattern = topology.populations[projection.pre], topology.populations[projection.post], projection.pattern
        w, b = torch.tensor(twin.weights[m].T), torch.tensor(twin.biases[m], requires_grad=True)
        w = w.reshape(post.n, pre.n, pattern.kernel, pattern.kernel) if pattern else w
        w.requires_grad_()
        weights, biases = [*weights, w], [*biases, b]
        if pattern:
            value = torch.nn.functional.conv2d(value, w, b, stride=pattern.stride, padding=pattern.padding)
        else:
            value = torch.nn.functional.linear(value.flatten(1), w, b)
        if m < len(topology.projections) - 1:
            value = cells[post.cell](value)
            pool = post.maps.pool if post.maps else None
            if pool and pool.kind == "max":
                value = torch.nn.functional.max_pool2d(value, pool.window, pool.stride, pool.padding)
            elif pool:
                value = torch.nn.functional.avg_pool2d(value, pool.window, pool.stride, pool.padding)
    loss = torch.nn.functional.cross_entropy(value, torch.tensor(twin.y, dtype=torch.int64))
    loss.backward()
    assert loss.item() == pytest.approx(twin.loss, rel=1e-12)
    np.testing.assert_allclose(twin.logits, value.detach().numpy(), atol=1e-12)
    gradient, bias_gradient = kernel_gradients(network, batch)
    store = network.store
    of_torch = slot_values(store, [w.grad.numpy().reshape(w.shape[0], -1).T for w in weights])
    for m, w in enumerate(weights):
        np.testing.assert_allclose(twin.weight_gradients[m], w.grad.numpy().reshape(w.shape[0], -1).T, atol=1e-12)
        rows = slice(store.matrices.slot_start[m], store.matrices.slot_start[m + 1])
        assert relative_error(gradient[rows], of_torch[rows]) < 1e-5
    assert relative_error(bias_gradient, np.concatenate([b.grad.numpy() for b in biases])) < 1e-5


def test_pooling_gives_an_error_to_one_of_equal_values():
    """Of a window of zeros that a rectifier made, nobody has an error; of equal values the first in reading order has it, as in PyTorch."""
    topology = Topology.convolutional((1, 4, 4), [_conv(1, 1), Pool("max", 2, 2), 3, 2], ("leaky_relu", "tanh"), bias=True)
    store = SynapseStore.random(convolutional_plan(topology, topology.n_positions, n_moments=1), 3)
    network = Convolutional(store, topology, 1)
    batch = Batch(np.full((1, 16), 16, np.uint8), np.zeros(1, np.int32), np.zeros(1, np.int64), SCALE, 1)
    gradient, _ = kernel_gradients(network, batch)
    twin = twin_of(network, batch)
    assert relative_error(gradient, slot_values(store, twin.weight_gradients)) < 1e-5


def test_dense_gradients_are_those_of_all_positions():
    network = make_network("strides", density=0.3)
    batch = make_images(network.topology)
    twin = twin_of(network, batch)
    kernel_gradients(network, batch)
    for g, segment in enumerate(network.store.plan.segments):
        gradient, n_rows, n_walks = network.dense_gradient(g, N_SAMPLES)
        exact = twin.weight_gradients[segment.matrix]
        assert relative_error(gradient.reshape(exact.T.shape), exact.T) < 1e-5
        assert n_walks == N_SAMPLES
        if segment.matrix == 0:
            patches = twin.patches[0][0]
            assert n_rows == np.count_nonzero(patches)


@pytest.mark.parametrize("name", ["padded, pooled with padding", "strides"])
def test_evaluation_counts_values_that_are_read_and_not_zero(name):
    network = make_network(name)
    batch = make_images(network.topology)
    twin = Twin(network.topology, weights_of(network), network.biases, batch.data * np.float64(SCALE), batch.labels)
    found = network.evaluate(batch.data, batch.labels, SCALE).n_nonzero
    start = 0
    for m, (n_pre, _) in enumerate(network.topology.shapes):
        values = twin.patches[m][0] if m in twin.patches else twin.inputs[m].reshape(N_SAMPLES, -1)[:, :, None]
        if network.topology.populations[1].cell == "relu" or m == 0:
            np.testing.assert_array_equal(found[start : start + n_pre], np.count_nonzero(values, axis=(0, 2)))
        start += n_pre
