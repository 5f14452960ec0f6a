"""From samples stored row by row to a tile of samples side by side: a transposition.

Images of bytes are moved in blocks of 16 samples x 16 inputs by byte shuffles in registers; one element
at a time this step cost as much as the forward pass.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic

from neurosim.kernels.compile import inlined, prefetch
from neurosim.kernels.marks import PLACE, mark_rows, store_marks
from neurosim.kernels.vectors import concatenate, transpose

_BLOCK = PLACE


@intrinsic
def _load_group(typingctx, out, group, stride, data, order, first, n_samples, n_inputs, scale, bits, place):
    """Load 16 lanes of a tile from bytes, whole blocks of inputs only.

    out[i * stride + group + lane] = data[order[first + group + lane] * n_inputs + i] * scale for lane < 16;
    a lane beyond `n_samples` reads some sample and scales it to zero. `data` is flat.
    Marks what is not zero at `place`, unless that is negative: a byte is exactly if its activation is, because no
    scale of ours is so small that a product with it vanishes.
    """
    if data.dtype != types.uint8:
        raise TypingError("samples of other types than uint8 stand in `values` of a batch: see Batch.for_kernels")
    integer = types.int64
    signature = types.void(out, integer, integer, data, order, integer, integer, integer, types.float32, bits, integer)

    def codegen(context, builder, sig, args):
        out_ty, _, _, data_ty, order_ty, *_, bits_ty, _ = sig.args
        out_, group_, stride_, data_, order_, first_, n_samples_, n_inputs_, scale_, bits_, place_ = args
        i64, byte_vector = ir.IntType(64), ir.VectorType(ir.IntType(8), _BLOCK)
        float_vector = ir.VectorType(ir.FloatType(), _BLOCK)
        source, samples, target = (
            context.make_array(ty)(context, builder, array).data for ty, array in ((data_ty, data_), (order_ty, order_), (out_ty, out_))
        )
        offsets, scales, filled = [], ir.Constant(float_vector, [0.0] * _BLOCK), ir.Constant(i64, 0)
        for lane in range(_BLOCK):
            index = builder.add(group_, ir.Constant(i64, lane))
            has_sample = builder.icmp_signed("<", index, n_samples_)
            index = builder.add(first_, builder.select(has_sample, index, ir.Constant(i64, 0)))
            offsets.append(builder.mul(builder.load(builder.gep(samples, [index])), n_inputs_))
            factor = builder.select(has_sample, scale_, ir.Constant(ir.FloatType(), 0.0))
            scales = builder.insert_element(scales, factor, ir.Constant(ir.IntType(32), lane))
            filled = builder.or_(filled, builder.select(has_sample, ir.Constant(i64, 1 << lane), ir.Constant(i64, 0)))
        filled = builder.mul(filled, ir.Constant(i64, 0x0001000100010001))  # of four inputs
        block = ir.Constant(i64, _BLOCK)
        n_done = builder.sub(n_inputs_, builder.srem(n_inputs_, block))

        def load_blocks(is_marking):
            with cgutils.for_range_slice(builder, ir.Constant(i64, 0), n_done, block, inc=True) as (column, _):
                lanes = [
                    builder.load(builder.bitcast(builder.gep(source, [builder.add(o, column)]), byte_vector.as_pointer()), align=1) for o in offsets
                ]
                rows = transpose(builder, lanes)
                place = builder.add(builder.mul(column, stride_), group_)
                for row in rows:
                    wide = builder.zext(row, ir.VectorType(ir.IntType(32), _BLOCK))
                    value = builder.fmul(builder.sitofp(wide, float_vector), scales)
                    builder.store(value, builder.bitcast(builder.gep(target, [place]), float_vector.as_pointer()), align=4)
                    place = builder.add(place, stride_)
                for i in range(0, _BLOCK if is_marking else 0, 4):
                    four = concatenate(builder, rows[i : i + 4])
                    is_set = builder.icmp_unsigned("!=", four, ir.Constant(four.type, [0] * 4 * _BLOCK))
                    is_set = builder.and_(builder.bitcast(is_set, i64), filled)
                    store_marks(context, builder, bits_ty, bits_, place_, builder.add(column, ir.Constant(i64, i)), is_set)

        if isinstance(bits_ty, types.NoneType):
            load_blocks(False)
        else:  # two loops: a test in each turn cost more than the marks
            with builder.if_else(builder.icmp_signed(">=", place_, ir.Constant(i64, 0))) as (marked, unmarked):
                with marked:
                    load_blocks(True)
                with unmarked:
                    load_blocks(False)
        return context.get_dummy_value()

    return signature, codegen


@inlined
def _load_blocks(act, batch, first, n_samples, n_inputs, n_lanes, bits, place):
    """Load of bytes what whole blocks cover; returns the number of inputs that are done."""
    flat = batch.data.reshape(batch.data.size)
    for group in range(0, n_lanes, _BLOCK):
        place_of_group = place + group // _BLOCK if place >= 0 else place
        _load_group(act, group, n_lanes, flat, batch.order, first, n_samples, n_inputs, batch.scale, bits, place_of_group)
    return n_inputs - n_inputs % _BLOCK


@inlined
def load_tile(act, batch, first, n_samples, n_inputs, n_lanes):
    """Write samples order[first : first + n_samples] of a batch as the input rows of a tile.

    `batch` : as `Batch.for_kernels` makes it, C-contiguous; its scale maps a stored value to the network's input. Lanes without a sample
    become zero.
    """
    if n_lanes == 1:
        if batch.values.size > 0:
            _load_single(act, batch.values, batch, first, n_inputs)
        else:
            _load_single(act, batch.data, batch, first, n_inputs)
    elif batch.values.size > 0:
        _load_rest(act, batch.values, batch, first, n_samples, 0, n_inputs, n_lanes)
    else:
        start = _load_blocks(act, batch, first, n_samples, n_inputs, n_lanes, None, -1)
        _load_rest(act, batch.data, batch, first, n_samples, start, n_inputs, n_lanes)


@inlined
def load_and_mark(act, batch, first, n_samples, n_inputs, lanes, bits, place):
    """As `load_tile`, and mark which inputs are not zero (`kernels.marks`), if `place` is not negative."""
    if len(lanes) == 1:
        load_tile(act, batch, first, n_samples, n_inputs, 1)
        return
    start = 0
    if batch.values.size > 0:
        _load_rest(act, batch.values, batch, first, n_samples, 0, n_inputs, len(lanes))
    else:
        start = _load_blocks(act, batch, first, n_samples, n_inputs, len(lanes), bits, place)
        _load_rest(act, batch.data, batch, first, n_samples, start, n_inputs, len(lanes))
    mark_rows(act, start, n_inputs, bits, place, lanes)


@inlined
def _load_single(act, samples, batch, first, n_inputs):
    sample = samples[batch.order[first]]
    for i in range(n_inputs):
        act[i] = np.float32(sample[i]) * batch.scale


@inlined
def _load_rest(act, samples, batch, first, n_samples, start, n_inputs, n_lanes):
    """Load the inputs from `start` on, one by one."""
    for lane in range(n_samples, n_lanes):
        for i in range(start, n_inputs):
            act[i * n_lanes + lane] = np.float32(0.0)
    for block in range(start, n_inputs, 64):
        end = min(block + 64, n_inputs)
        for lane in range(n_samples):
            sample = samples[batch.order[first + lane]]
            for i in range(block, end):
                act[i * n_lanes + lane] = np.float32(sample[i]) * batch.scale


@inlined
def prefetch_samples(batch, first, n_samples):
    """Ask for the samples order[first : first + n_samples], as far as there are that many.

    Samples lie in random places of the memory; waiting for them took half of the time of a step at batch 128.
    """
    if batch.values.size > 0:
        _prefetch(batch.values, batch.order, first, n_samples)
    else:
        _prefetch(batch.data, batch.order, first, n_samples)


@inlined
def _prefetch(data, order, first, n_samples):
    flat, n_inputs = data.reshape(data.size), data.shape[1]
    a_line = 64 // data.itemsize
    for i in range(first, min(first + n_samples, order.size)):
        start = order[i] * n_inputs
        for column in range(0, n_inputs, a_line):
            prefetch(flat, start + column)
        prefetch(flat, start + n_inputs - 1)
