"""Any number of a profile by its key: what there is, how it is written, and what becomes of a profile in which some are changed.

Keys are dotted paths, as `neurosim profiles show` has them: ``cores``, ``storage.local_bytes``, ``limits.neurons_per_core``. Numbers of the
price set and of the corner in use have short ones: ``prices.synaptic_op``, ``static.core``, ``cycles.packet``, ``clock``.
"""

import re
import typing
from dataclasses import dataclass
from fractions import Fraction

import pydantic

from neurosim.documents import Strict, WrongKey
from neurosim.documents.wording import short
from neurosim.errors import nearest
from neurosim.hardware.quantities import Price, Quantity, Within
from neurosim.hardware.storage import storage_class

#: Key in `sources` of numbers that a scenario changed, and its text.
CHANGED, CHANGED_TEXT = "changed_by_scenario", "changed by the scenario"
#: A limit that a profile does not state, and a scenario does.
_NEW_LIMIT = {"kind": "wall", "action": "error"}
_SI = {"a": -18, "f": -15, "p": -12, "n": -9, "u": -6, "µ": -6, "μ": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15}
_BYTES = {"B": 1, **{f"{p}{i}B": 1024**n for n, p in enumerate("KMGT", 1) for i in ("", "i")}}


@dataclass(frozen=True)
class Place:
    """Where a number stands in a profile, whether or not the profile states it.

    Attributes
    ----------
    path : tuple of str or int
        To its record in the data of the profile.
    record : type
        `Quantity`, or the class below it.
    within : Within
        Its unit and range.
    """

    path: tuple
    record: type
    within: Within

    @property
    def key(self):
        return ".".join(map(str, self.path))


def list_numbers(model_class, data):
    """Every number that a profile may state.

    Parameters
    ----------
    model_class : type
        `HardwareProfile`.
    data : dict
        Of a profile: it says which storage family, price sets, corners and chips there are.

    Returns
    -------
    dict of str to Place
        By dotted key, in the order of the schema.
    """
    return {place.key: place for place in _below_model(model_class, data, ())}


def _below_model(model_class, data, path):
    for name, field in model_class.model_fields.items():
        annotation = typing.Annotated[(field.annotation, *field.metadata)] if field.metadata else field.annotation
        yield from _below(annotation, data.get(name) if isinstance(data, dict) else None, (*path, name))


def _below(annotation, data, path):
    """Places below one field; `data` is None where the profile does not state it."""
    kind, within = _unwrap(annotation)
    if kind is None:
        return
    if path == ("storage",):
        kind = storage_class(data.get("family") if isinstance(data, dict) else None)
        if kind is None:
            return
    if isinstance(kind, type) and issubclass(kind, Quantity):
        yield Place(path, kind, within)
    elif isinstance(kind, type) and issubclass(kind, Strict):
        yield from _below_model(kind, data, path)
    elif typing.get_origin(kind) is dict and isinstance(data, dict):
        for name, value in data.items():
            yield from _below(typing.get_args(kind)[1], value, (*path, name))
    elif typing.get_origin(kind) is tuple and isinstance(data, (list, tuple)):
        for index, value in enumerate(data):
            yield from _below(typing.get_args(kind)[0], value, (*path, index))


def _unwrap(annotation, within=None):
    """The class or container inside Annotated and Optional, and the range of a number; (None, None) for other unions."""
    if typing.get_origin(annotation) is typing.Annotated:
        inner, *more = typing.get_args(annotation)
        found = next((m.func for m in more if isinstance(m, pydantic.AfterValidator) and isinstance(m.func, Within)), within)
        return _unwrap(inner, found)
    arguments = [a for a in typing.get_args(annotation) if a is not type(None)]
    if len(arguments) == 1 and type(None) in typing.get_args(annotation):
        return _unwrap(arguments[0], within)
    return annotation, within


