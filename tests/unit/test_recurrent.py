"""Recurrent networks trained by the Trainer: learning, budgets, reproducibility, resumption, other rules."""

from dataclasses import replace

import numba
import numpy as np
import pytest

from neurosim.nn.recurrent import Recurrent, RecurrentShape, recurrent_plan
from neurosim.rewiring import RULES
from neurosim.synapses import SynapseStore
from neurosim.training import Optimizer, Schedule, Trainer, TrainingPlan

ADAM = Optimizer("adam")
PLAN = TrainingPlan(
    seed=4, n_epochs=6, batch_size=50, schedule=Schedule("constant", 0.01), rule=RULES["deep_r"](l1=1e-4, noise_std=1e-5),
    merge_entries=64, optimizer=ADAM,
)  # fmt: skip


def make_trainer(digit_rows, plan=PLAN, *, cell="lstm", readout="last", window=None, signs="constant", fraction=0.25):
    shape = RecurrentShape(cell, 8, 8, (24,), 10, readout, window)
    n_active = [round(fraction * a * b) for a, b in shape.matrices]
    store_plan = replace(recurrent_plan(shape, n_active, n_moments=plan.optimizer.n_moments), signs=signs)
    store = SynapseStore.random(store_plan, plan.seed)
    return Trainer(store, digit_rows, plan, Recurrent(store, shape, plan.batch_size, clip=1.0))


def outcome(trainer):
    arrays, values = trainer.state()
    history = [{k: v for k, v in epoch.items() if not k.endswith("_s")} for epoch in values["history"]]
    return {name: array.copy() for name, array in arrays.items()}, history


def assert_same(a, b):
    assert a[1] == b[1]
    for name in a[0]:
        np.testing.assert_array_equal(a[0][name], b[0][name], err_msg=name)


@pytest.mark.parametrize("cell, readout, window", [("lstm", "last", None), ("lstm", "mean", 3), ("rnn", "last", None)])
def test_it_learns_inside_its_budget(digit_rows, cell, readout, window):
    trainer = make_trainer(digit_rows, replace(PLAN, n_epochs=25), cell=cell, readout=readout, window=window)
    promised = trainer.store.n_active
    assert trainer.run()
    last = trainer.history[-1]
    assert last.test_accuracy > 0.8 and last.train_loss < 0.6 * trainer.history[0].train_loss
    assert last.n_arrived > 0
    assert all(e.n_active_least == e.n_active_most == promised for e in trainer.history)
    assert trainer.store.violations() == []


def test_one_and_two_threads_agree(digit_rows):
    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one processor: nothing to compare")
    results = []
    for n_threads in (1, 2):
        numba.set_num_threads(n_threads)
        trainer = make_trainer(digit_rows, replace(PLAN, batch_size=200, n_epochs=2))
        trainer.run()
        results.append(outcome(trainer))
    assert_same(*results)


def test_a_resumed_run_is_the_same(digit_rows):
    whole = make_trainer(digit_rows, replace(PLAN, n_epochs=3))
    whole.run()
    calls = []
    first = make_trainer(digit_rows, replace(PLAN, n_epochs=3))
    assert not first.run(should_stop=lambda: calls.append(0) or len(calls) == 3)
    arrays, values = first.state()
    second = make_trainer(digit_rows, replace(PLAN, n_epochs=3))
    second.restore({name: array.copy() for name, array in arrays.items()}, values)
    assert second.step == first.step > 0
    second.run()
    assert_same(outcome(whole), outcome(second))


@pytest.mark.parametrize("name", ["set", "rigl", "static"])
def test_other_rules_rewire_the_same_networks(digit_rows, name):
    rule = RULES[name]() if name == "static" else RULES[name](period=10)
    trainer = make_trainer(digit_rows, replace(PLAN, n_epochs=2, rule=rule), signs="free")
    promised = trainer.store.n_active
    trainer.run()
    assert trainer.store.n_active == promised and trainer.store.violations() == []
    assert (trainer.history[-1].n_arrived > 0) == (name != "static")


def test_the_dense_gradient_is_that_of_the_synapses(digit_rows):
    """At the positions of its synapses the gradient of all positions is the one that the step takes."""
    plan = replace(PLAN, optimizer=Optimizer(), rule=RULES["static"](), schedule=Schedule("constant", 2.0**-6), batch_size=100)
    for readout in ("last", "mean"):
        trainer = make_trainer(digit_rows, plan, signs="free", readout=readout)
        store = trainer.store
        before = store.slots.weight.copy()
        trainer.run(should_stop=lambda: True)
        assert trainer.step == 1
        for segment in range(5 - 2):
            gradient, n_rows, n_walks = trainer.network.dense_gradient(segment, 100)
            slots = np.arange(store.segments.slot_start[segment], store.segments.slot_start[segment + 1])
            n_pre = store.plan.matrices[segment].n_pre
            ours = gradient[store.slots.post[slots] * n_pre + store.slots.pre[slots]]
            moved = (before[slots].astype(np.float64) - store.slots.weight[slots]) * 2.0**6
            # Clipping scales all gradients by one factor; reading it back from weights loses some 1e-5.
            factor = np.abs(moved).max() / np.abs(ours).max()
            np.testing.assert_allclose(moved, factor * ours, atol=2e-5)
            assert n_rows > 0 and np.abs(moved).max() > 1e-3
            lengths = digit_rows.lengths_train[trainer._shuffle(0)[:100]]
            assert n_walks == (lengths.sum(), (lengths - 1).sum(), 100)[segment]
