"""Passes of one tile that threads share, each with rows of its own.

Where layers are so large and sparse that rows come from far caches (`order.is_scattered`), a tile for each thread makes
their tiles compete for the last of them. Here all threads work on the same tile: forward a share has a range of post
rows, backward a range of strips and so of pre rows, and adds to the gradient of the slots there.

Slots are in order, but for strays (`Slots.is_stray`) and for free slots at the end of a segment, which hold what was
there last. A share looks its slots up in what is in order, and of the strays does those whose rows it has. So the sums of a row have
one order, whatever the number of shares: the slots in order strip by strip, then the strays.
"""

import numpy as np
from numba.cpython.unsafe.numbers import leading_zeros, trailing_zeros

from neurosim.kernels.bits import ALL, free_bits, keep_within
from neurosim.kernels.compile import bind, inlined, part
from neurosim.kernels.lanes import backward_slots, forward_slots, gradient_slots
from neurosim.kernels.mlp import fill_sums, mark_something
from neurosim.kernels.order import count_strips, cut_of, first_row, key_of

# The functions of the cells, which `make_shares` replaces.
activate = turn_back = None

#: What `_next` looks for, as bits that turn its marks into ones.
_STRAY, _ORDERED = np.uint64(0), ALL


@inlined
def _next(slots, slot, stop, kind):
    """The first of the slots [slot, stop) that is a stray, or that is none; `stop` where there is no such slot."""
    while slot < stop:
        bits = (slots.is_stray[slot >> 6] ^ kind) >> np.uint64(slot & 63)
        if bits != 0:
            return min(slot + np.int64(trailing_zeros(bits)), stop)
        slot = (slot | 63) + 1
    return stop


