"""NIR out: what the Neuromorphic Intermediate Representation can say of a network.

Its nodes have no rectified, tanh or LSTM cell, and its LIF neurons go back to ``v_reset`` when they spike, where ours lose their threshold. So
only a network without hidden neurons is written as it is; of a spiking one the file is lossy and is written on request alone, and so is a copy
of a rectified one that spikes instead (`rate_coded`). Written so that
importers agree (r = 1 with the factor in the weights, one threshold per layer, v_leak = v_reset = 0, tau much longer than the step).
Source: Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 15:8122 (2024), table 1.
"""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from neurosim.errors import InputError
from neurosim.interchange.libraries import need
from neurosim.interchange.metadata import metadata_of
from neurosim.interchange.rate_coded import TAU_STEPS, RateCoded
from neurosim.results.network import TrainedNetwork

#: Seconds of a step. The format has none; snnTorch assumes this one, and norse takes it as ``dt=``.
STEP_S = 1e-4
#: Largest memory of dense weights, B: the format has no sparse ones.
MOST_BYTES = 2 * 2**30


def nir_graph(network: TrainedNetwork, lossy: bool = False) -> Any:
    """A network as a NIR graph.

    Parameters
    ----------
    network : TrainedNetwork
    lossy : bool
        Whether spiking neurons are written though they reset in another way.

    Returns
    -------
    nir.NIRGraph

    Raises
    ------
    InputError
        What the format cannot say; the message names the format that can.
    """
    nir = need("nir", "nir", "export --format nir")
    refuse_unless_spiking(network, "nir", lossy)
    n_bytes = sum(4 * m.weight.shape[0] * m.weight.shape[1] for m in network.matrices)
    if n_bytes > MOST_BYTES:
        raise InputError(f"export --format nir: the format knows dense weights alone, {n_bytes / 2**30:.1f} GiB here; use --format onnx or npz")
    nodes = {"input": nir.Input(np.array([network.n_inputs]))}
    edges, last = [], "input"
    spiking, f32 = network.spiking, np.float32

    def add(name, node, before):
        nodes[name] = node
        edges.append((before, name))
        return name

    layers = [(i, matrix) for i, matrix in enumerate(network.matrices) if not matrix.is_recurrent]
    scale = 1.0 if network.scale is None else network.scale
    for i, matrix in layers:
        weight = matrix.weight.toarray().T
        is_last = matrix.post == len(network.populations) - 1
        if i == 0:
            weight = weight * f32(scale)
        if is_last and not (spiking and spiking.kappa):
            bias = network.biases.get(matrix.post, np.zeros(weight.shape[0], f32))
            last = add(f"layer{matrix.post}_weights", nir.Affine(weight, bias), last)
            continue
        assert spiking is not None  # a hidden layer, or a read-out that leaks
        tau_steps = 1 / (1 - (spiking.kappa if is_last else spiking.alpha))
        n = weight.shape[0]
        tau, ones, zeros = np.full(n, tau_steps * STEP_S), np.ones(n), np.zeros(n)
        if is_last:
            bias = network.biases.get(matrix.post, np.zeros(n, f32))
            last = add(f"layer{matrix.post}_weights", nir.Affine(weight * f32(tau_steps), bias * f32(tau_steps)), last)
            last = add("readout", nir.LI(tau=tau, r=ones, v_leak=zeros), last)
            continue
        last = add(f"layer{matrix.post}_weights", nir.Linear(weight * f32(tau_steps)), last)
        neuron = nir.LIF(tau=tau, r=ones, v_leak=zeros, v_threshold=np.full(n, spiking.v_th), v_reset=zeros)
        last = add(f"layer{matrix.post}", neuron, last)
        own = next((m for m in network.matrices if m.is_recurrent and m.post == matrix.post), None)
        if own is not None:
            add(f"layer{matrix.post}_recurrent", nir.Linear(own.weight.toarray().T * f32(tau_steps)), last)
            edges.append((f"layer{matrix.post}_recurrent", last))
    nodes["output"] = nir.Output(np.array([network.n_classes]))
    edges.append((last, "output"))
    told = metadata_of(network) | {"neurosim.step_s": STEP_S, "neurosim.n_steps": network.n_steps}
    if spiking:
        told |= {"neurosim.reset": "subtract", "neurosim.readout": spiking.readout, "neurosim.spiking": json.dumps(vars(spiking))}
    return nir.NIRGraph(nodes, edges, metadata=told)


