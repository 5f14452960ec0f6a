"""Rows 4 and 5: the products of one sparse layer, against PyTorch CSR and SciPy CSR."""

import numpy as np
from numba import prange

from benchmarks.peers import scipy_csr, torch_csr
from benchmarks.peers.sparse_layer import SparseLayer, reference
from benchmarks.peers.timing import LEAD, interleave, on_torch_threads
from benchmarks.row import ratio_row
from neurosim.kernels import mlp
from neurosim.kernels.cells import join_cells
from neurosim.kernels.compile import inlined, parallel_kernel
from neurosim.nn.mlp import zero_tiles
from neurosim.synapses import SynapseStore, layered_plan

LANES = (0,) * 64
_, ACTIVATE, TURN_BACK = join_cells(("relu",))
NO_BIASES = np.zeros(0, np.float32)
LAYERS = mlp.Layers(1, np.zeros(2, np.int64), np.zeros(2, np.uint8))
BATCH_SIZE = 128
CALLS = 10


@parallel_kernel
def forward(slots, layer, layers, biases, act, lanes):
    """Sums of the layer from the inputs in `act`, one thread a tile. Writes `act`."""
    for t in prange(act.shape[0]):
        mlp.forward(slots, layer, layers, biases, act[t], len(lanes), lanes, ACTIVATE)


@inlined
def _move(total, part):
    """Add `part` to `total` and set it to zero. A function, because Numba loses stores to elements of a tuple's arrays in a parallel loop."""
    for k in range(total.size):
        total[k] += part[k]
        part[k] = np.float32(0.0)


@parallel_kernel
def backward_and_gradient(slots, segments, network, layers, act, err, partial, lanes):
    """Errors of the inputs and the gradient of every slot, one thread a tile. Writes `err` and `slots.gradient`.

    `network` has a matrix of one synapse before the layer, because errors stop at the first matrix.
    `partial` : float32 (n_tiles - 1, S), zero before and after.
    """
    slots.gradient[:] = np.float32(0.0)
    for t in prange(act.shape[0]):
        mlp.backward_of_group(slots, segments, network, layers, act[t], err[t], partial, t, len(lanes), lanes, TURN_BACK)
    n_slots = slots.pre.size
    n_pieces = (n_slots + 8191) // 8192
    for piece in prange(n_pieces):
        first, last = piece * 8192, min((piece + 1) * 8192, n_slots)
        for t in range(partial.shape[0]):
            _move(slots.gradient[first:last], partial[t, first:last])


class OurLayer:
    """A layer in a store as training leaves it, and the same layer for the peers."""

    def __init__(self, n, density):
        n_active = round(density * n * n)
        self.store = SynapseStore.random(layered_plan((1, n, n), (1, n_active)), 0)
        self.store.sort()
        whole = self.store.matrices
        self.layer = whole._replace(**{key: value[1:] if np.ndim(value) else value for key, value in whole._asdict().items()})
        pre, post, value = self.store.connections(1)
        self.order = np.lexsort((pre, post))
        rng = np.random.default_rng(1)
        self.peer = SparseLayer(
            post_ptr=np.concatenate(([0], np.cumsum(np.bincount(post, minlength=n)))).astype(np.int32),
            pre_index=pre[self.order],
            value=value[self.order],
            x=rng.standard_normal((n, BATCH_SIZE), dtype=np.float32),
            delta=rng.standard_normal((n, BATCH_SIZE), dtype=np.float32),
        )
        n_tiles, self.n = BATCH_SIZE // len(LANES), n
        self.act, self.err = (zero_tiles(n_tiles, 1 + 2 * n, len(LANES)) for _ in range(2))
        self.partial = np.zeros((n_tiles - 1, self.store.n_slots), np.float32)
        for t in range(n_tiles):
            columns = slice(t * len(LANES), (t + 1) * len(LANES))
            self.rows(self.act, 1)[t] = self.peer.x[:, columns]
            self.rows(self.err, 2)[t] = self.peer.delta[:, columns]

    def rows(self, tiles, side):
        """View of the inputs (side 1) or sums (side 2): (n_tiles, n, lanes)."""
        return tiles.reshape(len(tiles), -1, len(LANES))[:, 1 + (side - 1) * self.n :][:, : self.n]

    def forward(self):
        forward(self.store.slots, self.layer, LAYERS, NO_BIASES, self.act, LANES)

    def backward(self):
        s = self.store
        backward_and_gradient(s.slots, s.segments, s.matrices, LAYERS, self.act, self.err, self.partial, LANES)

    def check(self):
        """Compare with dense float64 products; the store's own backward pass includes the ReLU."""
        self.forward()
        self.backward()
        expected = reference(self.peer)
        by_sample = {key: np.concatenate(list(self.rows(tiles, side)), axis=1)
                     for key, tiles, side in (("forward", self.act, 2), ("backward", self.err, 1))}  # fmt: skip
        by_sample["gradient"] = self.store.slots.gradient[self.layer.slot_start[0] :][self.order]
        for key, (result, magnitude, n_terms) in expected.items():
            if key == "backward":
                result = result * (self.peer.x > 0)
            error = np.abs(by_sample[key] - result)
            if not (error <= (n_terms + 1) * np.finfo(np.float32).eps * magnitude).all():
                raise AssertionError(f"{key} of our layer differs from the dense product by {error.max()}")


def run(settings):
    """Measure; returns list of Row."""
    rows = []
    sizes = (1024,) if settings.is_quick else (2048, 4096)
    for n in sizes:
        for density in (0.01, 0.05):
            ours = OurLayer(n, density)
            ours.check()
            rows += _measure(ours, f"{n}x{n} at {density:.0%}", f"{n}_{density:.0%}".rstrip("%"), settings)
    return sorted(rows, key=lambda row: row.number)


def _measure(ours, title, key, settings):
    peers = {f"torch csr {product}, threads {n}": (n, torch_csr.prepare(ours.peer, product=product)) for product in ("mkl", "native") for n in (1, 2)}
    scipy = scipy_csr.prepare(ours.peer)
    rows = []
    for number, what, own, parts, bar in (
        ("4", "forward", ours.forward, ("forward",), 1.25),
        ("5", "backward+gradient", ours.backward, ("backward", "gradient"), 1.5),
    ):
        contestants = {"neurosim": own}
        for name, (n, functions) in peers.items():
            contestants[name] = on_torch_threads(n, _in_turn([functions[part] for part in parts]))
        contestants["scipy csr"] = _in_turn([scipy[part] for part in parts])
        comparison = interleave(contestants, settings.repetitions, calls=CALLS, lead=LEAD)
        case = f"{title}, batch {BATCH_SIZE}, {what}"
        rows.append(ratio_row(comparison, f"{what}_{key}", number, case, "neurosim", list(peers), bar=bar))
        rows.append(ratio_row(comparison, f"{what}_{key}_scipy", number, case, "neurosim", ["scipy csr"]))
    return rows


def _in_turn(functions):
    def call():
        for function in functions:
            function()

    return call
