"""Vector operations of synapses on a tile of samples, written as LLVM vectors.

A *tile* holds the values of some neurons for `n_lanes` samples side by side, so a slot's work is one
vector operation. Plain loops over the lanes do not serve here: LLVM cannot prove that the rows of a
tile do not overlap and falls back to scalar code or to a run-time test in front of every slot.

Two forms of the forward pass, chosen by the width of the tile (`uses_runs`):

- wide tiles walk *runs*, stretches of slots that share the post neuron. The accumulator stays in
  registers; slots have to be sorted (`neurosim.kernels.order`).
- narrow and medium tiles walk slots one by one, in any order. There a slot is so cheap that the unpredictable end of
  a run costs more than the memory traffic, and in narrow tiles rewiring needs no sorting. Neighbouring slots should not
  share a post neuron: each would wait for the sum of the one before.

Medium tiles are for networks whose rows come from far caches (`order.is_scattered`): slots are sorted for their sake.

The backward pass walks slots one by one in every tile: it adds to the rows of the pre neurons, which
differ from slot to slot, and the row of the post neuron comes from the nearest cache.

The number of lanes is the length of the tuple `lanes`: the only part of an argument's type that a
caller can vary and the compiler knows (closures over the number would not be cached on disk).

Every function takes flat, C-contiguous arrays and offsets counted in elements, and checks nothing.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined
from neurosim.kernels.vectors import broadcast, element_pointer, load_floats, multiply_add, shuffle, vector_pointer

#: Tiles of more lanes than this keep slots in order.
NARROW = 16

#: Tiles of more lanes than this walk runs of sorted slots.
MEDIUM = 32


@inlined
def keeps_order(lanes):
    """Whether a tile is so wide that its rows should come from near caches."""
    return len(lanes) > NARROW


@inlined
def uses_runs(lanes):
    """Whether a tile is wide enough to walk runs."""
    return len(lanes) > MEDIUM


def row_of(context, builder, pre_type, pre, slot, base, n_lanes):
    """Offset of the tile row of a slot's pre neuron: base + pre[slot] * n_lanes."""
    index = builder.load(element_pointer(context, builder, pre_type, pre, slot))
    index = builder.sext(index, ir.IntType(64))
    return builder.add(base, builder.mul(index, ir.Constant(ir.IntType(64), n_lanes)))


def _halve(builder, value, n_lanes, n_left):
    """Add the upper to the lower half until `n_left` lanes are left: a fixed order, the same on every machine."""
    while n_lanes > n_left:
        half = n_lanes // 2
        low, high = list(range(half)), list(range(half, n_lanes))
        value = builder.fadd(shuffle(builder, value, value, low), shuffle(builder, value, value, high))
        n_lanes = half
    return value


def sum_lanes(builder, value, n_lanes):
    """Sum of the lanes."""
    return builder.extract_element(_halve(builder, value, n_lanes, 1), ir.Constant(ir.IntType(32), 0))


def _sum_four(builder, values, n_lanes):
    """Sums of the lanes of four vectors, each added in the order of `sum_lanes`: a vector of four, with a third of the shuffles."""
    a, b, c, d = (_halve(builder, value, n_lanes, 16) for value in values)

    def add(first, second, low, high):
        return builder.fadd(shuffle(builder, first, second, low), shuffle(builder, first, second, high))

    eights = [*range(8), *range(16, 24)]
    pairs = [add(x, y, eights, [i + 8 for i in eights]) for x, y in ((a, b), (c, d))]
    fours = [i + j for i in (0, 8, 16, 24) for j in range(4)]
    quarters = add(*pairs, fours, [i + 4 for i in fours])
    twos = [i + j for i in (0, 4, 8, 12) for j in range(2)]
    halves = add(quarters, quarters, twos, [i + 2 for i in twos])
    return add(halves, halves, [0, 2, 4, 6], [1, 3, 5, 7])


def _add_sums(context, builder, gradient_type, gradient, start, stop, n_lanes, product):
    """Add the sum of the lanes of ``product(slot)`` to the gradient of each slot in [start, stop)."""
    i64, quad = ir.IntType(64), ir.VectorType(ir.FloatType(), 4)
    one = ir.Constant(i64, 1)
    if n_lanes >= 16:
        four = ir.Constant(i64, 4)
        n_whole = builder.mul(builder.sdiv(builder.sub(stop, start), four), four)
        whole = builder.add(start, n_whole)
        with cgutils.for_range_slice(builder, start, whole, four, inc=True) as (k, _):
            slots = [builder.add(k, ir.Constant(i64, i)) for i in range(4)]
            sums = _sum_four(builder, [product(slot) for slot in slots], n_lanes)
            out = builder.bitcast(element_pointer(context, builder, gradient_type, gradient, k), quad.as_pointer())
            builder.store(builder.fadd(builder.load(out, align=4), sums), out, align=4)
        start = whole
    with cgutils.for_range_slice(builder, start, stop, one, inc=True) as (k, _):
        out = element_pointer(context, builder, gradient_type, gradient, k)
        builder.store(builder.fadd(builder.load(out), sum_lanes(builder, product(k), n_lanes)), out)


