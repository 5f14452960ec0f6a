"""Row 8: time per synapse and step against size."""

from benchmarks.networks import Steps, make_trainer, random_data, sparse_layers
from benchmarks.peers.timing import interleave
from benchmarks.row import Row
from neurosim.training import Schedule

BATCH_SIZE = 128
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
