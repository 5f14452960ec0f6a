"""Random numbers: bits against plain Python integers, deviates against theory with n stated.

Thresholds: 5 sigma for single statistics; a fair generator fails any of the about 600 of them in this file
with probability 4e-4 (seeds are fixed: the outcome is the same in every run).
"""

import numpy as np
import pytest
from scipy import special, stats

import neurosim.random
from neurosim.kernels import normal
from neurosim.kernels import random as kernels
from neurosim.kernels.compile import kernel
from neurosim.kernels.softmax import fast_exp
from neurosim.random import Stream, stream_key

N = 1_000_000
MASK32, MASK64 = (1 << 32) - 1, (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
# Key halves that a weak mixing would show: zeros, ones, one bit, neighbours.
KEYS = [0, 1, 2, 1 << 32, 1 << 63, MASK64, stream_key(0, Stream.NOISE), stream_key(1, Stream.NOISE)]


@kernel
def each_mix64(values, out):
    for i in range(values.size):
        out[i] = kernels.mix64(values[i])


@kernel
def each_bits32(key, first, out):
    for i in range(out.size):
        out[i] = kernels.bits32(key, first + i)


@kernel
def each_normal(bits, out):
    for i in range(bits.size):
        out[i] = normal.normal_from_bits(bits[i])


@kernel
def add_normals(values, key, first, scale):
    normal.add_normals(values, key, first, scale)


@kernel
def each_exp(x, out):
    for i in range(x.size):
        out[i] = fast_exp(x[i])


@kernel
def each_below(bits, n, out):
    for i in range(bits.size):
        out[i] = kernels.below(bits[i], n)


def normals(key, step, n=N):
    out = np.empty(n, np.float32)
    normal.fill_normal(out, np.uint64(key), step)
    return out.astype(np.float64)


def bits32(key, n=N, first=0):
    out = np.empty(n, np.uint32)
    each_bits32(np.uint64(key), first, out)
    return out


def python_bits32(key, index, rounds=2):
    """The two keyed rounds on Python integers, written from the constants of the hash prospector."""
    h = (index * 0x9E3779B9 + (key & MASK32)) & MASK32
    for (a, b), shifts, keyed in (
        ((0x21F0AAAD, 0xD35A2D97), (16, 15, 15), False),
        ((0x7FEB352D, 0x846CA68B), (16, 15, 16), True),
    )[:rounds]:
        if keyed:
            h = (h + (key >> 32)) & MASK32
        h ^= h >> shifts[0]
        h = h * a & MASK32
        h ^= h >> shifts[1]
        h = h * b & MASK32
        h ^= h >> shifts[2]
    return h


def python_fold(key, step):
    return neurosim.random.mix64(key + step * GOLDEN)


# bits


def test_mix64_known_values():
    """First outputs of splitmix64, seeds 0 and 1234567 (public reference values)."""
    assert [neurosim.random.mix64(i * GOLDEN) for i in (1, 2, 3)] == [
        0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F,
    ]  # fmt: skip
    assert [neurosim.random.mix64(1234567 + i * GOLDEN) for i in (1, 2, 3, 4, 5)] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821,
    ]  # fmt: skip


def test_mix64_is_the_same_in_kernels():
    rng = np.random.default_rng(0)
    values = np.concatenate([rng.integers(0, 2**64, 2000, np.uint64), np.array([0, 1, MASK64, 1 << 63], np.uint64)])
    out = np.empty_like(values)
    each_mix64(values, out)
    assert out.tolist() == [neurosim.random.mix64(v) for v in values.tolist()]


@pytest.mark.parametrize("key", KEYS)
def test_bits64_equal_python_integers(key):
    out = np.empty(200, np.uint64)
    for step in (0, 1, 12345678901):
        kernels.fill_bits(out, np.uint64(key), step)
        folded = python_fold(key, step)
        want = [neurosim.random.mix64(neurosim.random.mix64(folded + i * GOLDEN) ^ folded) for i in range(200)]
        assert out.tolist() == want


@pytest.mark.parametrize("key", KEYS)
def test_bits32_equal_python_integers(key):
    """The vector loop, with its own 32-bit products, against integers without a width."""
    assert bits32(key, 300).tolist() == [python_bits32(key, i) for i in range(300)]
    assert bits32(key, 5, MASK32 - 2)[:3].tolist() == [python_bits32(key, MASK32 - 2 + i) for i in range(3)]


def test_bits64_are_uniform():
    """Chi-squared over 256 values of each byte, n = 1e6, and one test per bit."""
    bits = np.empty(N, np.uint64)
    kernels.fill_bits(bits, np.uint64(stream_key(4, Stream.PROPOSAL)), 3)
    for byte in bits.view(np.uint8).reshape(N, 8).T:
        assert stats.chisquare(np.bincount(byte, minlength=256)).pvalue > 1e-5
    ones = np.array([((bits >> np.uint64(b)) & np.uint64(1)).sum() for b in range(64)])
    assert np.abs(ones - N / 2).max() < 5 * np.sqrt(N) / 2


