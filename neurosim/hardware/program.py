"""Cycles of the training program's loops on a core, as a table that several profiles share.

A table (`hardware_profiles/programs/*.yaml`) is written by ``python -m program.derive`` from the loops in C, one column for each setting of the
compiler. Its numbers are derived, not measured; the range over the settings travels with them.
"""

from functools import lru_cache
from typing import Annotated, Literal

from pydantic import Field, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple, bundled_folder, read_yaml, validate
from neurosim.errors import InputError, nearest
from neurosim.hardware.quantities import Alternative, Quantity, Text

FOLDER = "hardware_profiles"
Column = Annotated[tuple[Annotated[float, Field(gt=0, le=1e6)], ...], as_tuple]


class CycleTable(Strict):
    """Cycles of one turn of each loop.

    Attributes
    ----------
    name, title : str
        Of the core.
    compiler, method, note : str
        How loops were compiled and counted, and what the method leaves out.
    settings : tuple of str
        Settings of the compiler, one per column; the first gives the value, all of them the range.
    loops : dict of str to tuple of float
        Name of a function of ``program/loops.c`` or ``spiking.c`` to cycles per turn.
    """

    schema_version: Literal[1]
    name: Text
    title: Text
    compiler: Text
    method: Text
    note: Text
    settings: Annotated[tuple[Text, ...], as_tuple, Field(min_length=1)]
    loops: Annotated[dict[str, Column], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_columns(self):
        for name, cycles in self.loops.items():
            if len(cycles) != len(self.settings):
                raise WrongKey(["loops", name], f"found {len(cycles)} numbers; expected one per setting, {len(self.settings)}")
        return self

    @property
    def source(self):
        """Where the numbers come from, in one sentence."""
        return f"program/loops.c and spiking.c compiled by {self.compiler}; {self.method}. {self.note}"

    def quantity(self, loop):
        """Cycles of a turn as a `Quantity` with the range over the settings, or None for a loop that is not in the table."""
        if loop not in self.loops:
            return None
        first, *others = self.loops[loop]
        return Quantity.model_construct(
            value=first,
            unit="cycle",
            kind="derived",
            source=f"program {self.name}",
            confidence="D",
            note=self.settings[0],
            alternatives=tuple(
                Alternative.model_construct(value=value, source=f"program {self.name}", note=setting)
                for value, setting in zip(others, self.settings[1:], strict=True)
            ),
        )


def list_programs():
    """Names of the tables, sorted."""
    return sorted(path.stem for path in (bundled_folder(FOLDER) / "programs").glob("*.yaml"))


@lru_cache(maxsize=8)
def load_program(name):
    """`CycleTable` by name.

    Raises
    ------
    InputError
        No such table.
    """
    if name not in list_programs():
        raise InputError(f"program: found {name!r}; {nearest(name, list_programs())}")
    return validate(CycleTable, read_yaml(bundled_folder(FOLDER) / "programs" / f"{name}.yaml"), what="table of cycles")
