"""Recurrent networks on a synapse store: LSTM or plain tanh cells, softmax read-out, trained through time."""

from dataclasses import dataclass

import numpy as np

from neurosim.kernels import recurrent
from neurosim.kernels.cells import gated as cells
from neurosim.kernels.through_time import evaluate_sequences, train_sequences
from neurosim.kernels.train import Batch, make_work
from neurosim.kernels.walks import book_forward
from neurosim.networks import MODELS, Topology
from neurosim.nn.network import EVALUATION_LANES, Evaluation, Network, choose_tile, steps_of
from neurosim.synapses import one_core_plan

KINDS = {"rnn": cells.RNN, "lstm": cells.LSTM}
READOUTS = {"last": recurrent.LAST, "mean": recurrent.MEAN}

_EVALUATION_TILES = 4


@dataclass(frozen=True)
class RecurrentShape:
    """A stack of recurrent layers and its read-out.

    Attributes
    ----------
    cell : {'lstm', 'rnn'}
    n_inputs, n_steps : int
        Inputs of one step; steps of the longest sequence.
    units : tuple of int
        Units of each recurrent layer.
    n_classes : int
    readout : {'last', 'mean'}
        What the classes are read from: the last state, or the mean state of the sequence.
    window : int, optional
        Steps through which errors flow back (truncated back-propagation through time, Williams and Peng
        1990); all without it.
    """

    cell: str
    n_inputs: int
    n_steps: int
    units: tuple[int, ...]
    n_classes: int
    readout: str = "last"
    window: int | None = None

    @property
    def topology(self):
        """The same network as data."""
        return Topology.recurrent(self.cell, self.n_inputs, self.units, self.n_classes, self.n_steps, self.window, self.readout)

    @property
    def n_gates(self):
        """Gate sums of one unit."""
        return MODELS[self.cell].sums

    @property
    def sizes(self):
        """(neurons, sums of a neuron) of the inputs, of each layer and of the classes."""
        return self.topology.neurons_and_sums

    @property
    def projections(self):
        """(pre, post) of each matrix, as indices of `sizes`: input and recurrent matrix of every layer, then the read-out."""
        return self.topology.pairs

    @property
    def matrices(self):
        """(n_pre, n_post) of each matrix."""
        return self.topology.shapes


def recurrent_plan(shape, n_active, **options):
    """Store plan of a recurrent network on a single core.

    Parameters
    ----------
    shape : RecurrentShape
    n_active, options
        As in `synapses.one_core_plan`.
    """
    return one_core_plan(shape.sizes, shape.projections, n_active, **{"scope": "layer"} | options)


