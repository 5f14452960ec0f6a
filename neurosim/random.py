"""Random numbers as a function of (seed, stream, step, index): the keys of the streams.

A draw needs no generator state: it is computed from where it is used, so a result depends neither on
the number of threads nor on an interruption. This module derives one 64-bit key per stream; the draws
themselves are made in `neurosim.kernels.random` from (key, step, index).
"""

from enum import IntEnum

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


class Stream(IntEnum):
    """What a random number is for; the value is part of every published result, never renumber."""

    SIGN = 1
    INITIAL_POSITION = 2
    INITIAL_THETA = 3
    NOISE = 4
    PROPOSAL = 5
    SHUFFLE = 6
    RULE_START = 7
    RULE_NOISE = 8
    ROUNDING = 9
    INITIAL_ROUNDING = 10
    AUGMENT = 11
    FEEDBACK = 12


def mix64(value):
    """Finalizer of splitmix64: a bijection of 64-bit integers that scatters every bit.

    Source: Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014.
    """
    value &= _MASK
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & _MASK
    return value ^ (value >> 31)


def step_key(key, step):
    """Key of one step of a stream; equals `neurosim.kernels.random.fold`."""
    return mix64(key + int(step) * _GOLDEN)


def stream_key(seed, stream):
    """Key of one stream of one seed.

    Parameters
    ----------
    seed : int
        Seed of the scenario, 0 or more.
    stream : Stream
        What the numbers are for.

    Returns
    -------
    int
        Unsigned 64-bit key.
    """
    return mix64(mix64(int(seed) + _GOLDEN) + int(stream) * _GOLDEN)
