"""Forward and backward pass of a spiking network through time, on one tile of samples.

One pass for all learning methods: `Shape` says which errors it follows (`neurosim.networks.methods`). Samples end together, as in
`kernels.recurrent`; before a sample begins nothing comes in, so nothing spikes.

Layout of one tile, all flat float32, rows of `n_lanes`, a step every ``shape.stride`` elements:

    act   sums of all neurons, layer after layer, then psi in their place; behind them, where every step has a loss, the read-outs y and
          then their errors
    err   errors of the membranes, dE/dv; behind them those of the read-outs; one step more than there are, of zeros

Where the loss is of the last read-out or of their mean, that is linear in the spikes: y summed over steps is W (sum of c(t) z(t)) with numbers c
that follow from the leak alone. So spikes are summed in `head` with `c_read`, the outputs computed once, and the error of a spike is c(t) times
what comes back once: the same numbers as step by step, up to rounding.
"""

from functools import partial as with_options
from typing import NamedTuple

import numpy as np
from numba import prange

from neurosim.kernels.bits import count_bits
from neurosim.kernels.cells.lif import step_back, step_forward
from neurosim.kernels.compile import inlined, kernel, parallel_kernel
from neurosim.kernels.lanes import forward_run, gradient_slots, nonzero_lanes
from neurosim.kernels.mlp import add_counts
from neurosim.kernels.products import multiply, multiply_back
from neurosim.kernels.softmax import softmax_errors, softmax_of_lane
from neurosim.kernels.spikes import add_inputs, gather_inputs, gather_spikes, list_events, list_spikes, send_spikes, sort_rows
from neurosim.kernels.train import keep_outcome, make_steps
from neurosim.kernels.walks import add_walks, book_slots

SYMMETRIC, RANDOM, ADAPTIVE = 0, 1, 2

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


class Shape(NamedTuple):
    """Where things of a spiking network lie, and what it does. Read only; L layers, N neurons in them, T steps."""

    n_steps: int  #: T, steps of the longest sample
    n_inputs: int
    n_classes: int
    stride: int  #: elements from a step to the next
    n_units: np.ndarray  #: int64 (L,)
    unit_start: np.ndarray  #: int64 (L + 1,), first neuron of a layer among all
    input_matrix: np.ndarray  #: int64 (L,)
    recurrent_matrix: np.ndarray  #: int64 (L,), -1 where there is none
    output_matrix: int
    row_start: np.ndarray  #: int64 (M,), where the pointers of a matrix begin in `Tile.row_pointer`; -1 where it needs no rows
    walks: np.ndarray  #: int64 (T + 1, 3, M), see `walks.add_walks`
    # Dynamics
    adapts: bool
    alpha: np.float32
    rho: np.float32
    kappa: np.float32
    v_th: np.float32
    refractory: np.float32
    surrogate: int
    height: np.float32  #: gamma / v_th
    slope: np.float32
    beta: np.ndarray  #: float32 (N * lanes,), 0 of neurons that do not adapt
    # Read-out and loss
    reads_every: bool  #: whether every step has a loss of its own
    n_readouts: int  #: steps at the end that have one
    c_read: np.ndarray  #: float32 (T,), weight of a spike in the sum of the read-outs
    c_out: np.ndarray  #: float32 (T,), the same in the gradient of the read-out
    c_error: np.ndarray  #: float32 (T,), part of the error of the outputs that is the error of a spike
    c_bias: np.ndarray  #: float32 (T + 1,), weight of a bias, by the length of a sample
    c_bias_out: np.ndarray  #: float32 (T + 1,), the same in its gradient
    has_out: bool  #: whether `c_out` differs from `c_read`
    # Learning
    window: int  #: steps through which errors go back at once
    reach: int  #: steps from the end that an error reaches
    recurrent_errors: bool
    layer_errors: bool
    instant_layers: bool
    filters_errors: bool
    feedback: int
    decay: np.float32
    cutoff: int  #: steps for which traces are followed, for the count of a program that does; 0 where nobody asks
    rate_cost: np.float32
    rate_target: np.float32


