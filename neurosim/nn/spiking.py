"""Spiking networks on a synapse store: leaky integrate-and-fire neurons, a leaky read-out, trained through time or by e-prop."""

import weakref

import numpy as np

from neurosim.kernels import spiking as kernels
from neurosim.kernels.cells import lif
from neurosim.kernels.exchange import settle_tally
from neurosim.kernels.normal import fill_normal
from neurosim.kernels.spikes import EventBatch
from neurosim.kernels.train import make_work
from neurosim.kernels.walks import book_forward_slots
from neurosim.nn.network import EVALUATION_LANES, Evaluation, Network, choose_tile, steps_of
from neurosim.random import Stream, stream_key
from neurosim.synapses import one_core_plan

SURROGATES = {"triangular": lif.TRIANGULAR, "superspike": lif.SUPERSPIKE, "exponential": lif.EXPONENTIAL, "arctan": lif.ARCTAN}
FEEDBACKS = {"symmetric": kernels.SYMMETRIC, "random": kernels.RANDOM, "adaptive": kernels.ADAPTIVE}

_EVALUATION_TILES = 4
#: float32 values of a cache line.
_LINE = 16
#: Samples that are searched for events at once.
_CHUNK = 1024


def spiking_plan(topology, n_active, **options):
    """Store plan of a spiking network on a single core.

    Parameters
    ----------
    topology : Topology
        With `spiking`.
    n_active, options
        As in `synapses.one_core_plan`.
    """
    skips_self = [projection.skips_self for projection in topology.projections]
    return one_core_plan(topology.neurons_and_sums, topology.pairs, n_active, **{"scope": "layer", "skips_self": skips_self} | options)


