"""An epoch of a spiking network beside snnTorch and beside a loop in PyTorch: same shape, same data, same threads, one run.

    python -m benchmarks.compare_spiking --threads 1 --repetitions 3

Recurrent 40-128-10, 43 steps, back-propagation through time, Adam. Ours at 10 % of the connections with DEEP R and dense; the others dense.
Contestants take turns; a figure is the median over the rounds of theirs divided by ours.
"""

import argparse
import time
from statistics import median

import numpy as np

from neurosim.kernels.train import Counting
from neurosim.networks import Spiking, Topology
from neurosim.nn.spiking import SpikingNetwork, spiking_plan
from neurosim.synapses import SynapseStore
from neurosim.training.loop import new_progress

N_INPUTS, N_UNITS, N_CLASSES, N_STEPS = 40, 128, 10, 43


class Data:
    """Spike trains of 27 %, as many per band and step as the spoken digits have."""

    def __init__(self, n, seed=0):
        draws = np.random.default_rng(seed)
        self.n_steps, self.n_train, self.scale, self.lengths_train = N_STEPS, n, 1.0, None
        self.x_train = (draws.random((n, N_STEPS * N_INPUTS)) < 0.27).astype(np.uint8)
        self.y_train = draws.integers(0, N_CLASSES, n).astype(np.int32)


def make_ours(data, batch_size, fraction):
    """A function that trains an epoch of ours."""
    from neurosim.kernels.train import StepRule

    topology = Topology.spikes(Spiking(v_th=1.0), N_INPUTS, (N_UNITS,), N_CLASSES, N_STEPS)
    store = SynapseStore.random(spiking_plan(topology, [max(1, round(fraction * n)) for n in topology.n_positions], n_moments=2), 1)
    network, f = SpikingNetwork(store, topology, batch_size), np.float32
    is_sparse = fraction < 1
    rule = StepRule(
        f(0.005), f(1e-4 * is_sparse), f(0), f(1e-12), 1 if is_sparse else 2**62, np.uint64(1), np.uint64(2),
        f(0.9), f(0.999), f(1e-8), has_free_signs=not is_sparse,
    )  # fmt: skip
    state = {"step": 0}

    def epoch():
        batch = network.make_batch(data, np.random.default_rng(state["step"]).permutation(data.n_train))
        n = -(-data.n_train // batch_size)
        network.train(batch, rule, Counting(True, 0, False, 2**62), new_progress(), state["step"], n, 0)
        state["step"] += n

    return epoch


def make_theirs(kind, data, batch_size):
    """A function that trains an epoch of a peer."""
    import torch

    from benchmarks.peers import torch_spiking

    model = getattr(torch_spiking, kind)(N_INPUTS, N_UNITS, N_CLASSES, float(np.exp(-1 / 20)), 1.0)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.005)
    x, y = torch.from_numpy(data.x_train.reshape(-1, N_STEPS, N_INPUTS)).float(), torch.from_numpy(data.y_train).long()
    return lambda: torch_spiking.train_epoch(model, optimizer, x, y, batch_size)


def measure(contestants, n_rounds):
    """Seconds of an epoch of each: dict of lists."""
    for epoch in contestants.values():
        epoch()
    seconds = {name: [] for name in contestants}
    for _ in range(n_rounds):
        for name, epoch in contestants.items():
            begin = time.perf_counter()
            epoch()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--samples", type=int, default=1280)
    options = parser.parse_args()
    import numba
    import torch

    torch.set_num_threads(options.threads)
    numba.set_num_threads(options.threads)
    data = Data(options.samples)
    for batch_size in (32, 128):
        contestants = {"ours at 10 %": make_ours(data, batch_size, 0.1), "ours dense": make_ours(data, batch_size, 1.0)}
        contestants |= {"snnTorch": make_theirs("SnnTorch", data, batch_size), "loop in PyTorch": make_theirs("Loop", data, batch_size)}
        seconds = measure(contestants, options.repetitions)
        print(f"batch {batch_size}, {options.threads} threads, {options.samples} samples, median of {options.repetitions} rounds")
        for name, values in seconds.items():
            print(f"  {name:16s} {median(values):8.3f} s an epoch")
        for name, peer in (("ours at 10 %", "snnTorch"), ("ours dense", "snnTorch"), ("ours dense", "loop in PyTorch")):
            figures = [theirs / own for theirs, own in zip(seconds[peer], seconds[name], strict=True)]
            print(f"  {name} against {peer}: {median(figures):.1f} x ({min(figures):.1f} to {max(figures):.1f})")


if __name__ == "__main__":
    main()