@inlined
def _ordered_stop(slots, start, stop):
    """Where the part of a segment that is in order ends: behind its last active slot that is no stray.

    A slot that became free keeps its neurons and so its place, until it is a stray or lies behind this end.
    """
    for word in range((stop - 1) // 64, start // 64 - 1, -1):
        bits = keep_within(~(slots.is_stray[word] | free_bits(slots.active, word)), word, start, stop)
        if bits != 0:
            return word * 64 + 64 - np.int64(leading_zeros(bits))
    return start


@inlined
def _find(slots, low, high, key, post_start, n_strips, factor, n_posts):
    """Where in [low, high), in order but for strays, slots with at least this key begin."""
    while low < high:
        middle = (low + high) // 2
        probe = _next(slots, middle, high, _ORDERED)
        if probe < high and key_of(slots.pre[probe], slots.post[probe] - post_start, n_strips, factor, n_posts) < key:
            low = probe + 1
        else:
            high = middle
    return low


@inlined
def _share_bound(n_rows, share, n_shares):
    """The first row of a share."""
    return n_rows * share // n_shares


def _forward_share(slots, segments, matrices, layers, biases, m, share, n_shares, act, n_samples, lanes):
    """The sums of a share's post rows of one matrix, and the outputs of hidden ones.

    `act` : float32 (N * n_lanes,), written in these rows alone.
    """
    n_lanes = len(lanes)
    x_base, z_base = matrices.pre_neuron[m] * n_lanes, matrices.post_neuron[m] * n_lanes
    low, high = _share_bound(matrices.n_post[m], share, n_shares), _share_bound(matrices.n_post[m], share + 1, n_shares)
    fill_sums(act[z_base + low * n_lanes : z_base + high * n_lanes], matrices, m, low, biases, n_samples, n_lanes)
    for segment in range(segments.matrix.size):
        start, stop, post_start = segments.slot_start[segment], segments.slot_start[segment + 1], segments.post_start[segment]
        n_strips, factor, n_posts = cut_of(segments, matrices, segment)
        least, most = max(low - post_start, 0), min(high - post_start, n_posts)
        if segments.matrix[segment] != m or least >= most:
            continue
        end = _ordered_stop(slots, start, stop)
        is_whole = most - least == n_posts  # all strips are then one range
        last = start
        for strip in range(1 if is_whole else n_strips):
            first, key = last, strip * n_posts
            if not is_whole:
                first = _find(slots, first, end, key + least, post_start, n_strips, factor, n_posts)
            last = end if is_whole else _find(slots, first, end, key + most, post_start, n_strips, factor, n_posts)
            first = _next(slots, first, last, _ORDERED)
            while first < last:
                gap = _next(slots, first, last, _STRAY)
                forward_slots(act, z_base, act, x_base, slots.pre, slots.post, slots.weight, first, gap, lanes)
                first = _next(slots, gap, last, _ORDERED)
        slot = _next(slots, start, stop, _STRAY)
        while slot < stop:
            if low <= slots.post[slot] < high:
                forward_slots(act, z_base, act, x_base, slots.pre, slots.post, slots.weight, slot, slot + 1, lanes)
            slot = _next(slots, slot + 1, stop, _STRAY)
    if m < matrices.n_pre.size - 1:
        activate(layers.kinds[m], act, matrices.post_neuron[m] + low, matrices.post_neuron[m] + high, lanes)


@inlined
def _add_back(slots, m, act, err, e_base, d_base, start, stop, lanes):
    """The gradient of the slots [start, stop), and but for the inputs the errors of their pre rows."""
    if m == 0:
        gradient_slots(slots.gradient, act, e_base, err, d_base, slots.pre, slots.post, start, stop, lanes)
    else:
        backward_slots(slots.gradient, act, err, e_base, d_base, slots.pre, slots.post, slots.weight, start, stop, lanes)


def _backward_share(
    slots, segments, matrices, layers, m, share, n_shares, act, err, n_samples, lanes, live, live_place, wrong, wrong_place,
):  # fmt: skip
    """The errors of a share's pre rows of one matrix, turned back through their cell and marked, and the gradient of the slots there.

    `err` : float32 (N * n_lanes,), written in these rows alone, and not for the inputs; adds to `slots.gradient`.
    `live`, `wrong` : uint16 (places, neurons), each written if its place is not negative.
    """
    n_lanes = len(lanes)
    e_base, d_base = matrices.pre_neuron[m] * n_lanes, matrices.post_neuron[m] * n_lanes
    n_all = count_strips(matrices, m)
    first_strip, last_strip = n_all * share // n_shares, n_all * (share + 1) // n_shares
    low, high = first_row(matrices, m, first_strip), first_row(matrices, m, last_strip)
    if m > 0:
        err[e_base + low * n_lanes : e_base + high * n_lanes] = np.float32(0.0)
    for segment in range(segments.matrix.size):
        if segments.matrix[segment] != m:
            continue
        start, stop, post_start = segments.slot_start[segment], segments.slot_start[segment + 1], segments.post_start[segment]
        n_strips, factor, n_posts = cut_of(segments, matrices, segment)
        end = _ordered_stop(slots, start, stop)
        first = _find(slots, start, end, first_strip * n_posts, post_start, n_strips, factor, n_posts)
        last = _find(slots, first, end, last_strip * n_posts, post_start, n_strips, factor, n_posts)
        first = _next(slots, first, last, _ORDERED)
        while first < last:
            gap = _next(slots, first, last, _STRAY)
            _add_back(slots, m, act, err, e_base, d_base, first, gap, lanes)
            first = _next(slots, gap, last, _ORDERED)
        slot = _next(slots, start, stop, _STRAY)
        while slot < stop:
            if low <= slots.pre[slot] < high:
                _add_back(slots, m, act, err, e_base, d_base, slot, slot + 1, lanes)
            slot = _next(slots, slot + 1, stop, _STRAY)
    if m > 0:
        first, last = matrices.pre_neuron[m] + low, matrices.pre_neuron[m] + high
        turn_back(layers.kinds[m - 1], err, act, first, last, live, live_place, wrong, wrong_place, n_samples, lanes)
        mark_something(layers, m - 1, act, first, last, live, live_place, lanes)


def make_shares(cells):
    """`_forward_share` and `_backward_share` of a network with these cells (`cells.join_cells`).

    A function that is not inlined cannot take another as an argument: Numba would not keep it on disk.
    """
    verbs = {"activate": cells.forward, "turn_back": cells.backward}
    return tuple(part(bind(f, f"{f.__name__}_{cells.name}", **verbs)) for f in (_forward_share, _backward_share))
