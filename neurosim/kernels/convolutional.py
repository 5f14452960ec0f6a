"""Networks of convolutions, pooling and dense layers: what their training step is made of, and their evaluation.

A slot of a convolution is an element of a kernel, at position (pre = (input map, row, column of the kernel), post = output map), so the store
knows nothing of places. Here every slot becomes an offset in a map, in two orders: by output map, which forward pass and gradient walk,
and by input map, which the way back walks at mirrored offsets. Both are made anew in each step, because slots move.

Layout of one tile, rows of `n_lanes` samples, the same in activations and errors: the inputs; then of each convolution what it reads, with a
border of zeros in the activations where it is padded, and its sums; then the dense layers. Errors have no border, those of sums once
more in `wide`, with the border that the way back needs and, of a stride, zeros between.

Threads share a batch by groups of tiles, each with a gradient of its own, added in their order.

What costs most to compile depends on no cell and is compiled once, as kernels of its own that the step calls; a call a layer and tile is nothing.
"""

from functools import cache
from functools import partial as with_options
from typing import NamedTuple

import numpy as np
from numba import prange

from neurosim.kernels import mlp
from neurosim.kernels.bits import count_bits
from neurosim.kernels.cells import join_cells
from neurosim.kernels.compile import bind, inlined, kernel, parallel_kernel
from neurosim.kernels.convolve import (
    add_lane_sums,
    copy_row,
    largest_of_window,
    mean_of_window,
    multiply_alike,
    multiply_block,
    return_to_all,
    return_to_largest,
    sum_block,
    sum_places,
)
from neurosim.kernels.lanes import backward_slots, nonzero_lanes
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.load import load_tile
from neurosim.kernels.membership import count_active
from neurosim.kernels.products import multiply
from neurosim.kernels.softmax import softmax_errors
from neurosim.kernels.train import keep_outcome, make_steps

_SLOTS, _BACKWARD, _GRADIENT = int(SegmentEvent.SLOTS), int(SegmentEvent.SLOTS_BACKWARD), int(SegmentEvent.SLOTS_GRADIENT)
_WORDS, _PLACE_ROWS = int(SegmentEvent.WORDS), int(SegmentEvent.PLACE_ROWS)

NO_POOL, MAX_POOL, MEAN_POOL = 0, 1, 2

#: Places of a block: one build of the products each.
BLOCKS = (12, 8, 6, 4, 1)
_12, _8, _6, _4, _1 = ((0,) * n for n in BLOCKS)

#: Maps in a row of a dense layer, which read the same places, and their places of a block: so many sums, or errors, stay in registers.
N_ALIKE = 4
_ALIKE, _PLACES = (0,) * N_ALIKE, (0,) * 4
#: Slots of each of which the gradient is summed at once: their sums, a vector a slot and map, leave room in the nearest memory for what is read.
MOST_ALIKE = 96

_pasted = with_options(kernel, inline="always")

# The functions of the cells, which `ConvolutionalKernels` puts in.
activate = turn_back = None


class Shape(NamedTuple):
    """Where things of a network lie. Read only; M matrices, of which the first `n_maps` are convolutions."""

    n_steps: int  #: 1: a sample takes one pass
    n_maps: int
    n_inputs: int
    kinds: np.ndarray  #: int64 (M,), number of the cell of each layer; of the outputs it counts for nothing
    kernel: np.ndarray  #: int64 (n_maps,), as all of these: elements of a kernel in a row
    stride: np.ndarray
    padding: np.ndarray
    n_pre: np.ndarray  #: input maps
    n_post: np.ndarray  #: output maps
    height: np.ndarray  #: of an input map, without a border
    width: np.ndarray
    out_height: np.ndarray
    out_width: np.ndarray
    wide_row: np.ndarray  #: first row of its errors in `Tiles.wide`
    block: np.ndarray  #: places of a block, forward and for the gradient
    block_back: np.ndarray
    pool: np.ndarray
    window: np.ndarray
    pool_stride: np.ndarray
    pool_padding: np.ndarray
    pooled_height: np.ndarray
    pooled_width: np.ndarray
    pooled_row: np.ndarray  #: first row of the errors of what it sends, after pooling
    x_row: np.ndarray  #: int64 (M,), first row of what each matrix reads, with the border
    z_row: np.ndarray  #: int64 (M,), first row of its sums
    bias_start: np.ndarray  #: int64 (M,), first bias of its sums
    row_start: np.ndarray  #: int64 (M + 1,), first pre neuron of each matrix, in the following
    tap: np.ndarray  #: int64, of each pre neuron of a convolution: rows from a place to what it reads there
    mirrored: np.ndarray  #: int64, the same of the way back, in the first output map
    uses: np.ndarray  #: int64, of each pre neuron: places at which it is read, 1 of a dense layer
    row_uses: np.ndarray  #: int64, the same: rows of these places
    n_values: np.ndarray  #: int64, the same: values that are sent where a slot of it, or of its map, is
    group: np.ndarray  #: int64 (M,), pre neurons of one map, which are sent as one; 1 of a dense layer behind dense layers