class SpikingNetwork(Network):
    """A spiking network whose weights live in a `SynapseStore`.

    Parameters
    ----------
    store : SynapseStore
        With the matrices of `topology`, on one core or several.
    topology : Topology
        Of `Topology.spikes`.
    batch_size : int
    clip : float, optional
        As in `Network`.
    trace_cutoff : int
        Steps for which traces of spikes are followed, where the plan counts them (`StorePlan.counts_replays`).

    Attributes
    ----------
    biases : float32 array, shape (n_classes,)
        Biases of the read-out; they start at 0.
    feedback : float32 array, shape (neurons of all layers, n_classes)
        What leads errors of the outputs to the neurons; without rows where the weights do.
    """

    def __init__(self, store, topology, batch_size, clip=None, trace_cutoff=0):
        n_lanes, n_tiles = (1, 1) if batch_size == 1 else choose_tile(batch_size, takes_single=False)
        self.topology, self.spiking = topology, topology.spiking
        self._shape = _shape_arrays(topology, n_lanes, trace_cutoff)
        super().__init__(store, batch_size, n_lanes, n_tiles, np.zeros(topology.sizes[-1], np.float32), clip)
        n_hidden = 0 if self.spiking.feedback == "symmetric" else int(self._shape.unit_start[-1])
        self._feedback = _first_feedback(store.seed, n_hidden, topology.sizes[-1])
        self._steps = kernels.train_spikes
        self._tiles = self._new_tiles(self._shape, n_tiles, n_lanes)
        self._work = make_work(store.slots, store.segments, store.matrices, n_tiles)
        self._partial = np.zeros((0, store.n_slots), np.float32)
        self._events = _EventCache()

    @property
    def feedback(self):
        return self._feedback.reshape(-1, self.topology.sizes[-1])

    def state(self):
        """Arrays that a checkpoint needs beside the store."""
        return super().state() | ({"feedback": self._feedback} if self.spiking.feedback == "adaptive" else {})

    def make_batch(self, dataset, order):
        """The training samples of a data set in the given order, as the kernels take them."""
        lengths = steps_of(dataset.lengths_train, dataset.n_train, dataset.n_steps)
        batch = self._batch(dataset.x_train, lengths, dataset.y_train, dataset.scale, order, self.batch_size)
        self._tiles = _with_room(self._tiles, batch, self.n_lanes)
        return batch

    def _batch(self, x, lengths, y, scale, order, size):
        events = self._events.of(x, self._shape.n_inputs, scale)
        return EventBatch(*events, labels=y, order=order, size=size, lengths=lengths)

    def train(self, batch, rule, counting, progress, first_step, n_steps, offset):
        """As `Network.train`; what a dense gradient asks of the last step is kept."""
        done = super().train(batch, rule, counting, progress, first_step, n_steps, offset)
        if done:
            first = offset + (done - 1) * batch.size
            self._last_lengths = batch.lengths[batch.order[first : first + batch.size]]
        return done

    def settle(self):
        """Close the tally of the training at this moment: a spike walked every synapse of its neuron."""
        s = self.store
        settle_tally(s.slots, s.segments, s.matrices, s.tally)

    def dense_gradient(self, segment, n_samples):
        """Mean dE/dweight of all positions of a segment over the batch of the last training step; see `Mlp`."""
        segments, matrices, shape, n_lanes = self.store.segments, self.store.matrices, self._shape, self.n_lanes
        m, first = int(segments.matrix[segment]), int(segments.post_start[segment])
        n_pre, n_post = int(matrices.n_pre[m]), int(segments.n_positions[segment] // matrices.n_pre[m])
        gradient, n_rows = np.zeros((n_post, n_pre), np.float32), 0
        for t in range(-(-n_samples // n_lanes)):
            tile = kernels.tile_of.py_func(self._tiles, t)
            n_rows += int(tile.seen[matrices.pre_neuron[m] : matrices.pre_neuron[m] + n_pre].sum())
            if m == shape.output_matrix and not shape.reads_every:
                top = int(shape.n_units[-1])
                head = (tile.head_out if shape.has_out else tile.head).reshape(-1, n_lanes)[:top]
                gradient += tile.head_err.reshape(-1, n_lanes)[top + first : top + first + n_post] @ head.T
                continue
            pointer, places, values, unit, base = self._places_of(tile, m)
            rows = base + (first + np.arange(n_post)[:, None]) * n_lanes
            for pre in range(n_pre):
                here = slice(pointer[unit + pre], pointer[unit + pre + 1])
                gradient[:, pre] += (tile.err[rows + places[here]] * (values[here] if values is not None else 1)).sum(axis=1)
        return gradient.ravel(), n_rows, int(shape.walks[self._last_lengths, 2, m].sum())

    def _places_of(self, tile, m):
        """Lists of places of the pre neurons of a matrix, the number of the first of them, and where errors of its post neurons begin."""
        shape, n_lanes = self._shape, self.n_lanes
        spikes = (tile.spike_pointer, tile.spike_place, None)
        if m == shape.output_matrix:
            return *spikes, int(shape.unit_start[-2]), int(shape.unit_start[-1]) * n_lanes
        if m in shape.recurrent_matrix:
            start = int(shape.unit_start[list(shape.recurrent_matrix).index(m)])
            return *spikes, start, start * n_lanes + shape.stride
        layer = list(shape.input_matrix).index(m)
        base = int(shape.unit_start[layer]) * n_lanes
        if layer == 0:
            return tile.in_pointer, tile.in_place, tile.in_value, 0, base
        return *spikes, int(shape.unit_start[layer - 1]), base

    def evaluate_on(self, dataset, tally=None):
        """Accuracy and loss on the test samples of a data set; see `evaluate`."""
        lengths = steps_of(dataset.lengths_test, dataset.n_test, dataset.n_steps)
        return self.evaluate(dataset.x_test, lengths, dataset.y_test, dataset.scale, tally)

    def evaluate(self, x, lengths, y, scale, tally=None):
        """Accuracy and loss on samples that are not trained on.

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
        s, lanes = self.store, EVALUATION_LANES
        n_samples = len(y)
        shape = _shape_arrays(self.topology, lanes)
        batch = self._batch(x, lengths, y, scale, np.arange(n_samples), lanes)
        tiles = _with_room(self._new_tiles(shape, min(_EVALUATION_TILES, -(-n_samples // lanes)), lanes, goes_back=False), batch, lanes)
        n_nonzero, result = np.zeros(s.plan.n_neurons, np.int64), np.zeros(2)
        kernels.prepare_rows(s.slots, s.matrices, shape, tiles)
        kernels.evaluate_spikes(s.slots, s.matrices, shape, self.biases, batch, n_nonzero, tiles, (0,) * lanes, result)
        if tally is not None:
            tally.n_destinations[:] = s.tally.n_destinations
            book_forward_slots(s.slots, s.segments, s.matrices, tally, shape.walks, lengths, batch.order)
            tally.by_neuron[:] = n_nonzero
            settle_tally(s.slots, s.segments, s.matrices, tally)
        return Evaluation(result[1] / n_samples, result[0] / n_samples, n_samples, n_nonzero)

    def _new_tiles(self, shape, n_tiles, n_lanes, goes_back=True):
        plan, n_units = self.store.plan, int(shape.unit_start[-1])
        most_spikes = -(-shape.n_steps // (1 + int(shape.refractory))) * n_units * n_lanes

        def rows(n, dtype=np.float32):
            return np.zeros((n_tiles, int(n)), dtype)

        state = [rows(n_units * n_lanes) for _ in range(9)]
        top = int(shape.n_units[-1] + shape.n_classes) * n_lanes
        needs_rows = (shape.row_start >= 0).any()
        n_slots = self.store.n_slots if needs_rows else 0
        n_pointers = sum(m.n_pre + 2 for m, start in zip(plan.matrices, shape.row_start, strict=True) if start >= 0)
        n_out = int(np.diff(self.store.matrices.slot_start)[-1]) if shape.feedback == kernels.ADAPTIVE else 0
        return kernels.Tile(
            rows(shape.n_inputs + 2, np.int32), rows(0, np.int32), rows(0), rows(n_units + 2, np.int32),
            rows(most_spikes * goes_back, np.int32), rows(shape.n_steps * n_units, np.uint64),
            rows(shape.n_steps * shape.stride), rows((shape.n_steps + 1) * shape.stride * goes_back), *state,
            rows(n_lanes), rows(top), rows(top), rows(int(shape.n_units[-1]) * n_lanes), rows(plan.n_neurons, np.int32),
            np.zeros(n_pointers, np.int32), np.zeros(n_slots, np.int32), np.zeros(n_slots, np.int32), np.zeros(n_slots, np.float32),
            self._feedback, np.zeros(n_out, np.float32),
        )  # fmt: skip


class _EventCache:
    """Events of the arrays that were asked for, as long as these arrays live."""

    def __init__(self):
        self._found = {}

    def of(self, x, n_inputs, scale):
        """Start of each sample's events, and their steps, units and values, scaled."""
        key = id(x)
        known = self._found.get(key)
        if known is None or known[0]() is not x or known[1] != scale:
            known = (weakref.ref(x, lambda _: self._found.pop(key, None)), scale, _find_events(x, n_inputs, scale))
            self._found[key] = known
        return known[2]


def _nonzero(x):
    """As `np.nonzero` of samples; of bytes eight at a time, for most spike trains are silent most of the time."""
    if x.dtype != np.uint8 or x.shape[1] % 8 or not x.flags.c_contiguous:
        return np.nonzero(x)
    sample, word = np.nonzero(x.view(np.uint64))
    row, byte = np.nonzero(x.reshape(len(x), x.shape[1] // 8, 8)[sample, word])
    return sample[row], 8 * word[row] + byte


def _find_events(x, n_inputs, scale):
    starts, parts = [np.zeros(1, np.int64)], [(np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.float32))]
    for begin in range(0, len(x), _CHUNK):
        here = x[begin : begin + _CHUNK]
        sample, place = _nonzero(here)
        starts.append(starts[-1][-1] + np.cumsum(np.bincount(sample, minlength=len(here))))
        values = here[sample, place].astype(np.float32) * np.float32(scale)
        parts.append(((place // n_inputs).astype(np.int32), (place % n_inputs).astype(np.int32), values))
    return np.concatenate(starts), *(np.concatenate(columns) for columns in zip(*parts, strict=True))


def _with_room(tiles, batch, n_lanes):
    """The tiles with room for the inputs of any samples of the batch."""
    needed = n_lanes * int(np.diff(batch.start).max(initial=0))
    if tiles.in_place.shape[1] >= needed:
        return tiles
    shape = (len(tiles.act), needed)
    return tiles._replace(in_place=np.zeros(shape, np.int32), in_value=np.zeros(shape, np.float32))


def _first_feedback(seed, n_neurons, n_classes):
    """Normal numbers of deviation 1 / sqrt(neurons): float32, flat."""
    feedback = np.zeros(n_neurons * n_classes, np.float32)
    if n_neurons:
        fill_normal(feedback, np.uint64(stream_key(seed, Stream.FEEDBACK)), 0)
        feedback /= np.float32(np.sqrt(n_neurons))
    return feedback


def read_weights(spiking, n_steps, window):
    """Weights of a spike in the sum of the read-outs that have a loss, by its step; see `kernels.spiking`.

    Parameters
    ----------
    spiking : Spiking
    n_steps, window : int

    Returns
    -------
    c_read, c_out, c_error : float64 array, shape (n_steps,)
        In the sum itself, in the gradient of the read-out, and in the error of the spike.
    """
    n_read, kappa = spiking.count_readouts(n_steps), spiking.kappa
    c_read, c_cut = np.zeros(n_steps), np.zeros(n_steps)
    for t in range(n_steps - 1, -1, -1):
        back = n_steps - 1 - t
        has_loss = float(back < n_read)
        c_read[t] = has_loss + (kappa * c_read[t + 1] if back else 0.0)
        c_cut[t] = has_loss + (kappa * c_cut[t + 1] if back % window else 0.0)
    c_now = (np.arange(n_steps) >= n_steps - n_read).astype(np.float64)
    return c_read, c_cut, c_cut if spiking.learning.filtered_errors else c_now


def _shape_arrays(topology, n_lanes, trace_cutoff=0):
    spiking, last = topology.spiking, len(topology.populations) - 1
    units = np.array(topology.sizes[1:-1], np.int64)
    unit_start = np.concatenate([[0], np.cumsum(units)]).astype(np.int64)
    reads_every = spiking.readout == "every"
    n_rows = int(unit_start[-1]) + topology.sizes[-1] * reads_every
    # An odd number of cache lines: rows of different steps then lie in different sets of a cache.
    n_lines = -(-n_rows * n_lanes // _LINE) | 1
    numbers = {(p.pre, p.post): i for i, p in enumerate(topology.projections)}
    layers = range(1, last)
    walked = [
        topology.projections[m].is_recurrent or (topology.projections[m].pre > 0 and topology.projections[m].post != last) or (reads_every and m == len(numbers) - 1)
        for m in range(len(numbers))
    ]  # fmt: skip
    row_start, at = np.full(len(numbers), -1, np.int64), 0
    for m, has_rows in enumerate(walked):
        if has_rows:
            row_start[m], at = at, at + topology.shapes[m][0] + 2
    c_read, c_out, c_error = read_weights(spiking, topology.n_steps, topology.window)

    def by_length(c):
        return np.concatenate([[0.0], np.cumsum(c[::-1])]).astype(np.float32)

    f32 = np.float32
    return kernels.Shape(
        n_steps=topology.n_steps,
        n_inputs=topology.sizes[0],
        n_classes=topology.sizes[-1],
        stride=n_lines * _LINE,
        n_units=units,
        unit_start=unit_start,
        input_matrix=np.array([numbers[i - 1, i] for i in layers], np.int64),
        recurrent_matrix=np.array([numbers.get((i, i), -1) for i in layers], np.int64),
        output_matrix=len(numbers) - 1,
        row_start=row_start,
        walks=topology.walks_by_length.copy(),  # numba tells arrays that cannot be written apart
        adapts=spiking.adaptive > 0,
        alpha=f32(spiking.alpha),
        rho=f32(spiking.rho),
        kappa=f32(spiking.kappa),
        v_th=f32(spiking.v_th),
        refractory=f32(spiking.refractory),
        surrogate=SURROGATES[spiking.surrogate],
        height=f32(spiking.gamma / spiking.v_th),
        slope=f32(spiking.slope),
        beta=np.repeat(np.concatenate([spiking.beta * spiking.adapts(int(n)) for n in units]).astype(np.float32), n_lanes),
        reads_every=reads_every,
        n_readouts=spiking.count_readouts(topology.n_steps),
        c_read=c_read.astype(np.float32),
        c_out=c_out.astype(np.float32),
        c_error=c_error.astype(np.float32),
        c_bias=by_length(c_read),
        c_bias_out=by_length(c_out),
        has_out=bool((c_out != c_read).any()),
        window=topology.window,
        reach=topology.reach,
        recurrent_errors=spiking.learning.recurrent_errors,
        layer_errors=spiking.learning.layer_errors,
        instant_layers=spiking.learning.instant_layers,
        filters_errors=spiking.learning.filtered_errors,
        feedback=FEEDBACKS[spiking.feedback],
        decay=f32(spiking.feedback_decay),
        cutoff=trace_cutoff,
        rate_cost=f32(spiking.rate_cost),
        rate_target=f32(spiking.rate_target),
    )
