"""Multilayer perceptron on a synapse store: rectified linear hidden units, softmax cross-entropy."""

from dataclasses import dataclass

import numpy as np

from neurosim.kernels.compile import count_threads
from neurosim.kernels.exchange import settle_tally
from neurosim.kernels.growth import dense_gradient
from neurosim.kernels.lanes import MEDIUM, NARROW
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.marks import WORDS, marks_shape
from neurosim.kernels.mlp_train import Batch, evaluate, make_work, train_steps, train_steps_by_rows, train_steps_parallel
from neurosim.kernels.order import count_strips, is_scattered
from neurosim.kernels.pairs import MOST_EXCHANGED

#: Slots x samples of a step from which threads pay: waking one takes as long as some 10^6 products.
PARALLEL_WORK = 2**21

#: Most groups of tiles that sum their gradients apart, each in 4 bytes a slot more: so many threads share the backward pass.
MAX_GROUPS = 4

#: Bytes of a cache line, and of the widest vector register.
_LINE = 64

_EVALUATION_LANES = 64
_EVALUATION_TILES = 32


@dataclass(frozen=True)
class Evaluation:
    """Accuracy (fraction) and mean loss (nats) over a data set.

    `n_nonzero` : int64, shape (N,), forward walks of its matrix in which each pre neuron was non-zero; a sample of a perceptron
    walks every matrix once.
    """

    accuracy: float
    loss: float
    n_samples: int
    n_nonzero: np.ndarray