def rate_coded_graph(network: TrainedNetwork, copy: RateCoded) -> Any:
    """A rate-coded copy as a NIR graph, with what was measured of it.

    Parameters
    ----------
    network : TrainedNetwork
        That it is a copy of.
    copy : RateCoded

    Returns
    -------
    nir.NIRGraph
    """
    nir = need("nir", "nir", "export --format nir")
    nodes, last = {"input": nir.Input(np.array([network.n_inputs]))}, "input"
    edges = []
    for i, (weight, bias) in enumerate(zip(copy.weights, copy.biases, strict=True), 1):
        is_last, n = i == len(copy.weights), weight.shape[1]
        gain = np.float32(1 if is_last else TAU_STEPS)
        added = {f"layer{i}_weights": nir.Affine(weight.T * gain, bias * gain) if bias.any() or is_last else nir.Linear(weight.T * gain)}
        if not is_last:
            zeros = np.zeros(n)
            tau = np.full(n, TAU_STEPS * STEP_S)
            added[f"layer{i}"] = nir.LIF(tau=tau, r=np.ones(n), v_leak=zeros, v_threshold=np.ones(n), v_reset=zeros)
        for name, node in added.items():
            nodes[name] = node
            edges.append((last, name))
            last = name
    nodes["output"] = nir.Output(np.array([network.n_classes]))
    edges.append((last, "output"))
    told = metadata_of(network) | {"neurosim.step_s": STEP_S, "neurosim.n_steps": copy.n_steps, "neurosim.rate_coded": json.dumps(copy.facts())}
    return nir.NIRGraph(nodes, edges, metadata=told)


def refuse_unless_spiking(network: TrainedNetwork, what: str, lossy: bool) -> None:
    """Refuse what a format of spiking neurons cannot say.

    Raises
    ------
    InputError
    """
    where = f"export --format {what}"
    if network.mean is not None:
        raise InputError(f"{where}: its inputs are standardized, for which the format has no node; use --format onnx")
    if network.spiking is None:
        if len(network.matrices) > 1:
            cell = network.type if network.type != "mlp" else network.cells[0]
            raise InputError(
                f"{where}: {network.populations[1]} has cells {cell}, for which the format has no neuron; use --format onnx, which is exact{_copy_of(network, what)}"
            )
        if what == "pynn":
            raise InputError(f"{where}: no neuron of this network spikes; use --format onnx, which is exact")
        return
    spiking = network.spiking
    for broken, why in (
        (spiking.adaptive > 0, f"{network.populations[1]} has neurons whose threshold adapts"),
        (spiking.refractory > 0, f"{network.populations[1]} has neurons that rest {spiking.refractory} steps after a spike, which no step of it has"),
    ):
        if broken:
            raise InputError(f"{where}: {why}, for which the format has no neuron; use --format torch or npz, which are exact")
    if not lossy:
        raise InputError(
            f"{where}: {network.populations[1]} loses its threshold with a spike, where the format resets a neuron; use --format torch or npz, which are "
            "exact, or --lossy to write it all the same"
        )


def _copy_of(network, what):
    return ", or --rate-coded for a copy that spikes" if what == "nir" and network.type == "mlp" and set(network.cells) == {"relu"} else ""


def write_nir(network: TrainedNetwork, out: str | Path, lossy: bool = False, copy: RateCoded | None = None) -> None:
    """Write a NIR file: of a network, or of a rate-coded copy of it."""
    nir = need("nir", "nir", "export --format nir")
    need("h5py", "nir", "export --format nir")
    graph = nir_graph(network, lossy) if copy is None else rate_coded_graph(network, copy)
    out = Path(out)
    part = out.with_name(f".{out.name}.part")
    try:
        nir.write(part, graph)
        os.replace(part, out)
    except OSError as error:
        raise InputError(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        part.unlink(missing_ok=True)