class Tiles(NamedTuple):
    """Tiles of a network."""

    act: np.ndarray  #: float32 (n_tiles, rows * n_lanes)
    err: np.ndarray  #: float32 (n_tiles, rows * n_lanes)
    wide: np.ndarray  #: float32 (n_tiles, rows * n_lanes), zero where no error stands
    sums: np.ndarray  #: float32 (n_tiles, most slots of an output map, or `MOST_ALIKE` of each of `N_ALIKE`, * n_lanes), work space
    # Slots of the convolutions by output map and by input map, written in each step; S slots of all convolutions.
    post_start: np.ndarray  #: int64, of each matrix n_post + 1
    post_first: np.ndarray  #: int64 (n_maps,), where they begin
    alike: np.ndarray  #: int8, the same of each output map: whether it and the next `N_ALIKE` - 1 read the same places
    pre_start: np.ndarray  #: int64, of each matrix input maps + 1
    pre_first: np.ndarray  #: int64 (n_maps,)
    alike_back: np.ndarray  #: int8, as `alike` of each input map
    slot: np.ndarray  #: int32 (S,), number of each slot, by output map
    offset: np.ndarray  #: int32 (S,), elements from a place to what it reads
    weight: np.ndarray  #: float32 (S,)
    offset_back: np.ndarray  #: int32 (S,), by input map
    weight_back: np.ndarray  #: float32 (S,)


@inlined
def _shift_starts(start, first, n):
    """From counts behind each place to where each begins, in place; `start[first]` is given."""
    for i in range(first, first + n):
        start[i + 1] += start[i]


@inlined
def _mark_alike(alike, starts, offset, first, n_maps):
    """Write which maps have slots with the same offsets, one by one, as the next `N_ALIKE` - 1 of them."""
    for i in range(n_maps):
        start = starts[first + i]
        n = starts[first + i + 1] - start
        is_alike = n > 0 and i + N_ALIKE <= n_maps
        for other in range(i + 1, i + N_ALIKE if is_alike else 0):
            begin = starts[first + other]
            is_alike = is_alike and starts[first + other + 1] - begin == n
            for k in range(n if is_alike else 0):
                if offset[start + k] != offset[begin + k]:
                    is_alike = False
                    break
        alike[first + i] = np.int8(is_alike)


