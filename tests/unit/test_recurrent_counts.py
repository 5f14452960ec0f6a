"""What a recurrent network books of its walks, against counts step by step: equal integers."""

from dataclasses import replace

import numpy as np
import pytest

from neurosim.kernels.layout import SegmentEvent
from neurosim.nn.recurrent import Recurrent, RecurrentShape, recurrent_plan
from neurosim.networks import Topology
from neurosim.synapses import SegmentPlan, SynapseStore
from neurosim.synapses.store import new_tally

N_STEPS, N_INPUTS, N_CLASSES = 7, 5, 4
CASES = [("last", None), ("last", 3), ("last", 1), ("mean", None), ("mean", 3), ("mean", 1)]


def make_network(shape, n_cores=1, batch_size=3):
    """Units of every layer in contiguous parts of several cores."""
    n_active = [max(3, a * b // 3) for a, b in shape.matrices]
    plan = recurrent_plan(shape, n_active)
    sizes = [n for n, _ in shape.sizes]
    cuts = [[n * c // n_cores for c in range(n_cores + 1)] for n in sizes]
    segments = []
    for m, (_, post) in enumerate(shape.projections):
        n_sums = shape.sizes[post][1]
        for core, (a, b) in enumerate(zip(cuts[post], cuts[post][1:])):
            n = shape.matrices[m][0] * (b - a) * n_sums
            segments.append(SegmentPlan(m, core, a * n_sums, b * n_sums, n // 3, n // 3))
    home = []
    for population in (*(pre for pre, _ in shape.projections), len(sizes) - 1):
        cores = [core for core, (a, b) in enumerate(zip(cuts[population], cuts[population][1:])) for _ in range(b - a)]
        home += cores if population else [-1] * sizes[0]
    plan = replace(plan, segments=tuple(segments), home=tuple(home), n_cores=n_cores, counts_pairs=True)
    store = SynapseStore.random(plan, 3)
    assert store.violations() == []
    return Recurrent(store, shape, batch_size)


@pytest.mark.parametrize("readout, window", CASES)
@pytest.mark.parametrize("units", [(6,), (6, 3)])
def test_walks_are_those_of_the_topology(readout, window, units):
    network = make_network(RecurrentShape("rnn", N_INPUTS, N_STEPS, units, N_CLASSES, readout, window))
    topology = Topology.recurrent("rnn", N_INPUTS, units, N_CLASSES, N_STEPS, window, readout)
    assert not network._shape.walks[0].any()
    for length in range(1, N_STEPS + 1):
        assert network._shape.walks[length].tolist() == topology.count_walks([length]).tolist()


@pytest.mark.parametrize("readout", ["last", "mean"])
@pytest.mark.parametrize("cell", ["rnn", "lstm"])
def test_an_evaluation_counts_what_walks_see(cell, readout):
    """Half of the lower units have no input and no bias: their states are exactly zero. Inputs are zero at random."""
    shape = RecurrentShape(cell, N_INPUTS, N_STEPS, (6, 4), N_CLASSES, readout)
    network = make_network(shape, n_cores=2)
    store = network.store
    network.biases[:] = 0
    is_dead = np.arange(6) % 2 == 0
    for m in (0, 1):
        dead = is_dead[store.slots.post[store.matrices.slot_start[m] : store.matrices.slot_start[m + 1]] // shape.n_gates]
        store.slots.weight[store.matrices.slot_start[m] : store.matrices.slot_start[m + 1]][dead] *= 0
    rng = np.random.default_rng(2)
    lengths = rng.integers(1, N_STEPS + 1, 70).astype(np.int32)
    x = rng.integers(1, 9, (70, N_STEPS, N_INPUTS)) * (rng.random((70, N_STEPS, N_INPUTS)) < 0.5)
    for i, length in enumerate(lengths):
        x[i, : N_STEPS - length] = 0
    tally = new_tally(store.plan)
    result = network.evaluate(x.reshape(70, -1).astype(np.uint8), lengths, rng.integers(0, 4, 70).astype(np.int32), 1 / 8, tally)

    ports = np.split(result.n_nonzero, np.cumsum([n for n, _ in shape.matrices]))
    n_steps, n_before = int(lengths.sum()), int((lengths - 1).sum())
    assert ports[0].tolist() == np.count_nonzero(x, axis=(0, 1)).tolist()
    drives = {m: {(int(p), int(q) // shape.n_gates) for p, q, w in zip(*store.connections(m)) if w} for m in range(5)}
    fed = [j for j in range(6) if not is_dead[j] and any(q == j for _, q in drives[0])]
    assert 0 < len(fed) < 6  # the other three are zero
    for port, n_walks in ((ports[1], n_before), (ports[2], n_steps)):
        assert not port[is_dead].any() and 0 < port[fed].max() <= n_walks
    assert ports[3].max() <= n_before and 0 < ports[4].max() <= 70
    assert (tally.nonzero == result.n_nonzero).all() and not tally.by_neuron.any()


@pytest.mark.parametrize("readout, window", CASES)
def test_an_evaluation_books_walks_and_values_that_travel(readout, window):
    shape = RecurrentShape("lstm", N_INPUTS, N_STEPS, (6, 4), N_CLASSES, readout, window)
    network = make_network(shape, n_cores=3)
    store, lengths = network.store, np.array([7, 1, 2, 4], np.int32)
    tally = new_tally(store.plan)
    x = np.zeros((4, N_STEPS * N_INPUTS), np.uint8)
    network.evaluate(x, lengths, np.zeros(4, np.int32), 1.0, tally)
    walks = [14, 10, 14, 10, 4]
    sent, received, pairs = np.zeros((5, 3), int), np.zeros((5, 3), int), np.zeros((3, 3), int)
    for g, segment in enumerate(store.plan.segments):
        part = slice(store.segments.slot_start[g], store.segments.slot_start[g + 1])
        n_walks = walks[segment.matrix]
        assert tally.by_segment[g, SegmentEvent.SLOTS] == store.slots.active[part].sum() * n_walks
        for pre in set(store.slots.pre[part][store.slots.active[part] == 1].tolist()):
            home = store.plan.home[store.plan.matrices[segment.matrix].pre_neuron + pre]
            if home not in (-1, segment.core):
                sent[segment.matrix, home] += n_walks
                received[segment.matrix, segment.core] += n_walks
                pairs[home, segment.core] += n_walks
    assert sent.sum() > 50
    assert tally.sent.tolist() == sent.tolist() and tally.received.tolist() == received.tolist()
    assert tally.pairs.tolist() == pairs.tolist()
    assert not any(a.any() for a in (tally.sent_back, tally.received_back, tally.pairs_back))
    assert not tally.by_segment[:, [SegmentEvent.SLOTS_BACKWARD, SegmentEvent.SLOTS_GRADIENT]].any()
