"""Walks of spikes: lists of where a neuron was not zero, and the synapses that these reach.

A *place* is the offset of a (step, lane) from the row of a neuron: ``step * stride + lane``. A slot whose pre neuron has few places is walked
along them; spikes of a step are sent along *rows*, copies of a matrix that are sorted by pre neuron and made anew for each batch.

Lists with pointers are filled by one trick: counts stand two entries behind their neuron, so that after the sums and the filling, with
entry ``i + 1`` as the cursor of neuron i, the list of neuron i is [pointer[i], pointer[i + 1]).
"""

from typing import NamedTuple

import numpy as np
from numba.cpython.unsafe.numbers import trailing_zeros

from neurosim.kernels.bits import count_bits
from neurosim.kernels.compile import inlined
from neurosim.kernels.lanes import forward_slots


class EventBatch(NamedTuple):
    """The samples of an epoch as events: inputs that are not zero. Read only."""

    start: np.ndarray  #: int64 (n + 1,), where the events of a sample begin
    step: np.ndarray  #: int32 (events,), step of each, of those of the longest sample, which all end together
    unit: np.ndarray  #: int32 (events,), its input
    value: np.ndarray  #: float32 (events,), its value, 1 of a spike
    labels: np.ndarray  #: int32 (n,)
    order: np.ndarray  #: int64, the samples in the order of this epoch
    size: int  #: samples in a batch; the last batch of an epoch may be smaller
    lengths: np.ndarray  #: int32 (n,), steps of each sample

    def for_kernels(self):
        """Itself: kernels take it as it is."""
        return self


@inlined
def _add_up(pointer):
    for i in range(1, pointer.size):
        pointer[i] += pointer[i - 1]


@inlined
def list_events(pointer, places, values, batch, first, n_samples, stride):
    """List the places and values of each input for the samples order[first : first + n_samples], one a lane.

    `pointer` : int32 (n_inputs + 2,); `places` : int32, `values` : float32. All are written.
    """
    pointer[:] = 0
    for lane in range(n_samples):
        sample = batch.order[first + lane]
        for event in range(batch.start[sample], batch.start[sample + 1]):
            pointer[np.uint64(batch.unit[event]) + np.uint64(2)] += 1
    _add_up(pointer)
    for lane in range(n_samples):
        sample = batch.order[first + lane]
        for event in range(batch.start[sample], batch.start[sample + 1]):
            unit = np.uint64(batch.unit[event]) + np.uint64(1)
            at = np.uint64(pointer[unit])
            places[at] = np.int32(np.int64(batch.step[event]) * stride + lane)
            values[at] = batch.value[event]
            pointer[unit] += 1


@inlined
def list_spikes(pointer, places, masks, first, last, n_neurons, stride):
    """List the places of each neuron in the steps [first, last).

    `masks` : uint64 (steps * n_neurons,), lanes of the spikes. `pointer` : int32 (n_neurons + 2,), `places` : int32, written.
    """
    pointer[:] = 0
    for step in range(first, last):
        for neuron in range(n_neurons):
            pointer[neuron + 2] += np.int32(count_bits(masks[step * n_neurons + neuron]))
    _add_up(pointer)
    for step in range(first, last):
        for neuron in range(n_neurons):
            mask = masks[step * n_neurons + neuron]
            at = np.uint64(pointer[neuron + 1])
            while mask != 0:
                places[at] = np.int32(step * stride + np.int64(trailing_zeros(mask)))
                at += np.uint64(1)
                mask &= mask - np.uint64(1)
            pointer[neuron + 1] = np.int32(at)


@inlined
def add_inputs(slots, start, stop, pointer, places, values, sums, base, n_lanes):
    """Add weight * value to the sums of the slots [start, stop), place by place of their inputs. Writes `sums`."""
    for slot in range(start, stop):
        pre = np.uint64(slots.pre[slot])
        weight, row = slots.weight[slot], base + np.int64(slots.post[slot]) * n_lanes
        for i in range(np.uint64(pointer[pre]), np.uint64(pointer[pre + np.uint64(1)])):
            sums[np.uint64(row + places[i])] += weight * values[i]


