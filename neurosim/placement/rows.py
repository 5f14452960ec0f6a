"""Rows of segments: input axons, and the words of packed lists, for sure, expected, and at worst.

A row is a pre neuron with at least one synapse in a segment. How many there are, and how their lists fill words,
depends on which positions are drawn: `least` holds for every draw, `most` bounds every draw, and `expected`
is the mean over uniform draws, as the first one is. The run keeps the exact counts and their limits.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np


@dataclass(frozen=True)
class Packing:
    """How a list of synapses fills words: blocks of at most `block_synapses`, each rounded up to whole words.

    `synapse_bits` is one synapse, `header_bits` a block beside its synapses, `word_bits` one word.
    """

    synapse_bits: int
    header_bits: int
    block_synapses: int
    word_bits: int

    def words(self, n):
        """Words of a list of n synapses: int or int64 array."""
        full, rest = n // self.block_synapses, n % self.block_synapses
        return full * self._block(self.block_synapses) + np.where(rest > 0, self._block(rest), 0)

    def _block(self, n):
        return -(-(n * self.synapse_bits + self.header_bits) // self.word_bits)


@dataclass(frozen=True)
class Bounds:
    """A count that depends on the draw: int64 arrays of one shape, all the same where positions are given (`is_exact`)."""

    least: np.ndarray
    expected: np.ndarray
    most: np.ndarray
    is_exact: bool = False

    def map(self, function):
        return Bounds(*map(function, (self.least, self.expected, self.most)), self.is_exact)


def count_rows(n_rows, width, n_pre, n_active, slots, with_expected=True):
    """Of `n_rows` certain pre neurons of segments, how many have a synapse: `Bounds`.

    Parameters
    ----------
    n_rows, width, n_pre, n_active, slots : int64 array, shape (n_segments,)
        `width`: post neurons of the segment. Other pre neurons can hold (n_pre - n_rows) * width synapses.
    with_expected : bool
        Without, `expected` is `most`; a search needs no more.
    """
    least = -(-np.maximum(n_active - (n_pre - n_rows) * width, 0) // width)
    most = np.minimum(n_rows, slots)
    if not with_expected:
        return Bounds(least, most, most)
    expected = np.ceil(n_rows * -np.expm1(log_empties(n_pre, width, n_active)) - 1e-9).astype(np.int64)
    return Bounds(least, np.clip(expected, least, most), most)


def count_words(packings, width, n_pre, n_active, slots, with_expected=True):
    """Words of the lists of segments: `Bounds`.

    Parameters
    ----------
    packings : list of Packing
        Of each segment; the others as in `count_rows`.
    """
    classes = {}
    for g, key in enumerate(zip(map(id, packings), width.tolist(), n_pre.tolist(), strict=True)):  # equal ones are mostly the same
        classes.setdefault(key, []).append(g)
    least, expected, most = (np.zeros(len(packings), np.int64) for _ in range(3))
    for (_, w, n), members in classes.items():
        packing = packings[members[0]]
        lower, upper = _hulls(packing, w)
        least[members] = _on_hull(lower, n, n_active[members], -1)
        most[members] = _on_hull(upper, n, slots[members], 1)
        if with_expected:
            expected[members] = [_expected_words(packing, w, n, k) for k in n_active[members].tolist()]
    return Bounds(least, np.clip(expected, least, most) if with_expected else most, most)


@lru_cache(maxsize=4096)
def _expected_words(packing, width, n_pre, n):
    return math.ceil(n_pre * float(_hypergeometric(n_pre, width, n) @ packing.words(np.arange(width + 1))) - 1e-6)


@lru_cache(maxsize=256)
def _hulls(packing, width):
    """Vertices (synapses, words) of the convex hull of a row's words, below and above.

    The sum over rows lies between n_pre times these at the mean row, whatever the draw (Jensen's inequality).
    """
    words = packing.words(np.arange(width + 1)).tolist()
    hulls = []
    for sign in (1, -1):
        hull = []
        for point in enumerate(words):
            while len(hull) > 1 and sign * _turn(hull[-2], hull[-1], point) <= 0:
                hull.pop()
            hull.append(point)
        hulls.append(hull)
    return hulls


def _turn(a, b, c):
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _on_hull(hull, n_pre, n, way):
    """n_pre times the hull at n / n_pre, rounded up (way -1) or down (way 1): int64 array like n."""
    x, y = np.array(hull, dtype=np.int64).T
    right = np.clip(np.searchsorted(n_pre * x, n), 1, x.size - 1)
    x0, y0, x1, y1 = x[right - 1], y[right - 1], x[right], y[right]
    return n_pre * y0 + way * (way * (n - n_pre * x0) * (y1 - y0) // (x1 - x0))


def _log_choose(n, k):
    return math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)


@lru_cache(maxsize=4096)
def log_empty(n_pre, width, n):
    """Log of the probability that a row of `width` positions stays empty when n of n_pre * width are drawn."""
    others = (n_pre - 1) * width
    return -math.inf if n > others else _log_choose(others, n) - _log_choose(others + width, n)


def log_empties(n_pre, width, n):
    """`log_empty` of arrays: float64, shape (n_segments,); equal ones are computed once, for most of very many segments are alike."""
    codes = np.zeros(len(n), np.int64)
    for column in (n_pre, width, n):
        values, found = np.unique(column, return_inverse=True)
        _, codes = np.unique(codes * values.size + found.reshape(-1), return_inverse=True)
        codes = codes.reshape(-1)
    _, first = np.unique(codes, return_index=True)
    return np.array([log_empty(int(n_pre[i]), int(width[i]), int(n[i])) for i in first])[codes]


def _hypergeometric(n_pre, width, n):
    """Probability of k = 0 to width synapses in a row when n of n_pre * width positions are drawn: float64 (width + 1,)."""
    k = np.arange(width + 1)
    others = (n_pre - 1) * width
    low, high = max(0, n - others), min(width, n)
    ratio = (width - k) * np.maximum(n - k, 0) / ((k + 1) * np.maximum(others - n + k + 1, 1))
    logs = np.full(width + 1, -np.inf)
    logs[low] = _log_choose(width, low) + _log_choose(others, n - low) - _log_choose(others + width, n)
    logs[low + 1 : high + 1] = logs[low] + np.cumsum(np.log(ratio[low:high]))
    return np.exp(logs)
