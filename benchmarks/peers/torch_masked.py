"""DEEP R on dense PyTorch tensors with boolean masks: parameters, signs and masks of full size.

The algorithm is Bellec et al. (ICLR 2018, arXiv 1711.05136, algorithm 1), the settings those
of the authors' TensorFlow script: rewiring after every step, per matrix, noise of standard
deviation ``lr * 1e-5``. Two forms of the update do the same thing:

`whole` : every operation on whole tensors, the usual transcription of the paper.
`gathered` : update, L1 and noise only at the active entries. The fastest masked form found.

Tried and dropped for `gathered`: `mask.nonzero()` (211 us for 784 x 300; NumPy's search of
the same memory takes a third), `torch.randperm` over dormant positions (1 ms), `multinomial`
(5 ms) and `topk` of random scores (1.3 ms) against rejection (10 us); keeping lists of
active positions next to the masks (3-12 % faster, but no longer a masked program).
"""

from dataclasses import dataclass

import numpy as np
import torch

from . import torch_dense

CONNECTIVITY = (0.01, 0.03, 0.30)
L1_STRENGTH = 1e-5
NOISE_SCALE = 1e-5
THETA_AT_ACTIVATION = 1e-12
GRADIENTS = {
    "autograd": torch_dense.gradients_autograd,
    "by_hand": torch_dense.gradients_by_hand,
}


def learning_rate(epoch):
    """Learning rate of an epoch counted from 0: 0.5, times 0.8 per epoch."""
    return 0.5 * 0.8**epoch


@dataclass
class MaskedMatrix:
    """One weight matrix; all tensors have shape (n_pre, n_post) and are contiguous.

    Canonical form: exactly `n_active` entries of `mask` are True, `theta` is >= 0 there and
    0 elsewhere.
    """

    theta: torch.Tensor
    sign: torch.Tensor
    mask: torch.Tensor
    n_active: int

    def weight(self):
        """Dense weights ``sign * relu(theta) * mask``; dormant thetas are 0, so no mask is needed."""
        return self.theta.clamp(min=0).mul_(self.sign)


@dataclass
class MaskedState:
    """Matrices of a network, and the generator of noise and positions."""

    matrices: list
    generator: torch.Generator


def make_state(sizes=torch_dense.MNIST_SIZES, connectivity=CONNECTIVITY, *, seed=0):
    """Network with ``round(connectivity * n_pre * n_post)`` active entries per matrix."""
    generator = torch.Generator().manual_seed(seed)
    matrices = []
    for n_pre, n_post, share in zip(sizes[:-1], sizes[1:], connectivity, strict=True):
        shape, size = (n_pre, n_post), n_pre * n_post
        n_active = round(share * size)
        mask = torch.zeros(size, dtype=torch.bool)
        mask[torch.randperm(size, generator=generator)[:n_active]] = True
        mask = mask.view(shape)
        theta = torch.randn(shape, generator=generator).abs_().div_(n_pre**0.5).mul_(mask)
        sign = torch.randint(0, 2, shape, generator=generator).mul_(2).sub_(1).float()
        matrices.append(MaskedMatrix(theta, sign, mask, n_active))
    return MaskedState(matrices, generator)


def update_whole(matrix, gradient, lr, generator):
    """DEEP R update and rewiring of one matrix on whole tensors; writes `theta` and `mask`."""
    theta, mask = matrix.theta, matrix.mask
    noise = torch.randn(theta.shape, generator=generator)
    theta += mask * (lr * NOISE_SCALE * noise - lr * (matrix.sign * gradient + L1_STRENGTH))
    mask &= theta >= 0
    theta *= mask
    n_missing = matrix.n_active - int(mask.sum())
    if n_missing:
        dormant = (~mask).view(-1).nonzero().view(-1)
        arrivals = dormant[torch.randperm(len(dormant), generator=generator)[:n_missing]]
        mask.view(-1)[arrivals] = True
        theta.view(-1)[arrivals] = THETA_AT_ACTIVATION


def update_gathered(matrix, gradient, lr, generator):
    """The same at the active entries only; writes `theta` and `mask`."""
    theta, sign, mask = matrix.theta.view(-1), matrix.sign.view(-1), matrix.mask.view(-1)
    active = torch.from_numpy(np.flatnonzero(mask.numpy()))
    moved = torch.randn(len(active), generator=generator).mul_(lr * NOISE_SCALE).sub_(lr * L1_STRENGTH)
    moved.addcmul_(sign.take(active), gradient.take(active), value=-lr).add_(theta.take(active))
    theta.index_copy_(0, active, moved)
    released = active[moved < 0]
    if len(released):
        mask[released] = False
        theta[released] = 0.0
        theta[activate(mask, len(released), generator)] = THETA_AT_ACTIVATION


def activate(mask, n_missing, generator):
    """Activate `n_missing` uniformly random dormant positions; writes `mask`, returns them.

    Positions drawn in vain (active, or drawn twice) are drawn again, which is sampling
    without replacement; it is quick while few positions are active.

    Parameters
    ----------
    mask : bool tensor, shape (n_positions,)
    n_missing : int
        At most the number of dormant positions.
    generator : torch.Generator

    Returns
    -------
    int64 tensor, shape (n_missing,)
    """
    arrivals = []
    while n_missing:
        drawn = torch.randint(len(mask), (n_missing,), generator=generator)
        drawn = drawn[~mask[drawn]].unique()
        mask[drawn] = True
        n_missing -= len(drawn)
        arrivals.append(drawn)
    return torch.cat(arrivals)


UPDATES = {"whole": update_whole, "gathered": update_gathered}


def train_epoch(state, x, y, order, batch_size, lr, *, form="gathered", gradients="autograd", after_step=None):
    """One pass over the samples, DEEP R after every batch; writes `state`.

    Parameters
    ----------
    state : MaskedState
    x, y, order, batch_size, lr
        As in `torch_dense.train_epoch`.
    form : {"gathered", "whole"}
    gradients : {"autograd", "by_hand"}
    after_step : callable, optional
        Called without arguments after each step, for checks.
    """
    update, compute_gradients = UPDATES[form], GRADIENTS[gradients]
    for chosen in order.split(batch_size):
        weights = [matrix.weight() for matrix in state.matrices]
        for matrix, gradient in zip(state.matrices, compute_gradients(weights, x[chosen], y[chosen])):
            update(matrix, gradient, lr, state.generator)
        if after_step is not None:
            after_step()


def accuracy(state, x, y):
    """Share of the samples whose largest score is their label."""
    return torch_dense.accuracy([matrix.weight() for matrix in state.matrices], x, y)


def violations(state):
    """Everything that is not canonical, as a list of lines; empty for a sound state."""
    found = []
    for index, matrix in enumerate(state.matrices):
        n_found = int(matrix.mask.sum())
        if n_found != matrix.n_active:
            found.append(f"matrix {index}: {n_found} active entries, expected {matrix.n_active}")
        if bool((matrix.theta < 0).any()):
            found.append(f"matrix {index}: theta below 0")
        if bool((matrix.theta[~matrix.mask] != 0).any()):
            found.append(f"matrix {index}: theta of a dormant entry is not 0")
    return found
