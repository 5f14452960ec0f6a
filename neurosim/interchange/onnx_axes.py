"""ONNX in: names of axes that follow a value through operators that move them, so that it is known what the next operator sees."""

from dataclasses import dataclass

#: Names of axes that hold nothing, of size 1.
IDLE = ("one", "directions")
#: In the shape of a value: as many as there are samples.
OPEN = -1


@dataclass(frozen=True)
class Value:
    """A value that samples flow through: what its axes are, and how long; None is not known."""

    axes: tuple[str, ...]
    sizes: tuple[int | None, ...]


def align(value, shape):
    """Which axis of a value each axis of a shape is, None for a new one of size 1; None where they are others.

    Axes of size 1 come and go, but not that of the samples, of which there may be one.
    """
    places: list[int | None] = []
    left = [i for i, axis in enumerate(value.axes) if axis not in IDLE]
    for n in shape:
        if left and (n == OPEN or n == value.sizes[left[0]]):
            places.append(left.pop(0))
        elif n == 1:
            places.append(None)
        else:
            return None
    return None if left else places
