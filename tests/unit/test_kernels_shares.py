"""Threads that share a tile by rows: products as in dense float64 matrices, and the same bits however many shares there are.

Slots are taken out, put in, and taken out again, so that strays, freed strays and freed slots lie everywhere, in two segments a matrix.
"""

import numpy as np
import pytest
from kernel_calls import call_of

from neurosim.kernels.cells import join_cells
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.mlp import Layers
from neurosim.kernels.train import Batch, Counting, Progress, StepRule
from neurosim.kernels.order import count_strips
from neurosim.kernels.shares import make_shares
from neurosim.nn import Mlp, mlp
from neurosim.nn import network as network_module
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore

run_forward_share, run_backward_share = map(call_of, make_shares(join_cells(("relu",))))

SIZES = (2100, 2600, 60)
N_LANES, LANES = 32, (0,) * 32
NO_BIASES = np.zeros(0, np.float32)
LAYERS = Layers(1, np.zeros(2, np.int64), np.zeros(2, np.uint8))
EPS = np.finfo(np.float32).eps
NEVER = 10**9


def make_store():
    """2100-2600-60 on two cores, three and five strips; a tenth of the slots is free."""
    n_in, n_hidden, n_out = SIZES
    matrices = (MatrixPlan(n_in, n_hidden, 0, n_in, None), MatrixPlan(n_hidden, n_out, n_in, n_in + n_hidden, None))
    bounds = ((0, 0, 0, 1001), (0, 1, 1001, n_hidden), (1, 0, 0, 23), (1, 1, 23, n_out))
    segments = tuple(SegmentPlan(*b, n, n + n // 10) for b, n in zip(bounds, (14_000, 22_000, 900, 1100), strict=True))
    home = (-1,) * n_in + (0,) * 1001 + (1,) * (n_hidden - 1001) + (0,) * 23 + (1,) * (n_out - 23)
    store = SynapseStore.random(StorePlan(matrices, segments, "core", home, 2), 3)
    store.sort()
    assert [count_strips(store.matrices, m) for m in (0, 1)] == [3, 5]
    return store


def is_stray(store):
    return np.unpackbits(store.slots.is_stray.view(np.uint8), bitorder="little")[: store.n_slots] == 1


def release(store, rng, n, where=True):
    """Release at most `n` synapses, drawn from all or from slots that are true in `where`."""
    used = np.flatnonzero((store.slots.active == 1) & where)
    store.release(rng.choice(used, min(n, used.size), replace=False))


def disorder(store, state, rng):
    """Bring the slots of a sorted store into a state that training may leave them in."""
    if state == "in order":
        return
    if state == "emptied":  # one segment without a synapse, one of strays alone
        of_segment = np.repeat(np.arange(4), np.diff(store.segments.slot_start))
        release(store, rng, NEVER, of_segment == 2)
        store.fill(1, 0.5)
        release(store, rng, NEVER, of_segment == 0)
        release(store, rng, 100, is_stray(store))
        return
    n = {"few strays": 40, "strays": 3000, "mostly strays": 25_000}[state]
    for key in range(2):
        release(store, rng, n)
        store.fill(key, 0.5)
    release(store, rng, n // 3)
    release(store, rng, n // 4, is_stray(store))


def disturb_free(store, rng):
    """Free slots behind those in order may hold any neurons of their segment."""
    for g, segment in enumerate(store.plan.segments):
        start, stop = store.segments.slot_start[g : g + 2]
        ordered = np.flatnonzero((store.slots.active[start:stop] == 1) & ~is_stray(store)[start:stop])
        behind = np.arange(start + (ordered[-1] + 1 if ordered.size else 0), stop)
        behind = behind[store.slots.active[behind] == 0]
        store.slots.pre[behind] = rng.integers(store.plan.matrices[segment.matrix].n_pre, size=behind.size)
        store.slots.post[behind] = rng.integers(segment.post_start, segment.post_stop, size=behind.size)


def make_tiles(rng):
    """(act, err): random inputs and errors of outputs, all other rows NaN."""
    act, err = np.full((2, sum(SIZES), N_LANES), np.nan, np.float32)
    act[: SIZES[0]] = rng.random((SIZES[0], N_LANES)) * (rng.random((SIZES[0], N_LANES)) < 0.5)
    err[-SIZES[2] :] = rng.normal(size=(SIZES[2], N_LANES))
    return act.ravel(), err.ravel()


def run_shares(store, act, err, n_shares, shares):
    """Forward and backward; returns (act, err, gradient, marks of act, marks of err)."""
    act, err = act.copy(), err.copy()
    live, wrong = np.zeros((2, 4, -(-sum(SIZES) // 32) * 32), np.uint16)
    store.slots.gradient[:] = 0
    for m in (0, 1):
        for share in shares:
            run_forward_share(store.slots, store.segments, store.matrices, LAYERS, NO_BIASES, m, share, n_shares, act, N_LANES, LANES)
    for m in (1, 0):
        for share in shares:
            run_backward_share(store.slots, store.segments, store.matrices, LAYERS, m, share, n_shares, act, err, N_LANES, LANES, live, 1, wrong, 1)
    gradient = store.slots.gradient.copy()
    store.slots.gradient[:] = 0
    return act, err, gradient, live, wrong


STATES = ("in order", "few strays", "strays", "mostly strays", "emptied")


@pytest.fixture(params=STATES)
def disordered(request):
    rng = np.random.default_rng(len(request.param))
    store = make_store()
    disorder(store, request.param, rng)
    disturb_free(store, rng)
    assert is_stray(store).any() == (request.param != "in order")
    assert (is_stray(store) & (store.slots.active == 0)).any() == (request.param != "in order")
    return store, *make_tiles(rng)


def assert_close(found, dense, a, b, fan_in):
    """Sums of float32 products: (fan-in + 1) * eps * sum |a||b|."""
    bound = (fan_in + 1)[:, None] * EPS * (np.abs(a).T @ np.abs(b))
    assert np.all(np.abs(found - dense) <= bound) and np.abs(dense).max() > 0


def test_products_equal_dense_ones(disordered):
    store, act, err = disordered
    act, err, gradient, live, wrong = run_shares(store, act, err, 3, range(3))
    rows, errors = act.reshape(-1, N_LANES).astype(float), err.reshape(-1, N_LANES).astype(float)
    x, hidden, logits = np.split(rows, np.cumsum(SIZES)[:2])
    e_hidden, e_out = errors[SIZES[0] : -SIZES[2]], errors[-SIZES[2] :]
    first, second = (store.dense(m).astype(float) for m in (0, 1))
    assert_close(hidden, np.maximum(first.T @ x, 0), first, x, (first != 0).sum(0))
    assert_close(logits, second.T @ hidden, second, hidden, (second != 0).sum(0))
    assert_close(e_hidden, (second @ e_out) * (hidden > 0), second.T, e_out, (second != 0).sum(1))
    for m, (values, deltas) in enumerate(((x, e_hidden), (hidden, e_out))):
        part = slice(*store.matrices.slot_start[m : m + 2])
        used = store.slots.active[part] == 1
        products = values[store.slots.pre[part][used]] * deltas[store.slots.post[part][used]]
        bound = (N_LANES + 1) * EPS * np.abs(products).sum(1)
        assert np.all(np.abs(gradient[part][used] - products.sum(1)) <= bound) and used.any()
    for marks, values in ((live, hidden), (wrong, e_hidden)):
        bits = np.unpackbits(marks[1:3, SIZES[0] : SIZES[0] + SIZES[1]].copy().view(np.uint8).reshape(2, -1, 2), axis=2, bitorder="little")
        np.testing.assert_array_equal(np.concatenate(bits, axis=1) == 1, values != 0)
        assert not marks[0].any() and not marks[3].any()


@pytest.mark.parametrize("n_shares", [2, 3, 7, 61])
def test_the_number_of_shares_changes_no_bit(disordered, n_shares):
    """In any order, too: no share needs what another writes."""
    store, act, err = disordered
    whole = run_shares(store, act, err, 1, range(1))
    for shares in (range(n_shares), range(n_shares)[::-1]):
        for a, b in zip(whole, run_shares(store, act, err, n_shares, shares), strict=True):
            assert a.tobytes() == b.tobytes()


# training steps


@pytest.fixture
def as_scattered(monkeypatch):
    """Small networks count as large and sparse ones."""
    monkeypatch.setattr(mlp, "_is_scattered", lambda matrices: True)
    monkeypatch.setattr(mlp, "_has_strips", lambda matrices: True)
    monkeypatch.setattr(mlp, "PARALLEL_WORK", 0)


def make_batch(n_samples=5 * 96, size=96):
    rng = np.random.default_rng(1)
    x = (rng.integers(1, 256, (n_samples, SIZES[0])) * (rng.random((n_samples, SIZES[0])) < 0.3)).astype(np.uint8)
    return Batch(x, rng.integers(0, SIZES[2], n_samples).astype(np.int32), rng.permutation(n_samples), np.float32(1 / 255), size)


def train(store, n_shares, monkeypatch, cuts=(0, 5), rewires=True, by_rows=True):
    """Train over the given cuts, each in a network of its own; returns the store."""
    rule = StepRule(
        np.float32(0.05), np.float32(1e-4), np.float32(1e-3 * rewires), np.float32(0.01), 1 if rewires else NEVER,
        np.uint64(5), np.uint64(6), has_free_signs=not rewires,
    )  # fmt: skip
    batch = make_batch()
    for first, stop in zip(cuts, cuts[1:], strict=False):
        state = {name: values.copy() for name, values in store.state().items()}
        network = Mlp(store, batch.size)
        store.restore(state)
        assert network.n_lanes == N_LANES and network.shares_tiles and network._partial.size == 0
        if not by_rows:
            network._steps, network._partial = network._kernels.train_steps_parallel, np.zeros((2, store.n_slots), np.float32)
        progress = Progress(np.zeros(1), *(np.zeros(1, np.int64) for _ in range(2)), np.full(1, NEVER), *(np.zeros(1, np.int64) for _ in range(2)))
        monkeypatch.setattr(network_module, "count_threads", lambda: n_shares)
        assert network.train(batch, rule, Counting(True, 0, True, 64), progress, first, stop - first, first * batch.size) == stop - first
        network.settle()
    return store


def bits_of(store):
    return [values.tobytes() for values in store.state().values()]


def test_threads_and_resumption_change_no_bit(as_scattered, monkeypatch):
    whole = train(make_store(), 1, monkeypatch)
    booked = whole.tally.by_segment.sum(0)
    assert booked[SegmentEvent.RELEASED] > 500 and booked[SegmentEvent.ACCEPTED] > 500 and whole.violations() == []
    for n_shares, cuts in ((2, (0, 5)), (3, (0, 5)), (2, (0, 2, 5)), (1, (0, 1, 2, 3, 4, 5))):
        store = train(make_store(), n_shares, monkeypatch, cuts)
        assert bits_of(store) == bits_of(whole) and store.violations() == []


def test_counts_equal_those_by_tiles(as_scattered, monkeypatch):
    """Slots in order make the same sums both ways, so every count is the same."""
    stores = [train(make_store(), 2, monkeypatch, rewires=False, by_rows=by_rows) for by_rows in (True, False)]
    tallies = [store.tally for store in stores]
    assert tallies[0].by_segment[:, SegmentEvent.PAIR_NONZERO].min() > 1000
    for a, b in zip(*tallies, strict=True):
        np.testing.assert_array_equal(a, b)
    assert bits_of(stores[0]) == bits_of(stores[1])
