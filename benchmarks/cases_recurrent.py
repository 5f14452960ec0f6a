"""Row lstm: epochs of MNIST row by row, ours with DEEP R at 5 % against PyTorch's dense LSTM.

Both train on from round to round: at the end all have done the same number of epochs, and what they reached stands in the notes.
"""

import time
from dataclasses import replace
from statistics import median

from benchmarks.cases_mnist import TorchEpochs
from benchmarks.networks import Epochs
from benchmarks.peers import torch_lstm
from benchmarks.peers.timing import interleave
from benchmarks.row import ratio_row
from neurosim.datasets import load_dataset
from neurosim.nn.recurrent import Recurrent, RecurrentShape, recurrent_plan
from neurosim.placement import MERGE_ENTRIES
from neurosim.rewiring.deep_r import DeepR
from neurosim.synapses import SynapseStore
from neurosim.training import Optimizer, Schedule, Trainer, TrainingPlan

BATCH_SIZE = 100
N_UNITS = torch_lstm.N_UNITS
#: 5 % of all positions; the read-out, which has few, gets a larger part of them.
CONNECTIVITY = (0.046, 0.046, 0.3)
RULE = DeepR(l1=1e-4, noise_std=1e-5, theta_born=1e-12)


def make_lstm(dataset, batch_size):
    """Trainer of the network of `mnist_rows_lstm` on one core, with a rate that does not depend on the number of epochs."""
    shape = RecurrentShape("lstm", dataset.n_inputs, dataset.n_steps, (N_UNITS,), dataset.n_classes)
    n_active = [round(c * a * b) for c, (a, b) in zip(CONNECTIVITY, shape.matrices, strict=True)]
    optimizer = Optimizer("adam")
    store = SynapseStore.random(recurrent_plan(shape, n_active, n_moments=optimizer.n_moments), 0)
    plan = TrainingPlan(
        0, 10**6, batch_size, Schedule("exponential", 0.01, torch_lstm.DECAY), RULE, MERGE_ENTRIES, optimizer=optimizer
    )
    return Trainer(store, dataset, plan, Recurrent(store, shape, batch_size, clip=torch_lstm.CLIP))


class ProcessorTimed:
    """A contestant whose processor seconds, of all its threads, are kept beside the time that passes."""

    def __init__(self, program):
        self.program, self.seconds = program, []

    def __call__(self):
        begin = time.process_time()
        self.program()
        self.seconds.append(time.process_time() - begin)


def run(settings):
    """Measure; returns list of Row."""
    dataset = load_dataset("mnist_rows", data_dir=settings.data_dir, limit=6000 if settings.is_quick else None)
    data = torch_lstm.to_tensors(dataset)
    name = "neurosim, DEEP R"
    ours = {name: ProcessorTimed(Epochs(dataset, BATCH_SIZE, make_lstm))}
    peers = {
        f"torch dense LSTM {form}, threads {n}": ProcessorTimed(
            TorchEpochs(
                torch_lstm, data, BATCH_SIZE, n, torch_lstm.learning_rate,
                state=torch_lstm.make_state(dataset.n_inputs, dataset.n_classes, form),
            )
        )
        for form in torch_lstm.FORMS
        for n in (1, 2)
    }  # fmt: skip
    contestants = ours | peers
    comparison = interleave(contestants, settings.repetitions)
    programs = {key: timed.program for key, timed in contestants.items()}
    notes = [f"test accuracy after {programs[name].trainer.epoch} epochs:"]
    notes += [f"  {program.accuracy():.4f} {key}" for key, program in programs.items()]
    case = f"MNIST rows, LSTM {N_UNITS}, batch {BATCH_SIZE}, 5 %"
    row = ratio_row(comparison, "lstm_epoch", "lstm", f"{case}; peer dense", name, list(peers), bar=1.0, notes=notes)
    of_processor = {key: timed.seconds[1:] for key, timed in contestants.items()}
    processor = replace(
        comparison, seconds=of_processor, medians={key: median(seconds) for key, seconds in of_processor.items()}
    )
    return [row, ratio_row(processor, "lstm_processor", "lstm", f"{case}; processor time", name, list(peers))]
