"""From a scenario to a network on a chip: everything that is decided before training."""

import math
from dataclasses import dataclass, replace
from itertools import pairwise

from neurosim.datasets import DATASETS, check_same_sizes
from neurosim.errors import DoesNotFitError, InputError, LearningError, UnsuitableChipError
from neurosim.placement import Workload, judge, largest_fit, place, summarize, synapse_counts
from neurosim.placement.arrange import arrange
from neurosim.placement.families import family_of
from neurosim.placement.limits import has_sign_apart
from neurosim.placement.search import fill, find_stop, find_stop_of_width, find_stops, fits_whatever_is_drawn, scale_counts, smallest_cores, widest
from neurosim.placement.engines import why_not_here
from neurosim.placement.programs import default_program, find_program, why_not
from neurosim.placement.spill import can_spill
from neurosim.networks import Spiking, Topology, find_model
from neurosim.scenario.load import chosen_profile
from neurosim.scenario.schema import Scenario
from neurosim.scenario.start_given import read_given


#: Of a layer.
MOST_WIDTH = 10**6


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
        ``connectivity: fit``, and not even one synapse per matrix fits; a layer of ``fit``, and not even one neuron fits.
    """
    profile = chosen_profile(scenario)
    try:
        refuse_unless_suitable(scenario, profile)
    except LearningError as error:
        raise UnsuitableChipError(f"{error}{_wall_beside(scenario, shape)}") from None
    read_given(scenario)
    if scenario.hardware.placement != "contiguous" and family_of(profile).has_tables:
        raise InputError(
            f"hardware.placement: found {scenario.hardware.placement}, but on {profile.name} each layer has a core of its own, by the sizes of their "
            "tables; leave it out"
        )
    n_cores = None if scenario.hardware.cores == "auto" else scenario.hardware.cores
    shape = shape or scenario.dataset.shape()
    _check_phases(scenario, shape)
    fit = ()
    if scenario.network.has_open_layers:
        scenario, fit = _widen(scenario, profile, n_cores, shape)
    workload = _workload(scenario, profile, n_cores, shape)
    if scenario.hardware.placement != "contiguous" and n_cores is None:
        n_cores = smallest_cores(profile, workload) or profile.cores.value
        workload = arrange(scenario.hardware.placement, profile, workload, n_cores)
    placement = place(profile, workload, n_cores)
    if scenario.network.connectivity == "fit":
        fit = _stops(scenario, profile, workload, n_cores)
    verdict = replace(judge(placement, with_remedies=with_remedies), fit=tuple(fit))
    return Experiment(scenario, profile, placement, verdict, shape.notes if shape else ())


def _wall_beside(scenario, shape):
    """Of a chip that does not learn: that a network is too large for it, whoever learns; in words that follow another reason, or none."""
    try:
        verdict = prepare(scenario.with_(hardware={"learning": "host"}), shape, with_remedies=False).verdict
    except (InputError, DoesNotFitError):
        return ""
    return "" if verdict.fits else f"; with a host that learns it {summarize(verdict)}"


def _check_phases(scenario, shape):
    """Refuse phases whose data have other sizes, as far as these are known."""
    for i, phase in enumerate(scenario.phases or ()):
        other = None if phase.dataset is None or shape is None else phase.dataset.shape()
        if other is not None:
            check_same_sizes(other, phase.dataset.name, shape, scenario.dataset.name, f"phases.{i}.dataset")


def refuse_unless_suitable(scenario, profile):
    """Refuse a chip that cannot run such a network at all, whatever its size.

    Raises
    ------
    UnsuitableChipError
        It does not learn, does not compute such cells, or does not store weights of this width.
    """
    _refuse_unless_computes(scenario, profile)
    _refuse_unless_learns(scenario, profile)
    _refuse_unless_traces(scenario, profile)
    refuse_unless_stores(scenario.hardware.format, profile)


def _make_workload(scenario, shape):
    """Function of the synapses of each matrix: the `Workload` of a scenario with so many; and its topology."""
    shape = shape or scenario.dataset.shape()
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
            draws_noise=scenario.rewiring.make_rule().step_noise(1.0) > 0,
            clips=scenario.training.clip is not None,
            program=hardware.program,
            trace_cutoff=hardware.trace_cutoff,
            has_spike_inputs=topology.spiking is not None and bool(shape and shape.is_spikes),
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


def _largest(profile, full, n_cores, find=largest_fit):
    # Where the cores themselves hold nothing, their shared memory may.
    return find(profile, full, n_cores) or find(profile, full, n_cores, may_spill=can_spill(profile))


def _weights(scenario, topology):
    """Proportion of the matrices in a network as large as the chip holds: positions, or sums where each shall have as many synapses."""
    return [n_sums for _, n_sums in topology.shapes] if scenario.network.fit == "fan_in" else topology.n_positions


def _stops(scenario, profile, workload, n_cores):
    """What stopped a network as large as the chip holds: list of `FitStop`."""
    if scenario.network.fit == "fill":
        return find_stops(profile, workload, n_cores, scenario.network.matrices)
    return [find_stop(profile, workload, n_cores, _weights(scenario, workload.topology))]


def _widen(scenario, profile, n_cores, shape):
    """The scenario with hidden layers as wide as the chip holds whichever positions are drawn, and what stopped them: list of `FitStop`."""
    layers = scenario.network.layers
    names = [f"layer {i}" for i, n in enumerate(layers) if n == "fit"]
    check_shape(scenario, shape or scenario.dataset.shape())

    def with_width(width):
        return scenario.with_(network={"layers": [width if n == "fit" else n for n in layers]})

    def workload(width):
        return _workload(with_width(width), profile, n_cores, shape)

    def holds(width):  # as many positions as there are to be synapses
        sizes = [width if n == "fit" else n for n in layers]
        return sum(a * b for a, b in pairwise(sizes)) >= (scenario.network.synapses or 0)

    least = (widest(lambda n: not holds(n), 1, MOST_WIDTH) or 0) + 1
    if least > MOST_WIDTH:
        raise InputError(f"network.synapses: found {scenario.network.synapses}, more than layers of {MOST_WIDTH:,d} neurons have connections")
    width = widest(lambda n: fits_whatever_is_drawn(profile, workload(n), n_cores), least, MOST_WIDTH)
    if width is None:
        verdict = judge(place(profile, workload(least), n_cores), for_every_draw=True)
        raise DoesNotFitError(f"network.layers fit: not even {least:,d} neuron{'s' * (least != 1)} fit: {summarize(verdict)}", verdict)
    wider = workload(width + 1) if width < MOST_WIDTH else None
    what = f"{width:,d} neurons in {' and '.join(names)}{' each' * (len(names) > 1)}"
    return with_width(width), [find_stop_of_width(profile, wider, n_cores, what)]


def _workload(scenario, profile, n_cores, shape):
    make, topology = _make_workload(scenario, shape)
    positions, rule = topology.n_positions, scenario.rewiring.rule_class
    kind = scenario.hardware.placement
    reference = (
        make(_weights(scenario, topology)) if kind != "contiguous" and n_cores is not None and scenario.network.connectivity == "fit" else None
    )
    arranged = None if reference is None else arrange(kind, profile, reference, n_cores)

    def workload(n_active):
        if n_cores is None or kind == "contiguous":
            return make(n_active)
        if arranged is not None:  # the search for the largest network is one on fixed cores
            return replace(make(n_active), own=arranged.own)
        return arrange(kind, profile, make(n_active), n_cores)

    if rule.starts_dense and not rule.rewires:
        return workload(positions)

    wanted = scenario.network.synapses
    if wanted is not None:
        if not len(positions) <= wanted <= sum(positions):
            raise InputError(f"network.synapses: found {wanted}; expected {len(positions)} to {sum(positions)}, the possible connections")
        return workload(scale_counts(positions, positions, wanted))
    if scenario.network.connectivity != "fit":
        return workload(synapse_counts(topology, scenario.network.connectivity))
    counts = _largest(profile, workload(_weights(scenario, topology)), n_cores, fill if scenario.network.fit == "fill" else largest_fit)
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
    if network.has_maps:
        return network.convolutional
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
        network = scenario.network
        advice = "" if network.is_recurrent and not network.is_spiking else "set hardware.learning to host, or "
        raise LearningError(
            f"hardware.learning: found chip, but {profile.name} does not learn (learning.where {learning.where}; {learning.source}: "
            f"{profile.sources[learning.source]}{note}); {advice}choose a chip that learns"
        )


def _refuse_unless_computes(scenario, profile):
    """Refuse recurrent cells where neurons are circuits: only a program computes them; and maps where a family does not share kernels."""
    family = family_of(profile)
    if scenario.network.has_maps:
        refuse_unless_shared(profile)
    if scenario.network.is_recurrent and not scenario.network.is_spiking and not family.is_program:
        raise UnsuitableChipError(
            f"network.type: found {scenario.network.type}, but the neurons of {profile.name} are circuits that compute no "
            f"{scenario.network.type.upper()} (storage.family {profile.storage.family}); choose a chip whose synapses are words in memory"
        )
    if not scenario.network.is_recurrent:
        refuse_unless_spikes_say(scenario.network.cells, bool(scenario.network.bias), profile)


def refuse_unless_shared(profile):
    """Refuse maps where no word can stand for a connection at all of their places.

    Raises
    ------
    UnsuitableChipError
    """
    family = family_of(profile)
    if not family.shares_kernels:
        raise UnsuitableChipError(
            f"network.type: found conv, but {profile.name} (storage.family {profile.storage.family}) {family.unshared_text}; choose a chip whose "
            "synapses are words in local memory, such as spinnaker2"
        )


def refuse_unless_walked(profile):
    """Refuse to run a network with maps where nobody counts what the chip does with them; it is placed and judged all the same.

    Raises
    ------
    InputError
    """
    if not family_of(profile).walks_maps:
        raise InputError(
            f"hardware.profile: found {profile.name} with a network of type conv: whether it fits is known (neurosim check), what its cores "
            f"(storage.family {profile.storage.family}) do for a sample is not modelled; run it on a chip whose synapses are words in local memory, "
            "such as spinnaker2"
        )


def refuse_unless_spikes_say(cells, has_bias, profile):
    """Refuse cells and biases that circuits cannot have, where no processor sees their sums.

    Raises
    ------
    UnsuitableChipError
    """
    family = family_of(profile)
    if family.computes_sums_elsewhere(profile):
        return
    signed = [cell for cell in cells if find_model(cell).sends_zeros]
    for key, found, what in (
        ("activation", signed[:1], "send spikes, which have no sign"),
        ("bias", ["true"] * (has_bias and not family.adds_biases(profile)), "add none"),
    ):
        if found:
            raise UnsuitableChipError(
                f"network.{key}: found {found[0]}, but the neurons of {profile.name} are circuits that {what}, and no processor beside them "
                f"sees their sums (storage.family {profile.storage.family} without storage.local_bytes); "
                f"{'use relu' if key == 'activation' else 'leave it out'}, or choose a chip with a processor"
            )


def _refuse_unless_traces(scenario, profile):
    """Refuse a spiking network that learns on a chip whose circuits keep less than its program needs, whatever its size."""
    network, training = scenario.network, scenario.training
    if not network.is_spiking or scenario.hardware.learning == "host":
        return
    spiking = Spiking(**network.dynamics, **training.spiking_keys)
    # No more than the kind of the network: sizes come later.
    topology = Topology.spikes(spiking, 1, [max(2, n) for n in network.units], 2, 2, is_recurrent=network.has_recurrent_matrices)
    program = find_program(scenario.hardware.program or default_program(topology))
    where = f"hardware.program: found {program.name}"
    if program.name == "eprop_spike" and family_of(profile).is_program and scenario.hardware.execution != "event_driven":
        raise InputError(f"{where}, which visits the synapses of a neuron at its spikes, with execution scan; use hardware.execution event_driven")
    if reason := why_not(program, topology):
        raise InputError(f"{where}: {reason}")
    if reason := why_not_here(program, topology, profile):
        raise UnsuitableChipError(f"{where}, {reason}")


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


def _check_images(network, name, shape):
    """Refuse maps and outputs that contradict the data."""
    if shape is None:
        return
    n_values, n_outputs = math.prod(network.input_shape), network.convolutional.sizes[-1]
    if n_values != shape.n_features:
        found = " x ".join(map(str, network.input_shape))
        raise InputError(
            f"network.input_shape: found {found}, {n_values:,d} values; a sample of data set {name} has {shape.n_features:,d} "
            "(colours x rows x columns, after dataset.augment.crop)"
        )
    if n_outputs != shape.n_classes:
        raise InputError(
            f"network.layers: the last layer has {n_outputs} neurons, data set {name} has {shape.n_classes} classes; end with {shape.n_classes}"
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
    if network.has_maps:
        _check_images(network, name, shape)
        return
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
