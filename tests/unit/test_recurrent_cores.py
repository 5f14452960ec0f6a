"""Recurrent networks on several cores: the store of a placement, budgets of every segment, and what cores change."""

from dataclasses import replace

import numpy as np
import pytest

from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.membership import rebuild_table
from neurosim.nn.recurrent import Recurrent, RecurrentShape, recurrent_plan
from neurosim.placement import Workload, judge, place, synapse_counts
from neurosim.networks import Topology
from neurosim.rewiring import RULES
from neurosim.scenario.experiment import prepare
from neurosim.scenario.load import load_scenario
from neurosim.scenario.network import make_store
from neurosim.synapses.recount import recount
from neurosim.training import Optimizer, Schedule, Trainer, TrainingPlan

STEPS, UNITS = 8, (18, 10)
DEEP_R = RULES["deep_r"](l1=1e-3, noise_std=1e-3)


def make_experiment(n_cores, *, cell="lstm", readout="last", scope="core", optimizer="adam", headroom=0.0):
    """A scenario whose network is replaced by a recurrent one, on as many cores."""
    topology = Topology.recurrent(cell, 8, UNITS, 10, STEPS, window=5, readout=readout)
    scenario = load_scenario("mnist_santos_64kb", [f"rewiring.scope={scope}", f"hardware.headroom={headroom}"], ())
    experiment = prepare(scenario)
    workload = Workload(topology, synapse_counts(topology, 0.2), batch_size=10, scope=scope, optimizer=optimizer, headroom=headroom)
    placement = place(experiment.profile, workload, n_cores)
    return replace(experiment, placement=placement, verdict=judge(placement))


def make_trainer(digit_rows, store, *, cell="lstm", readout="last", rule=DEEP_R, optimizer="adam", batch_size=10):
    plan = TrainingPlan(
        seed=4, n_epochs=2, batch_size=batch_size, schedule=Schedule("constant", 0.01), rule=rule, merge_entries=64,
        optimizer=Optimizer(optimizer),
    )  # fmt: skip
    shape = RecurrentShape(cell, 8, STEPS, UNITS, 10, readout, window=5)
    return Trainer(store, digit_rows, plan, Recurrent(store, shape, batch_size, clip=1.0))


@pytest.mark.parametrize("cell, readout", [("lstm", "last"), ("rnn", "mean")])
def test_one_core_is_the_plan_of_the_network_itself(cell, readout):
    experiment = make_experiment(1, cell=cell, readout=readout)
    shape = RecurrentShape(cell, 8, STEPS, UNITS, 10, readout, window=5)
    workload = experiment.placement.workload
    expected = recurrent_plan(shape, workload.n_active, scope="core", n_moments=2)
    plan = make_store(experiment).plan
    assert replace(plan, sender=None) == expected and workload.topology.shapes == shape.matrices
    assert plan.sender == (*range(26), *range(8, 26), *range(44, 54), *range(44, 54), *range(64, 74))


