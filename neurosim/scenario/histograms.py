"""Pictures of the connections in few numbers: what a record keeps of weights, fan-in and inputs."""

import math

import numpy as np

N_WEIGHT_BINS = 40
MOST_COUNT_BINS = 64
#: A picture of 64 x 64 inputs; of more, neighbours are added up.
MOST_INPUTS = 4096


def histogram_of_weights(weight):
    """Histogram in equal bins from -m to m, where m is the largest magnitude; zero is an edge.

    Parameters
    ----------
    weight : float32 array, shape (n_active,)

    Returns
    -------
    dict or None
        Of `edges` and `counts`, see `neurosim.results.schema.Histogram`; None without weights.
    """
    if not weight.size:
        return None
    most = float(np.abs(weight).max()) or 1.0
    counts, edges = np.histogram(weight.astype(np.float64), N_WEIGHT_BINS, (-most, most))
    return {"edges": edges.tolist(), "counts": counts.tolist()}


def histogram_of_counts(numbers):
    """Histogram of whole numbers, from 0 on, in bins of equal whole width whose edges lie between the numbers.

    Parameters
    ----------
    numbers : int array, shape (n,)
        None below 0.

    Returns
    -------
    dict
        Of `edges` and `counts`.
    """
    most = int(numbers.max())
    width = math.ceil((most + 1) / MOST_COUNT_BINS)
    counts = np.bincount(numbers // width, minlength=most // width + 1)
    return {"edges": [i * width - 0.5 for i in range(counts.size + 1)], "counts": counts.tolist()}


def profile_of_inputs(n_synapses):
    """Synapses of each input, or of runs of neighbours when there are more than `MOST_INPUTS`.

    Parameters
    ----------
    n_synapses : int array, shape (n_inputs,)

    Returns
    -------
    dict
        Of `per` and `synapses`, see `neurosim.results.schema.InputsUsed`; the last run may be shorter.
    """
    per = math.ceil(n_synapses.size / MOST_INPUTS)
    return {"per": per, "synapses": np.add.reduceat(n_synapses, np.arange(0, n_synapses.size, per)).tolist()}
