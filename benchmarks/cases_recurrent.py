"""Row lstm: epochs of MNIST row by row, ours with DEEP R at 5 % against PyTorch's dense LSTM.

Both train on from round to round: at the end all have done the same number of epochs, and what they reached stands in the notes.
"""

import time
from dataclasses import replace
from statistics import median

import numba

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
N_THREADS = (1, 2)
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
    plan = TrainingPlan(0, 10**6, batch_size, Schedule("exponential", 0.01, torch_lstm.DECAY), RULE, MERGE_ENTRIES, optimizer=optimizer)
    return Trainer(store, dataset, plan, Recurrent(store, shape, batch_size, clip=torch_lstm.CLIP))


class ProcessorTimed:
    """A contestant on so many threads, whose processor seconds are kept beside the time that passes."""

    def __init__(self, program, n_threads):
        self.program, self.n_threads, self.seconds = program, n_threads, []

    def __call__(self):
        before = numba.get_num_threads()
        numba.set_num_threads(min(self.n_threads, numba.config.NUMBA_NUM_THREADS))  # type: ignore[attr-defined]
        begin = time.process_time()
        self.program()
        self.seconds.append(time.process_time() - begin)
        numba.set_num_threads(before)


def run(settings):
    """Measure; returns list of Row."""
    dataset = load_dataset("mnist_rows", data_dir=settings.data_dir, limit=6000 if settings.is_quick else None)
    data = torch_lstm.to_tensors(dataset)
    contestants = {f"neurosim, DEEP R, threads {n}": ProcessorTimed(Epochs(dataset, BATCH_SIZE, make_lstm), n) for n in N_THREADS}
    ours = list(contestants)
    for form in torch_lstm.FORMS:
        for n in N_THREADS:
            state = torch_lstm.make_state(dataset.n_inputs, dataset.n_classes, form)
            program = TorchEpochs(torch_lstm, data, BATCH_SIZE, n, torch_lstm.learning_rate, state=state)
            contestants[f"torch dense LSTM {form}, threads {n}"] = ProcessorTimed(program, n)
    comparison = interleave(contestants, settings.repetitions)
    notes = [f"test accuracy after {1 + settings.repetitions} epochs:"]
    notes += [f"  {timed.program.accuracy():.4f} {name}" for name, timed in contestants.items()]
    case = f"MNIST rows, LSTM {N_UNITS}, batch {BATCH_SIZE}, 5 %"
    peers = [name for name in contestants if name not in ours]
    best = min(ours, key=comparison.medians.get)
    row = ratio_row(comparison, "lstm_epoch", "lstm", f"{case}; peer dense", best, peers, bar=1.0, notes=notes)
    # A thread that waits for another may do so at work: only single threads compare by their processor time.
    seconds = {name: timed.seconds[1:] for name, timed in contestants.items() if timed.n_threads == 1}
    processor = replace(comparison, seconds=seconds, medians={name: median(values) for name, values in seconds.items()})
    single = [name for name in peers if name in seconds]
    more = ratio_row(processor, "lstm_processor", "lstm", "same, processor time of one thread", ours[0], single)
    return [row, more]
