"""Functions that only kernels call: compiled by these alone, and as Numba would compile them."""

import numpy as np
import pytest
from numba.core import event
from numba.core.compiler import Flags

from neurosim.kernels import parts
from neurosim.kernels.compile import inlined, kernel

pytestmark = pytest.mark.skipif(not parts.IS_SUPPORTED, reason="a version of Numba that was not tried compiles as Numba does")


@inlined
def doubled(x):
    return x * 2


@kernel
def doubled_and_three(x):
    return doubled(x) + 3


def test_a_part_has_no_machine_code_of_its_own():
    assert doubled_and_three(np.float32(2.0)) == 7.0
    assert doubled.py_func(2) == 4
    with pytest.raises(TypeError, match=r"test_kernels_parts\.doubled is a part of kernels"):
        doubled(2)


def test_a_part_is_compiled_once_for_each_type_and_told_of():
    seen = []

    class Listener(event.Listener):
        def on_start(self, event):
            seen.append(event.data["dispatcher"].py_func.__name__)

        def on_end(self, event):
            pass

    @inlined
    def tripled(x):
        return x * 3

    def twice(x):
        return tripled(x) + tripled(x + x)

    with event.install_listener("numba:compile", Listener()):
        assert kernel(twice, cache=False)(2) == 18
        assert kernel(lambda x: tripled(x), cache=False)(3) == 9
    assert seen.count("tripled") == 1 and seen.count("twice") == 1


def test_flags_that_are_gathered_once_are_those_of_numba():
    flags = Flags()
    flags.nrt = True
    mine = parts._Flags(flags)
    settled, other = mine.copy(), parts._Flags(Flags()).copy()
    assert settled == flags and flags == settled and hash(settled) == hash(flags) and settled != other
    assert settled.values() == flags.values() and settled.values() is settled.values()
    mine.nrt = False
    assert settled.nrt and mine.copy() == other, "what was laid down changes no more"
