"""Values as spikes: how samples of any data set become trains of events, one byte of 0 or 1 for each step and unit.

An encoder is one function and one row of `KINDS`. Each takes the values of a sample step by step and makes `Encoding.steps` steps of each of
them; a sample that is no sequence has one step. Everything is elementwise in float32, so that the same values give the same spikes on
every computer.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from neurosim.errors import InputError, nearest

#: Samples that are encoded at one time: all of them at once would take many times the memory of the spikes.
_BLOCK = 512
MOST_STEPS = 10_000


@dataclass(frozen=True)
class Encoding:
    """How values become spikes.

    Attributes
    ----------
    kind : str
        A name of `KINDS`.
    steps : int, optional
        Steps that each step of a sample becomes; 20 for ``latency`` and ``rate``, else 1.
    range : (float, float)
        Of ``latency``, ``rate`` and ``level_crossing`` with levels: values that count as 0 and as 1; others are taken for the nearer one.
    tau : float, optional
        Of ``latency``: steps; 20 when left out.
    threshold : float, optional
        Of ``latency``: smaller values do not fire, 0.2 when left out. Of ``integrate``: charge of a spike, 1. Of ``level_crossing``: change
        of a spike, 0.5.
    leak : float, optional
        Of ``integrate``: part of the charge that stays until the next step; 1 when left out.
    levels : int, optional
        Of ``level_crossing``: so many fixed levels, evenly in `range`, each with a unit for crossings up and one for crossings down, instead
        of a reference that follows the value.
    polarities : int, optional
        Of ``integrate``: 2 gives each value a second unit, which adds up what lies below 0; 1 when left out.
    rate : float, optional
        Of ``rate``: probability of a spike per step at the value 1; 0.5 when left out.
    seed : int, optional
        Of ``rate``; 0 when left out. It is a key of its own, so that all seeds of a sweep see the same spikes.
    silence : int
        Steps without a spike that follow each sample, such as those in which a network is read.

    Raises
    ------
    InputError
        An unknown kind, a number out of range, or one that the kind does not use, by its name.
    """

    kind: str
    steps: int | None = None
    range: tuple[float, float] | None = None
    tau: float | None = None
    threshold: float | None = None
    leak: float | None = None
    levels: int | None = None
    polarities: int | None = None
    rate: float | None = None
    seed: int | None = None
    silence: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise InputError(f"encode.kind: found {self.kind!r}; {nearest(str(self.kind), KINDS)}")
        takes = KINDS[self.kind].defaults
        for name in (field.name for field in fields(self)):
            value = getattr(self, name)
            if name in ("kind", "silence") or value is None:
                continue
            if name not in takes:
                raise InputError(f"encode.{name}: kind {self.kind} does not use it, it takes {', '.join(takes)}; leave it out")
            _check(name, value)
        if self.range is not None and self.kind == "level_crossing" and self.levels is None:
            raise InputError("encode.range: found without levels, which lie in it; leave it out, or set levels")
        if self.threshold is not None and self.levels is not None:
            raise InputError("encode.threshold: found beside levels, which are fixed; leave one of them out")
        _check("silence", self.silence)

    def number(self, name: str):
        """A number as given, or its default for this kind."""
        value = getattr(self, name)
        return KINDS[self.kind].defaults[name] if value is None else value

    def shape(self, n_inputs: int, n_steps: int) -> tuple[int, int]:
        """(units, steps) that samples of so many values per step and steps become.

        Raises
        ------
        InputError
            More than `MOST_STEPS` steps.
        """
        steps = n_steps * self.number("steps") + self.silence
        if steps > MOST_STEPS:
            raise InputError(f"encode.steps: found {self.number('steps')}, which makes {steps} steps of {n_steps}; expected at most {MOST_STEPS}")
        return n_inputs * KINDS[self.kind].units(self), steps

    def apply(self, x: np.ndarray, n_steps: int = 1, lengths: np.ndarray | None = None, part: int = 0) -> tuple[np.ndarray, np.ndarray | None]:
        """Spikes of samples.

        Parameters
        ----------
        x : float32 array, shape (n_samples, n_steps * n_inputs)
            As a network would see them.
        n_steps : int
        lengths : int32 array, shape (n_samples,), optional
            Steps of each sequence; shorter ones are padded in front, and no spike falls there.
        part : int
            Number of the part of the data set, which has draws of its own.

        Returns
        -------
        spikes : uint8 array, shape (n_samples, steps * units)
            1 for a spike.
        lengths : int32 array, shape (n_samples,), or None
        """
        n_samples, n_inputs = len(x), x.shape[1] // n_steps
        n_units, n_after = self.shape(n_inputs, n_steps)
        spikes = np.zeros((n_samples, n_after, n_units), np.uint8)
        make, repeats = KINDS[self.kind].make, self.number("steps")
        draws = _Draws(0 if "seed" not in KINDS[self.kind].defaults else self.number("seed"), part)
        for first in range(0, n_samples, _BLOCK):
            block = np.asarray(x[first : first + _BLOCK], np.float32).reshape(-1, n_steps, n_inputs)
            begins = np.zeros(len(block), np.int64) if lengths is None else n_steps - lengths[first : first + _BLOCK].astype(np.int64)
            out = spikes[first : first + _BLOCK, : n_steps * repeats].reshape(len(block), n_steps, repeats, n_units)
            make(self, block, begins, out, draws)
            out *= (np.arange(n_steps) >= begins[:, None])[:, :, None, None]
        return spikes.reshape(n_samples, -1), None if lengths is None else self.lengths(lengths)

    def lengths(self, lengths: np.ndarray) -> np.ndarray:
        """Steps of sequences of these lengths, once they are spikes: int32 array."""
        return (lengths * self.number("steps") + self.silence).astype(np.int32)

    @property
    def text(self) -> str:
        """In words, for the source of a data set."""
        given = {name: self.number(name) for name in KINDS[self.kind].defaults if self.number(name) is not None}
        return f"{self.kind} of " + ", ".join(f"{name} {value}" for name, value in given.items())


class _Draws:
    """Uniform numbers of 32 bits, sample after sample: the bits of PCG64 are promised, what its generators make of them is not."""

    def __init__(self, seed: int, part: int):
        self._bits = np.random.PCG64(np.random.SeedSequence([seed, part]))

    def of(self, shape: tuple[int, ...]) -> np.ndarray:
        """uint32 array; every sample begins with a whole number of 64 bits."""
        n = math.prod(shape[1:])
        raw = self._bits.random_raw(shape[0] * -(-n // 2)).astype("<u8", copy=False).view("<u4")
        return raw.reshape(shape[0], -1)[:, :n].reshape(shape)


def _in_range(encoding, values):
    low, high = (np.float32(end) for end in encoding.number("range"))
    return np.clip((values - low) / (high - low), np.float32(0), np.float32(1))


def _latency(encoding, values, begins, out, draws):
    """One spike, the earlier the larger the value: after t = tau ln(x / (x - threshold)) steps.

    The time at which a leaky neuron reaches its threshold under a constant current (Zenke and Vogels 2021, Neural Comput. 33:899; mlGeNN has
    the same encoder). What would come after the last step does not fire.
    """
    # In float64 and with one rounding, so that no library's logarithm of float32 decides in which step a spike falls.
    x = _in_range(encoding, values).astype(np.float64)
    above = x > encoding.number("threshold")
    excess = np.where(above, x - encoding.number("threshold"), 1.0)
    step = np.floor(encoding.number("tau") * np.log(np.where(above, x, 1.0) / excess))
    sample, of_step, unit = np.nonzero(above & (step < out.shape[2]))
    out[sample, of_step, step[sample, of_step, unit].astype(np.int64), unit] = 1


def _integrate(encoding, values, begins, out, draws):
    """A unit adds its values up, those below 0 as 0, and fires at each threshold that they reach, once a step; the rest stays.

    With two polarities, other units do the same with the values times -1, as the two kinds of events of a silicon retina or cochlea.
    """
    if encoding.number("polarities") == 2:
        values = np.concatenate([values, -values], axis=2)
    threshold, leak = np.float32(encoding.number("threshold")), np.float32(encoding.number("leak"))
    charge = np.zeros(values.shape[::2], np.float32)
    for step in range(values.shape[1]):
        current = np.where((step >= begins)[:, None], np.maximum(values[:, step], np.float32(0)), np.float32(0))
        for place in range(out.shape[2]):
            charge = charge * leak + current
            fires = charge >= threshold
            charge -= fires * threshold
            out[:, step, place] = fires


def _cross(encoding, values, begins, out, draws):
    if encoding.levels is not None:
        _cross_levels(encoding, values, begins, out)
        return
    threshold, n_inputs = np.float32(encoding.number("threshold")), values.shape[2]
    known = values[np.arange(len(values)), np.minimum(begins, values.shape[1] - 1)].copy()
    for step in range(values.shape[1]):
        for place in range(out.shape[2]):
            change = np.where((step >= begins)[:, None], values[:, step] - known, np.float32(0))
            up, down = change >= threshold, change <= -threshold
            known += threshold * (up.astype(np.float32) - down.astype(np.float32))
            out[:, step, place, :n_inputs], out[:, step, place, n_inputs:] = up, down


def _cross_levels(encoding, values, begins, out):
    """Which of the fixed levels a value passed since the step before, up or down (Bellec et al. 2018, for pixels one by one)."""
    n = encoding.levels
    levels = (np.arange(1, n + 1, dtype=np.float32) / np.float32(n + 1)).reshape(1, 1, n)
    above = _in_range(encoding, values)[..., None] >= levels[:, None]
    for before, step in pairwise(range(values.shape[1])):
        was, now = above[:, before], above[:, step]
        crossed = np.concatenate([(now & ~was).reshape(len(values), -1), (was & ~now).reshape(len(values), -1)], axis=1)
        out[:, step, 0] = crossed & (before >= begins)[:, None]


def _rate(encoding, values, begins, out, draws):
    """A spike in each step with probability `rate` times the value, independent of all others."""
    chance = np.rint(_in_range(encoding, values).astype(np.float64) * encoding.number("rate") * 2.0**32).astype(np.uint64)
    out[:] = draws.of(out.shape) < chance[:, :, None, :]


@dataclass(frozen=True)
class _Kind:
    """An encoder.

    `make` : callable
        From (Encoding, values of shape (n, n_steps, n_inputs), first step of each sample, spikes of shape
        (n, n_steps, steps, n_units) to be written, `_Draws`).
    `defaults` : dict
        The numbers that it uses.
    `units` : callable
        From Encoding to units per value.
    """

    make: Callable
    defaults: dict
    units: Callable[[Encoding], int] = lambda encoding: 1


KINDS = {
    "latency": _Kind(_latency, {"steps": 20, "range": (0.0, 1.0), "tau": 20.0, "threshold": 0.2}),
    "integrate": _Kind(_integrate, {"steps": 1, "threshold": 1.0, "leak": 1.0, "polarities": 1}, lambda encoding: encoding.number("polarities")),
    "level_crossing": _Kind(_cross, {"steps": 1, "range": (0.0, 1.0), "threshold": 0.5, "levels": None}, lambda encoding: 2 * (encoding.levels or 1)),
    "rate": _Kind(_rate, {"steps": 20, "range": (0.0, 1.0), "rate": 0.5, "seed": 0}),
}

#: Number: (smallest, largest, whether the smallest itself is allowed, whether it is whole).
_RANGES = {
    "steps": (1, MOST_STEPS, True, True),
    "silence": (0, MOST_STEPS, True, True),
    "levels": (1, 1000, True, True),
    "polarities": (1, 2, True, True),
    "seed": (0, 2**63 - 1, True, True),
    "tau": (0.0, 1e6, False, False),
    "threshold": (0.0, 1e6, False, False),
    "leak": (0.0, 1.0, True, False),
    "rate": (0.0, 1.0, False, False),
}


def _check(name, value):
    if name == "range":
        numbers = tuple(value) if isinstance(value, (tuple, list)) else ()
        if len(numbers) != 2 or not all(_is_number(n) for n in numbers) or not numbers[0] < numbers[1]:
            raise InputError(f"encode.range: found {value!r}; expected two numbers, the smaller first")
        return
    low, high, with_low, is_whole = _RANGES[name]
    is_right = isinstance(value, (int, np.integer)) and not isinstance(value, bool) if is_whole else _is_number(value)
    if not is_right or not low <= value <= high or value == low and not with_low:
        kind = "a whole number" if is_whole else "a number"
        raise InputError(f"encode.{name}: found {value!r}; expected {kind} {'from' if with_low else 'above'} {low:g} to {high:g}")


def _is_number(value):
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool) and math.isfinite(value)
