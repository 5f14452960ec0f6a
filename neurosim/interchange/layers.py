"""Layers as a reader meets them, one behind the other, put together to a `TrainedNetwork`.

A reader says what stands where; what cannot stand there is refused with the name that the reader gave it.
"""

from dataclasses import asdict

import numpy as np
from scipy import sparse

from neurosim.errors import InputError
from neurosim.networks import MODELS, Convolve, Pool, Topology
from neurosim.results.network import TrainedNetwork, WeightMatrix

#: Most numbers of a matrix that is laid out densely in between, 4 GiB of float32.
MOST_DENSE = 2**30


class Layers:
    """Collects the layers of a network, inputs first.

    Parameters
    ----------
    path : str
        What is read, for messages.
    """

    def __init__(self, path):
        self.path = path
        self.is_over = False
        self.sum_over_steps = False
        self._scale, self._shift = np.float64(1.0), np.float64(0.0)
        self._weights: list = []  # (where, sparse matrix) of each matrix
        self._biases: list = []
        self._cells: list = []
        self._kind, self._n_steps, self._readout = "mlp", 1, None
        self._input_shape: tuple[int, int, int] | None = None  # of a network with maps
        self._patterns: list = []  # of each matrix: Convolution, or None
        self._pools: dict[int, Pool] = {}  # by number of the matrix before

    @property
    def has_weights(self):
        """Whether some weights have been met."""
        return bool(self._weights)

    @property
    def _is_feedforward(self):
        return self._kind in ("mlp", "conv")

    @property
    def _is_open(self):
        """Whether the last thing was a product, whose sums may still be shifted."""
        return bool(self._weights) and len(self._cells) < len(self._weights)

    def multiply(self, where, weight, is_synapse):
        """A matrix of weights. `weight`: float32 (pre, post); `is_synapse`: bool of that shape, where connections are."""
        self._refuse_sum(where)
        if self._is_open:
            if self._is_feedforward:
                raise InputError(f"{where}: two products without a cell between them; multiply their weights into one, or put a cell there")
            raise InputError(f"{where}: a second layer behind the recurrent ones; a recurrent network has one, the outputs")
        if not self._is_feedforward:
            self._readout = self._readout or "last"
        self._add(where, sparse_of(where, weight, is_synapse))

    def convolve(self, where, weight, is_synapse, pattern, shape):
        """Kernels. `weight`: float32 (maps, input maps, k, k); `pattern`: `Convolution`; `shape`: (maps, rows, columns) of what enters."""
        if self._is_open:
            raise InputError(f"{where}: two products without a cell between them; put a cell there")
        if not self._is_feedforward or self._weights and self._patterns[-1] is None:
            raise InputError(f"{where}: a convolution behind a layer without maps; put convolutions first")
        if not self._weights:
            self._kind, self._input_shape = "conv", shape
        n = weight.shape[0]
        self._add(where, sparse_of(where, weight.reshape(n, -1).T, is_synapse.reshape(n, -1).T), pattern)

    def pool(self, where, pool):
        """`Pool` of the values of a convolution."""
        i = len(self._weights) - 1
        if self._kind != "conv" or self._patterns[i] is None or i in self._pools:
            raise InputError(f"{where}: pooling belongs directly behind a convolution and its cell, once")
        if self._is_open:
            raise InputError(f"{where}: pooling before the cell; a layer here is convolution, cell, pooling")
        self._pools[i] = pool

    def add_sparse(self, where, weight):
        """A matrix of weights as `WeightMatrix` has it, csr_array of shape (pre, post)."""
        if self._is_open:
            raise InputError(f"{where}: two products without a cell between them; multiply their weights into one, or put a cell there")
        self._add(where, weight)

    def _add(self, where, weight, pattern=None):
        if weight.nnz == 0:
            raise InputError(f"{where}: no weight that is not zero; a network needs at least one connection between its layers")
        self._weights.append((where, weight))
        self._patterns.append(pattern)
        self._biases.append(None)

    def shift(self, where, values, n):
        """Add a constant: to the inputs, or a bias. `n`: values of a sample there, None where it is not known."""
        self._refuse_sum(where)
        values = _of_features(where, values, self._weights[-1][1].shape[1] if self._weights else n)
        if not self._weights:
            self._shift = self._shift + values
            return
        if not self._is_open:
            raise InputError(f"{where}: adds to the values of a cell; a bias stands between weights and cell")
        before = self._biases[-1]
        self._biases[-1] = values if before is None else before + values

    def scale(self, where, values, n):
        """Multiply with a constant: the inputs, or sums."""
        self._refuse_sum(where)
        values = _of_features(where, values, self._weights[-1][1].shape[1] if self._weights else n)
        if not np.isfinite(values).all():
            raise InputError(f"{where}: a factor that is not finite")
        if not self._weights:
            self._scale, self._shift = self._scale * values, self._shift * values
            return
        if not self._is_open:
            raise InputError(f"{where}: multiplies the values of a cell; fold the factor into the weights behind it")
        place, weight = self._weights[-1]
        weight = weight.copy()
        weight.data = (weight.data * np.broadcast_to(values, weight.shape[1])[weight.indices]).astype(np.float32)
        self._weights[-1] = (place, weight)
        if self._biases[-1] is not None:
            self._biases[-1] = self._biases[-1] * values

    def cell(self, where, name):
        """A cell, by its name in `neurosim.networks.MODELS`."""
        if not self._is_open or not self._is_feedforward:
            raise InputError(f"{where}: a cell stands behind a product with weights")
        self._cells.append(name)

    def recurrent(self, where, kind, weights, bias, n_steps):
        """A recurrent layer; `weights`: (weight, is_synapse) of the input and of the recurrent matrix."""
        self._refuse_sum(where)
        if self._weights and self._kind != kind:
            raise InputError(f"{where}: a layer {kind} behind one of another kind ({self._kind}); a network has one kind of cell through time")
        if self._readout is not None:
            raise InputError(f"{where}: a recurrent layer behind a single state; expected all states of the layer before it")
        self._kind, self._n_steps = kind, n_steps
        for weight, is_synapse in weights:
            self._add(where, sparse_of(where, weight, is_synapse))
            self._cells.append(kind)
        self._biases[-2] = np.asarray(bias, np.float64)

    def read_out(self, where, how):
        """What the outputs see of a recurrent layer: ``last``, ``mean``, or ``sum``, which is still to be divided."""
        if self._is_feedforward:
            raise InputError(f"{where}: takes one step, or all, of what is no recurrent layer")
        self.sum_over_steps = how == "sum"
        self._readout = "mean" if how == "sum" else how

    def divide_by_lengths(self, where):
        """The sum over steps becomes the mean."""
        if not self.sum_over_steps:
            raise InputError(f"{where}: divides by the lengths of samples; expected the sum of the states before it")
        self.sum_over_steps = False

    def end(self, where):
        """The softmax, or the class with the highest sum."""
        if not self._is_open:
            raise InputError(f"{where}: ends a network without weights before it")
        self.is_over = True

    def _refuse_sum(self, where):
        if self.sum_over_steps:
            raise InputError(f"{where}: takes the sum over all steps; expected their mean")

    def network(self, has_lengths=False):
        """The `TrainedNetwork` of all layers.

        Raises
        ------
        InputError
            No weights, sizes that do not follow each other, or a cell behind the last weights.
        """
        if not self._weights:
            raise InputError(f"{self.path}: holds no layer with weights")
        self._refuse_sum(self._weights[-1][0])
        if not self._is_open:
            raise InputError(f"{self.path}: ends with a cell ({self._cells[-1]}); the last weights lead to the scores of the classes")
        for (_, before), (where, weight) in zip(self._weights, self._weights[1:]):
            if self._kind == "mlp" and before.shape[1] != weight.shape[0]:
                raise InputError(f"{where}: weights of shape {weight.shape} behind a layer of {before.shape[1]}")
        if self._weights[-1][1].shape[1] < 2:
            raise InputError(f"{self._weights[-1][0]}: one output; a network has at least two classes")
        return {"mlp": self._perceptron, "conv": self._with_maps}.get(self._kind, self._through_time)()

    def _with_maps(self):
        if self._patterns[-1] is not None:
            raise InputError(
                f"{self._weights[-1][0]}: a convolution at the end; the last weights lead to the scores of the classes, which have no maps"
            )
        assert self._input_shape is not None
        layers: list[Convolve | Pool | int] = []
        for i, ((_, weight), pattern) in enumerate(zip(self._weights, self._patterns, strict=True)):
            layers.append(weight.shape[1] if pattern is None else Convolve(weight.shape[1], pattern))
            if i in self._pools:
                layers.append(self._pools[i])
        try:
            topology = Topology.convolutional(self._input_shape, layers, self._cells)
        except InputError as error:
            raise InputError(f"{self.path}: {error}") from None
        populations = tuple(population.name for population in topology.populations)
        matrices = tuple(_matrix(f"{a} to {b}", (i, i + 1), w) for i, (a, b, (_, w)) in enumerate(zip(populations, populations[1:], self._weights)))
        cells = tuple(self._cells)
        maps = {
            "input_shape": list(self._input_shape),
            "kernels": [pattern and asdict(pattern) for pattern in self._patterns],
            "pools": [asdict(self._pools[i]) if i in self._pools else None for i in range(len(matrices) - 1)],
        }
        return TrainedNetwork(
            type="conv", populations=populations, matrices=matrices, biases=_biases(self._biases, matrices),
            activation=cells[0] if len(set(cells)) == 1 else cells, maps=maps, **self._inputs(),
        )  # fmt: skip

    def _perceptron(self):
        n = len(self._weights)
        populations = ("inputs", *(f"hidden {i}" for i in range(1, n)), "outputs")
        matrices = tuple(_matrix(f"layer {i} to layer {i + 1}", (i, i + 1), w) for i, (_, w) in enumerate(self._weights))
        cells = tuple(self._cells)
        activation = cells[0] if len(set(cells)) == 1 else cells or "relu"
        return TrainedNetwork(
            type="mlp", populations=populations, matrices=matrices, biases=_biases(self._biases, matrices), activation=activation, **self._inputs()
        )

    def _through_time(self):
        kind, layers = self._kind, range(1, (len(self._weights) - 1) // 2 + 1)
        populations = ("inputs", *(f"{kind} {i}" for i in layers), "outputs")
        ends = [(layer - before, layer) for layer in layers for before in (1, 0)] + [(layers[-1], layers[-1] + 1)]
        names, before = [], "inputs"
        for i in layers:
            names += [f"{before} to {kind} {i}", f"{kind} {i} to itself"]
            before = f"{kind} {i}"
        names.append(f"{before} to outputs")
        matrices = tuple(_matrix(name, end, w) for name, end, (_, w) in zip(names, ends, self._weights, strict=True))
        return TrainedNetwork(
            type=kind, populations=populations, matrices=matrices, biases=_biases(self._biases, matrices), readout=self._readout or "last",
            n_steps=self._n_steps, **self._inputs(),
        )  # fmt: skip

    def _inputs(self):
        """How samples enter: times `scale`, or shifted and divided; a factor of each feature is a spread."""
        n_inputs = int(np.prod(self._input_shape)) if self._input_shape else self._weights[0][1].shape[0]
        scale, shift = self._scale, self._shift
        for values in (scale, shift):
            if values.size not in (1, n_inputs):
                raise InputError(f"{self.path}: {values.size} numbers shift or scale the {n_inputs} inputs")
        if scale.size == 1 and not shift.any():
            return {"scale": float(scale.reshape(-1)[0])}
        if not scale.all():
            raise InputError(f"{self.path}: a factor of 0 takes an input away; leave that input out")
        spread = np.broadcast_to(1 / scale, n_inputs).astype(np.float64).reshape(-1)
        mean = np.broadcast_to(-shift, n_inputs).reshape(-1) * spread
        return {"scale": 1.0, "mean": _as_written(mean), "spread": _as_written(spread)}


def _as_written(values):
    """Numbers that a division and a product have moved by rounding, as they stood in a file: where zeros are not sent, an input at its mean counts."""
    written = values.astype(np.float32).astype(np.float64)
    return np.where(np.abs(values - written) <= 1e-12 * np.abs(written), written, values)


def sparse_of(where, weight, is_synapse=None):
    """A matrix of weights as `WeightMatrix` has it: csr_array of float32, shape (pre, post).

    Parameters
    ----------
    where : str
        For messages.
    weight : array or sparse array
    is_synapse : bool array, optional
        Where connections are; of a dense array without it, where it is not zero, and of a sparse one, what is stored.
    """
    if sparse.issparse(weight):
        found = sparse.coo_array(weight)
        if found.ndim != 2:
            raise InputError(f"{where}: weights of {found.ndim} axes; expected two, (pre, post)")
        rows, columns, values = found.row, found.col, found.data
        if np.unique(rows.astype(np.int64) * found.shape[1] + columns).size != rows.size:
            raise InputError(f"{where}: a position is given twice")
    else:
        weight = np.asarray(weight)
        if weight.ndim != 2:
            raise InputError(f"{where}: weights of shape {weight.shape}; expected two axes, (pre, post)")
        rows, columns = np.nonzero(weight if is_synapse is None else is_synapse)
        found, values = weight, weight[rows, columns]
    if values.dtype.kind not in "biuf":
        raise InputError(f"{where}: weights of type {values.dtype}; expected numbers")
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if not np.isfinite(values).all():
        raise InputError(f"{where}: a weight that is not finite in float32")
    order = np.lexsort((columns, rows))
    indptr = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=found.shape[0]))])
    return sparse.csr_array((values[order], columns[order].astype(np.int32), indptr), shape=found.shape)


