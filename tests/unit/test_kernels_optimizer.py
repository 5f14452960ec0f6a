"""Optimizers: directions against float64, the state of arrivals, sorting, resumption, and plain SGD untouched."""

import hashlib
from dataclasses import fields
from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.datasets import load_dataset
from neurosim.kernels.compile import kernel
from neurosim.kernels.optimizer import bias_corrections, direct_chunk
from neurosim.networks.optimizers import NUMBERS, OPTIMIZERS
from neurosim.placement import Workload
from neurosim.rewiring import DeepR
from neurosim.scenario.schema import Training
from neurosim.synapses import SynapseStore, layered_plan
from neurosim.training import Optimizer, Schedule, Trainer, TrainingPlan, load_checkpoint, save_checkpoint

EPS = np.finfo(np.float32).eps
KINDS = [Optimizer("sgd"), Optimizer("momentum", momentum=0.8), Optimizer("adam", beta1=0.85, beta2=0.99, epsilon=1e-6)]


@kernel
def run_direct(slots, start, stop, numbers, step):
    first, second = bias_corrections(slots, numbers, step)
    direct_chunk(slots, start, stop, numbers, first, second)


def make_store(optimizer, n_active=(300, 80), headroom=0.1, seed=3, scope="core"):
    plan = layered_plan((60, 40, 10), n_active, headroom=headroom, scope=scope, n_moments=optimizer.n_moments)
    return SynapseStore.random(plan, seed)


@pytest.fixture(scope="module")
def few_digits():
    return load_dataset("digits", limit=300)


def make_trainer(dataset, optimizer, batch_size=10, n_epochs=3, rate=None, **rule):
    plan = layered_plan((64, 40, 10), (256, 120), scope="layer", headroom=0.1, n_moments=optimizer.n_moments)
    rate = {"sgd": 0.2, "momentum": 0.05, "adam": 0.01}[optimizer.kind] if rate is None else rate
    rule = DeepR(**({"l1": 1e-4, "noise_std": 1e-2} | rule))
    plan_ = TrainingPlan(0, n_epochs, batch_size, Schedule("constant", rate), rule, 64, optimizer=optimizer)
    return Trainer(SynapseStore.random(plan, 0), dataset, plan_)


def test_every_side_reads_the_table_of_optimizers():
    assert [kind.kind for kind in KINDS] == list(OPTIMIZERS) and set(get_args(Training.model_fields["optimizer"].annotation)) == set(OPTIMIZERS)
    assert {field.name for field in fields(Optimizer)} == {"kind", *NUMBERS} and set(NUMBERS) <= set(Training.model_fields)
    for optimizer in KINDS:
        row = OPTIMIZERS[optimizer.kind]
        workload = Workload((3, 2), (4,), optimizer=row.name)
        assert row.state_words == optimizer.n_moments == workload.state_words and row.counts_steps == workload.counts_steps
        given = [getattr(optimizer, key) for key in row.keys]
        assert optimizer.step_numbers[: len(given)] == tuple(map(np.float32, given)) and not any(optimizer.step_numbers[len(given) :])
        assert [getattr(Optimizer(row.name), key) for key in row.keys] == [default for _, default in row.numbers]


@pytest.mark.parametrize("optimizer", KINDS, ids=lambda o: o.kind)
def test_directions_equal_a_float64_twin(optimizer):
    """Twenty steps; each adds some roundings of float32 to state and direction: 50 eps of the largest number."""
    store = make_store(optimizer)
    slots, rng = store.slots, np.random.default_rng(1)
    active = slots.active == 1
    m, v = np.zeros(store.n_slots), np.zeros(store.n_slots)
    b1, b2 = (float(np.float32(b)) for b in (optimizer.beta1, optimizer.beta2))
    mu = float(np.float32(optimizer.momentum))
    for step in range(20):
        g = rng.normal(0, 0.3, store.n_slots).astype(np.float32)
        slots.gradient[:] = g
        run_direct(slots, 0, store.n_slots, optimizer.step_numbers, step)
        g = np.where(active, g, 0).astype(float)
        if optimizer.kind == "momentum":
            want = m = mu * m + g
        elif optimizer.kind == "adam":
            m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
            want = m / (1 - b1 ** (step + 1)) / (np.sqrt(v / (1 - b2 ** (step + 1))) + optimizer.epsilon)
        else:
            want = g
        np.testing.assert_allclose(slots.gradient[active], want[active], rtol=0, atol=50 * EPS * max(1, np.abs(want).max()))
    for have, expected in zip(slots.moments, (m, v)):
        np.testing.assert_allclose(have, expected, rtol=0, atol=50 * EPS * np.abs(expected).max())
        assert np.all(have[~active] == 0) and np.any(have[active] != 0)


def test_first_step_of_adam_is_the_sign():
    """Kingma and Ba: bias correction makes the first step g / |g|, whatever the gradient."""
    store = make_store(KINDS[2])
    g = np.geomspace(1e-2, 1e3, store.n_slots).astype(np.float32)
    store.slots.gradient[:] = g
    run_direct(store.slots, 0, store.n_slots, KINDS[2].step_numbers, 0)
    active = store.slots.active == 1
    np.testing.assert_allclose(store.slots.gradient[active], 1, atol=1e-6 / 1e-2 + 10 * EPS)


