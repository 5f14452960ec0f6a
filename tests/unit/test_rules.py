"""Rewiring rules: who leaves and who arrives, worked by hand, and what a run under each rule keeps."""

import math
from dataclasses import replace

import numba
import numpy as np
import pytest

from neurosim.datasets import load_dataset
from neurosim.kernels.layout import SegmentEvent
from neurosim.rewiring import RULES, DeepR, Dense, L1Shrinkage, Moment, Prune, PruneRetrain, RigL, Set, SoftDeepR, Static
from neurosim.synapses import SynapseStore, layered_plan
from neurosim.training import Schedule, Trainer, TrainingPlan

LAYERS, N_ACTIVE = (64, 40, 10), (256, 120)
K = sum(N_ACTIVE)
N_POSITIONS = 64 * 40 + 40 * 10

QUICK = {
    "deep_r": DeepR(l1=1e-4, noise_std=1e-2),
    "soft_deep_r": SoftDeepR(l1=1e-4, noise_std=1e-2),
    "set": Set(period=7),
    "rigl": RigL(period=7),
    "static": Static(),
    "dense": Dense(),
    "prune": Prune(period=7),
    "prune_retrain": PruneRetrain(start=0.3, end=0.7, rounds=3),
    "l1_shrinkage": L1Shrinkage(l1=1e-2, period=7),
}


def moment(step=0, n_steps=100, **changes):
    return replace(Moment(step, n_steps, 0.1, 1, 2, {}, None), **changes)


def hand_store(limit=None):
    """One matrix of 4 x 3 with 6 connections; pre, post, weight in slot order:

    0 (0, 0) 0.5     1 (1, 0) -0.1     2 (2, 1) 0.1     3 (3, 1) -0.3     4 (0, 2) 0.2     5 (1, 2) -0.05
    """
    store = SynapseStore(replace(layered_plan((4, 3), (6,), fan_in_limit=limit), signs="free"), 0)
    positions = np.array([0, 1, 6, 7, 8, 9])  # post * n_pre + pre
    assert store.place(0, positions, 6) == 6
    store.slots.weight[:] = [0.5, -0.1, 0.1, -0.3, 0.2, -0.05]
    assert store.violations() == []
    return store


def positions_of(store):
    pre, post, _ = store.connections(0)
    return set(zip(pre.tolist(), post.tolist()))


# SET


def test_set_drops_the_smallest_magnitudes():
    """0.5 of 6 are 3: |-0.05|, and of the two of magnitude 0.1 both; the sign does not count."""
    store = hand_store()
    assert Set(drop_fraction=0.5).leaving(store, moment()).tolist() == [5, 1, 2]


def test_set_breaks_ties_by_position_not_by_slot():
    """0.34 of 6 are 2: after 0.05, of the two of 0.1 the one at the lower post neuron, wherever its slot is."""
    store = hand_store()
    rule = Set(drop_fraction=0.34)
    assert rule.leaving(store, moment()).tolist() == [5, 1]
    slots = store.slots
    for array in (slots.pre, slots.post, slots.weight):
        array[[1, 2]] = array[[2, 1]]
    assert rule.leaving(store, moment()).tolist() == [5, 2]


def test_set_falls_to_nothing_along_half_a_cosine():
    rule = Set(drop_fraction=0.4, stop=0.8)
    assert rule.fraction(0, 1000) == pytest.approx(0.4)
    assert rule.fraction(400, 1000) == pytest.approx(0.2)
    assert rule.fraction(600, 1000) == pytest.approx(0.2 * (1 - math.sqrt(0.5)))
    assert rule.fraction(800, 1000) == rule.fraction(1000, 1000) == 0.0


def test_set_replaces_what_left_by_random_growth():
    """Over many keys the arrivals take every free position equally often: 3 of 9, the dropped ones included."""
    n, counts = 6000, {}
    for key in range(n):
        store = hand_store()
        stay = positions_of(store) - {(1, 2), (1, 0), (2, 1)}
        assert Set(drop_fraction=0.5).rewire(store, moment(key=key)) == 0
        assert stay < positions_of(store) and store.n_active == 6
        for position in positions_of(store) - stay:
            counts[position] = counts.get(position, 0) + 1
    # Each position is taken with p = 1/3: standard error sqrt(n p (1 - p)) = 36.5; 4 of them, 9 positions.
    assert len(counts) == 9
    assert all(abs(c - n / 3) < 4 * math.sqrt(n * 2 / 9) for c in counts.values())


