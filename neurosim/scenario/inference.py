"""A given network on a chip and on data: accuracy, traffic and energy of inference alone, counted as the evaluations of runs are."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np

from neurosim.accounting import count_by_phase, make_ledger
from neurosim.accounting.events import PHASE
from neurosim.datasets.standardize import ImageStandardization
from neurosim.errors import DoesNotFitError, InputError
from neurosim.placement import summarize
from neurosim.scenario.deploy import deploy
from neurosim.scenario.experiment import refuse_unless_walked


@dataclass(frozen=True)
class Inference:
    """What inference on a chip gave and cost.

    Attributes
    ----------
    network : dict
        Type, sizes, synapses and origin.
    profile, weight_format, dataset : str
    n_samples : int
    accuracy : float
        Fraction, with the weights that the chip stores.
    loss : float
        Mean cross-entropy, nats.
    accuracy_given : float
        Fraction with the weights as they were given, in float32.
    n_saturated, n_rounded : int
        Weights beyond the format's range, which took its largest value, and all that changed.
    energy : dict
        ``total_j``, ``per_sample_j`` (None where nothing has a price), ``complete``, ``unpriced``, ``by_component_j``.
    traffic_bytes : dict
        ``read``, ``write`` and rows by core, section and level.
    events : dict
        Of all cores, by kind.
    time : dict
        ``per_sample_s`` (None where the model has no time), ``complete``, ``unmodelled``.
    verdict : dict
    """

    network: dict
    profile: str
    weight_format: str
    dataset: str
    n_samples: int
    accuracy: float
    loss: float
    accuracy_given: float
    n_saturated: int
    n_rounded: int
    energy: dict
    traffic_bytes: dict
    events: dict
    time: dict
    verdict: dict = field(repr=False)

    def to_dict(self):
        """Plain data for JSON."""
        return asdict(self)


def evaluate(deployment, dataset, inputs="auto", n_threads=None):
    """Run the test samples of a data set through a network on a chip.

    Parameters
    ----------
    deployment : Deployment
    dataset : Dataset
        Not standardized: the network says how its inputs enter.
    inputs : {'auto', 'raw', 'unit'}
        In which units the network takes samples: ``raw`` as they are stored, such as 0 to 255, or ``unit``, from 0 to 1 where the data set
        says how. ``auto``: raw where the network comes from neurosim.
    n_threads : int, optional
        The result does not depend on it.

    Returns
    -------
    Inference

    Raises
    ------
    DoesNotFitError
        Unless ``hardware.on_violation`` is report.
    InputError
        Data of another size or with other classes, or a network with maps on a chip on which what they do is not counted.
    """
    if deployment.network.spiking and not dataset.is_spikes:
        deployment = deploy(deployment.network, deployment.hardware, with_remedies=False, has_spike_inputs=False)
    hardware, verdict = deployment.hardware, deployment.verdict
    if not verdict.fits and hardware.on_violation == "refuse":
        raise DoesNotFitError(summarize(verdict), verdict)
    if deployment.network.maps is not None:
        refuse_unless_walked(deployment.profile)
    from neurosim.scenario.trainer import set_threads

    if why := deployment.network.origin.get("approximates"):
        raise InputError(f"evaluate: {why}; a verdict does not depend on it, but accuracy and spikes do: train it here, or export it from neurosim")
    dataset = as_network_takes(deployment.network, dataset, inputs)
    set_threads(n_threads)
    stored, n_saturated, n_rounded = round_weights(deployment.network, hardware)
    store, chip_network = _build(deployment, stored)
    from neurosim.scenario.record import activity_of
    from neurosim.synapses.store import new_tally

    tally, nothing = new_tally(store.plan), new_tally(store.plan)
    result = chip_network.evaluate_on(dataset, tally)
    topology = deployment.placement.workload.topology
    lengths = np.full(dataset.n_test, topology.n_steps) if dataset.lengths_test is None else np.asarray(dataset.lengths_test)
    ledger = make_ledger(
        deployment.placement, activity_of(deployment.placement, nothing, lengths[:0], 0), activity_of(deployment.placement, tally, lengths, 0)
    )
    sums = deployment.network.sums(dataset.x_test.astype(np.float32) * np.float32(dataset.scale), lengths)
    network = deployment.network
    return Inference(
        network={"type": network.type, "sizes": list(network.sizes), "n_synapses": network.n_synapses, "origin": network.origin},
        profile=deployment.profile.name,
        weight_format=hardware.weight_format,
        dataset=dataset.name,
        n_samples=dataset.n_test,
        accuracy=float(result.accuracy),
        loss=float(result.loss),
        accuracy_given=float((sums.argmax(axis=1) == dataset.y_test).mean()),
        n_saturated=n_saturated,
        n_rounded=n_rounded,
        energy=_energy(ledger),
        traffic_bytes=_traffic(ledger),
        events=count_by_phase(ledger).get("evaluate", {}),
        time={
            "per_sample_s": None if ledger.time.evaluation_s is None else ledger.time.evaluation_s / dataset.n_test,
            "complete": ledger.time.is_complete,
            "unmodelled": list(ledger.time.unmodelled),
        },
        verdict=deployment.to_dict(),
    )


def as_network_takes(network, dataset, inputs="auto"):
    """A data set whose scaled samples are what the first layer takes, and whose class numbers are those of the outputs.

    Raises
    ------
    InputError
    """
    if dataset.standardization is not None:
        raise InputError(f"{dataset.name}: found standardized samples; leave dataset.standardize out, the network says how its inputs enter")
    n_steps = network.n_steps
    if network.type not in ("mlp", "conv") and dataset.n_steps != n_steps:
        raise InputError(f"{dataset.name}: sequences of {dataset.n_steps} steps, the network has {n_steps}; load it with --steps {dataset.n_steps}")
    if dataset.n_features != network.n_features or dataset.n_classes != network.n_classes:
        raise InputError(
            f"{dataset.name}: samples of {dataset.n_features} values and {dataset.n_classes} classes; "
            f"the network takes {network.n_features} and has {network.n_classes}"
        )
    if network.scale is None:
        raise InputError("the network does not say how its inputs are scaled; set it with dataclasses.replace(network, scale=1.0)")
    unit = inputs == "unit" or inputs == "auto" and "neurosim" not in network.origin
    scale = (dataset.scale if unit else 1.0) * network.scale
    changed: dict[str, Any] = {"scale": scale}
    if network.per_image:
        changed = {"scale": 1.0, "x_test": ImageStandardization(scale).apply(dataset.x_test)}
    elif network.mean is not None:
        steps = dataset.x_test.reshape(dataset.n_test, -1, network.n_inputs) * np.float64(scale)
        x = ((steps - network.mean) / network.spread).astype(np.float32)
        if dataset.lengths_test is not None:  # what is before a sequence stays nothing
            x[np.arange(n_steps) < n_steps - np.asarray(dataset.lengths_test)[:, None]] = 0
        changed = {"scale": 1.0, "x_test": np.ascontiguousarray(x.reshape(dataset.n_test, -1))}
    if network.classes is not None and list(network.classes) != list(dataset.classes):
        place = {str(name): i for i, name in enumerate(network.classes)}
        if missing := [name for name in dataset.classes if str(name) not in place]:
            raise InputError(f"{dataset.name}: class {missing[0]!r}, which is none of the network's {', '.join(list(place)[:6])}")
        changed["y_test"] = np.array([place[str(name)] for name in dataset.classes], np.int32)[dataset.y_test]
    return replace(dataset, **changed)


def round_weights(network, hardware):
    """Weights as the chip stores them.

    Parameters
    ----------
    network : TrainedNetwork
    hardware : Hardware
        Its format; of ``intN`` without a range, the full scale of each matrix is the power of two above its largest weight.

    Returns
    -------
    connections : list of (pre, post, weight, Grid)
    n_saturated, n_rounded : int
        Weights beyond the range, and weights that changed.
    """
    found, n_saturated, n_rounded = [], 0, 0
    for i, matrix in enumerate(network.matrices):
        weight = matrix.weight.tocoo()
        grid = grid_of(hardware, i, matrix.weight)
        rounded, over = grid.round(weight.data)
        n_saturated, n_rounded = n_saturated + over, n_rounded + int((rounded != weight.data).sum())
        found.append((weight.row.astype(np.int64), weight.col.astype(np.int64), rounded, grid))
    return found, n_saturated, n_rounded


def grid_of(hardware, matrix, weight):
    """`Grid` of one matrix in the format of the chip. `weight` : csr_array."""
    from neurosim.scenario.network import full_scale
    from neurosim.synapses import Grid

    most = float(np.abs(weight.data).max(initial=0))
    auto = 2.0 ** int(np.frexp(most)[1]) if most else 1.0  # above it, for the largest value of a grid lies below its full scale
    return Grid(*hardware.format.grid(weight.shape[0], full_scale(hardware, matrix) or auto))


def _build(deployment, stored):
    """The store with the given connections, and the network on it."""
    from neurosim.nn.network import EVALUATION_LANES
    from neurosim.scenario.network import make_plan, network_on
    from neurosim.synapses import CorePlan, SynapseStore

    placement, network = deployment.placement, deployment.network
    limits = None
    if not deployment.verdict.fits:  # a limit that is broken cannot be kept, but what it counts is still counted
        counted = {name: (2**62,) * placement.n_cores for name in ("in_axons", "out_axons", "words", "routing_entries", "targets")}
        limits = CorePlan(**{name: counted.get(name, value) for name, value in placement.row_limits.items()})
    plan = make_plan(
        placement, [grid for *_, grid in stored], keeps_fan_in=deployment.verdict.fits, limits=limits, scope="core", signs="free", is_strict=False
    )
    store = SynapseStore.of(plan, [connections[:3] for connections in stored])
    built = network_on(store, placement.workload, EVALUATION_LANES)
    set_biases(built, network)
    return store, built


def set_biases(built, network):
    """Give the biases of a `TrainedNetwork` to a network of kernels; a layer that has none gets zeros."""
    if built.biases.size and network.biases:
        parts = [(p, population.n_sums) for p, population in enumerate(network.topology.populations) if population.has_bias]
        built.biases[:] = np.concatenate([network.biases.get(p, np.zeros(n, np.float32)) for p, n in parts])


def _energy(ledger):
    priced = any(line.energy_j is not None for line in ledger.energy)
    total = ledger.total_energy_j if priced else None
    return {
        "total_j": total,
        "per_sample_j": None if total is None else total / ledger.n_evaluated,
        "complete": ledger.is_complete,
        "unpriced": list(ledger.unpriced),
        "by_component_j": ledger.energy_by("component"),
    }


def _traffic(ledger):
    rows = [row for row in ledger.traffic_rows() if row[1] == "evaluate"]
    of_phase = ledger.traffic[:, PHASE["evaluate"]]
    return {
        "read": int(of_phase[..., 0].sum()),
        "write": int(of_phase[..., 1].sum()),
        "rows": [dict(zip(("core", "phase", "section", "level", "read_bytes", "write_bytes"), row)) for row in rows],
    }
