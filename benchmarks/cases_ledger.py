"""Row 10: what counting costs. The training is bit for bit the same, whatever is counted."""

from benchmarks.networks import Epochs
from benchmarks.peers.timing import interleave
from benchmarks.row import Row, quotient
from neurosim.datasets import load_dataset


def run(settings):
    """Measure; returns list of Row."""
    dataset = load_dataset("mnist", data_dir=settings.data_dir, limit=6000 if settings.is_quick else None)
    rows = []
    for batch_size in (10, 128):
        contestants = {
            "off": Epochs(dataset, batch_size, counts_activity=False),
            "scan": Epochs(dataset, batch_size),
            "event-driven": Epochs(dataset, batch_size, counts_pairs=True),
        }
        # A difference of a few per cent needs more rounds than a ratio of 40.
        repetitions = 2 * settings.repetitions + 1
        comparison = interleave(contestants, repetitions)
        for name in ("scan", "event-driven"):
            figure, figure_range = quotient(comparison, name, "off")
            rows.append(
                Row(
                    f"ledger_{name}_batch{batch_size}", "10", f"accounting on / off, {name}, batch {batch_size}",
                    figure, bar=1.05, at_least=False, ours=comparison.medians[name], peer=comparison.medians["off"],
                    peer_name="neurosim, off", figure_range=figure_range, n_repetitions=repetitions,
                )
            )  # fmt: skip
    return rows