def find_number(places, key, data):
    """The place that a user means by a key: the key itself, or a short form of it.

    Parameters
    ----------
    places : dict of str to Place
        From `list_numbers`.
    key : str
    data : dict
        Of the profile; it says which price set and corner are in use.

    Raises
    ------
    WrongKey
        No such number; its text names the nearest one.
    """
    bare = key.removesuffix(".value").removeprefix("chip.")
    energy = data.get("energy") if isinstance(data.get("energy"), dict) else {}
    in_set, corner = f"energy.price_sets.{energy.get('price_set')}.", f"corners.{data.get('corner')}."
    first = [f"{corner}clock"] if bare in ("clock", "time.clock") and data.get("corner") else []
    tried = [
        *first,
        bare,
        f"{bare}.max",
        f"{in_set}{bare}",
        f"{in_set}{bare.removeprefix('energy.')}",
        f"time.{bare}",
        f"{corner}{bare}",
        f"energy.{bare}",
    ]
    # Cycles of all sets stand in `time`, unless the set in use has its own.
    if bare.startswith("cycles.") and not _get(data, tuple(in_set.split(".")[:-1]) + ("cycles",)):
        tried = [f"time.{bare}", *tried]
    if bare.startswith("static.") and _get(data, ("energy", *bare.split("."))):
        tried = [f"energy.{bare}", *tried]
    for name in tried:
        if name in places:
            return places[name]
    known = {_short_key(name, in_set, corner) for name in places}
    raise WrongKey([key], f"is no number of the profile; {_nearest_key(bare, known)}")


def _short_key(key, in_set, corner):
    return key.removeprefix(in_set).removeprefix(corner).removesuffix(".max")


def _nearest_key(word, known):
    """Nearest of very many keys: among those with the same last or first word, where the whole is like none."""
    hint = nearest(word, known)
    if hint.startswith("nearest"):
        return hint
    last = {key.rpartition(".")[2]: key for key in sorted(known, key=len, reverse=True)}
    hint = nearest(word.rpartition(".")[2], last)
    if hint.startswith("nearest"):
        return f"nearest: {last[hint.removeprefix('nearest: ')]}"
    return "neurosim profiles show lists them"


def parse_number(value, within):
    """A number in the unit of its place, from a number or from a text with a unit such as ``32 KiB`` or ``12.7 pJ``.

    Raises
    ------
    ValueError
        Neither, or another unit.
    """
    expected = f"expected a number in {within.unit}" if within.unit != "1" else "expected a count"
    hint = {"1": "", "bit": "", "B": ", or with its unit, such as '32 KiB'"}.get(within.unit, f", or with its unit, such as '2.5 {within.unit}'")
    if isinstance(value, str):
        found = re.fullmatch(r"\s*([-+]?(?:\d{1,40}\.?\d{0,40}|\.\d{1,40})(?:[eE][-+]?\d{1,3})?)\s*(\S*?)\s*", value)
        factor = _factor(found[2], within.unit) if found else None
        if factor is None:
            raise ValueError(f"found {short(value)}; {expected}{hint}")
        number = Fraction(found[1]) * factor
        value = int(number) if number.denominator == 1 else float(number)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"found {short(value)}; {expected}")
    if within.whole and isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = int(value)
    return value


def _factor(unit, wanted):
    """What a unit is of the wanted one, exactly: ``("KiB", "B") -> 1024``; None where it is another one."""
    if unit in ("", wanted) or unit == f"{wanted}s":
        return Fraction(1)
    if wanted in ("B", "B/s"):
        head = unit.removesuffix(wanted[1:]) if unit.endswith(wanted[1:]) else None
        if wanted == "B" and head in _BYTES or wanted == "B/s" and head in _BYTES and "i" in head:
            return Fraction(_BYTES[head])
        if wanted == "B":
            return None
    if wanted not in ("1", "bit", "cycle") and unit.endswith(wanted) and (prefix := unit[: -len(wanted)]) in _SI:
        return Fraction(10) ** _SI[prefix]
    return None


@dataclass(frozen=True)
class Change:
    """A number of a profile that was changed: `old` and `old_source` are None where the profile does not state it."""

    path: tuple
    value: int | float
    unit: str
    old: int | float | None
    old_source: str | None

    @property
    def key(self):
        return ".".join(map(str, self.path))

    @property
    def text(self):
        """``changed from 131,072 B (what said so)``, or that nothing did."""
        if self.old is None:
            return "not stated before"
        unit = "" if self.unit == "1" else f" {self.unit}"
        return f"changed from {self.old:{',d' if isinstance(self.old, int) else 'g'}}{unit} ({self.old_source})"

    def to_dict(self):
        """Plain data for JSON."""
        return {"key": self.key, "value": self.value, "unit": self.unit, "old": self.old, "text": self.text}


