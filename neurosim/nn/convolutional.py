"""Convolutions, pooling and dense layers on a synapse store: cells of any feed-forward kind, softmax cross-entropy."""

import numpy as np

from neurosim.kernels import convolutional as maps
from neurosim.kernels.convolutional import BLOCKS, kernels_of
from neurosim.kernels.train import Batch, make_work
from neurosim.nn.mlp import MAX_GROUPS, zero_tiles
from neurosim.nn.network import Evaluation, Network
from neurosim.synapses import one_core_plan

#: Samples side by side: the sums of a block of places, one vector each, are to stay in registers.
N_LANES = 16

_EVALUATION_TILES = 4
_POOLS = {"max": maps.MAX_POOL, "average": maps.MEAN_POOL}


def convolutional_plan(topology, n_active, **options):
    """Store plan of a network with maps on a single core.

    Parameters
    ----------
    topology : Topology
    n_active, options
        As in `synapses.one_core_plan`.
    """
    return one_core_plan(topology.neurons_and_sums, topology.pairs, n_active, **{"rows": topology.rows_per_neuron} | options)


class Convolutional(Network):
    """A network of convolutions, pooling and dense layers whose weights live in a `SynapseStore`.

    Parameters
    ----------
    store : SynapseStore
        With the matrices of `topology`, as `synapses.plan_matrices` numbers them with its `rows_per_neuron`.
    topology : Topology
        As `Topology.convolutional` makes it.
    batch_size : int
        Samples per training step.
    clip : float, optional
        As in `Network`.

    Attributes
    ----------
    biases : float32 array, shape (n_biases,)
        One for each map and each neuron, 0 at the start; empty for a network without biases.
    """

    def __init__(self, store, topology, batch_size, clip=None):
        self.topology = topology
        cells = [population.cell for population in topology.populations[1:-1]]
        names = tuple(sorted(set(cells))) or ("relu",)
        self._kernels = kernels_of(names)
        self._shape, n_rows, n_wide = _make_shape(topology, [*(names.index(cell) for cell in cells), 0])
        self._n_rows, self._n_wide = n_rows, n_wide
        n_tiles = -(-batch_size // N_LANES)
        super().__init__(store, batch_size, N_LANES, n_tiles, np.zeros(topology.bias_start[-1], np.float32), clip)
        self._tiles = self._new_tiles(n_tiles)
        self._steps = self._kernels.train_steps
        n_groups = min(n_tiles, MAX_GROUPS)
        self._partial = np.zeros((n_groups - 1, store.n_slots), np.float32)
        self._work = make_work(store.slots, store.segments, store.matrices, n_tiles)

    def _new_tiles(self, n_tiles):
        shape, n_slots = self._shape, int(self.store.matrices.slot_start[self._shape.n_maps])
        starts = {
            "post_first": np.cumsum([0, *(shape.n_post + 1)])[:-1].astype(np.int64),
            "pre_first": np.cumsum([0, *(shape.n_pre + 1)])[:-1].astype(np.int64),
            "post_start": np.zeros(int((shape.n_post + 1).sum()), np.int64),
            "alike": np.zeros(int((shape.n_post + 1).sum()), np.int8),
            "alike_back": np.zeros(int((shape.n_pre + 1).sum()), np.int8),
            "pre_start": np.zeros(int((shape.n_pre + 1).sum()), np.int64),
        }
        most = int((shape.n_pre * shape.kernel**2).max())
        most = max(most, maps.N_ALIKE * min(most, maps.MOST_ALIKE))
        return maps.Tiles(
            act=zero_tiles(n_tiles, self._n_rows, N_LANES),
            err=zero_tiles(n_tiles, self._n_rows, N_LANES),
            wide=zero_tiles(n_tiles, self._n_wide, N_LANES),
            sums=zero_tiles(min(n_tiles, MAX_GROUPS), most, N_LANES),
            slot=np.zeros(n_slots, np.int32),
            offset=np.zeros(n_slots, np.int32),
            weight=np.zeros(n_slots, np.float32),
            offset_back=np.zeros(n_slots, np.int32),
            weight_back=np.zeros(n_slots, np.float32),
            **starts,
        )

    def make_batch(self, dataset, order):
        """The training samples of a data set in the given order, as the kernels take them."""
        return Batch(dataset.x_train, dataset.y_train, order, np.float32(dataset.scale), self.batch_size)

    def settle(self):
        """Nothing is open in the tally: values travel whether they are zero or not, so every walk is booked when it is made."""

    def dense_gradient(self, segment, n_samples):
        """Mean dE/dweight of all positions of a segment over the batch of the last training step; see `Mlp`.

        A position of a convolution has a product at each place at which its tap reads no border; `n_rows` counts those of values that are
        not zero.
        """
        segments, matrices, shape = self.store.segments, self.store.matrices, self._shape
        m, first = int(segments.matrix[segment]), int(segments.post_start[segment])
        n_pre, n_post = int(matrices.n_pre[m]), int(segments.n_positions[segment] // matrices.n_pre[m])
        act, err = (a.reshape(len(a), -1, N_LANES) for a in (self._tiles.act, self._tiles.err))
        n_tiles = -(-n_samples // N_LANES)
        gradient, n_rows = np.zeros((n_post, n_pre), np.float32), 0
        places = int(shape.out_height[m] * shape.out_width[m]) if m < shape.n_maps else 1
        for t in range(n_tiles):
            n = min(N_LANES, n_samples - t * N_LANES)
            d = err[t, shape.z_row[m] + first * places : shape.z_row[m] + (first + n_post) * places, :n].reshape(n_post, -1)
            for pre, x in enumerate(self._read(act[t], m, n)):
                gradient[:, pre] += d @ x.ravel()
                n_rows += int(np.count_nonzero(x))
        return gradient.ravel(), n_rows, n_samples

    def _read(self, act, m, n):
        """What each pre neuron of a matrix is in a tile, place by place: float32 (places, n samples) each."""
        shape, n_pre = self._shape, int(self.store.matrices.n_pre[m])
        if m >= shape.n_maps:
            yield from act[shape.x_row[m] : shape.x_row[m] + n_pre, None, :n]
            return
        pitch, stride = int(shape.width[m] + 2 * shape.padding[m]), int(shape.stride[m])
        rows, columns = np.arange(shape.out_height[m]) * stride * pitch, np.arange(shape.out_width[m]) * stride
        at = (rows[:, None] + columns).ravel() + shape.x_row[m]
        for tap in shape.tap[shape.row_start[m] : shape.row_start[m] + n_pre]:
            yield act[at + tap, :n]

    def evaluate_on(self, dataset, tally=None):
        """Accuracy and loss on the test samples of a data set; see `evaluate`."""
        return self.evaluate(dataset.x_test, dataset.y_test, dataset.scale, tally)

    def evaluate(self, x, y, scale, tally=None):
        """Accuracy and loss on samples that are not trained on; see `Mlp`."""
        s, n_samples = self.store, len(y)
        tiles = self._new_tiles(min(_EVALUATION_TILES, -(-n_samples // N_LANES)))
        lanes = (0,) * N_LANES
        maps.prepare_order(s.slots, s.matrices, self._shape, tiles, lanes)
        counts, result = np.zeros((len(tiles.act), int(self._shape.row_start[-1])), np.int64), np.zeros(2)
        batch = Batch(x, y, np.arange(n_samples), np.float32(scale), N_LANES).for_kernels()
        self._kernels.evaluate(s.slots, s.matrices, self._shape, self.biases, batch, counts, tiles, lanes, result)
        n_nonzero = np.zeros(s.plan.n_neurons, np.int64)
        n_nonzero[: counts.shape[1]] = counts.sum(axis=0)
        if tally is not None:
            tally.n_destinations[:] = s.tally.n_destinations
            maps.book_forward(s.slots, s.segments, s.matrices, tally, self._shape, n_samples)
            tally.nonzero[:] += n_nonzero
        return Evaluation(result[1] / n_samples, result[0] / n_samples, n_samples, n_nonzero)


def _best_block(width):
    """Places of a block for rows of so many: the fewest loads, where each block costs about three more."""
    return min((b for b in BLOCKS if b <= width), key=lambda b: (-(-width // b) * (b + 3), -b))


def _make_shape(topology, kinds):
    """`maps.Shape` of a network; rows of a tile; rows of its errors with borders."""
    populations, projections = topology.populations, topology.projections
    n_maps = sum(p.pattern is not None for p in projections)
    columns = {name: [] for name in maps.Shape._fields}
    row = topology.n_values[0]
    n_wide, sent_row = 0, 0  # where what the next matrix reads begins
    taps, mirrored = [], []
    for m, projection in enumerate(projections):
        pre, post, pattern = populations[projection.pre], populations[projection.post], projection.pattern

        def add(**values):
            for name, value in values.items():
                columns[name].append(value)

        if pattern is None:
            add(x_row=sent_row, z_row=row, group=topology.rows_per_neuron[m])
            taps.append(np.zeros(topology.shapes[m][0], np.int64))
            mirrored.append(taps[-1])
            sent_row, row = row, row + post.n
            continue
        height, width, k, padding = pre.maps.sent_height, pre.maps.sent_width, pattern.kernel, pattern.padding
        if m == 0 and padding:
            sent_row, row = row, row + pre.n * (height + 2 * padding) * (width + 2 * padding)
        add(x_row=sent_row, z_row=row, group=pattern.taps)
        out, pool = post.maps, post.maps.pool
        add(
            kernel=k, stride=pattern.stride, padding=padding, n_pre=pre.n, n_post=post.n, height=height, width=width, out_height=out.height,
            out_width=out.width, wide_row=n_wide, block=_best_block(out.width), block_back=_best_block(width),
            pool=_POOLS[pool.kind] if pool else maps.NO_POOL, window=pool.window if pool else 1, pool_stride=pool.stride if pool else 1,
            pool_padding=pool.padding if pool else 0, pooled_height=out.sent_height, pooled_width=out.sent_width,
        )  # fmt: skip
        pitch, wide_pitch = width + 2 * padding, width + k - 1
        at = np.arange(k)
        inside = at[:, None] * pitch + at
        taps.append((np.arange(pre.n)[:, None, None] * (height + 2 * padding) * pitch + inside).ravel())
        mirrored.append(np.tile(((k - 1 - at)[:, None] * wide_pitch + k - 1 - at).ravel(), pre.n))
        n_wide += post.n * (height + k - 1) * wide_pitch if m else 0
        sent_row, row = row, row + post.n * out.places
        after = projections[m + 1].pattern
        border = after.padding if after else 0
        if pool or border:
            columns["pooled_row"].append(row if pool else sent_row)
            sent_row, row = row, row + post.n * (out.sent_height + 2 * border) * (out.sent_width + 2 * border)
        else:
            columns["pooled_row"].append(sent_row)
    sums = [n for _, n in topology.shapes]
    columns |= {
        "kinds": kinds,
        "bias_start": np.cumsum([0, *sums])[:-1],
        "row_start": np.cumsum([0, *(n for n, _ in topology.shapes)]),
        "tap": np.concatenate(taps),
        "mirrored": np.concatenate(mirrored),
        "uses": np.concatenate(topology.uses),
        "row_uses": np.concatenate(topology.row_uses),
        "n_values": np.concatenate([np.full(n, populations[p.pre].sent) for (n, _), p in zip(topology.shapes, projections, strict=True)]),
    }
    numbers = {"n_steps": 1, "n_maps": n_maps, "n_inputs": topology.n_values[0]}
    return maps.Shape(**{name: numbers.get(name, np.array(values, np.int64)) for name, values in columns.items()}), row, max(n_wide, 1)
