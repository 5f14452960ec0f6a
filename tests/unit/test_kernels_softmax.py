"""Samples side by side and one by one: the same bits, close to float64, whatever the tile."""

import numpy as np
import pytest

from neurosim.kernels.compile import kernel
from neurosim.kernels.softmax import softmax_errors


@kernel
def errors_of(act, err, base, labels, order, n_samples, n_classes, n_lanes):
    return softmax_errors(act, err, base, labels, order, 0, n_samples, n_classes, n_samples, n_lanes)


@pytest.mark.parametrize(("n_lanes", "n_samples", "n_classes"), [(16, 16, 10), (16, 10, 10), (32, 19, 3), (64, 64, 11), (16, 1, 1)])
def test_tiles_equal_samples_one_by_one(n_lanes, n_samples, n_classes):
    rng = np.random.default_rng(n_lanes + n_classes)
    base = 2 * n_lanes
    logits = np.zeros((n_classes, n_lanes), np.float32)
    logits[:, :n_samples] = np.round(rng.normal(0, 8, (n_classes, n_samples)), 1)  # rounded: some are equal
    logits[:, 0] = 1.5
    if n_samples > 1:
        logits[-1, 1] = -300.0
    labels, order = rng.integers(0, n_classes, 100).astype(np.int32), rng.permutation(100)[:n_samples]
    act = np.concatenate([np.full(base, 7, np.float32), logits.ravel()])
    err = np.full_like(act, 5)
    loss, n_correct = errors_of(act, err, base, labels, order, n_samples, n_classes, n_lanes)
    assert np.all(err[:base] == 5) and np.array_equal(act[base:], logits.ravel())
    errors = err[base:].reshape(n_classes, n_lanes)
    assert np.all(errors[:, n_samples:] == 0)

    total, n = 0.0, 0
    for i in range(n_samples):
        one_act, one = logits[:, i].copy(), np.empty(n_classes, np.float32)
        a, b = _single(one_act, one, labels, order[i : i + 1], n_classes, n_samples)
        assert np.array_equal(one.view(np.uint32), errors[:, i].copy().view(np.uint32))
        total += a
        n += b
    assert (total, n) == (loss, n_correct)

    z = logits[:, :n_samples].astype(np.float64)
    p = np.exp(z - z.max(axis=0))
    p /= p.sum(axis=0)
    here = labels[order], np.arange(n_samples)
    assert n_correct == (logits[:, :n_samples].argmax(axis=0) == labels[order]).sum()
    # fast_exp is off by 3 units in the last place, its argument by one rounding of at most 300; p <= 1.
    assert loss == pytest.approx(-np.log(p[here]).sum(), rel=1e-5, abs=1e-5)
    p[here] -= 1
    np.testing.assert_allclose(errors[:, :n_samples] * n_samples, p, rtol=0, atol=1e-5)


@kernel
def _single(act, err, labels, order, n_classes, n_batch):
    return softmax_errors(act, err, 0, labels, order, 0, 1, n_classes, n_batch, 1)
