"""NIR in: a chain of weights and LIF or IF neurons, whose layers may project to themselves, as a trained network.

Thresholds and factors of single neurons go into their weights, so that all neurons of the network have one threshold. The equations of the
format reset a neuron to ``v_reset``; ours lose the threshold: `origin["approximates"]` says so, and only who asks for a verdict, for which it
makes no difference, need not care.
Source: Pedersen et al., "Neuromorphic intermediate representation", Nature Communications 15:8122 (2024), table 1.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np

from neurosim.errors import InputError, printable
from neurosim.interchange.layers import Layers, sparse_of
from neurosim.interchange.libraries import need
from neurosim.interchange.nir_out import STEP_S
from neurosim.networks import Spiking
from neurosim.results.network import TrainedNetwork, WeightMatrix

RESETS = "NIR resets a neuron that spikes, neurons here lose their threshold"


def read_nir(path: str | Path, n_steps: int | None = None) -> TrainedNetwork:
    """A network from a NIR file.

    Parameters
    ----------
    path : path-like
    n_steps : int, optional
        Steps of a sample, which the format does not hold.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
        One line that names the node.
    """
    name = printable(path)
    nir = need("nir", "nir", name)
    need("h5py", "nir", name)
    try:
        graph = nir.read(name, type_check=False)  # sizes are checked here, by name of the node
    except Exception as error:  # h5py and nir raise kinds of their own
        raise InputError(f"{name}: not a NIR file ({type(error).__name__})") from None
    if not isinstance(graph, nir.NIRGraph):
        raise InputError(f"{name}: holds a node of type {type(graph).__name__}; expected a graph")
    try:
        return _Reader(nir, graph, name, n_steps).read()
    except (ValueError, IndexError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: not a graph that can be followed ({type(error).__name__}: {printable(error)[:200]})") from None


class _Reader:
    def __init__(self, nir, graph, path, n_steps):
        self.nir, self.path = nir, path
        self.nodes, self.edges = _flat(nir, graph, path)
        self.told = {str(key): value for key, value in (graph.metadata or {}).items()}
        self.n_steps = n_steps or int(self.told.get("neurosim.n_steps", 0)) or None
        self.step_s = float(self.told.get("neurosim.step_s", STEP_S))

    def where(self, name):
        return f"{self.path}: node {printable(name)} ({type(self.nodes[name]).__name__})"

    def read(self):
        nir, chain = self.nir, self._chain()
        parts: list[dict] = []  # (where, weight, bias, cell or None, recurrent weight or None)
        for name, loop in chain:
            node, where = self.nodes[name], self.where(name)
            if isinstance(node, (nir.Affine, nir.Linear)):
                if parts and parts[-1]["cell"] is None:
                    raise InputError(f"{where}: two weights without a neuron between them; multiply them into one")
                weight = np.asarray(node.weight)
                if weight.ndim != 2:
                    raise InputError(f"{where}: weights of shape {weight.shape}; expected two axes, (post, pre)")
                bias = np.asarray(node.bias, np.float64) if isinstance(node, nir.Affine) else np.zeros(weight.shape[0])
                parts.append({"where": where, "weight": weight.T, "bias": bias, "cell": None, "own": None})
            elif isinstance(node, (nir.LIF, nir.IF, nir.LI)):
                if not parts or parts[-1]["cell"] is not None:
                    raise InputError(f"{where}: a neuron without weights before it; expected Affine or Linear there")
                parts[-1] |= {"cell": node, "where_cell": where, "own": None if loop is None else self._loop(loop)}
            elif isinstance(node, nir.Flatten):
                continue
            else:
                raise InputError(
                    f"{where}: this node has no place in a network of neurosim; known: Affine, Linear, LIF, IF, LI (the read-out), Flatten"
                )
        if not parts:
            raise InputError(f"{self.path}: holds no weights")
        if len(parts) == 1 and parts[0]["cell"] is None:
            return self._linear(parts[0])
        return self._spiking(parts)

    def _loop(self, name):
        node = self.nodes[name]
        if isinstance(node, self.nir.Affine) and np.any(node.bias):
            raise InputError(f"{self.where(name)}: a bias of recurrent weights; put it into those before the layer")
        return np.asarray(node.weight).T

    def _chain(self):
        """Names from the first node behind the input to the last before the output, each with the weights that lead back to it, or None."""
        nir = self.nir
        inputs = [n for n, node in self.nodes.items() if isinstance(node, nir.Input)]
        outputs = [n for n, node in self.nodes.items() if isinstance(node, nir.Output)]
        for found, what in ((inputs, "inputs"), (outputs, "outputs")):
            if len(found) != 1:
                raise InputError(f"{self.path}: found {len(found)} {what} ({', '.join(map(printable, found[:4]))}); expected one")
        after: dict = {}
        for a, b in self.edges:
            after.setdefault(a, []).append(b)
        chain: list[tuple] = []
        name, seen = inputs[0], {inputs[0]}
        while name != outputs[0]:
            nexts = list(dict.fromkeys(after.get(name, [])))
            loops = [n for n in nexts if isinstance(self.nodes[n], (nir.Affine, nir.Linear)) and after.get(n) == [name]]
            nexts = [n for n in nexts if n not in loops]
            if len(loops) > 1 or len(nexts) != 1:
                raise InputError(
                    f"{self.where(name)}: leads to {len(nexts)} nodes ({', '.join(map(printable, nexts[:4]))}); a network of layers has no branches"
                )
            if chain and chain[-1][0] == name and loops:
                chain[-1] = (name, loops[0])
            (name,) = nexts
            if name in seen:
                raise InputError(f"{self.where(name)}: a circle that is not one layer projecting to itself")
            seen.add(name)
            if name != outputs[0]:
                chain.append((name, None))
        return chain

    def _linear(self, part):
        layers = Layers(self.path)
        layers.multiply(part["where"], part["weight"].astype(np.float32), part["weight"] != 0)
        if part["bias"].any():
            layers.shift(part["where"], part["bias"], None)
        return replace(layers.network(), origin={"file": Path(self.path).name, "producer": "nir"})

    def _spiking(self, parts):
        nir = self.nir
        if self.n_steps is None:
            raise InputError(f"{self.path}: the format holds no number of steps; say how many with --steps")
        *hidden, last = parts
        if isinstance(last["cell"], (nir.LIF, nir.IF)):
            raise InputError(
                f"{last['where_cell']}: spiking outputs; expected weights, or weights and an LI node, whose values are the scores of the classes"
            )
        alphas = [self._decay(part) for part in hidden]
        if np.ptp(np.concatenate([np.ravel(a) for a in alphas])) > 1e-9:
            raise InputError(f"{hidden[-1]['where_cell']}: time constants differ; neurons of a network have one here")
        alpha, kappa = float(np.ravel(alphas[0])[0]), 0.0
        # The threshold of all: that of the first neuron; others are as if theirs were scaled with their weights.
        matrices, populations, v_th = [], ["inputs"], float(np.ravel(getattr(hidden[0]["cell"], "v_threshold", 1.0))[0])
        for i, part in enumerate(hidden, 1):
            node = part["cell"]
            if isinstance(node, nir.LI):
                raise InputError(f"{part['where_cell']}: a leaky integrator before the read-out; neurons there spike")
            n = part["weight"].shape[1]
            threshold = np.broadcast_to(np.asarray(node.v_threshold, np.float64), n)
            if not (threshold > 0).all():
                raise InputError(f"{part['where_cell']}: a threshold that is not above 0")
            for key in ("v_leak", "v_reset"):
                if (found := getattr(node, key, None)) is not None and np.any(found):
                    raise InputError(f"{part['where_cell']}: {key} is not 0; a membrane decays and falls towards 0 here")
            if part["bias"].any():
                raise InputError(f"{part['where']}: biases of spiking neurons; only the read-out has them here")
            gain = np.broadcast_to(self._gain(node), n) * (v_th / threshold)
            matrices.append(self._matrix(part["where"], part["weight"] * gain, (i - 1, i), f"{populations[-1]} to lif {i}"))
            populations.append(f"lif {i}")
            if part["own"] is not None:
                own = part["own"] * gain
                if np.diagonal(own).any():
                    raise InputError(f"{part['where_cell']}: a neuron that projects to itself; neurons of a layer project to each other here")
                matrices.append(self._matrix(part["where_cell"], own, (i, i), f"lif {i} to itself"))
        loops = [part["own"] is not None for part in hidden]
        if any(loops) and not all(loops):
            raise InputError(f"{hidden[loops.index(False)]['where_cell']}: projects not to itself as other layers do; all layers do, or none")
        weight, bias = last["weight"].astype(np.float64), last["bias"]
        if last["cell"] is not None:
            kappa = float(np.ravel(self._decay(last))[0])
            gain = self._gain(last["cell"])
            weight, bias = weight * gain, bias * gain
        n_hidden = len(hidden)
        matrices.append(self._matrix(last["where"], weight, (n_hidden, n_hidden + 1), f"{populations[-1]} to outputs"))
        for before, after, part in zip(hidden, [*hidden[1:], last], [*hidden[1:], last], strict=True):
            if before["weight"].shape[1] != after["weight"].shape[0]:
                raise InputError(f"{part['where']}: weights for {after['weight'].shape[0]} neurons behind a layer of {before['weight'].shape[1]}")
        readout = str(self.told.get("neurosim.readout", "mean"))
        spiking = Spiking(
            tau_m=_tau(alpha), tau_out=_tau(kappa) if kappa else 0.0, v_th=v_th, readout=readout if readout in ("last", "mean", "every") else "mean"
        )
        return TrainedNetwork(
            type="lif", populations=(*populations, "outputs"), matrices=tuple(matrices),
            biases={n_hidden + 1: bias.astype(np.float32)}, readout=spiking.readout, n_steps=self.n_steps, scale=1.0, spiking=spiking,
            origin=self._origin(),
        )  # fmt: skip

    def _origin(self):
        found = {"file": Path(self.path).name, "producer": "nir"}
        return found if self.told.get("neurosim.reset") == "subtract" else found | {"approximates": RESETS}

    def _matrix(self, where, weight, ends, name):
        found = sparse_of(where, weight.astype(np.float32))
        if found.nnz == 0:
            raise InputError(f"{where}: no weight that is not zero; a network needs at least one connection between its layers")
        return WeightMatrix(name, ends[0], ends[1], found, np.where(np.signbit(found.data), -1, 1).astype(np.int8), ends[0] == ends[1])

    def _decay(self, part):
        """What is left of a membrane after one step of Euler's method."""
        node = part["cell"]
        if isinstance(node, self.nir.IF):
            return np.ones(1)
        tau = np.asarray(node.tau, np.float64)
        if not (tau >= self.step_s).all():
            raise InputError(f"{part['where_cell']}: tau of {tau.min():g} s is shorter than a step of {self.step_s:g} s")
        return 1 - self.step_s / tau

    def _gain(self, node):
        """What an input of 1 adds to a membrane in a step."""
        r = np.asarray(node.r, np.float64)
        return r if isinstance(node, self.nir.IF) else r * self.step_s / np.asarray(node.tau, np.float64)


