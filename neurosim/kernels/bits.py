"""Flags, 64 at a time."""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined
from neurosim.kernels.vectors import broadcast, element_pointer

ALL = np.uint64(0xFFFFFFFFFFFFFFFF)


@intrinsic
def count_bits(typingctx, x):
    """Number of ones in a uint64: int64."""

    def codegen(context, builder, signature, args):
        return builder.ctpop(args[0])

    return types.int64(types.uint64), codegen


@intrinsic
def equal_bytes(typingctx, values, start, value):
    """Which of 64 bytes from `start` on equal `value`, as bits: uint64. `values` : uint8, flat."""

    def codegen(context, builder, sig, args):
        vector = ir.VectorType(ir.IntType(8), 64)
        place = element_pointer(context, builder, sig.args[0], args[0], args[1])
        loaded = builder.load(builder.bitcast(place, vector.as_pointer()), align=1)
        return builder.bitcast(builder.icmp_unsigned("==", loaded, broadcast(builder, args[2], 64)), ir.IntType(64))

    return types.uint64(values, types.int64, types.uint8), codegen


@inlined
def free_bits(active, word):
    """Which of the 64 slots of a word are free, as bits: uint64. `active` : uint8, flat."""
    first = word * 64
    if first + 64 <= active.size:
        return equal_bytes(active, first, np.uint8(0))
    free = np.uint64(0)
    for i in range(active.size - first):
        free |= np.uint64(active[first + i] == 0) << np.uint64(i)
    return free


@inlined
def keep_within(bits, word, start, stop):
    """The bits of a word, zero where its slots do not lie in [start, stop)."""
    first = word * 64
    if first < start:
        bits &= ALL << np.uint64(start - first)
    if first + 64 > stop:
        bits &= ALL >> np.uint64(first + 64 - stop)
    return bits
