"""The arrays that kernels work on, grouped by what they describe.

Kernels see plain arrays in these named tuples; `neurosim.synapses.SynapseStore` builds them and keeps
their invariants. Lengths: S slots, G segments, M matrices, N neurons, P post neurons of all matrices.
"""

from enum import IntEnum
from typing import NamedTuple

import numpy as np


class Slots(NamedTuple):
    """State of the synapses; everything here is written during training."""

    pre: np.ndarray  #: int32 (S,), index of the pre neuron in its layer
    post: np.ndarray  #: int32 (S,), index of the post neuron in its layer
    weight: np.ndarray  #: float32 (S,), sign * theta; the sign bit is kept for zero as well
    master: np.ndarray  #: float32 (S,) or (0,), the wide copy of `weight` that learns, where weights are rounded from one
    active: np.ndarray  #: uint8 (S,), 1 for a connection, 0 for a free slot (its weight is +-0)
    gradient: np.ndarray  #: float32 (S,), dE/dweight of the current step, zero between steps
    moments: np.ndarray  #: float32 (0 to 2, S), state of the optimizer, zero where a slot is not active
    table: np.ndarray  #: int32, hash tables of the positions that are taken, one a matrix, -1 where empty
    fan_in: np.ndarray  #: int32 (P,), active synapses of each post neuron
    fan_out: np.ndarray  #: int32 (sum of n_pre over segments,), active synapses per segment and pre
    free_slot: np.ndarray  #: int32 (S,), stack of the free slots of each segment, from its first slot
    n_free: np.ndarray  #: int64 (G, 8), height of that stack as the first in a cache line of its own
    disorder: np.ndarray  #: int64 (2,), arrivals since the slots were last in order; the sum of that over the tiles since then
    is_stray: np.ndarray  #: uint64 (S / 64, rounded up), one bit a slot: an arrival since the slots were last in order
    # What the rows of each core use, kept in step where `Segments.is_limited`, else zero. A row is a pre neuron with
    # at least one synapse in a segment.
    in_axons: np.ndarray  #: int64 (C,), rows of a core over all its segments
    out_axons: np.ndarray  #: int64 (C,), pairs (neuron of the core, other core that holds synapses of it)
    words: np.ndarray  #: int64 (C,), words of packed lists
    segment_words: np.ndarray  #: int64 (G,), the same per segment
    row_work: np.ndarray  #: int64 (largest n_pre,), work space of the exact draw
    # Where rows lead, kept in step where `Segments.counts_routes`; a second dimension of 0 where the one is not stated.
    routed: np.ndarray  #: int32 (N, chips), rows of a neuron for which the router of a chip needs an entry
    routing_entries: np.ndarray  #: int64 (C,), neurons with such rows, by the number of the chip
    reached: np.ndarray  #: int32 (N, places), rows of a neuron at each place that counts as one target
    targets: np.ndarray  #: int32 (N,), such places of a neuron


class Segments(NamedTuple):
    """One entry per (matrix, core); the slots of a segment are contiguous. Read only."""

    matrix: np.ndarray  #: int64 (G,)
    core: np.ndarray  #: int64 (G,)
    slot_start: np.ndarray  #: int64 (G + 1,)
    post_start: np.ndarray  #: int64 (G,), first post neuron of the core
    n_positions: np.ndarray  #: int64 (G,), n_pre * number of post neurons
    n_possible: np.ndarray  #: int64 (G,), the same without those of neurons to themselves, where these are none
    fan_out_start: np.ndarray  #: int64 (G,), where the segment's rows start in `Slots.fan_out`
    n_wanted: np.ndarray  #: int64 (number of scopes,), active synapses promised per scope
    scope_start: np.ndarray  #: int64 (number of scopes + 1,), segments of each scope
    # Limits on rows; `NO_LIMIT` where nothing is stated. (Not a tuple of their own: numba's parallel loops take no
    # tuples inside tuples.)
    is_limited: bool  #: whether any of them is stated, or a limit on routes can be reached; False costs nothing
    in_axon_limit: np.ndarray  #: int64 (C,)
    out_axon_limit: np.ndarray  #: int64 (C,)
    word_limit: np.ndarray  #: int64 (C,)
    synapse_bits: np.ndarray  #: int64 (C,), bits of a synapse in a packed list
    header_bits: int  #: bits of a block of a list beside its synapses
    block_synapses: int  #: most synapses of a block
    word_bits: int  #: unit that a block is rounded up to; 0 where lists are not packed
    counts_routes: bool  #: whether routing entries or targets are counted; False costs nothing
    sender: np.ndarray  #: int64 (N,), first number of the same neuron, whose routes are taken once
    chip: np.ndarray  #: int64 (C,), chip of a core
    entry_limit: np.ndarray  #: int64 (C,), routing entries, by the number of the chip
    target_place: np.ndarray  #: int64 (C,), place of a core that counts as one target: the core, or its chip
    target_limit: np.ndarray  #: int64 (C,), most such places of one neuron, by its home


