"""Rows 8 and 9: time per synapse and step against size, and what rewiring takes of it."""

import numpy as np

from benchmarks.networks import Steps, make_trainer, random_data, sparse_layers
from benchmarks.peers.timing import interleave
from benchmarks.row import Row, quotient
from neurosim.kernels.layout import SegmentEvent
from neurosim.rewiring.deep_r import DeepR
from neurosim.training import Schedule

BATCH_SIZE = 128
TURNOVER = 0.001
# (series, active synapses, hidden neurons, steps per turn). "one_percent" has the bar; the other
# keeps about 50 inputs per neuron, so that the number of neurons grows with the synapses.
SIZES = (
    ("one_percent", 10**5, 2236, 40),
    ("one_percent", 10**6, 7071, 8),
    ("one_percent", 10**7, 22361, 2),
    ("fifty_inputs", 10**5, 1000, 40),
    ("fifty_inputs", 10**6, 10000, 8),
    ("fifty_inputs", 10**7, 100000, 2),
)


def run(settings):
    """Measure; returns list of Row."""
    return _growth(settings) + _rewiring_share(settings)


def _growth(settings):
    rows = []
    for series in dict.fromkeys(entry[0] for entry in SIZES):
        contestants, work = {}, {}
        for _, n_active, n_hidden, n_steps in (entry for entry in SIZES if entry[0] == series):
            if settings.is_quick and n_active > 10**6:
                continue
            layers, counts = sparse_layers(n_hidden, n_active)
            data = random_data(n_hidden, n_steps * BATCH_SIZE)
            trainer = make_trainer(layers, counts, data, BATCH_SIZE, schedule=Schedule("constant", 0.01))
            contestants[n_active] = Steps(trainer, n_steps)
            work[n_active] = n_steps
        comparison = interleave(contestants, settings.repetitions)
        per_step = {n: comparison.medians[n] / work[n] for n in contestants}
        per_synapse = {n: seconds / n for n, seconds in per_step.items()}
        least, most = min(per_synapse), max(per_synapse)
        rows.append(
            Row(
                f"growth_{series}", "8", f"s per synapse and step, {least:.0e} to {most:.0e}, {series.replace('_', ' ')}",
                max(per_synapse.values()) / per_synapse[least], bar=2.0, at_least=False,
                ours=per_synapse[most], peer=per_synapse[least], peer_name=f"neurosim at {least:.0e}",
                n_repetitions=settings.repetitions,
                notes=[f"{n:.0e} synapses: {per_step[n] * 1e3:.2f} ms per step, {per_synapse[n] * 1e9:.2f} ns per synapse"
                       for n in per_step],
                values={"seconds_per_step": per_step, "seconds_per_synapse": per_synapse, "series": series},
            )
        )  # fmt: skip
        contestants.clear()
    return rows


def _rewiring_share(settings):
    """Same steps with 0.1 % of the synapses leaving in each, and with none.

    theta is uniform on [0, top] and falls by top / 1000 a step, arrivals start at the top: the
    turnover is 0.1 % in every step, however many there are. 125 steps exchange an eighth of the
    slots, so that each turn holds one sorting.
    """
    n_active, n_hidden, n_steps = (10**5, 2236, 125) if settings.is_quick else (10**6, 7071, 125)
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
        )
    ]  # fmt: skip


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
