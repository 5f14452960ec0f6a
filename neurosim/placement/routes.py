"""Where neurons send: entries of the routers of chips, and targets of single neurons, at the least, expected, and at most.

Inputs come from the host and take neither. A neuron with a synapse on another core takes an entry in the router of its own chip, and
in that of each other chip on which it has synapses. A target is a place on which a neuron has synapses: a core, its own
included, or a chip. The run keeps the exact counts (`kernels.limits`); these bound them before it.
"""

import numpy as np

from neurosim.placement.rows import Bounds, log_empty

_SURELY_NOT = -1e3  # log of a probability of 0 that can be subtracted again


def count_entries(layout, chip, n_active, slots, with_expected=True):
    """Routing entries of each chip: `Bounds`, shape (n_chips,).

    Parameters
    ----------
    layout : Layout
    chip : int64 array, shape (n_cores,)
        Chip of each core.
    n_active, slots : int64 array, shape (n_segments,)
    with_expected : bool
        Without, `expected` is `most`; a search needs no more.
    """
    chips = np.arange(chip.max() + 1)[:, None]
    lives = chip == chips
    least, most, expected = (np.zeros(len(chips)) for _ in range(3))
    for own, segments in _senders(layout):
        core, n_pre, n_post = layout.core[segments], layout.n_pre[segments], layout.n_post[segments]
        lies = chip[core] == chips
        # Whose rows on a segment take an entry: where it lies on the chip, of all neurons but those of its own core; elsewhere, of the
        # neurons that live on the chip. The others can hold only so many synapses.
        able = np.where(lies, n_pre - own[core], (own * lives).sum(axis=1)[:, None])
        left = n_active[segments] - (n_pre - able) * n_post
        least += (-(-np.maximum(left, 0) // n_post)).max(axis=1)

        def entries(values, share, own=own, core=core):
            # A neuron that lives on the chip: what is on other cores than its own. Another one: what is on the chip.
            on_core = np.bincount(core, values, layout.n_cores)
            on_chip = (on_core * lives).sum(axis=1)[:, None]
            return share(own, np.where(lives, on_core.sum() - on_core, on_chip)).sum(axis=1)

        most += entries(slots[segments], np.minimum)
        if with_expected:
            expected += entries(_log_quiet(layout, segments, n_active), lambda own, log_quiet: -own * np.expm1(log_quiet))
    least, most = least.astype(np.int64), most.astype(np.int64)
    return Bounds(least, _between(least, expected, most) if with_expected else most, most)


def count_targets(layout, place, n_active, slots, with_expected=True):
    """Targets of one neuron of each population that sends to other neurons: `Bounds`; `expected` is of the mean neuron, rounded up.

    `least` is what the busiest neuron has when rows are dealt out evenly. `place` : int64 (n_cores,), cores of one number are one target.
    Without `with_expected`, `expected` is `most`.
    """
    bounds = []
    for _, segments in _senders(layout):
        n_pre, at = int(layout.n_pre[segments[0]]), place[layout.core[segments]]
        order = np.argsort(at, kind="stable")
        segments, first = segments[order], np.flatnonzero(np.diff(at[order], prepend=-1))
        rows = np.maximum.reduceat(-(-n_active[segments] // layout.n_post[segments]), first).sum()
        most = np.logical_or.reduceat(slots[segments] > 0, first).sum()
        expected = most
        if with_expected:
            expected = -np.expm1(np.add.reduceat(_log_quiet(layout, segments, n_active), first)).sum()
        bounds.append((-(-rows // n_pre), expected, most))
    least, expected, most = np.array(bounds, float).reshape(-1, 3).T
    least, most = least.astype(np.int64), most.astype(np.int64)
    return Bounds(least, _between(least, expected, most), most)


def sending_populations(layout):
    """Numbers of the populations that feed others; inputs feed from outside."""
    return [p for p in np.unique(layout.pre).tolist() if p > 0]


def _senders(layout):
    """Neurons of each sending population on each core, and the segments that it feeds."""
    for p in sending_populations(layout):
        yield layout.own[p], np.flatnonzero(layout.pre == p)


def _log_quiet(layout, segments, n_active):
    """Log of the probability that a pre neuron has no synapse in each segment."""
    columns = (layout.n_pre[segments], layout.n_post[segments], n_active[segments])
    logs = [log_empty(*row) for row in zip(*(column.tolist() for column in columns), strict=True)]
    return np.maximum(logs, _SURELY_NOT)


def _between(least, expected, most):
    return np.clip(np.ceil(expected - 1e-9).astype(np.int64), least, most)
