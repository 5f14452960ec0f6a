"""Which neurons a network has, which project to which, and how often each takes part in one sample.

A feed-forward network takes each sample in one pass. A recurrent one takes it step by step, and its training goes
back through the last `window` steps (back-propagation through time, Werbos 1990; truncated: Williams and Peng 1990).
The numbers here are those of the training program of `neurosim.placement.memory`; nothing depends on a chip.
"""

from dataclasses import dataclass
from functools import cached_property
from numbers import Integral

import numpy as np

from neurosim.errors import InputError

_MAX_NEURONS = 10**6  # per population: products of three sizes stay inside int64


@dataclass(frozen=True)
class NeuronModel:
    """What one neuron computes and keeps.

    Attributes
    ----------
    sums : int
        Sums of inputs of a neuron. Each is a post neuron of the projections into the population: the gates of an LSTM.
    values : int
        Numbers of the forward pass that a neuron keeps of each step until the errors have passed it.
    states : int
        Those of them that the next step reads.
    errors : int
        Numbers of the backward pass that a neuron keeps, of one step only.
    forward : (int, int)
        Values read and written when a neuron turns its sums into its output.
    backward : (int, int, int)
        Values read, errors read and errors written when a neuron turns the error of its output into those of its sums.
    sends_zeros : bool
        Whether a value goes to other cores even when it is zero. A rectified neuron that is zero has no error either, so nobody
        misses it; the state of a recurrent neuron has one.
    """

    sums: int = 1
    values: int = 1
    states: int = 0
    errors: int = 1
    forward: tuple[int, int] = (1, 1)
    backward: tuple[int, int, int] = (1, 1, 1)
    sends_zeros: bool = False


#: The gates i, f, g, o take the place of their sums; c and h come beside them, tanh(c) is computed again on the way back.
#: Errors: those of four sums, of h and of c. Backward reads the gates, c and c of the step before.
MODELS = {
    "relu": NeuronModel(),
    "rnn": NeuronModel(states=1, errors=2, sends_zeros=True),
    "lstm": NeuronModel(4, 6, 2, 6, (5, 6), (6, 2, 5), sends_zeros=True),
}


@dataclass(frozen=True)
class Population:
    """Neurons of one model; `model` is None for inputs, which come from the host.

    `has_bias` : whether its sums start at learned biases.
    """

    name: str
    n: int
    model: NeuronModel | None = None
    has_bias: bool = False

    @property
    def n_sums(self):
        """Post neurons of every projection into the population."""
        return self.n * self.model.sums


