"""A rate-coded copy of a rectified perceptron: spiking neurons whose counts of spikes follow the values of its cells.

Weights are balanced with data (Diehl et al. 2015): those into a layer are divided by the `PERCENTILE` of its values over training samples and
multiplied by that of the layer before, so that no threshold of 1 is passed far too often or hardly ever; biases by the former alone (Rueckauer
et al. 2017). Samples enter as constant currents, the score of a class is the sum of its currents over all steps.
The copy is measured as the file tells it, with the equations of its nodes: a neuron that spikes goes back to 0, so what lay above its threshold
is lost, and the copy is a little worse than the network. How much is said with it.
Sources: Diehl et al., "Fast-classifying, high-accuracy spiking deep networks through weight and threshold balancing", IJCNN 2015; Rueckauer et
al., "Conversion of continuous-valued deep networks to efficient event-driven networks for image classification", Front. Neurosci. 11:682
(2017), eqs. 5 to 8; Pedersen et al., Nature Communications 15:8122 (2024), table 1 (LIF).
"""

from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError
from neurosim.results.network import TrainedNetwork

#: Of the values of a layer over training samples, what becomes a rate of one spike a step; outliers above it saturate (Rueckauer et al. 2017).
PERCENTILE = 99.9
#: Numbers of steps that are tried where none is given.
TRIED = (16, 32, 64, 128, 256)
#: Accuracy on training samples that the fewest steps may lose to the best number of them; a choice of this project.
MAY_LOSE = 0.005
#: Training samples at most, for the balance and for the choice of steps.
MOST_SAMPLES = 2000
#: Time constant of a membrane in steps: so long that it does not leak within a sample. Readers agree on LIF with r = 1, and not on IF.
TAU_STEPS = 1e4


@dataclass(frozen=True, eq=False)
class RateCoded:
    """A copy and what was measured of it.

    Attributes
    ----------
    weights : tuple of float32 array, shape (pre, post)
        Balanced: every hidden neuron has threshold 1.
    biases : tuple of float32 array, shape (post,)
        Constant currents.
    n_steps : int
    accuracy, accuracy_of_network : float
        Fractions of `n_samples` test samples: of the copy over `n_steps` steps, and of the network.
    n_samples, n_balanced : int
        Test samples, and training samples that weights were balanced with.
    training : dict of int to float
        Accuracy on these training samples by number of steps.
    spikes_per_sample : float
        Of all hidden neurons, mean over test samples.
    """

    weights: tuple[np.ndarray, ...]
    biases: tuple[np.ndarray, ...]
    n_steps: int
    accuracy: float
    accuracy_of_network: float
    n_samples: int
    n_balanced: int
    training: dict[int, float]
    spikes_per_sample: float

    def facts(self) -> dict:
        """Plain data for the metadata of a file."""
        names = ("n_steps", "accuracy", "accuracy_of_network", "n_samples", "n_balanced", "training", "spikes_per_sample")
        return {"percentile": PERCENTILE, "tau_steps": TAU_STEPS} | {name: getattr(self, name) for name in names}


def make_rate_coded(network: TrainedNetwork, train, test, n_steps: int | None = None) -> RateCoded:
    """Balance a network and measure its copy.

    Parameters
    ----------
    network : TrainedNetwork
        A perceptron of ``relu`` cells.
    train, test : (x, y)
        Samples, shape (n, n_features), in the units in which the network takes them, and numbers of their outputs.
    n_steps : int, optional
        Without, the fewest of `TRIED` whose accuracy on training samples is within `MAY_LOSE` of the best of them; test samples are seen once.

    Returns
    -------
    RateCoded

    Raises
    ------
    InputError
        Cells that have no rate, or a layer that is silent for all training samples.
    """
    refuse_unless_rectified(network)
    x, y = (np.asarray(values)[:MOST_SAMPLES] for values in train)
    weights, biases = _balanced(network, x)
    tried = TRIED if n_steps is None else (n_steps,)
    sums = simulate(weights, biases, x, tried)[0]
    training = {n: float((scores.argmax(axis=1) == y).mean()) for n, scores in zip(tried, sums, strict=True)}
    chosen = next(n for n in tried if training[n] >= max(training.values()) - MAY_LOSE)
    x_test, y_test = test
    (scores,), spikes = simulate(weights, biases, np.asarray(x_test), (chosen,))
    return RateCoded(
        weights=tuple(weights), biases=tuple(biases), n_steps=chosen, accuracy=float((scores.argmax(axis=1) == y_test).mean()),
        accuracy_of_network=float((network.logits(x_test).argmax(axis=1) == y_test).mean()), n_samples=len(y_test), n_balanced=len(y),
        training=training, spikes_per_sample=spikes / max(1, len(y_test)),
    )  # fmt: skip


