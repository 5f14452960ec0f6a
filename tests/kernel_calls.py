"""Parts of kernels (`neurosim.kernels.compile`) have no machine code of their own: tests call them through a kernel."""

import inspect

import numba


def call_of(part):
    """A kernel with the arguments of `part`, and their defaults, that calls it and nothing else."""
    parameters = inspect.signature(part.py_func).parameters.values()
    taken = ", ".join(p.name if p.default is p.empty else f"{p.name}={p.default!r}" for p in parameters)
    return numba.njit(eval(f"lambda {taken}: part({', '.join(p.name for p in parameters)})", {"part": part}), error_model="numpy")
