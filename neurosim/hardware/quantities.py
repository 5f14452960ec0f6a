"""Numbers with their unit, kind and source: the records of which a hardware profile is made."""

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple

Kind = Literal["measured", "simulated", "fitted", "specified", "derived", "assumed"]
#: Words in the note of a price of 0: it is published, and not merely unknown.
ZERO_SAID = "source states 0"
Meaning = Literal["marginal", "average_including_static", "dynamic_total"]


def _refuse_remembered(confidence):
    if confidence == "M":
        raise ValueError("M means only remembered and never verified: look the number up, or leave it out")
    return confidence


Confidence = Annotated[Literal["V", "S", "D", "A"], BeforeValidator(_refuse_remembered)]


class Alternative(Strict):
    """Another published value of the same number, where sources conflict. Same unit as the number."""

    value: int | float
    source: str
    note: str


class Quantity(Strict):
    """One number and why to believe it.

    Attributes
    ----------
    value : int or float
        In `unit`; each field of the profile says which unit and range it takes.
    unit : str
    kind : str
        How the number came about.
    source : str
        Key into the profile's `sources`.
    confidence : str
        V read in the primary source, S quoted by a secondary one, D arithmetic, A assumption of this project.
    note : str, optional
        Required for an assumption.
    alternatives : tuple of Alternative
    """

    value: int | float
    unit: str
    kind: Kind
    source: str
    confidence: Confidence
    note: str | None = None
    alternatives: Annotated[tuple[Alternative, ...], as_tuple] = ()

    @model_validator(mode="after")
    def _check_assumption(self):
        if (self.kind == "assumed") != (self.confidence == "A"):
            wrong = "confidence" if self.kind == "assumed" else "kind"
            raise WrongKey([wrong], f"found {getattr(self, wrong)!r}; kind assumed and confidence A go together")
        if self.kind == "assumed" and not self.note:
            raise WrongKey(["note"], "missing; an assumption says in its note why it was made")
        return self


class WidthQuantity(Quantity):
    """A number, such as a width in bits, of which the chip takes only some values.

    Attributes
    ----------
    allowed : tuple of int
        All that it takes, ascending, the last one being `value`; empty where every one up to `value` is fine.
    """

    allowed: Annotated[tuple[Annotated[int, Field(ge=1)], ...], as_tuple] = ()

    @model_validator(mode="after")
    def _check_allowed(self):
        if self.allowed and (list(self.allowed) != sorted(set(self.allowed)) or self.allowed[-1] != self.value):
            raise WrongKey(["allowed"], f"found {list(self.allowed)}; expected widths in ascending order, the last one being value, {self.value}")
        return self

    def nearest(self, width):
        """The allowed widths next to one that is not: tuple of one or two int."""
        below, above = [n for n in self.allowed if n < width][-1:], [n for n in self.allowed if n > width][:1]
        return (*below, *above)


class Price(Quantity):
    """Energy of one event, in J.

    Attributes
    ----------
    meaning : str
        marginal (beside a baseline), dynamic_total (all dynamic energy shared over the events), or
        average_including_static (must not meet static power).
    """

    meaning: Meaning


@dataclass(frozen=True)
class Within:
    """Validator of a number's unit and physical range, both ends included."""

    unit: str
    low: float
    high: float
    whole: bool = False

    @property
    def label(self):
        """The unit as people read it."""
        return "(a count)" if self.unit == "1" else self.unit

    def __call__(self, quantity):
        if quantity.unit != self.unit:
            raise WrongKey(["unit"], f"found {quantity.unit!r}; expected {self.unit!r}")
        numbers = [((), quantity), *((("alternatives", i), other) for i, other in enumerate(quantity.alternatives))]
        for keys, number in numbers:
            expected = f"{self.low:g} to {self.high:g} {self.label}"
            if self.whole and not isinstance(number.value, int):
                raise WrongKey([*keys, "value"], f"found {number.value!r}; expected a whole number, {expected}")
            is_said = isinstance(quantity, Price) and number.value == 0 and ZERO_SAID in (number.note or "")
            if not is_said and not self.low <= number.value <= self.high:
                hint = "; leave an unknown number out" if number.value == 0 else ""
                if hint and isinstance(quantity, Price):
                    hint += ", or write in its note that the source states 0"
                raise WrongKey([*keys, "value"], f"found {number.value!r}; expected {expected}{hint}")
        return quantity


def _within(*limits, **options):
    return AfterValidator(Within(*limits, **options))


Count = Annotated[Quantity, _within("1", 1, 10**12, whole=True)]
Bytes = Annotated[Quantity, _within("B", 1, 10**15, whole=True)]
Bits = Annotated[Quantity, _within("bit", 1, 64, whole=True)]
Width = Annotated[WidthQuantity, _within("bit", 1, 64, whole=True)]
Choice = Annotated[WidthQuantity, _within("1", 1, 1024, whole=True)]
MemoryBits = Annotated[Quantity, _within("bit", 1, 10**12, whole=True)]
StateBits = Annotated[Quantity, _within("bit", 1, 2**16, whole=True)]
Bandwidth = Annotated[Quantity, _within("B/s", 1, 1e15)]
Frequency = Annotated[Quantity, _within("Hz", 1e3, 1e11)]
Rate = Annotated[Quantity, _within("1/s", 1e-3, 1e18)]
Cycles = Annotated[Quantity, _within("cycle", 1e-3, 1e9)]
Seconds = Annotated[Quantity, _within("s", 1e-12, 1e3)]
Watts = Annotated[Quantity, _within("W", 1e-9, 1e6)]
Volts = Annotated[Quantity, _within("V", 1e-2, 1e3)]
BitRate = Annotated[Quantity, _within("bit/s", 1, 1e15)]
EventPrice = Annotated[Price, _within("J", 1e-18, 1e-3)]
Text = Annotated[str, Field(min_length=1)]


def iter_quantities(model, key_path=()):
    """Every number below a model, a mapping or a tuple, as ``(key path, Quantity)`` in the order of the schema."""
    if isinstance(model, Quantity):
        yield key_path, model
    elif isinstance(model, Strict):
        for key in type(model).model_fields:
            yield from iter_quantities(getattr(model, key), (*key_path, key))
    elif isinstance(model, dict):
        for key, value in model.items():
            yield from iter_quantities(value, (*key_path, key))
    elif isinstance(model, tuple):
        for index, value in enumerate(model):
            yield from iter_quantities(value, (*key_path, index))