# RigL

# |gradient| of post 0, 1, 2 (rows), pre 0 to 3 (columns); taken positions in brackets, those that leave in braces:
#   (0.9) {0.7} 0.2  0.3
#    0.1   0   {0.4} (0.8)
#   (0.6) {0.05} 0.5 0.3
GRADIENT = np.array([0.9, -0.7, 0.2, -0.3, 0.1, 0.0, 0.4, 0.8, -0.6, 0.05, -0.5, 0.3], np.float32)


def test_rigl_grows_where_the_gradient_is_largest():
    """Free after three left: 0.7 at (1, 0), which just left, 0.5 at (2, 2), 0.4 at (2, 1), which just left."""
    store = hand_store()
    RigL(drop_fraction=0.5).rewire(store, moment(dense_gradient=lambda g: GRADIENT))
    assert positions_of(store) == {(0, 0), (3, 1), (0, 2), (1, 0), (2, 2), (2, 1)}
    _, _, weight = store.connections(0)
    assert sorted(np.abs(weight).tolist()) == pytest.approx([0, 0, 0, 0.2, 0.3, 0.5])
    assert store.violations() == []


def test_rigl_respects_the_fan_in():
    """At most 2 per neuron: (1, 0) fills neuron 0, (2, 2) neuron 2; then (2, 1) for neuron 1."""
    gradient = GRADIENT.copy()
    gradient[2] = 1.0  # (2, 0): the largest now, and fills neuron 0
    store = hand_store(limit=2)
    RigL(drop_fraction=0.5).rewire(store, moment(dense_gradient=lambda g: gradient))
    assert positions_of(store) == {(0, 0), (3, 1), (0, 2), (2, 0), (2, 2), (2, 1)}
    assert store.violations() == []


def test_rigl_takes_equal_gradients_in_the_order_of_positions_and_none_without_gradient():
    store = hand_store()
    gradient = np.zeros(12, np.float32)
    gradient[[3, 11]] = 0.25
    RigL(drop_fraction=0.5).rewire(store, moment(dense_gradient=lambda g: gradient))
    booked = store.tally.by_segment[0]
    assert {(3, 0), (3, 2)} < positions_of(store) and store.n_active == 6
    assert (booked[SegmentEvent.PLACED], booked[SegmentEvent.ACCEPTED]) == (6 + 2, 1)


@pytest.mark.parametrize("batch_size", [1, 10, 128])
def test_the_dense_gradient_is_that_of_the_batch(few_digits, batch_size):
    """Against float64 matrix products of a dense network with the same weights; sums of at most 128 products: 1e-5."""
    trainer = make_trainer(few_digits, replace(QUICK["rigl"], period=10**6), batch_size)
    store, first = trainer.store, {}
    trainer.run(should_stop=lambda: first.setdefault("stop", True))
    before = SynapseStore.random(store.plan, 0)
    assert trainer.step == 1
    order = trainer._shuffle(0)[:batch_size]
    act = [few_digits.x_train[order] * few_digits.scale]
    for m in range(2):
        z = act[-1] @ before.dense(m).astype(float)
        act.append(np.maximum(z, 0) if m == 0 else z)
    p = np.exp(act[-1] - act[-1].max(1, keepdims=True))
    delta = (p / p.sum(1, keepdims=True) - np.eye(10)[few_digits.y_train[order]]) / batch_size
    wanted = [None, act[1].T @ delta]
    wanted[0] = act[0].T @ ((delta @ before.dense(1).astype(float).T) * (act[1] > 0))
    for m in range(2):
        gradient = trainer._dense_gradient(m).reshape(store.plan.matrices[m].n_post, -1).T
        assert np.abs(wanted[m]).max() > 1e-3
        np.testing.assert_allclose(gradient, wanted[m], rtol=0, atol=1e-5)
        active = before.dense(m) != 0
        assert active.sum() == N_ACTIVE[m]
    booked = store.tally.by_segment
    assert booked[:, SegmentEvent.DENSE_SAMPLES].tolist() == [batch_size] * 2
    assert booked[:, SegmentEvent.DENSE_ROWS].tolist() == [(act[m] != 0).sum() for m in range(2)]


# prune and soft DEEP R


