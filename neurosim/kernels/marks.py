"""Which activations and errors were not zero: one bit a sample, written where the values lie in registers or near caches.

A *place* holds the bits of 16 samples for every neuron, side by side. The places of a step are counted at once for each
neuron; what they say of slots is found later (`kernels.pairs`).
"""

import numpy as np
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

#: Most places whose bits sums of 8 and of 16 bits can hold: a byte counts half a place.
_MOST_IN_BYTES, _MOST_RECENT = 31, 4095


def marks_shape(n_tiles, n_lanes, n_neurons):
    """Places for the tiles of a step, in whole lines, and neurons, in whole vectors."""
    return LINE * -(-n_tiles * n_lanes // (LINE * PLACE)), _WIDTH * -(-n_neurons // _WIDTH)


def store_marks(context, builder, bits_type, bits, place, neuron, is_set):
    """Store booleans, 16 samples a neuron, for the neurons from `neuron` on; `is_set` : an integer of that many bits."""
    array = context.make_array(bits_type)(context, builder, bits)
    n_neurons = cgutils.unpack_tuple(builder, array.shape)[1]
    at = builder.gep(array.data, [builder.add(builder.mul(place, n_neurons), neuron)])
    builder.store(is_set, builder.bitcast(at, is_set.type.as_pointer()), align=2)


def _bits(context, builder, rows):
    """One or two vectors of 16 booleans as the bits of an integer."""
    if len(rows) == 2 and _packs_bytes(context):
        rows = [builder.bitcast(builder.sext(row, ir.VectorType(ir.IntType(32), PLACE)), ir.VectorType(ir.FloatType(), PLACE)) for row in rows]
        value = pack_bytes(builder, rows)
        is_set = builder.icmp_signed("<", value, ir.Constant(value.type, [0] * value.type.count))
    else:
        is_set = concatenate(builder, rows)
    return builder.bitcast(is_set, ir.IntType(is_set.type.count))


def _bits_of_nonzero(context, builder, rows):
    """Which values of one or two vectors of 16 floats are not zero, as the bits of an integer. None may be -0.0."""
    if len(rows) == 2 and _packs_bytes(context):
        value = pack_bytes(builder, rows)
        is_set = builder.icmp_unsigned("!=", value, ir.Constant(value.type, [0] * value.type.count))
        return builder.bitcast(is_set, ir.IntType(value.type.count))
    return _bits(context, builder, [_is_nonzero(builder, row) for row in rows])


def _packs_bytes(context):
    """Whether the widest vectors have no masks of one bit an element."""
    return has_feature(context, "avx2") and not has_feature(context, "avx512f")


def _is_nonzero(builder, value):
    return builder.fcmp_unordered("!=", value, ir.Constant(value.type, [0.0] * value.type.count))


def _walk_rows(builder, start, stop, n_lanes, work_at, keep=None):
    """Call ``work_at(offset, n)`` for n lanes at a time of the rows [start, stop).

    What it returns goes to ``keep(row, parts)`` for one or two rows from `row` on; a part is a tuple of what 16 lanes of each gave.
    """
    width = min(n_lanes, PLACE)

    def work(first, n_rows):
        rows = []
        for i in range(n_rows):
            row = builder.mul(builder.add(first, integer(i)), integer(n_lanes))
            rows.append([work_at(builder.add(row, integer(offset)), width) for offset in range(0, n_lanes, width)])
        if keep is not None and width == PLACE:
            keep(first, list(zip(*rows, strict=True)))

    # Two rows at a time: one store holds their bits. With four, putting bits together takes longer than storing them.
    whole = builder.add(start, builder.and_(builder.sub(stop, start), integer(-2)))
    with cgutils.for_range_slice(builder, start, whole, integer(2), inc=True) as (i, _):
        work(i, 2)
    with cgutils.for_range_slice(builder, whole, stop, integer(1), inc=True) as (i, _):
        work(i, 1)


def _keep_marks(context, builder, bits_type, bits, place, first, parts, bits_of):
    """Store ``bits_of(context, builder, rows)`` of each part of 16 lanes, unless `bits` is None or `place` negative."""
    if isinstance(bits_type, types.NoneType):
        return
    with builder.if_then(builder.icmp_signed(">=", place, integer(0))):
        for part, rows in enumerate(parts):
            store_marks(context, builder, bits_type, bits, builder.add(place, integer(part)), first, bits_of(context, builder, rows))


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
    """Keep which values of the rows [start, stop) of a tile are not zero, at the places from `place` on.

    `bits` : uint16 (places, neurons), or None to keep nothing; so does a negative `place`. NaN counts as not zero.
    """
    i64 = types.int64

    def codegen(context, builder, sig, args):
        load, _ = _row_access(context, builder, sig.args[0], args[0])

        def positive_zero(offset, width):
            value = load(offset, width)
            return builder.fadd(value, ir.Constant(value.type, [0.0] * width))

        def keep(first, parts):
            _keep_marks(context, builder, sig.args[3], *args[3:5], first, parts, _bits_of_nonzero)

        _walk_rows(builder, *args[1:3], sig.args[5].count, positive_zero, keep)
        return context.get_dummy_value()

    return types.void(values, i64, i64, bits, i64, lanes), codegen


@intrinsic
def mark_above(typingctx, values, start, stop, least, bits, place, lanes):
    """As `mark_rows`, of which values are above `least`, float32. NaN counts as above."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        load, _ = _row_access(context, builder, sig.args[0], args[0])

        def is_above(offset, width):
            value = load(offset, width)
            limit = ir.Constant(value.type, ir.Undefined)
            for lane in range(width):
                limit = builder.insert_element(limit, args[3], ir.Constant(ir.IntType(32), lane))
            return builder.fcmp_unordered(">", value, limit)

        def keep(first, parts):
            _keep_marks(context, builder, sig.args[4], *args[4:6], first, parts, _bits)

        _walk_rows(builder, *args[1:3], sig.args[6].count, is_above, keep)
        return context.get_dummy_value()

    return types.void(values, i64, i64, types.float32, bits, i64, lanes), codegen


@inlined
def mark_samples(bits, place, start, stop, n_samples, lanes):
    """Keep that the first `n_samples` lanes of the neurons [start, stop) hold something, whatever their values; as `mark_rows` otherwise."""
    if bits is not None and place >= 0:
        for part in range(len(lanes) // PLACE):
            n = min(max(n_samples - part * PLACE, 0), PLACE)
            for neuron in range(start, stop):
                bits[place + part, neuron] = np.uint16((1 << n) - 1)


@intrinsic
def rectify_rows(typingctx, values, start, stop, lanes):
    """Set what is less than zero to zero in the rows [start, stop) of a tile. No zero is -0.0 afterwards."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        load, store = _row_access(context, builder, sig.args[0], args[0])

        def rectify(offset, width):
            value = load(offset, width)
            zero = ir.Constant(value.type, [0.0] * width)
            # A choice between what is stored and what was there becomes a masked store, which takes twenty times as long on
            # some processors with AVX2; a sum with zero is no such choice.
            value = builder.fadd(value, zero)
            store(builder.select(builder.fcmp_ordered("<", value, zero), zero, value), offset)

        _walk_rows(builder, *args[1:3], sig.args[3].count, rectify)
        return context.get_dummy_value()

    return types.void(values, i64, i64, lanes), codegen


@intrinsic
def mask_rows(typingctx, errors, hidden, start, stop, live, live_place, wrong, wrong_place, lanes):
    """Set errors to zero where `hidden` is not above zero in the rows [start, stop), and mark which of either are not zero.

    The marks as in `mark_rows`: those of `hidden`, which is rectified, tell where errors pass and go to `live`, those of the
    errors to `wrong`.
    """
    i64 = types.int64

    def codegen(context, builder, sig, args):
        load, store = _row_access(context, builder, sig.args[0], args[0])
        load_hidden, _ = _row_access(context, builder, sig.args[1], args[1])

        def mask(offset, width):
            value, zero = load(offset, width), ir.Constant(ir.VectorType(ir.FloatType(), width), [0.0] * width)
            passes = builder.fcmp_unordered(">", load_hidden(offset, width), zero)  # NaN is not zero
            value = builder.select(passes, builder.fadd(value, zero), zero)  # a sum: as in `rectify_rows`
            store(value, offset)
            return passes, value

        def keep(first, parts):
            passes, values = ([[row[i] for row in part] for part in parts] for i in (0, 1))
            _keep_marks(context, builder, sig.args[4], *args[4:6], first, passes, _bits)
            _keep_marks(context, builder, sig.args[6], *args[6:8], first, values, _bits_of_nonzero)

        _walk_rows(builder, *args[2:4], sig.args[8].count, mask, keep)
        return context.get_dummy_value()

    return types.void(errors, hidden, i64, i64, live, i64, wrong, i64, lanes), codegen


@intrinsic
def _add_marks(typingctx, total, bits, start, stop, place, stop_place):
    """Add the ones of the places [place, stop_place), `_MOST_IN_BYTES` at most, to the totals of the neurons [start, stop): uint16."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        total_, bits_, start_, stop_, place_, stop_place_ = args
        array = context.make_array(sig.args[1])(context, builder, bits_)
        n_neurons = cgutils.unpack_tuple(builder, array.shape)[1]

        def add(first, width):
            vector, halves = ir.VectorType(ir.IntType(16), width), ir.VectorType(ir.IntType(8), 2 * width)
            n = cgutils.alloca_once_value(builder, ir.Constant(halves, [0] * 2 * width))
            with cgutils.for_range_slice(builder, place_, stop_place_, integer(1), inc=True) as (k, _):
                at = builder.gep(array.data, [builder.add(builder.mul(k, n_neurons), first)])
                marks = builder.load(builder.bitcast(at, halves.as_pointer()), align=2)
                builder.store(builder.add(builder.load(n), count_ones(builder, marks)), n)
            both = builder.bitcast(builder.load(n), vector)
            low, high = builder.and_(both, ir.Constant(vector, [255] * width)), builder.lshr(both, ir.Constant(vector, [8] * width))
            out = builder.gep(data_of(context, builder, sig.args[0], total_, ir.IntType(16)), [first])
            out = builder.bitcast(out, vector.as_pointer())
            builder.store(builder.add(builder.load(out, align=2), builder.add(low, high)), out, align=2)

        whole = builder.add(start_, builder.and_(builder.sub(stop_, start_), integer(-_WIDTH)))
        with cgutils.for_range_slice(builder, start_, whole, integer(_WIDTH), inc=True) as (i, _):
            add(i, _WIDTH)
        with cgutils.for_range_slice(builder, whole, stop_, integer(1), inc=True) as (i, _):
            add(i, 1)
        return context.get_dummy_value()

    return types.void(total, bits, i64, i64, i64, i64), codegen


@inlined
def count_marks(tally, start, stop, place, n_places):
    """Add the ones of some places to `Tally.recent`, for the neurons [start, stop).

    Sums of 16 bits take a third of the time of the 64 bits that a run needs, where a step has a place or two.
    """
    for first in range(place, place + n_places, _MOST_IN_BYTES):
        end = min(first + _MOST_IN_BYTES, place + n_places)
        if tally.n_recent[0] + end - first > _MOST_RECENT:
            settle_marks(tally)
        _add_marks(tally.recent, tally.live, start, stop, first, end)
        tally.n_recent[0] += end - first


@inlined
def settle_marks(tally):
    """Move `Tally.recent` to `Tally.by_neuron`."""
    for neuron in range(tally.by_neuron.size):
        tally.by_neuron[neuron] += np.int64(tally.recent[neuron])
        tally.recent[neuron] = np.uint16(0)
    tally.n_recent[0] = 0


@inlined
def count_seen(tally, neuron):
    """Samples since the last settling in which a neuron was not zero: int64."""
    return tally.by_neuron[neuron] + np.int64(tally.recent[neuron])
