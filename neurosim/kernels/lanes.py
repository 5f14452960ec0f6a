"""Vector operations of one synapse on a tile of samples, written as LLVM vectors.

A *tile* holds the values of some neurons for `n_lanes` samples side by side, so a slot's work is one
vector operation. Plain loops over the lanes do not serve here: LLVM cannot prove that the rows of a
tile do not overlap and falls back to scalar code or to a run-time test in front of every slot.

A *run* is a stretch of slots that share the post neuron. Its accumulator (forward) or error
(backward, gradient) stays in registers, which saves two thirds of the memory traffic.

Every function takes flat, C-contiguous arrays and offsets counted in elements, and checks nothing.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined

_FAST = ("reassoc", "arcp", "contract")


@inlined
def _forward_one(z, z_row, x, x_base, pre, weight, start, stop):
    total = z[z_row]
    for k in range(start, stop):
        total += weight[k] * x[x_base + pre[k]]
    z[z_row] = total


@inlined
def _backward_one(e, e_base, d, d_row, pre, weight, start, stop):
    error = d[d_row]
    if error != np.float32(0.0):
        for k in range(start, stop):
            e[e_base + pre[k]] += weight[k] * error


@inlined
def _gradient_one(gradient, x, x_base, d, d_row, pre, start, stop):
    error = d[d_row]
    if error != np.float32(0.0):
        for k in range(start, stop):
            gradient[k] += x[x_base + pre[k]] * error


def _vector_pointer(context, builder, array_type, array, index, n_lanes):
    data = context.make_array(array_type)(context, builder, array).data
    vector = ir.VectorType(ir.FloatType(), n_lanes)
    return builder.bitcast(builder.gep(data, [index]), vector.as_pointer())


def _element_pointer(context, builder, array_type, array, index):
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [index])


def _load(builder, pointer):
    return builder.load(pointer, align=4)


def _broadcast(builder, scalar, n_lanes):
    vector = ir.VectorType(ir.FloatType(), n_lanes)
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    mask = ir.Constant(ir.VectorType(ir.IntType(32), n_lanes), [0] * n_lanes)
    return builder.shuffle_vector(one, ir.Constant(vector, ir.Undefined), mask)


def _row(context, builder, pre_type, pre, slot, base, n_lanes):
    """Offset of the tile row of a slot's pre neuron: base + pre[slot] * n_lanes."""
    index = builder.load(_element_pointer(context, builder, pre_type, pre, slot))
    index = builder.sext(index, ir.IntType(64))
    return builder.add(base, builder.mul(index, ir.Constant(ir.IntType(64), n_lanes)))


def _reduce(builder, value, n_lanes):
    """Sum of the lanes by halving: a fixed order, the same on every machine."""
    while n_lanes > 1:
        half = n_lanes // 2
        undefined = ir.Constant(value.type, ir.Undefined)
        low = ir.Constant(ir.VectorType(ir.IntType(32), half), list(range(half)))
        high = ir.Constant(ir.VectorType(ir.IntType(32), half), list(range(half, n_lanes)))
        value = builder.fadd(
            builder.shuffle_vector(value, undefined, low), builder.shuffle_vector(value, undefined, high)
        )
        n_lanes = half
    return builder.extract_element(value, ir.Constant(ir.IntType(32), 0))


def make_lane_operations(n_lanes):
    """Compile-time vector operations for tiles of `n_lanes` samples.

    Parameters
    ----------
    n_lanes : int
        Samples in a tile; a power of two. With one sample the operations are plain scalar loops.

    Returns
    -------
    forward_run, backward_run, gradient_run : functions for use inside kernels
        ``forward_run(z, z_row, x, x_base, pre, weight, start, stop)`` adds weight * x to one row of z.
        ``backward_run(e, e_base, d, d_row, pre, weight, start, stop)`` adds weight * d to rows of e.
        ``gradient_run(gradient, x, x_base, d, d_row, pre, start, stop)`` adds the sum over the lanes
        of x * d to ``gradient[slot]``.
    """

    if n_lanes == 1:
        return _forward_one, _backward_one, _gradient_one

    @intrinsic
    def forward_run(typingctx, z, z_row, x, x_base, pre, weight, start, stop):
        signature = types.void(z, types.int64, x, types.int64, pre, weight, types.int64, types.int64)

        def codegen(context, builder, sig, args):
            z_ty, _, x_ty, _, pre_ty, w_ty, _, _ = sig.args
            z_, z_row_, x_, x_base_, pre_, w_, start_, stop_ = args
            out = _vector_pointer(context, builder, z_ty, z_, z_row_, n_lanes)
            total = cgutils.alloca_once_value(builder, _load(builder, out))
            with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(ir.IntType(64), 1), inc=True) as (k, _):
                row = _row(context, builder, pre_ty, pre_, k, x_base_, n_lanes)
                value = _load(builder, _vector_pointer(context, builder, x_ty, x_, row, n_lanes))
                w = builder.load(_element_pointer(context, builder, w_ty, w_, k))
                product = builder.fmul(_broadcast(builder, w, n_lanes), value, flags=_FAST)
                builder.store(builder.fadd(builder.load(total), product, flags=_FAST), total)
            builder.store(builder.load(total), out, align=4)
            return context.get_dummy_value()

        return signature, codegen

    @intrinsic
    def backward_run(typingctx, e, e_base, d, d_row, pre, weight, start, stop):
        signature = types.void(e, types.int64, d, types.int64, pre, weight, types.int64, types.int64)

        def codegen(context, builder, sig, args):
            e_ty, _, d_ty, _, pre_ty, w_ty, _, _ = sig.args
            e_, e_base_, d_, d_row_, pre_, w_, start_, stop_ = args
            error = _load(builder, _vector_pointer(context, builder, d_ty, d_, d_row_, n_lanes))
            with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(ir.IntType(64), 1), inc=True) as (k, _):
                row = _row(context, builder, pre_ty, pre_, k, e_base_, n_lanes)
                out = _vector_pointer(context, builder, e_ty, e_, row, n_lanes)
                w = builder.load(_element_pointer(context, builder, w_ty, w_, k))
                product = builder.fmul(_broadcast(builder, w, n_lanes), error, flags=_FAST)
                builder.store(builder.fadd(_load(builder, out), product, flags=_FAST), out, align=4)
            return context.get_dummy_value()

        return signature, codegen

    @intrinsic
    def gradient_run(typingctx, gradient, x, x_base, d, d_row, pre, start, stop):
        signature = types.void(gradient, x, types.int64, d, types.int64, pre, types.int64, types.int64)

        def codegen(context, builder, sig, args):
            g_ty, x_ty, _, d_ty, _, pre_ty, _, _ = sig.args
            g_, x_, x_base_, d_, d_row_, pre_, start_, stop_ = args
            error = _load(builder, _vector_pointer(context, builder, d_ty, d_, d_row_, n_lanes))
            with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(ir.IntType(64), 1), inc=True) as (k, _):
                row = _row(context, builder, pre_ty, pre_, k, x_base_, n_lanes)
                value = _load(builder, _vector_pointer(context, builder, x_ty, x_, row, n_lanes))
                part = _reduce(builder, builder.fmul(value, error, flags=_FAST), n_lanes)
                out = _element_pointer(context, builder, g_ty, g_, k)
                builder.store(builder.fadd(builder.load(out), part), out)
            return context.get_dummy_value()

        return signature, codegen

    return forward_run, backward_run, gradient_run
