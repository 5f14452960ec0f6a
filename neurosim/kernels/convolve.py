"""Products of a sparse convolution and pooling, on maps whose samples lie side by side: LLVM vectors.

A map is (rows, columns, lanes) of float32, a lane being a sample. A *block* is some neighbouring places of one row. The sums of a block
stay in registers while all slots of a channel pass, so that a product costs one load; what a slot reads lies at an offset of its own from
the place, whatever the place is. The gradient holds the errors of a block in registers in the same way.

The places of a block are the length of the tuple `places`, the samples that of `lanes`: both are known to the compiler. Offsets are counted
in elements, and nothing is checked.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.lanes import sum_lanes
from neurosim.kernels.vectors import broadcast, element_pointer, integer, load_floats, multiply_add, vector_pointer


def _each(builder, start, stop):
    return cgutils.for_range_slice(builder, start, stop, integer(1), inc=True)


def _offset_of(builder, context, array_type, array, slot):
    """Offset of a slot: int32 in memory."""
    return builder.sext(builder.load(element_pointer(context, builder, array_type, array, slot)), ir.IntType(64))


@intrinsic
def sum_block(typingctx, out, out_at, out_step, bias, x, x_at, step, offset, weight, start, n_slots, places, lanes):
    """Write bias + sum of weight * x over the slots of a map, at each place of a block; the same of neighbouring maps that read the same places.

    Place p is written at out_at + p * lanes and reads, for slot k, at x_at + offset[k] + p * step. `offset` : int32. Map q, of as many as `bias`
    is long, starts at ``bias[q]``, is written `out_step` * q further on and has its slots at start + q * n_slots; `offset` is that of the first
    one. What is read is loaded once for all of them, and each sum adds its products in the order of its slots, so that it has the same bits alone.
    """
    i64 = types.int64
    signature = types.void(out, i64, i64, bias, x, i64, i64, offset, weight, i64, i64, places, lanes)

    def codegen(context, builder, sig, args):
        out_ty, _, _, bias_ty, x_ty, _, _, offset_ty, w_ty, _, _, places_ty, lanes_ty = sig.args
        out_, out_at_, out_step_, bias_, x_, x_at_, step_, offset_, w_, start_, n_slots_, _, _ = args
        n_lanes, n_places, n_maps = lanes_ty.count, places_ty.count, bias_ty.count
        steps = [builder.mul(step_, integer(p)) for p in range(n_places)]
        starts = [builder.add(start_, builder.mul(n_slots_, integer(q))) for q in range(n_maps)]
        totals = [
            [cgutils.alloca_once_value(builder, broadcast(builder, one, n_lanes)) for _ in range(n_places)]
            for one in cgutils.unpack_tuple(builder, bias_)
        ]
        with _each(builder, integer(0), n_slots_) as (k, _):
            at = builder.add(x_at_, _offset_of(builder, context, offset_ty, offset_, builder.add(start_, k)))
            values = [load_floats(builder, vector_pointer(context, builder, x_ty, x_, builder.add(at, step), n_lanes)) for step in steps]
            for first, row in zip(starts, totals, strict=True):
                w = broadcast(builder, builder.load(element_pointer(context, builder, w_ty, w_, builder.add(first, k))), n_lanes)
                for total, value in zip(row, values, strict=True):
                    builder.store(multiply_add(builder, w, value, builder.load(total)), total)
        for q, row in enumerate(totals):
            first = builder.add(out_at_, builder.mul(out_step_, integer(q)))
            for p, total in enumerate(row):
                at = builder.add(first, integer(p * n_lanes))
                builder.store(builder.load(total), vector_pointer(context, builder, out_ty, out_, at, n_lanes), align=4)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def multiply_alike(typingctx, sums, x, x_at, step, d, d_at, d_step, skip, offset, start, n_slots, maps, places, lanes):
    """`multiply_block` of neighbouring maps that read the same places, as many as `maps` is long.

    Map q has its errors `d_step` * q further on; slot k of it has its sums at (k * maps + q) * lanes. Products are added in the order of the places.
    """
    i64 = types.int64
    signature = types.void(sums, x, i64, i64, d, i64, i64, i64, offset, i64, i64, maps, places, lanes)

    def codegen(context, builder, sig, args):
        sums_ty, x_ty, _, _, d_ty, _, _, _, offset_ty, _, _, maps_ty, places_ty, lanes_ty = sig.args
        sums_, x_, x_at_, step_, d_, d_at_, d_step_, skip_, offset_, start_, n_slots_, _, _, _ = args
        n_lanes, n_places, n_maps = lanes_ty.count, places_ty.count, maps_ty.count
        steps = [builder.mul(step_, integer(p)) for p in range(n_places)]
        errors = []
        for q in range(n_maps):
            first, row = builder.add(d_at_, builder.mul(d_step_, integer(q))), []
            for p in range(n_places):
                error = load_floats(builder, vector_pointer(context, builder, d_ty, d_, builder.add(first, integer(p * n_lanes)), n_lanes))
                counts = builder.icmp_signed(">=", integer(p), skip_)
                row.append(builder.select(counts, error, ir.Constant(error.type, [0.0] * n_lanes)))
            errors.append(row)
        with _each(builder, integer(0), n_slots_) as (k, _):
            at = builder.add(x_at_, _offset_of(builder, context, offset_ty, offset_, builder.add(start_, k)))
            sum_at = builder.mul(k, integer(n_maps * n_lanes))
            outs = [vector_pointer(context, builder, sums_ty, sums_, builder.add(sum_at, integer(q * n_lanes)), n_lanes) for q in range(n_maps)]
            totals = [load_floats(builder, out) for out in outs]
            for p, step in enumerate(steps):
                value = load_floats(builder, vector_pointer(context, builder, x_ty, x_, builder.add(at, step), n_lanes))
                totals = [multiply_add(builder, value, row[p], total) for row, total in zip(errors, totals, strict=True)]
            for out, total in zip(outs, totals, strict=True):
                builder.store(total, out, align=4)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def multiply_block(typingctx, sums, x, x_at, step, d, d_at, skip, offset, start, stop, places, lanes):
    """Add x * d over the places of a block to the sums of the slots [start, stop), lane by lane.

    Slot k has its sums at (k - start) * lanes; place p reads d at d_at + p * lanes and x as in `sum_block`. The first `skip` places count
    for nothing: another block has them.
    """
    i64 = types.int64
    signature = types.void(sums, x, i64, i64, d, i64, i64, offset, i64, i64, places, lanes)

    def codegen(context, builder, sig, args):
        sums_ty, x_ty, _, _, d_ty, _, _, offset_ty, _, _, places_ty, lanes_ty = sig.args
        sums_, x_, x_at_, step_, d_, d_at_, skip_, offset_, start_, stop_, _, _ = args
        n_lanes, n_places = lanes_ty.count, places_ty.count
        steps = [builder.mul(step_, integer(p)) for p in range(n_places)]
        errors = []
        for p in range(n_places):
            error = load_floats(builder, vector_pointer(context, builder, d_ty, d_, builder.add(d_at_, integer(p * n_lanes)), n_lanes))
            counts = builder.icmp_signed(">=", integer(p), skip_)
            errors.append(builder.select(counts, error, ir.Constant(error.type, [0.0] * n_lanes)))
        with _each(builder, start_, stop_) as (k, _):
            at = builder.add(x_at_, _offset_of(builder, context, offset_ty, offset_, k))
            sum_at = builder.mul(builder.sub(k, start_), integer(n_lanes))
            out = vector_pointer(context, builder, sums_ty, sums_, sum_at, n_lanes)
            # Two chains: each product would wait for the one before.
            totals = [load_floats(builder, out), ir.Constant(ir.VectorType(ir.FloatType(), n_lanes), [0.0] * n_lanes)]
            for p, (error, step) in enumerate(zip(errors, steps, strict=True)):
                value = load_floats(builder, vector_pointer(context, builder, x_ty, x_, builder.add(at, step), n_lanes))
                totals[p % 2] = multiply_add(builder, value, error, totals[p % 2])
            builder.store(builder.fadd(*totals), out, align=4)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def add_lane_sums(typingctx, gradient, slot, sums, sums_at, sums_step, start, stop, lanes):
    """Add the sum of the lanes of each of the slots [start, stop) to ``gradient[slot[k]]``; those of slot k stand at sums_at + (k - start) * sums_step.

    `slot` : int32.
    """
    i64 = types.int64
    signature = types.void(gradient, slot, sums, i64, i64, i64, i64, lanes)

    def codegen(context, builder, sig, args):
        gradient_ty, slot_ty, sums_ty, _, _, _, _, lanes_ty = sig.args
        gradient_, slot_, sums_, sums_at_, sums_step_, start_, stop_, _ = args
        n_lanes = lanes_ty.count
        with _each(builder, start_, stop_) as (k, _):
            at = builder.add(sums_at_, builder.mul(builder.sub(k, start_), sums_step_))
            total = sum_lanes(builder, load_floats(builder, vector_pointer(context, builder, sums_ty, sums_, at, n_lanes)), n_lanes)
            out = element_pointer(context, builder, gradient_ty, gradient_, _offset_of(builder, context, slot_ty, slot_, k))
            builder.store(builder.fadd(builder.load(out), total), out)
        return context.get_dummy_value()

    return signature, codegen


def _walk_window(context, builder, array_type, array, at, rows, columns, pitch, n_lanes):
    """Yield (offset, vector) of each element of a window, inside LLVM loops; `pitch` elements from row to row."""
    with _each(builder, integer(0), rows) as (y, _):
        row = builder.add(at, builder.mul(y, pitch))
        with _each(builder, integer(0), columns) as (x, _):
            place = builder.add(row, builder.mul(x, integer(n_lanes)))
            yield place, load_floats(builder, vector_pointer(context, builder, array_type, array, place, n_lanes))


@intrinsic
def largest_of_window(typingctx, out, out_at, x, x_at, rows, columns, pitch, lanes):
    """Write the largest element of a window; NaN if the first is, or any comes before a larger one."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        out_, out_at_, x_, x_at_, rows_, columns_, pitch_, _ = args
        n_lanes = sig.args[7].count
        first = load_floats(builder, vector_pointer(context, builder, sig.args[2], x_, x_at_, n_lanes))
        top = cgutils.alloca_once_value(builder, first)
        for _, value in _walk_window(context, builder, sig.args[2], x_, x_at_, rows_, columns_, pitch_, n_lanes):
            best = builder.load(top)
            builder.store(builder.select(builder.fcmp_unordered(">", value, best), value, best), top)
        builder.store(builder.load(top), vector_pointer(context, builder, sig.args[0], out_, out_at_, n_lanes), align=4)
        return context.get_dummy_value()

    return types.void(out, i64, x, i64, i64, i64, i64, lanes), codegen