class Matrices(NamedTuple):
    """One entry per weight matrix. Read only."""

    n_pre: np.ndarray  #: int64 (M,)
    n_post: np.ndarray  #: int64 (M,)
    slot_start: np.ndarray  #: int64 (M + 1,)
    table_start: np.ndarray  #: int64 (M + 1,), where its part of `Slots.table` starts, whose size is a power of two
    position_bits: np.ndarray  #: int64 (M,), bits that the numbers of its positions are scattered over by the membership table
    rest_bits: np.ndarray  #: int64 (M,), those of them that do not follow from the place in the table
    fan_in_start: np.ndarray  #: int64 (M,), where its post neurons start in `Slots.fan_in`
    fan_in_limit: np.ndarray  #: int64 (M,), most active synapses of one post neuron
    pre_neuron: np.ndarray  #: int64 (M,), first pre neuron in the numbering of all neurons; each matrix has a range of its own
    post_neuron: np.ndarray  #: int64 (M,), first post neuron in that numbering
    sign_key: np.ndarray  #: uint64 (M,), key of the constant signs
    skips_self: np.ndarray  #: uint8 (M,), 1 where pre neurons are post neurons, and none has a synapse to itself
    sign_step: np.ndarray  #: int64 (M,), 1, or 0 where all synapses of a pre neuron share one sign
    step: np.ndarray  #: float32 (M,), least step of stored strengths, 0 for float32; see `kernels.rounding`
    top: np.ndarray  #: float32 (M,), largest stored strength
    ulp: np.ndarray  #: float32 (M,), step relative to the power of two below a strength


class Tally(NamedTuple):
    """Integer event counts of a run; written only by kernels, read by the accounting."""

    by_segment: np.ndarray  #: int64 (G, number of SegmentEvent)
    by_neuron: np.ndarray  #: int64 (N,), samples in which the neuron was non-zero, since the last settling, but those of `recent`
    replayed: np.ndarray  #: int64 (N,), steps for which traces of the neuron were followed, since the last settling; (0,) where nobody asks
    recent: np.ndarray  #: uint16 (N,), the same of the last places; zero between calls, see `marks.count_marks`
    n_recent: np.ndarray  #: int64 (1,), how many places these are
    sent: np.ndarray  #: int64 (M, C), values of pre neurons of a matrix that a core sent to other cores
    received: np.ndarray  #: int64 (M, C), values of pre neurons of a matrix that a core received from other cores
    n_destinations: np.ndarray  #: int32 (N,), other cores that hold synapses of the neuron
    pairs: np.ndarray  #: int64 (C, C), the same values, from core to core; (0, 0) where it makes no difference
    sent_back: np.ndarray  #: int64 (C,), partial errors that a core sent to the cores of its pre neurons
    received_back: np.ndarray  #: int64 (C,), partial errors that a core received for its own neurons
    pairs_back: np.ndarray  #: int64 as `pairs`, the same partial errors
    # Which values of the last samples were not zero, see `kernels.marks`; N rounded up, and no places between calls.
    live: np.ndarray  #: uint16 (places, N), bits of activations
    wrong: np.ndarray  #: uint16 (places, N), bits of errors
    live_lines: np.ndarray  #: uint64 (N, 8), the same of 512 samples, neuron by neuron
    wrong_lines: np.ndarray  #: uint64 (N, 8)
    n_open: np.ndarray  #: int64 (1,), places that are not counted for pairs yet; zero between calls
    exchanged: np.ndarray  #: int32 (entries, 4), who came (-1 - segment) or went (segment) meanwhile, pre and post neuron, open places
    n_exchanged: np.ndarray  #: int64 (1,), how many
    home: np.ndarray  #: int64 (N,), core of the neuron, -1 for inputs (they come from the host)
    nonzero: np.ndarray  #: int64 (N,), samples in which the neuron was non-zero, whole run
    peak: np.ndarray  #: int64 (number of Resource, C), most in use at any moment, first draw included
    unfilled_by: np.ndarray  #: int64 (number of Binding,), (rewiring step, slot) pairs without a position, by what bound
    saturated: np.ndarray  #: int64 (M,), (step, slot) pairs in which theta was cut to the largest stored strength


