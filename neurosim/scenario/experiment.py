"""From a scenario to a network on a chip: everything that is decided before training."""

from dataclasses import dataclass

from neurosim.datasets import dataset_shape
from neurosim.errors import DoesNotFitError, InputError
from neurosim.placement import Workload, judge, largest_fit, place, synapse_counts
from neurosim.placement.search import scale_counts
from neurosim.scenario.load import chosen_profile
from neurosim.scenario.schema import Scenario


@dataclass(frozen=True)
class Experiment:
    """A scenario with its chip, its placement and the verdict on it."""

    scenario: Scenario
    profile: object
    placement: object
    verdict: object


def prepare(scenario):
    """Load the profile, settle the number of synapses and cores, place the network and judge it.

    Parameters
    ----------
    scenario : Scenario

    Returns
    -------
    Experiment
        Also when the network does not fit: see `verdict`.

    Raises
    ------
    InputError
        Unknown or malformed profile, a chip that does not learn, or layers that contradict a known data set.
    DoesNotFitError
        ``connectivity: fit``, and not even one synapse per matrix fits.
    """
    profile = chosen_profile(scenario)
    _refuse_unless_learns(scenario, profile)
    _check_known_shape(scenario)
    n_cores = None if scenario.hardware.cores == "auto" else scenario.hardware.cores
    workload = _workload(scenario, profile, n_cores)
    placement = place(profile, workload, n_cores)
    return Experiment(scenario, profile, placement, judge(placement))


def _workload(scenario, profile, n_cores):
    layers, hardware, rule = scenario.network.layers, scenario.hardware, scenario.rewiring.rule_class
    positions = [a * b for a, b in zip(layers, layers[1:])]

    def workload(n_active):
        return Workload(
            topology=layers,
            n_active=tuple(n_active),
            batch_size=scenario.training.batch_size,
            execution=hardware.execution,
            scope=scenario.rewiring.scope,
            headroom=float(hardware.headroom),
            code_bytes=hardware.code_bytes,
            optimizer=scenario.training.optimizer,
            rewires=rule.rewires,
            searches=rule.searches,
            has_places=rule.has_places,
            starts_dense=rule.starts_dense,
            has_dense_gradient=rule.has_dense_gradient,
            host_learns=hardware.learning == "host",
            theta_bits=hardware.format.theta_bits if hardware.format.is_rounded else None,
            master_bits=32 if hardware.master == "float32" else 0,
        )

    if rule.starts_dense and not rule.rewires:
        return workload(positions)

    if scenario.network.synapses is not None:
        return workload(scale_counts(positions, positions, scenario.network.synapses))
    if scenario.network.connectivity != "fit":
        return workload(synapse_counts(layers, scenario.network.connectivity))
    full = workload(positions)
    counts = largest_fit(profile, full, n_cores)
    if counts is None:
        verdict = judge(place(profile, workload([1] * len(positions)), n_cores))
        raise DoesNotFitError(f"network.connectivity fit: not even one synapse per matrix fits {profile.name}", verdict)
    return workload(counts)


def _check_known_shape(scenario):
    """Compare the layers with the shape of a known data set, without loading it."""
    shape = dataset_shape(scenario.dataset.name)
    if shape is not None:
        check_shape(scenario, *shape)


def _refuse_unless_learns(scenario, profile):
    """Refuse to train on a chip that does not learn, unless the host does."""
    learning = profile.learning
    if learning.where in ("none", "host") and scenario.hardware.learning == "chip":
        note = f", {learning.note}" if learning.note else ""
        raise InputError(
            f"hardware.learning: found chip, but {profile.name} does not learn (learning.where {learning.where}; {learning.source}: "
            f"{profile.sources[learning.source]}{note}); set hardware.learning to host, or choose a chip that learns"
        )


def check_shape(scenario, n_features, n_classes):
    """Refuse layers that contradict the data.

    Raises
    ------
    InputError
    """
    layers, name = scenario.network.layers, scenario.dataset.name
    for where, have, want, what in (
        ("first", layers[0], n_features, "features"),
        ("last", layers[-1], n_classes, "classes"),
    ):
        if have != want:
            raise InputError(
                f"network.layers: the {where} layer has {have} neurons, data set {name} has {want} {what}; "
                f"set network.layers to [{n_features}, ..., {n_classes}]"
            )
