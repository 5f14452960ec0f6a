"""Row 9: what rewiring takes of a step, at a turnover of 0.1 %."""

import time
from dataclasses import replace
from statistics import median

import numpy as np
from numba import prange

from benchmarks.networks import Steps, Turn, make_trainer, random_data, sparse_layers
from benchmarks.peers.timing import interleave, measure
from benchmarks.row import Row, quotient
from neurosim.kernels.compile import kernel, parallel_kernel
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.order import note_disorder
from neurosim.kernels.rewire import begin_exchange, close_exchange, deal_share, exchange_share
from neurosim.kernels.update import CHUNK, MARKED
from neurosim.rewiring.deep_r import DeepR
from neurosim.training import Schedule

BATCH_SIZE = 128
TURNOVER = 0.001

#: Steps of a turn. Slots that are out of order are merged every 12 steps at this turnover, whatever the number of synapses.
N_STEPS = 36

#: Rounds for each repetition of other cases: a difference of some percent takes many short ones on a shared machine.
ROUNDS = 5


@kernel
def is_disordered(slots, n_tiles):
    """`note_disorder`, for Python. Writes `slots`."""
    return note_disorder(slots, n_tiles)


@parallel_kernel
def exchange(slots, segments, matrices, tally, progress, rule, step, below):
    """What a step does with the slots that are marked. Writes `slots`, `tally`, `progress`."""
    before, unfilled = np.zeros(segments.matrix.size, np.int64), np.zeros(segments.n_wanted.size, np.int64)
    n_shares = begin_exchange(slots, segments, tally, rule, below, True)
    for share in prange(n_shares):
        exchange_share(share, n_shares, slots, segments, matrices, tally, rule, step, below, True, before, unfilled)
        deal_share(share, n_shares, slots, segments, matrices, before)
    close_exchange(n_shares, slots, segments, matrices, tally, progress, True, 1, before, unfilled)


class _Turn(Turn):
    """Steps with an L1 penalty of their own, which leave the slots in order."""

    def __init__(self, steps, l1):
        super().__init__(steps, rule=replace(steps.trainer.plan.rule, l1=l1))
        self.n_released, self.n_done = 0, 0

    def __call__(self):
        trainer = self.steps.trainer
        before = _count_released(trainer)
        super().__call__()
        self.n_released += _count_released(trainer) - before
        self.n_done += self.steps.n_steps
        if self.plan.rule.l1 > 0:
            trainer.store.merge()  # as a rule just done: then it finds nothing to move


def run(settings):
    """Measure; returns list of Row.

    Turns with 0.1 % of the synapses leaving in each step, and turns with none, of one network: two of them would
    differ by where their arrays happen to lie.

    theta is uniform on [0, top] and falls by top / 1000 a step, arrivals start at the top: the
    turnover is 0.1 % in every step, however many there are.
    """
    n_active, n_hidden = (10**5, 2236) if settings.is_quick else (10**6, 7071)
    steps, l1 = _uniform_steps(n_active, n_hidden)
    with_it, without = _Turn(steps, l1), _Turn(steps, 0.0)
    n_rounds = ROUNDS * settings.repetitions
    comparison = interleave({"0.1 % turnover": with_it, "none": without}, n_rounds)
    total, (low, high) = quotient(comparison, "0.1 % turnover", "none")
    turnover, rest = (turn.n_released / (turn.n_done * n_active) for turn in (with_it, without))
    if not 0.0008 < turnover < 0.0012 or rest > 1e-6:
        raise RuntimeError(f"turnover {turnover:.2%} instead of {TURNOVER:.1%}, {rest:.5%} where none was meant")
    step_s = {name: seconds / N_STEPS for name, seconds in comparison.medians.items()}
    return [
        Row(
            "rewiring_share", "9", f"rewiring's share of a step, {n_active:.0e} synapses, 0.1 % turnover",
            1 - 1 / total, unit="share", bar=0.05, at_least=False,
            ours=step_s["0.1 % turnover"], peer=step_s["none"],
            peer_name="neurosim, none leaves", figure_range=(1 - 1 / low, 1 - 1 / high),
            n_repetitions=n_rounds, notes=[f"turnover measured {turnover:.4%}, {rest:.6%} where none is meant; {n_rounds} rounds of {N_STEPS} steps"],
        ),
        _exchange_alone(steps, step_s["none"], n_active, settings),
    ]  # fmt: skip


def _count_released(trainer):
    return int(trainer.store.tally.by_segment[:, SegmentEvent.RELEASED].sum())


def _exchange_alone(steps, step_s, n_active, settings):
    """Row of the exchange by itself: release, re-use and a share of a merge, without what it does to later steps."""
    trainer, rng, seconds, merging = steps.trainer, np.random.default_rng(3), [], []
    store, rule = trainer.store, trainer._step_rule(trainer.plan.schedule.rate(0, 1))
    n_leaving = round(TURNOVER * n_active)
    n_tiles, n_exchanges = BATCH_SIZE // 64, 1 + 12 * settings.repetitions
    store.merge()
    for i in range(n_exchanges):
        leaving = rng.choice(np.flatnonzero(store.slots.active == 1), n_leaving, replace=False)
        store.slots.active[leaving] = MARKED
        below = np.bincount(leaving // CHUNK, minlength=-(-store.n_slots // CHUNK)).astype(np.int32)
        begin = time.perf_counter()
        exchange(store.slots, store.segments, store.matrices, store.tally, trainer.progress, rule, steps.step + i, below)
        seconds.append(time.perf_counter() - begin)
        if is_disordered(store.slots, n_tiles):
            merging += measure(store.merge, warmup=0, repetitions=1)
    exchange_s = median(seconds[1:]) + median(merging) * len(merging) / n_exchanges
    return Row(
        "rewiring_alone", "9", "same, exchange and merging timed alone", exchange_s / (exchange_s + step_s),
        unit="share", at_least=False, ours=exchange_s, peer=step_s, peer_name="step in which none leaves",
        n_repetitions=len(seconds) - 1,
        notes=[f"release and re-use {1e3 * median(seconds[1:]):.2f} ms a step, one merge {1e3 * median(merging):.1f} ms, about every {n_exchanges // len(merging)} steps"],
    )  # fmt: skip


def _uniform_steps(n_active, n_hidden):
    """Steps of a network with uniform theta, and the L1 penalty that makes the turnover."""
    layers, counts = sparse_layers(n_hidden, n_active)
    # Uniform theta with this top keeps the size of activations from layer to layer.
    top = float(np.sqrt(6 * n_hidden / counts[0]))
    rate = 1e-6  # so small that gradients do not matter, as noise
    rule = DeepR(noise_std=1e-12, theta_born=top)
    data = random_data(n_hidden, N_STEPS * BATCH_SIZE)
    trainer = make_trainer(layers, counts, data, BATCH_SIZE, rule=rule, schedule=Schedule("constant", rate))
    weight = trainer.store.slots.weight
    weight[:] = np.copysign(np.random.default_rng(2).uniform(0.0, top, weight.size), weight)
    return Steps(trainer, N_STEPS), TURNOVER * top / rate
