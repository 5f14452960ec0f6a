"""What a run has learned, from its trainer or from the files of its folder.

The files of a finished run are enough, also those of an older version: result.json says how many synapses of each matrix are
active, the checkpoint holds them in the order of the matrices, with free and dormant slots between them that count for nothing. No data, no
profile and no kernel is needed.
"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from neurosim.datasets import DATASETS
from neurosim.documents import validate_data
from neurosim.documents.archive import DamagedArchiveError, read_archive
from neurosim.errors import InputError
from neurosim.networks import Spiking, Topology
from neurosim.placement.layout import make_layout
from neurosim.results.files import read_record
from neurosim.results.network import TrainedNetwork, WeightMatrix, read_network
from neurosim.scenario.folder import CHECKPOINT
from neurosim.scenario.schema import learning_of
from neurosim.scenario.schema_network import SPIKING, dynamics_of

NETWORK = "network.npz"


def network_of(experiment, trainer):
    """The network of a trainer as it stands.

    Parameters
    ----------
    experiment : Experiment
    trainer : Trainer

    Returns
    -------
    TrainedNetwork
        Its arrays are copies.
    """
    store, scenario, dataset = trainer.store, experiment.scenario, trainer.dataset
    shapes = [(m.n_pre, m.n_post) for m in store.plan.matrices]
    connections = [store.connections(m) for m in range(len(shapes))]
    placement = experiment.placement
    homes = {p: home.astype(np.int32) for p, home in enumerate(placement.homes) if p}
    return _network(
        scenario.network.model_dump(), shapes, connections, trainer.network.state().get("biases"), homes,
        inputs=_inputs_of(dataset), n_steps=placement.workload.topology.n_steps, names=scenario.network.matrices,
        origin=_origin(scenario.name, scenario.seed, experiment.profile), spiking=placement.workload.topology.spiking,
    )  # fmt: skip


def read_run_network(folder, record=None):
    """The network of a finished run, from its folder.

    Parameters
    ----------
    folder : path-like
        Folder of a run, or its result.json.
    record : RunRecord, optional
        Of the run, where it was read already.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
        No finished run, or files that are damaged or do not belong together.
    """
    folder = Path(folder)
    folder = folder.parent if folder.is_file() else folder
    record = record or read_record(folder)
    if (folder / NETWORK).is_file():
        return read_network(folder / NETWORK)
    path = folder / CHECKPOINT
    try:
        arrays, _ = read_archive(path)
        active, slots = arrays["slots.active"] == 1, [arrays[f"slots.{name}"] for name in ("pre", "post", "weight")]
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; the weights of a run stand in its checkpoint, give a folder that `neurosim run` wrote") from None
    except (DamagedArchiveError, KeyError) as error:
        raise InputError(f"{path}: {error if isinstance(error, DamagedArchiveError) else 'holds no synapses'}; run again") from None
    matrices = record.connectivity.matrices
    ends = np.cumsum([m.active for m in matrices])
    if active.sum() != ends[-1]:
        raise InputError(f"{path}: {active.sum():,d} active synapses, result.json counts {ends[-1]:,d}: the files are of different runs; run again")
    connections = list(zip(*(np.split(values[active], ends[:-1]) for values in slots), strict=True))
    shapes = [(m.n_pre, m.n_post) for m in matrices]
    if any((pre >= n_pre).any() or (post >= n_post).any() for (pre, post, _), (n_pre, n_post) in zip(connections, shapes, strict=True)):
        raise InputError(f"{path}: a synapse beyond the sizes in result.json: the files are of different runs; run again")
    network, n_steps = record.scenario["network"], record.dataset.n_features // shapes[0][0]
    spiking = _spiking(record.scenario)
    return _network(
        network, shapes, connections, arrays.get("network.biases"), _homes(network, shapes, connections, record, spiking),
        inputs=_recorded_inputs(record.dataset), n_steps=n_steps, names=[m.name or f"matrix {i}" for i, m in enumerate(matrices)],
        origin=_origin(record.scenario.get("name", "run"), record.seed, record.profile, record.environment.get("neurosim")),
        spiking=spiking,
    )  # fmt: skip


def _network(network, shapes, connections, biases, homes, *, inputs, n_steps, names, origin, spiking=None):
    kind, maps = network.get("type") or "mlp", None
    if kind == "conv":
        topology = _convolutional(network)
        populations, maps = tuple(population.name for population in topology.populations), _maps_of(topology)
        ends = [(i, i + 1) for i in range(len(shapes))]
    elif kind == "mlp":
        n = len(shapes)
        populations = ("inputs", *(f"hidden {i}" for i in range(1, n)), "outputs")
        ends = [(i, i + 1) for i in range(n)]
    else:
        layers = range(1, len(network["units"]) + 1)
        populations = ("inputs", *(f"{kind} {i}" for i in layers), "outputs")
        own = (1, 0) if network.get("recurrent") is not False else (1,)
        ends = [(layer - before, layer) for layer in layers for before in own] + [(layers[-1], layers[-1] + 1)]
    matrices = tuple(
        WeightMatrix.of(name, end, shape, found, is_recurrent=end[0] == end[1])
        for name, end, shape, found in zip(names, ends, shapes, connections, strict=True)
    )
    return TrainedNetwork(
        type=kind,
        populations=populations,
        matrices=matrices,
        biases={matrices[-1].post: np.array(biases, np.float32)} if spiking else _split_biases(biases, matrices),
        homes=homes,
        activation=network.get("activation") or "relu",
        readout=spiking.readout if spiking else network.get("readout") or "last",
        spiking=spiking,
        n_steps=n_steps if kind not in ("mlp", "conv") else 1,
        origin=origin,
        maps=maps,
        **inputs,
    )


def _convolutional(network):
    """The `Topology` of a network with maps, from its part of a scenario as plain data."""
    from neurosim.scenario.schema_network import Network

    return validate_data(Network, {key: value for key, value in network.items() if value is not None}, name="network", what="network").convolutional


def _maps_of(topology):
    """Maps as plain data; see `results.network`."""
    pools = [population.maps and population.maps.pool for population in topology.populations[1:-1]]
    return {
        "input_shape": [topology.sizes[0], topology.populations[0].maps.height, topology.populations[0].maps.width],
        "kernels": [projection.pattern and asdict(projection.pattern) for projection in topology.projections],
        "pools": [pool and asdict(pool) for pool in pools],
    }


def _split_biases(biases, matrices):
    """Biases of the sums of each population but the inputs, in its order."""
    if biases is None or not biases.size:
        return {}
    n_sums = {m.post: m.weight.shape[1] for m in matrices}
    parts = np.split(np.array(biases, np.float32), np.cumsum(list(n_sums.values()))[:-1])
    return dict(zip(n_sums, parts, strict=True))


def _spiking(scenario):
    """`Spiking` of a scenario as its record tells it; None where nothing spikes."""
    return Spiking(**dynamics_of(scenario["network"]), **learning_of(scenario["training"])) if scenario["network"].get("type") in SPIKING else None


def _homes(network, shapes, connections, record, spiking):
    """Cores of the neurons; empty where another version has laid them out in another way than this one would."""
    kind = network.get("type") or "mlp"
    if kind == "conv":
        topology = _convolutional(network)
    elif kind == "mlp":
        topology = Topology.feedforward((shapes[0][0], *(n_post for _, n_post in shapes)))
    elif spiking:
        is_recurrent = network.get("recurrent") is not False
        topology = Topology.spikes(spiking, shapes[0][0], network["units"], shapes[-1][1], 2, is_recurrent=is_recurrent)
    else:
        topology = Topology.recurrent(kind, shapes[0][0], network["units"], shapes[-1][1], 2)
    arranged = ((record.verdict or {}).get("arrangement") or {}).get("own")
    layout = make_layout(topology, len(record.cores), None if arranged is None else tuple(map(tuple, arranged)))
    own, n_neurons = layout.own, layout.n_neurons
    homes = {p: np.repeat(np.arange(own.shape[1], dtype=np.int32), own[p]) for p in range(1, len(own))}
    is_same = n_neurons.tolist() == [core.n_neurons for core in record.cores]
    for projection, (_, post, _) in zip(topology.projections, connections, strict=True):
        # Slots lie in the order of cores.
        n_sums = topology.populations[projection.post].n_sums // topology.sizes[projection.post]
        is_same &= bool((np.diff(homes[projection.post][post // n_sums]) >= 0).all())
    return homes if is_same else {}


def _inputs_of(dataset):
    """How samples enter, and what the outputs stand for."""
    found = {"scale": dataset.scale, "classes": None if _are_numbers(dataset.classes) else np.array(dataset.classes)}
    if dataset.standardization is not None and dataset.encoding is None:
        known = dataset.standardization
        found |= {"scale": known.scale}
        found |= {"mean": known.mean, "spread": known.spread} if hasattr(known, "mean") else {"per_image": True}
    return found


def _recorded_inputs(dataset):
    """`_inputs_of` from a record; where an older one does not say, named data sets are known."""
    info = DATASETS.get(dataset.name)
    scale = dataset.scale if dataset.scale is not None or info is None else info.scale
    found = {"scale": scale, "classes": None if dataset.classes is None or _are_numbers(dataset.classes) else np.array(dataset.classes)}
    if dataset.mean is not None:
        found |= {"mean": np.array(dataset.mean), "spread": np.array(dataset.spread)}
    if dataset.per_image:
        found["per_image"] = True
    return found


def _are_numbers(classes):
    return list(classes) == list(range(len(classes))) and not any(isinstance(name, bool) for name in classes)


def _origin(name, seed, profile, version=None):
    import neurosim

    return {"scenario": name, "seed": seed, "profile": profile.name, "profile_sha256": profile.sha256, "neurosim": version or neurosim.__version__}