def test_bits32_never_repeat_within_a_step():
    """For one key the map from index to bits is a bijection, so no two slots share a deviate by accident."""
    for key in KEYS[::3]:
        assert np.unique(bits32(key)).size == N


def test_below_reaches_every_value_uniformly():
    bits = np.empty(N, np.uint64)
    kernels.fill_bits(bits, np.uint64(77), 0)
    out = np.empty(N, np.int64)
    for n in (1, 2, 7, 1000):
        each_below(bits, n, out)
        assert out.min() == 0 and out.max() == n - 1
        if n > 1:
            assert stats.chisquare(np.bincount(out)).pvalue > 1e-5
    each_below(np.array([MASK64, 0], np.uint64), 2**40, out)
    assert out[:2].tolist() == [2**40 - 1, 0]


# deviates


@pytest.mark.parametrize("key", KEYS)
def test_deviates_have_the_moments_of_a_normal(key):
    """n = 1e6; standard errors 1/sqrt(n), sqrt(2/n), sqrt(6/n), sqrt(24/n)."""
    for step in (0, 1):
        x = normals(key, step)
        assert abs(x.mean()) < 5 * np.sqrt(1 / N)
        assert abs(x.var() - 1) < 5 * np.sqrt(2 / N)
        assert abs(stats.skew(x)) < 5 * np.sqrt(6 / N)
        assert abs(stats.kurtosis(x)) < 5 * np.sqrt(24 / N)


@pytest.mark.parametrize("key", KEYS)
def test_deviates_follow_the_normal_distribution(key):
    """Kolmogorov-Smirnov, n = 1e6."""
    assert stats.kstest(normals(key, 5), "norm").pvalue > 1e-4


def test_kolmogorov_smirnov_notices_one_percent():
    """The check can fail: deviates one percent too wide, or off by 0.005."""
    x = normals(KEYS[-1], 5)
    assert stats.kstest(x * 1.01, "norm").pvalue < 1e-4
    assert stats.kstest(x + 0.005, "norm").pvalue < 1e-4


def test_deviate_is_the_quantile_of_its_bits():
    """Against scipy's inverse normal, within the documented 4e-5 (to 3.5 sigma) and 3e-4 (to the end).

    All of the 2**18 smallest tails, all of the 2**18 around the middle, 4e6 in between, both signs.
    """
    edge = np.arange(2**18, dtype=np.uint32)
    low = np.concatenate([edge, np.uint32(0x7FFFFFFF) - edge, bits32(9, 4 * N) & np.uint32(0x7FFFFFFF)])
    got = np.empty((2, low.size), np.float32)
    each_normal(low, got[0])
    each_normal(low | np.uint32(0x80000000), got[1])
    want = -special.ndtri((low.astype(np.float64) + 0.5) * 2.0**-32)
    np.testing.assert_array_equal(got[1].view(np.uint32), got[0].view(np.uint32) ^ np.uint32(0x80000000))
    error = np.abs(got[0].astype(np.float64) - want)
    inner = want <= 3.5
    assert 0 < inner.sum() < inner.size and want.max() > 6.2
    assert error[inner].max() < 4e-5
    assert error[~inner].max() < 3e-4


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("n", [1, 63, 64, 65, 1000])
def test_deviates_side_by_side_equal_single_ones(key, n):
    """Bit by bit, at any first index (also beyond 32 bits), added to what was there with one rounding."""
    scale = np.float32(0.37)
    for first in (0, 5, 2**31 - 3, 2**32 + 17):
        old = np.random.default_rng(n).normal(size=n).astype(np.float32)
        new, single = old.copy(), np.empty(n, np.float32)
        each_normal(bits32(key, n, first), single)
        add_normals(new, np.uint64(key), first, scale)
        # The product of two float32 and the sum of its like are exact to float64's 53 bits but for the last rounding.
        exact = old.astype(np.float64) + np.float64(scale) * single.astype(np.float64)
        np.testing.assert_allclose(new, exact.astype(np.float32), rtol=1e-7, atol=0)
        zero = np.zeros(n, np.float32)
        add_normals(zero, np.uint64(key), first, np.float32(1.0))
        np.testing.assert_array_equal(zero.view(np.uint32), single.view(np.uint32))


def correlations(x, y):
    """Correlation of values and of squares, in units of their standard error."""
    n = x.size
    return [np.corrcoef(a, b)[0, 1] * np.sqrt(n) for a, b in ((x, y), (x * x, y * y), (np.abs(x), np.abs(y)), (x, y * y))]


@pytest.mark.parametrize("key", KEYS)
def test_slots_are_independent(key):
    """Lags between the slots of one step, n = 1e6 each."""
    x = normals(key, 2)
    for lag in (1, 2, 3, 4, 8, 16, 256, 65536):
        assert np.abs(correlations(x[:-lag], x[lag:])).max() < 5


@pytest.mark.parametrize("key", KEYS)
def test_steps_are_independent(key):
    """The same slots in two steps, n = 1e6 each."""
    x = normals(key, 1000)
    for lag in (1, 2, 3, 10, 128, 1 << 32):
        assert np.abs(correlations(x, normals(key, 1000 + lag))).max() < 5


