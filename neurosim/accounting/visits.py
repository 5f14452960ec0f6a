"""Slots that a core walks, positions and synapses that rewiring works on: what events and traffic both multiply with their widths."""

from dataclasses import dataclass

import numpy as np

from neurosim.accounting.activity import Shape
from neurosim.accounting.spiking_visits import forward_visits, gradient_visits
from neurosim.placement.families import family_of
from neurosim.placement.memory import SEARCH_BITS, has_row_pointers


@dataclass(frozen=True)
class Visits:
    """Slots that a core walks and multiplies per phase: int64 arrays, shape (n_segments,).

    The slot of a convolution counts at every place; its words are read once a walk, and its gradient is written once: `forward_words`,
    `backward_words`, `gradient_words`. Elsewhere these are the slots walked.
    """

    forward: np.ndarray
    backward: np.ndarray
    gradient: np.ndarray
    forward_ops: np.ndarray
    backward_ops: np.ndarray
    gradient_ops: np.ndarray
    forward_words: np.ndarray
    backward_words: np.ndarray
    gradient_words: np.ndarray


def count_visits(placement, activity):
    """Slots walked and multiplied, by execution style and storage family.

    ``scan`` walks and multiplies every slot. ``event_driven`` walks the rows of non-zero activations and
    multiplies, in backward and gradient, only where the error is non-zero. Where circuits multiply, the forward
    product happens for non-zero activations; the processor beside them walks all slots to learn.
    """
    segment, later = activity.segment, placement.layout.pre > 0
    if placement.workload.topology.spiking:
        # A spike walks its row where rows can be found, and errors go back along every slot.
        visits = (forward_visits(placement, activity), segment["slots_backward"], gradient_visits(placement, activity))
        return Visits(*visits, *visits, *visits)
    slots, backward, gradient = (segment[k] for k in ("slots", "slots_backward", "slots_gradient"))
    rows, pairs = segment["pre_nonzero"], segment["pair_nonzero"]
    if not family_of(placement.profile).is_program:
        return Visits(rows, backward, gradient, rows, backward, gradient, rows, backward, gradient)
    if placement.workload.execution == "event_driven":
        return Visits(rows, rows * later, rows, rows, pairs * later, pairs, rows, rows * later, rows)
    words = (slots, backward, gradient)
    if placement.workload.topology.has_maps:
        # An evaluation has no way back.
        n, is_training = segment["words"], (gradient > 0)
        words = (n, n * later * is_training, n * is_training)
    return Visits(slots, backward, gradient, slots, backward, gradient, *words)


@dataclass(frozen=True)
class Dense:
    """What dense gradients took, int64: (walk, position) products per segment; packets by matrix and core."""

    operations: np.ndarray
    sent: np.ndarray
    received: np.ndarray


def count_dense(placement, activity):
    """Products and packets of dense gradients.

    ``event_driven`` skips the rows of zero activations. Every core needs all activations of the layers before it, with or
    without a synapse, so each hidden neuron sends to every other core with a segment of the next matrix.
    """
    shape = Shape(placement)
    walks = activity.segment["dense_samples"]
    is_sorted = has_row_pointers(placement.profile, placement.workload)
    rows = activity.segment["dense_rows"] if is_sorted else walks * shape.n_pre
    sent, received = (np.zeros((len(shape.topology.projections), shape.n_cores), np.int64) for _ in range(2))
    for g in np.flatnonzero(shape.remote):
        own = shape.own_sent[shape.pre[g]].copy()
        own[shape.core[g]] = 0
        sent[shape.matrix[g]] += walks[g] * own
        received[shape.matrix[g], shape.core[g]] += walks[g] * shape.remote[g]
    return Dense(rows * (shape.n_positions // shape.n_pre), sent, received)


def count_arrivals(placement, activity):
    """Synapses that were written into slots. In fixed places a dormant one wakes where it lies: its update has written it."""
    events = activity.segment
    wakes_in_place = placement.workload.has_places and not placement.workload.host_learns
    return events["accepted"] + events["exact"] + (0 if wakes_in_place else events["placed"])


def count_search_passes(bits):
    """Passes over numbers of `bits` bits in which a search counts."""
    return -(-bits // SEARCH_BITS)
