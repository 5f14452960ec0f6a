"""The step of one chunk of slots, from its gradient to stored weights: the same for every network.

direction (optimizer) -> new theta -> rounding, where weights are narrower than float32 -> who fell below zero
-> read-out of a master copy
"""

import numpy as np

from neurosim.kernels.compile import inlined
from neurosim.kernels.optimizer import direct_chunk
from neurosim.kernels.rounding import read_out_chunk, round_chunk
from neurosim.kernels.update import move_chunk, settle_chunk


@inlined
def step_slots(slots, matrices, chunk, start, stop, rule, step_key, rounding_key, correct_first, correct_second, saturated):
    """Update slots [start, stop) of a chunk, mark those below zero; returns how many.

    `step_key`, `rounding_key` : uint64, of the noise and of the rounding of this step.
    `correct_first`, `correct_second` : see `optimizer.bias_corrections`. `saturated` : see `rounding.round_chunk`.
    Writes `slots` and `saturated`; the gradient is zero afterwards.
    """
    eta, l1, noise_std, has_free_signs = rule.eta, rule.l1, rule.noise_std, rule.has_free_signs
    n_below, end = np.int32(0), stop
    while start < stop:
        if rule.by_matrix.shape[0] > 0:  # a chunk may hold slots of several matrices
            m = 0
            while matrices.slot_start[m + 1] <= start:
                m += 1
            eta, l1, noise_std = rule.by_matrix[m, 0], rule.by_matrix[m, 1], rule.by_matrix[m, 2]
            has_free_signs = rule.by_matrix[m, 3] > np.float32(0.0)
            end = min(stop, matrices.slot_start[m + 1])
        direct_chunk(slots, start, end, rule, correct_first, correct_second)
        move_chunk(slots, start, end, eta, l1, noise_std, step_key)
        if rule.is_rounded and slots.master.size == 0:
            round_chunk(slots, matrices, start, end, rule.is_stochastic, rounding_key, saturated, chunk, has_free_signs)
        n_below += settle_chunk(slots, start, end, has_free_signs)
        if rule.is_rounded and slots.master.size > 0:
            read_out_chunk(slots, matrices, start, end, rule.is_stochastic, rounding_key, saturated, chunk)
        start = end
    return n_below