def test_prune_follows_the_cubic_schedule():
    rule = Prune(start=0.2, end=0.6, period=10)
    assert [rule.kept(step, 100) for step in (0, 20, 40, 60, 100)] == pytest.approx([1, 1, 0.125, 0, 0])
    assert rule.next_rewiring(50, 100) == 60
    assert replace(rule, period=1000).next_rewiring(50, 100) == 60
    assert replace(rule, period=1000).next_rewiring(60, 100) == 1000


def test_prune_keeps_the_largest():
    plan = replace(layered_plan((4, 3), (6,), headroom=9), signs="free", starts_dense=True, is_strict=False)
    store = SynapseStore.random(plan, 0)
    assert store.n_active == 12
    weights = np.abs(store.slots.weight).copy()
    assert Prune().rewire(store, moment(step=60)) == 0
    assert store.n_active == 6
    np.testing.assert_array_equal(np.sort(store.theta[store.slots.active == 1]), np.sort(weights)[6:])
    assert store.tally.by_segment[0, SegmentEvent.ERASED] == 6


def dense_hand_store():
    plan = replace(layered_plan((4, 3), (6,), headroom=9), signs="free", starts_dense=True, is_strict=False)
    store = SynapseStore.random(plan, 0)
    assert store.n_active == 12
    return store


def test_prune_retrain_takes_the_same_fraction_in_every_round():
    rule = PruneRetrain(start=0.5, end=0.7, rounds=3)
    assert rule.moments(100) == [50, 60, 70] and PruneRetrain(start=0.5).moments(100) == [50]
    assert [rule.next_rewiring(step, 100) for step in (0, 49, 50, 69, 70)] == [50, 50, 60, 70, None]
    assert [rule.n_kept(8, 1000, step, 100) for step in (49, 50, 60, 70, 100)] == [1000, 200, 40, 8, 8]
    store = dense_hand_store()
    weights = np.sort(np.abs(store.slots.weight))
    PruneRetrain(start=0.5).rewire(store, moment(step=50))
    np.testing.assert_array_equal(np.sort(store.theta[store.slots.active == 1]), weights[6:])
    assert store.tally.by_segment[0, SegmentEvent.ERASED] == 6 and store.violations() == []
    PruneRetrain(start=0.5).rewire(store, moment(step=99))
    assert store.n_active == 6


def test_l1_shrinkage_takes_who_is_within_reach_and_never_below_the_budget():
    """eta l1 period = 0.1 * 0.01 * 100 = 0.1."""
    rule = L1Shrinkage(l1=0.01, period=100, end=0.6)
    assert rule.reach(0, 0.1) == pytest.approx(0.1) and L1Shrinkage(l1=(0.0, 0.02), threshold=0.05).reach(0, 0.1) == 0.05
    assert [rule.next_rewiring(step, 1000) for step in (0, 500, 599, 600)] == [100, 600, 600, 700]
    assert replace(rule, period=1000).next_rewiring(100, 1000) == 600
    store = dense_hand_store()
    store.slots.weight[:] = np.array([0.5, -0.05, 0.09, -0.3, 0.2, -0.01, 0.4, 0.3, 0.6, 0.7, 0.8, 0.9], np.float32)
    rule.rewire(store, moment(step=100, n_steps=1000))
    assert store.n_active == 9 and store.tally.by_segment[0, SegmentEvent.ERASED] == 3
    assert store.tally.by_segment[0, SegmentEvent.SEARCHES] == 0  # a comparison is no search
    store.slots.weight[store.slots.active == 1] = np.linspace(0.01, 0.09, 9, dtype=np.float32)
    rule.rewire(store, moment(step=200, n_steps=1000))
    assert store.n_active == 6 and store.theta[store.slots.active == 1].min() == np.float32(0.04)
    assert store.tally.by_segment[0, SegmentEvent.SEARCHES] == 1 and store.violations() == []
    rule.rewire(store, moment(step=300, n_steps=1000))
    assert store.n_active == 6
    other = dense_hand_store()
    other.slots.weight[:] = 1
    rule.rewire(other, moment(step=600, n_steps=1000))
    assert other.n_active == 6  # the end comes whatever the pull


def test_l1_shrinkage_pulls(few_digits):
    """The pull alone takes many connections away, as those of pixels that are always 0, long before the end."""
    trainer = make_trainer(few_digits, L1Shrinkage(l1=1e-3, period=10, end=1.0), n_epochs=10)
    counts = [trainer.store.n_active for _ in run_by_steps(trainer)]
    assert counts[0] == N_POSITIONS and K < counts[-31] < 0.8 * N_POSITIONS and counts[-1] == K
    assert all(b <= a for a, b in zip(counts, counts[1:]))


