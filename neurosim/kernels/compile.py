"""One place that owns every compiler option of the kernels.

There is no fast-math here. LLVM may choose at run time between a vector and a scalar version of a loop,
by where the arrays happen to lie in memory; under fast-math the two round differently, and a run
resumed in another process was no longer bit-identical (measured). What speed needs is written out
instead: `fma`, and the vector operations of `neurosim.kernels.lanes`.
"""

import os
from functools import partial
from types import FunctionType

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from neurosim.kernels import cache, compiling, forks, parts  # noqa: F401  (the first two act before anything is compiled)

# Threads of OpenMP that wait by spinning cost up to 24 ms per parallel loop when other processes want the cores; waking one that
# sleeps costs 0.1 ms. So they spin for some 0.08 ms, which bridges the gaps between the loops of a step, and then sleep.
# Read when the library is loaded, by the first loop.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ["OMP_WAIT_POLICY"] = "passive"
    os.environ.setdefault("GOMP_SPINCOUNT", "2000")

#: Compile a kernel: cached on disk, without the interpreter lock, NumPy's rules for division.
kernel = partial(numba.njit, cache=True, nogil=True, error_model="numpy", no_cfunc_wrapper=True, **parts.KERNEL_OPTIONS)

#: A kernel with parallel loops, which are those written as ``prange``: Numba would make one of each assignment to an array, too.
parallel_kernel = partial(
    kernel,
    parallel={"prange": True} | dict.fromkeys(("comprehension", "reduction", "inplace_binop", "setitem", "numpy", "stencil", "fusion"), False),
)

#: A function that LLVM always inlines into the kernels that call it, and that Python calls as well. It must not allocate: it is
#: compiled without reference counts, whose atomic operations took four fifths of the time of an exchange.
inlined_and_called = partial(kernel, forceinline=True, _nrt=False)


def _part(**options):
    if not parts.IS_SUPPORTED or numba.config.DISABLE_JIT:
        return partial(kernel, **options)
    return partial(parts.keep_text, nogil=True, error_model="numpy", **options)


#: A function that LLVM always inlines into the kernels that call it, and that only kernels call; must not allocate either.
inlined = _part(forceinline=True, _nrt=False)

#: A function that only kernels call, inlined where LLVM thinks best.
part = _part()

#: The same for one that allocates, whoever calls it: without this, one called without reference counts could not.
allocating_part = _part(_nrt=True)


def bind(function, name, **verbs):
    """A Python function with some of its global names replaced, under a name of its own: Numba's disk cache tells functions apart by name."""
    code = function.__code__.replace(co_name=name, co_qualname=name)
    bound = FunctionType(code, function.__globals__ | verbs, name, function.__defaults__)
    bound.__doc__, bound.__module__, bound.__qualname__ = function.__doc__, function.__module__, name
    return bound


def count_threads():
    """Threads that parallel loops run in at the moment."""
    return 1 if forks.is_alone() else numba.get_num_threads()


@intrinsic
def fma(typingctx, a, b, c):
    """a * b + c in float32 with one rounding, in scalar and in vector code alike."""

    def codegen(context, builder, signature, args):
        return builder.fma(*args)

    return types.float32(types.float32, types.float32, types.float32), codegen


@intrinsic
def multiply32(typingctx, a, b):
    """a * b modulo 2**32 on uint32. Numba's own product of two uint32 is 64 bits wide, and slow as a vector."""

    def codegen(context, builder, signature, args):
        return builder.mul(*args)

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def xor_shift32(typingctx, a, n):
    """a ^ (a >> n) on uint32, 32 bits wide throughout."""

    def codegen(context, builder, signature, args):
        return builder.xor(args[0], builder.lshr(*args))

    return types.uint32(types.uint32, types.uint32), codegen


@intrinsic
def prefetch(typingctx, data, index):
    """Ask for the cache line of one element of a flat array, ahead of its use."""

    def codegen(context, builder, sig, args):
        place = builder.gep(context.make_array(sig.args[0])(context, builder, args[0]).data, [args[1]])
        byte = builder.bitcast(place, ir.IntType(8).as_pointer())
        i32 = ir.IntType(32)
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(ir.VoidType(), [byte.type, i32, i32, i32]), "llvm.prefetch.p0")
        to_read, keep_long, is_data = (ir.Constant(i32, n) for n in (0, 3, 1))
        builder.call(function, [byte, to_read, keep_long, is_data])
        return context.get_dummy_value()

    return types.void(data, types.int64), codegen
