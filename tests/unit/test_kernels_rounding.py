"""Weights in the chip's format: rounding against NumPy, who leaves, saturation, what is drawn, resumption, threads."""

import hashlib

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.datasets import load_dataset
from neurosim.errors import TrainingDivergedError
from neurosim.kernels.compile import kernel
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.rounding import count_saturated, nearest_on_grid, read_out_chunk, round_chunk, stochastic_on_grid
from neurosim.kernels.update import CHUNK, MARKED, move_chunk, settle_chunk
from neurosim.rewiring import DeepR
from neurosim.scenario.formats import parse_weight_format
from neurosim.synapses import Grid, SynapseStore, layered_plan
from neurosim.training import Optimizer, Schedule, Trainer, TrainingPlan, load_checkpoint, save_checkpoint

KEY = np.uint64(77)
F32 = np.float32


@kernel
def round_all(theta, step, top, ulp, bits, is_stochastic, out):
    for k in range(theta.size):
        if is_stochastic:
            out[k] = stochastic_on_grid(theta[k], step, top, ulp, bits[k])
        else:
            out[k] = nearest_on_grid(theta[k], step, top, ulp)


@kernel
def run_update(slots, matrices, eta, is_stochastic, saturated, tally):
    """The chunks of one update, as a training step does it."""
    n_below = 0
    for chunk in range((slots.pre.size + CHUNK - 1) // CHUNK):
        start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, slots.pre.size)
        move_chunk(slots, start, stop, eta, F32(0.0), F32(0.0), KEY)
        if slots.master.size == 0:
            round_chunk(slots, matrices, start, stop, is_stochastic, KEY, saturated, chunk)
        n_below += settle_chunk(slots, start, stop)
        if slots.master.size > 0:
            read_out_chunk(slots, matrices, start, stop, is_stochastic, KEY, saturated, chunk)
    count_saturated(matrices, tally, saturated, CHUNK)
    return n_below


def grid_of(name, n_pre=100, full_scale=None):
    return Grid(*parse_weight_format(name).grid(n_pre, full_scale))


def rounded(theta, grid, bits=None):
    theta = np.asarray(theta, np.float32)
    out = np.empty_like(theta)
    draws = np.zeros(theta.size, np.uint32) if bits is None else bits
    round_all(theta, *(F32(x) for x in grid), draws, bits is not None, out)
    return out


def some_thetas():
    rng = np.random.default_rng(3)
    return np.abs(np.concatenate([rng.normal(0, s, 20_000) for s in (1e-7, 1e-5, 0.01, 1, 100)])).astype(np.float32)


def test_grids_by_hand():
    assert grid_of("s0.7") == (2**-7, 127 / 128, 2**-23)
    assert grid_of("s3.12") == (2**-12, 8 - 2**-12, 2**-23)
    assert grid_of("int8", full_scale=2.0) == (2 / 128, 2 - 2 / 128, 2**-23)
    assert grid_of("int4", full_scale=1.0) == (1 / 8, 7 / 8, 2**-23)
    # 16 / sqrt(784) = 0.57 and 16 / sqrt(100) = 1.6; 16 / sqrt(256) = 1 is a power of two already.
    assert [grid_of("int8", n)[0] * 128 for n in (784, 100, 256)] == [1, 2, 1]
    assert grid_of("float32").step == 0
    assert [parse_weight_format(name).theta_bits for name in ("float32", "float16", "s3.12", "int8")] == [32, 16, 15, 7]


def test_float16_is_that_of_numpy():
    """Every bit, ties and values below the normal range included."""
    theta = np.concatenate([some_thetas(), np.arange(0, 2**-13, 2**-26, dtype=np.float32), np.arange(2048, 4100, 0.5, dtype=np.float32)])
    np.testing.assert_array_equal(rounded(theta, grid_of("float16")), theta.astype(np.float16).astype(np.float32))


