"""Optimizers with state per slot: from the gradient of a step to its direction.

The state lies in `Slots.moments`, as many rows as the optimizer keeps numbers per slot: none (plain SGD),
one (momentum), two (Adam). It belongs to the synapse: a slot that is not active has zeros, an arrival
starts from zeros, sorting moves it. The constant sign makes no difference: sign * state is the
state of theta.
"""

from typing import NamedTuple

import numpy as np

from neurosim.kernels.compile import fma, inlined


class OptimizerStep(NamedTuple):
    """Numbers of an optimizer, or any tuple that has them among others. Read only; plain SGD uses none."""

    decay: np.float32  #: momentum, or beta1 of Adam
    decay_square: np.float32  #: beta2 of Adam
    epsilon: np.float32  #: of Adam


@inlined
def bias_corrections(slots, optimizer, step):
    """1 / (1 - beta**t) of both moments, t = step + 1 steps of the run: two float32; ones without Adam."""
    if slots.moments.shape[0] < 2:
        return np.float32(1.0), np.float32(1.0)
    t = np.float64(step + 1)
    first = 1.0 / (1.0 - np.float64(optimizer.decay) ** t)
    second = 1.0 / (1.0 - np.float64(optimizer.decay_square) ** t)
    return np.float32(first), np.float32(second)


@inlined
def direct_chunk(slots, start, stop, optimizer, correct_first, correct_second):
    """Turn the gradients of slots [start, stop) into the direction of the step; does nothing for plain SGD.

        momentum   v <- momentum v + g                                 direction v
        Adam       m <- beta1 m + (1 - beta1) g
                   v <- beta2 v + (1 - beta2) g^2                      direction m' / (sqrt(v') + epsilon)

    with m' = m / (1 - beta1^t) and v' = v / (1 - beta2^t). Sources: Polyak 1964 in the form of Sutskever et al.,
    ICML 2013, without dampening; Kingma, Ba, "Adam", ICLR 2015, algorithm 1. t counts the steps of the run,
    not those of the synapse: the chip keeps one counter per core and none per slot, so an arrival late in
    the run moves up to (1 - beta1) / sqrt(1 - beta2) learning rates in its first step (3.2 with the defaults).

    Writes `slots.gradient` and `slots.moments`.
    """
    n_moments = slots.moments.shape[0]
    if n_moments == 0:
        return
    gradient, active = slots.gradient[start:stop], slots.active[start:stop]
    first = slots.moments[0, start:stop]
    if n_moments == 1:
        for k in range(stop - start):
            slope = gradient[k] if active[k] == 1 else np.float32(0.0)
            first[k] = fma(optimizer.decay, first[k], slope)
            gradient[k] = first[k]
        return
    second = slots.moments[1, start:stop]
    new_share, new_share_square = np.float32(1.0) - optimizer.decay, np.float32(1.0) - optimizer.decay_square
    for k in range(stop - start):
        slope = gradient[k] if active[k] == 1 else np.float32(0.0)
        m = fma(optimizer.decay, first[k], new_share * slope)
        v = fma(optimizer.decay_square, second[k], new_share_square * slope * slope)
        first[k], second[k] = m, v
        gradient[k] = m * correct_first / (np.sqrt(v * correct_second) + optimizer.epsilon)


@inlined
def forget(slots, slot):
    """Zero the state of one slot. Writes `slots.moments`."""
    for i in range(slots.moments.shape[0]):
        slots.moments[i, slot] = np.float32(0.0)