def change_numbers(model_class, data, numbers, source, source_text, note=""):
    """Change numbers of a profile's data, in place. What is changed is assumed, whatever it was before.

    A price set that was simulated or fitted as a whole is neither any more once one of its numbers is another: its kind becomes assumed.

    Parameters
    ----------
    model_class : type
        `HardwareProfile`.
    data : dict
    numbers : dict of str to number or str
        By key (`find_number`).
    source, source_text : str
        Key and text of the source of the new numbers.
    note : str
        Why; it stands in front of what they were before.

    Returns
    -------
    list of Change

    Raises
    ------
    WrongKey
        Every key that is unknown or stands twice, and every text that is no such number: the first, with the others as its `more`.
    """
    places, found, wrong = list_numbers(model_class, data), {}, []
    for key, value in numbers.items():
        try:
            place = find_number(places, key, data)
            if place.key in found:
                raise WrongKey([key], f"changes {place.key}, as {found[place.key][0]} does; leave one of them out")
            if not _is_open(data, place.path):
                raise WrongKey([key], f"cannot be put there: a part of {place.key} is no mapping")
            number = parse_number(value, place.within)
            place.within(place.record.model_construct(value=number, unit=place.within.unit))
            found[place.key] = (key, place, number)
        except WrongKey as error:
            wrong.append(WrongKey([key], str(error)))
        except ValueError as error:
            wrong.append(WrongKey([key], str(error)))
    WrongKey.raise_all(wrong)
    sources = data.setdefault("sources", {})
    if found and isinstance(sources, dict):
        sources[source] = source_text
    changes = [_change(data, place, value, source, note) for _, place, value in found.values()]
    _keep_cores(data, {place.path for _, place, _ in found.values()})
    return changes


def _change(data, place, value, source, note):
    before = _get(data, place.path)
    old = before.get("value") if isinstance(before, dict) else None
    old_source = before.get("source") if isinstance(before, dict) else None
    texts = data["sources"] if isinstance(data["sources"], dict) else {}
    change = Change(place.path, value, place.within.unit, old, texts.get(old_source, old_source))
    record = {"value": value, "unit": place.within.unit, "kind": "assumed", "source": source, "confidence": "A"}
    record["note"] = "; ".join([*([note] if note else []), *([change.text] if old is not None or not note else [])])
    if issubclass(place.record, Price):
        record["meaning"] = before["meaning"] if isinstance(before, dict) and "meaning" in before else "marginal"
    level = data
    for i, part in enumerate(place.path[:-1]):
        if not isinstance(level, (list, tuple)) and level.get(part) is None:
            level[part] = dict(_NEW_LIMIT) if i == 1 and place.path[0] == "limits" else {}
        if isinstance(level[part], tuple):
            level[part] = list(level[part])
        level = level[part]
    level[place.path[-1]] = record
    if place.path[:2] == ("energy", "price_sets") and (prices := data["energy"]["price_sets"][place.path[2]]).get("kind") in ("simulated", "fitted"):
        prices |= {"kind": "assumed", "source": source}
        prices["note"] = "; ".join(filter(None, ["a simulated or fitted set in which numbers were changed", prices.get("note")]))
    return change


def _keep_cores(data, changed):
    """Cores of the chip and of its only class of chips are one number: who changes one means both."""
    chips = data.get("chips")
    if not chips or not all(isinstance(chip, dict) for chip in chips):
        return

    def total(chip):
        reserved = (chip.get("reserved_cores") or {}).get("value", 0)
        return chip["chips"]["value"] * (chip["working_cores"]["value"] - reserved)

    try:
        if ("cores",) in changed and len(chips) == 1 and chips[0]["chips"]["value"] == 1:
            reserved = (chips[0].get("reserved_cores") or {}).get("value", 0)
            chips[0]["working_cores"] = {**data["cores"], "value": data["cores"]["value"] + reserved}
        elif ("cores",) not in changed and any(path[0] == "chips" for path in changed):
            record = next(chip[path[2]] for path in changed if path[0] == "chips" for chip in [chips[path[1]]])
            data["cores"] = {**record, "value": sum(map(total, chips)), "unit": "1"}
    except (KeyError, TypeError):
        return  # no profile: its validation says why


def _is_open(data, path):
    """Whether everything above a place is a mapping or a list, as far as it is there."""
    return all(isinstance(_get(data, path[:n]), (dict, list, tuple, type(None))) for n in range(1, len(path)))


def _get(data, path):
    for part in path:
        if isinstance(data, dict):
            data = data.get(part)
        elif isinstance(data, (list, tuple)) and isinstance(part, int) and part < len(data):
            data = data[part]
        else:
            return None
    return data