def _flat(nir, graph, path):
    """Nodes and edges of a graph with those of nested ones, whose inputs and outputs are left out."""
    nodes, edges = dict(graph.nodes), list(graph.edges)
    while nested := next((name for name, node in nodes.items() if isinstance(node, nir.NIRGraph)), None):
        inner = nodes.pop(nested)
        named = {name: f"{nested}.{name}" for name in inner.nodes}
        ports = [{name for name, node in inner.nodes.items() if isinstance(node, kind)} for kind in (nir.Input, nir.Output)]
        if any(len(port) != 1 for port in ports):
            raise InputError(f"{path}: node {printable(nested)} (NIRGraph): expected one input and one output")
        (first,), (last,) = ports
        nodes |= {named[name]: node for name, node in inner.nodes.items() if name not in (first, last)}
        heads = [named[b] for a, b in inner.edges if a == first]
        tails = [named[a] for a, b in inner.edges if b == last]
        edges = [
            *((a, b) for a, b in edges if nested not in (a, b)),
            *((a, head) for a, b in edges if b == nested for head in heads),
            *((tail, b) for a, b in edges if a == nested for tail in tails),
            *((named[a], named[b]) for a, b in inner.edges if a != first and b != last),
        ]
    return nodes, edges


def _tau(decay):
    """Time constant in steps of a decay per step."""
    return 1e12 if decay >= 1 else -1 / np.log(decay)
