"""Parallel loops in a forked child: done in its one thread.

GNU's OpenMP does not survive a fork, since its threads are not in the child. Numba's layer for it then raises SIGTERM and skips the
loop, and whoever takes that signal for a polite request goes on with numbers that nobody computed. So kernels call a function
of ours, which hands a loop to Numba's layer, and in a child of a process that had started that layer works on the loop itself:
the same compiled loop over the same parts, one after another, and so the same bits.

It stands between two private names of Numba; with versions that were not tried, such a child is refused (`refusal`).
"""

import ctypes
import os

import llvmlite.binding as llvm
from llvmlite import ir
from numba import version_info
from numba.np.ufunc import parallel

#: Versions (major, minor) of Numba that the suite ran with.
_TRIED = ((0, 66), (0, 67), (0, 68))
_POINTER, _SIZE, _INT = ir.IntType(8).as_pointer(), ir.IntType(64), ir.IntType(32)

_launch_threads = parallel._launch_threads
_engine = None
_is_alone = False


def is_alone():
    """Whether parallel loops of this process run in one thread, whatever number is asked for."""
    return _is_alone


def refusal():
    """Why this process must not run kernels, in words; None when it may."""
    if not _is_alone or _engine is not None:
        return None
    return (
        "this process was forked from one that had run kernels, and Numba's OpenMP layer does not work there; "
        "start processes by spawn or forkserver (multiprocessing.set_start_method), or set NUMBA_THREADING_LAYER=workqueue"
    )


def _launch_and_stand_between():
    _launch_threads()
    global _engine
    if _engine is None and _is_gnu_openmp() and version_info.short in _TRIED and ctypes.sizeof(ctypes.c_void_p) == 8:
        _engine = _compile_switch(llvm.address_of_symbol("numba_parallel_for"))
        llvm.add_symbol("numba_parallel_for", _engine.get_function_address("neurosim_parallel_for"))


def _is_gnu_openmp():
    """Whether this process, or the one that it was forked from, has started GNU's OpenMP."""
    if not parallel._is_initialized or parallel.threading_layer() != "omp":
        return False
    from numba.np.ufunc import omppool

    return getattr(omppool, "openmp_vendor", "GNU") == "GNU"


def _compile_switch(layer):
    """Machine code of ``neurosim_parallel_for``, with the arguments of ``numba_parallel_for``, whose address is `layer`."""
    loop_type = ir.FunctionType(ir.VoidType(), [_POINTER] * 4)
    function_type = ir.FunctionType(ir.VoidType(), [_POINTER] * 5 + [_SIZE] * 3)
    module = ir.Module("neurosim_forks")
    module.triple = llvm.get_process_triple()
    flag = ir.GlobalVariable(module, _INT, "neurosim_is_alone")
    flag.initializer = ir.Constant(_INT, 0)
    function = ir.Function(module, function_type, "neurosim_parallel_for")
    builder = ir.IRBuilder(function.append_basic_block())
    with builder.if_else(builder.icmp_signed("!=", builder.load(flag), ir.Constant(_INT, 0))) as (alone, together):
        with alone:  # a loop takes any range of parts: here all of them
            loop, *arguments = function.args[:5]
            builder.call(builder.bitcast(loop, loop_type.as_pointer()), arguments)
        with together:
            address = ir.Constant(_SIZE, layer)
            builder.call(builder.inttoptr(address, function_type.as_pointer()), function.args)
    builder.ret_void()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = llvm.Target.from_triple(module.triple).create_target_machine(jit=True)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(str(module)), machine)
    engine.finalize_object()
    return engine


def _note_fork():
    global _is_alone
    if _is_gnu_openmp():
        _is_alone = True
        if _engine is not None:
            ctypes.c_int32.from_address(_engine.get_global_value_address("neurosim_is_alone")).value = 1


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)
parallel._launch_threads = _launch_and_stand_between
if parallel._is_initialized:  # by other code that uses Numba
    _launch_and_stand_between()
