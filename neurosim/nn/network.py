"""What every network on a store keeps and does; `Mlp` and `Recurrent` differ in how a sample passes through them."""

from dataclasses import dataclass

import numpy as np

from neurosim.kernels.compile import count_threads
from neurosim.kernels.lanes import NARROW
from neurosim.kernels.train import Biases

#: Samples side by side in an evaluation.
EVALUATION_LANES = 64


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (fraction) and mean loss (nats) over a data set.

    `n_nonzero` : int64, shape (N,), forward walks of its matrix in which each pre neuron counts as not zero; a sample of a feed-forward network
    walks every matrix once.
    """

    accuracy: float
    loss: float
    n_samples: int
    n_nonzero: np.ndarray


def choose_tile(batch_size, is_scattered=False, takes_single=True):
    """How a batch is cut into tiles of side-by-side samples.

    Depends on the network and the batch size alone, so that results do not depend on the number of threads.

    Parameters
    ----------
    batch_size : int
    is_scattered : bool
        Whether most slots belong to matrices without runs (`kernels.order.is_scattered`).
    takes_single : bool
        Whether the network has a pass for one sample alone.

    Returns
    -------
    n_lanes, n_tiles : int
        A batch of 1 is scalar; up to 16 samples fill one narrow tile; larger batches use tiles of 64, or of 32 in a
        scattered network, unless that would leave more than a quarter of the lanes empty.
    """
    if batch_size == 1 and takes_single:
        return 1, 1
    n_lanes = 32 if is_scattered else 64
    if batch_size < 0.75 * n_lanes * -(-batch_size // n_lanes):
        n_lanes = 16
    return n_lanes, -(-batch_size // n_lanes)


class Network:
    """Weights in a `SynapseStore`, biases beside it, and compiled steps over both.

    Parameters
    ----------
    store : SynapseStore
    batch_size : int
        Samples per training step.
    n_lanes, n_tiles : int
        Of a training step (`choose_tile`).
    first_biases : float32 array, shape (n_biases,)
        Biases at the start, population by population; empty for a network without biases.
    clip : float, optional
        Largest norm of a batch's gradient, over all weights and biases; no clipping without it (Pascanu, Mikolov and Bengio 2013).

    Attributes
    ----------
    biases : float32 array, shape (n_biases,)
    """

    def __init__(self, store, batch_size, n_lanes, n_tiles, first_biases, clip=None):
        self.store, self.batch_size, self.n_lanes = store, batch_size, n_lanes
        self.clip = np.float32(np.inf if clip is None else clip)
        n = first_biases.size
        self._biases = Biases(
            value=np.array(first_biases, np.float32),
            moments=np.zeros((store.plan.n_moments, n), np.float32),
            active=np.ones(n, np.uint8),
            gradient=np.zeros(n, np.float32),
            of_tile=np.zeros((n_tiles, n), np.float32),
        )
        if n_lanes > NARROW:
            store.sort()

    @property
    def biases(self):
        return self._biases.value

    def state(self):
        """Arrays that a checkpoint needs beside the store."""
        return {"biases": self._biases.value, "bias_moments": self._biases.moments} if self.biases.size else {}

    def train(self, batch, rule, counting, progress, first_step, n_steps, offset):
        """Run training steps in one compiled call; see `kernels.train`.

        Returns the number of steps done, less than `n_steps` only after a loss that is not finite.
        """
        s = self.store
        return int(
            self._steps(
                s.slots, s.segments, s.matrices, self._tally(), batch.for_kernels(), rule._replace(clip=self.clip), counting, progress, self._work,
                self._biases, self._shape, self._tiles, self._partial, (0,) * self.n_lanes, first_step, n_steps, offset, count_threads(),
            )
        )  # fmt: skip

    def _tally(self):
        """The tally as the steps write it."""
        return self.store.tally


def steps_of(lengths, n, n_steps):
    """Steps of each of `n` samples: int32 array, shape (n,). `lengths` is None where a data set says nothing, because all have `n_steps`."""
    return np.full(n, n_steps, np.int32) if lengths is None else lengths
