"""Counter-based draws inside kernels: value = f(key, step, index), no state.

`key` is a 64-bit stream key (`neurosim.random.stream_key`); a `step` is folded into it once, and each
index then costs two keyed rounds of a 32-bit multiply-xorshift hash, which LLVM vectorizes.
"""

import numpy as np

from neurosim.kernels.compile import inlined, kernel, multiply32, xor_shift32

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)

#: The multipliers of splitmix64; odd, so that products modulo a power of two can be undone.
MIX_A = np.uint64(0xBF58476D1CE4E5B9)
MIX_B = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)

# Multipliers of the 32-bit rounds; low-bias constants found by search (C. Wellons, "hash prospector").
ROUND_A, ROUND_B = np.uint32(0x21F0AAAD), np.uint32(0xD35A2D97)
ROUND_C, ROUND_D = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
WEYL = np.uint32(0x9E3779B9)
_R15, _R16 = np.uint32(15), np.uint32(16)


@inlined
def mix64(value):
    """Finalizer of splitmix64 on uint64; equals `neurosim.random.mix64`."""
    value = (value ^ (value >> _S30)) * MIX_A
    value = (value ^ (value >> _S27)) * MIX_B
    return value ^ (value >> _S31)


@inlined
def fold(key, step):
    """Key of one step of a stream: uint64 from uint64 and an integer."""
    return mix64(key + np.uint64(step) * _GOLDEN)


@inlined
def bits64(key, index):
    """64 random bits of one index: uint64."""
    return mix64(mix64(key + np.uint64(index) * _GOLDEN) ^ key)


@inlined
def halves(key):
    """The lower and the upper 32 bits of a key: two uint32."""
    return np.uint32(key & _LOW), np.uint32(key >> _S32)


@inlined
def bits32(key, index):
    """32 random bits of one index: uint32.

    Two rounds, each keyed by one half of `key`: with a single key the sequences of two steps would be
    shifted copies of each other.
    """
    low, high = halves(key)
    h = np.uint32(multiply32(np.uint32(index), WEYL) + low)
    h = multiply32(xor_shift32(h, _R16), ROUND_A)
    h = multiply32(xor_shift32(h, _R15), ROUND_B)
    h = np.uint32(xor_shift32(h, _R15) + high)
    h = multiply32(xor_shift32(h, _R16), ROUND_C)
    h = multiply32(xor_shift32(h, _R15), ROUND_D)
    return xor_shift32(h, _R16)


@inlined
def below(bits, n):
    """Integer in [0, n) from 64 random bits; the bias is below n / 2**64."""
    return np.int64(bits % np.uint64(n))


@kernel
def fill_bits(out, key, step):
    """Write 64 random bits of (key, step, index) into `out`, uint64, shape (n,)."""
    step_key = fold(key, step)
    for index in range(out.size):
        out[index] = bits64(step_key, index)
