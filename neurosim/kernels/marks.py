"""Which activations and errors were not zero: one bit a sample, kept for many tiles and counted together.

Bits are kept for as many tiles as fit `MARK_WORDS` words (or one step, if that is more): the *open* tiles. Then every neuron and, for
slots with a non-zero activation and error (event-driven execution), every slot is read once. Whatever comes or goes meanwhile
books the open tiles that it was not there for, or was (`exchange.count_synapse`).
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined

#: Least words of 64 bits kept for each neuron and direction.
MARK_WORDS = 2


def count_words(n_tiles, n_lanes):
    """Words that a neuron needs for the tiles of a step, at least `MARK_WORDS`; even, as they are read in pairs."""
    return max(MARK_WORDS, 2 * -(-n_tiles * n_lanes // 128))


@intrinsic
def count_bits(typingctx, x):
    """Number of ones in a uint64: int64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def _mark_rows(typingctx, x, start, stop, bits, n_places, place, lanes):
    """Write which lanes of the rows [start, stop) are not zero as bits: those of row i at place i * n_places + place.

    A place holds as many bits as there are lanes. `bits` : uint64, flat. NaN counts as not zero.
    """
    i64 = types.int64
    signature = types.void(x, i64, i64, bits, i64, i64, lanes)

    def codegen(context, builder, sig, args):
        n_lanes = sig.args[6].count
        x_, start_, stop_, bits_, n_places_, place_, _ = args
        vector, word = ir.VectorType(ir.FloatType(), n_lanes), ir.IntType(n_lanes)
        rows = builder.bitcast(context.make_array(sig.args[0])(context, builder, x_).data, vector.as_pointer())
        out = builder.bitcast(context.make_array(sig.args[3])(context, builder, bits_).data, word.as_pointer())
        with cgutils.for_range_slice(builder, start_, stop_, ir.Constant(ir.IntType(64), 1), inc=True) as (i, _):
            value = builder.load(builder.gep(rows, [i]), align=4)
            is_set = builder.fcmp_unordered("!=", value, ir.Constant(vector, [0.0] * n_lanes))
            at = builder.gep(out, [builder.add(builder.mul(i, n_places_), place_)])
            builder.store(builder.bitcast(is_set, word), at, align=1)
        return context.get_dummy_value()

    return signature, codegen


@inlined
def places_of(tally, n_lanes):
    """How many tiles may be open at a time."""
    return tally.live.shape[0] * 64 // n_lanes


@inlined
def open_tile(bits, values, start, stop, place, lanes):
    """Keep which values of the rows [start, stop) of a tile are not zero. Writes `bits`: `Tally.live` or `Tally.wrong`."""
    tiles_a_word = 64 // len(lanes)
    _mark_rows(values, start, stop, bits[place // tiles_a_word], tiles_a_word, place % tiles_a_word, lanes)


@inlined
def samples_seen(tally, neuron):
    """Samples in which a neuron was not zero since the last settling, those of the open tiles included."""
    n = tally.by_neuron[neuron]
    for word in range(tally.live.shape[0]):
        n += count_bits(tally.live[word, neuron])
    return n


@inlined
def open_pairs(matrices, tally, matrix, pre, post):
    """(sample, slot) pairs of the open tiles for one position whose activation and error are both not zero."""
    a, b = matrices.pre_neuron[matrix] + pre, matrices.post_neuron[matrix] + post
    n = np.int64(0)
    for word in range(tally.live.shape[0]):
        n += count_bits(tally.live[word, a] & tally.wrong[word, b])
    return n


@inlined
def count_open_pairs(slots, segments, matrices, tally, segment):
    """The same, of all active slots of a segment."""
    start, stop = segments.slot_start[segment], segments.slot_start[segment + 1]
    matrix = segments.matrix[segment]
    pre, post = slots.pre[start:stop], slots.post[start:stop]
    n = np.int64(0)
    for word in range(0, tally.live.shape[0], 2):  # two at a time: half of the indices to read
        live, more_live = tally.live[word, matrices.pre_neuron[matrix] :], tally.live[word + 1, matrices.pre_neuron[matrix] :]
        wrong, more_wrong = tally.wrong[word, matrices.post_neuron[matrix] :], tally.wrong[word + 1, matrices.post_neuron[matrix] :]
        for k in range(pre.size):
            a, b = np.uint32(pre[k]), np.uint32(post[k])
            n += count_bits(live[a] & wrong[b]) + count_bits(more_live[a] & more_wrong[b])
    for i in range(slots.n_free[segment]):  # they were read as well
        slot = slots.free_slot[start + i]
        n -= open_pairs(matrices, tally, matrix, slots.pre[slot], slots.post[slot])
    return n