@intrinsic
def forward_run(typingctx, z, z_row, x, x_base, pre, weight, start, stop, lanes):
    """Add weight * x of the slots [start, stop) to one row of `z`."""
    signature = types.void(z, types.int64, x, types.int64, pre, weight, types.int64, types.int64, lanes)

    def codegen(context, builder, sig, args):
        z_ty, _, x_ty, _, pre_ty, w_ty, _, _, lanes_ty = sig.args
        n_lanes = lanes_ty.count
        z_, z_row_, x_, x_base_, pre_, w_, start_, stop_, _ = args
        out = vector_pointer(context, builder, z_ty, z_, z_row_, n_lanes)
        total = cgutils.alloca_once_value(builder, load_floats(builder, out))
        with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(ir.IntType(64), 1), inc=True) as (k, _):
            row = row_of(context, builder, pre_ty, pre_, k, x_base_, n_lanes)
            value = load_floats(builder, vector_pointer(context, builder, x_ty, x_, row, n_lanes))
            w = builder.load(element_pointer(context, builder, w_ty, w_, k))
            builder.store(multiply_add(builder, broadcast(builder, w, n_lanes), value, builder.load(total)), total)
        builder.store(builder.load(total), out, align=4)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def nonzero_lanes(typingctx, x, row, lanes):
    """Which lanes of one row are not zero, as bits: uint64. NaN counts as not zero."""
    signature = types.uint64(x, types.int64, lanes)

    def codegen(context, builder, sig, args):
        n_lanes = sig.args[2].count
        value = load_floats(builder, vector_pointer(context, builder, sig.args[0], args[0], args[1], n_lanes))
        is_set = builder.fcmp_unordered("!=", value, ir.Constant(value.type, [0.0] * n_lanes))
        bits = builder.bitcast(is_set, ir.IntType(n_lanes))
        return bits if n_lanes == 64 else builder.zext(bits, ir.IntType(64))

    return signature, codegen


@intrinsic
def forward_slots(typingctx, z, z_base, x, x_base, pre, post, weight, start, stop, lanes):
    """Add weight * x to the post row of `z` of each slot in [start, stop)."""
    signature = types.void(z, types.int64, x, types.int64, pre, post, weight, types.int64, types.int64, lanes)

    def codegen(context, builder, sig, args):
        z_ty, _, x_ty, _, pre_ty, post_ty, w_ty, _, _, lanes_ty = sig.args
        n_lanes = lanes_ty.count
        z_, z_base_, x_, x_base_, pre_, post_, w_, start_, stop_, _ = args
        with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(ir.IntType(64), 1), inc=True) as (k, _):
            x_row = row_of(context, builder, pre_ty, pre_, k, x_base_, n_lanes)
            z_row = row_of(context, builder, post_ty, post_, k, z_base_, n_lanes)
            value = load_floats(builder, vector_pointer(context, builder, x_ty, x_, x_row, n_lanes))
            out = vector_pointer(context, builder, z_ty, z_, z_row, n_lanes)
            w = builder.load(element_pointer(context, builder, w_ty, w_, k))
            builder.store(multiply_add(builder, broadcast(builder, w, n_lanes), value, load_floats(builder, out)), out, align=4)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def gradient_slots(typingctx, gradient, x, x_base, d, d_base, pre, post, start, stop, lanes):
    """Add the sum over the lanes of x * d to ``gradient[slot]`` of the slots [start, stop)."""
    signature = types.void(gradient, x, types.int64, d, types.int64, pre, post, types.int64, types.int64, lanes)

    def codegen(context, builder, sig, args):
        g_ty, x_ty, _, d_ty, _, pre_ty, post_ty, _, _, lanes_ty = sig.args
        n_lanes = lanes_ty.count
        g_, x_, x_base_, d_, d_base_, pre_, post_, start_, stop_, _ = args

        def product(slot):
            x_row = row_of(context, builder, pre_ty, pre_, slot, x_base_, n_lanes)
            d_row = row_of(context, builder, post_ty, post_, slot, d_base_, n_lanes)
            value = load_floats(builder, vector_pointer(context, builder, x_ty, x_, x_row, n_lanes))
            error = load_floats(builder, vector_pointer(context, builder, d_ty, d_, d_row, n_lanes))
            return builder.fmul(value, error)

        _add_sums(context, builder, g_ty, g_, start_, stop_, n_lanes, product)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def backward_slots(typingctx, gradient, x, e, pre_base, post_base, pre, post, weight, start, stop, lanes):
    """`gradient_slots`, and in the same pass weight * d added to the pre row of `e`: both read the same two rows.

    d are the rows of `e` from `post_base` on, x and the sums lie from `pre_base` on in `x` and `e`.
    """
    signature = types.void(gradient, x, e, types.int64, types.int64, pre, post, weight, types.int64, types.int64, lanes)

    def codegen(context, builder, sig, args):
        g_ty, x_ty, e_ty, _, _, pre_ty, post_ty, w_ty, _, _, lanes_ty = sig.args
        n_lanes = lanes_ty.count
        g_, x_, e_, pre_base_, post_base_, pre_, post_, w_, start_, stop_, _ = args

        def product(slot):
            pre_row = row_of(context, builder, pre_ty, pre_, slot, pre_base_, n_lanes)
            post_row = row_of(context, builder, post_ty, post_, slot, post_base_, n_lanes)
            error = load_floats(builder, vector_pointer(context, builder, e_ty, e_, post_row, n_lanes))
            value = load_floats(builder, vector_pointer(context, builder, x_ty, x_, pre_row, n_lanes))
            out = vector_pointer(context, builder, e_ty, e_, pre_row, n_lanes)
            w = builder.load(element_pointer(context, builder, w_ty, w_, slot))
            builder.store(multiply_add(builder, broadcast(builder, w, n_lanes), error, load_floats(builder, out)), out, align=4)
            return builder.fmul(value, error)

        _add_sums(context, builder, g_ty, g_, start_, stop_, n_lanes, product)
        return context.get_dummy_value()

    return signature, codegen
