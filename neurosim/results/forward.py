"""Forward passes of trained networks in NumPy and SciPy: float32, as the simulator computes, in another order of sums.

A cell is found by its name: in `neurosim.networks.MODELS` for perceptrons, in `CELLS` for recurrent layers.
"""

from typing import Any

import numpy as np
from scipy import sparse

from neurosim.networks import MODELS

#: Samples that are computed at once.
_CHUNK = 1024
#: The same of networks with maps, whose windows are copied.
_MAP_CHUNK = 32


def _sigmoid(z):
    e = np.exp(-np.abs(z))
    return np.where(z >= 0, np.float32(1), e) / (np.float32(1) + e)


def _lstm(z, cell):
    """h and c of a step from gate sums i, f, g, o of each unit, side by side."""
    i, f, g, o = (z[:, k::4] for k in range(4))
    cell = _sigmoid(f) * cell + _sigmoid(i) * np.tanh(g)
    return _sigmoid(o) * np.tanh(cell), cell


def _rnn(z, cell):
    return np.tanh(z), cell


#: Sums of a unit, and ``step(sums, c) -> (h, c)``.
CELLS = {"lstm": (4, _lstm), "rnn": (1, _rnn)}


def feedforward(network, x):
    """Sums of the outputs of a perceptron: float32, shape (n_samples, n_classes).

    Parameters
    ----------
    network : TrainedNetwork
    x : float32 array or sparse array, shape (n_samples, n_features)
        As the network takes them.
    """
    outputs: list[Any] = [MODELS[name].output for name in network.cells]
    parts = []
    for start in range(0, max(1, x.shape[0]), _CHUNK):
        value = x[start : start + _CHUNK]
        for i, matrix in enumerate(network.matrices):
            value = _times(outputs[i - 1](value) if i else value, matrix.weight) + network.biases.get(matrix.post, np.float32(0))
        parts.append(value)
    return np.concatenate(parts)


def convolutional(network, x):
    """As `feedforward`, of a network with maps: dense float32 samples, maps in the order of `network.maps`."""
    outputs: list[Any] = [MODELS[name].output for name in network.cells]
    shape = network.maps["input_shape"]
    parts = []
    for start in range(0, max(1, len(x)), _MAP_CHUNK):
        value = x[start : start + _MAP_CHUNK].reshape(-1, *shape)
        for i, matrix in enumerate(network.matrices):
            if i:
                value = _pool(outputs[i - 1](value), network.maps["pools"][i - 1])
            bias, kernel = network.biases.get(matrix.post, np.float32(0)), network.maps["kernels"][i]
            if kernel is None:
                value = _times(value.reshape(len(value), -1), matrix.weight) + bias
            else:
                value = _convolve(value, matrix.weight, kernel) + np.reshape(bias, (-1, 1, 1))
        parts.append(value)
    return np.concatenate(parts)


def _convolve(value, weight, kernel):
    """Sums of maps: float32 (n, maps, rows, columns), from such maps and weights of (input map, row, column) rows."""
    size, stride, padding = kernel["kernel"], kernel["stride"], kernel["padding"]
    padded = np.pad(value, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    n, _, rows, columns = windows.shape[:4]
    # Dense: kernels are small, and a sparse product of so many columns takes ten times as long.
    sums = weight.T.toarray() @ windows.transpose(1, 4, 5, 0, 2, 3).reshape(weight.shape[0], -1)
    return sums.reshape(-1, n, rows, columns).transpose(1, 0, 2, 3)


def _pool(value, pool):
    """Largest value or mean of each window; as they are without pooling."""
    if pool is None:
        return value
    size, stride, padding = pool["window"], pool["stride"], pool["padding"]
    border = -np.inf if pool["kind"] == "max" else 0
    padded = np.pad(value, ((0, 0), (0, 0), (padding, padding), (padding, padding)), constant_values=border)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), axis=(2, 3))[:, :, ::stride, ::stride]
    return windows.max(axis=(4, 5)) if pool["kind"] == "max" else windows.sum(axis=(4, 5)) * np.float32(1 / size**2)