@pytest.mark.parametrize("name", ["s0.7", "s3.12", "s0.1", "int4", "int16", "s7.15"])
def test_fixed_point_is_rounding_to_even(name):
    step, top, _ = grid_of(name, full_scale=2.0 if name.startswith("int") else None)
    theta = some_thetas()
    theta = np.concatenate([theta, (np.arange(200, dtype=np.float32) + F32(0.5)) * F32(step)])
    want = np.minimum(np.rint(theta.astype(float) / step) * step, top)
    np.testing.assert_array_equal(rounded(theta, (step, top, 2**-23)), want)


@pytest.mark.parametrize("name", ["float16", "s3.12", "int4"])
def test_stochastic_rounding_is_unbiased_and_keeps_what_lies_on_the_grid(name):
    grid, rng = grid_of(name), np.random.default_rng(5)
    thetas = np.array([0.3 * grid.step, 0.07, 0.123, 0.5 + grid.step / 3, 1.7], np.float32)
    n = 200_000
    for theta in thetas:
        draws = rounded(np.full(n, theta), grid, rng.integers(0, 2**32, n, dtype=np.uint32)).astype(float)
        below, above = draws.min(), draws.max()
        assert below <= theta <= above and np.isin(draws, (below, above)).all()
        share = (theta - below) / (above - below) if above > below else 0
        # 5 sigma of a binomial share.
        assert abs(draws.mean() - theta) <= 5 * (above - below) * np.sqrt(share * (1 - share) / n) + 1e-12
        for kept in (below, above):
            assert np.all(rounded(np.full(1000, kept), grid, rng.integers(0, 2**32, 1000, dtype=np.uint32)) == kept)


def test_not_a_number_and_infinity_do_not_become_weights():
    for name in ("float16", "s3.12", "int4"):
        for bits in (None, np.zeros(2, np.uint32)):
            assert not np.isfinite(rounded([np.nan, np.inf], grid_of(name), bits)).any()


def make_store(name="int4", has_master=False, seed=3, n_moments=0, headroom=0.1):
    grids = [grid_of(name, n) for n in (60, 40)]
    plan = layered_plan((60, 40, 10), (1500, 300), headroom=headroom, grids=grids, has_master=has_master, n_moments=n_moments)
    return SynapseStore.random(plan, seed)


