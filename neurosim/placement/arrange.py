"""How many neurons of each population each core holds, and what travels between cores because of it.

Connections rewire while a network learns, and the cores of its neurons do not. So an arrangement cannot follow single connections: what it
decides is how many neurons of each population a core holds, and which cores lie near each other. Which neurons of a population these are makes no
difference to what is expected of connections that are uniform over the positions, as the first ones are; they stay contiguous ranges.

    contiguous   every population in even ranges over all cores, core c of C from n * c // C on
    balanced     the same, but those left over by the division go where the fewest synapses are
    traffic      the fewest expected packets, then the fewest hops: a partition of the network by Mt-KaHyPar (Gottesbüren et al., ALENEX 2021,
                 doi 10.1137/1.9781611976472.2) for its metric connectivity - 1, which counts a value once for each other core that needs it
"""

from dataclasses import dataclass, replace

import numpy as np

from neurosim.errors import InputError
from neurosim.placement.geometry import locate_cores
from neurosim.placement.layout import layout_of
from neurosim.placement.partition import best_order, is_available, partitions
from neurosim.placement.place import place
from neurosim.placement.rows import log_empties

ARRANGEMENTS = ("contiguous", "balanced", "traffic")
#: Beyond so many cores nobody asks the partitioner: it would take longer than anything else.
MOST_CORES = 1024


@dataclass(frozen=True)
class Traffic:
    """What is expected to travel between cores for one trained sample of the most steps, if no value is zero.

    Connections are taken as uniform over the positions of their segments, as the first ones are; rewiring keeps their number.

    Attributes
    ----------
    packets : float
        Values forward and partial errors back, each once per other core that needs it, and logits.
    hops : float or None
        Between the tiles of a chip, along the axes of its mesh; None where the profile states no grid.
    offchip : float
        Packets to another chip.
    """

    packets: float
    hops: float | None
    offchip: float

    def to_dict(self):
        """Plain data for JSON; whole numbers where that is all there is."""
        packets, offchip = (max(0.0, round(float(n), 1)) for n in (self.packets, self.offchip))  # no -0.0 of a rounded difference
        return {"packets": packets, "hops": None if self.hops is None else round(float(self.hops), 1), "offchip": offchip}


def expected_traffic(profile, workload, n_cores):
    """Packets and hops of one trained sample: `Traffic`.

    Parameters
    ----------
    profile : HardwareProfile
    workload : Workload
    n_cores : int
    """
    geometry = locate_cores(profile, n_cores)
    packets, offchip, hops = 0.0, 0.0, 0.0
    for times, sent, needed in _flows(workload, n_cores):
        everything = sent.sum() * needed.sum() - float(sent @ needed)
        packets += times * everything
        if geometry.chip[-1] > 0:
            on_chip = [np.bincount(geometry.chip, values) for values in (sent, needed)]
            offchip += times * (sent.sum() * needed.sum() - float(on_chip[0] @ on_chip[1]))
        if geometry.x is not None:
            hops += times * sum(_distance(geometry.chip, at, sent, needed) for at in (geometry.x, geometry.y))
    return Traffic(packets, hops if geometry.x is not None else None, offchip)


def arrange(kind, profile, workload, n_cores):
    """A workload arranged on so many cores.

    Parameters
    ----------
    kind : str
        One of `ARRANGEMENTS`.
    profile : HardwareProfile
    workload : Workload
    n_cores : int

    Returns
    -------
    Workload
        Of ``traffic`` what fits with the least traffic; where nothing that was found fits, the least traffic of all.

    Raises
    ------
    InputError
        ``traffic`` without the partitioner, or on too many cores.
    """
    plain = replace(workload, own=None)
    if kind == "contiguous" or n_cores == 1:
        return plain
    balanced = replace(plain, own=_balance(plain, n_cores))
    if kind == "balanced":
        return balanced
    if not is_available():
        raise InputError("hardware.placement: traffic needs mtkahypar, which is not installed; pip install 'neurosim[placement]'")
    if n_cores > MOST_CORES:
        raise InputError(f"hardware.placement: traffic is computed for up to {MOST_CORES:,d} cores, found {n_cores:,d}; use balanced or contiguous")
    found = [plain, balanced]
    found += [replace(plain, own=_ordered(profile, plain, own)) for own in partitions(plain, n_cores)]

    def rank(candidate):
        traffic = expected_traffic(profile, candidate, n_cores)
        return (not place(profile, candidate, n_cores).fits, round(traffic.packets, 6), traffic.offchip, traffic.hops or 0.0)

    return min(found, key=rank)