def refuse_unless_rectified(network: TrainedNetwork) -> None:
    """Refuse what has no rate-coded copy.

    Raises
    ------
    InputError
    """
    where = "export --rate-coded"
    if network.type != "mlp":
        raise InputError(f"{where}: {network.populations[1]} is of a network of type {network.type}; a perceptron of relu cells has such a copy")
    if not network.cells:
        raise InputError(f"{where}: no hidden neuron, so the format says this network exactly; leave --rate-coded out")
    for i, cell in enumerate(network.cells, 1):
        if cell != "relu":
            raise InputError(
                f"{where}: hidden {i} has cells {cell}, whose values below zero are no rate of spikes; use --format onnx, which is exact"
            )
    if network.per_image:
        raise InputError(f"{where}: each sample is standardized by itself, which no weight says; use --format onnx")


def _balanced(network, x):
    """Weights and biases with all thresholds 1, for samples as they are given: scale, mean and spread of the inputs are in the first ones."""
    scale = np.float64(1.0 if network.scale is None else network.scale)
    mean, spread = (0.0, 1.0) if network.mean is None else (network.mean, network.spread)
    factor = np.broadcast_to(scale / spread, network.n_inputs)
    value, before = np.asarray(x, np.float64).reshape(len(x), -1), 1.0
    weights, biases = [], []
    for i, matrix in enumerate(network.matrices):
        weight = matrix.weight.toarray().astype(np.float64)
        bias = network.biases.get(matrix.post, np.zeros(weight.shape[1], np.float32)).astype(np.float64)
        if i == 0:
            bias = bias - np.broadcast_to(mean / spread, network.n_inputs) @ weight
            weight = weight * factor[:, None]
        is_last = i == len(network.matrices) - 1
        value = value @ weight + bias
        highest = 1.0
        if not is_last:
            value = np.maximum(value, 0)
            highest = float(np.percentile(value, PERCENTILE))
            if highest <= 0:
                raise InputError(f"export --rate-coded: {network.populations[i + 1]} is silent for all {len(x)} training samples; train longer")
        # The last sums keep the factor of the rates before them: the order of the classes is the same, and biases weigh as they should.
        weights.append((weight * before / highest).astype(np.float32))
        biases.append((bias / highest).astype(np.float32))
        before = highest
    return weights, biases


def simulate(weights, biases, x, read_at):
    """Sums of the outputs of LIF neurons with r = 1, threshold 1, reset to 0, under constant input currents.

    Parameters
    ----------
    weights : sequence of float32 array, shape (pre, post)
    biases : sequence of float32 array, shape (post,)
    x : array, shape (n, n_features)
    read_at : increasing sequence of int
        Numbers of steps.

    Returns
    -------
    sums : list of float32 array, shape (n, n_classes)
        Of the currents of the outputs, for each number of steps.
    n_spikes : int
        Of all samples and hidden neurons over all steps.
    """
    first = np.asarray(x, np.float32).reshape(len(x), -1) @ weights[0] + biases[0]
    keep, n_spikes, sums = np.float32(1 - 1 / TAU_STEPS), 0, []
    membranes = [np.zeros((len(first), weight.shape[1]), np.float32) for weight in weights[:-1]]
    total = np.zeros((len(first), weights[-1].shape[1]), np.float32)
    for step in range(1, read_at[-1] + 1):
        current = first
        for i, v in enumerate(membranes):
            # tau dv/dt = -v + r I by Euler's method; weights of the file are TAU_STEPS times these.
            v *= keep
            v += current
            spikes = v > 1
            v[spikes] = 0
            n_spikes += int(np.count_nonzero(spikes))
            current = spikes.astype(np.float32) @ weights[i + 1] + biases[i + 1]
        total += current
        if step in read_at:
            sums.append(total.copy())
    return sums, n_spikes
