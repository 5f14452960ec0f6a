"""How kernels hand named tuples on to their parts: by address.

Numba hands a tuple over value by value. The tuples of a network are some six hundred, which the caller takes apart and the function called
puts together again at every call, until LLVM has pasted the one into the other and takes all of it out again. Here a caller
hands over where its tuple lies, and who is called reads of it what it uses: what comes out is as fast, and takes a fifth less to compile.

Nothing writes into a tuple, so its address is as good as its values. It holds for the named tuples of this package alone; what Numba
compiles for others is not touched. Like `neurosim.kernels.parts`, which uses it, it rests on seams that no document of Numba promises.
"""

from collections import Counter

import llvmlite.ir
from llvmlite.ir import instructions, values
from numba.core import cgutils, ir, lowering, types
from numba.core.datamodel import default_manager
from numba.core.datamodel.models import TupleModel, UniTupleModel
from numba.parfors import parfor_lowering

_PACKAGE = __name__.partition(".")[0]


def is_ours(fe_type):
    """Whether values of a type of Numba are handed on by address."""
    return isinstance(fe_type, types.BaseNamedTuple) and fe_type.instance_class.__module__.startswith(f"{_PACKAGE}.")


def _place_of(builder, value):
    """Where a value lies that was just loaded; None where it lies nowhere, or something was stored there since."""
    if not isinstance(value, instructions.LoadInstr):
        return None
    place = value.operands[0]
    if isinstance(place, values.Argument):
        return place
    if isinstance(place, instructions.AllocaInstr):
        for instruction in reversed(builder.block.instructions):
            if instruction is value:
                return place
            if isinstance(instruction, instructions.StoreInstr) and instruction.operands[1] is place:
                return None
    return None


class _ByAddress:
    """How a named tuple is handed over; see `numba.core.datamodel.models.DataModel`."""

    def get_argument_type(self):
        return llvmlite.ir.PointerType(self.get_value_type())

    def as_argument(self, builder, value):
        place = _place_of(builder, value)
        if place is None:
            place = cgutils.alloca_once(builder, self.get_value_type())
            builder.store(value, place)
        return place

    def from_argument(self, builder, value):
        value.add_attribute("captures(none)")
        if "alwaysinline" not in builder.function.attributes:  # LLVM keeps books of it wherever it pastes such a function
            value.add_attribute("noalias")
        return builder.load(value)


class _NamedTuple(_ByAddress, TupleModel):
    """Fields of several types."""


class _NamedUniTuple(_ByAddress, UniTupleModel):
    """Fields of one type."""


def _choose(ours, other):
    def make(manager, fe_type):
        return (ours if is_ours(fe_type) else other)(manager, fe_type)

    return make


def hand_on_by_address():
    """Compile functions so, from here on."""
    default_manager.register(types.NamedTuple, _choose(_NamedTuple, TupleModel))
    default_manager.register(types.NamedUniTuple, _choose(_NamedUniTuple, UniTupleModel))


class _InPlace:
    """Translates a function to LLVM's text; the tuples that it was handed stay where they lie, under all names that it gives them."""

    def lower_function_body(self):
        assigned = Counter(inst.target.name for block in self.blocks.values() for inst in block.body if isinstance(inst, ir.Assign))
        self._assigned_once = {name for name, n in assigned.items() if n == 1}
        return super().lower_function_body()

    def lower_inst(self, inst):
        place = self._place_handed(inst) if isinstance(inst, ir.Assign) else None
        if place is None:
            super().lower_inst(inst)
        else:
            self._singly_assigned_vars.discard(inst.target.name)
            self.varmap[inst.target.name] = place

    def _place_handed(self, inst):
        """Where the tuple lies that an assignment gives its one and only name, if it was handed over; otherwise None."""
        name, value = inst.target.name, inst.value
        if name not in self._assigned_once or name in self.varmap or not is_ours(self.typeof(name)):
            return None
        if isinstance(value, ir.Arg):
            return self.fnargs[value.index].operands[0] if self.typeof(name) == self.fndesc.argtypes[value.index] else None
        place = self.varmap.get(value.name) if isinstance(value, ir.Var) else None
        return place if isinstance(place, values.Argument) else None

    def delvar(self, name):
        # What was handed over is the caller's as long as the call lasts: no reference is counted for a name of it, and none given back.
        if not isinstance(self.varmap.get(name), values.Argument):
            super().delvar(name)

    def lower_expr(self, resty, expr):
        place = self.varmap.get(expr.value.name) if expr.op == "getattr" else None
        if not isinstance(place, values.Argument):
            return super().lower_expr(resty, expr)
        field = self.typeof(expr.value.name).fields.index(expr.attr)
        value = self.builder.load(cgutils.gep_inbounds(self.builder, place, 0, field))
        self.incref(resty, value)
        return value


class Lower(_InPlace, lowering.Lower):
    """Of a function without parallel loops."""


class ParforLower(_InPlace, parfor_lowering.ParforLower):
    """Of a function with parallel loops."""
