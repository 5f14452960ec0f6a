"""What a dense feed-forward network does in some samples, counted without training it: for runs whose measurements are published."""

import numpy as np

from neurosim.accounting.activity import Activity
from neurosim.kernels.layout import SegmentEvent
from neurosim.placement.families import family_of
from neurosim.placement.rows import count_words


def dense_activity(placement, n_samples, inputs, hidden):
    """Counts of a network in which all connections are active, and of each layer the given part of the neurons.

    Every weight is updated once a sample. Which neurons are active makes no difference here: each core sees the same part of every layer.

    Parameters
    ----------
    placement : Placement
        Of a feed-forward network with all connections.
    n_samples : int
    inputs, hidden : float
        Fractions of the inputs, and of the neurons of each hidden layer, that are not zero; rounded to whole neurons.

    Returns
    -------
    Activity
    """
    layout, topology = placement.layout, placement.workload.topology
    segment = {event.name.lower(): np.zeros(layout.core.size, np.int64) for event in SegmentEvent}
    n_active = [round(size * (inputs if i == 0 else hidden)) for i, size in enumerate(topology.sizes[:-1])]
    slots = np.array([s.n_slots for s in placement.segments], np.int64)
    active = np.array([n_active[p] for p in layout.pre.tolist()], np.int64)
    learns = layout.pre > 0
    for name in ("slots", "slots_gradient", "updated"):
        segment[name] += n_samples * slots
    segment["slots_backward"] += n_samples * slots * learns
    segment["rows_nonzero"] += n_samples * active
    segment["pre_nonzero"] += n_samples * active * layout.n_post
    segment["pair_nonzero"] += segment["pre_nonzero"]  # every error is taken as not zero
    family = family_of(placement.profile)
    if hasattr(family, "packing"):
        packings = [family.packing(placement.profile, placement.workload, n) for n in layout.own.sum(axis=0).tolist()]
        words = count_words([packings[c] for c in layout.core.tolist()], layout.n_post, layout.n_pre, slots, slots, False).most
        for name in ("words", "words_updated", "words_seen"):
            segment[name] += n_samples * words
        segment["words_nonzero"] += n_samples * words * active // layout.n_pre
    n_cores = placement.n_cores
    sent, received = (np.zeros((len(topology.projections), n_cores), np.int64) for _ in range(2))
    pairs = np.zeros((n_cores, n_cores), np.int64)
    for matrix, projection in enumerate(topology.projections):
        if projection.pre == 0:
            continue
        ends = np.cumsum(layout.own[projection.pre]) * n_active[projection.pre] // topology.sizes[projection.pre]
        firing = np.diff(ends, prepend=0)
        targets = np.unique(layout.core[layout.matrix == matrix])
        travel = np.zeros_like(pairs)
        travel[:, targets] = n_samples * firing[:, None]
        np.fill_diagonal(travel, 0)
        sent[matrix], received[matrix] = travel.sum(axis=1), travel.sum(axis=0)
        pairs += travel
    # Spread evenly, so that each core has as many as `ends` says.
    nonzero = n_samples * np.concatenate([np.diff(np.arange(size + 1) * n // size) for n, size in zip(n_active, topology.sizes, strict=False)])
    passes = np.full((2, len(topology.populations)), n_samples, np.int64)
    walks = np.full((3, len(topology.projections)), n_samples, np.int64)
    walks[1] *= [projection.pre > 0 for projection in topology.projections]
    tells = placement.geometry.tells_packets_apart
    none = np.zeros((0, 0), np.int64)
    return Activity(
        segment, nonzero, sent, received, pairs if tells else none, received.sum(axis=0), sent.sum(axis=0), pairs.T.copy() if tells else none,
        passes, walks, n_samples, n_samples,
    )  # fmt: skip