class Tile(NamedTuple):
    """Work space of one tile, or of several along a first axis; from `row_pointer` on, what all tiles share."""

    in_pointer: np.ndarray  #: int32 (n_inputs + 2,), see `spikes`
    in_place: np.ndarray  #: int32
    in_value: np.ndarray
    spike_pointer: np.ndarray  #: int32 (N + 2,)
    spike_place: np.ndarray  #: int32
    masks: np.ndarray  #: uint64 (T * N,), lanes of the spikes
    act: np.ndarray
    err: np.ndarray
    v: np.ndarray  #: (N,) rows, and so the next
    a: np.ndarray
    wait: np.ndarray  #: steps for which a neuron is still refractory
    spike: np.ndarray  #: spikes of the last step
    total: np.ndarray  #: spikes of the sample
    learn: np.ndarray  #: errors that came back once; dE/dz of every step is `c_error` of them
    push: np.ndarray  #: error of the rate regulariser
    dz: np.ndarray
    da: np.ndarray
    share: np.ndarray  #: (1,) row, 1 / (steps with a loss)
    head: np.ndarray  #: (neurons of the top layer + n_classes,) rows, summed spikes and the logits
    head_err: np.ndarray
    head_out: np.ndarray  #: summed spikes for the gradient
    seen: np.ndarray  #: int32 (numbered neurons,), spikes that walked a matrix
    row_pointer: np.ndarray  #: int32, see `spikes.sort_rows`
    row_pre: np.ndarray  #: int32 (S,)
    row_post: np.ndarray  #: int32 (S,)
    row_weight: np.ndarray  #: float32 (S,)
    feedback: np.ndarray  #: float32 (N * n_classes,), B of each neuron; empty where the weights are the feedback
    before: np.ndarray  #: float32, weights of the read-out before an update; empty unless the feedback learns


@inlined
def tile_of(tiles, t):
    """Tile `t` of the work space."""
    return Tile(
        tiles.in_pointer[t], tiles.in_place[t], tiles.in_value[t], tiles.spike_pointer[t], tiles.spike_place[t], tiles.masks[t],
        tiles.act[t], tiles.err[t], tiles.v[t], tiles.a[t], tiles.wait[t], tiles.spike[t], tiles.total[t], tiles.learn[t], tiles.push[t],
        tiles.dz[t], tiles.da[t], tiles.share[t], tiles.head[t], tiles.head_err[t], tiles.head_out[t], tiles.seen[t],
        tiles.row_pointer, tiles.row_pre, tiles.row_post, tiles.row_weight, tiles.feedback, tiles.before,
    )  # fmt: skip


@inlined
def begin_step(slots, matrices, shape, tiles):
    """What a batch needs of the weights: rows of those matrices that spikes walk. A read-out that decays does so now.

    Writes `slots.weight` of the read-out and what all tiles share.
    """
    start, stop = matrices.slot_start[shape.output_matrix], matrices.slot_start[shape.output_matrix + 1]
    if shape.feedback == ADAPTIVE:
        if shape.decay > _ZERO:
            kept = _ONE - shape.decay
            for slot in range(start, stop):
                slots.weight[slot] *= kept
            for i in range(tiles.feedback.size):
                tiles.feedback[i] *= kept
        for slot in range(start, stop):
            tiles.before[slot - start] = slots.weight[slot]
    sort_all_rows(slots, matrices, shape, tiles)


@inlined
def sort_all_rows(slots, matrices, shape, tiles):
    """Write the rows of all matrices that spikes walk."""
    for m in range(matrices.n_pre.size):
        if shape.row_start[m] >= 0:
            pointer = tiles.row_pointer[shape.row_start[m] : shape.row_start[m] + matrices.n_pre[m] + 2]
            sort_rows(slots, matrices, m, pointer, tiles.row_pre, tiles.row_post, tiles.row_weight)


@inlined
def follow_update(slots, matrices, shape, tiles):
    """Move an adaptive feedback as the weights of the read-out have moved. Writes `tiles.feedback`."""
    if shape.feedback == ADAPTIVE:
        start, stop = matrices.slot_start[shape.output_matrix], matrices.slot_start[shape.output_matrix + 1]
        first = shape.unit_start[shape.n_units.size - 1]
        for slot in range(start, stop):
            if slots.active[slot] != 0:
                place = (first + np.int64(slots.pre[slot])) * shape.n_classes + np.int64(slots.post[slot])
                tiles.feedback[place] += slots.weight[slot] - tiles.before[slot - start]