@intrinsic
def return_to_largest(typingctx, err, x, at, pooled, pooled_at, d, d_at, rows, columns, pitch, lanes):
    """Add the error of a pooled value to the first element of its window that is as large, sample by sample."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        err_, x_, at_, pooled_, pooled_at_, d_, d_at_, rows_, columns_, pitch_, _ = args
        n_lanes = sig.args[10].count
        top = load_floats(builder, vector_pointer(context, builder, sig.args[3], pooled_, pooled_at_, n_lanes))
        error = load_floats(builder, vector_pointer(context, builder, sig.args[5], d_, d_at_, n_lanes))
        left = cgutils.alloca_once_value(builder, error)  # zero where it has found its element
        zero = ir.Constant(error.type, [0.0] * n_lanes)
        for place, value in _walk_window(context, builder, sig.args[1], x_, at_, rows_, columns_, pitch_, n_lanes):
            is_it = builder.fcmp_ordered("==", value, top)
            now = builder.load(left)
            out = vector_pointer(context, builder, sig.args[0], err_, place, n_lanes)
            builder.store(builder.fadd(load_floats(builder, out), builder.select(is_it, now, zero)), out, align=4)
            builder.store(builder.select(is_it, zero, now), left)
        return context.get_dummy_value()

    return types.void(err, x, i64, pooled, i64, d, i64, i64, i64, i64, lanes), codegen


@intrinsic
def mean_of_window(typingctx, out, out_at, x, x_at, rows, columns, pitch, share, lanes):
    """Write `share` times the sum of a window."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        out_, out_at_, x_, x_at_, rows_, columns_, pitch_, share_, _ = args
        n_lanes = sig.args[8].count
        vector = ir.VectorType(ir.FloatType(), n_lanes)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0.0] * n_lanes))
        for _, value in _walk_window(context, builder, sig.args[2], x_, x_at_, rows_, columns_, pitch_, n_lanes):
            builder.store(builder.fadd(builder.load(total), value), total)
        mean = builder.fmul(builder.load(total), broadcast(builder, share_, n_lanes))
        builder.store(mean, vector_pointer(context, builder, sig.args[0], out_, out_at_, n_lanes), align=4)
        return context.get_dummy_value()

    return types.void(out, i64, x, i64, i64, i64, i64, types.float32, lanes), codegen