class Recurrent(Network):
    """A recurrent network whose weights live in a `SynapseStore`.

    Parameters
    ----------
    store : SynapseStore
        With the matrices of `shape`, as `synapses.plan_matrices` numbers them, on one core or several.
    shape : RecurrentShape
    batch_size : int
    clip : float, optional
        Largest norm of a batch's gradient, over all weights and biases; no clipping without it.

    Attributes
    ----------
    biases : float32 array, shape (n_biases,)
        Biases of the gates of each layer, then of the logits. Forget gates start at 1 (Jozefowicz,
        Zaremba and Sutskever 2015), all others at 0.
    """

    def __init__(self, store, shape, batch_size, clip=None):
        n_lanes, n_tiles = choose_tile(batch_size)
        self.shape, self._shape = shape, _shape_arrays(shape)
        super().__init__(store, batch_size, n_lanes, n_tiles, _first_biases(shape), clip)
        self._steps = train_sequences
        self._tiles = _new_tiles(self._shape, shape.n_classes, n_tiles, n_lanes)
        self._work = make_work(store.slots, store.segments, store.matrices, n_tiles)
        self._partial = np.zeros((0, store.n_slots), np.float32)

    def make_batch(self, dataset, order):
        """The training sequences of a data set in the given order, as the kernels take them."""
        lengths = steps_of(dataset.lengths_train, dataset.n_train, dataset.n_steps)
        return Batch(dataset.x_train, dataset.y_train, order, np.float32(dataset.scale), self.batch_size, lengths)

    def settle(self):
        """Nothing is open in the tally: values travel whether they are zero or not, so every walk is booked when it is made."""

    def dense_gradient(self, segment, n_samples):
        """Mean dE/dweight of all positions of a segment over the batch of the last training step; see `Mlp`."""
        segments, matrices, shape = self.store.segments, self.store.matrices, self._shape
        m, first = int(segments.matrix[segment]), int(segments.post_start[segment])
        n_pre, n_post = int(matrices.n_pre[m]), int(segments.n_positions[segment] // matrices.n_pre[m])
        gradient, n_rows, n_walks = np.zeros((n_post, n_pre), np.float32), 0, 0
        for t in range(-(-n_samples // self.n_lanes)):
            x, d = self._steps_of(t, m, shape)
            d = d[:, first : first + n_post]
            gradient += np.einsum("skl,sjl->kj", d, x)
            n_rows += int(np.count_nonzero(x))
            lengths = recurrent.tile_of.py_func(self._tiles, t).alive.reshape(shape.n_steps, -1).sum(axis=0)
            n_walks += int(shape.walks[lengths.astype(np.int64), 2, m].sum())
        return gradient.ravel(), n_rows, n_walks

    def _steps_of(self, t, m, shape):
        """Pre values and post errors of matrix `m` in tile `t`: float32, shapes (steps, n_pre, lanes), (steps, n_post, lanes)."""
        tile, lanes = recurrent.tile_of.py_func(self._tiles, t), self.n_lanes
        low = recurrent.first_with_error.py_func(shape, self._work.begins[t])
        if m == shape.output_matrix:
            top = shape.n_units[-1]
            return tile.head.reshape(1, -1, lanes)[:, :top], tile.head_err.reshape(1, -1, lanes)[:, top:]
        layer = m // 2
        act, err = (a.reshape(shape.n_steps, shape.n_rows, lanes) for a in (tile.act, tile.err))
        gates = slice(shape.gate_row[layer], shape.gate_row[layer] + shape.bias_start[layer + 1] - shape.bias_start[layer])
        if m == shape.recurrent_matrix[layer]:
            first = max(low, self._work.begins[t] + 1)
            hidden = slice(shape.hidden_row[layer], shape.hidden_row[layer] + shape.n_units[layer])
            return act[first - 1 : -1, hidden], err[first:, gates]
        if layer == 0:
            return tile.inputs.reshape(shape.n_steps, -1, lanes)[low:], err[low:, gates]
        below = slice(shape.hidden_row[layer - 1], shape.hidden_row[layer - 1] + shape.n_units[layer - 1])
        return act[low:, below], err[low:, gates]

    def evaluate_on(self, dataset, tally=None):
        """Accuracy and loss on the test sequences of a data set; see `evaluate`."""
        lengths = steps_of(dataset.lengths_test, dataset.n_test, dataset.n_steps)
        return self.evaluate(dataset.x_test, lengths, dataset.y_test, dataset.scale, tally)

    def evaluate(self, x, lengths, y, scale, tally=None):
        """Accuracy and loss on sequences that are not trained on.

        Parameters
        ----------
        x : uint8 or float32 array, shape (n_samples, n_steps * n_inputs)
            Padded in front.
        lengths : int32 array, shape (n_samples,)
        y : int32 array, shape (n_samples,)
        scale : float
        tally : Tally, optional
            Receives the events of the evaluation.
        """
        s = self.store
        n_samples = len(y)
        n_tiles = min(_EVALUATION_TILES, -(-n_samples // EVALUATION_LANES))
        tiles = _new_tiles(self._shape, self.shape.n_classes, n_tiles, EVALUATION_LANES)
        n_nonzero, result = np.zeros(s.plan.n_neurons, np.int64), np.zeros(2)
        batch = Batch(x, y, np.arange(n_samples), np.float32(scale), EVALUATION_LANES, lengths).for_kernels()
        evaluate_sequences(s.slots, s.matrices, self._shape, self.biases, batch, n_nonzero, tiles, (0,) * EVALUATION_LANES, result)
        if tally is not None:
            tally.n_destinations[:] = s.tally.n_destinations
            book_forward(s.slots, s.segments, s.matrices, tally, self._shape.walks, lengths, batch.order)
            tally.nonzero[:] += n_nonzero
        return Evaluation(result[1] / n_samples, result[0] / n_samples, n_samples, n_nonzero)


def _first_biases(shape):
    model = MODELS[shape.cell]
    return np.concatenate([*(np.tile(np.float32(model.first_biases), n) for n in shape.units), np.zeros(shape.n_classes, np.float32)])


def _shape_arrays(shape):
    units = np.array(shape.units, np.int64)
    gates = units * shape.n_gates
    row = np.concatenate([[0], np.cumsum(gates + units)])
    layers = np.arange(len(units))
    window = shape.n_steps if shape.window is None else min(shape.window, shape.n_steps)
    return recurrent.Shape(
        kind=KINDS[shape.cell],
        n_steps=shape.n_steps,
        n_inputs=shape.n_inputs,
        n_rows=int(row[-1]),
        readout=READOUTS[shape.readout],
        window=window,
        n_units=units,
        unit_start=np.concatenate([[0], np.cumsum(units)]).astype(np.int64),
        gate_row=row[:-1].astype(np.int64),
        hidden_row=(row[:-1] + gates).astype(np.int64),
        input_matrix=(2 * layers).astype(np.int64),
        recurrent_matrix=(2 * layers + 1).astype(np.int64),
        output_matrix=2 * len(units),
        bias_start=np.concatenate([[0], np.cumsum(gates)]).astype(np.int64),
        walks=shape.topology.walks_by_length.copy(),  # numba tells arrays that cannot be written apart
    )


def _new_tiles(arrays, n_classes, n_tiles, n_lanes):
    def rows(n):
        return np.zeros((n_tiles, int(n) * n_lanes), np.float32)

    steps, units, top = arrays.n_steps, arrays.unit_start[-1], arrays.n_units[-1]
    has_cell = arrays.kind == cells.LSTM
    return recurrent.Tile(
        inputs=rows(steps * arrays.n_inputs),
        act=rows(steps * arrays.n_rows),
        err=rows(steps * arrays.n_rows),
        cell=rows((steps + 1) * units),
        squashed=rows(steps * units if has_cell else 1),
        carry=rows(units),
        alive=rows(steps),
        share=rows(1),
        head=rows(top + n_classes),
        head_err=rows(top + n_classes),
    )
