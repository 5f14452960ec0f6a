"""Which activations and errors were not zero: one bit a sample, written where the values lie in registers or near caches.

A *place* holds the bits of 16 samples for every neuron, side by side. The places of a step are counted at once for each
neuron. For slots with a non-zero activation and error (event-driven execution) places stay *open* until a line of 512
samples is full or a call ends; then the bits of a neuron are brought together in a cache line, and a slot is one
vector operation. Whatever comes or goes meanwhile books the open places that it was not there for, or was
(`exchange.count_synapse`).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.shuffle import concatenate, has_feature, pack_bytes, shuffle, transpose

_PAIR = int(SegmentEvent.PAIR_NONZERO)

#: Exchanges that are noted until a line is counted; more are booked one by one.
MOST_EXCHANGED = 8192

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


@intrinsic
def count_bits(typingctx, x):
    """Number of ones in a uint64: int64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


def _integer(value):
    return ir.Constant(ir.IntType(64), value)


def _data(context, builder, array_type, array, item):
    """Pointer to the first item of an array, as items of the given LLVM type."""
    return builder.bitcast(context.make_array(array_type)(context, builder, array).data, item.as_pointer())


def _ones(builder, value):
    """Number of ones in each element of a vector."""
    name = f"llvm.ctpop.v{value.type.count}i{value.type.element.width}"
    return builder.call(cgutils.get_or_insert_function(builder.module, ir.FunctionType(value.type, [value.type]), name), [value])


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
    is_marking = None if isinstance(bits_type, types.NoneType) or n_lanes < PLACE else builder.icmp_signed(">=", place, _integer(0))

    def work(first, n_rows):
        rows = []
        for i in range(n_rows):
            row = builder.mul(builder.add(first, _integer(i)), _integer(n_lanes))
            rows.append([value_at(builder.add(row, _integer(offset)), width) for offset in range(0, n_lanes, width)])
        if is_marking is not None:
            with builder.if_then(is_marking):
                for part, values in enumerate(zip(*rows, strict=True)):
                    is_set = _nonzero(context, builder, values)
                    store_marks(context, builder, bits_type, bits, builder.add(place, _integer(part)), first, is_set)

    # Two rows at a time: one store holds their bits. With four, putting bits together takes longer than storing them.
    whole = builder.add(start, builder.and_(builder.sub(stop, start), _integer(-2)))
    with cgutils.for_range_slice(builder, start, whole, _integer(2), inc=True) as (i, _):
        work(i, 2)
    with cgutils.for_range_slice(builder, whole, stop, _integer(1), inc=True) as (i, _):
        work(i, 1)


def _row_access(context, builder, array_type, array):
    """How to load and store some lanes of a tile: two functions."""
    data = _data(context, builder, array_type, array, ir.FloatType())

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
            with cgutils.for_range_slice(builder, place_, stop_place_, _integer(1), inc=True) as (k, _):
                at = builder.gep(array.data, [builder.add(builder.mul(k, n_neurons), first)])
                marks = builder.load(builder.bitcast(at, vector.as_pointer()), align=2)
                builder.store(builder.add(builder.load(n), _ones(builder, marks)), n)
            out = builder.gep(_data(context, builder, sig.args[0], total_, ir.IntType(64)), [first])
            out = builder.bitcast(out, wide.as_pointer())
            builder.store(builder.add(builder.load(out, align=8), builder.zext(builder.load(n), wide)), out, align=8)

        whole = builder.add(start_, builder.and_(builder.sub(stop_, start_), _integer(-_WIDTH)))
        with cgutils.for_range_slice(builder, start_, whole, _integer(_WIDTH), inc=True) as (i, _):
            add(i, _WIDTH)
        with cgutils.for_range_slice(builder, whole, stop_, _integer(1), inc=True) as (i, _):
            add(i, 1)
        return context.get_dummy_value()

    return types.void(total, bits, i64, i64, i64, i64), codegen


@inlined
def count_marks(tally, start, stop, place, n_places):
    """Add the ones of some places to `Tally.by_neuron`, for the neurons [start, stop)."""
    for first in range(place, place + n_places, _MOST_PLACES):
        _add_marks(tally.by_neuron, tally.live, start, stop, first, min(first + _MOST_PLACES, place + n_places))


