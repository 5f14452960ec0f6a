"""Rows 1 to 3: epochs of MNIST at 784-300-100-10, ours with DEEP R against PyTorch.

Every contestant trains on: after the last round all have done the same number of epochs, and
what they reached then stands in the notes.
"""

from functools import partial

import torch

from benchmarks.networks import ONLINE_RULE, ONLINE_SCHEDULE, Epochs
from benchmarks.peers import torch_dense, torch_masked
from benchmarks.peers.timing import interleave, on_torch_threads
from benchmarks.row import ratio_row
from neurosim.datasets import load_dataset

N_THREADS = (1, 2)
DENSE_LEARNING_RATE = 0.5  # at batch 128


class TorchEpochs:
    """Epochs of one peer program; a call is one epoch (or `n_samples` of it), in a new random order."""

    def __init__(self, module, data, batch_size, n_threads, rate, *, state=None, n_samples=None, **form):
        self.module, self.data, self.batch_size, self.rate, self.form = module, data, batch_size, rate, form
        self.state, self.epoch = state or module.make_state(), 0
        self.n_samples = n_samples
        self.generator = torch.Generator().manual_seed(5)
        self.run = on_torch_threads(n_threads, self._train)

    def __call__(self):
        self.run()

    def _train(self):
        x, y = self.data[:2]
        order = torch.randperm(len(x), generator=self.generator)[: self.n_samples]
        self.module.train_epoch(self.state, x, y, order, self.batch_size, self.rate(self.epoch), **self.form)
        self.epoch += 1

    def accuracy(self):
        """Share of the test samples that are classified correctly."""
        return self.module.accuracy(self.state, *self.data[2:])


def run(settings):
    """Measure; returns list of Row."""
    dataset = load_dataset("mnist", data_dir=settings.data_dir, limit=6000 if settings.is_quick else None)
    data = torch_dense.to_tensors(dataset)
    return _batch_10(dataset, data, settings) + _batch_128(dataset, data, settings)


def _batch_10(dataset, data, settings):
    ours, gathered = "neurosim, DEEP R", "torch masked gathered"
    best, form = _best_masked(data, 10, "gathered")
    contestants = {ours: Epochs(dataset, 10), f"{gathered}, {best}": form}
    comparison = interleave(contestants, settings.repetitions)
    row = ratio_row(
        comparison, "mnist_batch10", "1", "MNIST epoch, batch 10, DEEP R each step", ours, [f"{gathered}, {best}"],
        bar=40.0, notes=_accuracies(contestants),
    )  # fmt: skip
    row.notes.append(f"{contestants[ours].n_rewired()} synapses rewired by ours")
    best, whole = _best_masked(data, 10, "whole")
    once = interleave({ours: contestants[ours], f"torch masked whole, {best}": whole}, 1, warmup=0)
    more = ratio_row(once, "mnist_batch10_whole", "1", "same, peer on whole tensors (once)", ours, [f"torch masked whole, {best}"])
    return [row, more]


def _batch_128(dataset, data, settings):
    batch, online = "neurosim, DEEP R, batch 128", "neurosim, DEEP R, batch 1"
    contestants = {
        batch: Epochs(dataset, 128),
        online: Epochs(dataset, 1, rule=ONLINE_RULE, schedule=ONLINE_SCHEDULE),
    }
    dense = {
        f"torch dense {form}, threads {n}": TorchEpochs(torch_dense, data, 128, n, lambda epoch: DENSE_LEARNING_RATE, form=form)
        for form in torch_dense.STEPS
        for n in N_THREADS
    }
    best, form = _best_masked(data, 128, "gathered")
    masked = {f"torch masked gathered, {best}": form}
    contestants |= dense | masked
    comparison = interleave(contestants, settings.repetitions)
    notes = _accuracies(contestants)
    row2 = ratio_row(
        comparison, "mnist_batch128", "2", "MNIST epoch, batch 128; peer dense, no rewiring", batch, list(dense),
        bar=6.0, notes=notes,
    )  # fmt: skip
    same = ratio_row(comparison, "mnist_batch128_masked", "2", "same, peer with DEEP R", batch, list(masked))
    # 0.7 s where the dense peer takes 0.5 s.
    row3 = ratio_row(
        comparison, "mnist_batch1", "3", "MNIST epoch, batch 1, rewiring every 10; peer dense at 128", online,
        list(dense), bar=round(0.5 / 0.7, 3),
    )  # fmt: skip
    row3.notes.append(f"{row3.ours:.2f} s where the peer takes {row3.peer:.2f} s; the bar is 0.7 s where it takes 0.5 s")
    return [row2, same, row3]


def _best_masked(data, batch_size, form):
    """The fastest of both gradients and thread counts over some steps: (name, new program)."""
    programs = {
        f"{gradients}, threads {n}": partial(
            TorchEpochs, torch_masked, data, batch_size, n, torch_masked.learning_rate, form=form, gradients=gradients
        )
        for gradients in torch_masked.GRADIENTS
        for n in N_THREADS
    }
    medians = interleave({name: make(n_samples=100 * batch_size) for name, make in programs.items()}, 5).medians
    best = min(medians, key=medians.get)
    return best, programs[best]()


def _accuracies(contestants):
    n_epochs = next(iter(contestants.values())).trainer.epoch
    return [f"test accuracy after {n_epochs} epochs:"] + [f"  {program.accuracy():.4f} {name}" for name, program in contestants.items()]
