"""Where neurons send: entries of the routers of chips, and targets of single neurons, at the least, expected, and at most.

Inputs come from the host and take neither. A neuron with a synapse on another core takes an entry in the router of its own chip, and
in that of each other chip on which it has synapses. A target is a place on which a neuron has synapses: a core, its own
included, or a chip. A map is a neuron, whatever of its values is read. The run keeps the exact counts (`kernels.limits`); these bound them
before it.
"""

import numpy as np

from neurosim.placement.rows import Bounds, log_empties

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
    n_all, used = int(chip.max()) + 1, layout.used
    # A chip without neurons has no entries, and a machine may have thousands of them: here chips and cores are those in use, numbered anew.
    occupied, chip = np.unique(chip[used], return_inverse=True)
    n_chips, cores = occupied.size, np.searchsorted(used, layout.core)
    least, most, expected = (np.zeros(n_chips) for _ in range(3))
    for own, segments in _senders(layout):
        own, core = own[used], cores[segments]
        least += _least_entries(own, chip, core, int(layout.n_senders[segments[0]]), -(-n_active[segments] // layout.n_from_sender[segments]))
        sizes, n_of_size = np.unique(own, return_counts=True)

        def entries(values, share, own=own, core=core, sizes=sizes, n_of_size=n_of_size):
            # A neuron that lives on the chip: what is on other cores than its own. Another one: what is on the chip.
            on_core = np.bincount(core, values, used.size)
            on_chip = np.bincount(chip, on_core, n_chips)
            of_all = (share(sizes, on_chip[:, None]) * n_of_size).sum(axis=1)
            return of_all + np.bincount(chip, share(own, on_core.sum() - on_core) - share(own, on_chip[chip]), n_chips)

        most += entries(slots[segments], np.minimum)
        if with_expected:
            expected += entries(_log_quiet(layout, segments, n_active), lambda own, log_quiet: -own * np.expm1(log_quiet))
    least, most = least.astype(np.int64), np.rint(most).astype(np.int64)

    def on_all(entries):
        every = np.zeros(n_all, np.int64)
        every[occupied] = entries
        return every

    return Bounds(least, _between(least, expected, most) if with_expected else most, most).map(on_all)


def _least_entries(own, chip, core, n_neurons, senders):
    """Entries of each chip that one population takes whatever is drawn: the most that a single segment asks for.

    `senders` are the fewest neurons that feed each segment. Where it lies on the chip, those of its own core need no entry; where it lies elsewhere,
    neurons of other chips can take all but so many of them as live on the chip.
    """
    n_chips = int(chip.max()) + 1
    here, largest = np.zeros(n_chips, np.int64), np.zeros(n_chips, np.int64)
    np.maximum.at(here, chip[core], np.maximum(senders - own[core], 0))
    np.maximum.at(largest, chip[core], senders)
    first = int(np.argmax(largest))  # of the segments of all other chips: the largest, and the next one for its own chip
    elsewhere = np.full(n_chips, largest[first])
    elsewhere[first] = np.delete(largest, first).max(initial=0)
    on_chip = np.bincount(chip, own, n_chips).astype(np.int64)
    return np.maximum(here, np.where(elsewhere > 0, np.maximum(elsewhere - n_neurons + on_chip, 0), 0))


def count_targets(layout, place, n_active, slots, with_expected=True):
    """Targets of one neuron of each population that sends to other neurons: `Bounds`; `expected` is of the mean neuron, rounded up.

    `least` is what the busiest neuron has when connections are dealt out evenly. `place` : int64 (n_cores,), cores of one number are one target.
    Without `with_expected`, `expected` is `most`.
    """
    bounds = []
    for _, segments in _senders(layout):
        n_neurons, at = int(layout.n_senders[segments[0]]), place[layout.core[segments]]
        order = np.argsort(at, kind="stable")
        segments, first = segments[order], np.flatnonzero(np.diff(at[order], prepend=-1))
        senders = np.maximum.reduceat(-(-n_active[segments] // layout.n_from_sender[segments]), first).sum()
        most = np.logical_or.reduceat(slots[segments] > 0, first).sum()
        expected = most
        if with_expected:
            expected = -np.expm1(np.add.reduceat(_log_quiet(layout, segments, n_active), first)).sum()
        bounds.append((-(-senders // n_neurons), expected, most))
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
    return np.maximum(log_empties(layout.n_senders[segments], layout.n_from_sender[segments], n_active[segments]), _SURELY_NOT)


def _between(least, expected, most):
    return np.clip(np.ceil(expected - 1e-9).astype(np.int64), least, most)
