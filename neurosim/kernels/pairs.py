"""Pairs of a sample and a slot whose activation and error were both not zero, which event-driven execution pays for.

Places of marks (`kernels.marks`) stay *open* until the next step would find no room or a call ends; then, line by line of 512
samples, the bits of a neuron are brought together in a cache line, and a slot is one vector operation. Whatever comes or goes meanwhile books the open
places that it was not there for, or was (`exchange.count_synapse`).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.bits import count_bits
from neurosim.kernels.compile import inlined
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.marks import LINE, WORDS
from neurosim.kernels.vectors import count_ones, data_of, integer, shuffle, sum_elements, transpose

_PAIR = int(SegmentEvent.PAIR_NONZERO)

#: Exchanges that are noted until a line is counted; more are booked one by one.
MOST_EXCHANGED = 8192

#: The bits of the first n places of a line, for each n: uint64 (LINE + 1, WORDS).
_FIRST = np.where(np.arange(LINE) < np.arange(LINE + 1)[:, None], 0xFFFF, 0).astype(np.uint16).view(np.uint64)


@intrinsic
def _gather_line(typingctx, lines, bits, line, start, stop):
    """Bring the bits of each of the neurons [start, stop) in the places of a line together: a transposition."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        lines_, bits_, line_, start_, stop_ = args
        array = context.make_array(sig.args[1])(context, builder, bits_)
        n_neurons = cgutils.unpack_tuple(builder, array.shape)[1]
        vector, part = ir.VectorType(ir.IntType(16), 16), ir.VectorType(ir.IntType(16), 8)
        out = data_of(context, builder, sig.args[0], lines_, ir.IntType(16))
        # Rows of marks end with whole vectors.
        begin = builder.and_(start_, integer(-16))
        with cgutils.for_range_slice(builder, begin, stop_, integer(16), inc=True) as (i, _):
            for group in range(0, LINE, 8):
                rows = []
                for k in range(8):
                    place = builder.add(builder.mul(line_, integer(LINE)), integer(group + k))
                    at = builder.gep(array.data, [builder.add(builder.mul(place, n_neurons), i)])
                    rows.append(builder.load(builder.bitcast(at, vector.as_pointer()), align=2))
                for k, row in enumerate(transpose(builder, rows)):
                    for block in (0, 8):
                        neuron = builder.add(i, integer(block + k))
                        at = builder.gep(out, [builder.add(builder.mul(neuron, integer(LINE)), integer(group))])
                        values = shuffle(builder, row, row, list(range(block, block + 8)))
                        builder.store(values, builder.bitcast(at, part.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(lines, bits, i64, i64, i64), codegen


@intrinsic
def _count_first(typingctx, live, pre, wrong, post, first, n_places):
    """(sample, slot) pairs of one position in the first `n_places` of a line: int64. `first` : `_FIRST`."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        line = ir.VectorType(ir.IntType(64), WORDS)
        rows = [builder.gep(data_of(context, builder, sig.args[i], args[i], line), [args[i + 1]]) for i in (0, 2, 4)]

        def count(n_words):
            words = ir.VectorType(ir.IntType(64), n_words)
            a, b, is_in = (builder.load(builder.bitcast(row, words.as_pointer()), align=8) for row in rows)
            return sum_elements(builder, count_ones(builder, builder.and_(builder.and_(a, is_in), b)))

        # Exchanges come in the order of their places: the processor foresees the choice.
        total = cgutils.alloca_once(builder, ir.IntType(64))
        with builder.if_else(builder.icmp_signed("<=", args[5], integer(LINE // 2))) as (is_half, is_whole):
            with is_half:
                builder.store(count(WORDS // 2), total)
            with is_whole:
                builder.store(count(WORDS), total)
        return builder.load(total)

    return i64(live, i64, wrong, i64, first, i64), codegen


@intrinsic
def _count_pairs(typingctx, live, pre_base, wrong, post_base, pre, post, start, stop):
    """(sample, slot) pairs of a line, of the slots [start, stop), whose activation and error are both not zero: int64."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        live_, pre_base_, wrong_, post_base_, pre_, post_, start_, stop_ = args
        vector = ir.VectorType(ir.IntType(64), WORDS)
        ones, twos, fours, single = (cgutils.alloca_once_value(builder, ir.Constant(vector, [0] * WORDS)) for _ in range(4))

        def line(k, lines, index, base):
            at = builder.load(builder.gep(data_of(context, builder, sig.args[index], args[index], ir.IntType(32)), [k]))
            data = data_of(context, builder, sig.args[lines], args[lines], vector)
            return builder.load(builder.gep(data, [builder.add(builder.sext(at, ir.IntType(64)), base)]), align=8)

        def both(k):
            return builder.and_(line(k, 0, 4, pre_base_), line(k, 2, 5, post_base_))

        def add_bits(total, a, b):
            """Add two vectors to a sum of single bits, and return what is carried."""
            old, odd = builder.load(total), builder.xor(a, b)
            builder.store(builder.xor(odd, old), total)
            return builder.or_(builder.and_(a, b), builder.and_(odd, old))

        def count(bits, total):
            builder.store(builder.add(builder.load(total), count_ones(builder, bits)), total)

        # Four slots at a time are added bit by bit (Harley and Seal), since counting the bits of a vector is what takes long.
        whole = builder.add(start_, builder.and_(builder.sub(stop_, start_), integer(-4)))
        with cgutils.for_range_slice(builder, start_, whole, integer(4), inc=True) as (k, _):
            a, b, c, d = (both(builder.add(k, integer(i))) for i in range(4))
            count(add_bits(twos, add_bits(ones, a, b), add_bits(ones, c, d)), fours)
        with cgutils.for_range_slice(builder, whole, stop_, integer(1), inc=True) as (k, _):
            count(both(k), single)
        for bits, weight in ((ones, 0), (twos, 1)):
            counted = count_ones(builder, builder.load(bits))
            builder.store(builder.add(builder.load(single), builder.shl(counted, ir.Constant(vector, [weight] * WORDS))), single)
        fours = builder.shl(builder.load(fours), ir.Constant(vector, [2] * WORDS))
        return sum_elements(builder, builder.add(fours, builder.load(single)))

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
        entry[0], entry[1], entry[2], entry[3] = segment if change < 0 else -1 - segment, pre, post, n_open
        tally.n_exchanged[0] = n + 1
        return
    for place in range(n_open):
        both = np.uint64(tally.live[place, pre] & tally.wrong[place, post])
        tally.by_segment[segment, _PAIR] -= change * count_bits(both)


@inlined
def count_exchanged(tally, line):
    """Book what `book_pairs` noted, of the line gathered last."""
    # Neighbours are mostly of one segment and direction: a sum in memory would wait for the one before.
    last, total = np.int32(0), np.int64(0)
    for i in range(tally.n_exchanged[0]):
        entry = tally.exchanged[i]
        if entry[0] != last:
            _add_exchanged(tally, last, total)
            last, total = entry[0], np.int64(0)
        n_places = min(np.int64(entry[3]) - line * LINE, LINE)
        if n_places > 0:
            total += _count_first(tally.live_lines, np.int64(entry[1]), tally.wrong_lines, np.int64(entry[2]), _FIRST, n_places)
    _add_exchanged(tally, last, total)


@inlined
def _add_exchanged(tally, kind, total):
    if kind >= 0:
        tally.by_segment[np.int64(kind), _PAIR] += total
    else:
        tally.by_segment[-1 - np.int64(kind), _PAIR] -= total


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
    for i in range(slots.n_free[segment, 0]):  # they were read as well
        slot = slots.free_slot[start + i]
        n -= _count_first(live, a + np.int64(slots.pre[slot]), wrong, b + np.int64(slots.post[slot]), _FIRST, LINE)
    return n
