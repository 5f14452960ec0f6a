"""Dense LSTM of PyTorch (`torch.nn.LSTM`, oneDNN or native kernels) with softmax read-out of the last state.

Adam with clipping by norm, as ours. Forms: `batch_first` takes the sequences as they lie, (sample, step, input), as most
programs do; `time_first` gathers a batch as (step, sample, input). Adam is the `fused` one, the fastest of the three on a CPU;
its rate is the best of 1e-3, 3e-3 and 1e-2 for the dense network.
"""

import torch
from torch.nn import functional

N_UNITS = 128
LEARNING_RATE, DECAY = 3e-3, 0.85
CLIP = 1.0
FORMS = ("batch_first", "time_first")


class LstmState(torch.nn.Module):
    """The network and its optimizer, Xavier's and orthogonal weights left to PyTorch's defaults."""

    def __init__(self, n_inputs, n_classes, form):
        super().__init__()
        self.form = form
        self.cell = torch.nn.LSTM(n_inputs, N_UNITS, batch_first=form == "batch_first")
        self.readout = torch.nn.Linear(N_UNITS, n_classes)
        self.optimizer = torch.optim.Adam(self.parameters(), lr=LEARNING_RATE, fused=True)

    def forward(self, x):
        """Class scores, shape (n_samples, n_classes), of sequences x, shape (n_samples, n_steps, n_inputs)."""
        states, _ = self.cell(x if self.form == "batch_first" else x.transpose(0, 1).contiguous())
        return self.readout(states[:, -1] if self.form == "batch_first" else states[-1])


def make_state(n_inputs, n_classes, form, *, seed=0):
    """New network of `N_UNITS` units."""
    torch.manual_seed(seed)
    return LstmState(n_inputs, n_classes, form)


def to_tensors(dataset):
    """Data set as (x_train, y_train, x_test, y_test): float32, shape (n_samples, n_steps, n_inputs), and int64."""
    return tuple(
        part
        for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test))
        for part in (
            torch.from_numpy(x).float().mul_(dataset.scale).view(len(x), dataset.n_steps, dataset.n_inputs),
            torch.from_numpy(y).long(),
        )
    )


def train_epoch(state, x, y, order, batch_size, lr):
    """One pass over the samples in the given order; writes `state`."""
    state.optimizer.param_groups[0]["lr"] = lr
    for chosen in order.split(batch_size):
        state.optimizer.zero_grad(set_to_none=True)
        functional.cross_entropy(state(x[chosen]), y[chosen]).backward()
        torch.nn.utils.clip_grad_norm_(state.parameters(), CLIP)
        state.optimizer.step()


def learning_rate(epoch):
    """Rate of an epoch, counted from 0."""
    return LEARNING_RATE * DECAY**epoch


@torch.no_grad()
def accuracy(state, x, y):
    """Share of the samples whose largest score is their label."""
    right = sum((state(x[i : i + 1000]).argmax(1) == y[i : i + 1000]).sum().item() for i in range(0, len(x), 1000))
    return right / len(x)