@dataclass(frozen=True)
class Projection:
    """One weight matrix, between two populations by number; a recurrent one takes the values of the step before."""

    pre: int
    post: int
    is_recurrent: bool = False


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
    """

    populations: tuple[Population, ...]
    projections: tuple[Projection, ...]
    n_steps: int = 1
    window: int = 1
    readout: str = "last"

    @classmethod
    def of(cls, network):
        """A topology as it is; a sequence of layer sizes as `feedforward`."""
        return network if isinstance(network, cls) else cls.feedforward(network)

    @classmethod
    def feedforward(cls, layers):
        """Rectified linear layers, each fully possible from the one before.

        Parameters
        ----------
        layers : sequence of int
            Neurons of each layer, inputs first.

        Raises
        ------
        InputError
            Fewer than two layers, or a size that is no whole number from 1 to 10^6.
        """
        layers = _check_sizes(layers)
        hidden = (Population(f"hidden {i + 1}", n, MODELS["relu"]) for i, n in enumerate(layers[1:-1]))
        populations = (Population("inputs", layers[0]), *hidden, Population("outputs", layers[-1], MODELS["relu"]))
        return cls(populations, tuple(Projection(i, i + 1) for i in range(len(layers) - 1)))

    @classmethod
    def recurrent(cls, cell, n_inputs, units, n_classes, n_steps, window=None, readout="last"):
        """Layers of recurrent cells: input and recurrent matrix of each layer, then the read-out.

        Parameters
        ----------
        cell : {'lstm', 'rnn'}
        n_inputs, n_classes, n_steps : int
        units : sequence of int
            Neurons of each recurrent layer.
        window : int, optional
            All steps without it.
        readout : {'last', 'mean'}

        Raises
        ------
        InputError
            A size that is no whole number from 1 to 10^6.
        """
        sizes = _check_sizes((n_inputs, *units, n_classes))
        populations, projections = [Population("inputs", sizes[0])], []
        for i, n in enumerate(sizes[1:-1], 1):
            populations.append(Population(f"{cell} {i}", n, MODELS[cell], has_bias=True))
            projections += [Projection(i - 1, i), Projection(i, i, is_recurrent=True)]
        populations.append(Population("outputs", sizes[-1], MODELS["relu"], has_bias=True))
        projections.append(Projection(len(sizes) - 2, len(sizes) - 1))
        window = n_steps if window is None else min(window, n_steps)
        return cls(tuple(populations), tuple(projections), n_steps, window, readout)

    @cached_property
    def shapes(self):
        """(pre neurons, post neurons) of each projection; a post neuron is one sum."""
        return tuple((self.populations[p.pre].n, self.populations[p.post].n_sums) for p in self.projections)

    @cached_property
    def sizes(self):
        """Neurons of each population, as a tuple of int."""
        return tuple(population.n for population in self.populations)

    @cached_property
    def n_positions(self):
        """Positions of each projection, as a tuple of int."""
        return tuple(a * b for a, b in self.shapes)

    @property
    def is_unrolled(self):
        """Whether a sample takes several steps."""
        return self.n_steps > 1

    @property
    def kept_steps(self):
        """Steps whose values are kept at once: the window, but all where only the whole sample has an error (mean read-out)."""
        return self.window if self.readout == "last" else self.n_steps

    @property
    def hidden(self):
        """Numbers of the populations between inputs and outputs."""
        return range(1, len(self.populations) - 1)

    def is_per_step(self, projection):
        """Whether a projection works at every step; the one into the outputs works once per sample."""
        return projection.post != len(self.populations) - 1

    def reads_mean(self, projection):
        """Whether a projection takes means over the steps of a sample, and not values of a step."""
        return self.readout == "mean" and not self.is_per_step(projection)

    def count_passes(self, lengths):
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
        reached = np.minimum(lengths, self.kept_steps)
        is_output = np.arange(len(self.populations)) == len(self.populations) - 1
        return np.where(is_output, lengths.size, lengths.sum()), np.where(is_output, lengths.size, reached.sum())

    def count_walks(self, lengths):
        """How often each projection is walked forward, backward and for its gradient.

        The first step of a sample has no step before it, so a recurrent projection is not walked there. Errors do not pass
        from one window to the one before.

        Parameters
        ----------
        lengths : int array, shape (n_samples,)

        Returns
        -------
        int64 array, shape (3, n_projections)
            Rows: forward, backward (0 for projections of the inputs), gradient.
        """
        lengths = np.asarray(lengths, np.int64)
        reached, before = np.minimum(lengths, self.kept_steps), lengths - 1
        walks = np.zeros((3, len(self.projections)), np.int64)
        for i, projection in enumerate(self.projections):
            if not self.is_per_step(projection):
                walks[:, i] = lengths.size
            elif projection.is_recurrent:
                n_back = reached - 1 if self.readout == "last" else before - before // self.window
                walks[:, i] = before.sum(), n_back.sum(), np.minimum(reached, before).sum()
            else:
                walks[:, i] = lengths.sum(), reached.sum(), reached.sum()
            if projection.pre == 0:
                walks[1, i] = 0
        return walks


def _check_sizes(sizes):
    sizes = tuple(sizes)
    if len(sizes) < 2:
        raise InputError(f"layers: found {len(sizes)}; expected at least 2, inputs first")
    for n in sizes:
        if not isinstance(n, Integral) or isinstance(n, bool):
            raise InputError(f"layers: found {n!r}; expected a whole number")
        if not 1 <= n <= _MAX_NEURONS:
            raise InputError(f"layers: found {n:,d} neurons; expected 1 to {_MAX_NEURONS:,d} per layer")
    return tuple(int(n) for n in sizes)
