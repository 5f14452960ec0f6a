"""Which activations and errors were not zero: one bit a sample, written where the values lie in registers or near caches.

A *place* holds the bits of 16 samples for every neuron, side by side. The places of a step are counted at once for each
neuron; what they say of slots is found later (`kernels.pairs`).
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined
from neurosim.kernels.vectors import concatenate, count_ones, data_of, has_feature, integer, pack_bytes

#: Samples of a place, and places of a line: 64 bytes, as wide as a cache line and the widest vectors.
PLACE = 16
LINE = 32
WORDS = LINE * PLACE // 64

#: Neurons whose places are added up side by side.
_WIDTH = 32

#: Most places whose bits a sum of 16 bits can hold.
_MOST_PLACES = 4095


def marks_shape(n_tiles, n_lanes, n_neurons):
    """Places for the tiles of a step, in whole lines, and neurons, in whole vectors."""
    return LINE * -(-n_tiles * n_lanes // (LINE * PLACE)), _WIDTH * -(-n_neurons // _WIDTH)


def store_marks(context, builder, bits_type, bits, place, neuron, is_set):
    """Store a vector of booleans, 16 samples a neuron, for the neurons from `neuron` on."""
    array = context.make_array(bits_type)(context, builder, bits)
    n_neurons = cgutils.unpack_tuple(builder, array.shape)[1]
    at = builder.gep(array.data, [builder.add(builder.mul(place, n_neurons), neuron)])
    word = ir.IntType(is_set.type.count)
    builder.store(builder.bitcast(is_set, word), builder.bitcast(at, word.as_pointer()), align=2)


def _nonzero(context, builder, rows):
    """Which values of one or two vectors of 16 floats are not zero: a vector of booleans. None may be -0.0."""
    if len(rows) == 2 and has_feature(context, "avx2") and not has_feature(context, "avx512f"):
        value = pack_bytes(builder, rows)
        return builder.icmp_unsigned("!=", value, ir.Constant(value.type, [0] * value.type.count))
    value = concatenate(builder, rows)
    return builder.fcmp_unordered("!=", value, ir.Constant(value.type, [0.0] * value.type.count))


def _walk_rows(context, builder, start, stop, bits_type, bits, place, n_lanes, value_at):
    """Call ``value_at(offset)`` for the lanes of the rows [start, stop) and keep which of the results are not zero.

    `bits` : uint16 (places, neurons), or None to keep nothing; so does a negative `place`. NaN counts as not zero; no result
    may be -0.0.
    """
    width = min(n_lanes, PLACE)
    is_marking = None if isinstance(bits_type, types.NoneType) or n_lanes < PLACE else builder.icmp_signed(">=", place, integer(0))

    def work(first, n_rows):
        rows = []
        for i in range(n_rows):
            row = builder.mul(builder.add(first, integer(i)), integer(n_lanes))
            rows.append([value_at(builder.add(row, integer(offset)), width) for offset in range(0, n_lanes, width)])
        if is_marking is not None:
            with builder.if_then(is_marking):
                for part, values in enumerate(zip(*rows, strict=True)):
                    is_set = _nonzero(context, builder, values)
                    store_marks(context, builder, bits_type, bits, builder.add(place, integer(part)), first, is_set)

    # Two rows at a time: one store holds their bits. With four, putting bits together takes longer than storing them.
    whole = builder.add(start, builder.and_(builder.sub(stop, start), integer(-2)))
    with cgutils.for_range_slice(builder, start, whole, integer(2), inc=True) as (i, _):
        work(i, 2)
    with cgutils.for_range_slice(builder, whole, stop, integer(1), inc=True) as (i, _):
        work(i, 1)


def _row_access(context, builder, array_type, array):
    """How to load and store some lanes of a tile: two functions."""
    data = data_of(context, builder, array_type, array, ir.FloatType())

    def place(offset, width):
        return builder.bitcast(builder.gep(data, [offset]), ir.VectorType(ir.FloatType(), width).as_pointer())

    def load(offset, width):
        return builder.load(place(offset, width), align=4)

    def store(value, offset):
        builder.store(value, place(offset, value.type.count), align=4)

    return load, store


@intrinsic
def mark_rows(typingctx, values, start, stop, bits, place, lanes):
    """Keep which values of the rows [start, stop) of a tile are not zero, at the places from `place` on, if that is not negative."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        load, _ = _row_access(context, builder, sig.args[0], args[0])

        def positive_zero(offset, width):
            value = load(offset, width)
            return builder.fadd(value, ir.Constant(value.type, [0.0] * width))

        _walk_rows(context, builder, *args[1:3], sig.args[3], *args[3:5], sig.args[5].count, positive_zero)
        return context.get_dummy_value()

    return types.void(values, i64, i64, bits, i64, lanes), codegen


