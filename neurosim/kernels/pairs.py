"""Pairs of a sample and a slot whose activation and error were both not zero, which event-driven execution pays for.

Places of marks (`kernels.marks`) stay *open* until a line of 512 samples is full or a call ends; then the bits of a neuron
are brought together in a cache line, and a slot is one vector operation. Whatever comes or goes meanwhile books the open
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


@intrinsic
def _gather_line(typingctx, lines, bits, line, start, stop):
    """Bring the bits of each of the neurons [start, stop) in the places of a line together: a transposition."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        lines_, bits_, line_, start_, stop_ = args
        array = context.make_array(sig.args[1])(context, builder, bits_)
        n_neurons = cgutils.unpack_tuple(builder, array.shape)[1]
        vector = ir.VectorType(ir.IntType(16), 8)
        out = data_of(context, builder, sig.args[0], lines_, ir.IntType(16))
        # Rows of marks end with whole vectors.
        begin = builder.and_(start_, integer(-8))
        with cgutils.for_range_slice(builder, begin, stop_, integer(8), inc=True) as (i, _):
            for group in range(0, LINE, 8):
                rows = []
                for k in range(8):
                    place = builder.add(builder.mul(line_, integer(LINE)), integer(group + k))
                    at = builder.gep(array.data, [builder.add(builder.mul(place, n_neurons), i)])
                    rows.append(builder.load(builder.bitcast(at, vector.as_pointer()), align=2))
                for k, row in enumerate(transpose(builder, rows)):
                    at = builder.gep(out, [builder.add(builder.mul(builder.add(i, integer(k)), integer(LINE)), integer(group))])
                    builder.store(row, builder.bitcast(at, vector.as_pointer()), align=2)
        return context.get_dummy_value()

    return types.void(lines, bits, i64, i64, i64), codegen


@intrinsic
def _count_first(typingctx, live, pre, wrong, post, n_places):
    """(sample, slot) pairs of one position in the first places of a line: int64."""
    i64 = types.int64

    def codegen(context, builder, sig, args):
        vector, halves = ir.VectorType(ir.IntType(64), WORDS), ir.VectorType(ir.IntType(16), LINE)
        a, b = (
            builder.load(builder.gep(data_of(context, builder, sig.args[i], args[i], halves), [args[i + 1]]), align=8) for i in (0, 2)
        )
        most = builder.select(builder.icmp_signed("<", args[4], integer(LINE)), args[4], integer(LINE))
        n = builder.insert_element(ir.Constant(halves, ir.Undefined), builder.trunc(most, ir.IntType(16)), ir.Constant(ir.IntType(32), 0))
        is_in = builder.icmp_signed("<", ir.Constant(halves, list(range(LINE))), shuffle(builder, n, n, [0] * LINE))
        both = builder.select(is_in, builder.and_(a, b), ir.Constant(halves, [0] * LINE))
        return sum_elements(builder, count_ones(builder, builder.bitcast(both, vector)))

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
            at = builder.load(builder.gep(data_of(context, builder, sig.args[index], args[index], ir.IntType(32)), [k]))
            data = data_of(context, builder, sig.args[lines], args[lines], vector)
            return builder.load(builder.gep(data, [builder.add(builder.sext(at, ir.IntType(64)), base)]), align=8)

        with cgutils.for_range_slice(builder, start_, stop_, integer(1), inc=True) as (k, _):
            both = builder.and_(bits(k, 0, 4, pre_base_), bits(k, 2, 5, post_base_))
            builder.store(builder.add(builder.load(total), count_ones(builder, both)), total)
        return sum_elements(builder, builder.load(total))

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
