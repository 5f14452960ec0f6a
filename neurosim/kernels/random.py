"""Counter-based draws inside kernels: value = f(key, step, index), no state.

`key` is a 64-bit stream key (`neurosim.random.stream_key`); a `step` is folded into it once, and each
index then costs two keyed rounds of a 32-bit multiply-xorshift hash, which LLVM vectorizes.
"""

import numpy as np

from neurosim.kernels.compile import fma, inlined, kernel, multiply32, xor_shift32

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_A = np.uint64(0xBF58476D1CE4E5B9)
_MIX_B = np.uint64(0x94D049BB133111EB)
_S27, _S30, _S31, _S32 = np.uint64(27), np.uint64(30), np.uint64(31), np.uint64(32)
_LOW = np.uint64(0xFFFFFFFF)

# Multipliers of the 32-bit rounds; low-bias constants found by search (C. Wellons, "hash prospector").
_ROUND_A, _ROUND_B = np.uint32(0x21F0AAAD), np.uint32(0xD35A2D97)
_ROUND_C, _ROUND_D = np.uint32(0x7FEB352D), np.uint32(0x846CA68B)
_WEYL = np.uint32(0x9E3779B9)
_R15, _R16, _R23 = np.uint32(15), np.uint32(16), np.uint32(23)


@inlined
def mix64(value):
    """Finalizer of splitmix64 on uint64; equals `neurosim.random.mix64`."""
    value = (value ^ (value >> _S30)) * _MIX_A
    value = (value ^ (value >> _S27)) * _MIX_B
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
def bits32(key, index):
    """32 random bits of one index: uint32.

    Two rounds, each keyed by one half of `key`: with a single key the sequences of two steps would be
    shifted copies of each other.
    """
    low, high = np.uint32(key & _LOW), np.uint32(key >> _S32)
    h = np.uint32(multiply32(np.uint32(index), _WEYL) + low)
    h = multiply32(xor_shift32(h, _R16), _ROUND_A)
    h = multiply32(xor_shift32(h, _R15), _ROUND_B)
    h = np.uint32(xor_shift32(h, _R15) + high)
    h = multiply32(xor_shift32(h, _R16), _ROUND_C)
    h = multiply32(xor_shift32(h, _R15), _ROUND_D)
    return xor_shift32(h, _R16)


@inlined
def normal_from_bits(bits):
    """Standard normal deviate from 32 random bits, by inversion: float32 from uint32.

    The top bit is the sign, the others the tail probability p in (0, 1/2). The quantile is a
    polynomial in t = sqrt(-2 ln p) (the variable of Abramowitz and Stegun 26.2.23; coefficients are
    our own weighted least-squares fit), ln p comes from the exponent and a polynomial in the mantissa.
    Error of the quantile: below 4e-5 up to 3.5 sigma, below 3e-4 up to the end of the range at
    6.3 sigma. No branch and no library call, so the loop around it vectorizes.
    """
    p = (np.float32(bits & np.uint32(0x7FFFFFFF)) + np.float32(0.5)) * np.float32(2.0**-32)
    pattern = np.float32(p).view(np.uint32)
    exponent = np.float32(np.int32(pattern >> _R23)) - np.float32(127.0)
    m = np.uint32((pattern & np.uint32(0x007FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1.5)
    log = np.float32(-0.017207827)
    log = fma(log, m, np.float32(0.03010229))
    log = fma(log, m, np.float32(-0.04899595))
    log = fma(log, m, np.float32(0.09832213))
    log = fma(log, m, np.float32(-0.22224016))
    log = fma(log, m, np.float32(0.6666792))
    log = fma(log, m, np.float32(0.40546525))
    log = fma(exponent, np.float32(0.69314718), log)
    v = np.sqrt(np.float32(-2.0) * log) - np.float32(3.0)
    z = np.float32(2.3110154e-06)
    z = fma(z, v, np.float32(-2.2998245e-05))
    z = fma(z, v, np.float32(8.019557e-05))
    z = fma(z, v, np.float32(-0.00014630186))
    z = fma(z, v, np.float32(0.00045143915))
    z = fma(z, v, np.float32(-0.0021518494))
    z = fma(z, v, np.float32(0.00841379))
    z = fma(z, v, np.float32(-0.032929856))
    z = fma(z, v, np.float32(1.1409059))
    z = fma(z, v, np.float32(2.286617))
    sign = bits & np.uint32(0x80000000)
    return np.uint32(np.float32(z).view(np.uint32) ^ sign).view(np.float32)


@inlined
def below(bits, n):
    """Integer in [0, n) from 64 random bits; the bias is below n / 2**64."""
    return np.int64(bits % np.uint64(n))


@kernel
def fill_normal(out, key, step):
    """Write standard normal deviates of (key, step, index) into `out`, float32, shape (n,)."""
    step_key = fold(key, step)
    for index in range(out.size):
        out[index] = normal_from_bits(bits32(step_key, index))


@kernel
def fill_bits(out, key, step):
    """Write 64 random bits of (key, step, index) into `out`, uint64, shape (n,)."""
    step_key = fold(key, step)
    for index in range(out.size):
        out[index] = bits64(step_key, index)