@intrinsic
def rectify_rows(typingctx, values, start, stop, bits, place, lanes):
    """Set what is less than zero to zero in the rows [start, stop), and `mark_rows`."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        load, store = _row_access(context, builder, sig.args[0], args[0])

        def rectify(offset, width):
            value = load(offset, width)
            zero = ir.Constant(value.type, [0.0] * width)
            # A choice between what is stored and what was there becomes a masked store, which takes twenty times as long on
            # some processors with AVX2; a sum with zero is no such choice.
            value = builder.fadd(value, zero)
            value = builder.select(builder.fcmp_ordered("<", value, zero), zero, value)
            store(value, offset)
            return value

        _walk_rows(context, builder, *args[1:3], sig.args[3], *args[3:5], sig.args[5].count, rectify)
        return context.get_dummy_value()

    return types.void(values, i64, i64, bits, i64, lanes), codegen


@intrinsic
def mask_rows(typingctx, errors, hidden, start, stop, bits, place, lanes):
    """Set errors to zero where `hidden` is not above zero in the rows [start, stop), and `mark_rows` of the errors."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        load, store = _row_access(context, builder, sig.args[0], args[0])
        load_hidden, _ = _row_access(context, builder, sig.args[1], args[1])

        def mask(offset, width):
            value, zero = load(offset, width), ir.Constant(ir.VectorType(ir.FloatType(), width), [0.0] * width)
            value = builder.fadd(value, zero)  # as in `rectify_rows`
            value = builder.select(builder.fcmp_ordered(">", load_hidden(offset, width), zero), value, zero)
            store(value, offset)
            return value

        _walk_rows(context, builder, *args[2:4], sig.args[4], *args[4:6], sig.args[6].count, mask)
        return context.get_dummy_value()

    return types.void(errors, hidden, i64, i64, bits, i64, lanes), codegen


@intrinsic
def _add_marks(typingctx, total, bits, start, stop, place, stop_place):
    """Add the ones of the places [place, stop_place) to the int64 totals of the neurons [start, stop)."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        total_, bits_, start_, stop_, place_, stop_place_ = args
        array = context.make_array(sig.args[1])(context, builder, bits_)
        n_neurons = cgutils.unpack_tuple(builder, array.shape)[1]

        def add(first, width):
            vector, wide = ir.VectorType(ir.IntType(16), width), ir.VectorType(ir.IntType(64), width)
            n = cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * width))
            with cgutils.for_range_slice(builder, place_, stop_place_, integer(1), inc=True) as (k, _):
                at = builder.gep(array.data, [builder.add(builder.mul(k, n_neurons), first)])
                marks = builder.load(builder.bitcast(at, vector.as_pointer()), align=2)
                builder.store(builder.add(builder.load(n), count_ones(builder, marks)), n)
            out = builder.gep(data_of(context, builder, sig.args[0], total_, ir.IntType(64)), [first])
            out = builder.bitcast(out, wide.as_pointer())
            builder.store(builder.add(builder.load(out, align=8), builder.zext(builder.load(n), wide)), out, align=8)

        whole = builder.add(start_, builder.and_(builder.sub(stop_, start_), integer(-_WIDTH)))
        with cgutils.for_range_slice(builder, start_, whole, integer(_WIDTH), inc=True) as (i, _):
            add(i, _WIDTH)
        with cgutils.for_range_slice(builder, whole, stop_, integer(1), inc=True) as (i, _):
            add(i, 1)
        return context.get_dummy_value()

    return types.void(total, bits, i64, i64, i64, i64), codegen


@inlined
def count_marks(tally, start, stop, place, n_places):
    """Add the ones of some places to `Tally.by_neuron`, for the neurons [start, stop)."""
    for first in range(place, place + n_places, _MOST_PLACES):
        _add_marks(tally.by_neuron, tally.live, start, stop, first, min(first + _MOST_PLACES, place + n_places))