@inlined
def _sum_errors(places, first, last, errors, row):
    # Four sums side by side: each alone would wait for the sum before.
    a, b, c, d = np.float32(0.0), np.float32(0.0), np.float32(0.0), np.float32(0.0)
    i = first
    while i + np.uint64(4) <= last:
        a += errors[np.uint64(row + places[i])]
        b += errors[np.uint64(row + places[i + np.uint64(1)])]
        c += errors[np.uint64(row + places[i + np.uint64(2)])]
        d += errors[np.uint64(row + places[i + np.uint64(3)])]
        i += np.uint64(4)
    while i < last:
        a += errors[np.uint64(row + places[i])]
        i += np.uint64(1)
    return (a + b) + (c + d)


@inlined
def gather_spikes(slots, start, stop, pointer, first_neuron, places, errors, base, n_lanes):
    """Add the errors of the post neuron at all places of the pre neuron to the gradient of each slot in [start, stop).

    `base` : offset of the first post row in `errors`; one of the next step is a stride further. Writes `slots.gradient`.
    """
    for slot in range(start, stop):
        pre = np.uint64(first_neuron + np.int64(slots.pre[slot]))
        row = base + np.int64(slots.post[slot]) * n_lanes
        first, last = np.uint64(pointer[pre]), np.uint64(pointer[pre + np.uint64(1)])
        if first < last:
            slots.gradient[slot] += _sum_errors(places, first, last, errors, row)


@inlined
def gather_inputs(slots, start, stop, pointer, places, values, errors, base, n_lanes):
    """As `gather_spikes`, with values of inputs. Writes `slots.gradient`."""
    for slot in range(start, stop):
        pre = np.uint64(slots.pre[slot])
        row = base + np.int64(slots.post[slot]) * n_lanes
        total = np.float32(0.0)
        for i in range(np.uint64(pointer[pre]), np.uint64(pointer[pre + np.uint64(1)])):
            total += values[i] * errors[np.uint64(row + places[i])]
        slots.gradient[slot] += total


@inlined
def sort_rows(slots, matrices, m, pointer, pre, post, weight):
    """Copy the active synapses of a matrix, sorted by pre neuron, to the places of its slots.

    `pointer` : int32 (n_pre + 2,), of the matrix; the others as long as all slots. All are written.
    """
    start, stop = matrices.slot_start[m], matrices.slot_start[m + 1]
    pointer[:] = 0
    for slot in range(start, stop):
        pointer[np.uint64(slots.pre[slot]) + np.uint64(2)] += np.int32(slots.active[slot] == 1)
    pointer[0] += np.int32(start)
    _add_up(pointer)
    for slot in range(start, stop):
        if slots.active[slot] == 1:
            row = np.uint64(slots.pre[slot]) + np.uint64(1)
            at = np.uint64(pointer[row])
            pre[at], post[at], weight[at] = slots.pre[slot], slots.post[slot], slots.weight[slot]
            pointer[row] += 1


@inlined
def send_spikes(mask, start, stop, pre, post, weight, spikes, spikes_base, sums, base, lanes):
    """Add the weights of a row [start, stop) of one neuron to the sums of its post neurons in the lanes of `mask`. Writes `sums`."""
    n_lanes = len(lanes)
    if 8 * count_bits(mask) <= n_lanes or n_lanes == 1:
        while mask != 0:
            lane = base + np.int64(trailing_zeros(mask))
            mask &= mask - np.uint64(1)
            for i in range(start, stop):
                sums[np.uint64(lane + np.int64(post[i]) * n_lanes)] += weight[i]
    else:
        forward_slots(sums, base, spikes, spikes_base, pre, post, weight, start, stop, lanes)
