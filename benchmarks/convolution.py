"""Time of sparse convolutions beside dense ones of PyTorch: forward, backward and gradient of one layer, one thread each, in pairs.

    python benchmarks/convolution.py [--batch 64] [--pairs 15] [--json FILE]

Needs PyTorch, whose dense convolution (MKL-DNN) is what people would run instead. Both sides see the same weights and maps, and outputs are
compared before anything is timed. A pair is one call of each, one after the other; the figure is the median of the ratios.
"""

import argparse
import json
import statistics
import time

import numba
import numpy as np

from neurosim.kernels.compile import kernel
from neurosim.kernels.convolutional import _widen, convolve, convolve_back, convolve_gradient, prepare_order
from neurosim.networks import Convolution, Convolve, Topology
from neurosim.nn.convolutional import N_LANES, Convolutional, convolutional_plan
from neurosim.synapses import SynapseStore

#: Name, input maps, output maps, kernel, places in a row, density, least ratio that is claimed.
LAYERS = (
    ("64 to 64, 5 x 5, 12 x 12", 64, 64, 5, 12, 0.01, 10.0),
    ("64 to 64, 5 x 5, 12 x 12", 64, 64, 5, 12, 0.05, 5.0),
    ("64 to 64, 5 x 5, 12 x 12", 64, 64, 5, 12, 0.30, 1.0),
    ("64 to 64, 5 x 5, 12 x 12", 64, 64, 5, 12, 1.00, 0.7),
    ("3 to 64, 5 x 5, 24 x 24", 3, 64, 5, 24, 1.00, 1.2),
)


@kernel
def _forward(shape, tiles, m, biases, lanes):
    for t in range(tiles.act.shape[0]):
        convolve(shape, tiles, m, biases, tiles.act[t], lanes)


@kernel
def _back(shape, tiles, m, gradient, lanes, has_back):
    for t in range(tiles.act.shape[0]):
        convolve_gradient(shape, tiles, m, tiles.act[t], tiles.err[t], tiles.sums[0], gradient, lanes)
        if has_back:
            _widen(shape, m, tiles.err[t], tiles.wide[t], lanes)
            convolve_back(shape, tiles, m, tiles.wide[t], tiles.err[t], shape.pooled_row[m - 1], lanes)


def _ours(n_pre, n_post, kernel_size, width, density, batch, has_back):
    """A network whose layer of interest is the first, or the second behind one of 1 x 1, which has a way back."""
    layer = Convolve(n_post, Convolution(kernel_size, 1, kernel_size // 2))
    layers = (Convolve(n_pre, Convolution(1)), layer, 10) if has_back else (layer, 10)
    topology = Topology.convolutional((1 if has_back else n_pre, width, width), layers)
    n_active = [round(n * density) if i == has_back else max(1, n // 20) for i, n in enumerate(topology.n_positions)]
    store = SynapseStore.random(convolutional_plan(topology, n_active), 1)
    return Convolutional(store, topology, batch)


def _time(call):
    begin = time.process_time()
    call()
    return time.process_time() - begin


def measure(n_pre, n_post, kernel_size, width, density, batch, n_pairs):
    """Medians over pairs: ratio (dense PyTorch / ours), seconds of both, largest relative difference of the outputs."""
    import torch

    torch.set_num_threads(1)
    has_back = n_pre > 3
    network, lanes, rng = _ours(n_pre, n_post, kernel_size, width, density, batch, has_back), (0,) * N_LANES, np.random.default_rng(0)
    m, shape, tiles, store = int(has_back), network._shape, network._tiles, network.store
    prepare_order(store.slots, store.matrices, shape, tiles, lanes)
    x, d = (rng.normal(size=(batch, n, width, width)).astype(np.float32) for n in (n_pre, n_post))
    p = kernel_size // 2
    padded = np.zeros((batch, n_pre, width + 2 * p, width + 2 * p), np.float32)
    padded[:, :, p : p + width, p : p + width] = x

    def rows_of(array, first, values):
        values = values.reshape(len(array), N_LANES, -1).transpose(0, 2, 1)
        array.reshape(len(array), -1, N_LANES)[:, first : first + values.shape[1]] = values

    rows_of(tiles.act, shape.x_row[m], padded)
    rows_of(tiles.err, shape.z_row[m], d)
    gradient, biases = np.zeros(store.n_slots, np.float32), np.zeros(0, np.float32)

    def forward():
        _forward(shape, tiles, m, biases, lanes)

    def back():
        _back(shape, tiles, m, gradient, lanes, has_back)

    weight = store.dense(m).T.reshape(n_post, n_pre, kernel_size, kernel_size).copy()
    torch_x, torch_w = torch.tensor(x, requires_grad=has_back), torch.tensor(weight, requires_grad=True)
    torch_d = torch.tensor(d)
    wanted = [torch_x, torch_w] if has_back else [torch_w]
    out = torch.nn.functional.conv2d(torch_x, torch_w, padding=p)

    def torch_forward():
        with torch.no_grad():
            torch.nn.functional.conv2d(torch_x, torch_w, padding=p)

    def torch_back():
        return torch.autograd.grad(out, wanted, torch_d, retain_graph=True)

    forward(), back()
    own = tiles.act.reshape(len(tiles.act), -1, N_LANES)[:, shape.z_row[m] : shape.z_row[m] + n_post * width**2]
    own = own.transpose(0, 2, 1).reshape(out.shape)
    rows = slice(store.matrices.slot_start[m], store.matrices.slot_start[m + 1])
    their_gradient = torch_back()[-1].numpy().reshape(n_post, -1)[store.slots.post[rows], store.slots.pre[rows]]
    worst = max(_difference(own, out.detach().numpy()), _difference(gradient[rows], their_gradient))
    ratios = {"forward": [], "backward": [], "all": []}
    seconds = {name: [] for name in ("ours forward", "ours backward", "dense forward", "dense backward")}
    for _ in range(n_pairs):
        a, b, c, e = _time(forward), _time(torch_forward), _time(back), _time(torch_back)
        for name, value in zip(seconds, (a, c, b, e), strict=True):
            seconds[name].append(value)
        for name, value in zip(ratios, (b / a, e / c, (b + e) / (a + c)), strict=True):
            ratios[name].append(value)
    n_products = batch * sum(float(u) for u in network.topology.uses[m][store.slots.pre[rows]])
    return {
        **{f"{name} ratio": statistics.median(values) for name, values in ratios.items()},
        **{f"{name}_ms": 1e3 * statistics.median(values) for name, values in seconds.items()},
        "forward GFLOP/s": 2e-9 * n_products / statistics.median(seconds["ours forward"]),
        "backward GFLOP/s": 2e-9 * n_products * (1 + has_back) / statistics.median(seconds["ours backward"]),
        "difference": worst,
    }


def _difference(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--pairs", type=int, default=15)
    parser.add_argument("--json", help="write the figures to this file")
    options = parser.parse_args()
    numba.set_num_threads(1)
    rows = []
    for name, *sizes, density, claimed in LAYERS:
        found = measure(*sizes, density, options.batch, options.pairs)
        rows.append({"layer": name, "density": density, "claimed": claimed, **found})
        print(
            f"{name}, {density:.0%}: dense PyTorch takes {found['all ratio']:.2f} x as long (forward {found['forward ratio']:.2f}, backward and "
            f"gradient {found['backward ratio']:.2f}); {found['forward GFLOP/s']:.1f} and {found['backward GFLOP/s']:.1f} GFLOP/s; claimed "
            f"{claimed:g}; outputs differ by {found['difference']:.1e}",
            flush=True,
        )
    if options.json:
        with open(options.json, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
