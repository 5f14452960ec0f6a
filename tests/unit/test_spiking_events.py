"""Events of samples: what is not zero, in the order of samples, steps and units."""

import numpy as np
import pytest

from neurosim.nn.spiking import _EventCache, _find_events


@pytest.mark.parametrize("n_features", [16, 40, 45])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_events_are_what_is_not_zero(n_features, dtype):
    draws = np.random.default_rng(0)
    x = (draws.integers(1, 9, (2100, n_features)) * (draws.random((2100, n_features)) < 0.2)).astype(dtype)
    start, step, unit, value = _find_events(x, 5, 0.5)
    rebuilt = np.zeros((2100, n_features), np.float32)
    sample = np.repeat(np.arange(2100), np.diff(start))
    rebuilt[sample, step * 5 + unit] = value
    assert np.array_equal(rebuilt, x.astype(np.float32) * np.float32(0.5)) and (value != 0).all()
    order = sample * 10_000 + step * 5 + unit
    assert (np.diff(order) > 0).all() and start[-1] == np.count_nonzero(x)


def test_samples_without_any_event():
    start, *_ = _find_events(np.zeros((3, 8), np.uint8), 4, 1.0)
    assert start.tolist() == [0, 0, 0, 0]


def test_events_are_found_once_for_each_array_and_forgotten_with_it():
    cache, x = _EventCache(), np.eye(8, dtype=np.uint8)
    assert cache.of(x, 4, 1.0) is cache.of(x, 4, 1.0)
    assert cache.of(x, 4, 0.5)[3].tolist() == [0.5] * 8
    del x
    assert not cache._found