@pytest.mark.parametrize("has_master", [False, True])
@pytest.mark.parametrize("is_stochastic", [False, True])
def test_one_update_in_numpy(has_master, is_stochastic):
    """Who leaves is decided by the exact sum; what stays is rounded; what is above the largest value is counted."""
    store = make_store(has_master=has_master)
    slots, rng = store.slots, np.random.default_rng(1)
    slots.gradient[:] = rng.normal(0, 50, store.n_slots)
    active, sign, gradient = slots.active == 1, np.copysign(F32(1), slots.weight), slots.gradient.copy()
    theta = np.abs(slots.master if has_master else slots.weight)
    # One rounding, as the kernel's fused product: exact in float64 for these few bits.
    new = (theta.astype(float) - float(F32(0.1)) * (sign * gradient).astype(float)).astype(np.float32)
    n_chunks = -(-store.n_slots // CHUNK)
    n_below = run_update(slots, store.matrices, F32(0.1), is_stochastic, np.zeros(n_chunks + 2, np.int32), store.tally)
    marked = slots.active == MARKED
    np.testing.assert_array_equal(marked, active & (new < 0))
    assert n_below == marked.sum() > 100
    stays = active & ~marked
    by_matrix = [slice(*store.matrices.slot_start[m : m + 2]) for m in range(2)]
    saturated = []
    for rows, (step, top, _) in zip(by_matrix, (m.grid for m in store.plan.matrices)):
        here, want = stays[rows], new[rows]
        saturated.append(int((want > top)[here].sum()))
        stored = np.abs(slots.weight[rows][here])
        if is_stochastic:
            assert np.all((np.abs(stored - want[here]) < step) | (stored == F32(top)))
            assert len(np.unique(np.sign(stored - want[here]))) >= 2
        else:
            np.testing.assert_array_equal(stored, np.minimum(np.rint(want[here] / step) * step, top))
    assert saturated == store.tally.saturated.tolist() and min(saturated) > 10
    if has_master:
        np.testing.assert_array_equal(np.abs(slots.master[stays]), new[stays])
    np.testing.assert_array_equal(np.copysign(F32(1), slots.weight), sign)
    assert np.all(slots.weight[~stays] == 0) and np.all(slots.gradient == 0)


def test_small_updates_vanish_without_a_master_copy_and_add_up_in_one():
    for has_master, moves in ((False, False), (True, True)):
        store = make_store("int4", has_master)
        before, n_chunks = store.theta, -(-store.n_slots // CHUNK)
        for _ in range(40):
            store.slots.gradient[:] = -np.copysign(F32(1), store.slots.weight)  # every theta shall grow, by 0.05 steps
            run_update(store.slots, store.matrices, F32(0.05), False, np.zeros(n_chunks + 2, np.int32), store.tally)
        assert np.any(store.theta != before) == moves


def test_the_first_strengths_are_unbiased():
    """The nearest value of most is zero; their mean is that of the float32 strengths (5 sigma of the step's noise)."""
    store, plain = make_store("int4"), SynapseStore.random(layered_plan((60, 40, 10), (1500, 300), headroom=0.1), 3)
    assert store.violations() == [] and np.array_equal(store.slots.pre, plain.slots.pre)
    active = store.slots.active == 1
    step = np.repeat([m.grid.step for m in store.plan.matrices], np.diff(store.matrices.slot_start))[active]
    assert (plain.theta[active] < step / 2).mean() > 0.9 and 0.05 < (store.theta[active] > 0).mean() < 0.5
    difference = (store.theta[active] - plain.theta[active]) / step
    assert abs(difference.mean()) < 5 * 0.5 / np.sqrt(active.sum())


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(["int4", "s1.6", "float16"]), st.booleans())
def test_arrivals_are_rounded_and_master_copies_move_with_them(seed, name, has_master):
    store, rng = make_store(name, has_master, n_moments=1), np.random.default_rng(seed)
    store.release(rng.choice(np.flatnonzero(store.slots.active), 300, replace=False))
    assert store.violations() == []
    assert store.fill(int(rng.integers(2**60)), 0.3) == 0
    assert store.violations() == []
    if has_master:
        assert (np.abs(store.slots.master) == F32(0.3)).sum() == 300
    store.sort()
    assert store.violations() == []
    if has_master:
        moved = np.abs(store.slots.master) == F32(0.3)
        assert moved.sum() == 300
        for m, matrix in enumerate(store.plan.matrices):
            rows = slice(*store.matrices.slot_start[m : m + 2])
            assert np.all(store.theta[rows][moved[rows]] == rounded([0.3], matrix.grid)[0])


def test_a_weight_off_the_grid_is_a_violation():
    store = make_store("s1.6", has_master=True)
    slot = np.flatnonzero(store.slots.active)[5]
    store.slots.weight[slot] *= F32(1.0001)
    store.slots.weight[slot] += np.copysign(F32(0.001), store.slots.weight[slot])
    store.slots.master[slot] *= -1
    assert [line.split(": ")[1] for line in store.violations()] == [
        "a weight that its format cannot hold", "a master copy that does not belong to its weight",
    ]  # fmt: skip


# Training


@pytest.fixture(scope="module")
def few_digits():
    return load_dataset("digits", limit=300)


def make_trainer(
    dataset, name="int6", is_stochastic=True, has_master=False, batch_size=10, n_epochs=3, rate=0.2, optimizer=None, full_scale=None, **rule
):
    optimizer = optimizer or Optimizer()
    grids = [grid_of(name, n, full_scale) for n in (64, 40)]
    plan = layered_plan((64, 40, 10), (256, 120), headroom=0.1, grids=grids, has_master=has_master, n_moments=optimizer.n_moments)
    rule = DeepR(**({"l1": 1e-4, "noise_std": 1e-2} | rule))
    plan_ = TrainingPlan(0, n_epochs, batch_size, Schedule("constant", rate), rule, 64, optimizer=optimizer, is_stochastic=is_stochastic)
    return Trainer(SynapseStore.random(plan, 0), dataset, plan_)


def fingerprint(trainer):
    return hashlib.sha256(b"".join(a.tobytes() for _, a in sorted(trainer.state()[0].items()))).hexdigest()


@pytest.mark.parametrize("batch_size", [1, 10, 128])
@pytest.mark.parametrize(("is_stochastic", "has_master"), [(True, False), (False, True), (True, True)])
def test_trained_on_the_grid_and_resumed_bit_by_bit(few_digits, tmp_path, is_stochastic, has_master, batch_size):
    options = {"is_stochastic": is_stochastic, "has_master": has_master, "batch_size": batch_size}
    whole = make_trainer(few_digits, **options)
    whole.run()
    assert whole.store.violations() == [] and whole.history[-1].n_arrived > 0
    first = make_trainer(few_digits, **options)
    while first.step < 4:
        first.run(should_stop=lambda: True)
    save_checkpoint(tmp_path / "c.npz", *first.state(), "me")
    second = make_trainer(few_digits, **options)
    second.restore(*load_checkpoint(tmp_path / "c.npz", "me"))
    assert second.run() and fingerprint(second) == fingerprint(whole)
    # One draw of noise per update, and one of stochastic rounding.
    booked = whole.store.tally.by_segment.sum(0)
    assert booked[SegmentEvent.DRAWN] == booked[SegmentEvent.UPDATED] * (1 + is_stochastic) > 0


@pytest.mark.skipif(numba.config.NUMBA_NUM_THREADS < 2, reason="one core")
@pytest.mark.parametrize("optimizer", [None, Optimizer("adam")], ids=["sgd", "adam"])
@pytest.mark.parametrize("has_master", [False, True])
def test_threads_change_no_bit(few_digits, monkeypatch, has_master, optimizer):
    monkeypatch.setattr("neurosim.nn.mlp.PARALLEL_WORK", 0)
    prints, before = [], numba.get_num_threads()
    try:
        for n_threads in (1, 2):
            numba.set_num_threads(n_threads)
            rate = 0.5 if optimizer is None else 0.02
            trainer = make_trainer(few_digits, "int4", True, has_master, 128, 20, rate, optimizer, 0.25)
            assert trainer.network.is_parallel
            trainer.run()
            prints.append(fingerprint(trainer))
    finally:
        numba.set_num_threads(before)
    assert len(set(prints)) == 1
    assert trainer.store.tally.saturated.sum() > 0 and trainer.store.violations() == []


@pytest.mark.parametrize(("name", "is_stochastic", "has_master"), [("float16", False, False), ("s3.12", True, False), ("int6", False, True)])
def test_digits_are_learned(name, is_stochastic, has_master):
    """The band of float32 in test_training.py."""
    trainer = make_trainer(load_dataset("digits"), name, is_stochastic, has_master, n_epochs=60, l1=1e-5, noise_std=1e-3)
    trainer.run()
    assert trainer.history[-1].test_accuracy > 0.90


def test_a_wide_grid_is_float32(few_digits):
    """22 bits of strength and a master copy: what is learned differs from float32 in the last bits only."""
    wide = make_trainer(few_digits, "s3.19", False, True, n_epochs=1, noise_std=0.0)
    plain = make_trainer(few_digits, "float32", False, n_epochs=1, noise_std=0.0)
    wide.run(), plain.run()
    assert wide.history[0].train_loss == pytest.approx(plain.history[0].train_loss, abs=1e-3)
    assert wide.history[0].train_loss != plain.history[0].train_loss


def test_divergence_is_noticed(few_digits):
    for has_master in (False, True):
        trainer = make_trainer(few_digits, "int6", True, has_master, rate=1e38, noise_std=0.0)
        trainer.store.slots.weight[0] = np.copysign(F32(np.nan), trainer.store.slots.weight[0])
        if has_master:
            trainer.store.slots.master[0] = trainer.store.slots.weight[0]
        with pytest.raises(TrainingDivergedError):
            trainer.run()
