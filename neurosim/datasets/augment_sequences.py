"""Sequences moved along their inputs, played faster or slower, louder or softer, and with losses: another one of the same thing in every epoch.

As with images (`augment`), nothing is stored of it: what happens to a sequence is a function of random bits, a word pair for each sample from
(seed, epoch, sample). Values are changed before they become spikes, and spikes are lost after it. Everything is elementwise in float32, of
draws that are whole numbers, so that the same bits give the same samples on every computer.
"""

from dataclasses import dataclass, fields

import numpy as np

from .refusal import refuse

#: Sequences that are changed at one time.
_BLOCK = 512
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_STEPS_OF_CHANCE = 24


@dataclass(frozen=True)
class SequenceAugmentation:
    """What may happen to a training sequence.

    Attributes
    ----------
    shift_inputs : int
        Most places by which a sequence is moved along its inputs, such as the bands of a recording: each offset from -shift_inputs to
        shift_inputs alike, none included; what comes in from outside is 0.
    stretch : float
        A sequence of L steps gets a length from L / (1 + stretch) to L (1 + stretch), each whole number alike, as long as the network has
        steps: values are interpolated, spikes are moved.
    gain : float
        A number from -gain to gain, each alike, is added to all values of a sequence: of logarithms, louder or softer.
    drop : float
        Probability with which each spike is lost, or each value is 0.
    """

    shift_inputs: int = 0
    stretch: float = 0.0
    gain: float = 0.0
    drop: float = 0.0

    @property
    def words(self):
        """What it does, in words."""
        parts = []
        if self.shift_inputs:
            parts.append(f"moved by up to {self.shift_inputs} input{'s' * (self.shift_inputs > 1)}")
        if self.stretch:
            parts.append(f"played up to {self.stretch:.0%} slower or faster")
        if self.gain:
            parts.append(f"made up to {self.gain:g} louder or softer")
        if self.drop:
            parts.append(f"robbed of {self.drop:.0%} of their spikes or values")
        return f"training sequences are {', '.join(parts)}, another way in every epoch: it happens before they come to the chip, which keeps nothing of it"

    def check(self, n_inputs, n_steps, values, name):
        """Refuse what cannot happen to the samples of a data set, whose values are 'numbers', 'bytes' or 'spikes', or not known before they are read.

        Raises
        ------
        InputError
            No sequences, fewer inputs than the offset needs, or spikes that would be made louder.
        """
        if n_steps == 1:
            raise refuse(
                f"dataset.augment.{self._first}",
                f"data set {name}, whose samples are no sequences",
                "sequences",
                "leave it out, or use shift, flip or crop",
            )
        if self.shift_inputs >= n_inputs:
            raise refuse(
                "dataset.augment.shift_inputs",
                str(self.shift_inputs),
                f"at most {n_inputs - 1} for {n_inputs} inputs in {name}",
                "choose a smaller one",
            )
        if self.gain and values in ("bytes", "spikes"):
            raise refuse("dataset.augment.gain", f"data set {name}, whose samples are {values}", "numbers with a sign", "leave it out, or use drop")

    @property
    def _first(self):
        return next(field.name for field in fields(self) if getattr(self, field.name))

    def lengths(self, lengths, n_steps, bits):
        """Lengths of the sequences of one epoch.

        Parameters
        ----------
        lengths : int32 array, shape (n_samples,)
        n_steps : int
            Steps of the longest that a network takes.
        bits : uint64 array, shape (2 * n_samples,)
            Random; two words for each sample.

        Returns
        -------
        int32 array, shape (n_samples,)
        """
        if not self.stretch:
            return lengths
        least = np.maximum(np.rint(lengths / (1.0 + self.stretch)), 1).astype(np.int64)
        most = np.minimum(np.rint(lengths * (1.0 + self.stretch)), n_steps).astype(np.int64)
        return np.minimum(least + _below(bits[::2], 16, np.maximum(most - least, 0) + 1), n_steps).astype(np.int32)

    def change(self, x, n_steps, lengths, bits, is_spikes):
        """Sequences of one epoch, before anything of them is lost.

        Parameters
        ----------
        x : uint8 or float32 array, shape (n_samples, n_steps * n_inputs)
            Padded in front.
        n_steps : int
        lengths : int32 array, shape (n_samples,)
            As they are.
        bits : uint64 array, shape (2 * n_samples,)
        is_spikes : bool

        Returns
        -------
        array of x's type, shape (n_samples, n_steps * n_inputs)
            New memory; of the lengths that `lengths` says.
        """
        out, after = np.empty_like(x), self.lengths(lengths, n_steps, bits)
        for first in range(0, len(x), _BLOCK):
            here = slice(first, first + _BLOCK)
            block, words = x[here].reshape(len(x[here]), n_steps, -1), bits[2 * first : 2 * (first + _BLOCK) : 2]
            if self.stretch:
                block = (_move if is_spikes else _interpolate)(block, lengths[here].astype(np.int64), after[here].astype(np.int64))
            if self.gain:
                added = np.float32(self.gain) * ((_below(words, 32, 65536) * 2 - 65535).astype(np.float32) / np.float32(65535))
                is_inside = np.arange(n_steps) >= n_steps - after[here, None]
                block = block + np.where(is_inside, added[:, None], np.float32(0))[:, :, None]
            if self.shift_inputs:
                block = _shift(block, _below(words, 0, 2 * self.shift_inputs + 1) - self.shift_inputs)
            out[here] = block.reshape(len(block), -1)
        return out

    def lose(self, x, bits):
        """Set some of the values to 0, in place; `bits` as in `change`."""
        if not self.drop:
            return
        chance = np.uint64(int(self.drop * 2**_STEPS_OF_CHANCE))
        for first in range(0, len(x), _BLOCK):
            here = x[first : first + _BLOCK]
            sample, place = np.nonzero(here)
            draws = _scatter(bits[2 * (first + sample) + 1] + (place.astype(np.uint64) + np.uint64(1)) * _GOLDEN)
            is_lost = draws >> np.uint64(64 - _STEPS_OF_CHANCE) < chance
            here[sample[is_lost], place[is_lost]] = 0