@inlined
def _begin(shape, tile, batch, first, n_samples, n_lanes):
    """Write `share`; returns the first step of the longest sample."""
    begin = shape.n_steps
    for lane in range(n_lanes):
        length = np.int64(batch.lengths[batch.order[first + lane]]) if lane < n_samples else np.int64(0)
        begin = min(begin, shape.n_steps - length)
        tile.share[lane] = _ONE / np.float32(max(min(length, shape.n_readouts), 1))
    return begin


@inlined
def _copy(target, source):
    for k in range(target.size):
        target[k] = source[k]


@inlined
def _add_scaled(target, source, factor):
    for k in range(target.size):
        target[k] += factor * source[k]


@inlined
def _times_lanes(rows, factors):
    n_lanes = factors.size
    for i in range(rows.size // n_lanes):
        row = rows[i * n_lanes : (i + 1) * n_lanes]
        for k in range(n_lanes):
            row[k] *= factors[k]


@inlined
def _send(shape, tile, m, neuron, unit, mask, base, lanes):
    """Send the spikes of one neuron of a layer, number `neuron` in it and `unit` of all, along a matrix to the sums from `base` on."""
    pointer = shape.row_start[m] + neuron
    start, stop = np.int64(tile.row_pointer[pointer]), np.int64(tile.row_pointer[pointer + 1])
    send_spikes(mask, start, stop, tile.row_pre, tile.row_post, tile.row_weight, tile.spike, (unit - neuron) * len(lanes), tile.act, base, lanes)


@inlined
def _spread(shape, matrices, tile, t, layer, lanes):
    """Take down which neurons of a layer spike in step `t`, and send their spikes on. Writes `masks`, `act` and `seen`."""
    n_lanes, n_layers = len(lanes), shape.n_units.size
    n_all, first = shape.unit_start[n_layers], shape.unit_start[layer]
    recurrent, is_last = shape.recurrent_matrix[layer], t == shape.n_steps - 1
    above = shape.input_matrix[layer + 1] if layer < n_layers - 1 else np.int64(-1)
    for neuron in range(shape.n_units[layer]):
        unit = first + neuron
        mask = nonzero_lanes(tile.spike, unit * n_lanes, lanes)
        tile.masks[t * n_all + unit] = mask
        if mask == 0:
            continue
        n = np.int32(count_bits(mask))
        if recurrent >= 0 and not is_last:
            _send(shape, tile, recurrent, neuron, unit, mask, (t + 1) * shape.stride + first * n_lanes, lanes)
            tile.seen[matrices.pre_neuron[recurrent] + neuron] += n
        if above >= 0:
            _send(shape, tile, above, neuron, unit, mask, t * shape.stride + shape.unit_start[layer + 1] * n_lanes, lanes)
            tile.seen[matrices.pre_neuron[above] + neuron] += n
        else:
            tile.seen[matrices.pre_neuron[shape.output_matrix] + neuron] += n
            if shape.reads_every:
                _send(shape, tile, shape.output_matrix, neuron, unit, mask, t * shape.stride + n_all * n_lanes, lanes)


@inlined
def _read_step(shape, tile, bias, t, batch, first, n_samples, n_lanes):
    """Read-outs of step `t` of which the spikes have come: adds what is left of the step before, and biases. Writes `act`."""
    base = t * shape.stride + shape.unit_start[shape.n_units.size] * n_lanes
    for c in range(shape.n_classes):
        for lane in range(n_lanes):
            begin = shape.n_steps - np.int64(batch.lengths[batch.order[first + lane]]) if lane < n_samples else shape.n_steps
            place = base + c * n_lanes + lane
            before = tile.act[place - shape.stride] if t > begin else _ZERO
            tile.act[place] += shape.kappa * before + (bias[c] if t >= begin else _ZERO)


@inlined
def forward(slots, matrices, shape, bias, tile, batch, first, n_samples, lanes):
    """From the events to the logits. Writes all of `tile` but the errors; returns the first step."""
    n_lanes, n_layers = len(lanes), shape.n_units.size
    n_all = shape.unit_start[n_layers]
    begin = _begin(shape, tile, batch, first, n_samples, n_lanes)
    list_events(tile.in_pointer, tile.in_place, tile.in_value, batch, first, n_samples, shape.stride)
    tile.act[begin * shape.stride :] = _ZERO
    for state in (tile.v, tile.a, tile.wait, tile.spike, tile.total, tile.head, tile.head_out):
        state[:] = _ZERO
    m = shape.input_matrix[0]
    add_inputs(slots, matrices.slot_start[m], matrices.slot_start[m + 1], tile.in_pointer, tile.in_place, tile.in_value, tile.act, 0, n_lanes)
    tile.seen[:] = 0
    for i in range(shape.n_inputs):
        tile.seen[matrices.pre_neuron[m] + i] = tile.in_pointer[i + 1] - tile.in_pointer[i]
    top = shape.n_units[n_layers - 1] * n_lanes
    for t in range(begin, shape.n_steps):
        for layer in range(n_layers):
            here = slice(shape.unit_start[layer] * n_lanes, shape.unit_start[layer + 1] * n_lanes)
            rows = tile.act[t * shape.stride + here.start : t * shape.stride + here.stop]
            step_forward(shape, rows, tile.v[here], tile.a[here], tile.wait[here], tile.spike[here], shape.beta[here])
            _spread(shape, matrices, tile, t, layer, lanes)
        spikes = tile.spike[shape.unit_start[n_layers - 1] * n_lanes : n_all * n_lanes]
        if shape.reads_every:
            _read_step(shape, tile, bias, t, batch, first, n_samples, n_lanes)
            if t >= shape.n_steps - shape.n_readouts:
                base = t * shape.stride + n_all * n_lanes
                _add_scaled(tile.head[top:], tile.act[base : base + shape.n_classes * n_lanes], _ONE)
        else:
            _add_scaled(tile.head[:top], spikes, shape.c_read[t])
            if shape.has_out:
                _add_scaled(tile.head_out, spikes, shape.c_out[t])
        if shape.rate_cost > _ZERO:
            _add_scaled(tile.total, tile.spike, _ONE)
    if not shape.reads_every:
        for c in range(shape.n_classes):
            for lane in range(n_lanes):
                length = np.int64(batch.lengths[batch.order[first + lane]]) if lane < n_samples else np.int64(0)
                tile.head[top + c * n_lanes + lane] = bias[c] * shape.c_bias[length]
        multiply(slots, matrices, shape.output_matrix, tile.head, 0, tile.head, top, lanes)
    _times_lanes(tile.head, tile.share)
    _times_lanes(tile.head_out, tile.share)
    return begin


@inlined
def judge(matrices, shape, tile, batch, first, n_samples, n_batch, n_lanes):
    """Loss and correct samples of a tile; writes the errors of the logits, or of the read-outs of every step in the place of these."""
    n_layers = shape.n_units.size
    top, n_classes = shape.n_units[n_layers - 1] * n_lanes, shape.n_classes
    loss, correct = softmax_errors(tile.head, tile.head_err, top, batch.labels, batch.order, first, n_samples, n_classes, n_batch, n_lanes)
    if not shape.reads_every:
        return loss, correct
    loss = np.float64(0.0)
    for t in range(shape.n_steps):
        base = t * shape.stride + shape.unit_start[n_layers] * n_lanes
        for lane in range(n_lanes):
            length = np.int64(batch.lengths[batch.order[first + lane]]) if lane < n_samples else np.int64(0)
            if t >= shape.n_steps - min(length, shape.n_readouts):
                label = np.int64(batch.labels[batch.order[first + lane]])
                inverse = tile.share[lane] / np.float32(n_batch)
                here = softmax_of_lane(tile.act, tile.act, base + lane, n_lanes, n_classes, label, inverse)
                loss += here * np.float64(tile.share[lane])
            else:
                for c in range(n_classes):
                    tile.act[base + c * n_lanes + lane] = _ZERO
    return loss, correct


@inlined
def _feed_back(slots, matrices, shape, tile, layer, source, source_base, target, lanes):
    """Add to the rows of `target`, of the neurons of a layer, what the feedback makes of errors of the outputs."""
    n_lanes = len(lanes)
    for neuron in range(shape.n_units[layer]):
        row = target[neuron * n_lanes : (neuron + 1) * n_lanes]
        for c in range(shape.n_classes):
            factor = tile.feedback[(shape.unit_start[layer] + neuron) * shape.n_classes + c]
            _add_scaled(row, source[source_base + c * n_lanes : source_base + (c + 1) * n_lanes], factor)


@inlined
def _gather_rows(shape, tile, m, first, t, errors, base, lanes):
    """Add to `dz` of the neurons that feed a matrix what comes back from the errors of its post neurons, rows of `errors` from `base` on.

    `first` : first of these neurons among all. A neuron without any psi in step `t` has no use of it.
    """
    n_lanes = len(lanes)
    pointer = shape.row_start[m]
    for neuron in range(first[1] - first[0]):
        unit = first[0] + neuron
        if nonzero_lanes(tile.act, t * shape.stride + unit * n_lanes, lanes) != 0:
            start, stop = np.int64(tile.row_pointer[pointer + neuron]), np.int64(tile.row_pointer[pointer + neuron + 1])
            forward_run(tile.dz, unit * n_lanes, errors, base, tile.row_post, tile.row_weight, start, stop, lanes)


@inlined
def _times(rows, factors):
    for k in range(rows.size):
        rows[k] *= factors[k]


@inlined
def _push_rates(shape, tile, batch, first, n_samples, n_batch, n_lanes):
    """Error of the rate regulariser, the same in every step of a sample. Writes `push`."""
    for unit in range(shape.unit_start[shape.n_units.size]):
        for lane in range(n_lanes):
            k = unit * n_lanes + lane
            tile.push[k] = _ZERO
            if lane < n_samples:
                inverse = _ONE / np.float32(max(batch.lengths[batch.order[first + lane]], 1))
                tile.push[k] = shape.rate_cost * (tile.total[k] * inverse - shape.rate_target) * inverse / np.float32(n_batch)


@inlined
def _leak_readouts(shape, tile, t, is_cut, n_lanes):
    """Errors of the read-outs of step `t` with what comes from the step after through their leak. Writes `err`."""
    base = t * shape.stride + shape.unit_start[shape.n_units.size] * n_lanes
    kappa = _ZERO if is_cut else shape.kappa
    for k in range(base, base + shape.n_classes * n_lanes):
        tile.err[k] = tile.act[k] + kappa * tile.err[k + shape.stride]


@inlined
def _ask_outputs(slots, matrices, shape, tile, t, lanes):
    """dE/dz that comes from the outputs in step `t`. Writes `dz`."""
    n_lanes, n_layers = len(lanes), shape.n_units.size
    n_all = shape.unit_start[n_layers]
    _copy(tile.dz, tile.push)
    if not shape.reads_every:
        _add_scaled(tile.dz, tile.learn, shape.c_error[t])
        return
    base = t * shape.stride + n_all * n_lanes
    if shape.feedback != SYMMETRIC:
        for layer in range(n_layers):
            rows = tile.dz[shape.unit_start[layer] * n_lanes : shape.unit_start[layer + 1] * n_lanes]
            _feed_back(slots, matrices, shape, tile, layer, tile.err if shape.filters_errors else tile.act, base, rows, lanes)
    else:
        first, pointer = shape.unit_start[n_layers - 1], shape.row_start[shape.output_matrix]
        for neuron in range(shape.n_units[n_layers - 1]):
            start, stop = np.int64(tile.row_pointer[pointer + neuron]), np.int64(tile.row_pointer[pointer + neuron + 1])
            row = (first + neuron) * n_lanes
            if shape.filters_errors:
                forward_run(tile.dz, row, tile.err, base, tile.row_post, tile.row_weight, start, stop, lanes)
            else:
                forward_run(tile.dz, row, tile.act, base, tile.row_post, tile.row_weight, start, stop, lanes)


@inlined
def backward(slots, matrices, shape, tile, batch, begin, first, n_samples, n_batch, lanes):
    """From the errors of the outputs to those of all membranes, dE/dv. Writes `err`, and lists the spikes."""
    n_lanes, n_layers = len(lanes), shape.n_units.size
    n_all, stride = shape.unit_start[n_layers], shape.stride
    top = shape.n_units[n_layers - 1] * n_lanes
    low = max(begin, shape.n_steps - shape.reach)
    list_spikes(tile.spike_pointer, tile.spike_place, tile.masks, begin, shape.n_steps, n_all, stride)
    tile.err[begin * stride : low * stride] = _ZERO
    tile.err[shape.n_steps * stride :] = _ZERO
    for rows in (tile.learn, tile.push, tile.da):
        rows[:] = _ZERO
    if not shape.reads_every:
        if shape.feedback == SYMMETRIC:
            tile.head_err[:top] = _ZERO
            multiply_back(slots, matrices, shape.output_matrix, tile.head_err, top, tile.head_err, 0, lanes)
            _copy(tile.learn[shape.unit_start[n_layers - 1] * n_lanes :], tile.head_err)
        else:
            for layer in range(n_layers):
                rows = tile.learn[shape.unit_start[layer] * n_lanes : shape.unit_start[layer + 1] * n_lanes]
                _feed_back(slots, matrices, shape, tile, layer, tile.head_err, top, rows, lanes)
        for unit in range(n_all):
            _times_lanes(tile.learn[unit * n_lanes : (unit + 1) * n_lanes], tile.share)
    if shape.rate_cost > _ZERO:
        _push_rates(shape, tile, batch, first, n_samples, n_batch, n_lanes)
    for back in range(shape.n_steps - low):
        t = shape.n_steps - 1 - back
        is_cut = back % shape.window == 0
        if shape.reads_every:
            _leak_readouts(shape, tile, t, is_cut, n_lanes)
        _ask_outputs(slots, matrices, shape, tile, t, lanes)
        for from_top in range(n_layers):
            layer = n_layers - 1 - from_top
            bounds = (shape.unit_start[layer], shape.unit_start[layer + 1])
            above = shape.unit_start[layer + 1] * n_lanes
            if shape.layer_errors and from_top > 0:
                if shape.instant_layers:
                    _gather_rows(shape, tile, shape.input_matrix[layer + 1], bounds, t, tile.dz, above, lanes)
                else:
                    _gather_rows(shape, tile, shape.input_matrix[layer + 1], bounds, t, tile.err, t * stride + above, lanes)
            if shape.recurrent_errors and shape.recurrent_matrix[layer] >= 0 and not is_cut:
                _gather_rows(shape, tile, shape.recurrent_matrix[layer], bounds, t, tile.err, (t + 1) * stride + bounds[0] * n_lanes, lanes)
            here = slice(bounds[0] * n_lanes, bounds[1] * n_lanes)
            at = t * stride
            step_back(
                shape, tile.dz[here], tile.da[here], tile.act[at + here.start : at + here.stop],
                tile.err[at + stride + here.start : at + stride + here.stop], tile.err[at + here.start : at + here.stop], shape.beta[here], is_cut,
            )  # fmt: skip
            if shape.instant_layers and layer > 0:  # the error of this step alone, for the layer below
                _times(tile.dz[here], tile.act[at + here.start : at + here.stop])


@inlined
def bias_gradient(shape, tile, batch, first, n_samples, begin, gradient, n_lanes):
    """Write this tile's dE/dbias of the read-out: float32 (n_classes,)."""
    n_layers = shape.n_units.size
    top, n_all = shape.n_units[n_layers - 1] * n_lanes, shape.unit_start[n_layers]
    low = max(begin, shape.n_steps - shape.reach)
    for c in range(shape.n_classes):
        total = _ZERO
        for lane in range(n_samples):
            length = np.int64(batch.lengths[batch.order[first + lane]])
            if shape.reads_every:
                for t in range(max(low, shape.n_steps - length), shape.n_steps):
                    total += tile.err[t * shape.stride + (n_all + c) * n_lanes + lane]
            else:
                total += tile.head_err[top + c * n_lanes + lane] * tile.share[lane] * shape.c_bias_out[length]
        gradient[c] = total


@inlined
def add_gradient(slots, matrices, shape, tile, start, stop, lanes):
    """Add this tile's dE/dweight to `slots.gradient` of the slots [start, stop)."""
    n_lanes, n_layers = len(lanes), shape.n_units.size
    for layer in range(n_layers):
        base = shape.unit_start[layer] * n_lanes
        m = shape.input_matrix[layer]
        a, b = max(start, matrices.slot_start[m]), min(stop, matrices.slot_start[m + 1])
        if layer == 0:
            gather_inputs(slots, a, b, tile.in_pointer, tile.in_place, tile.in_value, tile.err, base, n_lanes)
        else:
            gather_spikes(slots, a, b, tile.spike_pointer, shape.unit_start[layer - 1], tile.spike_place, tile.err, base, n_lanes)
        m = shape.recurrent_matrix[layer]
        if m >= 0:
            a, b = max(start, matrices.slot_start[m]), min(stop, matrices.slot_start[m + 1])
            gather_spikes(slots, a, b, tile.spike_pointer, shape.unit_start[layer], tile.spike_place, tile.err, base + shape.stride, n_lanes)
    m, first = shape.output_matrix, shape.unit_start[n_layers - 1]
    a, b = max(start, matrices.slot_start[m]), min(stop, matrices.slot_start[m + 1])
    if shape.reads_every:
        gather_spikes(slots, a, b, tile.spike_pointer, first, tile.spike_place, tile.err, shape.unit_start[n_layers] * n_lanes, n_lanes)
    else:
        top = shape.n_units[n_layers - 1] * n_lanes
        if shape.has_out:
            gradient_slots(slots.gradient, tile.head_out, 0, tile.head_err, top, slots.pre, slots.post, a, b, lanes)
        else:
            gradient_slots(slots.gradient, tile.head, 0, tile.head_err, top, slots.pre, slots.post, a, b, lanes)


@with_options(kernel, inline="always")
def _pass_spikes(
    slots, segments, matrices, tally, batch, counting, work, biases, shape, tiles, partial, lanes, first, n_batch, n_shares,
):  # fmt: skip
    """The samples batch.order[first : first + n_batch]. Writes `work`, `biases.of_tile` and `tiles`."""
    n_lanes = len(lanes)
    begin_step(slots, matrices, shape, tiles)
    for t in prange((n_batch + n_lanes - 1) // n_lanes):
        tile = tile_of(tiles, t)
        start = first + t * n_lanes
        n = min(n_lanes, n_batch - t * n_lanes)
        begin = forward(slots, matrices, shape, biases.value, tile, batch, start, n, lanes)
        loss, correct = judge(matrices, shape, tile, batch, start, n, n_batch, n_lanes)
        keep_outcome(work, t, (loss, correct, begin))
        backward(slots, matrices, shape, tile, batch, begin, start, n, n_batch, lanes)
        bias_gradient(shape, tile, batch, start, n, begin, biases.of_tile[t], n_lanes)


@inlined
def _follow(pointer, places, n_neurons, base, shape, last_step, last, n_lanes, replayed):
    """Add to ``replayed[base + i]`` the steps from each place of neuron i to its next in the same lane, or to `last_step`, each at most the cut-off.

    `last` : float32 (n_lanes,), written: one more than the step of the last place of a lane.
    """
    for i in range(n_neurons):
        last[:] = _ZERO
        total = np.int64(0)
        for k in range(pointer[i], pointer[i + 1]):
            step = np.int64(places[k]) // shape.stride
            lane = np.int64(places[k]) - step * shape.stride
            if step < last_step:
                if last[lane] > _ZERO:
                    total += min(step + 1 - np.int64(last[lane]), np.int64(shape.cutoff))
                last[lane] = np.float32(step + 1)
        for lane in range(n_lanes):
            if last[lane] > _ZERO:
                total += min(last_step + 1 - np.int64(last[lane]), np.int64(shape.cutoff))
        replayed[base + i] += total


@inlined
def follow_traces(matrices, shape, tile, n_lanes, replayed):
    """Count for how many steps the traces of the spikes of a tile last, of all matrices into spiking neurons. Writes `replayed`, `tile.dz`."""
    last = tile.dz[:n_lanes]
    m = shape.input_matrix[0]
    _follow(tile.in_pointer, tile.in_place, shape.n_inputs, matrices.pre_neuron[m], shape, shape.n_steps, last, n_lanes, replayed)
    for layer in range(shape.n_units.size):
        first, n = shape.unit_start[layer], shape.n_units[layer]
        pointer = tile.spike_pointer[first : first + n + 1]
        m = shape.recurrent_matrix[layer]
        if m >= 0:  # a spike comes one step later, and so lasts one step less
            _follow(pointer, tile.spike_place, n, matrices.pre_neuron[m], shape, shape.n_steps - 1, last, n_lanes, replayed)
        if layer < shape.n_units.size - 1:
            m = shape.input_matrix[layer + 1]
            _follow(pointer, tile.spike_place, n, matrices.pre_neuron[m], shape, shape.n_steps, last, n_lanes, replayed)


@inlined
def _count_batch(slots, segments, matrices, tally, batch, counting, work, shape, tiles, lanes, first, n_batch):
    """Book the walks of the samples, and their spikes. Writes `tally`, `work`."""
    add_walks(work.walks, shape.walks, batch.lengths, batch.order, first, n_batch)
    book_slots(slots, segments, matrices, tally, work.walks)
    for t in range((n_batch + len(lanes) - 1) // len(lanes)):
        for neuron in range(tally.by_neuron.size):
            tally.by_neuron[neuron] += tiles.seen[t, neuron]
        if tally.replayed.size > 0:
            follow_traces(matrices, shape, tile_of(tiles, t), len(lanes), tally.replayed)


@inlined
def _gather_chunk(slots, matrices, work, shape, tiles, partial, n_tiles, start, stop, lanes):
    """Add the gradients of all tiles for the slots [start, stop). Writes `slots.gradient`."""
    for t in range(n_tiles):
        add_gradient(slots, matrices, shape, tile_of(tiles, t), start, stop, lanes)


@inlined
def _close_counts(slots, segments, matrices, tally, counting, work, lanes, is_last):
    """Spikes are booked with every batch, and settled at the end of an epoch (`exchange.settle_tally`)."""


train_spikes = parallel_kernel(
    make_steps(
        "train_spikes",
        pass_batch=_pass_spikes,
        count_batch=_count_batch,
        gather_chunk=_gather_chunk,
        close_counts=_close_counts,
        follow_update=follow_update,
    )
)


@kernel
def prepare_rows(slots, matrices, shape, tiles):
    """Make the rows for an evaluation. Writes what all tiles share."""
    sort_all_rows(slots, matrices, shape, tiles)


@parallel_kernel
def evaluate_spikes(slots, matrices, shape, bias, batch, n_nonzero, tiles, lanes, result):
    """Accuracy and loss over all samples of `batch`; the rows of `tiles` are made.

    `n_nonzero` : int64 (numbered neurons,), written: spikes that walked the matrix of each.
    `result` : float64 (2,), written: sum of losses in nats, number of correct samples.
    """
    n_lanes = len(lanes)
    n_samples, n_at_once = batch.order.size, tiles.act.shape[0]
    n_tiles = (n_samples + n_lanes - 1) // n_lanes
    loss, correct = np.zeros(n_tiles, np.float64), np.zeros(n_tiles, np.int64)
    n_nonzero[:] = 0
    for group in range(0, n_tiles, n_at_once):
        n_here = min(n_at_once, n_tiles - group)
        for i in prange(n_here):
            tile = tile_of(tiles, i)
            start = (group + i) * n_lanes
            n = min(n_lanes, n_samples - start)
            forward(slots, matrices, shape, bias, tile, batch, start, n, lanes)
            loss[group + i], correct[group + i] = judge(matrices, shape, tile, batch, start, n, n_samples, n_lanes)
        for i in range(n_here):
            add_counts(n_nonzero, tiles.seen[i], n_nonzero.size)
    result[0], result[1] = np.float64(0.0), np.float64(0.0)
    for t in range(n_tiles):
        result[0] += loss[t]
        result[1] += np.float64(correct[t])
