"""What a sweep file says: a base scenario, and the axes along which its keys change."""

import json
from typing import Annotated, Any

from pydantic import Field, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple

Values = Annotated[tuple[Any, ...], as_tuple]
Seed = Annotated[int, Field(ge=0, lt=2**63)]


class AxisChoice(Strict):
    """One entry of `axes`: exactly one of the three forms. Several entries are combined, each value with each.

    Attributes
    ----------
    grid : mapping of key to list
        Every value of each key with every value of the others.
    zip : mapping of key to list
        Lists of equal length: the first values together, then the second ones.
    list : list of mappings of key to value
        Sets of overrides; each set is one value of the axis.
    """

    grid: dict[str, Values] | None = None
    zip: dict[str, Values] | None = None
    list: Annotated[tuple[dict[str, Any], ...], as_tuple] | None = None

    @property
    def form(self):
        """``"grid"``, ``"zip"`` or ``"list"``."""
        return next(name for name in ("grid", "zip", "list") if getattr(self, name) is not None)

    @property
    def keys(self):
        """Keys that this axis sets, in order."""
        found = getattr(self, self.form)
        return tuple(dict.fromkeys(key for part in found for key in part)) if self.form == "list" else tuple(found)

    @model_validator(mode="after")
    def _check(self):
        given = [name for name in ("grid", "zip", "list") if getattr(self, name) is not None]
        if len(given) != 1:
            raise WrongKey(given[1:2], f"found {' and '.join(given) or 'nothing'}; expected exactly one of grid, zip and list")
        form, found = given[0], getattr(self, given[0])
        if not found:
            raise WrongKey([form], "an empty axis; expected at least one key with values")
        if form == "list":
            for index, overrides in enumerate(found):
                if not overrides:
                    raise WrongKey([form, index], "an empty set of overrides; expected at least one key with a value")
            _refuse_repeated([form], found)
            return self
        for key, values in found.items():
            if not values:
                raise WrongKey([form, key], "an empty axis; expected at least one value")
            if form == "grid":
                _refuse_repeated([form, key], values)
        if form == "zip":
            lengths = {key: len(values) for key, values in found.items()}
            if len(set(lengths.values())) > 1:
                counts = ", ".join(f"{key} has {n}" for key, n in lengths.items())
                raise WrongKey([form], f"{counts}; expected lists of equal length")
            _refuse_repeated([form], list_of_sets(found))
        return self


class Sweep(Strict):
    """A sweep: every combination of the axes' values, with every seed.

    Attributes
    ----------
    name : str
        Of the sweep and of its folder ``runs/NAME``.
    base : str or mapping
        Name of a bundled scenario, path of a scenario file, or the scenario itself.
    set : mapping of key to value
        Overrides of the base, the same at all points.
    seeds : list of int
        Without it, the seed of the base.
    axes : list of AxisChoice
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    description: str = ""
    base: Annotated[str, Field(min_length=1)] | dict[str, Any]
    set: dict[str, Any] = {}
    seeds: Annotated[tuple[Seed, ...], as_tuple] | None = None
    axes: Annotated[tuple[AxisChoice, ...], as_tuple] = ()

    @model_validator(mode="after")
    def _check(self):
        if self.seeds is not None and not self.seeds:
            raise WrongKey(["seeds"], "an empty list; expected at least one seed, or leave it out")
        _refuse_repeated(["seeds"], self.seeds or ())
        if not self.axes and self.seeds is None:
            raise WrongKey(["axes"], "a sweep without axes and seeds is a run; expected at least one axis")
        places = [(("set", key), key) for key in self.set]
        places += [
            (("axes", i, axis.form, *((_first_set(axis, key), key) if axis.form == "list" else (key,))), key)
            for i, axis in enumerate(self.axes)
            for key in axis.keys
        ]
        for n, (place, key) in enumerate(places):
            if key == "seed":
                raise WrongKey(place, "seeds have a list of their own; write seeds: [0, 1, 2]")
            for earlier, other in places[:n]:
                # The sets of one list are alternatives: there a part and a key of it may both stand.
                is_alternative = "list" in place and place[:3] == earlier[:3]
                if not is_alternative and (f"{key}.".startswith(f"{other}.") or f"{other}.".startswith(f"{key}.")):
                    raise WrongKey(place, f"is set twice: also as {'.'.join(map(str, earlier))}")
        return self


def list_of_sets(columns):
    """``{"a": (1, 2), "b": (3, 4)} -> [{"a": 1, "b": 3}, {"a": 2, "b": 4}]``."""
    return [dict(zip(columns, row)) for row in zip(*columns.values())]


def _first_set(axis, key):
    return next(index for index, overrides in enumerate(axis.list) if key in overrides)


def _refuse_repeated(keys, values):
    seen = {}
    for index, value in enumerate(values):
        text = json.dumps(value, sort_keys=True)
        if text in seen:
            at = [*keys, index] if keys != ["zip"] else keys
            raise WrongKey(at, f"the value {text} stands twice; each would be the same point")
        seen[text] = index
