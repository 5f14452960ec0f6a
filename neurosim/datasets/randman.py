"""Random manifolds: every class is a smooth random surface, every unit fires once, at a time that the surface gives.

Zenke and Vogels 2021, Neural Comput. 33:899, section "Supervised learning on synthetic manifold data".
"""

from dataclasses import dataclass

import numpy as np

from .dataset import DataShape, Samples
from .info import DatasetInfo
from .made import Draws, task_of

#: Waves of a surface; the largest smoothness leaves the last of them a thousandth.
_WAVES = 32


@dataclass(frozen=True)
class RandmanTask:
    """Numbers of the task.

    Attributes
    ----------
    classes, units, steps : int
    dimension : int
        Of each surface: coordinates that a sample is drawn by.
    smoothness : float
        Exponent alpha by which wave k is weighted with k^-alpha: larger is smoother, and easier.
    train, test : int
        Samples of each class.
    seed : int
        Of the surfaces and of the samples on them.
    """

    classes: int = 10
    units: int = 20
    steps: int = 50
    dimension: int = 1
    smoothness: float = 2.0
    train: int = 200
    test: int = 50
    seed: int = 0

    @property
    def shape(self):
        """Its `DataShape`."""
        return DataShape(self.units, self.steps, self.classes, is_spikes=True)

    def samples(self):
        """Its `Samples`: x uint8, shape (n_samples, steps, units), with one spike of each unit."""
        per_class, parts = self.train + self.test, {"train": [], "test": []}
        for label in range(self.classes):
            steps = np.minimum((self._surface(label, per_class) * self.steps).astype(np.int64), self.steps - 1)
            x = np.zeros((per_class, self.steps, self.units), np.uint8)
            x[np.arange(per_class)[:, None], steps, np.arange(self.units)] = 1
            parts["train"].append(x[: self.train])
            parts["test"].append(x[self.train :])
        arrays = {}
        for number, (part, found) in enumerate(parts.items()):
            y = np.repeat(np.arange(self.classes), len(found[0]))
            order = np.argsort(Draws(self.seed, self.classes, number).uniform(len(y)), kind="stable")
            arrays |= {f"x_{part}": np.concatenate(found)[order], f"y_{part}": y[order]}
        return Samples(
            arrays,
            dict.fromkeys(arrays, "randman"),
            f"random manifolds, seed {self.seed}",
            n_classes=self.classes,
            n_steps=self.steps,
            is_spikes=True,
        )

    def _surface(self, label, n):
        """Points of the surface of a class, each unit's values moved to fill [0, 1]: float64, shape (n, units)."""
        draws = Draws(self.seed, label)
        theta = draws.uniform(3, self.units, self.dimension, _WAVES)
        point = draws.uniform(n, self.dimension)
        k = np.arange(1, _WAVES + 1)
        values = np.ones((n, self.units))
        for axis in range(self.dimension):
            amplitude, frequency, phase = theta[:, :, axis]
            angle = 2 * np.pi * (point[:, axis, None, None] * (k * frequency) + phase)
            values *= (amplitude * k**-self.smoothness * np.sin(angle)).sum(axis=2)
        low, high = values.min(axis=0), values.max(axis=0)
        return (values - low) / np.where(high > low, high - low, 1.0)


_make = task_of(
    RandmanTask,
    {
        "classes": (2, 1000),
        "units": (1, 10_000),
        "steps": (2, 10_000),
        "dimension": (1, 20),
        "smoothness": (0.0, 10.0),
        "train": (1, 100_000),
        "test": (1, 100_000),
        "seed": (0, 2**63 - 1),
    },
)

RANDMAN = DatasetInfo(
    name="randman",
    n_features=RandmanTask.units * RandmanTask.steps,
    n_classes=RandmanTask.classes,
    image_shape=(RandmanTask.steps, RandmanTask.units),
    scale=1.0,
    summary="spikes on smooth random manifolds, one for each class (Zenke and Vogels 2021); made, numbers in dataset.task",
    how_to_get="made when it is used",
    n_steps=RandmanTask.steps,
    read=lambda info, reading: _make(info.name, reading.task).samples(),
    make_task=_make,
)
