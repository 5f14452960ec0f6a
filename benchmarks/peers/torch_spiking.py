"""Recurrent leaky integrate-and-fire networks in PyTorch: by snnTorch, and as a user's own loop over the steps.

Both are dense, learn by back-propagation through time with Adam, and read the mean of a leaky read-out, as ours does.
"""

import torch
from torch import nn
from torch.nn import functional


class Step(torch.autograd.Function):
    """The step function with a triangular surrogate of height 0.3."""

    @staticmethod
    def forward(ctx, distance):
        ctx.save_for_backward(distance)
        return (distance > 0).to(distance.dtype)

    @staticmethod
    def backward(ctx, error):
        (distance,) = ctx.saved_tensors
        return 0.3 * error * torch.clamp(1 - distance.abs(), min=0)


class Loop(nn.Module):
    """The loop that a user writes: one product of all inputs with their weights, then a product a step."""

    def __init__(self, n_inputs, n_units, n_classes, alpha, v_th):
        super().__init__()
        self.inputs, self.recurrent = nn.Linear(n_inputs, n_units, bias=False), nn.Linear(n_units, n_units, bias=False)
        self.output, self.alpha, self.v_th = nn.Linear(n_units, n_classes), alpha, v_th

    def forward(self, x):
        """Mean read-out of samples x, shape (n, steps, inputs)."""
        currents = self.inputs(x)
        v = z = torch.zeros_like(currents[:, 0])
        spikes = []
        for t in range(x.shape[1]):
            v = self.alpha * v + currents[:, t] + self.recurrent(z) - self.v_th * z.detach()
            z = Step.apply((v - self.v_th) / self.v_th)
            spikes.append(z)
        y, total = 0.0, 0.0
        for sums in self.output(torch.stack(spikes)):
            y = self.alpha * y + sums
            total = total + y
        return total / x.shape[1]


class SnnTorch(nn.Module):
    """snnTorch's recurrent leaky neurons and a leaky read-out that never spikes."""

    def __init__(self, n_inputs, n_units, n_classes, alpha, v_th):
        super().__init__()
        import snntorch

        self.inputs, self.output = nn.Linear(n_inputs, n_units, bias=False), nn.Linear(n_units, n_classes)
        self.cell = snntorch.RLeaky(alpha, linear_features=n_units, threshold=v_th, spike_grad=Step.apply, reset_mechanism="subtract")
        self.read = snntorch.Leaky(alpha, reset_mechanism="none")

    def forward(self, x):
        """Mean read-out of samples x, shape (n, steps, inputs)."""
        spike, membrane = self.cell.init_rleaky()
        out, total = self.read.init_leaky(), 0.0
        for t in range(x.shape[1]):
            spike, membrane = self.cell(self.inputs(x[:, t]), spike, membrane)
            _, out = self.read(self.output(spike), out)
            total = total + out
        return total / x.shape[1]


def train_epoch(model, optimizer, x, y, batch_size):
    """One epoch in a new order; returns the mean loss."""
    total = 0.0
    for rows in torch.randperm(len(y)).split(batch_size):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(x[rows]), y[rows])
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(y)
