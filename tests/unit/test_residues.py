"""Sums of bytes times fixed-point weights that are zero on a chip count as nothing, whatever float32 leaves of them."""

import numpy as np
import pytest

from neurosim.datasets import make_dataset
from neurosim.kernels.layout import SegmentEvent
from neurosim.nn import Mlp
from neurosim.rewiring import RULES
from neurosim.synapses import CorePlan, Grid, SegmentPlan, StorePlan, SynapseStore, plan_matrices
from neurosim.training import Schedule, Trainer, TrainingPlan

STEP = 2.0**-7
RNG = np.random.default_rng(3)


def make(batch_size, n_samples=200, cells="relu", has_bias=False, grid=None):
    """16 inputs on 20 hidden neurons on core 0, 4 outputs on core 1; weights are whole steps, inputs few grey levels, so many sums cancel."""
    matrices, _ = plan_matrices([(16, 1), (20, 1), (4, 1)], [(0, 1), (1, 2)], grids=[grid or Grid(STEP, 0.5)] * 2)
    segments = (SegmentPlan(0, 0, 0, 20, 160, 160), SegmentPlan(1, 1, 0, 4, 60, 60))
    home = (-1,) * 16 + (0,) * 20 + (1,) * 4
    plan = StorePlan(matrices=matrices, segments=segments, scope="core", home=home, n_cores=2, limits=CorePlan(), signs="free")
    store = SynapseStore.random(plan, 1)
    levels = np.array([0, 51, 102, 153], np.uint8)
    x, y = levels[RNG.integers(0, 4, (n_samples, 16))], RNG.integers(0, 4, n_samples)
    store.slots.weight[:160] = STEP * RNG.integers(-2, 3, 160)
    return store, make_dataset(x, y, x, y), Mlp(store, batch_size, cells, has_bias)


def whole_sums(store, x):
    """Sums of the hidden layer in grey levels and steps: int64 (n_samples, 20)."""
    weights = np.rint(store.dense(0).astype(float) / STEP).astype(np.int64)
    return x.astype(np.int64) @ weights


@pytest.mark.parametrize("batch_size", [1, 10, 64, 200])
def test_evaluation_counts_whole_sums(batch_size):
    store, data, network = make(batch_size)
    sums = whole_sums(store, data.x_test)
    found = network.evaluate(data.x_test, data.y_test, data.scale).n_nonzero[16:36]
    np.testing.assert_array_equal(found, (sums > 0).sum(axis=0))
    values = (data.x_test * np.float32(data.scale)) @ store.dense(0)
    assert ((sums == 0) & (values != 0)).sum() > 10  # there are residues


@pytest.mark.parametrize("batch_size", [1, 10, 64, 200])
def test_a_step_counts_whole_sums(batch_size):
    """Weights that hardly move: all samples of one epoch, in every build of the step."""
    store, data, network = make(batch_size)
    sums = whole_sums(store, data.x_train)
    plan = TrainingPlan(0, 1, batch_size, Schedule("constant", 1e-12), RULES["static"](), 64)
    Trainer(store, data, plan, network).run()
    assert (whole_sums(store, data.x_train) == sums).all()
    network.settle()
    fan_out = (store.dense(1) != 0).sum(axis=1)
    by_segment = store.tally.by_segment
    assert by_segment[1, SegmentEvent.PRE_NONZERO] == ((sums > 0).sum(axis=0) * fan_out).sum()
    assert store.tally.sent[1].sum() == (sums > 0)[:, fan_out > 0].sum() == store.tally.received[1].sum()


def test_other_numbers_count_as_they_are():
    """Float32 weights, smooth cells and biases have no whole sums."""
    for more in ({"grid": Grid(0.0, 0.0)}, {"has_bias": True}, {"cells": "tanh"}):
        _, data, network = make(10, **more)
        network.evaluate(data.x_test, data.y_test, data.scale)
        assert not network._shape.least.any(), more
