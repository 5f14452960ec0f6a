"""The end of a step: the same exchange in one share or in several, and several only where matrices share nothing."""

import numpy as np
import pytest

from neurosim.kernels.compile import kernel
from neurosim.kernels.train import StepRule
from neurosim.kernels.rewire import begin_exchange, close_exchange, exchange_share
from neurosim.kernels.threads import N_SHARES, first_of_share
from neurosim.kernels.update import CHUNK, MARKED
from neurosim.synapses import CorePlan, MatrixPlan, SegmentPlan, StorePlan, SynapseStore
from neurosim.training.loop import new_progress

LAYERS = (40, 30, 35, 25, 20, 30, 12)
RULE = StepRule(*map(np.float32, (0.1, 0.0, 0.0, 0.25)), 1, np.uint64(1), np.uint64(2))


@kernel
def exchange(n_shares, slots, segments, matrices, tally, progress, rule, step, below, is_rewiring):
    """All shares, the last one first: their order must not matter."""
    before, unfilled = np.zeros(segments.matrix.size, np.int64), np.zeros(segments.n_wanted.size, np.int64)
    found = begin_exchange(slots, segments, tally, rule, below, is_rewiring)
    n = found if n_shares == 0 else n_shares
    for share in range(n - 1, -1, -1):
        exchange_share(share, n, slots, segments, matrices, tally, rule, step, below, is_rewiring, before, unfilled)
    close_exchange(n, slots, segments, matrices, tally, progress, is_rewiring, 3, before, unfilled)
    return found


def make_store(scope="core", fan_in_limit=None, seed=3, **plan):
    """Six matrices, each on two cores: every share has some, and segments and chunks have no common bounds."""
    starts = np.cumsum((0,) + LAYERS)
    matrices = tuple(MatrixPlan(LAYERS[i], LAYERS[i + 1], int(starts[i]), int(starts[i + 1]), fan_in_limit) for i in range(len(LAYERS) - 1))
    segments = []
    for m, matrix in enumerate(matrices):
        cut = matrix.n_post // 3
        for core, (a, b) in enumerate(((0, cut), (cut, matrix.n_post))):
            k = matrix.n_pre * (b - a) // 3
            segments.append(SegmentPlan(m, core, a, b, k, k + 5))
    home = (-1,) * LAYERS[0] + tuple(int(i % n >= n // 3) for n in LAYERS[1:] for i in range(n))
    return SynapseStore.random(StorePlan(matrices, tuple(segments), scope, home, 2, **plan), seed)


def mark(store, share, seed):
    """Mark a share of the active slots; returns the marked slots of each chunk."""
    slots = store.slots
    is_marked = (slots.active == 1) & (np.random.default_rng(seed).random(store.n_slots) < share)
    slots.active[is_marked] = MARKED
    return np.add.reduceat(is_marked, np.arange(0, store.n_slots, CHUNK)).astype(np.int32)


def contents(store, progress):
    """Everything that an exchange writes, except what lies unused on the stacks of free slots."""
    slots = store.slots
    held = {
        name: getattr(slots, name) for name in ("pre", "post", "weight", "active", "n_free", "disorder", "is_stray", "fan_in", "fan_out", "table")
    }
    stacks = {f"stack {g}": slots.free_slot[start : start + n] for g, (start, n) in enumerate(zip(store.segments.slot_start, slots.n_free[:, 0]))}
    return held | stacks | store.tally._asdict() | progress._asdict()


def run(store, n_shares, n_steps=12, share=0.2):
    progress = new_progress()
    for step in range(n_steps):
        below = mark(store, share, step)
        exchange(n_shares, store.slots, store.segments, store.matrices, store.tally, progress, RULE, step, below, step % 3 != 1)
        assert store.violations() == []
    return contents(store, progress)


@pytest.mark.parametrize("scope, fan_in_limit", [("core", None), ("layer", None), ("core", 10)])
def test_shares_do_what_one_thread_does(scope, fan_in_limit):
    alone, shared = (run(make_store(scope, fan_in_limit), n) for n in (1, N_SHARES))
    assert alone["by_segment"].sum() > 10_000 and alone["disorder"][0] > 1000
    if fan_in_limit:
        assert alone["n_unfilled"][0] > 0 and alone["unfilled_by"].sum() > 0  # what is noted afterwards was noted
    for name, values in alone.items():
        np.testing.assert_array_equal(values, shared[name], err_msg=name)


def test_every_matrix_has_one_share():
    assert sorted(int(first_of_share.py_func(share)) for share in range(N_SHARES)) == list(range(N_SHARES))


@pytest.mark.parametrize(
    "options, n_shares",
    [
        ({}, N_SHARES),
        ({"scope": "layer"}, N_SHARES),
        ({"scope": "network"}, 1),
        ({"counts_pairs": True}, 1),
        ({"limits": CorePlan(in_axons=(200, 200))}, 1),
        ({"limits": CorePlan(routing_entries=(10**6,))}, 1),
    ],
)
def test_several_shares_only_where_matrices_share_nothing(options, n_shares):
    store = make_store(**options)
    many, few = mark(store, 0.5, 0), np.zeros(-(-store.n_slots // CHUNK), np.int32)
    arrays = store.slots, store.segments, store.matrices, store.tally
    assert exchange(0, *arrays, new_progress(), RULE, 0, many, True) == n_shares
    assert exchange(0, *arrays, new_progress(), RULE, 1, few, True) == 1  # not worth waking anybody
    assert store.violations() == []


def test_open_places_of_pairs_are_booked_by_one_thread():
    store = make_store()
    store.tally.n_open[0] = 3
    tally = store.tally._replace(exchanged=np.zeros((8192, 4), np.int32))
    below = mark(store, 0.5, 0)
    assert exchange(0, store.slots, store.segments, store.matrices, tally, new_progress(), RULE, 0, below, True) == 1
    assert tally.n_exchanged[0] > 128
