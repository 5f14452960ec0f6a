"""The table of cells: what a neuron of each kind computes, keeps, reads and writes. One row of facts per cell.

How a cell computes stands in the kernels; that it sends zeros, or keeps two numbers from step to step, is the same on every chip
and stands here. The numbers are those of the training program of `neurosim.placement.memory`.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from neurosim.errors import find


@dataclass(frozen=True)
class NeuronModel:
    """What one neuron computes and keeps.

    Attributes
    ----------
    name : str
        Of the cell: its key in `MODELS`, and its name in scenarios.
    sums : int
        Sums of inputs of a neuron. Each is a post neuron of the projections into the population: the gates of an LSTM.
    values : int
        Numbers of the forward pass that a neuron keeps of each step until the errors have passed it.
    states : int
        Those of them that the next step reads; 0 for a cell without memory.
    errors : int
        Numbers of the backward pass that a neuron keeps, of one step only.
    forward : (int, int)
        Values read and written when a neuron turns its sums into its output.
    backward : (int, int, int)
        Values read, errors read and errors written when a neuron turns the error of its output into those of its sums.
    zero_means_no_error : bool
        Whether a neuron whose value is zero has no error either, as a rectified one. Then nobody misses a zero: it is not sent, and
        nothing goes back for it. The value zero of a smooth cell has an error like any other.
    first_biases : tuple of float
        Where the bias of each sum starts, where the population has biases.
    spikes : bool
        Whether what it sends is one bit, a spike, and nothing where there is none. Then a neuron without a spike has an error all the same.
        Of each kept step there is that bit beside the `values`.
    output : callable, optional
        Of a cell of feed-forward layers: outputs from sums in NumPy, float32 arrays, for whoever uses a trained network without kernels.
        Those of recurrent layers stand in `neurosim.results.forward`.
    """

    name: str
    sums: int = 1
    values: int = 1
    states: int = 0
    errors: int = 1
    forward: tuple[int, int] = (1, 1)
    backward: tuple[int, int, int] = (1, 1, 1)
    zero_means_no_error: bool = False
    first_biases: tuple[float, ...] = (0.0,)
    spikes: bool = False
    output: Callable[[np.ndarray], np.ndarray] | None = None

    @property
    def is_recurrent(self) -> bool:
        """Whether a neuron keeps a state from step to step, and so takes samples step by step."""
        return self.states > 0

    @property
    def sends_zeros(self) -> bool:
        """Whether a value goes to other cores even when it is zero."""
        return not (self.zero_means_no_error or self.spikes)


def _relu(z):
    return np.maximum(z, np.float32(0))


def _leaky_relu(z):
    return np.where(z > 0, z, np.float32(0.01) * z)


_ROWS = (
    NeuronModel("relu", zero_means_no_error=True, output=_relu),
    NeuronModel("leaky_relu", output=_leaky_relu),
    NeuronModel("tanh", output=np.tanh),
    # The outputs of every network: their sums are the logits, and nobody takes their values as input.
    NeuronModel("softmax", zero_means_no_error=True),
    NeuronModel("rnn", states=1, errors=2),
    # The gates i, f, g, o take the place of their sums; c and h come beside them, tanh(c) is computed again on the way back. Errors:
    # those of four sums, of h and of c. Backward reads the gates, c and c of the step before. Forget gates start at 1 (Jozefowicz,
    # Zaremba and Sutskever 2015).
    NeuronModel("lstm", 4, 6, 2, 6, (5, 6), (6, 2, 5), first_biases=(0.0, 1.0, 0.0, 0.0)),
    # Leaky integrate-and-fire (Bellec et al. 2020): what is kept of a step is the surrogate derivative psi and the spike; the state is v, or v
    # and the adaptation a; the errors are those of v, or of v and a. Forward reads the sum, v (and a), writes v, psi (and a); backward reads
    # psi, the errors of z and v (and a) and writes that of v (and a).
    NeuronModel("lif", states=1, errors=2, forward=(2, 2), backward=(1, 2, 1), spikes=True),
    NeuronModel("alif", states=2, errors=3, forward=(3, 3), backward=(1, 3, 2), spikes=True),
    # The read-out of spiking networks: leaky sums, whose values are the logits.
    NeuronModel("leaky", states=1, forward=(2, 1)),
)

#: Every known cell by its name; a plugin adds its own.
MODELS = {model.name: model for model in _ROWS}


def find_model(cell: str | NeuronModel) -> NeuronModel:
    """The facts of a cell.

    Parameters
    ----------
    cell : str or NeuronModel
        A name of `MODELS`, or the facts themselves.

    Returns
    -------
    NeuronModel

    Raises
    ------
    InputError
        An unknown name; the message offers the nearest.
    """
    if isinstance(cell, NeuronModel):
        return cell
    return find(cell, MODELS, "cell")
