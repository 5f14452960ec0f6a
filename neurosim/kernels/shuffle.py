"""Vectors rearranged in registers; these functions write LLVM instructions."""

from llvmlite import ir


def shuffle(builder, a, b, lanes):
    """The chosen elements of `a` followed by `b`."""
    return builder.shuffle_vector(a, b, ir.Constant(ir.VectorType(ir.IntType(32), len(lanes)), lanes))


def transpose(builder, rows):
    """Transpose n vectors of n elements, n a power of two: log2 n rounds of a perfect shuffle."""
    half = len(rows) // 2
    low = [k for i in range(half) for k in (i, i + len(rows))]
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
