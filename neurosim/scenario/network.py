"""A placement as a synapse store: the one step from cores and bytes to plain arrays."""

from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore


def make_store(experiment):
    """Store with the segments, capacities and limits of an experiment's placement.

    Parameters
    ----------
    experiment : Experiment

    Returns
    -------
    SynapseStore
        With its initial connections drawn.
    """
    placement, layers = experiment.placement, experiment.scenario.network.layers
    starts = [sum(layers[:i]) for i in range(len(layers))]
    plan = StorePlan(
        matrices=tuple(
            MatrixPlan(a, b, starts[i], starts[i + 1], placement.fan_in_limit)
            for i, (a, b) in enumerate(zip(layers, layers[1:]))
        ),
        segments=tuple(
            SegmentPlan(s.matrix, s.core, s.post_start, s.post_stop, s.n_active, s.n_slots) for s in placement.segments
        ),
        scope=experiment.scenario.rewiring.scope,
        home=placement.home,
        n_cores=placement.n_cores,
        n_moments=placement.workload.state_words,
    )
    return SynapseStore.random(plan, experiment.scenario.seed)
