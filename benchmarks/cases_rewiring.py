"""Row 9: what rewiring takes of a step, at a turnover of 0.1 %."""

import time
from statistics import median

import numpy as np
from numba import prange

from benchmarks.networks import Steps, make_trainer, random_data, sparse_layers
from benchmarks.peers.timing import interleave, measure
from benchmarks.row import Row, quotient
from neurosim.kernels.compile import parallel_kernel
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.order import note_disorder
from neurosim.kernels.rewire import begin_exchange, close_exchange, exchange_share
from neurosim.kernels.update import CHUNK, MARKED
from neurosim.rewiring.deep_r import DeepR
from neurosim.training import Schedule

BATCH_SIZE = 128
TURNOVER = 0.001
N_STEPS = 125


@parallel_kernel
def exchange(slots, segments, matrices, tally, progress, rule, step, below):
    """What a step does with the slots that are marked. Writes `slots`, `tally`, `progress`."""
    before, unfilled = np.zeros(segments.matrix.size, np.int64), np.zeros(segments.n_wanted.size, np.int64)
    n_shares = begin_exchange(slots, segments, tally, below, True)
    for share in prange(n_shares):
        exchange_share(share, n_shares, slots, segments, matrices, tally, rule, step, below, True, before, unfilled)
    close_exchange(n_shares, slots, segments, matrices, tally, progress, True, 1, before, unfilled)


def run(settings):
    """Measure; returns list of Row.

    Same steps with 0.1 % of the synapses leaving in each, and with none.

    theta is uniform on [0, top] and falls by top / 1000 a step, arrivals start at the top: the
    turnover is 0.1 % in every step, however many there are. 125 steps hold some seven merges of slots
    that are out of order.
    """
    n_active, n_hidden, n_steps = (10**5, 2236, N_STEPS) if settings.is_quick else (10**6, 7071, N_STEPS)
    with_it, without = (_drifting(n_active, n_hidden, n_steps, drift) for drift in (TURNOVER, 0.0))
    contestants = {"0.1 % turnover": with_it, "none": without}
    comparison = interleave(contestants, settings.repetitions)
    total, (low, high) = quotient(comparison, "0.1 % turnover", "none")
    turnover = with_it.trainer.store.tally.by_segment[:, SegmentEvent.RELEASED].sum() / (with_it.step * n_active)
    if without.trainer.store.tally.by_segment[:, SegmentEvent.RELEASED].sum() or not 0.0008 < turnover < 0.0012:
        raise RuntimeError(f"turnover {turnover:.2%} instead of {TURNOVER:.1%}, or some where none was meant")
    return [
        Row(
            "rewiring_share", "9", f"rewiring's share of a step, {n_active:.0e} synapses, 0.1 % turnover",
            1 - 1 / total, unit="share", bar=0.05, at_least=False,
            ours=comparison.medians["0.1 % turnover"] / n_steps, peer=comparison.medians["none"] / n_steps,
            peer_name="neurosim, none leaves", figure_range=(1 - 1 / low, 1 - 1 / high),
            n_repetitions=settings.repetitions, notes=[f"turnover measured {turnover:.4%}"],
        ),
        _exchange_alone(with_it, comparison.medians["none"] / n_steps, n_active, settings),
    ]  # fmt: skip


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
        if note_disorder(store.slots, n_tiles):
            merging += measure(store.merge, warmup=0, repetitions=1)
    exchange_s = median(seconds[1:]) + median(merging) * len(merging) / n_exchanges
    return Row(
        "rewiring_alone", "9", "same, exchange and merging timed alone", exchange_s / (exchange_s + step_s),
        unit="share", at_least=False, ours=exchange_s, peer=step_s, peer_name="step in which none leaves",
        n_repetitions=len(seconds) - 1,
        notes=[f"release and re-use {1e3 * median(seconds[1:]):.2f} ms a step, one merge {1e3 * median(merging):.1f} ms, about every {n_exchanges // len(merging)} steps"],
    )  # fmt: skip


def _drifting(n_active, n_hidden, n_steps, drift):
    layers, counts = sparse_layers(n_hidden, n_active)
    # Uniform theta with this top keeps the size of activations from layer to layer.
    top = float(np.sqrt(6 * n_hidden / counts[0]))
    rate = 1e-6  # so small that gradients do not matter
    rule = DeepR(l1=drift * top / rate, noise_std=1e-6, theta_born=top)
    data = random_data(n_hidden, n_steps * BATCH_SIZE)
    trainer = make_trainer(layers, counts, data, BATCH_SIZE, rule=rule, schedule=Schedule("constant", rate))
    weight = trainer.store.slots.weight
    theta = np.random.default_rng(2).uniform(0.0 if drift else 0.01 * top, top, weight.size)
    weight[:] = np.copysign(theta, weight)
    return Steps(trainer, n_steps)
