"""Flags of 64 slots at a time."""

from llvmlite import ir
from numba import types
from numba.extending import intrinsic


@intrinsic
def equal_bytes(typingctx, values, start, value):
    """Which of 64 bytes from `start` on equal `value`, as bits: uint64. `values` : uint8, flat."""

    def codegen(context, builder, sig, args):
        vector = ir.VectorType(ir.IntType(8), 64)
        place = builder.gep(context.make_array(sig.args[0])(context, builder, args[0]).data, [args[1]])
        loaded = builder.load(builder.bitcast(place, vector.as_pointer()), align=1)
        one = builder.insert_element(ir.Constant(vector, ir.Undefined), args[2], ir.Constant(ir.IntType(32), 0))
        everywhere = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(ir.IntType(32), 64), [0] * 64))
        return builder.bitcast(builder.icmp_unsigned("==", loaded, everywhere), ir.IntType(64))

    return types.uint64(values, types.int64, types.uint8), codegen
