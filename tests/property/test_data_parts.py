"""Any labels, fractions and limits: the parts are the samples, each once, and every class is where it can be."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.datasets import make_dataset
from neurosim.datasets.dataset import Samples, assemble
from neurosim.datasets.preparation import Preparation
from neurosim.datasets.split import draw_part, first_samples, quotas
from neurosim.errors import InputError

LABELS = st.one_of(
    st.lists(st.integers(-5, 5), min_size=2, max_size=80),
    st.lists(st.sampled_from(["a", "b", "ß", "", " ", "[x]"]), min_size=2, max_size=80),
    st.lists(st.booleans(), min_size=2, max_size=80),
)
FRACTION = st.floats(0.01, 0.99)


@settings(max_examples=200, deadline=None)
@given(labels=LABELS, test=FRACTION, validation=st.none() | FRACTION, limit=st.none() | st.integers(1, 90), seed=st.integers(0, 2**63))
def test_parts(labels, test, validation, limit, seed):
    x = np.arange(len(labels), dtype=np.float32)[:, None] / 100
    samples = Samples({"x_train": x, "y_train": np.array(labels)}, {"x_train": "x", "y_train": "y"}, "test")
    try:
        data = assemble("test", samples, Preparation(limit, test, validation, seed))
    except InputError as error:
        assert "\n" not in str(error)
        counts = np.unique(labels, return_counts=True)[1]
        is_small = min(counts) == 1 or len(counts) == 1 or len(counts) == len(labels)
        assert is_small or validation is not None  # whose samples are fewer
        return
    rows = [np.round(getattr(data, f"x_{part}").ravel() * 100).astype(int) for part in ("train", "test", "validation")]
    together = np.concatenate(rows)
    assert len(set(together)) == len(together) and (limit is not None or len(together) == len(labels))
    for part, at in zip(("train", "test", "validation"), rows, strict=True):
        assert [data.classes[number] for number in getattr(data, f"y_{part}")] == [labels[i] for i in at]
    if limit is None or limit >= len(labels):
        for y in (data.y_train, data.y_test):
            assert set(y) == set(range(data.n_classes))
        assert validation is None or set(data.y_validation) == set(range(data.n_classes))
    else:
        assert data.n_train + data.n_validation <= limit and data.n_test <= limit


@settings(max_examples=200, deadline=None)
@given(counts=st.lists(st.integers(2, 500), min_size=1, max_size=30), share=st.floats(0.001, 1), keep=st.integers(0, 1))
def test_quotas_are_near_the_shares(counts, share, keep):
    counts = np.array(counts)
    total = max(1, round(share * counts.sum()))
    taken = quotas(counts, total, keep)
    assert (taken >= 1).all() and (taken <= counts - keep).all()
    assert taken.sum() == min(max(total, len(counts)), (counts - keep).sum())


@settings(max_examples=100, deadline=None)
@given(y=st.lists(st.integers(0, 4), min_size=2, max_size=60).map(np.array), limit=st.integers(1, 60))
def test_first_samples_hold_every_class_that_they_can(y, limit):
    chosen = first_samples(y, limit)
    if chosen is None:
        assert limit >= len(y) or limit < len(set(y)) or set(y[:limit]) == set(y)
    else:
        assert len(chosen) == limit and set(y[chosen]) == set(y) and (np.diff(chosen) > 0).all()
        for label in set(y):
            # Of every class the first ones.
            at = np.flatnonzero(y == label)
            n = (y[chosen] == label).sum()
            np.testing.assert_array_equal(chosen[y[chosen] == label], at[:n])


def test_a_million_samples_of_many_classes_are_divided_in_no_time():
    y = np.random.default_rng(0).integers(0, 5000, 1_000_000)
    assert draw_part(y, 0.2, 0).sum() == pytest.approx(200_000, abs=1)
    data = make_dataset(np.zeros((10_000, 1)), np.arange(10_000) % 5000, test_fraction=0.5)
    assert data.n_classes == 5000 and np.bincount(data.y_test).tolist() == [1] * 5000
