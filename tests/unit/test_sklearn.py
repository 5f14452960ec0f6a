"""The classifier keeps what scikit-learn asks of one, and says why a chip refuses it."""

import warnings

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from neurosim.errors import DoesNotFitError, InputError
from neurosim.sklearn import SparseNetworkClassifier


@parametrize_with_checks([SparseNetworkClassifier(random_state=0)])
def test_estimator(estimator, check):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # checks warn of what they do themselves
        check(estimator)


@pytest.fixture(scope="module")
def digits():
    x, y = load_digits(return_X_y=True)
    return x[:600], np.array(["even" if n % 2 == 0 else "odd" for n in y[:600]])


def test_attributes(digits):
    x, y = digits
    classifier = SparseNetworkClassifier(hidden=(40,), connectivity=(0.2, 0.5), epochs=6, random_state=1).fit(x / 16, y)
    assert classifier.verdict_ and classifier.n_iter_ == 6 and classifier.n_features_in_ == 64
    assert [w.shape for w in classifier.coefs_] == [(64, 40), (40, 2)] and classifier.coefs_[0].nnz == 512
    assert classifier.record_.connectivity.active == sum(w.nnz for w in classifier.coefs_)
    assert set(classifier.predict(x[:20] / 16)) <= {"even", "odd"} and classifier.score(x / 16, y) > 0.85
    again = clone(classifier).fit(x / 16, y)
    assert (again.coefs_[0] != classifier.coefs_[0]).nnz == 0


def test_validation_chooses_the_epoch(digits):
    x, y = digits
    classifier = SparseNetworkClassifier(hidden=(40,), epochs=6, validation_fraction=0.2, standardize=True, random_state=0).fit(x, y)
    accuracy = classifier.record_.accuracy
    assert classifier.record_.dataset.n_validation == 120
    assert accuracy.validation == accuracy.best == max(accuracy.validation_per_epoch)


def test_grid_search_in_a_pipeline_on_two_jobs(digits):
    x, y = digits
    pipe = make_pipeline(MinMaxScaler(), SparseNetworkClassifier(hidden=(60,), epochs=4, profile="spinnaker2_santos", cores=1, random_state=0))
    # 20,000 hidden neurons are beyond any core: nan with its reason, and no error.
    grid = {"sparsenetworkclassifier__connectivity": [0.02, 0.2], "sparsenetworkclassifier__hidden": [(60,), (20_000,)]}
    search = GridSearchCV(pipe, grid, n_jobs=2, cv=2, error_score=np.nan)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        search.fit(x, y)
    assert search.best_params_ == {"sparsenetworkclassifier__connectivity": 0.2, "sparsenetworkclassifier__hidden": (60,)}
    scores = search.cv_results_["mean_test_score"]
    assert np.isnan(scores).tolist() == [False, True, False, True] and search.best_score_ > 0.7
    assert any("does not fit spinnaker2_santos" in str(warning.message) for warning in caught)


def test_what_cannot_be_is_said(digits):
    x, y = digits
    with pytest.raises(DoesNotFitError, match="does not fit spinnaker2_santos") as error:
        SparseNetworkClassifier(hidden=(20_000,), profile="spinnaker2_santos", cores=1).fit(x, y)
    assert not error.value.verdict
    with pytest.raises(InputError, match="rewiring.rule"):
        SparseNetworkClassifier(rule="deepr").fit(x, y)
    with pytest.raises(InputError, match="nearest"):
        SparseNetworkClassifier(profile="spinaker2").fit(x, y)
