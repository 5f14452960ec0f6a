"""Named tuples handed on by address: the same values as in Python, whatever a function does with the names it gives them."""

import sys
from typing import NamedTuple

import numba
import numpy as np
import pytest
from numba.core.datamodel import default_manager
from numba.core.datamodel.models import TupleModel

from neurosim.kernels import parts, tuples
from neurosim.kernels.compile import inlined, kernel, parallel_kernel, part
from neurosim.kernels.train import StepRule

pytestmark = pytest.mark.skipif(not parts.IS_SUPPORTED, reason="a version of Numba that was not tried compiles as Numba does")


class Pair(NamedTuple):
    values: np.ndarray
    factor: float


class Twin(NamedTuple):
    low: float
    high: float


class Nest(NamedTuple):
    pair: Pair
    twin: Twin
    n: int


# The package is told from others by the module of the class.
for _kind in (Pair, Twin, Nest):
    _kind.__module__ = "neurosim.tests"


@inlined
def total(pair):
    result = 0.0
    for i in range(pair.values.size):
        result += pair.values[i] * pair.factor
    return result


@part
def spread(twin):
    return twin.high - twin.low


@inlined
def nested(nest):
    return total(nest.pair) + nest.n * spread(nest.twin)


@inlined
def turned(twin):
    return Twin(twin.high, twin.low)


@kernel
def other_names(nest, n):
    again = nest
    result = 0.0
    for _ in range(n):
        third = again
        result += nested(third) + nested(nest)
    return result


@kernel
def replaced_in_a_loop(twin, n):
    result = 0.0
    for i in range(n):
        before = twin
        twin = Twin(twin.low - i, before.high + 2 * i)
        result += 10 * spread(before) + spread(twin)
    return result + spread(twin)


@kernel
def exchanged(first, second, n):
    for _ in range(n):
        first, second = second, first
    return first.low - 3 * second.high + spread(first)


@kernel
def chosen(first, second, takes_first):
    one = first if takes_first else second
    other = turned(one)
    one = other if one.low > 0 else one
    return spread(one) + 5 * spread(other)


@kernel
def from_elements(pairs):
    result = 0.0
    for pair in pairs:
        result += total(pair)
    return result


@kernel
def stored_through(pair, twin):
    for i in range(pair.values.size):
        pair.values[i] += spread(twin) + pair.factor
    return total(pair)


@parallel_kernel
def in_parallel(pair, twin, out):
    mine = pair
    for i in numba.prange(out.size):
        out[i] = total(mine) * spread(twin) + i * total(pair)
    return out.sum()


@kernel
def in_some_branches(pair, n):
    out = np.zeros(3)
    for i in range(n):
        if i % 3 == 0:
            continue
        again = pair
        out[0] += total(again)
        if i > 5:
            return pair.values[1:]
    if n > 2:
        return out
    for value in pair.values:
        out[1] += value * pair.factor
    return out


@kernel
def broken_off(pair, twin, positions, n):
    n_done = 0
    for position in positions:
        if n_done == n:
            break
        low, high = twin.low + position, spread(twin)
        if low < high:
            pair.values[position] += total(pair)
            n_done += 1
    return n_done


@inlined
def marked(twin, marks):
    if marks is not None:
        marks[0] = twin.high
    return spread(twin)


@kernel
def with_and_without(twin, marks):
    return marked(twin, None) + marked(twin, marks) + marks[0]


def a_nest():
    return Nest(Pair(np.arange(5.0), 1.5), Twin(-1.0, 2.5), 3)


CALLS = [
    (other_names, lambda: (a_nest(), 4)),
    (replaced_in_a_loop, lambda: (Twin(0.5, 4.0), 5)),
    (exchanged, lambda: (Twin(1.0, 2.0), Twin(30.0, 50.0), 3)),
    (chosen, lambda: (Twin(1.0, 2.0), Twin(-30.0, 50.0), True)),
    (chosen, lambda: (Twin(1.0, 2.0), Twin(-30.0, 50.0), False)),
    (from_elements, lambda: ((Pair(np.ones(3), 2.0), Pair(np.arange(4.0), 0.5)),)),
    (with_and_without, lambda: (Twin(1.0, 3.0), np.zeros(2))),
    (stored_through, lambda: (Pair(np.arange(6.0), 0.25), Twin(1.0, 3.0))),
    *((in_some_branches, lambda n=n: (Pair(np.arange(5.0), 1.5), n)) for n in (0, 2, 4, 9)),
    (in_parallel, lambda: (Pair(np.arange(5.0), 1.5), Twin(-1.0, 2.5), np.zeros(20))),
]


def python_version(function):
    """The same function, uncompiled, with what it calls."""
    plain = {name: globals()[name].py_func for name in ("total", "spread", "nested", "turned", "marked")}
    plain["numba"] = type("numba", (), {"prange": range})
    scope = globals() | plain
    for name in ("nested", "marked"):
        scope[name] = type(plain[name])(plain[name].__code__, scope, name)
    return type(function.py_func)(function.py_func.__code__, scope, function.__name__)


@pytest.mark.parametrize(("function", "arguments"), CALLS)
def test_values_are_those_of_python(function, arguments):
    np.testing.assert_allclose(function(*arguments()), python_version(function)(*arguments()), rtol=1e-14)


def test_references_are_given_back():
    values = np.arange(5.0)
    nest = Nest(Pair(values, 1.5), Twin(0.0, 1.0), 3)

    def call():
        other_names(nest, 3)
        in_parallel(nest.pair, nest.twin, np.zeros(4))
        for n in range(10):
            in_some_branches(nest.pair, n)
            broken_off(nest.pair, nest.twin, np.arange(5), n)

    call()  # compiles
    before = sys.getrefcount(values)
    for _ in range(100):
        call()
    assert sys.getrefcount(values) == before


def test_tuples_of_others_are_not_touched():
    class Foreign(NamedTuple):
        low: float
        n: int

    theirs, ours = numba.typeof(Foreign(1.0, 2)), numba.typeof(a_nest())
    assert not tuples.is_ours(theirs) and type(default_manager.lookup(theirs)) is TupleModel
    assert tuples.is_ours(ours) and tuples.is_ours(numba.typeof(StepRule(*[np.float32(1)] * 4, 1, np.uint64(1), np.uint64(1))))
    assert numba.njit(lambda t: t.low + t.n)(Foreign(1.0, 2)) == 3.0