def recurrent(network, x, lengths):
    """Sums of the outputs of a recurrent network: float32, shape (n_samples, n_classes); of a spiking one what its last loss is of, or the mean.

    Parameters
    ----------
    network : TrainedNetwork
    x : float32 array, shape (n_samples, n_steps * n_inputs)
        A sequence stands at the end of its row.
    lengths : int array, shape (n_samples,)
    """
    parts = []
    for start in range(0, max(1, len(x)), _CHUNK):
        here = slice(start, start + _CHUNK)
        sums = _sequences if network.spiking is None else _spikes
        parts.append(sums(network, x[here].reshape(-1, network.n_steps, network.n_inputs), lengths[here]))
    return np.concatenate(parts)


def _sequences(network, x, lengths):
    n_sums, step = CELLS[network.type]
    layers = [(network.matrices[i], network.matrices[i + 1]) for i in range(0, len(network.matrices) - 1, 2)]
    states = [[np.zeros((len(x), own.weight.shape[0]), np.float32) for _ in range(2)] for _, own in layers]
    total = np.zeros_like(states[-1][0])
    for t in range(network.n_steps):
        is_alive = (t >= network.n_steps - lengths)[:, None]
        value = x[:, t]
        for (into, own), state in zip(layers, states, strict=True):
            sums = _times(value, into.weight) + _times(state[0], own.weight) + network.biases.get(into.post, np.float32(0))
            state[:] = (np.where(is_alive, new, np.float32(0)) for new in step(sums, state[1]))
            value = state[0]
        total += value
    if network.readout == "mean":
        value = total / lengths[:, None].astype(np.float32)
    last = network.matrices[-1]
    return _times(value, last.weight) + network.biases.get(last.post, np.float32(0))


def _spikes(network, x, lengths):
    """Leaky integrate-and-fire neurons step by step: a read-out that has a loss, or the mean of several; see `networks.spiking`."""
    spiking = network.spiking
    layers: list[list[Any]] = []
    for matrix in network.matrices[:-1]:
        if matrix.is_recurrent:
            layers[-1][1] = matrix.weight
        else:
            layers.append([matrix.weight, None])
    f32, n = np.float32, len(x)
    alpha, rho, kappa, v_th = (f32(number) for number in (spiking.alpha, spiking.rho, spiking.kappa, spiking.v_th))
    states = [[np.zeros((n, into.shape[1]), f32) for _ in range(4)] for into, _ in layers]
    betas = [(f32(spiking.beta) * spiking.adapts(into.shape[1])).astype(f32) for into, _ in layers]
    last, n_steps = network.matrices[-1], network.n_steps
    bias = network.biases.get(last.post, f32(0))
    y, total = (np.zeros((n, last.weight.shape[1]), f32) for _ in range(2))
    for t in range(n_steps):
        value = x[:, t]
        for (into, own), beta, state in zip(layers, betas, states, strict=True):
            v, a, wait, before = state
            sums = _times(value, into) + (_times(before, own) if own is not None else f32(0))
            v = alpha * v + sums - v_th * before
            a = rho * a + before
            value = ((v - v_th - beta * a > 0) & (wait == 0)).astype(f32)
            state[:] = v, a, np.where(value > 0, f32(spiking.refractory), np.maximum(wait - f32(1), f32(0))), value
        y = kappa * y + _times(value, last.weight) + bias * (t >= n_steps - lengths)[:, None].astype(f32)
        if t >= n_steps - spiking.count_readouts(n_steps):
            total += y
    return total / np.minimum(lengths, spiking.count_readouts(n_steps))[:, None].astype(f32)


def _times(value, weight):
    product = value @ weight
    return product.toarray() if sparse.issparse(product) else product
