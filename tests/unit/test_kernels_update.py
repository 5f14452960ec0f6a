"""The update of slots: who moves, who is marked, who is released, and the same bits wherever a slot lies."""

import numpy as np
import pytest

from neurosim.kernels.compile import kernel
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.update import CHUNK, MARKED, release_marked, update_chunk
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore, layered_plan

KEY = np.uint64(0x0123456789ABCDEF)


# What is inlined into kernels need not be callable from Python.
@kernel
def run_update(slots, start, stop, eta, l1, noise_std, key):
    return update_chunk(slots, start, stop, eta, l1, noise_std, key)


@kernel
def run_release(slots, segments, matrices, tally, below):
    release_marked(slots, segments, matrices, tally, below)


def f(x):
    return np.float32(x)


def store_with_gradient(n=600, seed=1):
    store = SynapseStore.random(layered_plan((60, 40), (n,), headroom=0.1), seed)
    store.slots.gradient[:] = np.random.default_rng(seed).normal(0, 0.3, store.n_slots)
    return store


def update(store, eta=0.1, l1=0.0, noise_std=0.0, start=0, stop=None):
    return run_update(store.slots, start, store.n_slots if stop is None else stop, f(eta), f(l1), f(noise_std), KEY)


@pytest.mark.parametrize("noise_std", [0.0, 0.05])
def test_a_slot_gets_the_same_bits_wherever_the_chunk_is_cut(noise_std):
    """Vector body and scalar remainder of the loop must round alike, or a resumed run would differ."""
    whole, single, odd = (store_with_gradient() for _ in range(3))
    n_below = update(whole, noise_std=noise_std, l1=0.01)
    n = whole.n_slots
    assert n_below == sum(update(single, noise_std=noise_std, l1=0.01, start=k, stop=k + 1) for k in range(n))
    cuts = [0, 1, 4, 11, 27, 60, 123, 250, 377, n]
    assert n_below == sum(update(odd, noise_std=noise_std, l1=0.01, start=a, stop=b) for a, b in zip(cuts, cuts[1:], strict=False))
    assert 20 < n_below < 400
    for other in (single, odd):
        assert whole.slots.weight.tobytes() == other.slots.weight.tobytes()
        assert whole.slots.active.tobytes() == other.slots.active.tobytes()


def test_below_zero_is_marked_and_emptied():
    store = store_with_gradient()
    active, theta = store.slots.active == 1, store.theta.astype(np.float64)
    sign = np.copysign(1.0, store.slots.weight)
    want = theta - np.float64(f(0.1)) * (sign * store.slots.gradient + np.float64(f(0.02)))
    assert np.abs(want[active]).min() > 1e-7
    n_below = update(store, l1=0.02)
    marked = store.slots.active == MARKED
    assert n_below == marked.sum() > 20
    np.testing.assert_array_equal(marked, active & (want < 0))
    assert np.all(store.slots.weight[marked] == 0) and np.all(store.slots.gradient == 0)
    np.testing.assert_allclose(store.theta[active & ~marked], want[active & ~marked], rtol=0, atol=3e-7)


def test_free_slots_do_not_move():
    """Not by gradient, not by L1, not by noise; and a free slot is never marked."""
    store = store_with_gradient()
    free = store.slots.active == 0
    assert free.sum() == 60
    store.slots.gradient[free] = -100.0
    update(store, noise_std=1.0, l1=-1.0)
    assert np.all(store.slots.active[free] == 0) and np.all(store.slots.weight[free] == 0)


def test_theta_of_zero_stays_active():
    """theta >= 0 is active (Bellec et al. 2018); only below zero is released."""
    store = SynapseStore.random(layered_plan((20, 20), (100,)), 0)
    store.slots.weight[:] = np.copysign(f(0), store.slots.weight)
    assert update(store) == 0
    assert store.violations() == []


@pytest.mark.parametrize("slope", [1e-44, 1e-43, 1e-40, -1e-44])
def test_a_step_that_underflows_keeps_the_sign(slope):
    """theta = 0 and eta * slope below the smallest float32: theta becomes -0.0, which is not below zero.

    The sign bit of the weight must stay that of the position.
    """
    store = SynapseStore.random(layered_plan((20, 20), (100,)), 0)
    signs = np.copysign(1.0, store.slots.weight)
    store.slots.weight[:] = np.copysign(f(0), store.slots.weight)
    store.slots.gradient[:] = np.copysign(f(slope), slope * signs)
    update(store, eta=1e-6)
    stays = store.slots.active == 1
    np.testing.assert_array_equal(np.copysign(1.0, store.slots.weight)[stays], signs[stays])


def test_not_a_number_is_not_released_in_silence():
    """NaN compares false: the slot stays, so that the check of weights finds it."""
    store = store_with_gradient()
    store.slots.gradient[3] = np.nan
    update(store)
    assert store.slots.active[3] == 1 and np.isnan(store.slots.weight[3])


def test_release_marked_over_segments_and_chunks():
    """Chunks straddle segments and segments straddle chunks; all marked slots go, and only they."""
    matrices = (MatrixPlan(40, 30, 0, 40), MatrixPlan(30, 20, 40, 70))
    cuts = ((0, 0, 3, 90, 100), (0, 3, 30, 500, 900), (1, 0, 10, 40, 40), (1, 10, 19, 200, 261), (1, 19, 20, 0, 3))
    segments = tuple(SegmentPlan(m, i, a, b, k, n) for i, (m, a, b, k, n) in enumerate(cuts))
    home = (-1,) * 40 + (0,) * 30 + (1,) * 20
    store = SynapseStore.random(StorePlan(matrices, segments, "core", home, 5), 2)
    assert store.violations() == []
    n_chunks = -(-store.n_slots // CHUNK)
    assert n_chunks > 3
    rng = np.random.default_rng(1)
    n_released = np.zeros(5, np.int64)
    for i in range(60):
        store.slots.gradient[:] = rng.normal(0, 0.3, store.n_slots)
        if i % 3 == 0:
            store.slots.gradient[CHUNK:] = 0
        below = np.zeros(n_chunks, np.int32)
        for chunk in range(n_chunks):
            below[chunk] = update(store, start=chunk * CHUNK, stop=min((chunk + 1) * CHUNK, store.n_slots))
        marked = store.slots.active == MARKED
        by_segment = np.add.reduceat(marked, store.segments.slot_start[:-1])
        n_before = store.n_active_by_segment
        counted = below.copy()
        run_release(store.slots, store.segments, store.matrices, store.tally, below)
        assert not (store.slots.active == MARKED).any()
        np.testing.assert_array_equal(below, counted)  # threads that release other matrices read it too
        np.testing.assert_array_equal(n_before - store.n_active_by_segment, by_segment)
        assert store.violations() == []
        n_released += by_segment
        store.fill(i, 0.05)
        assert store.violations() == []
    np.testing.assert_array_equal(store.tally.by_segment[:, SegmentEvent.RELEASED], n_released)
    assert np.all(n_released[:4] > 40) and n_released[4] == 0