def choose_tile(batch_size, is_scattered=False):
    """How a batch is cut into tiles of side-by-side samples.

    Depends on the network and the batch size alone, so that results do not depend on the number of threads.

    Parameters
    ----------
    batch_size : int
    is_scattered : bool
        Whether most slots belong to matrices without runs (`kernels.order.is_scattered`).

    Returns
    -------
    n_lanes, n_tiles : int
        A batch of 1 is scalar; up to 16 samples fill one narrow tile; larger batches use tiles of 64, or of 32 in a
        scattered network, unless that would leave more than a quarter of the lanes empty.
    """
    if batch_size == 1:
        return 1, 1
    n_lanes = 32 if is_scattered else 64
    if batch_size < 0.75 * n_lanes * -(-batch_size // n_lanes):
        n_lanes = 16
    return n_lanes, -(-batch_size // n_lanes)


def _is_scattered(matrices):
    n_slots = np.diff(matrices.slot_start)
    scattered = [is_scattered(*shape) for shape in zip(matrices.n_pre, matrices.n_post, n_slots, strict=True)]
    return 2 * n_slots[scattered].sum() > n_slots.sum()


def _has_strips(matrices):
    """Whether every scattered matrix has strips enough to share them among as many threads as groups of tiles."""
    n_slots = np.diff(matrices.slot_start)
    return all(
        count_strips(matrices, m) >= MAX_GROUPS
        for m, shape in enumerate(zip(matrices.n_pre, matrices.n_post, n_slots, strict=True))
        if is_scattered(*shape)
    )


def zero_tiles(n_tiles, n_neurons, n_lanes):
    """Tiles of zeros: float32, shape (n_tiles, n_neurons * n_lanes)."""
    return _zeros((n_tiles, n_neurons * n_lanes), np.float32)


def _zeros(shape, dtype):
    """Zeros that start at a cache line.

    So no row of 16 lanes or more lies across one more line than it has to: NumPy's own large arrays start 16 bytes
    behind one, and every vector load then costs two.
    """
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    raw = np.zeros(n_bytes + _LINE, np.uint8)
    skipped = -raw.ctypes.data % _LINE
    return raw[skipped : skipped + n_bytes].view(dtype).reshape(shape)


class Mlp:
    """A perceptron whose weights live in a `SynapseStore`.

    Parameters
    ----------
    store : SynapseStore
        One matrix per pair of successive layers.
    batch_size : int
        Samples per training step.
    """

    def __init__(self, store, batch_size):
        self.store = store
        self.batch_size = batch_size
        self.n_lanes, n_tiles = choose_tile(batch_size, _is_scattered(store.matrices))
        self._act, self._err = (zero_tiles(n_tiles, store.plan.n_neurons, self.n_lanes) for _ in range(2))
        # Both follow from the network and the batch alone: the builds may round differently.
        self.is_parallel = n_tiles > 1 and store.n_slots * batch_size >= PARALLEL_WORK
        self.shares_tiles = self.is_parallel and self.n_lanes == MEDIUM and _has_strips(store.matrices)
        self._train = train_steps_by_rows if self.shares_tiles else train_steps_parallel if self.is_parallel else train_steps
        n_groups = min(n_tiles, MAX_GROUPS) if self.is_parallel and not self.shares_tiles else 1
        self._partial = np.zeros((n_groups - 1, store.n_slots), np.float32)
        # Work space; one sample at a time is counted at once.
        self._work = make_work(store.slots, store.segments, store.matrices, store.plan.n_neurons, n_tiles, self.n_lanes)
        n_places, n_marked = marks_shape(n_tiles if self.n_lanes > 1 else 0, self.n_lanes, store.plan.n_neurons)
        self._marks = {name: _zeros((n_places, n_marked), np.uint16) for name in ("live", "wrong")}
        self._marks |= {f"{name}_lines": _zeros((n_marked, WORDS), np.uint64) for name in ("live", "wrong")}
        self._marks["exchanged"] = np.zeros((MOST_EXCHANGED, 4), np.int32)
        if self.n_lanes > NARROW:
            store.sort()

    def make_batch(self, dataset, order):
        """The training samples of a data set in the given order, as the kernels take them."""
        return Batch(dataset.x_train, dataset.y_train, order, np.float32(dataset.scale), self.batch_size)

    def state(self):
        """Arrays that a checkpoint needs beside the store: none."""
        return {}

    def train(self, batch, rule, counting, progress, first_step, n_steps, offset):
        """Run training steps in one compiled call; see `kernels.mlp_train.train_steps`.

        Returns the number of steps done, less than `n_steps` only after a loss that is not finite.
        """
        s = self.store
        return int(
            self._train(
                s.slots, s.segments, s.matrices, s.tally._replace(**self._marks), batch, rule, counting, progress,
                self._work, self._act, self._err, self._partial, (0,) * self.n_lanes, first_step, n_steps, offset, count_threads(),
            )
        )  # fmt: skip

    def settle(self):
        """Close the tally of the training at this moment: every walk forward was one back, every value that came was answered."""
        s, tally = self.store, self.store.tally
        settle_tally(s.slots, s.segments, s.matrices, tally)
        n_walked = tally.by_segment[:, SegmentEvent.SLOTS]
        tally.by_segment[:, SegmentEvent.SLOTS_BACKWARD] = np.where(s.segments.matrix > 0, n_walked, 0)
        tally.by_segment[:, SegmentEvent.SLOTS_GRADIENT] = n_walked
        tally.sent_back[:], tally.received_back[:] = tally.received.sum(axis=0), tally.sent.sum(axis=0)
        tally.pairs_back[:] = tally.pairs.T

    def dense_gradient(self, segment, n_samples):
        """Mean dE/dweight of all positions of a segment over the batch of the last training step.

        Parameters
        ----------
        segment : int
        n_samples : int
            Samples of that batch.

        Returns
        -------
        gradient : float32 array, shape (positions,)
            In the order of `SynapseStore.place`.
        n_rows : int
            (walk, pre neuron) pairs with a non-zero activation.
        n_walks : int
            Walks of the matrix that the gradient takes: one a sample.
        """
        segments, matrices = self.store.segments, self.store.matrices
        m, post = segments.matrix[segment], segments.post_start[segment]
        gradient = np.empty(segments.n_positions[segment], np.float32)
        n_rows = dense_gradient(
            self._act, self._err, n_samples, self.n_lanes, matrices.pre_neuron[m], matrices.n_pre[m],
            matrices.post_neuron[m] + post, gradient.size // matrices.n_pre[m], gradient,
        )  # fmt: skip
        return gradient, n_rows, n_samples

    def last_nonzero(self, n_samples):
        """Where activations and errors of the last training step were not zero.

        Parameters
        ----------
        n_samples : int
            Samples of that batch.

        Returns
        -------
        active, wrong : list of bool array, shape (n_samples, neurons of the layer)
            Of each layer, inputs first. Errors are dE/d(weighted input); inputs have none, and logits are no activations.
        """
        matrices = self.store.plan.matrices
        bounds = np.cumsum([matrices[0].n_pre, *(m.n_post for m in matrices)])[:-1]
        values = (tiles.reshape(len(tiles), -1, self.n_lanes).transpose(0, 2, 1) for tiles in (self._act, self._err))
        return tuple(np.split(v.reshape(-1, v.shape[2])[:n_samples] != 0, bounds, axis=1) for v in values)

    def evaluate_on(self, dataset, tally=None):
        """Accuracy and loss on the test samples of a data set; see `evaluate`."""
        return self.evaluate(dataset.x_test, dataset.y_test, dataset.scale, tally)

    def evaluate(self, x, y, scale, tally=None):
        """Accuracy and loss on samples that are not trained on.

        Parameters
        ----------
        x : uint8 or float32 array, shape (n_samples, n_inputs)
        y : int32 array, shape (n_samples,)
        scale : float
            Maps stored values to network inputs.
        tally : Tally, optional
            Receives the events of the evaluation.
        """
        s = self.store
        n_samples, n_neurons = len(y), s.plan.n_neurons
        n_tiles = min(_EVALUATION_TILES, -(-n_samples // _EVALUATION_LANES))
        act, err = (zero_tiles(n_tiles, n_neurons, _EVALUATION_LANES) for _ in range(2))
        n_nonzero, result = np.zeros(n_neurons, np.int64), np.zeros(2)
        batch = Batch(x, y, np.arange(n_samples), np.float32(scale), _EVALUATION_LANES)
        lanes = (0,) * _EVALUATION_LANES
        evaluate(s.slots, s.matrices, batch, n_neurons, n_nonzero, act, err, lanes, result)
        if tally is not None:
            tally.by_neuron[:] = n_nonzero
            tally.n_destinations[:] = s.tally.n_destinations
            settle_tally(s.slots, s.segments, s.matrices, tally)
            tally.by_segment[:, SegmentEvent.SLOTS] += s.n_active_by_segment * n_samples
        return Evaluation(result[1] / n_samples, result[0] / n_samples, n_samples, n_nonzero)
