"""Evidence: cues come from the left or from the right, and after a pause the network says of which there were more.

Bellec et al. 2020, Nat. Commun. 11:3625 (task of Morcos and Harvey 2016): four groups of inputs fire for cues from the left, cues from
the right and the recall, and always as noise.
"""

from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError

from .dataset import DataShape, Samples
from .info import DatasetInfo
from .made import Draws, task_of


@dataclass(frozen=True)
class CueTask:
    """Numbers of the task; one step is 1 ms where nobody says otherwise.

    Attributes
    ----------
    cues : int
        Cues of a sample, an odd number.
    cue, gap : int
        Steps of a cue, and of the silence before each.
    delay, recall : int
        Steps between the last cue and the recall, and of the recall, with which a sample ends.
    group : int
        Inputs of each of the four groups.
    rate : float
        Probability of a spike of an input of a group that fires, per step.
    noise : float
        The same of the inputs of noise, always.
    bias : float
        Probability that a cue is of the side which is the likelier one in a sample.
    train, test : int
        Samples.
    seed : int
    """

    cues: int = 7
    cue: int = 100
    gap: int = 50
    delay: int = 1050
    recall: int = 150
    group: int = 10
    rate: float = 0.04
    noise: float = 0.01
    bias: float = 0.7
    train: int = 400
    test: int = 100
    seed: int = 0

    @property
    def steps(self):
        """Steps of a sample."""
        return self.cues * (self.cue + self.gap) + self.delay + self.recall

    @property
    def shape(self):
        """Its `DataShape`."""
        return DataShape(4 * self.group, self.steps, 2, is_spikes=True)

    def samples(self):
        """Its `Samples`: x uint8, shape (n_samples, steps, 4 * group); class 0 is left, 1 right."""
        arrays = {}
        for number, (part, n) in enumerate((("train", self.train), ("test", self.test))):
            draws = Draws(self.seed, number)
            is_right = draws.uniform(n, self.cues) < np.where(draws.uniform(n, 1) < 0.5, self.bias, 1 - self.bias)
            x = np.empty((n, self.steps, 4 * self.group), np.uint8)
            for row, sides in zip(x, is_right, strict=True):
                row[:] = draws.uniform(*row.shape) < self._chances(sides)
            arrays |= {f"x_{part}": x, f"y_{part}": (2 * is_right.sum(axis=1) > self.cues).astype(np.int64)}
        source = f"{self.cues} cues, seed {self.seed}"
        return Samples(arrays, dict.fromkeys(arrays, "cue_accumulation"), source, n_classes=2, n_steps=self.steps, is_spikes=True)

    def _chances(self, is_right):
        """Probability of a spike in each step of one sample: float64, shape (steps, 4 * group)."""
        chance = np.zeros((self.steps, 4, self.group))
        for cue, right in enumerate(is_right):
            first = cue * (self.gap + self.cue) + self.gap
            chance[first : first + self.cue, int(right)] = self.rate
        chance[self.steps - self.recall :, 2] = self.rate
        chance[:, 3] = self.noise
        return chance.reshape(self.steps, -1)


_checked = task_of(
    CueTask,
    {
        "cues": (1, 99),
        "cue": (1, 10_000),
        "gap": (0, 10_000),
        "delay": (0, 10_000),
        "recall": (1, 10_000),
        "group": (1, 10_000),
        "rate": (0.0, 1.0),
        "noise": (0.0, 1.0),
        "bias": (0.5, 1.0),
        "train": (2, 100_000),
        "test": (1, 100_000),
        "seed": (0, 2**63 - 1),
    },
)


def _make(name, items):
    task = _checked(name, items)
    if task.cues % 2 == 0:
        raise InputError(f"dataset.task.cues: found {task.cues}; expected an odd number, so that there are more of one side")
    return task


CUE_ACCUMULATION = DatasetInfo(
    name="cue_accumulation",
    n_features=CueTask().steps * 4 * CueTask.group,
    n_classes=2,
    image_shape=(CueTask().steps, 4 * CueTask.group),
    scale=1.0,
    summary="cues from two sides, counted over a pause (Bellec et al. 2020); made, numbers in dataset.task",
    how_to_get="made when it is used",
    n_steps=CueTask().steps,
    read=lambda info, reading: _make(info.name, reading.task).samples(),
    make_task=_make,
)
