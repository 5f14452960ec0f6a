"""Our contestants: networks, data and training, through the package's own Trainer."""

from dataclasses import replace

import numpy as np

from neurosim.datasets.dataset import Dataset
from neurosim.kernels.train import Batch
from neurosim.rewiring.deep_r import DeepR
from neurosim.placement import MERGE_ENTRIES
from neurosim.synapses import SynapseStore, layered_plan
from neurosim.training import Schedule, Trainer, TrainingPlan

MNIST_LAYERS = (784, 300, 100, 10)
MNIST_ACTIVE = (2352, 900, 300)
AUTHORS_RULE = DeepR(l1=1e-5, noise_std=1e-5, theta_born=1e-12)
AUTHORS_SCHEDULE = Schedule("exponential", 0.5, 0.8)
ONLINE_RULE = DeepR(l1=1e-5, noise_std=3e-4, period=10)
ONLINE_SCHEDULE = Schedule("step", 0.05, 0.5, (3, 5, 7))


def make_trainer(layers, n_active, dataset, batch_size, *, rule=AUTHORS_RULE, schedule=AUTHORS_SCHEDULE, **counts):
    """Trainer of a new network on one core; `counts` as in `TrainingPlan`."""
    store = SynapseStore.random(layered_plan(layers, n_active), 0)
    plan = TrainingPlan(0, 10**6, batch_size, schedule, rule, MERGE_ENTRIES, **counts)
    return Trainer(store, dataset, plan)


def make_lenet(dataset, batch_size, **options):
    """Trainer of the network of MNIST."""
    return make_trainer(MNIST_LAYERS, MNIST_ACTIVE, dataset, batch_size, **options)


class Epochs:
    """Epochs on MNIST: what `Trainer.run` does, with an evaluation on 64 samples only.

    A call is one epoch: shuffling, all steps, settling the ledger. `make` : called as ``make(dataset, batch_size, **options)``.
    """

    def __init__(self, dataset, batch_size, make=make_lenet, **options):
        self.dataset = dataset
        little = replace(dataset, x_test=dataset.x_test[:64], y_test=dataset.y_test[:64])
        self.trainer = make(little, batch_size, **options)

    def __call__(self):
        trainer = self.trainer
        trainer.plan = replace(trainer.plan, n_epochs=trainer.epoch + 1)
        trainer.run()

    def accuracy(self):
        """Share of all test samples that are classified correctly."""
        return self.trainer.network.evaluate_on(self.dataset).accuracy

    def n_rewired(self):
        """Synapses that arrived so far."""
        return sum(record.n_arrived for record in self.trainer.history)


class Steps:
    """Some training steps in one compiled call, without the work that an epoch adds.

    A call trains `n_steps` steps, always on the samples of the data set in their order, or, if `is_shuffled`, on those that follow
    in a random order.
    """

    def __init__(self, trainer, n_steps, is_shuffled=False):
        self.trainer, self.n_steps = trainer, n_steps
        data, size = trainer.dataset, trainer.plan.batch_size
        order = np.random.default_rng(0).permutation(data.n_train) if is_shuffled else np.arange(data.n_train)
        self.batch = Batch(data.x_train, data.y_train, order, np.float32(data.scale), size)
        # Where calls begin in that order.
        self.offsets = range(0, data.n_train - n_steps * size + 1, n_steps * size) if is_shuffled else (0,)
        self.step = 0

    def __call__(self):
        trainer = self.trainer
        # The Trainer's own numbers: a benchmark that fills them in anew would drift from it.
        rule, counting = trainer._step_rule(trainer.plan.schedule.rate(0, 1)), trainer._counting()
        offset = self.offsets[self.step // self.n_steps % len(self.offsets)]
        done = trainer.network.train(self.batch, rule, counting, trainer.progress, self.step, self.n_steps, offset)
        if done != self.n_steps or not np.isfinite(trainer.progress.loss[0]):
            raise RuntimeError(f"training diverged after {self.step + done} steps: the timing would mean nothing")
        self.step += done


class Turn:
    """The steps of a trainer that takes turns with itself, under a plan of its own."""

    def __init__(self, steps, **changes):
        self.steps, self.plan = steps, replace(steps.trainer.plan, **changes)

    def __call__(self):
        self.steps.trainer.plan = self.plan
        self.steps()


def random_data(n_features, n_samples, *, n_classes=10, seed=0):
    """Data set of random bytes, a fifth of them not zero as in MNIST, and random labels."""
    rng = np.random.default_rng(seed)
    x = rng.integers(1, 256, (n_samples, n_features), dtype=np.uint8)
    x *= rng.random(x.shape, dtype=np.float32) < 0.2
    y = rng.integers(n_classes, size=n_samples, dtype=np.int32)
    return Dataset("random", x, y, x[:64], y[:64], 1 / 255, n_classes, None, "random bytes", "")


def sparse_layers(n_hidden, n_active):
    """(layers, active synapses) of n-n-n-10 with `n_active` in all, a hundredth of them in the last matrix."""
    last = min(n_active // 100, 10 * n_hidden)
    half = (n_active - last) // 2
    return (n_hidden, n_hidden, n_hidden, 10), (n_active - last - half, half, last)
