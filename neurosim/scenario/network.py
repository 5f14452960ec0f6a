"""A placement as a synapse store: the one step from cores and bytes to plain arrays."""

from neurosim.scenario.start_given import place_network
from neurosim.synapses import CorePlan, Grid, SegmentPlan, StorePlan, SynapseStore, find_senders, plan_matrices


def make_store(experiment, is_drawn=True, given=None):
    """Store with the segments, capacities and limits of an experiment's placement.

    Parameters
    ----------
    experiment : Experiment
    is_drawn : bool
        Whether initial connections are drawn; without them the store is empty.
    given : TrainedNetwork, optional
        Whose connections and weights the store takes instead; see `scenario.start_given`.

    Returns
    -------
    SynapseStore
    """
    placement, rule = experiment.placement, experiment.scenario.rewiring.rule_class
    # A limit that is broken already, in a run that only reports it, cannot be kept.
    is_broken = any(usage.name == "fan_in_per_neuron" for usage in experiment.verdict.violations)
    topology, hardware = placement.workload.topology, experiment.scenario.hardware
    grids = [Grid(*hardware.format.grid(n_pre, full_scale(hardware, i))) for i, (n_pre, _) in enumerate(topology.shapes)]
    n = len(topology.shapes)
    plan = make_plan(
        placement,
        grids,
        keeps_fan_in=not is_broken,
        scope=experiment.scenario.rewiring.scope,
        has_master=hardware.master != "none",
        signs=rule.signs,
        free_matrices=experiment.scenario.rewiring.free_matrices(n),
        starts_dense=rule.starts_dense,
        is_strict=rule.is_strict,
        has_given_signs=given is not None,
        shares_signs=experiment.scenario.network.signs == "pre",
    )
    if given is not None:
        store = SynapseStore(plan, experiment.scenario.seed)
        place_network(store, given)
        return store
    return (SynapseStore.random if is_drawn else SynapseStore)(plan, experiment.scenario.seed)


def make_plan(placement, grids, *, keeps_fan_in=True, limits=None, **options):
    """Plan of the store of a placement.

    Parameters
    ----------
    placement : Placement
    grids : sequence of Grid
        Of the weights of each matrix.
    keeps_fan_in : bool
        Whether the store keeps the chip's fan-in.
    limits : CorePlan, optional
        Instead of those of the chip.
    **options
        Of `StorePlan`: scope, and what the rewiring rule is like.

    Returns
    -------
    StorePlan
    """
    topology = placement.workload.topology
    matrices, populations = plan_matrices(
        topology.neurons_and_sums,
        topology.pairs,
        fan_in_limit=placement.fan_in_limits if keeps_fan_in else None,
        grids=grids,
        skips_self=[projection.skips_self for projection in topology.projections],
        rows=topology.rows_per_neuron,
    )
    rows = (*topology.rows_per_neuron, 1)
    return StorePlan(
        matrices=matrices,
        segments=tuple(SegmentPlan(s.matrix, s.core, s.post_start, s.post_stop, s.n_active, s.n_slots) for s in placement.segments),
        home=tuple(core for i, n in zip(populations, rows, strict=True) for core in placement.homes[i].tolist() for _ in range(n)),
        n_cores=placement.n_cores,
        limits=CorePlan(**placement.row_limits) if limits is None else limits,
        n_moments=placement.workload.state_words,
        counts_pairs=placement.geometry.tells_packets_apart,
        counts_replays=placement.workload.program == "eprop_spike",
        sender=find_senders(topology.sizes, populations, topology.rows_per_neuron),
        **options,
    )


def make_network(experiment, store):
    """What runs on the store of an experiment; see `network_on`."""
    training = experiment.scenario.training
    return network_on(store, experiment.placement.workload, training.batch_size, training.clip)


def network_on(store, workload, batch_size, clip=None):
    """What runs on a store with the matrices of a workload: `Mlp`, `Convolutional`, `Recurrent` or `SpikingNetwork`.

    Parameters
    ----------
    store : SynapseStore
    workload : Workload
    batch_size : int
    clip : float, optional
        As in `nn.network.Network`.
    """
    from neurosim.nn import Mlp
    from neurosim.nn.convolutional import Convolutional
    from neurosim.nn.recurrent import Recurrent, RecurrentShape
    from neurosim.nn.spiking import SpikingNetwork

    topology = workload.topology
    if topology.has_maps:
        return Convolutional(store, topology, batch_size, clip)
    if topology.spiking:
        return SpikingNetwork(store, topology, batch_size, clip, workload.trace_cutoff)
    hidden, outputs = topology.populations[1:-1], topology.populations[-1]
    if not any(projection.is_recurrent for projection in topology.projections):
        return Mlp(store, batch_size, [population.cell for population in hidden], outputs.has_bias, clip)
    sizes = topology.sizes
    shape = RecurrentShape(hidden[0].cell, sizes[0], topology.n_steps, sizes[1:-1], sizes[-1], topology.readout, topology.window)
    return Recurrent(store, shape, batch_size, clip)


def full_scale(hardware, matrix):
    """Full scale of a matrix as the scenario gives it, or None."""
    given = hardware.weight_range
    if given == "auto":
        return None
    return given[matrix] if isinstance(given, tuple) else given
