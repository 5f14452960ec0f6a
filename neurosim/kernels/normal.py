"""Standard normal deviates from counter-based bits: one by one, or 64 side by side.

Both forms do the same float32 operations in the same order for every index, so they give the same bits. One by one, each
operation waits for the one before, some 130 cycles a deviate, and a processor that looks ahead too little to
overlap them takes twice as long.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import fma, inlined, kernel
from neurosim.kernels.random import ROUND_A, ROUND_B, ROUND_C, ROUND_D, WEYL, bits32, fold, halves
from neurosim.kernels.vectors import broadcast, call_on_floats, load_floats, multiply_add, vector_pointer

#: Deviates that are worked on side by side; the second number for what the first leaves over.
_BLOCKS = 64, 8

_REST, _SIGN = np.uint32(0x7FFFFFFF), np.uint32(0x80000000)
_MANTISSA, _ONE, _R23 = np.uint32(0x007FFFFF), np.uint32(0x3F800000), np.uint32(23)
_HALF_STEP, _STEP, _BIAS = np.float32(0.5), np.float32(2.0**-32), np.float32(127.0)
_MIDDLE, _LN_2, _MINUS_TWO, _CENTRE = np.float32(1.5), np.float32(0.69314718), np.float32(-2.0), np.float32(3.0)

# ln of the mantissa in m - 1.5, and the quantile in t - 3, highest power first: our own weighted least-squares fits.
_LOG = tuple(
    np.float32(c) for c in (-0.017207827, 0.03010229, -0.04899595, 0.09832213, -0.22224016, 0.6666792, 0.40546525)
)  # fmt: skip
_QUANTILE = tuple(
    np.float32(c)
    for c in (
        2.3110154e-06, -2.2998245e-05, 8.019557e-05, -0.00014630186, 0.00045143915,
        -0.0021518494, 0.00841379, -0.032929856, 1.1409059, 2.286617,
    )
)  # fmt: skip


@inlined
def normal_from_bits(bits):
    """Standard normal deviate from 32 random bits, by inversion: float32 from uint32.

    The top bit is the sign, the others the tail probability p in (0, 1/2). The quantile is a
    polynomial in t = sqrt(-2 ln p) (the variable of Abramowitz and Stegun 26.2.23), ln p comes from the
    exponent and a polynomial in the mantissa. Error of the quantile: below 4e-5 up to 3.5 sigma, below 3e-4 up to
    the end of the range at 6.3 sigma. No branch and no library call, so the loop around it vectorizes.
    """
    p = (np.float32(bits & _REST) + _HALF_STEP) * _STEP
    pattern = np.float32(p).view(np.uint32)
    exponent = np.float32(np.int32(pattern >> _R23)) - _BIAS
    m = np.uint32((pattern & _MANTISSA) | _ONE).view(np.float32) - _MIDDLE
    log = _LOG[0]
    for i in range(1, len(_LOG)):
        log = fma(log, m, _LOG[i])
    log = fma(exponent, _LN_2, log)
    v = np.sqrt(_MINUS_TWO * log) - _CENTRE
    z = _QUANTILE[0]
    for i in range(1, len(_QUANTILE)):
        z = fma(z, v, _QUANTILE[i])
    return np.uint32(np.float32(z).view(np.uint32) ^ (bits & _SIGN)).view(np.float32)


def _bits_of_block(builder, indices, low, high):
    """`random.bits32` of a vector of indices, already multiplied by `WEYL`."""

    def everywhere(value):
        return ir.Constant(indices.type, [int(value)] * indices.type.count)

    def xor_shift(h, n):
        return builder.xor(h, builder.lshr(h, everywhere(n)))

    h = builder.add(indices, low)
    h = builder.mul(xor_shift(h, 16), everywhere(ROUND_A))
    h = builder.mul(xor_shift(h, 15), everywhere(ROUND_B))
    h = builder.add(xor_shift(h, 15), high)
    h = builder.mul(xor_shift(h, 16), everywhere(ROUND_C))
    h = builder.mul(xor_shift(h, 15), everywhere(ROUND_D))
    return xor_shift(h, 16)


def _normals_from_bits(builder, bits):
    """`normal_from_bits` of a vector, operation by operation."""
    integers, floats = bits.type, ir.VectorType(ir.FloatType(), bits.type.count)

    def whole(value):
        return ir.Constant(integers, [int(value)] * integers.count)

    def real(value):
        return ir.Constant(floats, [float(value)] * floats.count)

    def polynomial(factors, x):
        y = real(factors[0])
        for factor in factors[1:]:
            y = multiply_add(builder, y, x, real(factor))
        return y

    p = builder.fadd(builder.sitofp(builder.and_(bits, whole(_REST)), floats), real(_HALF_STEP))
    pattern = builder.bitcast(builder.fmul(p, real(_STEP)), integers)
    exponent = builder.fsub(builder.sitofp(builder.lshr(pattern, whole(_R23)), floats), real(_BIAS))
    m = builder.bitcast(builder.or_(builder.and_(pattern, whole(_MANTISSA)), whole(_ONE)), floats)
    log = multiply_add(builder, exponent, real(_LN_2), polynomial(_LOG, builder.fsub(m, real(_MIDDLE))))
    t = call_on_floats(builder, "sqrt", builder.fmul(real(_MINUS_TWO), log))
    z = builder.bitcast(polynomial(_QUANTILE, builder.fsub(t, real(_CENTRE))), integers)
    return builder.bitcast(builder.xor(z, builder.and_(bits, whole(_SIGN))), floats)


@intrinsic
def _add_blocks(typingctx, values, first, low, high, scale):
    """Add scale * deviate of index `first` + k to values[k] in whole blocks; returns how many values that were: int64."""
    i64, u32 = types.int64, types.uint32

    def codegen(context, builder, sig, args):
        values_, first_, low_, high_, scale_ = args
        word, i64_ = ir.IntType(32), ir.IntType(64)
        array = context.make_array(sig.args[0])(context, builder, values_)
        (size,) = cgutils.unpack_tuple(builder, array.shape)

        def add_block(k, n):
            integers = ir.VectorType(word, n)
            ramp = ir.Constant(integers, [i * int(WEYL) % 2**32 for i in range(n)])
            index = builder.mul(builder.trunc(builder.add(first_, k), word), ir.Constant(word, int(WEYL)))
            indices = builder.add(ramp, broadcast(builder, index, n))
            bits = _bits_of_block(builder, indices, broadcast(builder, low_, n), broadcast(builder, high_, n))
            place = vector_pointer(context, builder, sig.args[0], values_, k, n)
            total = multiply_add(builder, broadcast(builder, scale_, n), _normals_from_bits(builder, bits), load_floats(builder, place))
            builder.store(total, place, align=4)

        n_done = ir.Constant(i64_, 0)
        for n in _BLOCKS:
            n_whole = builder.and_(size, ir.Constant(i64_, -n))
            with cgutils.for_range_slice(builder, n_done, n_whole, ir.Constant(i64_, n), inc=True) as (k, _):
                add_block(k, n)
            n_done = n_whole
        return n_done

    return i64(values, i64, u32, u32, types.float32), codegen


@inlined
def add_normals(values, key, first, scale):
    """Add `scale` times the deviates of the indices from `first` on: float32 (n,), in place. `key` : uint64, of the step."""
    low, high = halves(key)
    for k in range(_add_blocks(values, first, low, high, scale), values.size):
        values[k] = fma(scale, normal_from_bits(bits32(key, first + k)), values[k])


@kernel
def fill_normal(out, key, step):
    """Write standard normal deviates of (key, step, index) into `out`, float32, shape (n,)."""
    out[:] = np.float32(0.0)
    add_normals(out, fold(key, step), 0, np.float32(1.0))
