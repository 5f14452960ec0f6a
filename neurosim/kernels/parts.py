"""Compile what only kernels call once, in the kernels that call it.

Numba gives every function machine code, wrappers for Python and C, and a file in the cache, although LLVM copies the text of a
function into its callers before any of that is used. Here such a function stays LLVM's text, unoptimised, until a
kernel that calls it is compiled: that halves what the first start costs. It rests on three seams of Numba that no
document promises, so versions that were not tried compile as Numba does (`IS_SUPPORTED`).
"""

import numba
from numba.core import event, sigutils
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder, Flags
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import register_pass
from numba.core.registry import CPUDispatcher
from numba.core.typed_passes import InlineOverloads, NativeLowering, NativeParforLowering, NopythonRewrites
from numba.core.untyped_passes import FindLiterallyCalls, InlineClosureLikes, InlineInlinables, LiteralUnroll

from neurosim.kernels import tuples

#: Versions (major, minor) of Numba that the suite ran with.
_TRIED = ((0, 66), (0, 67), (0, 68))
IS_SUPPORTED = numba.version_info.short in _TRIED


class _TextLibrary(JITCodeLibrary):
    """LLVM's text of one function, as its callers link it in: neither optimised nor translated to machine code."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def _optimize_final_module(self):
        pass

    def _finalize_final_module(self):
        self._finalize_dynamic_globals()
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class _KeepText(NativeLowering):
    _name = "neurosim_keep_text"
    lowering_class = tuples.Lower

    def run_pass(self, state):
        context = state.targetctx
        state.library = _TextLibrary(context.codegen(), state.func_id.func_qualname)
        state.flags = _Flags(state.flags)
        state.flags.no_compile = True
        super().run_pass(state)
        # What Numba does for functions that it translates: here what others know the function by cannot be called.
        name = object()
        context.insert_user_function(name, state["cr"].fndesc, [state.library])
        state["cr"] = state["cr"]._replace(cfunc=name)
        return True


class _KernelLibrary(JITCodeLibrary):
    """A kernel, optimised when its parts are in it, and not before as well."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout


class _InKernelLibrary:
    def run_pass(self, state):
        state.library = _KernelLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.library.enable_object_caching()
        return super().run_pass(state)


@register_pass(mutates_CFG=True, analysis_only=False)
class _Lower(_InKernelLibrary, NativeLowering):
    _name = "neurosim_lower"
    lowering_class = tuples.Lower


@register_pass(mutates_CFG=True, analysis_only=False)
class _ParforLower(_InKernelLibrary, NativeParforLowering):
    _name = "neurosim_parfor_lower"
    lowering_class = tuples.ParforLower


def _passes(state, instead, without=()):
    """Numba's own passes but for some."""
    passes = DefaultPassBuilder.define_nopython_pipeline(state)
    passes.passes = [(instead.get(kind, kind), text) for kind, text in passes.passes if kind not in without]
    passes._finalized = False
    passes.finalize()
    return [passes]


class _SettledFlags(Flags):
    """Flags that change no more. Numba compares all of them wherever a function of its own is called, and gathers them anew each time."""

    __slots__ = ("_gathered",)

    def values(self):
        if not hasattr(self, "_gathered"):
            self._gathered = super().values()
        return self._gathered

    def __eq__(self, other):
        return self is other or super().__eq__(other)

    def __hash__(self):
        return _HASH_OF_FLAGS


#: Numba's own hash of flags is of their names alone, and so the same for all.
_HASH_OF_FLAGS = hash(Flags())


class _Flags(Flags):
    """The flags of one compilation, of which Numba lays a copy down for whatever is compiled within it."""

    def copy(self):
        return _SettledFlags(self)


class _Compiler(CompilerBase):
    def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals):
        super().__init__(typingctx, targetctx, library, args, return_type, _Flags(flags), locals)


class _TextCompiler(_Compiler):
    #: What no part has: closures, expressions of whole arrays, literals that unroll. Branches on an argument of None stay.
    _WITHOUT = (InlineClosureLikes, InlineInlinables, FindLiterallyCalls, LiteralUnroll, InlineOverloads, NopythonRewrites)

    def define_pipelines(self):
        return _passes(self.state, {NativeLowering: _KeepText}, self._WITHOUT)


class KernelCompiler(_Compiler):
    """Compiles a kernel, as Numba does but for how it takes tuples and hands them on."""

    def define_pipelines(self):
        return _passes(self.state, {NativeLowering: _Lower, NativeParforLowering: _ParforLower})


class KernelPart(CPUDispatcher):
    """A function for kernels alone: called from Python it raises `TypeError`; its `py_func` can be called."""

    def compile(self, sig):
        # As Numba does, without a file in the cache, and without timers: within each other, they were told of every call of LLVM.
        args, return_type = sigutils.normalize_signature(sig)
        with global_compiler_lock, self._compiling_counter:
            known = self.overloads.get(tuple(args))
            if known is None:
                with event.trigger_event("numba:compile", data={"dispatcher": self, "args": args, "return_type": return_type}):
                    known = self._compiler.compile(args, return_type)
                    self.add_overload(known)
            return known.entry_point

    def add_overload(self, cres):
        self.overloads[tuple(cres.signature.args)] = cres  # and not to those that Python finds

    def _compile_for_args(self, *args, **kwargs):
        name = f"{self.py_func.__module__}.{self.py_func.__name__}"
        raise TypeError(f"{name} is a part of kernels and has no machine code of its own: call {name}.py_func, or from a kernel")


def keep_text(py_func, **options):
    """Make a function that has machine code only as a part of the kernels that call it.

    Parameters
    ----------
    py_func : function
    **options
        Of `numba.njit`.
    """
    options |= {"nopython": True, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return KernelPart(py_func, targetoptions=options, pipeline_class=_TextCompiler)


#: Options of `numba.njit` for kernels.
KERNEL_OPTIONS = {"pipeline_class": KernelCompiler} if IS_SUPPORTED else {}
if IS_SUPPORTED:
    tuples.hand_on_by_address()