def test_soft_deep_r_moves_every_parameter_once_a_step(few_digits):
    """Active plus dormant are all positions; nobody is below theta_min; no slot has the wrong sign."""
    trainer = make_trainer(few_digits, QUICK["soft_deep_r"])
    lowest = trainer.plan.rule.lowest(trainer.store, 0.2)
    counts = set()
    for step in run_by_steps(trainer):  # noqa: B007  (the last is asked for below)
        store, dormant = trainer.store, trainer.rule_state["dormant"]
        assert store.violations() == []
        asleep = dormant < 0
        assert (~asleep).sum() == store.n_active and np.all(np.isinf(dormant[~asleep]))
        assert np.all(dormant[asleep] >= np.repeat(lowest, store.segments.n_positions)[asleep])
        counts.add(store.n_active)
    booked = store.tally.by_segment.sum(axis=0)
    assert booked[SegmentEvent.UPDATED] + booked[SegmentEvent.DORMANT] == step * N_POSITIONS
    assert len(counts) > 5 and booked[SegmentEvent.PLACED] > 20 and booked[SegmentEvent.RELEASED] > 20


def test_soft_deep_r_wakes_and_sleeps_with_its_theta(few_digits):
    """A dormant theta walks; where it wakes it is the strength of the new slot, and goes back when that slot falls asleep."""
    trainer = make_trainer(few_digits, QUICK["soft_deep_r"])
    store, state = trainer.store, trainer.rule_state["dormant"]
    before, slots = state.copy(), store.slots
    m = moment(step=1, learning_rate=0.2, noise_key=5, state=trainer.rule_state)
    falls = int(np.flatnonzero(slots.active)[0])
    place = int(slots.post[falls]) * 64 + int(slots.pre[falls])
    slots.weight[falls] = -np.float32(1e-6) * store.sign(0, slots.pre[falls], slots.post[falls])
    trainer.plan.rule.rewire(store, m)
    assert state[place] == np.float32(-1e-6)
    noise = trainer.plan.rule.step_noise(0.2)
    # Far from both ends nobody wakes or is clamped. Some 2500 deviates: the standard error is 1.4 %; four of it.
    lowest = np.repeat(trainer.plan.rule.lowest(store, 0.2), store.segments.n_positions)
    inside = (before < -6 * noise) & (before > lowest + 6 * noise)
    steps = state[inside] - before[inside]
    assert inside.sum() > 2000 and abs(steps.std() / noise - 1) < 0.06 and abs(steps.mean()) < 0.08 * noise
    woken = (before < 0) & np.isinf(state)
    assert woken.sum() == store.tally.by_segment[:, SegmentEvent.PLACED].sum()
    assert np.all(store.theta[slots.active == 1] >= 0) and store.violations() == []


def test_constant_and_free_signs(few_digits):
    """Under SET weights change their signs; DEEP R's never do (`violations`)."""
    trainer = make_trainer(few_digits, QUICK["set"], n_epochs=3)
    trainer.run()
    pre, post, weight = trainer.store.connections(0)
    signs = [trainer.store.sign(0, p, q) for p, q in zip(pre, post)]
    assert (np.sign(weight) != signs).sum() > 10
    assert trainer.store.violations() == []
    constant = SynapseStore(replace(trainer.store.plan, signs="constant"), 0)
    constant.restore(trainer.store.state())
    assert any("constant sign" in line for line in constant.violations())


# whole runs


@pytest.fixture(scope="module")
def few_digits():
    return load_dataset("digits", limit=300)


def make_trainer(dataset, rule, batch_size=10, n_epochs=1, seed=0, scope="core"):
    plan = layered_plan(LAYERS, N_ACTIVE, scope=scope, headroom=1e6 if rule.has_places else 0.3 if scope != "core" else 0.0)
    if rule.starts_dense and not rule.rewires:
        plan = layered_plan(LAYERS, (64 * 40, 40 * 10), scope=scope)
    plan = replace(plan, signs=rule.signs, starts_dense=rule.starts_dense, is_strict=rule.is_strict)
    training = TrainingPlan(seed, n_epochs, batch_size, Schedule("constant", 0.2), rule, 64)
    return Trainer(SynapseStore.random(plan, seed), dataset, training)


