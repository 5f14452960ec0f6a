import numpy as np
import pytest

from neurosim.scenario.histograms import MOST_COUNT_BINS, MOST_INPUTS, histogram_of_counts, histogram_of_weights, profile_of_inputs


def test_weights_fall_into_bins_around_zero():
    found = histogram_of_weights(np.array([-2.0, -0.01, 0.01, 0.02, 1.0, 2.0], np.float32))
    assert found["edges"][0] == -2.0 and found["edges"][-1] == 2.0 and found["edges"][20] == 0.0
    assert sum(found["counts"]) == 6
    assert (found["counts"][0], found["counts"][19], found["counts"][20], found["counts"][39]) == (1, 1, 2, 1)


def test_no_weights_have_no_histogram_and_zeros_have_one():
    assert histogram_of_weights(np.empty(0, np.float32)) is None
    assert sum(histogram_of_weights(np.zeros(3, np.float32))["counts"]) == 3


def test_few_counts_have_a_bin_each():
    assert histogram_of_counts(np.array([0, 3, 3, 1])) == {"edges": [-0.5, 0.5, 1.5, 2.5, 3.5], "counts": [1, 1, 0, 2]}


@pytest.mark.parametrize("most", [MOST_COUNT_BINS - 1, MOST_COUNT_BINS, 1000, 10**6])
def test_many_counts_share_bins_of_whole_width(most):
    numbers = np.array([0, most // 2, most])
    found = histogram_of_counts(numbers)
    edges, counts = found["edges"], found["counts"]
    assert len(counts) <= MOST_COUNT_BINS and len(edges) == len(counts) + 1
    assert sum(counts) == 3
    assert len(set(np.diff(edges))) == 1 and edges[0] == -0.5 and edges[-1] > most
    assert counts == np.histogram(numbers, edges)[0].tolist()


@pytest.mark.parametrize("n", [1, MOST_INPUTS, MOST_INPUTS + 1, 3 * MOST_INPUTS, 10_007])
def test_input_profiles_are_compact_and_lose_no_synapse(n):
    numbers = np.arange(n) % 7
    found = profile_of_inputs(numbers)
    assert len(found["synapses"]) <= MOST_INPUTS and sum(found["synapses"]) == numbers.sum()
    assert found["synapses"][0] == numbers[: found["per"]].sum()
    assert (found["per"] == 1) == (n <= MOST_INPUTS)
