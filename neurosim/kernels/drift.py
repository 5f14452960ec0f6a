"""DEEP R under constant gradients, by the kernels that train: for the comparison with its exact stationary law."""

import numpy as np

from neurosim.kernels.compile import kernel
from neurosim.kernels.dormant import walk_dormant
from neurosim.kernels.exchange import fill_scope
from neurosim.kernels.random import fold
from neurosim.kernels.update import CHUNK, release_marked, update_chunk


@kernel
def walk(slots, segments, matrices, tally, drift, rule, first, n_steps, n_active, theta):
    """Steps of independent replicas, one matrix with one segment each, with dE/dtheta = drift - l1 at each position.

    Parameters
    ----------
    slots, segments, matrices, tally : Slots, Segments, Matrices, Tally
        Of a store of scope ``core``; `slots` and `tally` are written.
    drift : float32 array, shape (n_positions,)
        Of the positions pre * n_post + post; theta falls by eta * drift per step.
    rule : StepRule
        Step size, L1, noise, strength of arrivals, keys. Rewires at every step.
    first, n_steps : int
        Steps [first, first + n_steps) of the random streams.
    n_active, theta : int64 and float64 arrays, shape (n_replicas, n_positions)
        Added to after every step: whether a position is active, and its theta.
    """
    n_slots = slots.pre.size
    below = np.zeros((n_slots + CHUNK - 1) // CHUNK, np.int32)
    for step in range(first, first + n_steps):
        for segment in range(segments.matrix.size):
            n_post = matrices.n_post[segments.matrix[segment]]
            for k in range(segments.slot_start[segment], segments.slot_start[segment + 1]):
                slope = drift[slots.pre[k] * n_post + slots.post[k]] - rule.l1
                slots.gradient[k] = -slope if np.signbit(slots.weight[k]) else slope
        key = fold(rule.noise_key, step)
        for chunk in range(below.size):
            start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, n_slots)
            below[chunk] = update_chunk(slots, start, stop, rule.eta, rule.l1, rule.noise_std, key, rule.has_free_signs)
        release_marked(slots, segments, matrices, tally, below)
        for r in range(segments.matrix.size):
            if slots.n_free[r, 0] > 0:
                fill_scope(
                    slots, segments, matrices, tally, r, segments.n_wanted[r], fold(rule.proposal_key, step), rule.theta_born,
                    np.bool_(True),  # as a literal it would be another build
                )  # fmt: skip
            n_post = matrices.n_post[segments.matrix[r]]
            for k in range(segments.slot_start[r], segments.slot_start[r + 1]):
                position = slots.pre[k] * n_post + slots.post[k]
                n_active[r, position] += 1
                theta[r, position] += np.abs(slots.weight[k])


@kernel
def walk_soft(slots, segments, matrices, tally, dormant, theta_min, rule, first, n_steps, n_active, theta):
    """Steps of soft DEEP R without a loss: connections do not know of each other, so each is a copy.

    Parameters
    ----------
    slots, segments, matrices, tally : Slots, Segments, Matrices, Tally
        Of a store of one segment with a slot for every position; `slots` and `tally` are written.
    dormant : float32 array, shape (n_positions,)
        Written; see `kernels.dormant`.
    theta_min : float32 array, shape (1,)
    rule : StepRule
        Step size, L1, noise, keys.
    first, n_steps : int
        Steps [first, first + n_steps) of the random streams.
    n_active, theta : int64 and float64 arrays, shape (n_positions,)
        Added to after every step: whether a position is active, and its theta.
    """
    n_slots = slots.pre.size
    n_post = matrices.n_post[0]
    for step in range(first, first + n_steps):
        key = fold(rule.noise_key, step)
        for chunk in range((n_slots + CHUNK - 1) // CHUNK):
            stop = min((chunk + 1) * CHUNK, n_slots)
            update_chunk(slots, chunk * CHUNK, stop, rule.eta, rule.l1, rule.noise_std, key, rule.has_free_signs)
        walk_dormant(slots, segments, matrices, tally, dormant, theta_min, rule.noise_std, fold(rule.proposal_key, step))
        for k in range(n_slots):
            if slots.active[k]:
                position = slots.pre[k] * n_post + slots.post[k]
                n_active[position] += 1
                theta[position] += np.abs(slots.weight[k])