def _of_features(where, values, n):
    """Constants of each feature, or one for all: float64, shape (n,) or ()."""
    values = np.asarray(values, np.float64)
    if values.size == 1:
        return np.float64(values.reshape(-1)[0])
    if sum(size > 1 for size in values.shape) > 1 or (n is not None and values.size != n):
        raise InputError(f"{where}: constants of shape {values.shape}; expected one, or one for each of {n} features")
    return values.reshape(-1)


def _matrix(name, ends, weight):
    return WeightMatrix(name, ends[0], ends[1], weight, np.where(np.signbit(weight.data), -1, 1).astype(np.int8), ends[0] == ends[1])


def _biases(found, matrices):
    biases = {}
    for bias, matrix in zip(found, matrices, strict=True):
        if bias is None:
            continue
        values = np.broadcast_to(np.asarray(bias), matrix.weight.shape[1]).astype(np.float32)
        if not np.isfinite(values).all():
            raise InputError(f"{matrix.name}: a bias that is not finite")
        biases[matrix.post] = values.copy()
    return biases


def check_cells(where, cells):
    """Refuse cells that no feed-forward network has."""
    for name in cells:
        if name not in MODELS or MODELS[name].output is None:
            raise InputError(f"{where}: found cell {name!r}; known: {', '.join(n for n, m in MODELS.items() if m.output)}")
