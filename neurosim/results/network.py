"""A trained network as plain arrays: weights in SciPy, biases, signs, homes; its forward pass and its NPZ file.

Nothing here needs numba, the data or the chip, so a network can be used where the simulator is not.

The NPZ file (`NPZ_FORMAT`) holds no pickled objects; every array can be read with `numpy.load`:

=====================  ===================================================================================
``format``             text, `NPZ_FORMAT`
``about``              JSON text: ``type``, ``activation``, ``readout``, ``n_steps``, ``scale``, ``populations`` (names),
                       ``matrices`` (name, pre and post population, whether it takes the step before), ``origin``; of a network with
                       maps ``maps``: ``input_shape`` (maps, rows, columns), ``kernels`` of each matrix (``kernel``, ``stride``,
                       ``padding``; null for a dense one, whose pre neurons are the values map by map), ``pools`` of each hidden
                       population (``kind``, ``window``, ``stride``, ``padding``; null without); of spiking networks
                       ``spiking``, the fields of `neurosim.networks.Spiking`
``matrix0_data``       float32 (nnz,), weights of matrix 0 row by row; with the two next ones SciPy's CSR of shape (pre, post)
``matrix0_indices``    int32 (nnz,), post neuron of each weight
``matrix0_indptr``     int32 or int64 (n_pre + 1,), where the weights of each pre neuron begin
``matrix0_shape``      int64 (2,), pre neurons and post neurons; a neuron with several sums (LSTM: i, f, g, o) is as many post neurons
``matrix0_signs``      int8 (nnz,), -1 or 1: the sign of the position, which a weight of 0 has too
``biases1``            float32 (post neurons,) of population 1; absent where it has none
``home1``              int32 (neurons,), core of each neuron of population 1; absent where it is not known
``classes``            the labels in the order of the outputs; absent where they are 0, 1, 2, ...
``mean``, ``spread``   float64 (n_inputs,): a value x enters as ``(x * scale - mean) / spread``; absent where it is ``x * scale``
=====================  ===================================================================================
"""

import io
import json
import math
import zipfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

from neurosim.documents import write_atomic
from neurosim.errors import InputError, nearest
from neurosim.networks import MODELS, Convolution, Convolve, Pool, Spiking, Topology
from neurosim.results.forward import CELLS, convolutional, feedforward, recurrent

NPZ_FORMAT = "neurosim.network/1"


@dataclass(frozen=True, eq=False)
class WeightMatrix:
    """One weight matrix.

    Attributes
    ----------
    name : str
    pre, post : int
        Numbers of the populations that it connects.
    weight : scipy.sparse.csr_array of float32, shape (n_pre, n_post)
        Every active synapse is stored, also those whose weight is 0; rows in order, and columns within a row.
    signs : int8 array, shape (nnz,)
        Sign of each position beside ``weight.data``.
    is_recurrent : bool
        Whether it takes the values of the step before.
    """

    name: str
    pre: int
    post: int
    weight: sparse.csr_array
    signs: np.ndarray
    is_recurrent: bool = False

    @classmethod
    def of(cls, name, ends, shape, connections, is_recurrent=False):
        """From synapses in any order.

        Parameters
        ----------
        name : str
        ends : (int, int)
            Populations.
        shape : (int, int)
        connections : (pre, post, weight)
            Arrays of one length; no position twice.
        """
        pre, post, weight = connections
        order = np.lexsort((post, pre))
        indptr = np.concatenate([[0], np.cumsum(np.bincount(pre, minlength=shape[0]))])
        data = np.asarray(weight, np.float32)[order]
        matrix = sparse.csr_array((data, np.asarray(post, np.int32)[order], indptr), shape=shape)
        return cls(name, ends[0], ends[1], matrix, np.where(np.signbit(data), -1, 1).astype(np.int8), is_recurrent)


