"""Parts of a network with few packets between them, by Mt-KaHyPar; and which part goes to which core."""

import importlib.util
from functools import cache

import numpy as np

#: Nodes of the hypergraph at the most: of larger networks a node is a block of neurons.
_MOST_NODES = 2048
#: By how much a part may exceed its share of the synapses, one candidate each.
_IMBALANCES = (0.03, 0.2, 0.6)
#: More cores than this stay in the order of their parts; more rounds of swaps gain nothing.
_MOST_ORDERED, _MOST_ROUNDS = 256, 20


def is_available():
    """Whether the partitioner is installed."""
    return importlib.util.find_spec("mtkahypar") is not None


@cache
def _partitioner():
    import mtkahypar

    return mtkahypar, mtkahypar.initialize(1)


def partitions(workload, n_cores):
    """Candidates for `own` of a workload: neurons of each population on each part, as tuples.

    A node is a neuron, or a block of them; its weight are its synapses. A net is a neuron with those that take its values: with all of
    the next population, which gathers that on few cores, or with those of one draw of the positions, which counts that a neuron with
    few connections reaches few cores anyway. Which is nearer to the truth depends on the density, so both are tried, with several bounds on the
    imbalance.

    Yields
    ------
    tuple of tuple of int
    """
    topology = workload.topology
    sizes = topology.sizes[1:]
    block = max(1, -(-sum(sizes) // _MOST_NODES))
    nodes = [(p, n) for p, size in enumerate(sizes, 1) for n in _blocks(size, block)]
    population, count = np.array(nodes, np.int64).T
    weights = np.zeros(len(topology.populations))
    for projection, n in zip(topology.projections, workload.n_first, strict=True):
        weights[projection.post] += n / topology.sizes[projection.post]
    # Beside its synapses a neuron has a state, a map one at each place: worth two of them.
    node_weights = np.maximum(1, np.rint((weights[population] + 2 * _sums(topology)[population]) * count)).astype(np.int64)
    seen = set()
    for is_drawn in (False, True):
        nets, net_weights = _nets(workload, population, count, is_drawn)
        for imbalance in _IMBALANCES:
            part = _partition(n_cores, imbalance, node_weights, nets, net_weights)
            own = np.zeros((len(sizes), n_cores), np.int64)
            np.add.at(own, (population - 1, part), count)
            own = own[:, np.lexsort(own[::-1])[::-1]]  # numbers of parts mean nothing: the same parts come in the same order
            found = tuple(tuple(row) for row in own.tolist())
            if found not in seen:
                seen.add(found)
                yield found


def _blocks(size, block):
    return [block] * (size // block) + [size % block] * (size % block > 0)


def _sums(topology):
    return np.array([population.sums * population.places for population in topology.populations])


def _nets(workload, population, count, is_drawn):
    """Pins and weights of the nets: what each node sends, and who takes it."""
    topology, generator = workload.topology, np.random.default_rng(0)
    walks = topology.walks_by_length[topology.n_steps]
    nets, weights = [], []
    for m, projection in enumerate(topology.projections):
        if projection.pre == 0:
            continue
        senders, takers = np.flatnonzero(population == projection.pre), np.flatnonzero(population == projection.post)
        density = workload.n_first[m] / workload.n_positions[m]
        sums = topology.populations[projection.post].sums * topology.rows_per_neuron[m]
        times = int(walks[0, m] + walks[1, m]) * topology.populations[projection.pre].sent
        for node in senders.tolist():
            chosen = takers
            if is_drawn:  # a neuron of the block, with the neurons of each other block
                chosen = takers[generator.random(takers.size) < -np.expm1(np.log1p(-min(density, 1 - 1e-12)) * count[takers] * sums)]
            pins = [node, *(taker for taker in chosen.tolist() if taker != node)]
            if len(pins) > 1:
                nets.append(pins)
                weights.append(max(1, times * int(count[node])))
    outputs = np.flatnonzero(population == len(topology.populations) - 1).tolist()
    if len(outputs) > 1:
        nets.append(outputs)
        weights.append(int(count[outputs].sum()))
    # Only proportions count; totals must stay far from the end of 32 bits.
    scale = max(1, sum(weights) // 10**7)
    return nets, [max(1, weight // scale) for weight in weights]


def _partition(n_parts, imbalance, node_weights, nets, net_weights):
    """Part of each node: int64 array."""
    module, partitioner = _partitioner()
    context = partitioner.context_from_preset(module.PresetType.DETERMINISTIC)
    context.set_partitioning_parameters(n_parts, imbalance, module.Objective.KM1)
    context.logging = False
    module.set_seed(0)
    graph = partitioner.create_hypergraph(context, len(node_weights), len(nets), nets, node_weights.tolist(), net_weights)
    return np.array(graph.partition(context).get_partition(), np.int64)


def best_order(flow, distance):
    """Core of each part: parts that exchange much lie near each other, by swaps of two until none gains.

    Parameters
    ----------
    flow, distance : float array, shape (n, n)
        Symmetric.

    Returns
    -------
    int64 array, shape (n,)
    """
    n = len(flow)
    order = np.arange(n)
    flow = flow - np.diag(np.diag(flow))
    if n > _MOST_ORDERED or not distance.any():
        return order
    for _ in range(_MOST_ROUNDS):
        has_gained = False
        for a in range(n - 1):
            # Change of the sum over pairs when a swaps with each later part.
            d = distance[order][:, order]
            later = np.arange(a + 1, n)
            change = flow[later] @ d[a] - (flow[later] * d[later]).sum(axis=1) + d[later] @ flow[a] - flow[a] @ d[a]
            change += 2 * flow[a, later] * d[a, later]
            best = int(np.argmin(change))
            if change[best] < -1e-9 * max(1.0, float(flow.sum())):
                b = later[best]
                order[a], order[b] = order[b], order[a]
                has_gained = True
        if not has_gained:
            break
    return order
