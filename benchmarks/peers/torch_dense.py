"""Dense PyTorch network without biases: ReLU, softmax cross-entropy, plain SGD.

Two forms give the same numbers up to rounding. `autograd` is what a user writes first.
`by_hand` spells the backward pass out and lets BLAS add the weight step (`addmm_`), so no
gradient is ever stored: the fastest form found, and the harder opponent at small batches.

Tried and dropped, MNIST 784-300-100-10: `torch.optim.SGD` (3-20 % slower than subtracting),
`torch._foreach_add_` (equal), weights as (n_post, n_pre) with `F.linear` (equal or slower),
shuffling the whole set once per epoch (equal or slower than gathering each batch),
`torch.compile` of the loss (slower at batch 10, equal at 128) and of the whole step by hand
(slower at batch 10, equal at 128). One thread is faster than two at batch 10, so the caller
sets the threads and quotes the better count.
"""

import torch
from torch.nn import functional

MNIST_SIZES = (784, 300, 100, 10)


def to_tensors(dataset):
    """Data set as (x_train, y_train, x_test, y_test): float32 in [0, 1] and int64 tensors."""
    return tuple(
        part
        for x, y in ((dataset.x_train, dataset.y_train), (dataset.x_test, dataset.y_test))
        for part in (torch.from_numpy(x).float().mul_(dataset.scale), torch.from_numpy(y).long())
    )


def make_state(sizes=MNIST_SIZES, *, seed=0):
    """Weights of a new network, He initialization.

    Returns
    -------
    list of float32 tensor, shape (n_pre, n_post)
    """
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(n_pre, n_post, generator=generator) * (2.0 / n_pre) ** 0.5 for n_pre, n_post in zip(sizes, sizes[1:])]


def forward(weights, x):
    """Class scores, shape (n_samples, n_classes), of inputs x, shape (n_samples, n_pre)."""
    for weight in weights[:-1]:
        x = torch.relu(x @ weight)
    return x @ weights[-1]


@torch.no_grad()
def accuracy(weights, x, y):
    """Share of the samples whose largest score is their label."""
    return (forward(weights, x).argmax(1) == y).float().mean().item()


def gradients_autograd(weights, x, y):
    """Gradients of the mean cross-entropy by automatic differentiation, one per weight matrix."""
    leaves = [weight.detach().requires_grad_() for weight in weights]
    return torch.autograd.grad(functional.cross_entropy(forward(leaves, x), y), leaves)


@torch.no_grad()
def gradients_by_hand(weights, x, y):
    """The same gradients by explicit matrix products."""
    return [inputs.t() @ delta for inputs, delta in backpropagate(weights, x, y)]


def backpropagate(weights, x, y):
    """Factors of the gradients of the mean cross-entropy; call it without gradient recording.

    Returns
    -------
    list of (inputs, delta)
        Per layer, its inputs (n_samples, n_pre) and the derivative by its sums
        (n_samples, n_post): the gradient is ``inputs.T @ delta``.
    """
    inputs = [x]
    for weight in weights[:-1]:
        inputs.append(torch.mm(inputs[-1], weight).relu_())
    delta = torch.softmax(inputs[-1] @ weights[-1], 1)
    delta.sub_(functional.one_hot(y, delta.shape[1])).div_(len(y))
    deltas = [delta]
    for weight, activation in zip(weights[:0:-1], inputs[:0:-1]):
        delta = torch.mm(delta, weight.t()).mul_(activation > 0)
        deltas.append(delta)
    return list(zip(inputs, reversed(deltas)))


def step_autograd(weights, x, y, lr):
    """One SGD step by automatic differentiation; writes `weights`."""
    gradients = gradients_autograd(weights, x, y)
    with torch.no_grad():
        for weight, gradient in zip(weights, gradients):
            weight.sub_(gradient, alpha=lr)


@torch.no_grad()
def step_by_hand(weights, x, y, lr):
    """One SGD step by explicit products; writes `weights`."""
    for weight, (inputs, delta) in zip(weights, backpropagate(weights, x, y)):
        weight.addmm_(inputs.t(), delta, alpha=-lr)


STEPS = {"autograd": step_autograd, "by_hand": step_by_hand}


def train_epoch(weights, x, y, order, batch_size, lr, *, form="autograd"):
    """One pass over the samples in the given order; writes `weights`.

    Parameters
    ----------
    weights : list of float32 tensor, shape (n_pre, n_post)
    x : float32 tensor, shape (n_samples, n_features)
    y : int64 tensor, shape (n_samples,)
    order : int64 tensor
        Sample numbers; the last batch may be smaller.
    batch_size : int
    lr : float
    form : {"autograd", "by_hand"}
    """
    step = STEPS[form]
    for chosen in order.split(batch_size):
        step(weights, x[chosen], y[chosen], lr)
