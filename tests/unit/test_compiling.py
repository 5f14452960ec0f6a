"""What people see while kernels are compiled, and that they see nothing of it otherwise."""

import io

import pytest
from rich.console import Console

from neurosim.kernels import compiling
from neurosim.kernels.compile import kernel
from neurosim.kernels.compiling import Compiling, told
from neurosim.reports.progress import CompileObserver, compiling_text


@pytest.mark.parametrize(
    "state, text",
    [
        (Compiling(37, 120, 40.2), "compiling 37 of 120, about 40 s left; once per version and computer"),
        (Compiling(119, 120, 0.1), "compiling 119 of 120, about 1 s left; once per version and computer"),
        (Compiling(0, None, None), "compiling 0 kernels; once per version and computer"),
        (Compiling(7, None, None), "compiling 7 so far; once per version and computer"),
    ],
)
def test_text(state, text):
    assert compiling_text(state) == text


def test_a_compilation_is_told_and_a_call_is_not(tmp_path):
    told_first, told_later = [], []

    def add(a):
        return a + 1

    compiled = kernel(add, cache=False)
    with told(told_first.append, None):
        compiled(1)
        compiled(2)
    with told(told_later.append, None):
        compiled(3)
    compiled(1.0)
    assert [(state.n_done, state.has_ended) for state in told_first] == [(0, False), (1, True)]
    assert all(state.n_expected is None and state.seconds_left is None for state in told_first)
    assert not told_later


class _Kernel:
    """What an event says of a compilation: a dispatcher with the function's name."""

    def __init__(self, name):
        def function():
            pass

        function.__name__ = name
        self.data = {"dispatcher": self}
        self.py_func = function


def test_the_guess_ends_at_what_was_compiled(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(compiling.time, "monotonic", lambda: now[0])
    states = []
    meter = compiling._Meter(states.append, (("first", 3, 2.0), ("steps", 2, 8.0), ("last", 1, 1.0)))
    for name, n, seconds in (("first", 3, 4.0), ("steps_by_rows", 2, 16.0), ("last", 1, 2.0)):
        meter.on_start(_Kernel(name))
        for _ in range(n - 1):
            meter.on_start(_Kernel("part"))
            meter.on_end(_Kernel("part"))
        now[0] += seconds
        meter.on_end(_Kernel(name))
    assert {state.n_expected for state in states} == {6}
    assert [state.n_done for state in states if state.has_ended] == [1, 2, 3, 4, 5, 6]
    assert states[0].seconds_left == 11.0
    assert states[-1].seconds_left == 0.0
    # This computer takes twice as long as the measured one, which is seen as soon as something is done.
    before_last = states[-2].seconds_left
    assert 1.5 < before_last <= 2.0


def test_a_kernel_that_comes_from_the_cache_or_takes_more_than_measured_makes_no_wrong_number():
    states = []
    meter = compiling._Meter(states.append, (("first", 3, 2.0), ("last", 1, 1.0)))
    meter.on_start(_Kernel("last"))
    assert states[-1].n_expected == 1
    for _ in range(2):
        meter.on_start(_Kernel("part"))
        meter.on_end(_Kernel("part"))
    assert (states[-1].n_expected, states[-1].seconds_left) == (None, None)
    meter.on_end(_Kernel("last"))
    meter.on_start(_Kernel("nobody knows"))
    assert states[-1].n_expected is None


def _seen(states, is_terminal):
    out = io.StringIO()
    with CompileObserver(Console(file=out, force_terminal=is_terminal, width=110)) as observer:
        for state in states:
            observer.on_compile(state)
    return out.getvalue()


def test_a_pipe_gets_few_lines_and_a_terminal_a_line_that_goes():
    states = [Compiling(i, 9, 9.0 - i) for i in range(10)]
    assert _seen(states, False) == "compiling 0 of 9, about 9 s left; once per version and computer\n"
    assert "compiling 9 of 9" in _seen(states, True)
    assert _seen([], True) == _seen([], False) == ""


def test_quiet_says_nothing():
    with CompileObserver(None) as observer:
        observer.on_compile(Compiling(1, 2, 3.0))


def test_measured_numbers_are_of_kernels_that_are_there():
    from neurosim.kernels import convolutional, exchange, feedforward, initial, random, rounding, spiking, through_time, walks

    of_cells = (feedforward.kernels_of(("relu",)), convolutional.kernels_of(("relu",)))
    # A kernel of maps has the names of its cells behind its own.
    maps = vars(of_cells[1]).values()
    homes = (exchange, initial, rounding, walks, random, through_time, convolutional, spiking, *of_cells)
    for plan in compiling._KERNELS.values():
        assert len({name for name, *_ in plan}) == len(plan)
        for name, n, seconds in plan:
            assert any(hasattr(home, name) for home in homes) or any(getattr(kernel, "__name__", "").startswith(name) for kernel in maps), name
            assert n >= 1 and seconds > 0
