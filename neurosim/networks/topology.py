"""Which neurons a network has, which project to which, and how often each takes part in one sample.

A feed-forward network takes each sample in one pass. A recurrent one takes it step by step, and its training goes
back through the last `window` steps (back-propagation through time, Werbos 1990; truncated: Williams and Peng 1990).
Nothing here depends on a chip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import accumulate
from numbers import Integral

import numpy as np

from neurosim.errors import InputError
from neurosim.networks.models import NeuronModel, find_model
from neurosim.networks.patterns import POOLS, Convolution, Maps, Pool, check_window, count_places
from neurosim.networks.spiking import Spiking

#: A cell by its name, or its facts.
Cell = str | NeuronModel

_MAX_NEURONS = 10**6  # per population: products of three sizes stay inside int64


@dataclass(frozen=True)
class Population:
    """Neurons of one model; `model` is None for inputs, which come from the host.

    `has_bias` : whether its sums start at learned biases. `maps` : where each of the `n` neurons is a map of values with shared kernels
    and one bias, how large these are.
    """

    name: str
    n: int
    model: NeuronModel | None = None
    has_bias: bool = False
    maps: Maps | None = None

    @property
    def places(self) -> int:
        """Places at which a neuron has its sums: those of its map, or 1."""
        return self.maps.places if self.maps else 1

    @property
    def sent(self) -> int:
        """Values that a neuron sends to others: those of its map after pooling, or 1."""
        return self.maps.sent if self.maps else 1

    @property
    def cell(self) -> str | None:
        """Name of the model; None for inputs."""
        return self.model.name if self.model else None

    @property
    def sums(self) -> int:
        """Sums of one neuron; 1 for inputs, whose value takes the place of one."""
        return self.model.sums if self.model else 1

    @property
    def n_sums(self) -> int:
        """Post neurons of every projection into the population."""
        return self.n * self.sums

    @property
    def n_biases(self) -> int:
        """Biases of the population, one per sum where it has any."""
        return self.n_sums * self.has_bias


@dataclass(frozen=True)
class Projection:
    """One weight matrix, between two populations by number; a recurrent one takes the values of the step before.

    `pattern` : which positions there are; without, every value of `pre` with every sum of `post`. `skips_self` : whether the connection of a
    neuron to itself is none of them.
    """

    pre: int
    post: int
    is_recurrent: bool = False
    pattern: Convolution | None = None
    skips_self: bool = False


@dataclass(frozen=True)
class Convolve:
    """A layer of `n` output maps, each with a kernel for every input map."""

    n: int
    pattern: Convolution


@dataclass(frozen=True)
class Topology:
    """Populations, inputs first and outputs last, and the projections between them in the order of the matrices.

    Attributes
    ----------
    n_steps : int
        Steps of the longest sample; 1 for a feed-forward network.
    window : int
        Steps through which errors go back, at most `n_steps`.
    readout : {'last', 'mean'}
        The outputs see the last state of the population before them, or its mean over the steps of the sample.
    spiking : Spiking, optional
        Of a spiking network. Its outputs are leaky sums that take part in every step; what the loss is of stands there, and `readout` is ``last``.
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    n_steps: int = 1
    window: int = 1
    readout: str = "last"
    spiking: Spiking | None = None

    @classmethod
    def of(cls, network: "Topology | Sequence[int]") -> "Topology":
        """A topology as it is; a sequence of layer sizes as `feedforward`."""
        return network if isinstance(network, Topology) else cls.feedforward(network)

    @classmethod
    def feedforward(cls, layers: Sequence[int], cell: Cell | Sequence[Cell] = "relu", bias: bool = False) -> "Topology":
        """Layers that take each sample in one pass, each fully possible from the one before.

        Parameters
        ----------
        layers : sequence of int
            Neurons of each layer, inputs first.
        cell : str, NeuronModel, or sequence of these
            Of the hidden layers: one for all, or one per hidden layer.
        bias : bool
            Whether all layers but the inputs have biases.

        Raises
        ------
        InputError
            Fewer than two layers, a size that is no whole number from 1 to 10^6, or a cell that is unknown or needs steps.
        """
        layers = _check_sizes(layers)
        cells = [cell] * (len(layers) - 2) if isinstance(cell, (str, NeuronModel)) else list(cell)
        if len(cells) != len(layers) - 2:
            raise InputError(f"cell: found {len(cells)}; expected one, or one per hidden layer, {len(layers) - 2}")
        models = [_without_steps(name) for name in cells]
        hidden = (Population(f"hidden {i}", n, m, bias) for i, (n, m) in enumerate(zip(layers[1:-1], models, strict=True), 1))
        populations = (Population("inputs", layers[0]), *hidden, Population("outputs", layers[-1], find_model("softmax"), bias))
        return cls(populations, tuple(Projection(i, i + 1) for i in range(len(layers) - 1)))

    @classmethod
    def recurrent(
        cls, cell: Cell, n_inputs: int, units: Sequence[int], n_classes: int, n_steps: int, window: int | None = None, readout: str = "last"
    ) -> "Topology":
        """Layers of recurrent cells: input and recurrent matrix of each layer, then the read-out.

        Parameters
        ----------
        cell : str or NeuronModel
            Of all layers, such as lstm or rnn.
        n_inputs, n_classes, n_steps : int
        units : sequence of int
            Neurons of each recurrent layer.
        window : int, optional
            All steps without it.
        readout : {'last', 'mean'}

        Raises
        ------
        InputError
            A size that is no whole number from 1 to 10^6, or an unknown cell.
        """
        sizes, model = _check_sizes((n_inputs, *units, n_classes)), find_model(cell)
        populations, projections = [Population("inputs", sizes[0])], []
        for i, n in enumerate(sizes[1:-1], 1):
            populations.append(Population(f"{model.name} {i}", n, model, has_bias=True))
            projections += [Projection(i - 1, i), Projection(i, i, is_recurrent=True)]
        populations.append(Population("outputs", sizes[-1], find_model("softmax"), has_bias=True))
        projections.append(Projection(len(sizes) - 2, len(sizes) - 1))
        window = n_steps if window is None else min(window, n_steps)
        return cls(tuple(populations), tuple(projections), n_steps, window, readout)

    @classmethod
    def spikes(
        cls, spiking: Spiking, n_inputs: int, units: Sequence[int], n_classes: int, n_steps: int, window: int | None = None, is_recurrent: bool = True
    ) -> "Topology":
        """Layers of leaky integrate-and-fire neurons and a leaky read-out, which takes part in every step.

        Parameters
        ----------
        spiking : Spiking
            Its neurons are of cell ``alif`` where some adapt, else of cell ``lif``.
        n_inputs, n_classes, n_steps : int
        units : sequence of int
            Neurons of each layer.
        window : int, optional
            All steps without it; a method that is online has none.
        is_recurrent : bool
            Whether the neurons of a layer project to each other, one step later, and never to themselves.

        Raises
        ------
        InputError
            A size that is no whole number from 1 to 10^6, or a layer of one neuron that projects to itself.
        """
        sizes = _check_sizes((n_inputs, *units, n_classes))
        model = find_model("alif" if spiking.adaptive > 0 else "lif")
        populations, projections = [Population("inputs", sizes[0])], []
        for i, n in enumerate(sizes[1:-1], 1):
            populations.append(Population(f"{model.name} {i}", n, model))
            projections.append(Projection(i - 1, i))
            if is_recurrent:
                if n < 2:
                    raise InputError(f"units: found {n} neuron in layer {i}, which has no other to project to; expected at least 2")
                projections.append(Projection(i, i, is_recurrent=True, skips_self=True))
        populations.append(Population("outputs", sizes[-1], find_model("leaky"), has_bias=True))
        projections.append(Projection(len(sizes) - 2, len(sizes) - 1))
        window = n_steps if window is None or spiking.learning.is_online else min(window, n_steps)
        return cls(tuple(populations), tuple(projections), n_steps, window, spiking=spiking)

    @classmethod
    def convolutional(
        cls, input_shape: Sequence[int], layers: Sequence[int | Convolve | Pool], cell: Cell | Sequence[Cell] = "relu", bias: bool = False
    ) -> "Topology":
        """Convolutions and pooling, then dense layers, which see all values of the last maps.

        Parameters
        ----------
        input_shape : (int, int, int)
            Maps, rows and columns of a sample.
        layers : sequence of Convolve, Pool and int
            A `Pool` belongs to the convolution before it; numbers are dense layers, the last of them the outputs.
        cell, bias
            As in `feedforward`, of the layers with weights.

        Raises
        ------
        InputError
            Sizes that do not meet, with the number of the layer, from 1 on.
        """
        n, height, width = _check_sizes(input_shape)
        populations, projections = [Population("inputs", n, maps=Maps(height, width))], []
        for i, layer in enumerate(layers, 1):
            before = populations[-1]
            where = f"layers, layer {i}"
            if isinstance(layer, Pool):
                if before.maps is None or before.maps.pool is not None or len(populations) == 1:
                    raise InputError(f"{where}: found pooling behind {before.name}; it belongs directly behind a convolution")
                if layer.kind not in POOLS:
                    raise InputError(f"{where}: found pool {layer.kind!r}; expected one of {', '.join(POOLS)}")
                check_window(f"{where}, pool", before.maps.height, before.maps.width, layer.window, layer.stride, layer.padding, layer.window // 2)
                populations[-1] = replace(before, maps=replace(before.maps, pool=layer))
            elif isinstance(layer, Convolve):
                if before.maps is None:
                    raise InputError(f"{where}: found a convolution behind a dense layer, which has no maps; put convolutions first")
                sides, kernel = (before.maps.sent_height, before.maps.sent_width), layer.pattern
                check_window(f"{where}, conv", *sides, kernel.kernel, kernel.stride, kernel.padding, kernel.kernel - 1)
                rows, columns = (count_places(side, kernel.kernel, kernel.stride, kernel.padding) for side in sides)
                out = Maps(rows, columns)
                _check_sizes((layer.n, layer.n * out.places))
                projections.append(Projection(len(populations) - 1, len(populations), pattern=kernel))
                populations.append(Population(f"conv {len(populations)}", layer.n, None, bias, out))
            else:
                _check_sizes((layer, layer))
                projections.append(Projection(len(populations) - 1, len(populations)))
                populations.append(Population(f"hidden {len(populations)}", int(layer), None, bias))
        if not layers or not isinstance(layers[-1], Integral):
            raise InputError("layers: the last one has maps; expected dense outputs, such as 10 for ten classes")
        cells = [cell] * (len(populations) - 2) if isinstance(cell, (str, NeuronModel)) else list(cell)
        if len(cells) != len(populations) - 2:
            raise InputError(f"cell: found {len(cells)}; expected one, or one per hidden layer with weights, {len(populations) - 2}")
        models = [*(_without_steps(name) for name in cells), find_model("softmax")]
        populations[1:] = [replace(population, model=model) for population, model in zip(populations[1:], models, strict=True)]
        populations[-1] = replace(populations[-1], name="outputs")
        return cls(tuple(populations), tuple(projections))

    @cached_property
    def shapes(self) -> tuple[tuple[int, int], ...]:
        """(pre neurons, post neurons) of each projection; a post neuron is one sum, or with a pattern one map of them.

        Pre neurons of a convolution are the rows (input map, row, column of the kernel); of a dense layer all values that are sent.
        """
        return tuple(
            (self.populations[p.pre].n * (p.pattern.taps if p.pattern else self.populations[p.pre].sent), self.populations[p.post].n_sums)
            for p in self.projections
        )

    @cached_property
    def uses(self) -> tuple[np.ndarray, ...]:
        """How often a slot of each pre neuron of each projection is used in one walk: int64 arrays, shape (n_pre,); 1 without a pattern."""
        return self._of_taps(lambda pattern, maps: pattern.uses(maps.sent_height, maps.sent_width))

    @cached_property
    def row_uses(self) -> tuple[np.ndarray, ...]:
        """In how many rows of places it is used: int64 arrays, as `uses`."""
        return self._of_taps(lambda pattern, maps: pattern.row_uses(maps.sent_height, maps.sent_width))

    def _of_taps(self, count):
        found = []
        for p, (n_pre, _) in zip(self.projections, self.shapes, strict=True):
            maps = self.populations[p.pre].maps
            found.append(np.resize(count(p.pattern, maps).ravel() if p.pattern and maps else np.ones(1, np.int64), n_pre))
        return tuple(found)

    @cached_property
    def rows_per_neuron(self) -> tuple[int, ...]:
        """Pre neurons of each projection that stand for one neuron, or map, of its pre population."""
        return tuple(n_pre // self.populations[p.pre].n for p, (n_pre, _) in zip(self.projections, self.shapes, strict=True))

    @property
    def has_maps(self) -> bool:
        """Whether some population has maps."""
        return self.populations[0].maps is not None

    def sends_zeros(self, population: int) -> bool:
        """Whether the zeros of a population are sent like other values: by the cell, or because whole maps are sent."""
        model = self.populations[population].model
        return self.has_maps or (model is not None and model.sends_zeros)

    @cached_property
    def n_values(self) -> tuple[int, ...]:
        """Values that each population sends, as a tuple of int; of inputs those of a step."""
        return tuple(population.n * population.sent for population in self.populations)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of each population, as a tuple of int."""
        return tuple(population.n for population in self.populations)

    @property
    def neurons_and_sums(self) -> tuple[tuple[int, int], ...]:
        """(neurons, sums of a neuron) of each population, as `synapses.plan_matrices` takes them."""
        return tuple((population.n, population.sums) for population in self.populations)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """(pre, post) population of each projection, by number."""
        return tuple((projection.pre, projection.post) for projection in self.projections)

    @cached_property
    def bias_start(self) -> tuple[int, ...]:
        """Number of the first bias of each population, and of all biases, as a tuple of int."""
        return (0, *accumulate(population.n_biases for population in self.populations))

    @cached_property
    def n_positions(self) -> tuple[int, ...]:
        """Positions of each projection, as a tuple of int."""
        return tuple(a * b - a * p.skips_self for (a, b), p in zip(self.shapes, self.projections, strict=True))

    @property
    def is_unrolled(self) -> bool:
        """Whether a sample takes several steps."""
        return self.n_steps > 1

    @property
    def kept_steps(self) -> int:
        """Steps whose values are kept at once: the window, but all where only the whole sample has an error (mean read-out); one of what is online."""
        if self.spiking:
            if self.spiking.learning.is_online:
                return 1
            return self.window if self.spiking.readout == "every" else self.reach
        return self.window if self.readout == "last" else self.n_steps

    @property
    def hidden(self) -> range:
        """Numbers of the populations between inputs and outputs."""
        return range(1, len(self.populations) - 1)

    @property
    def reach(self) -> int:
        """Steps, from the last of a sample back, that an error reaches."""
        if self.spiking:
            return self.spiking.reach(self.n_steps, self.window)
        return self.kept_steps

    def is_per_step(self, projection: Projection) -> bool:
        """Whether a projection works at every step; the one into outputs that are not leaky works once per sample."""
        return self.spiking is not None or projection.post != len(self.populations) - 1

    def reads_mean(self, projection: Projection) -> bool:
        """Whether a projection takes means over the steps of a sample, and not values of a step."""
        return self.readout == "mean" and not self.is_per_step(projection)

    def count_passes(self, lengths: np.ndarray | Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
        """How often each population goes forward and backward.

        Parameters
        ----------
        lengths : int array, shape (n_samples,)
            Steps of each sample.

        Returns
        -------
        forward, backward : int64 array, shape (n_populations,)
            Inputs go backward as often as their values are needed for gradients.
        """
        lengths = np.asarray(lengths, np.int64)
        reached = np.minimum(lengths, self.reach)
        if self.spiking:
            return np.full(len(self.populations), lengths.sum()), np.full(len(self.populations), reached.sum())
        is_output = np.arange(len(self.populations)) == len(self.populations) - 1
        return np.where(is_output, lengths.size, lengths.sum()), np.where(is_output, lengths.size, reached.sum())

    def count_losses(self, lengths: np.ndarray | Sequence[int]) -> np.ndarray:
        """How often the outputs of each sample have errors: int64 array, shape (n_samples,).

        Once, where the loss is of the last read-out or of a mean of them; else in each of the last steps that have one.
        """
        lengths = np.asarray(lengths, np.int64)
        if self.spiking is None or self.spiking.readout != "every":
            return (lengths > 0).astype(np.int64)
        return np.minimum(lengths, self.spiking.count_readouts(self.n_steps))

    def count_walks(self, lengths: np.ndarray | Sequence[int]) -> np.ndarray:
        """How often each projection is walked forward, backward and for its gradient.

        Parameters
        ----------
        lengths : int array, shape (n_samples,)
            Steps of each sample, from 1 to `n_steps`.

        Returns
        -------
        int64 array, shape (3, n_projections)
            Rows: forward, backward (0 for projections of the inputs), gradient.
        """
        lengths, n_samples = np.unique(np.asarray(lengths, np.int64), return_counts=True)
        return np.tensordot(n_samples, self._walks_of(lengths), axes=1)

    @cached_property
    def walks_by_length(self) -> np.ndarray:
        """Walks of one sample of each length from 0 on: int64 array, shape (n_steps + 1, 3, n_projections), read only; see `count_walks`."""
        walks = self._walks_of(np.arange(self.n_steps + 1))
        walks.flags.writeable = False
        return walks

    def _walks_of(self, length):
        """Walks of one sample of each of the lengths: int64 array, shape (n_lengths, 3, n_projections).

        The first step of a sample has no step before it, so a recurrent projection is not walked there. Errors do not pass
        from one window to the one before, nor to the inputs.
        """
        if self.spiking:
            return self._spiking_walks_of(length)
        reached, before = np.minimum(length, self.kept_steps), np.maximum(length - 1, 0)
        walks = np.zeros((length.size, 3, len(self.projections)), np.int64)
        for i, projection in enumerate(self.projections):
            if not self.is_per_step(projection):
                walks[:, :, i] = (length > 0)[:, None]
            elif projection.is_recurrent:
                n_back = np.maximum(reached - 1, 0) if self.readout == "last" else before - before // self.window
                walks[:, :, i] = np.stack([before, n_back, np.minimum(reached, before)], axis=1)
            else:
                walks[:, :, i] = np.stack([length, reached, reached], axis=1)
            if projection.pre == 0:
                walks[:, 1, i] = 0
        return walks

    def _spiking_walks_of(self, length):
        """As `_walks_of`: steps in which a spike may come, an error go back, and a gradient gather.

        What of these is work depends on the spikes, which are counted; a slot takes part in a walk backward where its error is wanted: in that of
        the read-out where its weights are the feedback.
        """
        spiking, last = self.spiking, len(self.populations) - 1
        assert spiking is not None
        learning = spiking.learning
        reached, before = np.minimum(length, self.reach), np.maximum(length - 1, 0)
        losses = self.count_losses(length)
        # One signal for all steps leaves one sum of spikes for the read-out to walk; traces of a read-out are walked where there is a loss.
        n_read = losses if learning.is_online or spiking.readout != "every" else reached
        # Traces of neurons alone are multiplied where there is a loss.
        gathered = losses if not learning.filtered_errors and spiking.readout == "every" else reached
        walks = np.zeros((length.size, 3, len(self.projections)), np.int64)
        for i, projection in enumerate(self.projections):
            if projection.is_recurrent:
                # Errors pass from a step to the one before inside a window.
                n_back = np.maximum(reached - np.ceil(reached / self.window).astype(np.int64), 0) * learning.recurrent_errors
                walks[:, :, i] = np.stack([before, n_back, np.minimum(gathered, before)], axis=1)
            elif projection.post == last:
                walks[:, :, i] = np.stack([length, n_read * (spiking.feedback == "symmetric"), n_read], axis=1)
            else:
                from_above = losses if learning.instant_layers else reached
                walks[:, :, i] = np.stack([length, from_above * (learning.layer_errors and projection.pre > 0), gathered], axis=1)
        return walks


def _without_steps(name):
    model = find_model(name)
    if model.is_recurrent:
        raise InputError(f"cell: found {model.name}, which keeps a state from step to step; a feed-forward network has no steps")
    return model


def _check_sizes(sizes):
    sizes = tuple(sizes)
    if len(sizes) < 2:
        raise InputError(f"layers: found {len(sizes)}; expected at least 2, inputs first")
    for n in sizes:
        if not isinstance(n, Integral) or isinstance(n, bool):
            raise InputError(f"layers: found {n!r}; expected a whole number")
        if not 1 <= int(n) <= _MAX_NEURONS:
            raise InputError(f"layers: found {n:,d} neurons; expected 1 to {_MAX_NEURONS:,d} per layer")
    return tuple(int(n) for n in sizes)
