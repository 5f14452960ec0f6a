"""Feed-forward network on a synapse store: hidden layers of any cell, softmax cross-entropy."""

import numpy as np

from neurosim.kernels.exchange import settle_tally
from neurosim.kernels.feedforward import kernels_of
from neurosim.kernels.growth import dense_gradient
from neurosim.kernels.lanes import MEDIUM
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.marks import WORDS, marks_shape
from neurosim.kernels.mlp import Layers, Tiles
from neurosim.kernels.order import count_strips, is_scattered
from neurosim.kernels.pairs import MOST_EXCHANGED
from neurosim.kernels.single import n_words
from neurosim.kernels.train import Batch, make_work
from neurosim.networks import MODELS
from neurosim.nn.network import EVALUATION_LANES, Evaluation, Network, choose_tile

#: Slots x samples of a step from which threads pay: waking one takes as long as some 10^6 products.
PARALLEL_WORK = 2**21

#: Most groups of tiles that sum their gradients apart, each in 4 bytes a slot more: so many threads share the backward pass.
MAX_GROUPS = 4

#: Bytes of a cache line, and of the widest vector register.
_LINE = 64

_EVALUATION_TILES = 32


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


class Mlp(Network):
    """A feed-forward network whose weights live in a `SynapseStore`.

    Parameters
    ----------
    store : SynapseStore
        One matrix per pair of successive layers.
    batch_size : int
        Samples per training step.
    cells : str or sequence of str
        Of the hidden layers: one for all, or one per layer (`networks.MODELS`).
    has_bias : bool
        Whether all layers but the inputs have biases, which start at 0.
    clip : float, optional
        As in `Network`.
    """

    def __init__(self, store, batch_size, cells="relu", has_bias=False, clip=None):
        matrices = store.matrices
        n_hidden = len(matrices.n_pre) - 1
        cells = (cells,) * n_hidden if isinstance(cells, str) else tuple(cells)
        names = tuple(sorted(set(cells))) or ("relu",)  # one build for each set of cells, in whatever layers they are
        self._kernels = kernels_of(names)
        sends_zeros = [MODELS[cell].sends_zeros for cell in cells]
        self._shape = Layers(
            n_steps=1,
            kinds=np.array([*(names.index(cell) for cell in cells), 0], np.int64),
            sends_zeros=np.array([*sends_zeros, False], np.uint8),
            least=np.zeros(n_hidden + 1, np.float32),
        )
        # The pass of single samples skips zeros, errors of zeros included.
        takes_single = not any(sends_zeros)
        n_lanes, n_tiles = choose_tile(batch_size, _is_scattered(matrices), takes_single)
        first_biases = np.zeros(int(matrices.n_post.sum()) if has_bias else 0, np.float32)
        super().__init__(store, batch_size, n_lanes, n_tiles, first_biases, clip)
        n_neurons = store.plan.n_neurons
        self._tiles = Tiles(*(zero_tiles(n_tiles, n_neurons, n_lanes) for _ in range(2)))
        # Both follow from the network and the batch alone: the builds may round differently.
        self.is_parallel = n_tiles > 1 and store.n_slots * batch_size >= PARALLEL_WORK
        self.shares_tiles = self.is_parallel and n_lanes == MEDIUM and _has_strips(matrices)
        k = self._kernels
        self._steps = k.train_steps_by_rows if self.shares_tiles else k.train_steps_parallel if self.is_parallel else k.train_steps
        n_groups = min(n_tiles, MAX_GROUPS) if self.is_parallel and not self.shares_tiles else 1
        self._partial = np.zeros((n_groups - 1, store.n_slots), np.float32)
        # Work space; one sample at a time is counted at once.
        single_sizes = (n_neurons, n_words.py_func(store.slots, store.segments)) if n_lanes == 1 else (0, 0)
        self._work = make_work(store.slots, store.segments, matrices, n_tiles, *single_sizes)
        n_places, n_marked = marks_shape(n_tiles if n_lanes > 1 else 0, n_lanes, n_neurons)
        self._marks = {name: _zeros((n_places, n_marked), np.uint16) for name in ("live", "wrong")}
        self._marks |= {f"{name}_lines": _zeros((n_marked, WORDS), np.uint64) for name in ("live", "wrong")}
        self._marks["exchanged"] = np.zeros((MOST_EXCHANGED, 4), np.int32)

    def make_batch(self, dataset, order):
        """The training samples of a data set in the given order, as the kernels take them."""
        self._expect(dataset.x_train, dataset.scale)
        return Batch(dataset.x_train, dataset.y_train, order, np.float32(dataset.scale), self.batch_size)

    def _expect(self, x, scale):
        """Say which values of the first hidden layer are zero but for rounding.

        Sums of bytes times weights of a fixed step are whole numbers of steps on a chip. Here a grey level is not exact in float32, so a sum that
        is zero there may leave a residue, a thousandth of a step or less; what lies below half a step is counted as nothing. Values stay as
        they are. Sums of later layers are not exact on a chip either, and biases are no whole numbers of steps.
        """
        if self._shape.least.size > 1:
            has_steps = x.dtype == np.uint8 and not self.biases.size and not self._shape.sends_zeros[0]
            self._shape.least[0] = 0.5 * self.store.matrices.step[0] * scale if has_steps else 0.0

    def _tally(self):
        return self.store.tally._replace(**self._marks)

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
            (walk, pre neuron) pairs with an activation that counts as not zero.
        n_walks : int
            Walks of the matrix that the gradient takes: one a sample.
        """
        segments, matrices = self.store.segments, self.store.matrices
        m, post = segments.matrix[segment], segments.post_start[segment]
        gradient = np.empty(segments.n_positions[segment], np.float32)
        n_rows = dense_gradient(
            *self._tiles, n_samples, self.n_lanes, matrices.pre_neuron[m], matrices.n_pre[m],
            matrices.post_neuron[m] + post, gradient.size // matrices.n_pre[m], gradient,
        )  # fmt: skip
        if m == 1 and self._shape.least[0] > 0:
            first = int(matrices.pre_neuron[m])
            values = self._tiles.act.reshape(len(self._tiles.act), -1, self.n_lanes)[:, first : first + int(matrices.n_pre[m])]
            n_rows = int(np.count_nonzero(values > self._shape.least[0]))
        if m > 0 and self._shape.sends_zeros[m - 1]:
            n_rows = n_samples * int(matrices.n_pre[m])
        return gradient, n_rows, n_samples

    def last_nonzero(self, n_samples):
        """Where activations and errors of the last training step counted as not zero.

        Parameters
        ----------
        n_samples : int
            Samples of that batch.

        Returns
        -------
        active, wrong : list of bool array, shape (n_samples, neurons of the layer)
            Of each layer, inputs first. Errors are dE/d(weighted input); inputs have none, and logits are no activations. Of cells whose
            zeros have errors every activation counts.
        """
        matrices = self.store.plan.matrices
        bounds = np.cumsum([matrices[0].n_pre, *(m.n_post for m in matrices)])[:-1]
        values = (tiles.reshape(len(tiles), -1, self.n_lanes).transpose(0, 2, 1) for tiles in self._tiles)
        active, wrong = (np.split(v.reshape(-1, v.shape[2])[:n_samples] != 0, bounds, axis=1) for v in values)
        if self._shape.least[0] > 0:
            n_lanes, first, last = self.n_lanes, bounds[0], bounds[1]
            values = self._tiles.act.reshape(len(self._tiles.act), -1, n_lanes)[:, first:last].transpose(0, 2, 1)
            active[1] &= values.reshape(-1, last - first)[:n_samples] > self._shape.least[0]
        for layer, sends_zeros in zip(active[1:-1], self._shape.sends_zeros[:-1], strict=True):
            layer |= bool(sends_zeros)
        return active, wrong

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
        self._expect(x, scale)
        n_samples, n_neurons = len(y), s.plan.n_neurons
        n_tiles = min(_EVALUATION_TILES, -(-n_samples // EVALUATION_LANES))
        act, err = (zero_tiles(n_tiles, n_neurons, EVALUATION_LANES) for _ in range(2))
        n_nonzero, result = np.zeros(n_neurons, np.int64), np.zeros(2)
        batch = Batch(x, y, np.arange(n_samples), np.float32(scale), EVALUATION_LANES).for_kernels()
        lanes = (0,) * EVALUATION_LANES
        self._kernels.evaluate(s.slots, s.matrices, self._shape, self.biases, batch, n_neurons, n_nonzero, act, err, lanes, result)
        if tally is not None:
            tally.by_neuron[:] = n_nonzero
            tally.n_destinations[:] = s.tally.n_destinations
            settle_tally(s.slots, s.segments, s.matrices, tally)
            tally.by_segment[:, SegmentEvent.SLOTS] += s.n_active_by_segment * n_samples
        return Evaluation(result[1] / n_samples, result[0] / n_samples, n_samples, n_nonzero)