class SegmentEvent(IntEnum):
    """Columns of `Tally.by_segment`."""

    SLOTS = 0  #: (walk, active slot) pairs forward; a sample walks a matrix once, step by step more often
    PRE_NONZERO = 1  #: ... with a non-zero pre activation
    PAIR_NONZERO = 2  #: ... with a non-zero pre activation and a non-zero post error
    ROWS_NONZERO = 3  #: (sample, pre neuron) pairs: non-zero, with at least one synapse in the segment
    UPDATED = 4  #: (step, active slot) pairs
    DRAWN = 5  #: random draws of updates: normal deviates, and one number for each stochastic rounding
    RELEASED = 6  #: synapses that left
    ACCEPTED = 7  #: proposals that became synapses
    REJECTED = 8  #: proposals that were taken or not feasible
    EXACT = 9  #: arrivals placed by an exact rank draw
    ROWS_CHECKED = 10  #: slots in the rows of the proposals, when they were made
    MERGES = 11  #: passes that put arrivals in order in a layout sorted by row
    UNFILLED = 12  #: (rewiring step, slot) pairs that found no feasible position
    WORDS = 13  #: (sample, word of a packed list) pairs
    WORDS_NONZERO = 14  #: ... in the list of a non-zero pre neuron
    WORDS_UPDATED = 15  #: (step, word) pairs
    WORDS_READ = 16  #: words read by rewiring: in searches, and of lists before they change
    WORDS_WRITTEN = 17  #: words of lists after they changed
    PLACED = 18  #: arrivals at positions that the rule chose
    ERASED = 19  #: synapses that left without a successor and are marked as gone
    SEARCHES = 20  #: searches for the smallest weights of the segment
    RANKED = 21  #: (search, active slot) pairs
    DENSE_SAMPLES = 22  #: walks of dense gradients: one a sample, or one a step of it
    DENSE_ROWS = 23  #: (walk, pre neuron) pairs of dense gradients with a non-zero pre activation
    DENSE_SEARCHES = 24  #: searches for the largest dense gradients of the segment
    MASKED = 25  #: (such a search, active slot) pairs: positions that are taken
    DORMANT = 26  #: (step, dormant position) pairs that move by noise alone
    SLOTS_BACKWARD = 27  #: (walk, active slot) pairs backward: errors of post neurons to pre neurons
    SLOTS_GRADIENT = 28  #: (walk, active slot) pairs of gradients
    SEEN = 29  #: (rewiring, active slot) pairs, before anything leaves
    WORDS_SEEN = 30  #: (rewiring, word) pairs of packed lists
    PRE_REPLAYED = 31  #: (step, active slot) pairs in which the trace of the pre neuron was followed, see `spiking.follow_traces`
    PLACE_ROWS = 32  #: (sample, active slot of a convolution, row of places at which it reads no border)


N_SEGMENT_EVENTS = len(SegmentEvent)


class Resource(IntEnum):
    """Rows of `Tally.peak`: what the rows of a core use."""

    IN_AXONS = 0
    OUT_AXONS = 1
    WORDS = 2
    ROUTING_ENTRIES = 3  #: by the number of the chip, not of the core
    TARGETS = 4  #: of one neuron of the core


class Binding(IntEnum):
    """Columns of `Tally.unfilled_by`: what kept every free position of a scope from being used; several may."""

    SLOTS = 0  #: segments without a free slot
    FAN_IN = 1  #: post neurons at their fan-in
    IN_AXONS = 2
    OUT_AXONS = 3
    WORDS = 4
    ROUTING_ENTRIES = 5
    TARGETS = 6


#: Stands for a limit that nobody states.
NO_LIMIT = np.iinfo(np.int32).max
