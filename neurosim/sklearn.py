"""A classifier for scikit-learn: a sparse network that learns inside the budgets of a chip."""

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets, unique_labels
from sklearn.utils.validation import check_is_fitted, validate_data

from neurosim.api import Run, check, run
from neurosim.datasets import make_dataset
from neurosim.errors import DoesNotFitError
from neurosim.scenario.schema import Scenario


class SparseNetworkClassifier(ClassifierMixin, BaseEstimator):
    """Multilayer perceptron with a strict number of synapses, trained as it would be on a chip.

    Parameters
    ----------
    hidden : tuple of int
        Neurons of each hidden layer.
    connectivity : float, tuple of float or 'fit'
        Part of the possible connections, of all matrices or of each; ``fit`` takes as many as the chip allows, and at least one of a
        matrix is taken.
    profile : str
        Chip. A network that does not fit it is refused when it is fitted: `DoesNotFitError`, which `GridSearchCV` turns into its
        `error_score` with the reason as warning.
    cores : int or 'auto'
    rule : str
        Rewiring rule.
    rule_options : dict, optional
        Further keys of `rewiring`.
    epochs, batch_size : int
    learning_rate : float or 'auto'
    optimizer : {'sgd', 'momentum', 'adam'}
    validation_fraction : float, optional
        Part of the samples that chooses the epoch whose weights are kept; without it those of the last epoch are.
    standardize : bool
        Shift and scale each feature to mean 0 and standard deviation 1.
    hardware : dict, optional
        Further keys of `hardware`, such as ``{"weight_format": "int8"}``.
    random_state : int, RandomState or None
        Seed; None draws one.
    threads : int, optional
        Kernel threads; one by default, since searches run several fits at once. The result does not depend on it.

    Attributes
    ----------
    classes_ : array
    verdict_ : Verdict
        Use and limit of everything on the chip.
    record_ : RunRecord
        As in result.json; in the place of a test set stand the training samples.
    run_ : Run
    coefs_ : list of scipy.sparse.csr_array, shape (pre, post)
    n_iter_ : int
        Epochs.
    n_features_in_ : int

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> x, y = load_digits(return_X_y=True)
    >>> classifier = SparseNetworkClassifier(hidden=(50,), connectivity=0.2, epochs=10, random_state=0).fit(x / 16, y)
    >>> bool(classifier.score(x / 16, y) > 0.9), len(classifier.coefs_)
    (True, 2)
    """

    def __init__(
        self,
        hidden=(100,),
        connectivity=0.25,
        profile="spinnaker2",
        cores="auto",
        rule="deep_r",
        rule_options=None,
        epochs=30,
        batch_size=10,
        learning_rate="auto",
        optimizer="sgd",
        validation_fraction=None,
        standardize=False,
        hardware=None,
        random_state=None,
        threads=1,
    ):
        self.hidden = hidden
        self.connectivity = connectivity
        self.profile = profile
        self.cores = cores
        self.rule = rule
        self.rule_options = rule_options
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.hardware = hardware
        self.random_state = random_state
        self.threads = threads

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags

    def fit(self, X, y) -> "SparseNetworkClassifier":
        """Train on samples.

        Parameters
        ----------
        X : array-like or sparse matrix, shape (n_samples, n_features)
        y : array-like, shape (n_samples,)
            Labels of any type.

        Returns
        -------
        self

        Raises
        ------
        DoesNotFitError
            The network does not fit the chip.
        InputError
            A parameter that cannot be used as given.
        """
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=[np.float32, np.float64])
        check_classification_targets(y)
        self.classes_, codes = np.unique(y, return_inverse=True)
        if len(self.classes_) < 2:
            raise ValueError(f"Classifier can't train when only one class is present: {unique_labels(y)[0]!r}")
        scenario = self._scenario(X.shape[1])
        self.verdict_ = check(scenario)
        if not self.verdict_:
            raise DoesNotFitError(self.verdict_.summary, self.verdict_)
        # There is no test set here: what stands in its place is seen after the last epoch and decides nothing.
        data = make_dataset(
            X, codes, X, codes, validation_fraction=self.validation_fraction, seed=scenario.dataset.split_seed, standardize=self.standardize
        )
        self.run_: Run = run(scenario, data=data, threads=self.threads)
        self.record_, self.n_iter_ = self.run_.record, len(self.run_.record.epochs)
        self.coefs_ = [matrix.weight for matrix in self.run_.network.matrices]
        return self

    def predict_proba(self, X) -> np.ndarray:
        """Probability of each class, in the order of `classes_`: array, shape (n_samples, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float32, np.float64], reset=False)
        return self.run_.predict_proba(X).astype(np.float64)

    def predict(self, X) -> np.ndarray:
        """Label of each sample: array, shape (n_samples,)."""
        winner = self.predict_proba(X).argmax(axis=1)
        return self.classes_[winner]

    def _scenario(self, n_features):
        seed = self.random_state
        if not isinstance(seed, (int, np.integer)):
            seed = np.random.RandomState().randint(2**31) if seed is None else seed.randint(2**31)
        layers = [n_features, *self.hidden, len(self.classes_)]
        possible = [a * b for a, b in zip(layers, layers[1:])]
        connectivity = self.connectivity
        if not isinstance(connectivity, str):
            parts = np.broadcast_to(connectivity, len(possible))
            connectivity = [min(1.0, max(float(part), 1 / n)) for part, n in zip(parts, possible)]
        dataset = {"name": "arrays", "split_seed": int(seed)}
        training = {"epochs": self.epochs, "batch_size": self.batch_size, "learning_rate": self.learning_rate, "optimizer": self.optimizer}
        if self.validation_fraction is not None:
            dataset["validation_fraction"], training["keep"] = self.validation_fraction, "best"
        keys: dict[str, Any] = {
            "name": type(self).__name__,
            "seed": int(seed),
            "dataset": dataset,
            "network": {"layers": layers, "connectivity": connectivity},
            "hardware": {"profile": self.profile, "cores": self.cores, **(self.hardware or {})},
            "training": training,
            "rewiring": {"rule": self.rule, **(self.rule_options or {})},
        }
        return Scenario(**keys)