@intrinsic
def _gather_line(typingctx, lines, bits, line, start, stop):
    """Bring the bits of each of the neurons [start, stop) in the places of a line together: a transposition."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        lines_, bits_, line_, start_, stop_ = args
        array = context.make_array(sig.args[1])(context, builder, bits_)
        n_neurons = cgutils.unpack_tuple(builder, array.shape)[1]
        vector = ir.VectorType(ir.IntType(16), 8)
        out = _data(context, builder, sig.args[0], lines_, ir.IntType(16))
        # Rows of marks end with whole vectors.
        begin = builder.and_(start_, _integer(-8))
        with cgutils.for_range_slice(builder, begin, stop_, _integer(8), inc=True) as (i, _):
            for group in range(0, LINE, 8):
                rows = []
                for k in range(8):
                    place = builder.add(builder.mul(line_, _integer(LINE)), _integer(group + k))
                    at = builder.gep(array.data, [builder.add(builder.mul(place, n_neurons), i)])
                    rows.append(builder.load(builder.bitcast(at, vector.as_pointer()), align=2))
                for k, row in enumerate(transpose(builder, rows)):
                    at = builder.gep(out, [builder.add(builder.mul(builder.add(i, _integer(k)), _integer(LINE)), _integer(group))])
                    builder.store(row, builder.bitcast(at, vector.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(lines, bits, i64, i64, i64), codegen


def _sum_elements(builder, vector):
    name = f"llvm.vector.reduce.add.v{vector.type.count}i64"
    function = ir.FunctionType(vector.type.element, [vector.type])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), [vector])


@intrinsic
def _count_first(typingctx, live, pre, wrong, post, n_places):
    """(sample, slot) pairs of one position in the first places of a line: int64."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        vector, halves = ir.VectorType(ir.IntType(64), WORDS), ir.VectorType(ir.IntType(16), LINE)
        a, b = (
            builder.load(builder.gep(_data(context, builder, sig.args[i], args[i], halves), [args[i + 1]]), align=8) for i in (0, 2)
        )
        most = builder.select(builder.icmp_signed("<", args[4], _integer(LINE)), args[4], _integer(LINE))
        n = builder.insert_element(ir.Constant(halves, ir.Undefined), builder.trunc(most, ir.IntType(16)), ir.Constant(ir.IntType(32), 0))
        is_in = builder.icmp_signed("<", ir.Constant(halves, list(range(LINE))), shuffle(builder, n, n, [0] * LINE))
        both = builder.select(is_in, builder.and_(a, b), ir.Constant(halves, [0] * LINE))
        return _sum_elements(builder, _ones(builder, builder.bitcast(both, vector)))

    return i64(live, i64, wrong, i64, i64), codegen


@intrinsic
def _count_pairs(typingctx, live, pre_base, wrong, post_base, pre, post, start, stop):
    """(sample, slot) pairs of a line, of the slots [start, stop), whose activation and error are both not zero: int64."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        live_, pre_base_, wrong_, post_base_, pre_, post_, start_, stop_ = args
        vector = ir.VectorType(ir.IntType(64), WORDS)
        total = cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * WORDS))

        def bits(k, lines, index, base):
            at = builder.load(builder.gep(_data(context, builder, sig.args[index], args[index], ir.IntType(32)), [k]))
            data = _data(context, builder, sig.args[lines], args[lines], vector)
            return builder.load(builder.gep(data, [builder.add(builder.sext(at, ir.IntType(64)), base)]), align=8)

        with cgutils.for_range_slice(builder, start_, stop_, _integer(1), inc=True) as (k, _):
            both = builder.and_(bits(k, 0, 4, pre_base_), bits(k, 2, 5, post_base_))
            builder.store(builder.add(builder.load(total), _ones(builder, both)), total)
        return _sum_elements(builder, builder.load(total))

    return i64(live, i64, wrong, i64, pre, post, i64, i64), codegen


@inlined
def book_pairs(tally, segment, pre, post, change):
    """Book the pairs of the open places for a synapse that comes (+1) or goes (-1): it was not there, or is not counted later.

    `pre`, `post` : in the numbering of all neurons. Reading all places at once would wait for a cache line each, so that
    the exchange is noted and done with the line.
    """
    n_open, n = tally.n_open[0], tally.n_exchanged[0]
    if n_open == 0:
        return
    if n < tally.exchanged.shape[0]:
        entry = tally.exchanged[n]
        entry[0], entry[1], entry[2], entry[3] = segment, pre, post, -change * n_open
        tally.n_exchanged[0] = n + 1
        return
    for place in range(n_open):
        both = np.uint64(tally.live[place, pre] & tally.wrong[place, post])
        tally.by_segment[segment, _PAIR] -= change * count_bits(both)


@inlined
def count_exchanged(tally, line):
    """Book what `book_pairs` noted, of the line gathered last."""
    for i in range(tally.n_exchanged[0]):
        segment, pre, post, n_open = tally.exchanged[i]
        n = _count_first(tally.live_lines, np.int64(pre), tally.wrong_lines, np.int64(post), abs(np.int64(n_open)) - line * LINE)
        tally.by_segment[np.int64(segment), _PAIR] += n if n_open > 0 else -n


@inlined
def gather_line(tally, line, n_inputs, out, n_neurons):
    """Make a line ready for `count_line`: neurons below `out` are pre, those from `n_inputs` on post neurons."""
    for place in range(max(line * LINE, tally.n_open[0]), (line + 1) * LINE):
        tally.wrong[place, :] = np.uint16(0)
    _gather_line(tally.live_lines, tally.live, line, 0, out)
    _gather_line(tally.wrong_lines, tally.wrong, line, n_inputs, n_neurons)


@inlined
def count_line(slots, segments, matrices, tally, segment):
    """(sample, slot) pairs of all active slots of a segment, of the line gathered last."""
    start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
    matrix = segments.matrix[segment]
    live, wrong = tally.live_lines, tally.wrong_lines
    a, b = matrices.pre_neuron[matrix], matrices.post_neuron[matrix]
    n = _count_pairs(live, a, wrong, b, slots.pre, slots.post, start, stop)
    for i in range(slots.n_free[segment]):  # they were read as well
        slot = np.int64(slots.free_slot[start + i])
        n -= _count_pairs(live, a, wrong, b, slots.pre, slots.post, slot, slot + 1)
    return n
