"""What a user may ask for between the files and the network."""

import operator
from dataclasses import dataclass

from neurosim.errors import InputError

from .augment import Augmentation
from .augment_sequences import SequenceAugmentation
from .encode import Encoding


@dataclass(frozen=True)
class Preparation:
    """How samples are chosen, divided and scaled.

    Attributes
    ----------
    limit : int, optional
        Samples of the training and of the test set that are used: the first ones, or of every class its share where the first
        ones lack classes.
    test_fraction : float, optional
        Part of the samples that becomes the test set, of data without one; every class gives its share.
    validation_fraction : float, optional
        Part of the training samples that becomes the validation set; every class gives its share.
    split_seed : int
        Decides which samples these are.
    standardize : bool or 'image'
        Shift and scale each feature to mean 0 and standard deviation 1 over the training samples, or each sample over its own values.
    image_size : (int, int), optional
        (rows, columns) to which images are brought, each new pixel the average of the area that it covers.
    augment : Augmentation or SequenceAugmentation, optional
        What may happen to training samples.
    encode : Encoding, optional
        Turn the values, standardized or not, into spikes.

    Raises
    ------
    InputError
        A value out of range, by its name.
    """

    limit: int | None = None
    test_fraction: float | None = None
    validation_fraction: float | None = None
    split_seed: int = 0
    standardize: bool | str = False
    image_size: tuple[int, int] | None = None
    augment: Augmentation | SequenceAugmentation | None = None
    encode: Encoding | None = None

    def __post_init__(self):
        object.__setattr__(self, "limit", check_limit(self.limit))
        for key in ("test_fraction", "validation_fraction"):
            value = getattr(self, key)
            # Written so that NaN fails too.
            if value is not None and (isinstance(value, (bool, str)) or not 0 < value < 1):
                raise InputError(f"data set {key}: found {value!r}; expected a number above 0 and below 1, such as 0.2")
        seed = self.split_seed
        if isinstance(seed, bool) or not hasattr(seed, "__index__") or operator.index(seed) < 0:
            raise InputError(f"data set split_seed: found {seed!r}; expected a whole number of at least 0")
        if self.standardize not in (False, True, "image"):
            raise InputError(f"data set standardize: found {self.standardize!r}; expected true, false or image")
        if self.standardize is True and self.augment is not None:
            raise InputError(
                "dataset.standardize: found true beside dataset.augment, which moves values to places of another scale; use image, or false"
            )


def check_limit(limit):
    """`limit` as int or None; InputError when it is not a whole number of at least 1."""
    if limit is None:
        return None
    try:
        number = operator.index(limit)
    except TypeError:
        number = 0
    if isinstance(limit, bool) or number < 1:
        raise InputError(f"data set limit: found {limit!r}; expected a whole number of at least 1; leave it out to use all samples")
    return number