def run_by_steps(trainer):
    while not trainer.is_done:
        step = trainer.step
        trainer.run(should_stop=lambda: True)
        if trainer.step > step:
            yield trainer.step


def bits(trainer):
    """Arrays of the state, and the history without times."""
    arrays, values = trainer.state()
    history = [{k: v for k, v in row.items() if not k.endswith("_s")} for row in values["history"]]
    return {name: array.tobytes() for name, array in arrays.items()} | {"history": repr(history)}


@pytest.mark.parametrize("batch_size", [1, 10, 64])
@pytest.mark.parametrize("name", RULES)
def test_a_run_keeps_the_canonical_form(few_digits, name, batch_size):
    trainer = make_trainer(few_digits, QUICK[name], batch_size, n_epochs={1: 1, 10: 3, 64: 16}[batch_size])
    for _ in run_by_steps(trainer):
        assert trainer.store.violations() == []
        if name in ("set", "rigl", "static", "deep_r"):
            assert tuple(trainer.store.n_active_by_segment) == N_ACTIVE
    assert trainer.store.n_active == {"dense": N_POSITIONS}.get(name, K) or name == "soft_deep_r"
    n_arrived = sum(record.n_arrived for record in trainer.history)
    assert (n_arrived > 20) == (name not in ("static", "dense", "prune", "prune_retrain", "l1_shrinkage"))


@pytest.mark.parametrize("batch_size", [10, 64])
@pytest.mark.parametrize("name", RULES)
def test_the_result_does_not_depend_on_interruptions_or_threads(few_digits, name, batch_size):
    """One go; one thread, step by step; restored in the middle: the same bits."""
    whole = make_trainer(few_digits, QUICK[name], batch_size, n_epochs=4)
    assert whole.run()
    threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        stepped = make_trainer(few_digits, QUICK[name], batch_size, n_epochs=4)
        middle = None
        for step in run_by_steps(stepped):
            if step == 3 * stepped.n_steps // 7:
                arrays, values = stepped.state()
                middle = {k: v.copy() for k, v in arrays.items()}, values | {"history": list(values["history"])}
    finally:
        numba.set_num_threads(threads)
    resumed = make_trainer(few_digits, QUICK[name], batch_size, n_epochs=4)
    resumed.restore(*middle)
    assert resumed.step > 0 and not resumed.is_done
    assert resumed.run()
    assert bits(stepped) == bits(whole)
    assert bits(resumed) == bits(whole)


@pytest.mark.parametrize("name", ["set", "rigl"])
def test_what_a_rewiring_costs_is_booked(few_digits, name):
    """Period 7 in 90 steps: 12 rewirings. From step 63 on less than one connection would leave: nothing is searched."""
    trainer = make_trainer(few_digits, QUICK[name], n_epochs=3)
    trainer.run()
    booked = trainer.store.tally.by_segment
    assert trainer.step == 90
    assert booked[:, SegmentEvent.SEARCHES].tolist() == [8, 8]
    assert booked[:, SegmentEvent.RANKED].tolist() == [8 * n for n in N_ACTIVE]
    n_dense = {"set": 0, "rigl": 8}[name]
    assert booked[:, SegmentEvent.DENSE_SEARCHES].tolist() == [n_dense] * 2
    assert booked[:, SegmentEvent.DENSE_SAMPLES].tolist() == [10 * n_dense] * 2
    if name == "rigl":
        assert booked[:, SegmentEvent.PLACED].sum() > booked[:, SegmentEvent.ACCEPTED].sum()


def test_rules_learn_better_than_the_static_network():
    """25 epochs of all digits, two seeds each: dense above the rewiring rules above static."""
    digits = load_dataset("digits")
    accuracy = {}
    for name in ("static", "set", "rigl", "dense"):
        plan = layered_plan((64, 40, 10), (60, 60))
        found = []
        for seed in (0, 1):
            rule = QUICK[name]
            trainer = make_trainer(digits, rule, n_epochs=25, seed=seed)
            if name != "dense":
                trainer = Trainer(SynapseStore.random(replace(plan, signs="free"), seed), digits, replace(trainer.plan, rule=rule))
            trainer.run()
            found.append(trainer.history[-1].test_accuracy)
        accuracy[name] = np.mean(found)
    assert accuracy["static"] + 0.02 < min(accuracy["set"], accuracy["rigl"])
    assert max(accuracy["set"], accuracy["rigl"]) < accuracy["dense"]
