"""Stores of given connections: what comes back, what trains on, and what is refused in one line."""

from dataclasses import replace

import numpy as np
import pytest

from neurosim.synapses import CorePlan, Grid, MatrixPlan, SegmentPlan, StorePlan, SynapseStore, layered_plan

LAYERS, N_ACTIVE = (12, 9, 4), (40, 20)


def make_plan(**changes):
    """12-9-4 on two cores, which share the neurons of each layer."""
    matrices = (MatrixPlan(12, 9, 0, 12), MatrixPlan(9, 4, 12, 21))
    segments = (SegmentPlan(0, 0, 0, 4, 18, 20), SegmentPlan(0, 1, 4, 9, 22, 24), SegmentPlan(1, 0, 0, 2, 10, 11), SegmentPlan(1, 1, 2, 4, 10, 11))
    home = (-1,) * 12 + (0,) * 4 + (1,) * 5 + (0,) * 2 + (1,) * 2
    return replace(StorePlan(matrices, segments, "core", home, 2), **changes)


def in_order(connections):
    pre, post, weight = connections
    order = np.lexsort((post, pre))
    return pre[order], post[order], weight[order]


@pytest.mark.parametrize("plan", [layered_plan(LAYERS, N_ACTIVE), make_plan(), make_plan(has_master=True, n_moments=2), make_plan(counts_pairs=True)])
def test_connections_come_back_in_any_order(plan):
    drawn = SynapseStore.random(plan, 5)
    rng = np.random.default_rng(0)
    given = []
    for m in range(2):
        pre, post, weight = drawn.connections(m)
        order = rng.permutation(pre.size)
        given.append((pre[order].tolist(), post[order], weight[order].astype(np.float64)))
    store = SynapseStore.of(plan, given, 5)
    assert store.violations() == [] and store.n_active == drawn.n_active and store.n_unplaced == 0
    for m in range(2):
        for found, want in zip(in_order(store.connections(m)), in_order(drawn.connections(m)), strict=True):
            np.testing.assert_array_equal(found, want)
    np.testing.assert_array_equal(store.slots.fan_in, drawn.slots.fan_in)
    np.testing.assert_array_equal(store.tally.n_destinations, drawn.tally.n_destinations)
    np.testing.assert_array_equal(np.abs(store.slots.master), store.theta if plan.has_master else np.zeros(0))
    assert not store.tally.by_segment.any() and not store.slots.moments.any()


def test_fewer_connections_leave_slots_that_rewiring_fills():
    plan = make_plan()
    drawn = SynapseStore.random(plan, 5)
    some = [tuple(values[::2] for values in drawn.connections(m)) for m in range(2)]
    store = SynapseStore.of(plan, some, 5)
    assert store.n_active == 30 and store.violations() == []
    assert store.fill(3, 0.5) == 0
    assert store.n_active == 60 and store.violations() == []


def test_signs_are_the_givers_where_they_are_free():
    pre, post, weight = SynapseStore.random(make_plan(), 5).connections(0)
    rest = SynapseStore.random(make_plan(), 5).connections(1)
    for plan in (make_plan(signs="free"), make_plan(free_matrices=(0,))):
        store = SynapseStore.of(plan, [(pre, post, -weight), rest], 5)
        assert store.violations() == [] and set(zip(*store.connections(0))) == set(zip(pre, post, -weight))
    with pytest.raises(ValueError, match="a sign differs from the constant sign of its position"):
        SynapseStore.of(make_plan(free_matrices=(1,)), [(pre, post, -weight), rest], 5)


def one(pre, post, weight=(), plan=None):
    """A store of one connection more or other in matrix 0, and none in matrix 1."""
    plan = plan or make_plan(signs="free")
    none = (np.zeros(0, int), np.zeros(0, int), np.zeros(0))
    return SynapseStore.of(plan, [(np.array(pre), np.array(post), np.array(weight or np.ones(len(pre)))), none])


EVERY = [(i, j) for i in range(12) for j in range(4)]
REFUSED = {
    "matrices": (lambda: SynapseStore.of(make_plan(), []), "connections of 0 matrices; expected 2"),
    "lengths": (lambda: one([0, 1], [0]), r"matrix 0: pre, post and weight of shapes \(2,\), \(1,\), \(2,\); expected one length"),
    "two axes": (lambda: one([[0, 1]], [[0, 1]], [[1.0, 1.0]]), "expected one length"),
    "fractions": (lambda: one([0.5], [0]), "matrix 0: neurons of type float64; expected whole numbers"),
    "yes and no": (lambda: one([True], [0]), "matrix 0: neurons of type bool; expected whole numbers"),
    "pre beyond": (lambda: one([12], [0]), "matrix 0: a connection outside of 12 x 9"),
    "pre below": (lambda: one([-1], [0]), "matrix 0: a connection outside of 12 x 9"),
    "post beyond": (lambda: one([0], [9]), "matrix 0: a connection outside of 12 x 9"),
    "twice": (lambda: one([3, 4, 3], [5, 5, 5]), "matrix 0: a position is given twice"),
    "slots": (lambda: one(*zip(*EVERY[:21])), "matrix 0, core 0: 21 connections for 20 slots"),
    "promise": (lambda: one(*zip(*EVERY[:19])), "scope 0: 19 active synapses, promised 18"),
    "not a number": (lambda: one([0], [0], [float("nan")]), "weight not finite"),
    "beyond float32": (lambda: one([0], [0], [1e300]), "weight not finite"),
    "sign": (lambda: one([0, 0], [0, 0 + 1], [1.0, -1.0], make_plan()), "a sign differs from the constant sign"),
    "format": (
        lambda: one([0], [0], [0.3], make_plan(signs="free", matrices=tuple(replace(m, grid=Grid(0.25, 1.75)) for m in make_plan().matrices))),
        "a weight that its format cannot hold",
    ),
    "fan-in": (
        lambda: one([0, 1, 2], [0, 0, 0], (), make_plan(signs="free", matrices=tuple(replace(m, fan_in_limit=2) for m in make_plan().matrices))),
        "matrix 0: fan-in 3 above its limit 2",
    ),
    "axons": (lambda: one([0, 1, 2], [0, 1, 2], (), make_plan(signs="free", limits=CorePlan(in_axons=(2, 9)))), "in_axons 3 .* above its limit 2"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refusals(name):
    make, words = REFUSED[name]
    with pytest.raises(ValueError, match=words) as caught:
        make()
    assert "\n" not in str(caught.value)


def test_both_signs_of_a_position_are_tried():
    """The refusal of a sign above is for one of the two positions at least: one sign each is right."""
    plan = make_plan()
    signs = [SynapseStore(plan, 0).sign(0, 0, post) for post in (0, 1)]
    assert one([0, 0], [0, 1], signs, plan).violations() == []
