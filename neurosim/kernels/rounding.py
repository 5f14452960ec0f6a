"""Weights as wide as the chip stores them: rounding of theta to the grid of a format.

A format is a grid of values: multiples of a step, at most `top`. A floating-point format has a larger step
for larger values: theta lies in [2^e, 2^(e+1)) and its step is max(step, 2^e * ulp). The grid of a
matrix stands in `Matrices.step`, `top` and `ulp`; a step of 0 means float32 and no rounding. Steps are powers
of two, so all arithmetic here is exact but the rounding itself.
"""

import numpy as np

from neurosim.kernels.compile import inlined, kernel
from neurosim.kernels.random import bits32, fold

_SIGN, _EXPONENT = np.uint32(0x80000000), np.uint32(0x7F800000)
_S8 = np.uint32(8)

#: Adding and subtracting it rounds a float32 below 2^22 to a whole number, ties to even.
_WHOLE = np.float32(1.5 * 2**23)


@inlined
def _step_at(theta, step, ulp):
    """Distance of neighbours of the grid at theta; not a number where theta is not finite, and so is its quotient."""
    return max(step, np.uint32(np.float32(theta).view(np.uint32) & _EXPONENT).view(np.float32) * ulp)


@inlined
def nearest_on_grid(theta, step, top, ulp):
    """theta rounded to the nearest value of the grid, ties to even, at most `top`: float32."""
    if step == np.float32(0.0):
        return np.float32(theta)
    here = _step_at(theta, step, ulp)
    rounded = ((np.float32(theta) / here + _WHOLE) - _WHOLE) * here
    return top if rounded > top else rounded


@inlined
def uniform_from_bits(bits):
    """Uniform in [0, 1) with 24 bits: float32 from uint32."""
    return np.float32(np.int32(bits >> _S8)) * np.float32(2.0**-24)


@inlined
def stochastic_on_grid(theta, step, top, ulp, bits):
    """theta rounded up with the probability of its distance from the value below, at most `top`: float32.

    Unbiased; what lies on the grid stays. Source: Gupta et al., "Deep learning with limited numerical
    precision", ICML 2015, section 2.
    """
    here = _step_at(theta, step, ulp)
    scaled = np.float32(theta) / here
    below = np.floor(scaled)
    rounded = (below + (np.float32(1.0) if scaled - below > uniform_from_bits(bits) else np.float32(0.0))) * here
    return top if rounded > top else rounded


@inlined
def _round_range(theta, active, start, step, top, ulp, is_stochastic, step_key, has_free_signs):
    """Round theta in place, below zero only if signs are free; `start` is the slot of its first value.

    Returns how many of active slots were cut to `top`.
    """
    n_saturated = np.int32(0)
    # Not finite: the step is infinite and the quotient not a number, which the check of weights finds.
    if is_stochastic:
        for k in range(theta.size):
            bits = np.float32(theta[k]).view(np.uint32)
            exact = np.uint32(bits & ~_SIGN).view(np.float32)
            is_rounded = np.uint8(has_free_signs) | np.uint8(bits < _SIGN)
            n_saturated += np.int32(np.uint8(exact > top) & np.uint8(active[k] == 1) & is_rounded)
            rounded = stochastic_on_grid(exact, step, top, ulp, bits32(step_key, start + k))
            kept = rounded if is_rounded == 1 else exact
            theta[k] = np.uint32(np.float32(kept).view(np.uint32) | (bits & _SIGN)).view(np.float32)
    else:
        for k in range(theta.size):
            bits = np.float32(theta[k]).view(np.uint32)
            exact = np.uint32(bits & ~_SIGN).view(np.float32)
            is_rounded = np.uint8(has_free_signs) | np.uint8(bits < _SIGN)
            n_saturated += np.int32(np.uint8(exact > top) & np.uint8(active[k] == 1) & is_rounded)
            here = _step_at(exact, step, ulp)
            rounded = ((exact / here + _WHOLE) - _WHOLE) * here
            rounded = top if rounded > top else rounded
            kept = rounded if is_rounded == 1 else exact
            theta[k] = np.uint32(np.float32(kept).view(np.uint32) | (bits & _SIGN)).view(np.float32)
    return n_saturated


@inlined
def round_chunk(slots, matrices, start, stop, is_stochastic, step_key, saturated, chunk, has_free_signs=False):
    """Round what `move_chunk` left in `slots.gradient` [start, stop), the new theta, where there is no master copy.

    `saturated` : int32, shape (chunks + matrices,), added to at chunk + matrix: no two pairs that overlap share an entry.
    """
    for m in range(matrices.n_pre.size):
        a, b = max(start, matrices.slot_start[m]), min(stop, matrices.slot_start[m + 1])
        if a < b:
            saturated[chunk + m] += _round_range(
                slots.gradient[a:b], slots.active[a:b], a, matrices.step[m], matrices.top[m], matrices.ulp[m],
                is_stochastic, step_key, has_free_signs,
            )  # fmt: skip


@inlined
def read_out_chunk(slots, matrices, start, stop, is_stochastic, step_key, saturated, chunk):
    """Write the weights of slots [start, stop) as their master copies, rounded; `saturated` as in `round_chunk`.

    Uses `slots.gradient`, which is zero before and after.
    """
    gradient, master, weight = slots.gradient[start:stop], slots.master[start:stop], slots.weight[start:stop]
    for k in range(stop - start):
        gradient[k] = np.uint32(np.float32(master[k]).view(np.uint32) & ~_SIGN).view(np.float32)
    round_chunk(slots, matrices, start, stop, is_stochastic, step_key, saturated, chunk)
    for k in range(stop - start):
        sign = np.float32(master[k]).view(np.uint32) & _SIGN
        weight[k] = np.uint32(np.float32(gradient[k]).view(np.uint32) | sign).view(np.float32)
        gradient[k] = np.float32(0.0)


@inlined
def count_saturated(matrices, tally, saturated, chunk_size):
    """Book and zero the counts of `round_chunk`, by matrix. Writes `tally`."""
    for m in range(matrices.n_pre.size):
        start, stop = matrices.slot_start[m], matrices.slot_start[m + 1]
        for chunk in range(start // chunk_size, (stop + chunk_size - 1) // chunk_size if stop > start else 0):
            tally.saturated[m] += saturated[chunk + m]
    saturated[:] = 0


@kernel
def load_strengths(slots, matrices, key):
    """Round the strengths of active slots stochastically, as the host does that loads them. Writes `slots`.

    Unbiased also where the nearest value of most strengths is zero, which would leave a network that cannot
    learn. A master copy starts from the rounded strengths.
    """
    step_key = fold(key, 0)
    for m in range(matrices.n_pre.size):
        for slot in range(matrices.slot_start[m], matrices.slot_start[m + 1]):
            if matrices.step[m] > 0:
                weight = slots.weight[slot]
                theta = stochastic_on_grid(abs(weight), matrices.step[m], matrices.top[m], matrices.ulp[m], bits32(step_key, slot))
                slots.weight[slot] = np.copysign(theta, weight)
            if slots.master.size > 0:
                slots.master[slot] = slots.weight[slot]
