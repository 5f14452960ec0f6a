"""From samples stored row by row to a tile of samples side by side: a transposition.

Images of bytes are moved in blocks of 16 samples x 16 inputs by byte shuffles in registers; one element
at a time this step cost as much as the forward pass.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from neurosim.kernels.compile import inlined

_BLOCK = 16


def _transpose(builder, rows):
    """Transpose 16 vectors of 16 bytes: four rounds of a perfect shuffle."""
    low = [k for i in range(8) for k in (i, i + 16)]
    high = [k + 8 for k in low]
    masks = [ir.Constant(ir.VectorType(ir.IntType(32), _BLOCK), mask) for mask in (low, high)]
    for _ in range(4):
        rows = [builder.shuffle_vector(rows[i], rows[i + 8], mask) for i in range(8) for mask in masks]
    return rows


@intrinsic
def _load_bytes(typingctx, out, place, stride, data, rows, scales):
    """Write a block: out[place + i * stride + lane] = data[rows[lane] + i] * scales[lane], i, lane < 16."""
    signature = types.void(out, types.int64, types.int64, data, rows, scales)

    def codegen(context, builder, sig, args):
        out_ty, _, _, data_ty, rows_ty, scales_ty = sig.args
        out_, place_, stride_, data_, rows_, scales_ = args
        pointer = lambda ty, array: context.make_array(ty)(context, builder, array).data  # noqa: E731
        byte_vector, float_vector = ir.VectorType(ir.IntType(8), _BLOCK), ir.VectorType(ir.FloatType(), _BLOCK)
        source, offsets, target = pointer(data_ty, data_), pointer(rows_ty, rows_), pointer(out_ty, out_)
        lanes = []
        for lane in range(_BLOCK):
            offset = builder.load(builder.gep(offsets, [ir.Constant(ir.IntType(64), lane)]))
            lanes.append(builder.load(builder.bitcast(builder.gep(source, [offset]), byte_vector.as_pointer()), align=1))
        scale = builder.load(builder.bitcast(pointer(scales_ty, scales_), float_vector.as_pointer()), align=4)
        for row in _transpose(builder, lanes):
            wide = builder.zext(row, ir.VectorType(ir.IntType(32), _BLOCK))
            value = builder.fmul(builder.sitofp(wide, float_vector), scale)
            builder.store(value, builder.bitcast(builder.gep(target, [place_]), float_vector.as_pointer()), align=4)
            place_ = builder.add(place_, stride_)
        return context.get_dummy_value()

    return signature, codegen


def _load_blocks(act, data, order, first, n_samples, n_inputs, scale, n_lanes):
    """Load what whole blocks cover; returns the number of inputs that are done."""
    raise NotImplementedError("only inside kernels")


@overload(_load_blocks, jit_options={"error_model": "numpy"})
def _load_blocks_of(act, data, order, first, n_samples, n_inputs, scale, n_lanes):
    if data.dtype != types.uint8:
        return lambda act, data, order, first, n_samples, n_inputs, scale, n_lanes: 0

    def load(act, data, order, first, n_samples, n_inputs, scale, n_lanes):
        if n_lanes < _BLOCK:
            return 0
        rows, scales = np.zeros(_BLOCK, np.int64), np.zeros(_BLOCK, np.float32)
        flat = data.reshape(data.size)
        n_done = n_inputs - n_inputs % _BLOCK
        for group in range(0, n_lanes, _BLOCK):
            for lane in range(_BLOCK):
                # A lane without a sample reads some sample and scales it to zero.
                has_sample = group + lane < n_samples
                rows[lane] = order[first + (group + lane if has_sample else 0)] * n_inputs
                scales[lane] = scale if has_sample else np.float32(0.0)
            for column in range(0, n_done, _BLOCK):
                _load_bytes(act, column * n_lanes + group, n_lanes, flat, rows, scales)
                for lane in range(_BLOCK):
                    rows[lane] += _BLOCK
        return n_done

    return load


@inlined
def load_tile(act, data, order, first, n_samples, n_inputs, scale, n_lanes):
    """Write samples order[first : first + n_samples] as the input rows of a tile.

    `data` : uint8 or float32, C-contiguous, shape (n, n_inputs); `scale` maps a stored value to the
    network's input. Lanes without a sample become zero.
    """
    if n_lanes == 1:
        sample = data[order[first]]
        for i in range(n_inputs):
            act[i] = np.float32(sample[i]) * scale
        return
    start = _load_blocks(act, data, order, first, n_samples, n_inputs, scale, n_lanes)
    for lane in range(n_samples, n_lanes):
        for i in range(start, n_inputs):
            act[i * n_lanes + lane] = np.float32(0.0)
    for block in range(start, n_inputs, 64):
        end = min(block + 64, n_inputs)
        for lane in range(n_samples):
            sample = data[order[first + lane]]
            for i in range(block, end):
                act[i * n_lanes + lane] = np.float32(sample[i]) * scale
