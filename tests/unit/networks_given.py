"""Networks for the tests of interchange: random, sparse, of every kind that a run can give."""

import numpy as np

from neurosim.networks import Spiking
from neurosim.results.network import TrainedNetwork, WeightMatrix

SUMS = {"lstm": 4, "rnn": 1}


def sparse_weights(rng, shape, density, ends=(0, 1), name="matrix"):
    """A `WeightMatrix` with one connection of weight 0 and one of -0.0 among them."""
    pre, post = np.nonzero(rng.random(shape) < density)
    weight = rng.normal(size=pre.size).astype(np.float32)
    weight[:2] = 0.0, -0.0
    return WeightMatrix.of(name, ends, shape, (pre, post, weight), ends[0] == ends[1])


def make_perceptron(seed=0, sizes=(64, 30, 20, 10), cells=("tanh", "leaky_relu"), biases=(1, 3), density=0.2, **about):
    rng, n = np.random.default_rng(seed), len(sizes) - 1
    matrices = tuple(sparse_weights(rng, sizes[i : i + 2], density, (i, i + 1), f"layer {i} to layer {i + 1}") for i in range(n))
    return TrainedNetwork(
        type="mlp",
        populations=("inputs", *(f"hidden {i}" for i in range(1, n)), "outputs"),
        matrices=matrices,
        biases={p: rng.normal(size=sizes[p]).astype(np.float32) for p in biases},
        activation=cells,
        **{"scale": 0.0625} | about,
    )


def make_convolutional(
    seed=0,
    shape=(2, 9, 8),
    layers=((6, 3, 1, 1), (5, 3, 2, 0)),
    pools=(("max", 2, 2, 0), None),
    dense=(12, 4),
    biases=(1, 3),
    cells=None,
    density=0.5,
    **about,
):
    """Convolutions (maps, kernel, stride, padding) with pools (kind, window, stride, padding) or None behind them, then dense layers."""
    rng, sizes, matrices, kernels = np.random.default_rng(seed), shape, [], []
    names = ["inputs", *(f"conv {i}" for i in range(1, len(layers) + 1)), *(f"hidden {len(layers) + i}" for i in range(1, len(dense))), "outputs"]
    for i, ((n, *window), pool) in enumerate(zip(layers, pools, strict=True)):
        kernels.append(dict(zip(("kernel", "stride", "padding"), window, strict=True)))
        matrices.append(sparse_weights(rng, (sizes[0] * window[0] ** 2, n), density, (i, i + 1), f"{names[i]} to {names[i + 1]}"))
        for size, stride, padding in filter(None, (window, pool and pool[1:])):
            sizes = (n, *((side + 2 * padding - size) // stride + 1 for side in sizes[1:]))
    n = int(np.prod(sizes))
    for i, m in enumerate(dense, len(layers)):
        matrices.append(sparse_weights(rng, (n, m), density, (i, i + 1), f"{names[i]} to {names[i + 1]}"))
        kernels, n = [*kernels, None], m
    found = [pool and dict(zip(("kind", "window", "stride", "padding"), pool, strict=True)) for pool in pools] + [None] * (len(dense) - 1)
    return TrainedNetwork(
        type="conv", populations=tuple(names), matrices=tuple(matrices), activation=cells or "relu",
        biases={p: rng.normal(size=matrices[p - 1].weight.shape[1]).astype(np.float32) for p in biases},
        maps={"input_shape": list(shape), "kernels": kernels, "pools": found}, **{"scale": 0.0625} | about,
    )  # fmt: skip


def make_recurrent(kind="lstm", readout="last", units=(7, 5), seed=0, n_inputs=6, n_classes=4, n_steps=9, **about):
    rng, matrices, biases, n = np.random.default_rng(seed), [], {}, n_inputs
    for i, u in enumerate(units, 1):
        for ends, shape in (((i - 1, i), (n, u * SUMS[kind])), ((i, i), (u, u * SUMS[kind]))):
            matrices.append(sparse_weights(rng, shape, 0.5, ends, f"{ends}"))
        biases[i], n = rng.normal(size=u * SUMS[kind]).astype(np.float32), u
    last = len(units) + 1
    matrices.append(sparse_weights(rng, (n, n_classes), 0.8, (last - 1, last), "outputs"))
    biases[last] = rng.normal(size=n_classes).astype(np.float32)
    names = ("inputs", *(f"{kind} {i}" for i in range(1, last)), "outputs")
    return TrainedNetwork(kind, names, tuple(matrices), biases, readout=readout, n_steps=n_steps, **{"scale": 1.0} | about)


def same_connections(one, other):
    """Whether two networks have the same connections with the same weights, bit by bit."""
    return len(one.matrices) == len(other.matrices) and all(
        a.weight.shape == b.weight.shape
        and np.array_equal(a.weight.indptr, b.weight.indptr)
        and np.array_equal(a.weight.indices, b.weight.indices)
        and np.array_equal(a.weight.data.view(np.uint32), b.weight.data.view(np.uint32))
        for a, b in zip(one.matrices, other.matrices, strict=True)
    )


def make_spiking(seed=0, units=(20, 15), loops=True, n_inputs=30, n_classes=5, n_steps=40, **dynamics):
    """A network of leaky integrate-and-fire neurons; `dynamics` are those of `Spiking`."""
    rng, matrices, n = np.random.default_rng(seed), [], n_inputs
    kind = "alif" if dynamics.get("adaptive") else "lif"
    for i, u in enumerate(units, 1):
        matrices.append(sparse_weights(rng, (n, u), 0.3, (i - 1, i), f"into {i}"))
        if loops:
            pre, post = np.nonzero((rng.random((u, u)) < 0.2) & ~np.eye(u, dtype=bool))
            matrices.append(WeightMatrix.of(f"of {i}", (i, i), (u, u), (pre, post, 0.3 * rng.normal(size=pre.size)), True))
        n = u
    last = len(units) + 1
    matrices.append(sparse_weights(rng, (n, n_classes), 0.8, (last - 1, last), "outputs"))
    spiking = Spiking(**dynamics)
    return TrainedNetwork(
        kind,
        ("inputs", *(f"{kind} {i}" for i in range(1, last)), "outputs"),
        tuple(matrices),
        {last: rng.normal(size=n_classes).astype(np.float32)},
        readout=spiking.readout,
        n_steps=n_steps,
        scale=1.0,
        spiking=spiking,
    )