@kernel
def sort_kernels(slots, matrices, shape, order, n_lanes):
    """Put the slots of the convolutions in order, without the free ones: a counting sort. Writes `order`, a `Tiles`."""
    for m in range(shape.n_maps):
        begin, end = matrices.slot_start[m], matrices.slot_start[m + 1]
        n_post, n_pre, taps = shape.n_post[m], shape.n_pre[m], shape.kernel[m] * shape.kernel[m]
        plane = (shape.height[m] + shape.kernel[m] - 1) * (shape.width[m] + shape.kernel[m] - 1)
        first, first_back, row = order.post_first[m], order.pre_first[m], shape.row_start[m]
        order.post_start[first : first + n_post + 1] = 0
        order.pre_start[first_back : first_back + n_pre + 1] = 0
        # Counts stand two places on, so that after the walk each entry is where its own slots begin.
        for k in range(begin, end):
            if slots.active[k] == 1:
                if slots.post[k] + 2 <= n_post:
                    order.post_start[first + slots.post[k] + 2] += 1
                if slots.pre[k] // taps + 2 <= n_pre:
                    order.pre_start[first_back + slots.pre[k] // taps + 2] += 1
        order.post_start[first + 0], order.post_start[first + 1] = begin, begin
        order.pre_start[first_back + 0], order.pre_start[first_back + 1] = begin, begin
        _shift_starts(order.post_start, first + 1, n_post - 1)
        _shift_starts(order.pre_start, first_back + 1, n_pre - 1)
        for k in range(begin, end):
            if slots.active[k] == 1:
                pre, post = np.int64(slots.pre[k]), np.int64(slots.post[k])
                at = order.post_start[first + post + 1]
                order.post_start[first + post + 1] = at + 1
                order.slot[at], order.weight[at] = np.int32(k), slots.weight[k]
                order.offset[at] = np.int32(shape.tap[row + pre] * n_lanes)
                at = order.pre_start[first_back + pre // taps + 1]
                order.pre_start[first_back + pre // taps + 1] = at + 1
                order.weight_back[at] = slots.weight[k]
                order.offset_back[at] = np.int32((shape.mirrored[row + pre] + post * plane) * n_lanes)
        _mark_alike(order.alike, order.post_start, order.offset, first, n_post)
        _mark_alike(order.alike_back, order.pre_start, order.offset_back, first_back, n_pre)


@inlined
def _sum_block(n, out, out_at, bias, x, x_at, step, offset, weight, start, n_slots, lanes):
    if n == 12:
        sum_block(out, out_at, 0, (bias,), x, x_at, step, offset, weight, start, n_slots, _12, lanes)
    elif n == 8:
        sum_block(out, out_at, 0, (bias,), x, x_at, step, offset, weight, start, n_slots, _8, lanes)
    elif n == 6:
        sum_block(out, out_at, 0, (bias,), x, x_at, step, offset, weight, start, n_slots, _6, lanes)
    elif n == 4:
        sum_block(out, out_at, 0, (bias,), x, x_at, step, offset, weight, start, n_slots, _4, lanes)
    else:
        sum_block(out, out_at, 0, (bias,), x, x_at, step, offset, weight, start, n_slots, _1, lanes)


@inlined
def _multiply_block(n, sums, x, x_at, step, d, d_at, skip, offset, start, stop, lanes):
    if n == 12:
        multiply_block(sums, x, x_at, step, d, d_at, skip, offset, start, stop, _12, lanes)
    elif n == 8:
        multiply_block(sums, x, x_at, step, d, d_at, skip, offset, start, stop, _8, lanes)
    elif n == 6:
        multiply_block(sums, x, x_at, step, d, d_at, skip, offset, start, stop, _6, lanes)
    elif n == 4:
        multiply_block(sums, x, x_at, step, d, d_at, skip, offset, start, stop, _4, lanes)
    else:
        multiply_block(sums, x, x_at, step, d, d_at, skip, offset, start, stop, _1, lanes)


@inlined
def _bias_of(biases, at):
    return biases[at] if biases.size > 0 else np.float32(0.0)


@inlined
def _sum_row(out, out_at, plane, biases, bias_start, x, x_at, stride, offset, weight, starts, first, alike, n_maps, width, block, lanes):
    """Write a row of sums of each map; blocks at its end may overlap, and write the same twice. Places count in rows of lanes."""
    n_lanes, n_places = len(lanes), len(_PLACES)
    i = np.int64(0)
    while i < n_maps:
        start, stop, at = starts[first + i], starts[first + i + 1], out_at + i * plane
        if width >= n_places and alike[first + i]:
            b = bias_start + i
            bias = (_bias_of(biases, b), _bias_of(biases, b + 1), _bias_of(biases, b + 2), _bias_of(biases, b + 3))
            for begin in range(0, width, n_places):
                p = min(begin, width - n_places)
                sum_block(
                    out, (at + p) * n_lanes, plane * n_lanes, bias, x, (x_at + p * stride) * n_lanes, stride * n_lanes, offset, weight, start,
                    stop - start, _PLACES, lanes,
                )  # fmt: skip
            i += N_ALIKE
            continue
        for begin in range(0, width, block):
            p = min(begin, width - block)
            _sum_block(
                block, out, (at + p) * n_lanes, _bias_of(biases, bias_start + i), x, (x_at + p * stride) * n_lanes, stride * n_lanes, offset, weight,
                start, stop - start, lanes,
            )  # fmt: skip
        i += 1


@kernel
def convolve(shape, order, m, biases, act, lanes):
    """Write the sums of a convolution, from their biases: all lanes."""
    pitch, stride, width, height = shape.width[m] + 2 * shape.padding[m], shape.stride[m], shape.out_width[m], shape.out_height[m]
    for y in range(height):
        _sum_row(
            act, shape.z_row[m] + y * width, height * width, biases, shape.bias_start[m], act, shape.x_row[m] + y * stride * pitch, stride, order.offset,
            order.weight, order.post_start, order.post_first[m], order.alike, shape.n_post[m], width, shape.block[m], lanes,
        )  # fmt: skip


@kernel
def convolve_back(shape, order, m, wide, err, err_row, lanes):
    """Write the errors of what a convolution reads, from those of its sums in `wide`, at the rows from `err_row` on."""
    pitch, width, height = shape.width[m] + shape.kernel[m] - 1, shape.width[m], shape.height[m]
    for y in range(height):
        _sum_row(
            err, err_row + y * width, height * width, wide[:0], 0, wide, shape.wide_row[m] + y * pitch, 1, order.offset_back, order.weight_back,
            order.pre_start, order.pre_first[m], order.alike_back, shape.n_pre[m], width, shape.block_back[m], lanes,
        )  # fmt: skip


@kernel
def convolve_gradient(shape, order, m, act, err, sums, gradient, lanes):
    """Add dE/dweight of a convolution to `gradient`: float32 (S,). `sums` : work space."""
    n_lanes = len(lanes)
    pitch, stride, width = shape.width[m] + 2 * shape.padding[m], shape.stride[m], shape.out_width[m]
    block, first, z_row, x_row = shape.block[m], order.post_first[m], shape.z_row[m], shape.x_row[m]
    plane, n_places = shape.out_height[m] * width, len(_PLACES)
    post = np.int64(0)
    while post < shape.n_post[m]:
        start, stop = order.post_start[first + post], order.post_start[first + post + 1]
        if width >= n_places and order.alike[first + post]:
            for k in range(0, stop - start, MOST_ALIKE):
                n = min(MOST_ALIKE, stop - start - k)
                sums[: n * N_ALIKE * n_lanes] = np.float32(0.0)
                for y in range(shape.out_height[m]):
                    z_at, x_at = z_row + post * plane + y * width, x_row + y * stride * pitch
                    for begin in range(0, width, n_places):
                        x = min(begin, width - n_places)
                        multiply_alike(
                            sums, act, (x_at + x * stride) * n_lanes, stride * n_lanes, err, (z_at + x) * n_lanes, plane * n_lanes, begin - x,
                            order.offset, start + k, n, _ALIKE, _PLACES, lanes,
                        )  # fmt: skip
                for q in range(N_ALIKE):
                    at = order.post_start[first + post + q] + k
                    add_lane_sums(gradient, order.slot, sums, q * n_lanes, N_ALIKE * n_lanes, at, at + n, lanes)
            post += N_ALIKE
            continue
        sums[: (stop - start) * n_lanes] = np.float32(0.0)
        for y in range(shape.out_height[m]):
            z_at, x_at = z_row + post * plane + y * width, x_row + y * stride * pitch
            for begin in range(0, width, block):
                x = min(begin, width - block)
                _multiply_block(
                    block, sums, act, (x_at + x * stride) * n_lanes, stride * n_lanes, err, (z_at + x) * n_lanes, begin - x, order.offset, start,
                    stop, lanes,
                )  # fmt: skip
        add_lane_sums(gradient, order.slot, sums, 0, n_lanes, start, stop, lanes)
        post += 1


@kernel
def _send_maps(shape, m, act, lanes):
    """From the values of a convolution to what the next matrix reads: pooled, or copied into its border."""
    n_lanes = len(lanes)
    border = shape.padding[m + 1] if m + 1 < shape.n_maps else 0
    row, height, width = shape.x_row[m + 1], shape.out_height[m], shape.out_width[m]
    n_rows, n_columns = shape.pooled_height[m], shape.pooled_width[m]
    pitch, plane = n_columns + 2 * border, (n_rows + 2 * border) * (n_columns + 2 * border)
    if shape.pool[m] == NO_POOL:
        if row != shape.z_row[m]:
            for post in range(shape.n_post[m]):
                for y in range(height):
                    at = row + post * plane + (y + border) * pitch + border
                    copy_row(act, at * n_lanes, n_lanes, act, (shape.z_row[m] + (post * height + y) * width) * n_lanes, width, lanes)
        return
    window, stride, padding = shape.window[m], shape.pool_stride[m], shape.pool_padding[m]
    share = np.float32(1.0) / np.float32(window * window)
    for post in range(shape.n_post[m]):
        for y in range(n_rows):
            top, bottom = max(y * stride - padding, 0), min(y * stride - padding + window, height)
            for x in range(n_columns):
                left, right = max(x * stride - padding, 0), min(x * stride - padding + window, width)
                at = (row + post * plane + (y + border) * pitch + border + x) * n_lanes
                z_at = (shape.z_row[m] + (post * height + top) * width + left) * n_lanes
                if shape.pool[m] == MAX_POOL:
                    largest_of_window(act, at, act, z_at, bottom - top, right - left, width * n_lanes, lanes)
                else:
                    mean_of_window(act, at, act, z_at, bottom - top, right - left, width * n_lanes, share, lanes)


@kernel
def _return_maps(shape, m, act, err, lanes):
    """From the errors of what a convolution sent, in the rows from `pooled_row` on, to those of its values."""
    if shape.pool[m] == NO_POOL:
        return
    n_lanes = len(lanes)
    border = shape.padding[m + 1] if m + 1 < shape.n_maps else 0
    row, height, width = shape.x_row[m + 1], shape.out_height[m], shape.out_width[m]
    n_rows, n_columns = shape.pooled_height[m], shape.pooled_width[m]
    pitch, plane = n_columns + 2 * border, (n_rows + 2 * border) * (n_columns + 2 * border)
    window, stride, padding = shape.window[m], shape.pool_stride[m], shape.pool_padding[m]
    share = np.float32(1.0) / np.float32(window * window)
    err[shape.z_row[m] * n_lanes : (shape.z_row[m] + shape.n_post[m] * height * width) * n_lanes] = np.float32(0.0)
    for post in range(shape.n_post[m]):
        for y in range(n_rows):
            top, bottom = max(y * stride - padding, 0), min(y * stride - padding + window, height)
            for x in range(n_columns):
                left, right = max(x * stride - padding, 0), min(x * stride - padding + window, width)
                at = (row + post * plane + (y + border) * pitch + border + x) * n_lanes
                d_at = (shape.pooled_row[m] + (post * n_rows + y) * n_columns + x) * n_lanes
                z_at = (shape.z_row[m] + (post * height + top) * width + left) * n_lanes
                if shape.pool[m] == MAX_POOL:
                    return_to_largest(err, act, z_at, act, at, err, d_at, bottom - top, right - left, width * n_lanes, lanes)
                else:
                    return_to_all(err, z_at, err, d_at, bottom - top, right - left, width * n_lanes, share, lanes)


@kernel
def _widen(shape, m, err, wide, lanes):
    """Copy the errors of the sums of a convolution to where the way back reads them, a stride apart."""
    n_lanes = len(lanes)
    border, stride, width = shape.kernel[m] - 1 - shape.padding[m], shape.stride[m], shape.out_width[m]
    pitch, n_rows = shape.width[m] + shape.kernel[m] - 1, shape.height[m] + shape.kernel[m] - 1
    for post in range(shape.n_post[m]):
        for y in range(shape.out_height[m]):
            at = shape.wide_row[m] + post * n_rows * pitch + (y * stride + border) * pitch + border
            copy_row(wide, at * n_lanes, stride * n_lanes, err, (shape.z_row[m] + (post * shape.out_height[m] + y) * width) * n_lanes, width, lanes)


@inlined
def _pad_inputs(shape, act, lanes):
    """Copy the inputs into the border of the first convolution."""
    padding, n_lanes = shape.padding[0], len(lanes)
    pitch = shape.width[0] + 2 * padding
    for pre in range(shape.n_pre[0]):
        for y in range(shape.height[0]):
            at = shape.x_row[0] + (pre * (shape.height[0] + 2 * padding) + y + padding) * pitch + padding
            copy_row(act, at * n_lanes, n_lanes, act, (pre * shape.height[0] + y) * shape.width[0] * n_lanes, shape.width[0], lanes)


@inlined
def _fill_sums(sums, biases, n_samples, n_lanes):
    """Where the sums of a dense layer begin. `biases` : float32 (rows,), or none."""
    sums[:] = np.float32(0.0)
    for i in range(biases.size):
        row = sums[i * n_lanes : i * n_lanes + n_samples]
        for k in range(row.size):
            row[k] = biases[i]


@inlined
def _forward(slots, matrices, shape, order, biases, act, n_samples, lanes, activate):
    """From the inputs to the logits. In lanes without a sample stands what biases make of nothing."""
    n_lanes, n_matrices = len(lanes), matrices.n_pre.size
    if shape.padding[0] > 0:
        _pad_inputs(shape, act, lanes)
    for m in range(n_matrices):
        row = shape.z_row[m]
        if m < shape.n_maps:
            convolve(shape, order, m, biases, act, lanes)
            activate(shape.kinds[m], act, row, row + shape.n_post[m] * shape.out_height[m] * shape.out_width[m], lanes)
            _send_maps(shape, m, act, lanes)
            continue
        own = biases[shape.bias_start[m] : shape.bias_start[m] + matrices.n_post[m]] if biases.size > 0 else biases
        _fill_sums(act[row * n_lanes : (row + matrices.n_post[m]) * n_lanes], own, n_samples, n_lanes)
        multiply(slots, matrices, m, act, shape.x_row[m] * n_lanes, act, row * n_lanes, lanes)
        if m < n_matrices - 1:
            activate(shape.kinds[m], act, row, row + matrices.n_post[m], lanes)


@inlined
def _backward(slots, matrices, shape, order, act, err, wide, sums, gradient, n_samples, lanes, turn_back):
    """From the errors of the logits to those of all sums, and to dE/dweight, which is added to `gradient`: float32 (S,)."""
    n_lanes = len(lanes)
    pre, post, weight = slots.pre, slots.post, slots.weight
    for m in range(matrices.n_pre.size - 1, -1, -1):
        if m < shape.n_maps:
            convolve_gradient(shape, order, m, act, err, sums, gradient, lanes)
            if m > 0:
                _widen(shape, m, err, wide, lanes)
                convolve_back(shape, order, m, wide, err, shape.pooled_row[m - 1], lanes)
        else:
            x_row, start, stop = shape.x_row[m], matrices.slot_start[m], matrices.slot_start[m + 1]
            err[x_row * n_lanes : (x_row + matrices.n_pre[m]) * n_lanes] = np.float32(0.0)
            backward_slots(gradient, act, err, x_row * n_lanes, shape.z_row[m] * n_lanes, pre, post, weight, start, stop, lanes)
        if m > 0:
            row, n = shape.z_row[m - 1], matrices.n_pre[m]
            if m <= shape.n_maps:
                _return_maps(shape, m - 1, act, err, lanes)
                n = shape.n_post[m - 1] * shape.out_height[m - 1] * shape.out_width[m - 1]
            turn_back(shape.kinds[m - 1], err, act, row, row + n, None, -1, None, -1, n_samples, lanes)


@inlined
def _backward_of_group(slots, matrices, shape, order, act, err, wide, sums, partial, group, n_samples, lanes, turn_back):
    """`_backward` of a tile, its gradient summed where its group does; a function of its own for the reason of `mlp.backward_of_group`."""
    gradient = slots.gradient if group == 0 else partial[group - 1]
    _backward(slots, matrices, shape, order, act, err, wide, sums, gradient, n_samples, lanes, turn_back)


@inlined
def _bias_gradient(matrices, shape, err, gradient, lanes):
    """Write a tile's dE/dbias: of a map the sum over its places. float32 (n_biases,), or none."""
    if gradient.size == 0:
        return
    for m in range(matrices.n_pre.size):
        places = shape.out_height[m] * shape.out_width[m] if m < shape.n_maps else 1
        for post in range(matrices.n_post[m]):
            gradient[shape.bias_start[m] + post] = sum_places(err, (shape.z_row[m] + post * places) * len(lanes), places, lanes)


def _pass_by_tiles(
    slots, segments, matrices, tally, batch, counting, work, biases, shape, tiles, partial, lanes, first, n_batch, n_shares,
):  # fmt: skip
    """The samples batch.order[first : first + n_batch], one thread a group of tiles. Writes `work`, `biases.of_tile`, `tiles` and gradients."""
    n_lanes = len(lanes)
    n_tiles = (n_batch + n_lanes - 1) // n_lanes
    n_groups = partial.shape[0] + 1
    tiles_a_group = (tiles.act.shape[0] + n_groups - 1) // n_groups
    out, n_classes = shape.z_row[matrices.n_pre.size - 1], matrices.n_post[matrices.n_pre.size - 1]
    sort_kernels(slots, matrices, shape, tiles, n_lanes)
    for group in prange(n_groups):
        for t in range(group * tiles_a_group, min((group + 1) * tiles_a_group, n_tiles)):
            act, err = tiles.act[t], tiles.err[t]
            begin = first + t * n_lanes
            n = min(n_lanes, n_batch - t * n_lanes)
            load_tile(act, batch, begin, n, shape.n_inputs, n_lanes)
            _forward(slots, matrices, shape, tiles, biases.value, act, n, lanes, activate)
            loss, correct = softmax_errors(act, err, out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_batch, n_lanes)
            keep_outcome(work, t, (loss, correct, 0))
            _backward_of_group(slots, matrices, shape, tiles, act, err, tiles.wide[t], tiles.sums[group], partial, group, n, lanes, turn_back)
            _bias_gradient(matrices, shape, err, biases.of_tile[t], lanes)


@inlined
def book_samples(slots, segments, matrices, tally, shape, n, n_back):
    """Book `n` samples forward, `n_back` of them back: products and values that travel, of every segment as it is now. Writes `tally`.

    A slot of a convolution multiplies at each place at which it reads no border, and its words are read once a sample. A map travels as a
    whole to every core with a slot of it; the values of a dense layer that feeds another one go one by one.
    """
    for segment in range(segments.matrix.size):
        m, core = segments.matrix[segment], segments.core[segment]
        fan_out, row = segments.fan_out_start[segment], shape.row_start[m]
        products, rows, group = np.int64(0), np.int64(0), shape.group[m]
        for begin in range(0, matrices.n_pre[m], group):
            n_here = np.int64(0)
            for pre in range(begin, begin + group):
                n_here += slots.fan_out[fan_out + pre]
                products += slots.fan_out[fan_out + pre] * shape.uses[row + pre]
                rows += slots.fan_out[fan_out + pre] * shape.row_uses[row + pre]
            home, values = tally.home[matrices.pre_neuron[m] + begin], shape.n_values[row + begin]
            if n_here > 0 and home >= 0 and home != core:
                tally.received[m, core] += n * values
                tally.sent[m, home] += n * values
                tally.sent_back[core] += n_back * values
                tally.received_back[home] += n_back * values
                if tally.pairs.size > 0:
                    tally.pairs[home, core] += n * values
                    tally.pairs_back[core, home] += n_back * values
        n_active = count_active(slots, segments, segment)
        tally.by_segment[segment, _SLOTS] += n * products
        tally.by_segment[segment, _GRADIENT] += n_back * products
        if m > 0:
            tally.by_segment[segment, _BACKWARD] += n_back * products
        tally.by_segment[segment, _WORDS] += n * n_active
        if m < shape.n_maps:
            tally.by_segment[segment, _PLACE_ROWS] += n * rows


@inlined
def _count_batch(slots, segments, matrices, tally, batch, counting, work, shape, tiles, lanes, first, n_batch):
    book_samples(slots, segments, matrices, tally, shape, n_batch, n_batch)


@inlined
def _close_counts(slots, segments, matrices, tally, counting, work, lanes, is_last):
    """Nothing is open: values travel whether they are zero or not."""


@kernel
def book_forward(slots, segments, matrices, tally, shape, n):
    """Book `n` samples of which nothing goes back. Writes `tally`."""
    book_samples(slots, segments, matrices, tally, shape, n, 0)


@inlined
def _count_nonzero(matrices, shape, act, n_samples, lanes, n_nonzero):
    """Add how often each pre neuron of each matrix was read and not zero: int64, shape (pre neurons of all matrices,)."""
    n_lanes = len(lanes)
    mask = np.uint64((1 << n_samples) - 1)
    for m in range(matrices.n_pre.size):
        row = shape.row_start[m]
        if m >= shape.n_maps:
            for pre in range(matrices.n_pre[m]):
                n_nonzero[row + pre] += count_bits(nonzero_lanes(act, (shape.x_row[m] + pre) * n_lanes, lanes) & mask)
            continue
        pitch, stride = shape.width[m] + 2 * shape.padding[m], shape.stride[m]
        for pre in range(matrices.n_pre[m]):
            total = np.int64(0)
            for y in range(shape.out_height[m]):
                at = shape.x_row[m] + shape.tap[row + pre] + y * stride * pitch
                for x in range(shape.out_width[m]):
                    total += count_bits(nonzero_lanes(act, (at + x * stride) * n_lanes, lanes) & mask)
            n_nonzero[row + pre] += total


@kernel
def prepare_order(slots, matrices, shape, tiles, lanes):
    """`sort_kernels` for Python."""
    sort_kernels(slots, matrices, shape, tiles, len(lanes))


def _evaluate(slots, matrices, shape, biases, batch, n_nonzero, tiles, lanes, result):
    """Accuracy and loss over all samples of `batch`, whose order of slots is made.

    `n_nonzero` : int64 (n_tiles at once, pre neurons of all matrices), added to; see `_count_nonzero`.
    `result` : float64 (2,), written: sum of losses in nats, number of correct samples.
    """
    n_lanes, n_matrices = len(lanes), matrices.n_pre.size
    out, n_classes = shape.z_row[n_matrices - 1], matrices.n_post[n_matrices - 1]
    n_samples, n_at_once = batch.order.size, tiles.act.shape[0]
    n_tiles = (n_samples + n_lanes - 1) // n_lanes
    loss, correct = np.zeros(n_tiles, np.float64), np.zeros(n_tiles, np.int64)
    for place in prange(n_at_once):
        act, err = tiles.act[place], tiles.err[place]
        for t in range(place, n_tiles, n_at_once):
            begin = t * n_lanes
            n = min(n_lanes, n_samples - begin)
            load_tile(act, batch, begin, n, shape.n_inputs, n_lanes)
            _forward(slots, matrices, shape, tiles, biases, act, n, lanes, activate)
            loss[t], correct[t] = softmax_errors(act, err, out * n_lanes, batch.labels, batch.order, begin, n, n_classes, n_samples, n_lanes)
            _count_nonzero(matrices, shape, act, n, lanes, n_nonzero[place])
    result[0], result[1] = np.float64(0.0), np.float64(0.0)
    for t in range(n_tiles):
        result[0] += loss[t]
        result[1] += np.float64(correct[t])


class ConvolutionalKernels:
    """Kernels of networks whose layers have the given cells; each is compiled when it is first called."""

    def __init__(self, names):
        cells = join_cells(names)
        functions = {"activate": cells.forward, "turn_back": cells.backward}
        pass_batch = _pasted(bind(_pass_by_tiles, f"pass_maps_{cells.name}", **functions))
        steps = make_steps(
            f"train_maps_{cells.name}", pass_batch=pass_batch, count_batch=_count_batch, gather_chunk=mlp.gather_groups, close_counts=_close_counts
        )
        self.train_steps = parallel_kernel(steps)
        self.evaluate = parallel_kernel(bind(_evaluate, f"evaluate_maps_{cells.name}", **functions))


@cache
def kernels_of(names):
    """The `ConvolutionalKernels` of some different cells, a tuple of str."""
    return ConvolutionalKernels(names)
