"""Bits of not-zero values against NumPy: equal counts of neurons and of (sample, slot) pairs, whatever the shapes.

A step leaves its activations and errors in its work arrays; what they hold is compared with what the tally says. Every synapse
stays where it is, so that the sums of a run are the sums of its steps.
"""

import numpy as np
import pytest

from neurosim.kernels.compile import kernel
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.marks import LINE, PLACE, marks_shape, mask_rows, rectify_rows
from neurosim.kernels.train import Batch, Counting, Progress, StepRule
from neurosim.nn import Mlp
from neurosim.synapses import SynapseStore, layered_plan

HIDDEN = (37, 18)
N_CLASSES = 5
NEVER = 10**9


def make_data(n_samples, n_inputs, dtype, seed=0):
    """About half of the inputs zero, some samples all zero and some without a zero."""
    rng = np.random.default_rng(seed)
    x = (rng.integers(1, 256, (n_samples, n_inputs)) * (rng.random((n_samples, n_inputs)) < 0.5)).astype(dtype)
    x[::7] = 0
    x[3::11] = 255 if dtype == np.uint8 else 0.25
    return x, rng.integers(0, N_CLASSES, n_samples).astype(np.int32), rng.permutation(n_samples)


def make_network(n_inputs, batch_size):
    layers = (n_inputs, *HIDDEN, N_CLASSES)
    n_active = tuple(max(2, a * b // 3) for a, b in zip(layers, layers[1:], strict=False))
    store = SynapseStore.random(layered_plan(layers, n_active), 3)
    return store, Mlp(store, batch_size)


def rule_of():
    return StepRule(np.float32(0.05), np.float32(0.0), np.float32(0.0), np.float32(0.01), NEVER, np.uint64(5), np.uint64(6), has_free_signs=True)


def new_progress():
    return Progress(np.zeros(1), *(np.zeros(1, np.int64) for _ in range(2)), np.full(1, NEVER), *(np.zeros(1, np.int64) for _ in range(2)))


def watch(store, network, batch, settlings):
    """Train step by step, settle where told; returns non-zero samples of neurons, and pairs of segments, by NumPy."""
    nonzero, pairs = np.zeros(store.plan.n_neurons, np.int64), np.zeros(len(store.plan.segments), np.int64)
    progress, n_outputs = new_progress(), store.plan.matrices[-1].n_post
    for step in range(-(-batch.order.size // batch.size)):
        assert network.train(batch, rule_of(), Counting(True, 0, True, 2), progress, step, 1, step * batch.size) == 1
        n = min(batch.size, batch.order.size - step * batch.size)
        act, err = (
            tiles.reshape(len(tiles), -1, network.n_lanes).transpose(0, 2, 1).reshape(-1, store.plan.n_neurons)[:n] != 0 for tiles in network._tiles
        )
        nonzero[:-n_outputs] += act[:, :-n_outputs].sum(0)
        for g, segment in enumerate(store.plan.segments):
            matrix, part = store.plan.matrices[segment.matrix], slice(*store.segments.slot_start[g : g + 2])
            used = store.slots.active[part] == 1
            pre, post = matrix.pre_neuron + store.slots.pre[part][used], matrix.post_neuron + store.slots.post[part][used]
            pairs[g] += (act[:, pre] & err[:, post]).sum()
        if step in settlings:
            network.settle()
    network.settle()
    return nonzero, pairs


# 784 inputs and a batch of 600 make a network whose steps run in several threads.
@pytest.mark.parametrize(
    ("n_inputs", "dtype"), [*((n, np.uint8) for n in (1, 15, 16, 64, 65, 100, 784)), *((n, np.float32) for n in (1, 15, 64, 65, 100))]
)
@pytest.mark.parametrize("batch_size", [10, 17, 64, 100, 128, 150, 600])
def test_counts_equal_those_of_the_arrays(batch_size, n_inputs, dtype):
    """Steps in one call and one by one, the last batch smaller: the same weights, and the counts that NumPy finds."""
    data = make_data(2 * batch_size + 7, n_inputs, dtype)
    batch = Batch(*data, np.float32(1 / 255), batch_size)
    np.testing.assert_array_equal(batch.data == 0, (batch.data.astype(np.float32) * batch.scale) == 0)
    store, network = make_network(n_inputs, batch_size)
    assert network.is_parallel == (batch_size == 600 and n_inputs == 784)
    nonzero, pairs = watch(store, network, batch, {1})
    assert store.tally.nonzero.tolist() == nonzero.tolist()
    assert store.tally.by_segment[:, SegmentEvent.PAIR_NONZERO].tolist() == pairs.tolist()
    assert nonzero[:n_inputs].sum() == np.count_nonzero(batch.data) > 0 and pairs.min() > 0

    whole, in_one_call = make_network(n_inputs, batch_size)
    assert in_one_call.train(batch, rule_of(), Counting(True, 0, True, 2), new_progress(), 0, 3, 0) == 3
    in_one_call.settle()
    for a, b in zip(whole.tally, store.tally, strict=True):
        assert a.tobytes() == b.tobytes()
    assert whole.slots.weight.tobytes() == store.slots.weight.tobytes()


@pytest.mark.parametrize("value", [0, 255])
@pytest.mark.parametrize("batch_size", [10, 64, 150])
def test_all_inputs_or_none(batch_size, value):
    """Lanes without a sample count for nothing, also where every sample is full."""
    _, y, order = make_data(2 * batch_size + 7, 70, np.uint8)
    batch = Batch(np.full((len(y), 70), value, np.uint8), y, order, np.float32(1 / 255), batch_size)
    store, network = make_network(70, batch_size)
    nonzero, pairs = watch(store, network, batch, ())
    assert store.tally.nonzero.tolist() == nonzero.tolist()
    assert set(nonzero[:70]) == {len(y) if value else 0}
    assert store.tally.by_segment[:, SegmentEvent.PAIR_NONZERO].tolist() == pairs.tolist()


@pytest.mark.parametrize("batch_size", [1, 10, 64, 128])
@pytest.mark.parametrize(
    "counting",
    [Counting(True, first, pairs, 2) for first in (0, 65, NEVER) for pairs in (True, False)] + [Counting(False, NEVER, False, 2)],
)
def test_many_steps_of_any_counting(batch_size, counting):
    """More than one line of places in one call; rewiring at every step; the training never notices."""
    batch = Batch(*make_data(40 * batch_size + 3, 65, np.uint8), np.float32(1 / 255), batch_size)
    rule = rule_of()._replace(has_free_signs=False, period=1, noise_std=np.float32(0.02))
    runs = []
    for kind, n_steps in ((counting, 41), (Counting(True, 0, True, 2), 1)):
        store, network = make_network(65, batch_size)
        progress = new_progress()
        for step in range(0, 41, n_steps):
            assert network.train(batch, rule, kind, progress, step, n_steps, step * batch_size) == n_steps
        network.settle()
        assert store.tally.by_segment[:, SegmentEvent.RELEASED].sum() > 100
        runs.append(store)
    one, other = runs
    assert one.slots.weight.tobytes() == other.slots.weight.tobytes()
    watched = np.arange(one.plan.n_neurons) >= counting.first_neuron
    assert one.tally.nonzero.tolist() == np.where(watched, other.tally.nonzero, 0).tolist()
    if counting.pairs:
        same = slice(None) if watched.all() else SegmentEvent.PAIR_NONZERO
        assert one.tally.by_segment[:, same].tolist() == other.tally.by_segment[:, same].tolist()
    else:
        assert not one.tally.by_segment[:, SegmentEvent.PAIR_NONZERO].any()


@pytest.mark.parametrize("batch_size", [1, 10, 128])
def test_pairs_count_from_when_they_are_asked_for(batch_size):
    """Steps that count no pairs leave nothing behind for those that do."""
    batch = Batch(*make_data(20 * batch_size, 65, np.uint8), np.float32(1 / 255), batch_size)
    always, later = make_network(65, batch_size), make_network(65, batch_size)
    counts = []
    for (store, network), first_pairs in ((always, True), (later, False)):
        for step, pairs in ((0, first_pairs), (10, True)):
            assert network.train(batch, rule_of(), Counting(True, 0, pairs, 2), new_progress(), step, 10, step * batch_size) == 10
            counts.append(store.tally.by_segment[:, SegmentEvent.PAIR_NONZERO].copy())
    assert not counts[2].any() and counts[0].all()
    assert counts[3].tolist() == (counts[1] - counts[0]).tolist()


@pytest.mark.parametrize("most", [0, 5])
def test_exchanges_beyond_those_noted(most):
    """However few exchanges can be noted, the pairs are the same."""
    batch = Batch(*make_data(400, 65, np.uint8), np.float32(1 / 255), 10)
    rule = rule_of()._replace(has_free_signs=False, period=1, noise_std=np.float32(0.02))
    counts = []
    for n_noted in (None, most):
        store, network = make_network(65, 10)
        if n_noted is not None:
            network._marks["exchanged"] = network._marks["exchanged"][:n_noted].copy()
        assert network.train(batch, rule, Counting(True, 0, True, 2), new_progress(), 0, 40, 0) == 40
        assert store.tally.n_open[0] == store.tally.n_exchanged[0] == 0
        counts.append(store.tally.by_segment.tolist())
    assert counts[0] == counts[1]


@kernel
def mask(err, hidden, start, stop, live, live_place, wrong, wrong_place, lanes):
    mask_rows(err, hidden, start, stop, live, live_place, wrong, wrong_place, lanes)


@kernel
def rectify(values, start, stop, lanes):
    rectify_rows(values, start, stop, lanes)


def odd_values(rng, shape):
    """Float32 of both signs, with zeros of both signs, NaN, infinities and the smallest numbers there are."""
    values = rng.standard_normal(shape).astype(np.float32)
    special = np.array([0.0, -0.0, np.nan, -np.nan, np.inf, -np.inf, 1e-45, -1e-45, 1e-38, -1e-38], np.float32)
    return np.where(rng.random(shape) < 0.5, rng.choice(special, shape), values)


@pytest.mark.parametrize("n_lanes", [1, 8, 16, 32, 64])
@pytest.mark.parametrize(("start", "stop"), [(0, 40), (0, 1), (2, 39), (4, 4)])
@pytest.mark.parametrize("places", [(1, 3), (1, -1), (-1, 3), (-1, -1)])
def test_errors_stop_where_nothing_is_above_zero(n_lanes, start, stop, places):
    """Hidden values of any sign, rectified or not: errors pass above zero and at NaN, and both are marked as NumPy finds them."""
    rng = np.random.default_rng(n_lanes + stop)
    hidden, err = odd_values(rng, (40, n_lanes)), odd_values(rng, (40, n_lanes))
    rows = slice(start, stop)
    passes = ~(hidden[rows] <= 0)
    expected = err.copy()
    expected[rows] = np.where(passes, err[rows], np.float32(0.0)) + np.float32(0.0)
    marks = [np.full((8, 64), 0xABCD, np.uint16) for _ in places]
    flat = err.ravel()
    mask(flat, hidden.ravel(), start, stop, marks[0], places[0], marks[1], places[1], (0,) * n_lanes)
    assert flat.view(np.uint32).tolist() == expected.ravel().view(np.uint32).tolist()
    for found, place, is_set in zip(marks, places, (passes, expected[rows] != 0), strict=True):
        wanted = np.full_like(found, 0xABCD)
        if place >= 0 and n_lanes >= PLACE:
            bits = np.packbits(is_set, axis=1, bitorder="little").view(np.uint16)
            wanted[place : place + n_lanes // PLACE, rows] = bits.T
        assert found.tolist() == wanted.tolist()


@pytest.mark.parametrize("n_lanes", [1, 8, 16, 64])
def test_rectified_rows_hold_no_negative_zero(n_lanes):
    values = odd_values(np.random.default_rng(n_lanes), (9, n_lanes))
    expected = values.copy()
    expected[1:8] = np.where(values[1:8] < 0, np.float32(0.0), values[1:8]) + np.float32(0.0)
    flat = values.ravel()
    rectify(flat, 1, 8, (0,) * n_lanes)
    assert flat.view(np.uint32).tolist() == expected.ravel().view(np.uint32).tolist()


def test_places_hold_a_step_and_fill_whole_lines():
    for n_tiles, n_lanes, n_neurons in ((1, 16, 10), (1, 64, 64), (10, 64, 65), (40, 32, 1000)):
        places, n_marked = marks_shape(n_tiles, n_lanes, n_neurons)
        assert places * PLACE >= n_tiles * n_lanes and places % LINE == 0 == n_marked % LINE and n_marked >= n_neurons