def test_neurons_are_numbered_once_per_matrix_that_they_feed():
    experiment = make_experiment(4)
    store, placement = make_store(experiment), experiment.placement
    n, sizes = store.plan.n_neurons, (8, *UNITS, 10)
    assert n == 8 + 18 + 18 + 10 + 10 + 10
    assert [m.pre_neuron for m in store.plan.matrices] == [0, 8, 26, 44, 54] and sizes == placement.workload.topology.sizes
    first, second, outputs = (list(placement.homes[i]) for i in (1, 2, 3))
    assert list(store.plan.home) == [-1] * 8 + first + first + second + second + outputs
    assert [(s.post_start, s.post_stop) for s in store.plan.segments if s.matrix == 1] == [(0, 16), (16, 36), (36, 52), (52, 72)]
    assert store.violations() == []
    # Every connection lies with the unit whose gate it feeds; its pre unit needs to be sent to as many other cores.
    others = [set() for _ in range(n)]
    for g, segment in enumerate(store.plan.segments):
        rows = slice(store.segments.slot_start[g], store.segments.slot_start[g + 1])
        matrix = store.plan.matrices[segment.matrix]
        sums = 4 if segment.matrix < 4 else 1
        owners = placement.homes[placement.workload.topology.projections[segment.matrix].post][store.slots.post[rows] // sums]
        assert set(owners.tolist()) == {segment.core}
        for pre in store.slots.pre[rows].tolist():
            if store.plan.home[matrix.pre_neuron + pre] not in (-1, segment.core):
                others[matrix.pre_neuron + pre].add(segment.core)
    assert store.tally.n_destinations.tolist() == [len(cores) for cores in others] and max(map(len, others)) > 1


@pytest.mark.parametrize("scope, cell, readout", [("core", "lstm", "last"), ("layer", "lstm", "mean"), ("core", "rnn", "mean")])
def test_every_budget_is_exact_after_every_step(digit_rows, scope, cell, readout):
    headroom = 0.1 if scope == "layer" else 0.0
    store = make_store(make_experiment(4, cell=cell, readout=readout, scope=scope, headroom=headroom))
    trainer = make_trainer(digit_rows, store, cell=cell, readout=readout)
    network, plan = trainer.network, store.plan
    promised = np.add.reduceat([s.n_active for s in plan.segments], plan.scope_start[:-1])
    capacity = np.array([s.n_slots for s in plan.segments])
    batch, rule, seen = network.make_batch(digit_rows, np.arange(digit_rows.n_train)), trainer._step_rule(0.01), set()
    for step in range(40):
        assert network.train(batch, rule, trainer._counting(), trainer.progress, step, 1, step * 10) == 1
        active = store.n_active_by_segment
        np.testing.assert_array_equal(np.add.reduceat(active, plan.scope_start[:-1]), promised)
        assert (active <= capacity).all()
        seen.add(tuple(active.tolist()))
    assert store.violations() == []
    assert store.tally.by_segment[:, SegmentEvent.ACCEPTED].sum() > 0 and (len(seen) > 1) == (scope == "layer")


@pytest.mark.parametrize("cell, readout, optimizer", [("lstm", "last", "adam"), ("rnn", "mean", "sgd")])
def test_cores_change_nothing_but_what_is_drawn(digit_rows, cell, readout, optimizer):
    """Without rewiring, the same connections in the same order train to the same bits on one core and on four."""
    stores = [make_store(make_experiment(n, cell=cell, readout=readout, optimizer=optimizer)) for n in (4, 1)]
    four, one = stores
    for name in ("pre", "post", "weight"):
        getattr(one.slots, name)[:] = getattr(four.slots, name)
    recount(one)
    rebuild_table(one.slots, one.matrices)
    assert one.violations() == []
    results, start = [], four.slots.weight.copy()
    for store in stores:
        trainer = make_trainer(digit_rows, store, cell=cell, readout=readout, rule=RULES["static"](), optimizer=optimizer)
        assert trainer.run()
        results.append((trainer.history[-1], store.slots, trainer.network.biases))
    (a, four, biases), (b, one, others) = results
    assert a.train_loss == b.train_loss and a.test_accuracy == b.test_accuracy
    assert (four.weight != start).mean() > 0.9  # it learned something
    for x, y in ((four.pre, one.pre), (four.weight, one.weight), (four.moments, one.moments), (biases, others)):
        np.testing.assert_array_equal(x, y)


def test_a_resumed_run_on_four_cores_is_the_same(digit_rows):
    whole, first, second = (make_trainer(digit_rows, make_store(make_experiment(4))) for _ in range(3))
    whole.run()
    for step in range(1, 21):
        assert not first.run(should_stop=lambda: True) and first.step == step
    second.restore(*first.state())
    second.run()
    for (name, a), b in zip(whole.state()[0].items(), second.state()[0].values(), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)
