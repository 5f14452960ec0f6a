"""From a scenario to a network on a chip: everything that is decided before training."""

from dataclasses import dataclass, replace

from neurosim.datasets import DATASETS
from neurosim.errors import DoesNotFitError, InputError, UnsuitableChipError
from neurosim.placement import Workload, judge, largest_fit, place, summarize, synapse_counts
from neurosim.placement.families import family_of
from neurosim.placement.limits import has_sign_apart
from neurosim.placement.search import find_stop, scale_counts
from neurosim.placement.spill import can_spill
from neurosim.networks import Spiking, Topology
from neurosim.scenario.load import chosen_profile
from neurosim.scenario.schema import Scenario
from neurosim.scenario.start_given import read_start


@dataclass(frozen=True)
class Experiment:
    """A scenario with its chip, its placement and the verdict on it."""

    scenario: Scenario
    profile: object
    placement: object
    verdict: object
    #: What is to be known of the data, one line each, as far as they were read.
    data_notes: tuple[str, ...] = ()


def prepare(scenario, shape=None, with_remedies=True):
    """Load the profile, settle the number of synapses and cores, place the network and judge it.

    Parameters
    ----------
    scenario : Scenario
    shape : DataShape, optional
        Of samples in memory, which take the place of those that the scenario names.
    with_remedies : bool
        Whether the verdict on what does not fit says what would help.

    Returns
    -------
    Experiment
        Also when the network does not fit: see `verdict`.

    Raises
    ------
    InputError
        Unknown or malformed profile, a chip that does not learn or whose circuits do not compute this network, or sizes that
        contradict a known data set.
    DoesNotFitError
        ``connectivity: fit``, and not even one synapse per matrix fits.
    """
    profile = chosen_profile(scenario)
    refuse_unless_suitable(scenario, profile)
    read_start(scenario)
    n_cores = None if scenario.hardware.cores == "auto" else scenario.hardware.cores
    shape = shape or scenario.dataset.shape()
    workload = _workload(scenario, profile, n_cores, shape)
    placement = place(profile, workload, n_cores)
    fit = find_stop(profile, workload, n_cores) if scenario.network.connectivity == "fit" else None
    verdict = replace(judge(placement, with_remedies=with_remedies), fit=fit)
    return Experiment(scenario, profile, placement, verdict, shape.notes if shape else ())


def refuse_unless_suitable(scenario, profile):
    """Refuse a chip that cannot run such a network at all, whatever its size.

    Raises
    ------
    UnsuitableChipError
        It does not learn, does not compute such cells, or does not store weights of this width.
    """
    _refuse_unless_computes(scenario, profile)
    _refuse_unless_learns(scenario, profile)
    refuse_unless_stores(scenario.hardware.format, profile)


def _make_workload(scenario, shape):
    """Function of the synapses of each matrix: the `Workload` of a scenario with so many; and its topology."""
    topology, hardware, rule = make_topology(scenario, shape), scenario.hardware, scenario.rewiring.rule_class

    def workload(n_active):
        return Workload(
            topology=topology,
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
            has_float16=hardware.format.name == "float16",
            draws_rounding=hardware.format.is_rounded and hardware.rounding == "stochastic",
            clips=scenario.training.clip is not None,
        )

    return workload, topology


def most_synapses(scenario, profile, shape=None):
    """Synapses of each matrix of the largest network that a chip holds, in equal fractions: tuple of int, or None where it holds none.

    Parameters
    ----------
    scenario : Scenario
        Its ``network.connectivity`` does not count; its ``hardware.cores`` do, of which ``auto`` means all.
    profile : HardwareProfile
    shape : DataShape, optional
    """
    workload, topology = _make_workload(scenario, shape)
    n_cores = None if scenario.hardware.cores == "auto" else scenario.hardware.cores
    return _largest(profile, workload(topology.n_positions), n_cores)


def _largest(profile, full, n_cores):
    # Where the cores themselves hold nothing, their shared memory may.
    return largest_fit(profile, full, n_cores) or largest_fit(profile, full, n_cores, may_spill=can_spill(profile))


def _workload(scenario, profile, n_cores, shape):
    workload, topology = _make_workload(scenario, shape)
    positions, rule = topology.n_positions, scenario.rewiring.rule_class
    if rule.starts_dense and not rule.rewires:
        return workload(positions)

    wanted = scenario.network.synapses
    if wanted is not None:
        if not len(positions) <= wanted <= sum(positions):
            raise InputError(f"network.synapses: found {wanted}; expected {len(positions)} to {sum(positions)}, the possible connections")
        return workload(scale_counts(positions, positions, wanted))
    if scenario.network.connectivity != "fit":
        return workload(synapse_counts(topology, scenario.network.connectivity))
    counts = _largest(profile, workload(positions), n_cores)
    if counts is None:
        placement = place(profile, workload([1] * len(positions)), n_cores)
        verdict = judge(placement, for_every_draw=True)
        draws = " whichever positions are drawn" if placement.fits else ""
        raise DoesNotFitError(f"network.connectivity fit: not even one synapse per matrix fits{draws}: {summarize(verdict)}", verdict)
    return workload(counts)