def compare_arrangements(profile, workload, n_cores):
    """Every arrangement on so many cores: list of dict with ``kind``, ``fits``, ``packets``, ``hops``, ``offchip``, ``bytes`` of the fullest core.

    ``traffic`` is left out where the partitioner is not there, or the cores are too many.
    """
    rows = []
    for kind in ARRANGEMENTS:
        if kind == "traffic" and (not is_available() or n_cores > MOST_CORES):
            continue
        arranged = arrange(kind, profile, workload, n_cores)
        placement = place(profile, arranged, n_cores)
        rows.append(
            {"kind": kind, "fits": placement.fits, **expected_traffic(profile, arranged, n_cores).to_dict(), "bytes": int(placement.n_bytes.max())}
        )
    return rows


def _flows(workload, n_cores):
    """What travels: (times per sample, values that each core sends, share of them that each core needs), per matrix, and of the logits."""
    topology, layout = workload.topology, layout_of(workload, n_cores)
    n_active = layout.divide(workload.n_first)
    walks = topology.walks_by_length[topology.n_steps]
    for m, projection in enumerate(topology.projections):
        if projection.pre == 0:
            continue
        part = slice(layout.first[m], layout.first[m + 1])
        needed = np.zeros(n_cores)
        needed[layout.core[part]] = -np.expm1(log_empties(layout.n_senders[part], layout.n_from_sender[part], n_active[part]))
        times = int(walks[0, m]) + (0 if workload.host_learns else int(walks[1, m]))
        yield times, layout.own[projection.pre] * float(topology.populations[projection.pre].sent), needed
    if not workload.host_learns:
        yield 1, layout.own[-1].astype(float), (layout.own[-1] > 0).astype(float)


def _distance(chip, at, sent, needed):
    """Sum over pairs of cores of one chip of sent x needed x distance along one axis."""
    shape = int(chip[-1]) + 1, int(at.max()) + 1
    place_of = chip * shape[1] + at
    sent, needed = (np.bincount(place_of, values, shape[0] * shape[1]).reshape(shape) for values in (sent, needed))
    # A way from one place to another crosses every border between them: what is on either side of each, on each chip.
    before, left = sent.cumsum(axis=1), needed.cumsum(axis=1)
    return float(np.sum(before * (left[:, -1:] - left) + (before[:, -1:] - before) * left))


def _balance(workload, n_cores):
    """Even shares; of those left over, each goes to the core with the fewest synapses so far, of populations with many a neuron first."""
    topology = workload.topology
    per_neuron = {p: 0.0 for p in range(1, len(topology.populations))}
    for projection, n in zip(topology.projections, workload.n_first, strict=True):
        per_neuron[projection.post] += n / topology.sizes[projection.post]
    own, load = {}, np.zeros(n_cores)
    for p, n in per_neuron.items():
        own[p] = np.full(n_cores, topology.sizes[p] // n_cores)
        load += own[p] * n
    for p in sorted(per_neuron, key=lambda p: -per_neuron[p]):
        chosen = np.argsort(load, kind="stable")[: topology.sizes[p] % n_cores]
        own[p][chosen] += 1
        load[chosen] += per_neuron[p]
    return tuple(tuple(own[p].tolist()) for p in sorted(own))


def _ordered(profile, workload, own):
    """Parts of a partition on cores that lie near those to which they send; the same parts where the profile says nothing of distances."""
    n_cores = len(own[0])
    geometry = locate_cores(profile, n_cores)
    if not geometry.tells_packets_apart:
        return own
    distance = np.zeros((n_cores, n_cores))
    for at in (geometry.x, geometry.y) if geometry.x is not None else (geometry.tile,) if geometry.tile is not None else ():
        distance += np.abs(at[:, None] - at) if geometry.x is not None else at[:, None] != at
    other = geometry.chip[:, None] != geometry.chip
    distance[other] = 2 * distance[~other].max(initial=0.0) + 1  # a way between chips is longer than any within one
    flow = np.zeros((n_cores, n_cores))
    for times, sent, needed in _flows(replace(workload, own=own), n_cores):
        flow += times * np.outer(sent, needed)
    order = best_order(flow + flow.T, distance)
    counts = np.array(own)
    placed = np.empty_like(counts)
    placed[:, order] = counts
    return tuple(tuple(row) for row in placed.tolist())
