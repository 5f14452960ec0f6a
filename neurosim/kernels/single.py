"""Forward and backward pass of one sample through rectified layers: only slots with a non-zero activation are walked.

A zero activation adds exactly nothing to a sum and to a gradient, and the error of a hidden neuron at zero is
masked. Of an image most inputs are zero, so that a quarter of the slots or fewer are left; they are found
once, without a branch a slot, and kept as bits. With samples side by side (`neurosim.kernels.mlp`) this does
not pay: two thirds of the rows of ten samples hold something.
"""

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from neurosim.kernels.compile import fma, inlined
from neurosim.kernels.mlp import fill_sums


@inlined
def n_words(slots, segments):
    """Words of 64 bits that the marks of all slots take: every segment begins a new word."""
    return slots.pre.size // 64 + segments.matrix.size + 1


@inlined
def forward_single(slots, segments, matrices, biases, act, live):
    """From the inputs in `act` to the logits, in place: float32 (N,).

    `biases` : float32 (sums of all layers,), or none. `live` : uint64 (n_words,), written: the slots whose activation is not zero.
    """
    last = matrices.n_pre.size - 1
    for segment in range(segments.matrix.size):
        m = segments.matrix[segment]
        start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
        # Slices and unsigned indices: numba then leaves out its tests for negative ones.
        x = act[matrices.pre_neuron[m] : matrices.pre_neuron[m] + matrices.n_pre[m]]
        sums = act[matrices.post_neuron[m] : matrices.post_neuron[m] + matrices.n_post[m]]
        pattern = x.view(np.uint32)
        if segment == 0 or segments.matrix[segment - 1] != m:
            fill_sums(sums, matrices, m, 0, biases, 1, 1)
        word = start // 64 + segment
        for first in range(start, stop, 64):
            pre = slots.pre[first : min(first + 64, stop)]
            post, weight = slots.post[first : first + pre.size], slots.weight[first : first + pre.size]
            bits = np.uint64(0)
            for k in range(pre.size):
                is_live = (pattern[np.uint32(pre[k])] << np.uint32(1)) != 0
                bits |= np.uint64(is_live) << np.uint64(k)
            live[word] = bits
            word += 1
            while bits != 0:
                k = trailing_zeros(bits)
                bits &= bits - np.uint64(1)
                i = np.uint32(post[k])
                sums[i] = fma(weight[k], x[np.uint32(pre[k])], sums[i])
        if m < last and stop == matrices.slot_start[m + 1]:
            for i in range(sums.size):
                sums[i] = max(sums[i] + np.float32(0.0), np.float32(0.0))  # a sum, as in `marks.rectify_rows`


@inlined
def backward_single(slots, segments, matrices, layers, act, err, live, n_pairs):
    """From the errors of the outputs to those of the hidden layers, and to dE/dweight.

    Writes the hidden part of `err`, and adds to `slots.gradient`. `live` comes from `forward_single`. `n_pairs` : int64
    (G,) or (0,). The active slots of each segment whose activation and error are both not zero are added to it; activations
    that are zero but for rounding (`mlp.Layers.least`) are none.
    """
    for m in range(matrices.n_pre.size - 1, -1, -1):
        e_start = matrices.pre_neuron[m]
        x, errors = act[e_start : e_start + matrices.n_pre[m]], err[e_start : e_start + matrices.n_pre[m]]
        d = err[matrices.post_neuron[m] : matrices.post_neuron[m] + matrices.n_post[m]]
        least = layers.least[m - 1] if m > 0 else np.float32(-np.inf)
        if m > 0:
            errors[:] = np.float32(0.0)
        for segment in range(segments.matrix.size):
            if segments.matrix[segment] != m:
                continue
            start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
            word, n = start // 64 + segment, np.int64(0)
            for first in range(start, stop, 64):
                pre, post = slots.pre[first : first + 64], slots.post[first : first + 64]
                weight, gradient = slots.weight[first : first + 64], slots.gradient[first : first + 64]
                bits = live[word]
                word += 1
                while bits != 0:
                    k = trailing_zeros(bits)
                    bits &= bits - np.uint64(1)
                    i, slope = np.uint32(pre[k]), d[np.uint32(post[k])]
                    gradient[k] += x[i] * slope
                    n += np.int64(slope != np.float32(0.0)) & np.int64(x[i] > least)  # no branch, which nobody could foresee
                    if m > 0:
                        errors[i] = fma(weight[k], slope, errors[i])
            if n_pairs.size > 0:
                for i in range(slots.n_free[segment, 0]):  # they were walked as well
                    slot = slots.free_slot[start + i]
                    value = x[slots.pre[slot]]
                    n -= np.int64(value != np.float32(0.0) and value > least and d[slots.post[slot]] != np.float32(0.0))
                n_pairs[segment] += n
        if m > 0:
            for i in range(errors.size):
                errors[i] = errors[i] if x[i] > np.float32(0.0) else np.float32(0.0)