def test_few_slots_over_many_steps():
    """One slot over 10,000 steps, for 100 slots: sums and lags in time follow a normal distribution."""
    n_steps, n_slots = 10_000, 100
    x = np.array([normals(KEYS[-2], step, n_slots) for step in range(n_steps)])
    for z in (x.sum(0) / np.sqrt(n_steps), (x[1:] * x[:-1]).sum(0) / np.sqrt(n_steps), x.sum(1) / np.sqrt(n_slots)):
        assert stats.kstest(z, "norm").pvalue > 1e-4
        assert np.abs(z).max() < 6


def largest_shifted_correlation(x, y):
    """Largest circular correlation of two sequences over all shifts, in standard errors."""
    spectrum = np.fft.rfft(x) * np.conj(np.fft.rfft(y))
    return np.abs(np.fft.irfft(spectrum, x.size)).max() / np.sqrt(x.size)


# Over 2**18 shifts the largest of as many normal deviates exceeds 6.5 with probability 2e-5.
SHIFT_BOUND = 6.5


def test_two_steps_are_never_shifted_copies():
    n = 2**18
    key = stream_key(2, Stream.NOISE)
    x = normals(key, 0, n)
    for step in range(1, 25):
        assert largest_shifted_correlation(x, normals(key, step, n)) < SHIFT_BOUND


@pytest.mark.parametrize("high", [0, 1, 1 << 31, 0xDEADBEEF])
def test_keys_whose_first_rounds_are_shifted_copies(high):
    """Low halves that differ by a multiple of the Weyl constant shift the first round exactly."""
    n, shift = 2**18, 1000
    out = np.empty((2, n), np.float32)
    low = 123456789
    for i, (a, b) in enumerate([(low, 5), ((low + shift * 0x9E3779B9) & MASK32, 5 + high)]):
        each_normal(bits32((b & MASK32) << 32 | a, n), out[i])
    if high == 0:
        # The same high half: this is what a single key would do, and the check notices it.
        np.testing.assert_array_equal(out[0, shift:], out[1, :-shift])
        assert largest_shifted_correlation(*out.astype(np.float64)) > 100
    else:
        assert largest_shifted_correlation(*out.astype(np.float64)) < SHIFT_BOUND


def test_step_keys_are_all_different():
    keys = {python_fold(stream_key(seed, Stream.NOISE), step) for seed in range(10) for step in range(20_000)}
    assert len(keys) == 200_000
    low = np.array([python_fold(KEYS[-2], step) & MASK32 for step in range(20_000)], np.float64)
    assert stats.kstest(low / 2**32, "uniform").pvalue > 1e-4


# streams


def test_streams_differ():
    keys = {stream_key(seed, stream) for seed in range(2000) for stream in Stream}
    assert len(keys) == 2000 * len(Stream)
    assert all(0 <= key <= MASK64 for key in keys)
    x = {stream: normals(stream_key(0, stream), 0) for stream in Stream}
    for a in Stream:
        for b in Stream:
            if a < b:
                assert np.abs(correlations(x[a], x[b])).max() < 5
    for seed in (1, 2, 1 << 40):
        assert np.abs(correlations(x[Stream.NOISE], normals(stream_key(seed, Stream.NOISE), 0))).max() < 5


def test_stream_numbers_never_change():
    """They are part of every published result."""
    assert {s.name: int(s) for s in Stream} == {
        "SIGN": 1, "INITIAL_POSITION": 2, "INITIAL_THETA": 3, "NOISE": 4, "PROPOSAL": 5, "SHUFFLE": 6,
        "RULE_START": 7, "RULE_NOISE": 8, "ROUNDING": 9, "INITIAL_ROUNDING": 10, "AUGMENT": 11, "FEEDBACK": 12,
    }  # fmt: skip


def test_a_draw_depends_on_its_index_only():
    """The first deviates of a long array are those of a short one, whatever the vector length."""
    long = normals(3, 4, 1000)
    for n in (1, 2, 7, 8, 9, 63, 64, 65, 999):
        np.testing.assert_array_equal(normals(3, 4, n), long[:n])


# exponential


def test_fast_exp_within_three_units_in_the_last_place():
    """Four million arguments over [-87, 0], every size down to the smallest normal."""
    rng = np.random.default_rng(1)
    x = np.concatenate([
        -rng.random(2 * N) * 87.0,
        -rng.random(N),
        -(10.0 ** rng.uniform(-38, 0, N)),
        -np.log(2) * (np.arange(126) + 0.5),
        -np.log(2) * np.arange(126),
        [0.0, -0.0],
    ]).astype(np.float32)  # fmt: skip
    x = x[x >= -87]
    got = np.empty_like(x)
    each_exp(x, got)
    want = np.exp(x.astype(np.float64))
    error = np.abs(got - want) / np.spacing(want.astype(np.float32))
    assert error.max() <= 3
    assert np.all(got[x == 0] == 1)


def test_fast_exp_of_very_negative_arguments():
    x = np.array([-87.0, -87.5, -100.0, -1e10, -np.inf], np.float32)
    got = np.empty_like(x)
    each_exp(x, got)
    assert np.all(got == got[0]) and 0 < got[0] < 1.7e-38
