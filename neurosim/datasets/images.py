"""Which dimensions of an image are rows and columns."""

_MOST_CHANNELS = 4  # fewer values than this along the first or last of three dimensions are colours


def axes_of(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """Dimensions of an image, of two or three, that are its rows and its columns; the third, if there is one, are colours: first or last."""
    if len(image_shape) == 2 or image_shape[0] > _MOST_CHANNELS >= image_shape[2]:
        return 0, 1
    return 1, 2


def with_sides(image_shape: tuple[int, ...], sides: tuple[int, int]) -> tuple[int, ...]:
    """The shape of an image with other (rows, columns)."""
    new = list(image_shape)
    for axis, side in zip(axes_of(image_shape), sides, strict=True):
        new[axis] = side
    return tuple(new)
