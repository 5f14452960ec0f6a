"""scikit-learn in: a fitted `MLPClassifier`."""

from dataclasses import replace
from typing import Any

import numpy as np

from neurosim.errors import InputError
from neurosim.interchange.arrays import from_matrices
from neurosim.results.network import TrainedNetwork

_CELLS = {"relu": "relu", "tanh": "tanh"}


def from_sklearn(estimator: Any) -> TrainedNetwork:
    """A network from a fitted `sklearn.neural_network.MLPClassifier`.

    With two classes it has one logistic output z; the same probabilities are a softmax over 0 and z, so nothing leads to the first class.

    Parameters
    ----------
    estimator : MLPClassifier

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
        An activation that no cell has, or several labels per sample.
    """
    where = type(estimator).__name__
    if getattr(estimator, "activation", None) not in _CELLS:
        raise InputError(f"{where}: activation {getattr(estimator, 'activation', None)!r}; expected relu or tanh")
    if not hasattr(estimator, "classes_") or getattr(estimator, "out_activation_", "") not in ("softmax", "logistic"):
        raise InputError(f"{where}: not a fitted classifier of one label per sample")
    weights, biases = [np.asarray(w) for w in estimator.coefs_], [np.asarray(b) for b in estimator.intercepts_]
    if estimator.out_activation_ == "logistic":
        if weights[-1].shape[1] != 1 or len(estimator.classes_) != 2:
            raise InputError(f"{where}: several labels per sample; a network here has one class for each")
        weights[-1] = np.concatenate([np.zeros_like(weights[-1]), weights[-1]], axis=1)
        biases[-1] = np.concatenate([np.zeros(1), biases[-1]])
    network = from_matrices(weights, _CELLS[estimator.activation], biases, path=where)
    return replace(network, classes=np.asarray(estimator.classes_), origin={"file": where, "producer": "scikit-learn"})
