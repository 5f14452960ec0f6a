"""Merging restores the order that sorting makes, and loses nothing, however far the slots lie out of order."""

from dataclasses import replace

import numpy as np
import pytest
from kernel_calls import call_of

from neurosim.datasets.dataset import Dataset
from neurosim.kernels import order
from neurosim.kernels.merge import deal_arrivals
from neurosim.rewiring import DeepR
from neurosim.synapses import SynapseStore, layered_plan
from neurosim.synapses.plan import MatrixPlan, SegmentPlan, StorePlan
from neurosim.training import Schedule, Trainer, TrainingPlan

note_disorder, run_deal_arrivals = call_of(order.note_disorder), call_of(deal_arrivals)


def make_store(n_moments=0, has_master=False):
    """3000-400-50: five strips and one; a tenth of the slots is free."""
    plan = layered_plan((3000, 400, 50), (9000, 4000), headroom=0.1)
    store = SynapseStore.random(replace(plan, n_moments=n_moments, has_master=has_master), 5)
    store.sort()
    rng = np.random.default_rng(0)
    used = store.slots.active == 1
    for values in (*store.slots.moments, store.slots.master):
        if values.size:
            values[used] = np.copysign(rng.random(used.sum(), np.float32), store.slots.weight[used])
    return store


def keys_at(store, segment, slots):
    """Strip and post neuron of the given slots of a segment, as one number."""
    matrix = store.plan.segments[segment].matrix
    strip = store.slots.pre[slots].astype(np.int64) * order.count_strips(store.matrices, matrix) // store.plan.matrices[matrix].n_pre
    return strip * 10**6 + store.slots.post[slots]


def keys(store, segment):
    """`keys_at` of the active slots of a segment."""
    start, stop = store.segments.slot_start[segment : segment + 2]
    return keys_at(store, segment, start + np.flatnonzero(store.slots.active[start:stop]))


def contents(store):
    """Everything that belongs to each synapse, in an order of its own."""
    slots, used = store.slots, store.slots.active == 1
    columns = [slots.pre, slots.post, slots.weight, *([slots.master] if slots.master.size else []), *slots.moments]
    matrix = np.searchsorted(store.matrices.slot_start, np.arange(used.size), side="right")
    return sorted(zip(*(column[used].tolist() for column in (matrix, *columns)), strict=True))


def exchange(store, rng, n, key):
    store.release(rng.choice(np.flatnonzero(store.slots.active == 1), n, replace=False))
    store.fill(key, 0.5)


@pytest.mark.parametrize("n_moments, has_master", [(0, False), (2, False), (1, True)])
@pytest.mark.parametrize("n", [0, 1, 40, 300, 1000, 3000, 12_000])
def test_merging_sorts_and_keeps_every_synapse(n, n_moments, has_master):
    """From no slot out of order to nearly all of them: 1000 of 14,300 are merged, 3000 sorted as a whole."""
    store, rng = make_store(n_moments, has_master), np.random.default_rng(n)
    for key in range(3):
        exchange(store, rng, n, key)
        before, n_free = contents(store), store.slots.n_free[:, 0].copy()
        n_unordered = sum((np.diff(keys(store, segment)) < 0).sum() for segment in (0, 1))
        assert n_unordered >= n // 8
        store.merge()
        assert contents(store) == before
        np.testing.assert_array_equal(store.slots.n_free[:, 0], n_free)
        assert store.violations() == []
        for segment in (0, 1):
            assert np.all(np.diff(keys(store, segment)) >= 0)
            start, stop = store.segments.slot_start[segment : segment + 2]
            assert np.all(store.slots.active[stop - n_free[segment] : stop] == 0) and n_free[segment] > 0
            assert store.slots.free_slot[start + n_free[segment] - 1] == stop - n_free[segment]


def test_merging_releases_without_successors():
    store, rng = make_store(), np.random.default_rng(7)
    for _ in range(6):
        store.release(rng.choice(np.flatnonzero(store.slots.active == 1), 1500, replace=False))
        before = contents(store)
        store.merge()
        assert contents(store) == before and store.violations() == []
    store.release(np.flatnonzero(store.slots.active == 1))
    store.merge()
    assert contents(store) == [] and store.violations() == []


@pytest.mark.parametrize("n_moments, has_master", [(0, False), (2, False), (1, True)])
@pytest.mark.parametrize("n", [0, 2, 40, 3000])
def test_arrivals_are_dealt_in_the_order_of_slots(n, n_moments, has_master):
    """Five strips: arrivals lie in order among themselves. One strip: each stays where it came."""
    store, rng = make_store(n_moments, has_master), np.random.default_rng(n)
    for key in range(2):
        held = store.slots.active == 1
        leaving = rng.choice(np.flatnonzero(held), n, replace=False)
        store.release(np.sort(leaving))
        n_before = store.slots.n_free[:, 0].copy()
        store.fill(key, 0.5)
        for values in (store.slots.weight, *store.slots.moments):  # a value of its own for each, so that a lost one would show
            values[leaving] = np.copysign(rng.random(n, np.float32), store.slots.weight[leaving])
        if has_master:
            store.slots.master[leaving] = store.slots.weight[leaving]
        before, pre, n_unordered = contents(store), store.slots.pre.copy(), []
        for segment in (0, 1):
            start = store.segments.slot_start[segment]
            taken = store.slots.free_slot[start + store.slots.n_free[segment, 0] : start + n_before[segment]]
            assert taken.size == np.isin(leaving, np.arange(*store.segments.slot_start[segment : segment + 2])).sum()
            n_unordered.append((np.diff(keys_at(store, segment, taken)) < 0).sum())
            run_deal_arrivals(store.slots, store.segments, store.matrices, segment, n_before[segment])
            is_sorted = np.all(np.diff(keys_at(store, segment, np.sort(taken))) >= 0)
            assert is_sorted if segment == 0 else n_unordered[1] == 0 or not is_sorted
        assert n < 40 or n_unordered[0] > n // 8
        assert contents(store) == before and store.violations() == []
        others = np.setdiff1d(np.arange(pre.size), leaving)
        np.testing.assert_array_equal(store.slots.pre[others], pre[others])
        store.merge()
        assert contents(store) == before and store.violations() == []