@intrinsic
def return_to_all(typingctx, err, at, d, d_at, rows, columns, pitch, share, lanes):
    """Add `share` times the error of a pooled value to each element of its window."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        err_, at_, d_, d_at_, rows_, columns_, pitch_, share_, _ = args
        n_lanes = sig.args[8].count
        error = load_floats(builder, vector_pointer(context, builder, sig.args[2], d_, d_at_, n_lanes))
        error = builder.fmul(error, broadcast(builder, share_, n_lanes))
        for place, value in _walk_window(context, builder, sig.args[0], err_, at_, rows_, columns_, pitch_, n_lanes):
            builder.store(builder.fadd(value, error), vector_pointer(context, builder, sig.args[0], err_, place, n_lanes), align=4)
        return context.get_dummy_value()

    return types.void(err, i64, d, i64, i64, i64, i64, types.float32, lanes), codegen


@intrinsic
def copy_row(typingctx, out, out_at, out_step, x, x_at, n, lanes):
    """Copy `n` neighbouring places of `x`; place i goes to out_at + i * out_step."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        out_, out_at_, out_step_, x_, x_at_, n_, _ = args
        n_lanes = sig.args[6].count
        with _each(builder, integer(0), n_) as (i, _):
            value = load_floats(
                builder, vector_pointer(context, builder, sig.args[3], x_, builder.add(x_at_, builder.mul(i, integer(n_lanes))), n_lanes)
            )
            at = builder.add(out_at_, builder.mul(i, out_step_))
            builder.store(value, vector_pointer(context, builder, sig.args[0], out_, at, n_lanes), align=4)
        return context.get_dummy_value()

    return types.void(out, i64, i64, x, i64, i64, lanes), codegen


@intrinsic
def sum_places(typingctx, x, x_at, n, lanes):
    """Sum of `n` neighbouring rows of lanes, over places and then over lanes: float32."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        x_, x_at_, n_, _ = args
        n_lanes = sig.args[3].count
        total = cgutils.alloca_once_value(builder, ir.Constant(ir.VectorType(ir.FloatType(), n_lanes), [0.0] * n_lanes))
        with _each(builder, integer(0), n_) as (i, _):
            at = builder.add(x_at_, builder.mul(i, integer(n_lanes)))
            value = load_floats(builder, vector_pointer(context, builder, sig.args[0], x_, at, n_lanes))
            builder.store(builder.fadd(builder.load(total), value), total)
        return sum_lanes(builder, builder.load(total), n_lanes)

    return types.float32(x, i64, i64, lanes), codegen
