"""A placement as a synapse store: the one step from cores and bytes to plain arrays."""

from neurosim.synapses import CorePlan, Grid, MatrixPlan, SegmentPlan, StorePlan, SynapseStore


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
    placement, layers, rule = experiment.placement, experiment.scenario.network.layers, experiment.scenario.rewiring.rule_class
    # A limit that is broken already, in a run that only reports it, cannot be kept.
    is_broken = any(usage.name == "fan_in_per_neuron" for usage in experiment.verdict.violations)
    fan_in_limit = None if is_broken else placement.fan_in_limit
    starts, hardware = [sum(layers[:i]) for i in range(len(layers))], experiment.scenario.hardware
    plan = StorePlan(
        matrices=tuple(
            MatrixPlan(a, b, starts[i], starts[i + 1], fan_in_limit, Grid(*hardware.format.grid(a, _full_scale(hardware, i))))
            for i, (a, b) in enumerate(zip(layers, layers[1:]))
        ),
        segments=tuple(
            SegmentPlan(s.matrix, s.core, s.post_start, s.post_stop, s.n_active, s.n_slots) for s in placement.segments
        ),
        scope=experiment.scenario.rewiring.scope,
        home=placement.home,
        n_cores=placement.n_cores,
        limits=CorePlan(**placement.row_limits),
        n_moments=placement.workload.state_words,
        has_master=hardware.master != "none",
        signs=rule.signs,
        starts_dense=rule.starts_dense,
        is_strict=rule.is_strict,
        counts_pairs=placement.geometry.tells_packets_apart,
    )
    return SynapseStore.random(plan, experiment.scenario.seed)


def _full_scale(hardware, matrix):
    """Full scale of a matrix as the scenario gives it, or None."""
    given = hardware.weight_range
    if given == "auto":
        return None
    return given[matrix] if isinstance(given, tuple) else given
