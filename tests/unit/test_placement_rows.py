"""Bounds of rows and words: no draw is outside, and the expectation is the mean over uniform draws."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from neurosim.placement.rows import Packing, count_rows, count_words

LOIHI = Packing(synapse_bits=31, header_bits=10, block_synapses=64, word_bits=64)


def words_of(packing, n):
    """Block by block, as nengo-loihi's `bits_per_axon` does."""
    words = 0
    for i in range(0, n, packing.block_synapses):
        bits = min(n - i, packing.block_synapses) * packing.synapse_bits + packing.header_bits
        words += -(-bits // packing.word_bits)
    return words


def one(*numbers):
    return [np.array([n]) for n in numbers]


packings = st.builds(Packing, st.integers(1, 40), st.integers(0, 20), st.integers(1, 9), st.integers(8, 64))


@given(packings, st.integers(0, 200))
def test_words_of_a_list(packing, n):
    assert packing.words(n) == words_of(packing, n)


def test_loihi_holds_what_its_sources_say():
    """hardware.md 2.6: 16,384 words; dense 116,480, sparse 61,632, plastic 32,768 synapses; a lone one takes a word."""
    for bits, most in ((8, 116_480), (16, 61_632), (31, 32_768)):
        blocks = 16_384 // int(Packing(bits, 10, 64, 64).words(64))
        left = 16_384 - blocks * int(Packing(bits, 10, 64, 64).words(64))
        rest = max(n for n in range(64) if words_of(Packing(bits, 10, 64, 64), n) <= left)
        assert blocks * 64 <= most <= blocks * 64 + rest
    assert LOIHI.words(1) == 1 and LOIHI.words(2) == 2


@given(packings, st.integers(1, 8), st.integers(1, 12), st.data())
@settings(max_examples=200, deadline=None)
def test_no_draw_is_outside_of_the_bounds(packing, width, n_pre, data):
    counts = data.draw(st.lists(st.integers(0, width), min_size=n_pre, max_size=n_pre))
    n = sum(counts)
    n_rows = data.draw(st.integers(0, n_pre))
    words = count_words([packing], *one(width, n_pre, n, n))
    assert words.least[0] <= sum(words_of(packing, k) for k in counts) <= words.most[0]
    assert words.least[0] <= words.expected[0] <= words.most[0]
    rows = count_rows(*one(n_rows, width, n_pre, n, n))
    assert rows.least[0] <= sum(k > 0 for k in counts[:n_rows]) <= rows.most[0]
    search = count_words([packing], *one(width, n_pre, n, n), with_expected=False)
    assert (search.least[0], search.most[0]) == (words.least[0], words.most[0])


@pytest.mark.parametrize(("width", "n_pre", "n"), [(30, 40, 25), (30, 40, 300), (5, 100, 180), (70, 20, 1390)])
def test_the_expectation_is_the_mean_over_uniform_draws(width, n_pre, n):
    """2000 draws; within 5 standard errors, and rounded up."""
    rng, seen = np.random.default_rng(0), []
    for _ in range(2000):
        counts = np.bincount(rng.choice(n_pre * width, n, replace=False) % n_pre, minlength=n_pre)
        seen.append((sum(words_of(LOIHI, int(k)) for k in counts), np.count_nonzero(counts)))
    mean, error = np.mean(seen, axis=0), 5 * np.std(seen, axis=0) / np.sqrt(2000)
    found = [count_words([LOIHI], *one(width, n_pre, n, n)).expected[0], count_rows(*one(n_pre, width, n_pre, n, n)).expected[0]]
    assert ((mean - error <= found) & (found <= mean + error + 1)).all()