def _scatter(values):
    """Finalizer of splitmix64 (Steele, Lea, Flood 2014), as `neurosim.random.mix64`: uint64 array."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _below(words, shift, n):
    """Whole numbers from 0 to n - 1 of 16 bits of each word: int64 array."""
    return (((words >> np.uint64(shift)) & np.uint64(0xFFFF)).astype(np.int64) * n) >> 16


def _interpolate(values, before, after):
    """Sequences of the lengths `before`, padded in front, at the lengths `after`: each step in the middle of its part of the old ones, at most the
    first and the last of these."""
    n_steps = values.shape[1]
    step = np.arange(n_steps) - (n_steps - after[:, None])
    place = np.clip((step + 0.5) * (before / after)[:, None] - 0.5, 0.0, (before - 1)[:, None].astype(np.float64))
    low = np.floor(place).astype(np.int64)
    part = (place - low).astype(np.float32)[:, :, None]
    start = (n_steps - before)[:, None]
    high = start + np.minimum(low + 1, before[:, None] - 1)
    samples = np.arange(len(values))[:, None]
    mixed = values[samples, start + low] * (np.float32(1) - part) + values[samples, high] * part
    if values.dtype != np.float32:
        mixed = np.rint(mixed)
    return np.where((step >= 0)[:, :, None], mixed, np.float32(0)).astype(values.dtype)


def _move(spikes, before, after):
    """The same for spikes: each goes to the step that its place in time falls in, and several in one are one."""
    n_steps, out = spikes.shape[1], np.zeros_like(spikes)
    sample, step, unit = np.nonzero(spikes)
    place = (2 * (step - (n_steps - before[sample])) + 1) * after[sample] // (2 * before[sample])
    out[sample, n_steps - after[sample] + place, unit] = 1
    return out


def _shift(values, offsets):
    """Sequences moved along their inputs, each by its own offset."""
    n_inputs, out = values.shape[2], np.zeros_like(values)
    for offset in np.unique(offsets):
        here = offsets == offset
        source = slice(max(-offset, 0), n_inputs - max(offset, 0))
        target = slice(max(offset, 0), n_inputs - max(-offset, 0))
        out[here, :, target] = values[here, :, source]
    return out