@pytest.mark.parametrize("optimizer", KINDS[1:], ids=lambda o: o.kind)
def test_a_slot_gets_the_same_bits_wherever_the_chunk_is_cut(optimizer):
    whole, single = make_store(optimizer), make_store(optimizer)
    rng = np.random.default_rng(2)
    for step in range(3):
        for store in (whole, single):
            store.slots.gradient[:] = np.random.default_rng(step).normal(0, 0.3, store.n_slots)
        run_direct(whole.slots, 0, whole.n_slots, optimizer.step_numbers, step)
        cuts = [0, *np.sort(rng.integers(1, whole.n_slots, 60)).tolist(), whole.n_slots]
        for a, b in zip(cuts, cuts[1:]):
            run_direct(single.slots, a, b, optimizer.step_numbers, step)
        assert whole.slots.gradient.tobytes() == single.slots.gradient.tobytes()
        assert whole.slots.moments.tobytes() == single.slots.moments.tobytes()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from(KINDS[1:]), st.sampled_from(["core", "layer", "network"]))
def test_state_of_every_arrival_is_zero(seed, optimizer, scope):
    """Whatever was released and wherever it came back; those that stay keep their state, also through a sort."""
    store, rng = make_store(optimizer, scope=scope), np.random.default_rng(seed)
    slots = store.slots
    # The state names the position, so that it can be told from another's.
    name = lambda: slots.pre * 100.0 + slots.post + 1.0  # noqa: E731
    slots.moments[:] = np.where(slots.active == 1, name(), 0)
    gone = rng.choice(np.flatnonzero(slots.active), rng.integers(1, store.n_active), replace=False)
    store.release(gone)
    assert np.all(slots.moments[:, gone] == 0)
    stays = slots.active == 1
    n_stays = stays.sum()
    assert store.fill(int(rng.integers(2**60)), 0.1) == 0
    arrived = (slots.active == 1) & ~stays
    assert arrived.sum() == gone.size and np.all(slots.moments[:, arrived] == 0)
    store.sort()
    assert store.violations() == []
    has_state = slots.moments[0] != 0
    assert has_state.sum() == n_stays
    for row in slots.moments:
        np.testing.assert_array_equal(row[has_state], name()[has_state].astype(np.float32))


def test_a_free_slot_with_state_is_a_violation():
    store = make_store(KINDS[1])
    store.slots.moments[0, np.flatnonzero(store.slots.active == 0)[0]] = 1
    assert ["optimizer" in line for line in store.violations()] == [True]


@pytest.mark.parametrize("batch_size", [1, 10, 128])
@pytest.mark.parametrize("optimizer", KINDS[1:], ids=lambda o: o.kind)
def test_trained_within_the_canonical_form_and_resumed_bit_by_bit(few_digits, tmp_path, optimizer, batch_size):
    def fingerprint(trainer):
        return hashlib.sha256(b"".join(a.tobytes() for _, a in sorted(trainer.state()[0].items()))).hexdigest()

    whole = make_trainer(few_digits, optimizer, batch_size)
    whole.run()
    assert whole.store.violations() == [] and whole.history[-1].n_arrived > 0
    first = make_trainer(few_digits, optimizer, batch_size)
    while first.step < 4:
        first.run(should_stop=lambda: True)
    assert np.any(first.store.slots.moments != 0)
    save_checkpoint(tmp_path / "c.npz", *first.state(), "me")
    second = make_trainer(few_digits, optimizer, batch_size)
    second.restore(*load_checkpoint(tmp_path / "c.npz", "me"))
    assert second.run() and fingerprint(second) == fingerprint(whole)


@pytest.mark.parametrize("optimizer", KINDS[1:], ids=lambda o: o.kind)
def test_digits_are_learned(optimizer):
    """The band of plain SGD in test_training.py."""
    trainer = make_trainer(load_dataset("digits"), optimizer, n_epochs=20, l1=1e-5, noise_std=1e-3)
    trainer.run()
    assert trainer.history[-1].test_accuracy > 0.90
    assert all(record.n_active == 376 and record.n_arrived > 0 for record in trainer.history)


@pytest.mark.parametrize("optimizer", [Optimizer("momentum", momentum=0.0), Optimizer("sgd", momentum=0.5, epsilon=1.0)], ids=lambda o: o.kind)
def test_momentum_zero_is_plain_sgd(few_digits, optimizer):
    """And plain SGD looks at none of the numbers."""
    plain, other = make_trainer(few_digits, Optimizer(), rate=0.2), make_trainer(few_digits, optimizer, rate=0.2)
    plain.run(), other.run()
    assert plain.store.slots.weight.tobytes() == other.store.slots.weight.tobytes()


def test_a_store_without_room_for_the_state_is_refused(few_digits):
    store = SynapseStore.random(layered_plan((64, 10), (100,)), 0)
    plan = TrainingPlan(0, 1, 10, Schedule("constant", 0.1), DeepR(), 64, optimizer=KINDS[2])
    with pytest.raises(ValueError, match="adam keeps 2 numbers per slot, the store 0"):
        Trainer(store, few_digits, plan)
