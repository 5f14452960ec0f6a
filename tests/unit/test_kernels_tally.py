"""Event counts against a slow count sample by sample and slot by slot: equal integers.

The reference reads the activations and errors that the step itself left in its work arrays (they are
checked against a twin in `test_gradients.py`) and the slots as they were before the step.
"""

import numpy as np
import pytest

from neurosim.kernels.exchange import settle_tally
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.train import Batch, Counting, Progress, StepRule
from neurosim.nn import Mlp
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore, layered_plan
from neurosim.synapses.store import new_tally

LAYERS = (12, 9, 6, 4)
CUTS = {1: ((0, 9), (0, 6), (0, 4)), 3: ((0, 3, 5, 9), (0, 1, 4, 6), (0, 2, 3, 4))}


def make_plan(n_cores, scope, share=3, headroom=4):
    """Segments of every matrix on every core, in unequal parts; inputs come from the host."""
    matrices = tuple(MatrixPlan(a, b, sum(LAYERS[:i]), sum(LAYERS[: i + 1])) for i, (a, b) in enumerate(zip(LAYERS, LAYERS[1:], strict=False)))
    segments, home = [], [-1] * LAYERS[0]
    for m, cuts in enumerate(CUTS[n_cores]):
        for core, (a, b) in enumerate(zip(cuts, cuts[1:], strict=False)):
            n = matrices[m].n_pre * (b - a)
            segments.append(SegmentPlan(m, core, a, b, n // share, min(n, n // share + headroom)))
            home += [core] * (b - a)
    return StorePlan(matrices, tuple(segments), scope, tuple(home), n_cores, counts_pairs=True)


class Reference:
    """Counts of a run, one obvious loop at a time."""

    def __init__(self, plan):
        self.plan = plan
        n = len(plan.segments)
        self.by_segment = {name: [0] * n for name in ("SLOTS", "PRE_NONZERO", "PAIR_NONZERO", "ROWS_NONZERO", "UPDATED", "DRAWN")}
        self.sent, self.received = ([[0] * plan.n_cores for _ in plan.matrices] for _ in range(2))
        self.pairs = [[0] * plan.n_cores for _ in range(plan.n_cores)]
        self.nonzero = [0] * plan.n_neurons

    def active(self, store):
        """[(segment, pre neuron, post neuron)] in the numbering of all neurons."""
        rows = []
        for g, segment in enumerate(self.plan.segments):
            matrix = self.plan.matrices[segment.matrix]
            for k in range(store.segments.slot_start[g], store.segments.slot_start[g + 1]):
                if store.slots.active[k] == 1:
                    rows.append((g, matrix.pre_neuron + int(store.slots.pre[k]), matrix.post_neuron + int(store.slots.post[k])))
        return rows

    def add_step(self, rows, acts, errs, has_noise):
        """`acts`, `errs`: (samples, neurons)."""
        for g, _, _ in rows:
            self.by_segment["UPDATED"][g] += 1
            self.by_segment["DRAWN"][g] += has_noise
        for act, err in zip(acts, errs, strict=True):
            self.add_sample(rows, act, err)

    def add_sample(self, rows, act, err=None):
        n_not_output = self.plan.n_neurons - LAYERS[-1]
        for neuron in range(n_not_output):
            self.nonzero[neuron] += act[neuron] != 0
        for g, pre, post in rows:
            self.by_segment["SLOTS"][g] += 1
            self.by_segment["PRE_NONZERO"][g] += act[pre] != 0
            if err is not None:
                self.by_segment["PAIR_NONZERO"][g] += act[pre] != 0 and err[post] != 0
        for g, segment in enumerate(self.plan.segments):
            for neuron in {pre for h, pre, _ in rows if h == g}:
                if act[neuron] != 0:
                    self.by_segment["ROWS_NONZERO"][g] += 1
                    home = self.plan.home[neuron]
                    if home not in (-1, segment.core):
                        self.sent[segment.matrix][home] += 1
                        self.received[segment.matrix][segment.core] += 1
                        self.pairs[home][segment.core] += 1

    def compare(self, tally):
        for name, want in self.by_segment.items():
            assert tally.by_segment[:, SegmentEvent[name]].tolist() == want, name
        assert tally.sent.tolist() == self.sent
        assert tally.received.tolist() == self.received
        assert not tally.pairs.size or tally.pairs.tolist() == self.pairs
        assert tally.nonzero.tolist() == self.nonzero
        assert not tally.by_neuron.any()


def make_batch(n_samples, size, seed=0):
    rng = np.random.default_rng(seed)
    x = (rng.integers(0, 17, (n_samples, LAYERS[0])) * (rng.random((n_samples, LAYERS[0])) < 0.4)).astype(np.uint8)
    y = rng.integers(0, LAYERS[-1], n_samples).astype(np.int32)
    return Batch(x, y, rng.permutation(n_samples), np.float32(1 / 16), size)


def new_progress():
    return Progress(np.zeros(1), np.zeros(1, np.int64), np.zeros(1, np.int64), np.full(1, 10**9), np.zeros(1, np.int64), np.zeros(1, np.int64))


def rule_of(noise_std=0.06, period=1):
    return StepRule(np.float32(0.1), np.float32(0.02), np.float32(noise_std), np.float32(0.01), period, np.uint64(5), np.uint64(6))


def run_and_count(store, batch, rule, counting, settle_every=10**9):
    """Steps one at a time; returns the reference and what the run booked of exchanges."""
    network, progress, reference = Mlp(store, batch.size), new_progress(), Reference(store.plan)
    n_steps = -(-batch.order.size // batch.size)
    n_neurons, n_lanes = store.plan.n_neurons, network.n_lanes
    booked = {"RELEASED": 0, "ARRIVED": 0}
    merges = np.zeros(len(store.plan.segments), np.int64)
    for step in range(n_steps):
        rows = reference.active(store)
        before = store.tally.by_segment.copy()
        assert network.train(batch, rule, counting, progress, step, 1, step * batch.size) == 1
        n = min(batch.size, batch.order.size - step * batch.size)
        acts, errs = (a.reshape(-1, n_neurons, n_lanes).transpose(0, 2, 1).reshape(-1, n_neurons)[:n] for a in network._tiles)
        reference.add_step(rows, acts, errs, rule.noise_std > 0)
        change = store.tally.by_segment - before
        arrived = change[:, SegmentEvent.ACCEPTED] + change[:, SegmentEvent.EXACT]
        released = change[:, SegmentEvent.RELEASED]
        if rule.period == 1:
            starts = store.plan.scope_start
            np.testing.assert_array_equal(np.add.reduceat(arrived, starts[:-1]), np.add.reduceat(released, starts[:-1]))
            assert store.n_active == sum(store.plan.n_wanted)
        np.testing.assert_array_equal(change[:, SegmentEvent.MERGES], -(-arrived // counting.merge_entries))
        merges += change[:, SegmentEvent.MERGES]
        np.testing.assert_array_equal(store.n_active_by_segment - np.bincount([g for g, _, _ in rows], minlength=len(merges)), arrived - released)
        booked["RELEASED"] += int(released.sum())
        booked["ARRIVED"] += int(arrived.sum())
        assert store.violations() == []
        if (step + 1) % settle_every == 0:
            settle_tally(store.slots, store.segments, store.matrices, store.tally)
            reference.compare(store.tally)
    settle_tally(store.slots, store.segments, store.matrices, store.tally)
    assert progress.n_samples[0] == batch.order.size
    return reference, booked


# 1 x 1, 1 x 16, 2 x 16 (parallel), 1 x 64 and 2 x 64 lanes, each with a last batch that is smaller.
@pytest.mark.parametrize(("size", "n_samples"), [(1, 120), (10, 235), (16, 250), (20, 290), (60, 400), (128, 500)])
@pytest.mark.parametrize("scope", ["core", "layer", "network"])
@pytest.mark.parametrize("n_cores", [1, 3])
def test_training_counts_equal_a_recount(n_cores, scope, size, n_samples):
    """Rewiring after every step, so that rows and destinations come and go all the time."""
    store = SynapseStore.random(make_plan(n_cores, scope), 3)
    reference, booked = run_and_count(store, make_batch(n_samples, size), rule_of(), Counting(True, 0, True, 2))
    reference.compare(store.tally)
    assert booked["RELEASED"] == booked["ARRIVED"] > 3 * (n_samples // size)
    assert sum(reference.by_segment["PRE_NONZERO"]) > sum(reference.by_segment["PAIR_NONZERO"]) > 100
    assert sum(reference.by_segment["ROWS_NONZERO"]) > 100
    assert store.tally.sent.sum() == store.tally.received.sum()
    assert (store.tally.sent.sum() > 100) == (n_cores == 3)
    if n_cores == 3:
        assert np.all(store.tally.sent.sum(axis=0) > 0) and np.all(store.tally.received.sum(axis=0) > 0)


@pytest.mark.parametrize(("n_cores", "settle_every", "period"), [(3, 1, 1), (3, 7, 1), (3, 5, 4), (1, 3, 4), (3, 10**9, 4)])
def test_counts_may_be_settled_at_any_time(n_cores, settle_every, period):
    """Closing the running sums between steps changes nothing; also with slots that stay empty for a while."""
    store = SynapseStore.random(make_plan(n_cores, "layer"), 4)
    reference, booked = run_and_count(store, make_batch(200, 10), rule_of(period=period), Counting(True, 0, True, 3), settle_every)
    reference.compare(store.tally)
    assert booked["RELEASED"] > 20
    settled = store.tally.by_segment.copy(), store.tally.sent.copy(), store.tally.received.copy()
    settle_tally(store.slots, store.segments, store.matrices, store.tally)
    for a, b in zip(settled, (store.tally.by_segment, store.tally.sent, store.tally.received), strict=True):
        np.testing.assert_array_equal(a, b)


def test_nothing_is_drawn_without_noise():
    store = SynapseStore.random(make_plan(3, "core"), 4)
    reference, _ = run_and_count(store, make_batch(100, 10), rule_of(noise_std=0.0), Counting(True, 0, True, 3))
    reference.compare(store.tally)
    assert store.tally.by_segment[:, SegmentEvent.DRAWN].sum() == 0 < store.tally.by_segment[:, SegmentEvent.UPDATED].sum()


def test_pairs_are_counted_only_when_asked():
    tallies = []
    for counting in (Counting(True, 0, True, 2), Counting(True, 0, False, 2), Counting(False, 10**6, False, 2)):
        store = SynapseStore.random(make_plan(3, "core"), 3)
        batch, progress = make_batch(200, 10), new_progress()
        Mlp(store, 10).train(batch, rule_of(), counting, progress, 0, 20, 0)
        settle_tally(store.slots, store.segments, store.matrices, store.tally)
        tallies.append(store.tally.by_segment.copy())
    full, no_pairs, off = tallies
    assert full[:, SegmentEvent.PAIR_NONZERO].sum() > 0 == no_pairs[:, SegmentEvent.PAIR_NONZERO].sum()
    kept = [e for e in SegmentEvent if e != SegmentEvent.PAIR_NONZERO]
    np.testing.assert_array_equal(full[:, kept], no_pairs[:, kept])
    exchanged = [SegmentEvent[n] for n in ("RELEASED", "ACCEPTED", "REJECTED", "EXACT", "ROWS_CHECKED", "MERGES", "UNFILLED")]
    np.testing.assert_array_equal(full[:, exchanged], off[:, exchanged])
    assert off[:, [SegmentEvent.SLOTS, SegmentEvent.PRE_NONZERO, SegmentEvent.ROWS_NONZERO]].sum() == 0


@pytest.mark.parametrize("n_samples", [1, 63, 64, 65, 2500])
def test_evaluation_counts_equal_a_recount(n_samples):
    """Weights and inputs are small multiples of powers of two: every sum is exact, so zeros are zeros."""
    store = SynapseStore.random(make_plan(3, "core"), 3)
    rng = np.random.default_rng(1)
    store.slots.weight[:] = np.copysign(rng.integers(1, 5, store.n_slots) * (store.slots.active == 1) * 0.25, store.slots.weight)
    assert store.violations() == []
    batch = make_batch(n_samples, 1)
    tally, reference = new_tally(store.plan), Reference(store.plan)
    result = Mlp(store, 1).evaluate(batch.data, batch.labels, 1 / 16, tally)
    rows, acts = reference.active(store), [batch.data.astype(np.float64) / 16]
    for m in range(3):
        z = acts[-1] @ store.dense(m).astype(np.float64)
        acts.append(np.maximum(z, 0) if m < 2 else z)
    for act in np.concatenate(acts, axis=1):
        reference.add_sample(rows, act)
    reference.compare(tally)
    assert result.n_samples == n_samples
    n_not_output = sum(LAYERS[:-1])
    assert result.n_nonzero[:n_not_output].tolist() == reference.nonzero[:n_not_output]
    # argmax of exact logits: the first of equal ones on both sides.
    assert result.accuracy == pytest.approx((acts[-1].argmax(1) == batch.labels).mean(), abs=1e-12)
    z = acts[-1] - acts[-1].max(1, keepdims=True)
    loss = (np.log(np.exp(z).sum(1)) - z[np.arange(n_samples), batch.labels]).mean()
    # fast_exp within 3 units in the last place, 4 summands.
    assert result.loss == pytest.approx(loss, abs=20 * float(np.finfo(np.float32).eps))
    if n_samples > 60:
        assert tally.sent.sum() == tally.received.sum() > 100
    # The running sums of the training must not notice.
    assert not store.tally.by_segment.any() and not store.tally.by_neuron.any()


def test_evaluation_in_the_middle_of_training_changes_no_count():
    """Evaluate between steps, without settling the training: both tallies stay exact."""
    runs = []
    for evaluates in (False, True):
        store = SynapseStore.random(make_plan(3, "layer"), 3)
        batch, progress, network, tally = make_batch(200, 10), new_progress(), Mlp(store, 10), new_tally(store.plan)
        for step in range(20):
            network.train(batch, rule_of(), Counting(True, 0, True, 2), progress, step, 1, step * 10)
            if evaluates:
                network.evaluate(batch.data, batch.labels, 1 / 16, tally)
        settle_tally(store.slots, store.segments, store.matrices, store.tally)
        runs.append((store.slots.weight.tobytes(), *(a.tobytes() for a in store.tally)))
    assert runs[0] == runs[1]
    assert tally.by_segment[:, SegmentEvent.SLOTS].sum() == 20 * 200 * store.n_active


def test_layered_plan_has_no_traffic():
    """Everything on one core: no neuron has another core to send to."""
    store = SynapseStore.random(layered_plan(LAYERS, (30, 20, 8)), 3)
    reference, _ = run_and_count(store, make_batch(100, 10), rule_of(), Counting(True, 0, True, 2))
    reference.compare(store.tally)
    assert store.tally.sent.sum() == store.tally.received.sum() == 0 and not store.tally.n_destinations.any()
