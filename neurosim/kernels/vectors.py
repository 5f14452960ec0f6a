"""Vectors of any kind in registers; these functions write LLVM instructions. Those of the tiles are in `kernels.lanes`."""

from llvmlite import ir
from numba.core import cgutils


def vector_pointer(context, builder, array_type, array, index, n_lanes):
    """Where the floats of a vector begin, `index` elements into an array."""
    start = element_pointer(context, builder, array_type, array, index)
    return builder.bitcast(start, ir.VectorType(ir.FloatType(), n_lanes).as_pointer())


def element_pointer(context, builder, array_type, array, index):
    """Where an element of an array lies."""
    return builder.gep(context.make_array(array_type)(context, builder, array).data, [index])


def load_floats(builder, pointer):
    """Load a vector of floats that lies anywhere."""
    return builder.load(pointer, align=4)


def broadcast(builder, scalar, count):
    """A vector with the scalar in each element."""
    one = builder.insert_element(ir.Constant(ir.VectorType(scalar.type, count), ir.Undefined), scalar, ir.Constant(ir.IntType(32), 0))
    return shuffle(builder, one, one, [0] * count)


def call_on_floats(builder, name, *values):
    """LLVM's function of that name, element by element of vectors of floats."""
    kind = values[0].type
    return _call(builder, f"llvm.{name}.v{kind.count}f32", kind, *values)


def multiply_add(builder, a, b, c):
    """a * b + c of vectors of floats, rounded once."""
    return call_on_floats(builder, "fma", a, b, c)


def shuffle(builder, a, b, lanes):
    """The chosen elements of `a` followed by `b`."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


def transpose(builder, rows):
    """Transpose n vectors of n elements, n a power of two: log2 n rounds of a perfect shuffle.

    Of longer vectors, every n elements are transposed apart: blocks side by side.
    """
    half, count = len(rows) // 2, rows[0].type.count
    low = [block + k for block in range(0, count, len(rows)) for i in range(half) for k in (i, i + count)]
    high = [k + half for k in low]
    for _ in range(half.bit_length()):
        rows = [shuffle(builder, rows[i], rows[i + half], lanes) for i in range(half) for lanes in (low, high)]
    return rows


def concatenate(builder, vectors):
    """One vector of all elements; as many vectors as a power of two."""
    while len(vectors) > 1:
        lanes = list(range(2 * vectors[0].type.count))
        vectors = [shuffle(builder, a, b, lanes) for a, b in zip(vectors[::2], vectors[1::2], strict=True)]
    return vectors[0]


def has_feature(context, name):
    """Whether the processor that is compiled for has a feature, by LLVM's name of it."""
    _, _, features = context.codegen().magic_tuple()
    return f"+{name}" in features.split(",")


def pack_bytes(builder, rows):
    """Two vectors of 16 floats as 32 signed bytes, in order; with AVX2 only.

    The floats' bits are taken for integers and saturate, so a byte is zero exactly if its float is 0.0: -0.0 gives -128.
    """
    words, halves = [], [[0, 1, 2, 3, 4, 5, 6, 7], [8, 9, 10, 11, 12, 13, 14, 15]]
    for row in rows:
        low, high = (builder.bitcast(shuffle(builder, row, row, half), _vector(32, 8)) for half in halves)
        words.append(_call(builder, "llvm.x86.avx2.packssdw", _vector(16, 16), low, high))
    packed = _call(builder, "llvm.x86.avx2.packsswb", _vector(8, 32), *words)
    # Both instructions work within halves of a vector; what they put apart is brought together once.
    fours = builder.bitcast(packed, _vector(32, 8))
    return builder.bitcast(shuffle(builder, fours, fours, [0, 4, 1, 5, 2, 6, 3, 7]), packed.type)


def _vector(n_bits, count):
    return ir.VectorType(ir.IntType(n_bits), count)


def _call(builder, name, returned, *args):
    function = ir.FunctionType(returned, [arg.type for arg in args])
    return builder.call(cgutils.get_or_insert_function(builder.module, function, name), args)


def integer(value):
    """A constant of 64 bits."""
    return ir.Constant(ir.IntType(64), value)


def data_of(context, builder, array_type, array, item):
    """Pointer to the first item of an array, as items of the given LLVM type."""
    return builder.bitcast(context.make_array(array_type)(context, builder, array).data, item.as_pointer())


def count_ones(builder, value):
    """Number of ones in each element of a vector."""
    return _call(builder, f"llvm.ctpop.v{value.type.count}i{value.type.element.width}", value.type, value)


def sum_elements(builder, value):
    """Sum of the integers of a vector."""
    element = value.type.element
    return _call(builder, f"llvm.vector.reduce.add.v{value.type.count}i{element.width}", element, value)
