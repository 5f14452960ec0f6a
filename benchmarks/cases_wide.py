"""Row 6: training steps of 2048-2048-2048-10 at 1 %, ours with DEEP R against dense PyTorch."""

import torch

from benchmarks.networks import Steps, make_trainer, random_data
from benchmarks.peers import torch_dense
from benchmarks.peers.timing import LEAD, interleave, on_torch_threads
from benchmarks.row import ratio_row
from neurosim.training import Schedule

BATCH_SIZE = 128
# Random labels: a small rate keeps every contestant's weights finite.
LEARNING_RATE = 0.01


def run(settings):
    """Measure; returns list of Row."""
    n_hidden, n_steps = (1024, 3) if settings.is_quick else (2048, 10)
    layers = (n_hidden, n_hidden, n_hidden, 10)
    n_active = tuple(round(0.01 * a * b) for a, b in zip(layers, layers[1:]))
    dataset = random_data(n_hidden, n_steps * BATCH_SIZE)
    trainer = make_trainer(layers, n_active, dataset, BATCH_SIZE, schedule=Schedule("constant", LEARNING_RATE))
    x, y = torch_dense.to_tensors(dataset)[:2]
    order = torch.arange(len(x))
    ours, peers = {"neurosim, DEEP R": Steps(trainer, n_steps)}, {}
    for form in torch_dense.STEPS:
        for n in (1, 2):
            weights = torch_dense.make_state(layers)

            def train(weights=weights, form=form):
                torch_dense.train_epoch(weights, x, y, order, BATCH_SIZE, LEARNING_RATE, form=form)

            peers[f"torch dense {form}, threads {n}"] = on_torch_threads(n, train)
    comparison = interleave(ours | peers, settings.repetitions, lead=LEAD)
    case = f"{n_steps} steps of {'-'.join(map(str, layers))} at 1 %, batch {BATCH_SIZE}"
    return [ratio_row(comparison, "step_wide", "6", case, "neurosim, DEEP R", list(peers), bar=10.0)]
