"""Products of one weight matrix with the rows of a tile, whatever step or layer they belong to.

Bases are offsets of the first pre and post row, counted in elements: a tile of one network holds its rows
step after step, and a matrix is applied where the caller says.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined
from neurosim.kernels.lanes import forward_run, forward_slots, row_of, sum_lanes, uses_runs
from neurosim.kernels.vectors import element_pointer, load_floats, multiply_add, vector_pointer


@inlined
def multiply(slots, matrices, m, x, x_base, z, z_base, lanes):
    """Add W x to the post rows of `z`; float32, flat."""
    n_lanes = len(lanes)
    k, stop = matrices.slot_start[m], matrices.slot_start[m + 1]
    if not uses_runs(lanes):
        forward_slots(z, z_base, x, x_base, slots.pre, slots.post, slots.weight, k, stop, lanes)
        k = stop
    while k < stop:
        first, post = k, slots.post[k]
        k += 1
        while k < stop and slots.post[k] == post:
            k += 1
        forward_run(z, z_base + np.int64(post) * n_lanes, x, x_base, slots.pre, slots.weight, first, k, lanes)


@inlined
def multiply_back(slots, matrices, m, d, d_base, e, e_base, lanes):
    """Add W transposed d to the pre rows of `e`: the same product with the roles of pre and post exchanged."""
    start, stop = matrices.slot_start[m], matrices.slot_start[m + 1]
    forward_slots(e, e_base, d, d_base, slots.post, slots.pre, slots.weight, start, stop, lanes)


@intrinsic
def gradient_over_steps(typingctx, gradient, x, x_base, x_stride, d, d_base, d_stride, n_steps, pre, post, start, stop, lanes):
    """Add to ``gradient[slot]`` the sum over steps and lanes of x * d, for the slots [start, stop).

    Step s finds its rows a stride after those of step s - 1. The products of all steps are added lane by
    lane and the lanes once at the end.
    """
    i64 = types.int64
    signature = types.void(gradient, x, i64, i64, d, i64, i64, i64, pre, post, i64, i64, lanes)

    def codegen(context, builder, sig, args):
        g_ty, x_ty, _, _, d_ty, _, _, _, pre_ty, post_ty, _, _, lanes_ty = sig.args
        n_lanes = lanes_ty.count
        g_, x_, x_base_, x_stride_, d_, d_base_, d_stride_, n_steps_, pre_, post_, start_, stop_, _ = args
        one = ir.Constant(ir.IntType(64), 1)
        vector = ir.VectorType(ir.FloatType(), n_lanes)
        total = cgutils.alloca_once(builder, vector)
        with cgutils.for_range_slice(builder, start_, stop_, one, inc=True) as (k, _):
            x_row = row_of(context, builder, pre_ty, pre_, k, x_base_, n_lanes)
            d_row = row_of(context, builder, post_ty, post_, k, d_base_, n_lanes)
            builder.store(ir.Constant(vector, [0.0] * n_lanes), total)
            with cgutils.for_range(builder, n_steps_) as step:
                x_at = builder.add(x_row, builder.mul(step.index, x_stride_))
                d_at = builder.add(d_row, builder.mul(step.index, d_stride_))
                a = load_floats(builder, vector_pointer(context, builder, x_ty, x_, x_at, n_lanes))
                b = load_floats(builder, vector_pointer(context, builder, d_ty, d_, d_at, n_lanes))
                builder.store(multiply_add(builder, a, b, builder.load(total)), total)
            out = element_pointer(context, builder, g_ty, g_, k)
            builder.store(builder.fadd(builder.load(out), sum_lanes(builder, builder.load(total), n_lanes)), out)
        return context.get_dummy_value()

    return signature, codegen
