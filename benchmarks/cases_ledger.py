"""Row 10: what counting costs. The training is bit for bit the same, whatever is counted."""

import numba

from benchmarks.networks import Epochs
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


def run(settings):
    """Measure; returns list of Row.

    In one thread: steps of this size use no more, and waking a second one for the evaluation of each
    epoch would cost as much as the difference that is looked for.
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
        contestants = {"off": Epochs(dataset, batch_size, is_counted=False)}
        contestants |= {name: Epochs(dataset, batch_size, **counts) for name, counts in COUNTS.items()}
        # A difference of a few per cent needs more rounds than a ratio of 40.
        repetitions = 2 * settings.repetitions + 1
        comparison = interleave(contestants, repetitions)
        for name in COUNTS:
            figure, figure_range = quotient(comparison, name, "off")
            rows.append(
                Row(
                    f"ledger_{name.replace(' ', '_')}_batch{batch_size}", "10",
                    f"accounting on / off, {name}, batch {batch_size}",
                    figure, bar=1.05, at_least=False, ours=comparison.medians[name], peer=comparison.medians["off"],
                    peer_name="neurosim, off", figure_range=figure_range, n_repetitions=repetitions,
                )
            )  # fmt: skip
    return rows