def make_topology(scenario, shape=None):
    """Populations and projections of a scenario's network, from the shape of its data; a file is read for it where there is one.

    Parameters
    ----------
    scenario : Scenario
    shape : DataShape, optional
        Of the data, where it is known already.

    Returns
    -------
    Topology

    Raises
    ------
    InputError
        Layers that contradict the data, or a recurrent network and data without steps.
    """
    network, shape = scenario.network, shape or scenario.dataset.shape()
    check_shape(scenario, shape)
    if not network.is_recurrent:
        return Topology.feedforward(network.layers, network.cells, bool(network.bias))
    if network.is_spiking:
        spiking = Spiking(**network.dynamics, **scenario.training.spiking_keys)
        if (network.readout_steps or 0) > shape.n_steps:
            raise InputError(
                f"network.readout_steps: found {network.readout_steps}; data set {scenario.dataset.name} has samples of {shape.n_steps} steps"
            )
        return Topology.spikes(
            spiking, shape.n_inputs, network.units, shape.n_classes, shape.n_steps, scenario.training.window, network.has_recurrent_matrices
        )
    return Topology.recurrent(
        network.type, shape.n_inputs, network.units, shape.n_classes, shape.n_steps, scenario.training.window, network.readout or "last"
    )


def _refuse_unless_learns(scenario, profile):
    """Refuse to train on a chip that does not learn, unless the host does."""
    learning = profile.learning
    if learning.where in ("none", "host") and scenario.hardware.learning == "chip":
        note = f", {learning.note}" if learning.note else ""
        advice = "" if scenario.network.is_recurrent else "set hardware.learning to host, or "
        raise UnsuitableChipError(
            f"hardware.learning: found chip, but {profile.name} does not learn (learning.where {learning.where}; {learning.source}: "
            f"{profile.sources[learning.source]}{note}); {advice}choose a chip that learns"
        )


def _refuse_unless_computes(scenario, profile):
    """Refuse recurrent cells where neurons are circuits: only a program computes them."""
    if scenario.network.is_recurrent and not scenario.network.is_spiking and not family_of(profile).is_program:
        raise UnsuitableChipError(
            f"network.type: found {scenario.network.type}, but the neurons of {profile.name} are circuits that compute no "
            f"{scenario.network.type.upper()} (storage.family {profile.storage.family}); choose a chip whose synapses are words in memory"
        )


def refuse_unless_stores(weights, profile):
    """Refuse a width of weights between those that the chip takes; one beyond them is a limit like others. `weights`: `WeightFormat`."""
    width = profile.synapse_word.weight_bits
    n_bits = weights.theta_bits + (not has_sign_apart(profile))
    if not weights.is_rounded or not width.allowed or n_bits in width.allowed or n_bits > width.value:
        return
    near, with_scale = width.nearest(n_bits), weights.has_scale
    take = " or ".join(f"int{n + has_sign_apart(profile)}" if with_scale else f"{n}" for n in near)
    raise UnsuitableChipError(
        f"hardware.weight_format: found {weights.name}, {n_bits} bits in a synapse of {profile.name}, which takes "
        f"{', '.join(map(str, width.allowed))} (synapse_word.weight_bits; {width.source}: {profile.sources[width.source]}); "
        f"nearest: {take}{'' if with_scale else ' bits'}"
    )


def check_shape(scenario, shape):
    """Refuse layers that contradict the data, and a recurrent network whose data have no steps.

    Parameters
    ----------
    scenario : Scenario
    shape : DataShape or None
        None: not known before the data are loaded, which only a network with stated sizes can bear.

    Raises
    ------
    InputError
    """
    network, name = scenario.network, scenario.dataset.name
    if network.is_recurrent and (shape is None or shape.n_steps == 1):
        raise InputError(
            f"dataset.name: found {name}, which is no data set of sequences{' that could be read' if shape is None else ''}; a network of type "
            f"{network.type} needs one: {', '.join(key for key, info in DATASETS.items() if info.n_steps != 1)}, a folder of WAV files, or "
            "arrays of shape (samples, steps, features) in an NPZ file"
        )
    if network.is_recurrent or shape is None:
        return
    layers, n_features, n_classes = network.layers, shape.n_features, shape.n_classes
    for where, have, want, what in (
        ("first", layers[0], n_features, "features"),
        ("last", layers[-1], n_classes, "classes"),
    ):
        if have != want:
            raise InputError(
                f"network.layers: the {where} layer has {have} neurons, data set {name} has {want} {what}; "
                f"set network.layers to [{n_features}, ..., {n_classes}]"
            )