@pytest.mark.parametrize("batch_size, is_dealt", [(128, True), (10, False)])
def test_a_step_deals_its_arrivals_where_slots_are_kept_in_order(batch_size, is_dealt):
    rng, store = np.random.default_rng(0), make_store()
    x = rng.integers(0, 255, (128, 3000), dtype=np.uint8)
    data = Dataset("random", x, rng.integers(50, size=128, dtype=np.int32), x, np.zeros(128, np.int32), 1 / 255, 50, None, "", "")
    rule = DeepR(l1=0.05 * float(np.median(np.abs(store.slots.weight[store.slots.active == 1]))), noise_std=0.0)
    trainer = Trainer(store, data, TrainingPlan(0, 1, batch_size, Schedule("constant", 1.0), rule, 64))
    trainer.run(should_stop=lambda: True)
    assert trainer.step == 1
    stop = store.segments.slot_start[1]
    arrivals = np.flatnonzero(np.unpackbits(store.slots.is_stray.view(np.uint8), bitorder="little")[:stop])
    assert arrivals.size > 100
    assert np.all(np.diff(keys_at(store, 0, arrivals)) >= 0) == is_dealt


def make_column(post, is_stray):
    """Store of one pre neuron whose slots hold the given post neurons in turn; its weights say where each slot was."""
    n = post.size
    plan = StorePlan((MatrixPlan(1, n, 0, 1, None),), (SegmentPlan(0, 0, 0, n, n, n),), "core", (-1,) + (0,) * n, 1)
    store = SynapseStore.random(plan, 0)
    store.slots.post[:] = post
    store.slots.weight[:] = np.arange(n)
    store.slots.is_stray[:] = np.packbits(np.resize(is_stray, -(-n // 64) * 64), bitorder="little").view(np.uint64)
    return store


def scatter(n, slots, values):
    """(post, is_stray): the given slots hold the given values, all others the remaining ones in order."""
    is_stray = np.zeros(n, bool)
    is_stray[slots] = True
    post = np.empty(n, np.int64)
    post[slots] = values
    post[~is_stray] = np.setdiff1d(np.arange(n), values)
    return post, is_stray


PATTERNS = {
    "none": lambda n, rng: ([], []),
    "first is largest": lambda n, rng: ([0], [n - 1]),
    "last is smallest": lambda n, rng: ([n - 1], [0]),
    "a row goes up": lambda n, rng: (np.arange(100), np.arange(n - 100, n)),
    "a row goes down": lambda n, rng: (np.arange(n - 100, n), np.arange(100)[::-1]),
    "all where they were": lambda n, rng: (np.arange(0, n, 10), np.arange(0, n, 10)),
    "to both sides": lambda n, rng: (np.arange(0, n, 16), np.roll(np.arange(0, n, 16), 7)),
    "random": lambda n, rng: (rng.choice(n, n // 9, replace=False), rng.choice(n, n // 9, replace=False)),
    "too many": lambda n, rng: (np.arange(n), rng.permutation(n)),
}


@pytest.mark.parametrize("n", [4096, 4001])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_merging_moves_strays_and_blocks(pattern, n):
    post, is_stray = scatter(n, *PATTERNS[pattern](n, np.random.default_rng(n)))
    store = make_column(post, is_stray)
    store.merge()
    np.testing.assert_array_equal(store.slots.post, np.arange(n))
    np.testing.assert_array_equal(post[store.slots.weight.astype(int)], np.arange(n))
    assert not store.slots.is_stray.any()


def test_merging_is_due_when_disorder_has_cost_as_much():
    """Twice the rate of exchanges: 1 / sqrt(2) of the time between two merges."""
    slots = make_store().slots

    def steps_until_due(n_arrivals, n_tiles):
        slots.disorder[:] = 0
        for step in range(1, 10_000):
            slots.disorder[0] += n_arrivals
            if note_disorder(slots, n_tiles):
                return step
        return None

    slow, fast, tiles = steps_until_due(1, 1), steps_until_due(2, 1), steps_until_due(1, 4)
    assert abs(slow - np.sqrt(2 * slots.pre.size / 7)) <= 2
    assert abs(fast - slow / np.sqrt(2)) <= 1 and abs(tiles - slow / 2) <= 1