@dataclass(frozen=True, eq=False)
class TrainedNetwork:
    """What a run has learned.

    Attributes
    ----------
    type : str
        ``mlp``, ``conv``, ``lstm``, ``rnn``, ``lif`` or ``alif``.
    populations : tuple of str
        Names: inputs first, outputs last.
    matrices : tuple of WeightMatrix
        A perceptron has one between neighbours; a recurrent network two for each layer and one for the outputs.
    biases : dict of int to float32 array
        Of the sums of a population, by its number; a population without biases is missing.
    homes : dict of int to int32 array
        Core of each neuron of a population; empty where it is not known.
    activation : str or sequence of str
        Of the hidden layers of a perceptron, all or each.
    readout : str
        What the outputs of a recurrent network see.
    n_steps : int
        Steps of the longest sample; 1 for a perceptron.
    scale : float, optional
        What the values of a sample are multiplied by, in the units in which the run was given them; None: not known.
    mean, spread : float64 array, shape (n_inputs,), optional
        Of a run with standardized inputs: a value x enters as ``(x * scale - mean) / spread``.
    per_image : bool
        Whether each sample is standardized over its own values (`neurosim.datasets.standardize.ImageStandardization`).
    classes : array, optional
        Label of each output; 0, 1, 2, ... without.
    origin : dict
        Name, seed, chip and version of the run.
    maps : dict, optional
        Of a network with maps: shape of a sample, kernels and pooling, as in the NPZ file. Pre neurons of a convolution are the rows
        (input map, row, column of the kernel), its post neurons the output maps.
    spiking : Spiking, optional
        Of a spiking network: its dynamics and what its outputs are.
    """

    type: str
    populations: tuple[str, ...]
    matrices: tuple[WeightMatrix, ...]
    biases: dict[int, np.ndarray] = field(default_factory=dict)
    homes: dict[int, np.ndarray] = field(default_factory=dict)
    activation: str | tuple[str, ...] = "relu"
    readout: str = "last"
    n_steps: int = 1
    scale: float | None = None
    mean: np.ndarray | None = None
    spread: np.ndarray | None = None
    classes: np.ndarray | None = None
    per_image: bool = False
    origin: dict[str, Any] = field(default_factory=dict)
    maps: dict[str, Any] | None = None
    spiking: Spiking | None = None

    @property
    def cells(self) -> tuple[str, ...]:
        """Cell of each hidden layer of a perceptron."""
        return (self.activation,) * (len(self.matrices) - 1) if isinstance(self.activation, str) else tuple(self.activation)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of each population."""
        n_sums = CELLS[self.type][0] if self.type in CELLS else 1
        last = len(self.populations) - 1
        found = {0: self.n_inputs} | {m.post: m.weight.shape[1] // (n_sums if m.post != last else 1) for m in self.matrices}
        return tuple(found[p] for p in range(last + 1))

    @property
    def topology(self) -> Topology:
        """Populations and projections; where one layer has biases, all have."""
        if self.maps is not None:
            return self._with_maps()
        sizes = self.sizes
        if self.type == "mlp":
            return Topology.feedforward(sizes, self.cells, bias=bool(self.biases))
        if self.spiking:
            has_loops = any(matrix.is_recurrent for matrix in self.matrices)
            return Topology.spikes(self.spiking, sizes[0], sizes[1:-1], sizes[-1], self.n_steps, is_recurrent=has_loops)
        return Topology.recurrent(self.type, sizes[0], sizes[1:-1], sizes[-1], self.n_steps, readout=self.readout)

    def _with_maps(self) -> Topology:
        assert self.maps is not None
        layers: list[Convolve | Pool | int] = []
        for matrix, kernel, pool in zip(self.matrices, self.maps["kernels"], (*self.maps["pools"], None), strict=True):
            n = matrix.weight.shape[1]
            layers.append(n if kernel is None else Convolve(n, Convolution(**kernel)))
            if pool is not None:
                layers.append(Pool(**pool))
        topology = Topology.convolutional(self.maps["input_shape"], layers, self.cells, bias=bool(self.biases))
        for matrix, shape in zip(self.matrices, topology.shapes, strict=True):
            if matrix.weight.shape != shape:
                raise InputError(f"{matrix.name}: weights of shape {matrix.weight.shape}; what stands before them sends {shape[0]:,d} values")
        return topology

    @property
    def n_inputs(self) -> int:
        """Inputs of one step."""
        if self.maps is not None:
            return math.prod(self.maps["input_shape"])
        return self.matrices[0].weight.shape[0]

    @property
    def n_features(self) -> int:
        """Values of a sample, of all steps."""
        return self.n_inputs * self.n_steps

    @property
    def n_classes(self) -> int:
        return self.matrices[-1].weight.shape[1]

    @property
    def n_synapses(self) -> int:
        return sum(matrix.weight.nnz for matrix in self.matrices)

    def logits(self, x, lengths=None):
        """Sums of the outputs.

        Parameters
        ----------
        x : array or sparse array, shape (n_samples, n_features) or (n_samples, n_steps, n_inputs)
            Values in the units in which the run was given them: pixels from 0 to 255 where it had those. Images are flattened.
        lengths : int array, shape (n_samples,), optional
            Steps of each sequence, counted from its front; what follows is padding. All steps without.

        Returns
        -------
        float32 array, shape (n_samples, n_classes)

        Raises
        ------
        InputError
            Another number of features, values that are not finite, or a network whose input scale is not known.
        """
        x = self._inputs(x)
        lengths = self._lengths(lengths, x.shape[0])
        if lengths is not None:
            moved = np.zeros((len(x), self.n_steps, self.n_inputs), np.float32)
            for row, steps, n in zip(moved, x.reshape(moved.shape), lengths, strict=True):
                row[self.n_steps - n :] = steps[:n]
            x = moved.reshape(x.shape)
        return self.sums(x, lengths)

    def sums(self, x, lengths=None):
        """`logits` of samples as a `Dataset` keeps them and scaled as they enter: padding in front, float32, nothing is checked."""
        if self.maps is not None:
            return convolutional(self, x)
        if self.type == "mlp":
            return feedforward(self, x)
        return recurrent(self, x, np.full(len(x), self.n_steps) if lengths is None else lengths)

    def predict_proba(self, x, lengths=None):
        """Probability of each class: float32 array, shape (n_samples, n_classes); see `logits`."""
        logits = self.logits(x, lengths)
        exp = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exp / exp.sum(axis=1, keepdims=True)

    def predict(self, x, lengths=None):
        """Label of each sample: array, shape (n_samples,); see `logits`."""
        winner = self.logits(x, lengths).argmax(axis=1)
        return winner if self.classes is None else self.classes[winner]

    def _inputs(self, x):
        if self.scale is None:
            raise InputError("predict: this run does not say how its inputs were scaled; set it with dataclasses.replace(network, scale=1.0)")
        x = x if sparse.issparse(x) else np.asarray(x)
        if x.dtype.kind not in "biuf":
            raise InputError(f"predict: found values of type {x.dtype}; expected numbers")
        shape = x.shape
        if x.ndim > 2:
            x = x.reshape(len(x), -1)
        if x.ndim != 2 or x.shape[1] != self.n_features:
            raise InputError(f"predict: found an array of shape {shape}; expected (samples, {self.n_features}), the features of this network")
        if not np.isfinite(x.data if sparse.issparse(x) else x).all():
            raise InputError("predict: found a value that is not finite; fill or leave out samples with missing values")
        if self.per_image:
            x = (x.toarray() if sparse.issparse(x) else x) * np.float64(self.scale)
            x = x - x.mean(axis=1, keepdims=True)
            return (x / np.maximum(np.sqrt((x**2).mean(axis=1, keepdims=True)), 1 / np.sqrt(x.shape[1]))).astype(np.float32)
        if self.mean is not None:
            x = x.toarray() if sparse.issparse(x) else x
            steps = (x.reshape(len(x), -1, self.n_inputs) * np.float64(self.scale) - self.mean) / self.spread
            return steps.reshape(x.shape).astype(np.float32)
        x = x.astype(np.float32) * np.float32(self.scale)
        return x.toarray() if sparse.issparse(x) and self.type != "mlp" else x

    def _lengths(self, lengths, n):
        if lengths is None:
            return None
        lengths = np.asarray(lengths)
        if self.type in ("mlp", "conv") or lengths.shape != (n,) or (n and not 1 <= lengths.min() <= lengths.max() <= self.n_steps):
            raise InputError(f"predict: lengths are for sequences, one for each of the {n} samples, from 1 to {self.n_steps}")
        return lengths

    def to_npz(self, path) -> None:
        """Write the NPZ file that the module describes, atomically."""
        write_atomic(Path(path), self.npz_bytes())

    def npz_bytes(self) -> bytes:
        """Content of the NPZ file; equal networks give equal bytes."""
        about = (
            {
                "type": self.type,
                "activation": self.activation,
                "readout": self.readout,
                "n_steps": self.n_steps,
                "scale": self.scale,
                "populations": list(self.populations),
                "matrices": [{"name": m.name, "pre": m.pre, "post": m.post, "is_recurrent": m.is_recurrent} for m in self.matrices],
                "origin": self.origin,
            }
            | ({"per_image": True} if self.per_image else {})
            | ({"maps": self.maps} if self.maps else {})
            | ({"spiking": asdict(self.spiking)} if self.spiking else {})
        )
        arrays = {"format": np.array(NPZ_FORMAT), "about": np.array(json.dumps(about))}
        for i, matrix in enumerate(self.matrices):
            parts = {name: getattr(matrix.weight, name) for name in ("data", "indices", "indptr")}
            parts |= {"shape": np.array(matrix.weight.shape, np.int64), "signs": matrix.signs}
            arrays |= {f"matrix{i}_{name}": array for name, array in parts.items()}
        arrays |= {f"biases{p}": array for p, array in self.biases.items()}
        arrays |= {f"home{p}": array for p, array in self.homes.items()}
        arrays |= {name: array for name in ("mean", "spread", "classes") if (array := getattr(self, name)) is not None}
        buffer = io.BytesIO()
        np.savez_compressed(buffer, allow_pickle=False, **arrays)
        return buffer.getvalue()


def read_network(path) -> TrainedNetwork:
    """Read a network that `TrainedNetwork.to_npz` wrote.

    Raises
    ------
    InputError
        No such file, or one that is damaged or of another kind.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
        found = str(arrays.pop("format"))
        if found != NPZ_FORMAT:
            raise InputError(f"{path}: format is {found!r}, this neurosim reads {NPZ_FORMAT!r}")
        about = json.loads(str(arrays.pop("about")))
        matrices = tuple(_matrix(arrays, i, told) for i, told in enumerate(about.pop("matrices")))
        about |= {"spiking": Spiking(**about["spiking"])} if about.get("spiking") else {}
        numbered = {kind: {int(n.removeprefix(kind)): a for n, a in arrays.items() if n.startswith(kind)} for kind in ("biases", "home")}
        network = TrainedNetwork(
            **{**about, "populations": tuple(about["populations"])},
            matrices=matrices,
            biases=numbered["biases"],
            homes=numbered["home"],
            **{name: arrays[name] for name in ("mean", "spread", "classes") if name in arrays},
        )
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; `neurosim export RUN --format npz --out {path}` writes it") from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: not a readable network ({type(error).__name__}); export it again") from None
    spiking = tuple(name for name, model in MODELS.items() if model.spikes) if network.spiking else ()
    known, computed = (*CELLS, *spiking, "mlp", "conv"), [name for name, model in MODELS.items() if model.output]
    strange = [(network.type, known)] * (network.type not in known) + [(name, computed) for name in network.cells if name not in computed]
    for wrong, right in strange[:1]:
        raise InputError(f"{path}: found {wrong!r}, which this neurosim does not compute; {nearest(wrong, right)}")
    return network


def _matrix(arrays, i, told):
    shape = tuple(map(int, arrays[f"matrix{i}_shape"]))
    weight = sparse.csr_array(tuple(arrays[f"matrix{i}_{name}"] for name in ("data", "indices", "indptr")), shape=shape)
    return WeightMatrix(told["name"], told["pre"], told["post"], weight, arrays[f"matrix{i}_signs"], told["is_recurrent"])
