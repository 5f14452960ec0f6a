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
def step_chunk(slots, matrices, chunk, start, stop, rule, step_key, rounding_key, correct_first, correct_second, saturated):
    """Update slots [start, stop), mark those below zero; returns how many.

    `step_key`, `rounding_key` : uint64, of the noise and of the rounding of this step.
    `correct_first`, `correct_second` : see `optimizer.bias_corrections`. `saturated` : see `rounding.round_chunk`.
    Writes `slots` and `saturated`; the gradient is zero afterwards.
    """
    direct_chunk(slots, start, stop, rule, correct_first, correct_second)
    move_chunk(slots, start, stop, rule.eta, rule.l1, rule.noise_std, step_key)
    if rule.is_rounded and slots.master.size == 0:
        round_chunk(slots, matrices, start, stop, rule.is_stochastic, rounding_key, saturated, chunk, rule.has_free_signs)
    n_below = settle_chunk(slots, start, stop, rule.has_free_signs)
    if rule.is_rounded and slots.master.size > 0:
        read_out_chunk(slots, matrices, start, stop, rule.is_stochastic, rounding_key, saturated, chunk)
    return n_below


@inlined
def draws_a_slot(rule):
    """Random draws of one update of one slot: its noise and its rounding."""
    return np.int64(rule.noise_std > 0) + np.int64(rule.is_rounded and rule.is_stochastic)
