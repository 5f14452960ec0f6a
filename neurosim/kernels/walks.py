"""Booking of walks: how often slots are walked and values travel, where that depends on lengths and not on values."""

import numpy as np

from neurosim.kernels.compile import inlined, kernel
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.membership import count_active

_SLOTS, _BACKWARD, _GRADIENT = int(SegmentEvent.SLOTS), int(SegmentEvent.SLOTS_BACKWARD), int(SegmentEvent.SLOTS_GRADIENT)


@inlined
def add_walks(walks, table, lengths, order, first, n):
    """Walks of the samples order[first : first + n].

    Parameters
    ----------
    walks : int64 array, shape (3, M)
        Forward, backward and gradient walks of each matrix. Written.
    table : int64 array, shape (n_steps + 1, 3, M)
        The same of one sample, by its length.
    lengths : int32 array, shape (n_samples,)
    order : int64 array
    """
    walks[:] = 0
    for i in range(first, first + n):
        length = np.int64(lengths[order[i]])
        for way in range(3):
            for matrix in range(walks.shape[1]):
                walks[way, matrix] += table[length, way, matrix]


@inlined
def book_slots(slots, segments, matrices, tally, walks):
    """Book `walks` of every segment as it is now: its active slots, and the errors that go back. What goes forward is counted by spikes.

    Writes `tally`; `walks` is that of `add_walks`.
    """
    for segment in range(segments.matrix.size):
        matrix, core = segments.matrix[segment], segments.core[segment]
        n = count_active(slots, segments, segment)
        backward = walks[1, matrix]
        tally.by_segment[segment, _SLOTS] += n * walks[0, matrix]
        tally.by_segment[segment, _BACKWARD] += n * backward
        tally.by_segment[segment, _GRADIENT] += n * walks[2, matrix]
        row, neuron = segments.fan_out_start[segment], matrices.pre_neuron[matrix]
        for pre in range(matrices.n_pre[matrix] if backward > 0 else 0):
            home = tally.home[neuron + pre]
            if home >= 0 and home != core and slots.fan_out[row + pre] > 0:
                tally.sent_back[core] += backward
                if tally.pairs.size > 0:
                    tally.pairs_back[core, home] += backward
    for matrix in range(matrices.n_pre.size):
        for neuron in range(matrices.pre_neuron[matrix], matrices.pre_neuron[matrix] + matrices.n_pre[matrix]):
            if tally.home[neuron] >= 0:
                tally.received_back[tally.home[neuron]] += walks[1, matrix] * tally.n_destinations[neuron]


@inlined
def book_walks(slots, segments, matrices, tally, walks):
    """Book `walks` of every segment as it is now: its active slots, and the values that its core needs of others.

    A walk forward needs the value of every pre neuron with a synapse in the segment, zero or not; a walk backward sends an error
    back for each. Sender and receiver are booked separately. Writes `tally`; `walks` is that of `add_walks`.
    """
    for segment in range(segments.matrix.size):
        matrix, core = segments.matrix[segment], segments.core[segment]
        n = count_active(slots, segments, segment)
        forward, backward = walks[0, matrix], walks[1, matrix]
        tally.by_segment[segment, _SLOTS] += n * forward
        tally.by_segment[segment, _BACKWARD] += n * backward
        tally.by_segment[segment, _GRADIENT] += n * walks[2, matrix]
        row, neuron = segments.fan_out_start[segment], matrices.pre_neuron[matrix]
        for pre in range(matrices.n_pre[matrix]):
            home = tally.home[neuron + pre]
            if home >= 0 and home != core and slots.fan_out[row + pre] > 0:
                tally.received[matrix, core] += forward
                tally.sent_back[core] += backward
                if tally.pairs.size > 0:
                    tally.pairs[home, core] += forward
                    tally.pairs_back[core, home] += backward
    for matrix in range(matrices.n_pre.size):
        for neuron in range(matrices.pre_neuron[matrix], matrices.pre_neuron[matrix] + matrices.n_pre[matrix]):
            if tally.home[neuron] >= 0:
                tally.sent[matrix, tally.home[neuron]] += walks[0, matrix] * tally.n_destinations[neuron]
                tally.received_back[tally.home[neuron]] += walks[1, matrix] * tally.n_destinations[neuron]


@kernel
def book_forward(slots, segments, matrices, tally, by_length, lengths, order):
    """Book the walks forward of all samples of `order`, of which nothing goes back. Writes `tally`; the others as in `add_walks`."""
    walks = np.zeros((3, matrices.n_pre.size), np.int64)
    add_walks(walks, by_length, lengths, order, 0, order.size)
    walks[1:] = 0
    book_walks(slots, segments, matrices, tally, walks)


@kernel
def book_forward_slots(slots, segments, matrices, tally, by_length, lengths, order):
    """As `book_forward`, for a network whose values are counted by spikes."""
    walks = np.zeros((3, matrices.n_pre.size), np.int64)
    add_walks(walks, by_length, lengths, order, 0, order.size)
    walks[1:] = 0
    book_slots(slots, segments, matrices, tally, walks)
