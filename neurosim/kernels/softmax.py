"""Softmax cross-entropy of the outputs of a tile: 16 samples side by side, or one by one.

Both forms do the same float32 operations in the same order for every sample, so they give the same bits.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import fma, inlined
from neurosim.kernels.vectors import broadcast, call_on_floats, load_floats, multiply_add, vector_pointer

#: Samples that are worked on side by side; wider tiles take several turns, narrower ones go one by one.
_BLOCK = 16

# exp(r) for |r| <= ln(2) / 2: Taylor polynomial, highest power first.
_TAYLOR = tuple(float(np.float32(1.0 / n)) for n in (5040.0, 720.0, 120.0, 24.0, 6.0, 2.0, 1.0, 1.0))
_LEAST, _LOG2_E = -87.0, float(np.float32(1.44269504))
_LN_2_HIGH, _LN_2_LOW = -0.693359375, float(np.float32(2.12194440e-4))


@inlined
def fast_exp(x):
    """exp(x) for float32 x <= 0 within 3 units in the last place; vectorizes, unlike the library call.

    exp(x) = 2**n * exp(r), |r| <= ln(2) / 2, with a Taylor polynomial for exp(r).
    """
    x = max(x, np.float32(_LEAST))
    n = np.floor(fma(x, np.float32(_LOG2_E), np.float32(0.5)))
    r = fma(n, np.float32(_LN_2_LOW), fma(n, np.float32(_LN_2_HIGH), x))
    y = np.float32(1.0 / 5040.0)
    y = fma(y, r, np.float32(1.0 / 720.0))
    y = fma(y, r, np.float32(1.0 / 120.0))
    y = fma(y, r, np.float32(1.0 / 24.0))
    y = fma(y, r, np.float32(1.0 / 6.0))
    y = fma(y, r, np.float32(0.5))
    y = fma(y, r, np.float32(1.0))
    y = fma(y, r, np.float32(1.0))
    return y * np.uint32(np.uint32(np.int32(n) + np.int32(127)) << np.uint32(23)).view(np.float32)


def _fast_exp_of_vector(builder, x):
    """`fast_exp` of 16 values, operation by operation."""
    integers = ir.VectorType(ir.IntType(32), _BLOCK)

    def everywhere(value, kind=x.type):
        return ir.Constant(kind, [value] * _BLOCK)

    x = builder.select(builder.fcmp_ordered(">", x, everywhere(_LEAST)), x, everywhere(_LEAST))
    n = call_on_floats(builder, "floor", multiply_add(builder, x, everywhere(_LOG2_E), everywhere(0.5)))
    r = multiply_add(builder, n, everywhere(_LN_2_LOW), multiply_add(builder, n, everywhere(_LN_2_HIGH), x))
    y = everywhere(_TAYLOR[0])
    for factor in _TAYLOR[1:]:
        y = multiply_add(builder, y, r, everywhere(factor))
    exponent = builder.add(builder.fptosi(n, integers), everywhere(127, integers))
    return builder.fmul(y, builder.bitcast(builder.shl(exponent, everywhere(23, integers)), x.type))


@intrinsic
def _softmax_block(typingctx, act, err, place, stride, n_classes, n_samples, inverse):
    """Write softmax * inverse of 16 lanes from `place` on to `err`, 0 in lanes from `n_samples` on.

    Returns three rows of 16 float32: the largest logit of each lane, its class (the first of equals), and the sum of
    exp(logit - largest).
    """
    integer = types.int64
    signature = types.CPointer(types.float32)(act, err, integer, integer, integer, integer, types.float32)

    def codegen(context, builder, sig, args):
        act_ty, err_ty, *_ = sig.args
        act_, err_, place_, stride_, n_classes_, n_samples_, inverse_ = args
        i64, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), _BLOCK)
        integers = ir.VectorType(i64, _BLOCK)
        zero, one = ir.Constant(i64, 0), ir.Constant(i64, 1)

        def row(array_type, array, c):
            return vector_pointer(context, builder, array_type, array, builder.add(place_, builder.mul(c, stride_)), _BLOCK)

        def logits(c):
            return load_floats(builder, row(act_ty, act_, c))

        top = cgutils.alloca_once_value(builder, logits(zero))
        best = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * _BLOCK))
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * _BLOCK))
        with cgutils.for_range_slice(builder, one, n_classes_, one, inc=True) as (c, _):
            z, highest = logits(c), builder.load(top)
            is_higher = builder.fcmp_ordered(">", z, highest)
            number = broadcast(builder, builder.sitofp(c, ir.FloatType()), _BLOCK)
            builder.store(builder.select(is_higher, z, highest), top)
            builder.store(builder.select(is_higher, number, builder.load(best)), best)
        with cgutils.for_range_slice(builder, zero, n_classes_, one, inc=True) as (c, _):
            e = _fast_exp_of_vector(builder, builder.fsub(logits(c), builder.load(top)))
            builder.store(e, row(err_ty, err_, c), align=4)
            builder.store(builder.fadd(builder.load(total), e), total)
        lanes = ir.Constant(integers, list(range(_BLOCK)))
        has_sample = builder.icmp_signed("<", lanes, broadcast(builder, n_samples_, _BLOCK))
        scale = builder.fdiv(broadcast(builder, inverse_, _BLOCK), builder.load(total))
        scale = builder.select(has_sample, scale, ir.Constant(vector, [0.0] * _BLOCK))
        with cgutils.for_range_slice(builder, zero, n_classes_, one, inc=True) as (c, _):
            out = row(err_ty, err_, c)
            builder.store(builder.fmul(load_floats(builder, out), scale), out, align=4)
        rows = cgutils.alloca_once(builder, vector, size=3)
        for i, values in enumerate((top, best, total)):
            builder.store(builder.load(values), builder.gep(rows, [ir.Constant(i64, i)]))
        return builder.bitcast(rows, ir.FloatType().as_pointer())

    return signature, codegen


@inlined
def _softmax_single(act, err, place, stride, n_classes, inverse):
    """As `_softmax_block`, for one lane: (largest logit, its class, sum)."""
    top, best = act[place], 0
    for c in range(1, n_classes):
        z = act[place + c * stride]
        if z > top:
            top, best = z, c
    total = np.float32(0.0)
    for c in range(n_classes):
        e = fast_exp(act[place + c * stride] - top)
        err[place + c * stride] = e
        total += e
    scale = inverse / total
    for c in range(n_classes):
        err[place + c * stride] *= scale
    return top, best, total


@inlined
def softmax_of_lane(act, err, place, stride, n_classes, label, inverse):
    """Softmax cross-entropy of one lane: loss in nats, float64. Writes the errors (p - y) * inverse to `err`, which may be `act`."""
    wanted = act[place + label * stride]
    top, _, total = _softmax_single(act, err, place, stride, n_classes, inverse)
    err[place + label * stride] -= inverse
    return np.log(np.float64(total)) + np.float64(top) - np.float64(wanted)


@inlined
def softmax_errors(act, err, base, labels, order, first, n_samples, n_classes, n_batch, n_lanes):
    """Softmax cross-entropy: output errors (p - y) / n_batch of a tile.

    Writes `err` (zeros in lanes without a sample). `n_lanes` : a multiple of 16, or fewer lanes.

    Returns
    -------
    loss : float64
        Sum of the samples' losses, in nats.
    n_correct : int64
        Samples whose largest logit is at the label.
    """
    loss, n_correct = np.float64(0.0), np.int64(0)
    inverse = np.float32(1.0) / np.float32(n_batch)
    n_whole = n_lanes - n_lanes % _BLOCK
    for group in range(0, n_whole, _BLOCK):
        rows = _softmax_block(act, err, base + group, n_lanes, n_classes, n_samples - group, inverse)
        for i in range(min(_BLOCK, n_samples - group)):
            top, best, total = rows[i], rows[_BLOCK + i], rows[2 * _BLOCK + i]
            label = np.int64(labels[order[first + group + i]])
            place = base + label * n_lanes + group + i
            err[place] -= inverse
            loss += np.log(np.float64(total)) + np.float64(top) - np.float64(act[place])
            n_correct += np.int64(np.float32(label) == best)
    for lane in range(n_whole, n_lanes):
        if lane < n_samples:
            top, best, total = _softmax_single(act, err, base + lane, n_lanes, n_classes, inverse)
            label = labels[order[first + lane]]
            place = base + label * n_lanes + lane
            err[place] -= inverse
            loss += np.log(np.float64(total)) + np.float64(top) - np.float64(act[place])
            n_correct += np.int64(best == label)
        else:
            for c in range(n_classes):
                err[base + c * n_lanes + lane] = np.float32(0.0)
    return loss, n_correct
