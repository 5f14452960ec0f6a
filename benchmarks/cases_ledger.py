"""Row 10: what counting costs. The training is bit for bit the same, whatever is counted."""

import numba

from benchmarks.networks import Steps, Turn, make_lenet
from benchmarks.peers.timing import interleave
from benchmarks.row import Row, quotient
from neurosim.datasets import load_dataset

#: What a run counts, by the chip and execution that it is for (`scenario.runner`).
COUNTS = {
    "scan on one core": {"watches": "none"},
    "scan on several cores": {"watches": "hidden"},
    "every neuron": {"watches": "all"},
    "event-driven": {"watches": "all", "counts_pairs": True},
}

#: Turns of an epoch, and rounds for each repetition of other cases: a difference of some percent takes many short ones.
#: The number of contestants does not divide that of the turns: each comes to every part of the samples.
TURNS, ROUNDS = 21, 40


class _Turn(Turn):
    """Steps counted in a way of their own, and the ledger settled."""

    def __call__(self):
        super().__call__()
        self.steps.trainer.network.settle()


def run(settings):
    """Measure; returns list of Row.

    One network takes turns: two of them would differ by where their arrays happen to lie. In one thread, which is what steps
    of this size use.
    """
    n_threads = numba.get_num_threads()
    numba.set_num_threads(1)
    try:
        return _measure(settings)
    finally:
        numba.set_num_threads(n_threads)


def _measure(settings):
    dataset = load_dataset("mnist", data_dir=settings.data_dir, limit=6000 if settings.is_quick else None)
    rows = []
    for batch_size in (10, 128):
        steps = Steps(make_lenet(dataset, batch_size), dataset.n_train // batch_size // TURNS, is_shuffled=True)
        contestants = {"off": _Turn(steps, is_counted=False)} | {name: _Turn(steps, **counts) for name, counts in COUNTS.items()}
        n_rounds = ROUNDS * settings.repetitions
        # The warm-up is an epoch: what a network first does, arriving synapses above all, is not what it does later.
        comparison = interleave(contestants, n_rounds, warmup=-(-TURNS // len(contestants)))
        for name in COUNTS:
            figure, figure_range = quotient(comparison, name, "off")
            rows.append(
                Row(
                    f"ledger_{name.replace(' ', '_')}_batch{batch_size}", "10",
                    f"accounting on / off, {name}, batch {batch_size}",
                    figure, bar=1.05, at_least=False, ours=comparison.medians[name], peer=comparison.medians["off"],
                    peer_name="neurosim, off", figure_range=figure_range, n_repetitions=n_rounds,
                    notes=[f"{n_rounds} rounds of {steps.n_steps} steps"],
                )
            )  # fmt: skip
    return rows
