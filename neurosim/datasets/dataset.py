"""The Dataset, and the one way in which every reader makes one."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from .augment import Augmentation
from .augment_sequences import SequenceAugmentation
from .checks import check_lengths, check_same_sample, check_samples, constant_columns, note_on_values
from .encode import Encoding
from .image_size import resize_images
from .labels import check_labels, encode_labels, find_classes, list_classes, mapping_note
from .preparation import Preparation
from .refusal import one_line, refuse
from .split import draw_part, first_samples
from .standardize import ImageStandardization, Standardization

PARTS = ("train", "test", "validation")


@dataclass(frozen=True)
class DataShape:
    """Sizes that a network must agree with: a sample is `n_steps` times `n_inputs` values, of one of `n_classes` classes.

    `notes` are what a user should know of the data, as far as they were read; `image_shape` is the shape of a sample before it was flattened,
    (rows, columns) or (channels, rows, columns), where it is known; `is_spikes` says whether all values are 0 or 1.
    """

    n_inputs: int
    n_steps: int
    n_classes: int
    notes: tuple[str, ...] = field(default=(), compare=False, repr=False)
    image_shape: tuple[int, ...] | None = field(default=None, compare=False)
    is_spikes: bool = field(default=False, compare=False, repr=False)

    @property
    def n_features(self):
        """Values per sample, of all steps."""
        return self.n_inputs * self.n_steps


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training, test and validation samples in memory, as stored in the files or standardized.

    Made by `load_dataset` and `arrays.make_dataset`; `assemble` checks what this class only holds.

    Attributes
    ----------
    name : str
        Name or path by which it was asked for.
    x_train, x_test : uint8 or float32 array, shape (n_samples, n_features)
        C-contiguous; ``x * scale`` is what a network sees.
    y_train, y_test : int32 array, shape (n_samples,)
        Class numbers in [0, n_classes).
    scale : float
        Maps stored values to [0, 1] (1/255 for 8-bit images, 1/16 for `digits`), or 1.0.
    n_classes : int
        Number of classes.
    image_shape : tuple of int or None
        Shape of one sample before it was flattened, when known.
    n_steps : int
        Steps of a sequence; 1 for samples that are no sequences. A sample is n_steps * n_inputs values.
    lengths_train, lengths_test, lengths_validation : int32 array, shape (n_samples,), or None
        Steps of each sequence where they differ; shorter ones are padded with zeros in front.
    source : str
        Where the arrays came from.
    sha256 : str
        Hex digest over names, types, shapes and bytes of the arrays (after `limit`).
    x_validation, y_validation : array
        As the others; without samples where no validation set was asked for.
    classes : tuple of int, bool or str
        The label that each class number stands for.
    notes : tuple of str
        What a user should know about these samples, one line each.
    standardization : Standardization, ImageStandardization or None
        What was done to the samples.
    augmentation : Augmentation, SequenceAugmentation or None
        What may happen to training samples in every epoch: see `epoch_samples`.
    x_whole : array, shape (n_train, features as stored), or None
        Training samples before they are cropped, standardized or, of sequences, encoded; None where they are none of these.
    whole_shape : tuple of int or None
        Of such an image.
    encoding : Encoding or None
        How they became spikes after it.
    stored : (int, int), optional
        Steps and values per step of a sample before it became spikes; those of now where there is no encoding.
    stored_scale : float, optional
        What maps values as they are in the files, before anything was standardized or encoded.
    is_spikes : bool
        Whether values are events: all are 0 or 1.
    """

    name: str
    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    scale: float
    n_classes: int
    image_shape: tuple[int, ...] | None
    source: str
    sha256: str
    n_steps: int = 1
    lengths_train: np.ndarray | None = None
    lengths_test: np.ndarray | None = None
    x_validation: np.ndarray | None = None
    y_validation: np.ndarray | None = None
    lengths_validation: np.ndarray | None = None
    classes: tuple = ()
    notes: tuple[str, ...] = ()
    standardization: Standardization | ImageStandardization | None = None
    augmentation: Augmentation | SequenceAugmentation | None = None
    x_whole: np.ndarray | None = None
    whole_shape: tuple[int, ...] | None = None
    encoding: Encoding | None = None
    stored: tuple[int, int] | None = None
    stored_scale: float | None = None
    is_spikes: bool = False

    def __post_init__(self):
        for key, like in (("x_validation", self.x_train), ("y_validation", self.y_train)):
            if getattr(self, key) is None:
                object.__setattr__(self, key, np.empty((0, *like.shape[1:]), like.dtype))
        if not self.classes:
            object.__setattr__(self, "classes", tuple(range(self.n_classes)))
        if self.stored is None:
            object.__setattr__(self, "stored", (self.n_steps, self.n_inputs))
        if self.stored_scale is None:
            object.__setattr__(self, "stored_scale", self.scale if self.standardization is None else self.standardization.scale)

    @property
    def n_features(self):
        """Values per sample, of all steps."""
        return self.x_train.shape[1]

    @property
    def n_inputs(self):
        """Inputs of one step."""
        return self.n_features // self.n_steps

    @property
    def shape(self):
        """The `DataShape`."""
        return DataShape(self.n_inputs, self.n_steps, self.n_classes, self.notes, self.image_shape, self.is_spikes)

    @property
    def n_train(self):
        """Number of training samples."""
        return self.x_train.shape[0]

    @property
    def n_test(self):
        """Number of test samples."""
        return self.x_test.shape[0]

    @property
    def n_validation(self):
        """Number of validation samples, 0 without a validation set."""
        return self.x_validation.shape[0]

    def epoch_samples(self, bits, done):
        """Training samples of one epoch; see `Augmentation.apply`. They are `x_train` itself where nothing happens to them."""
        if self.augmentation is None:
            return self.x_train
        whole = self.x_train if self.x_whole is None else self.x_whole
        if isinstance(self.augmentation, SequenceAugmentation):
            return self._epoch_sequences(whole, bits)
        x = self.augmentation.apply(whole, self.whole_shape, bits, done)
        return x if self.standardization is None else self.standardization.apply(x)

    def _epoch_sequences(self, whole, bits):
        n_steps = self.stored[0]
        is_spikes = self.is_spikes and self.encoding is None
        lengths = self._stored_lengths()
        x = self.augmentation.change(whole, n_steps, lengths, bits, is_spikes)
        if self.encoding is not None:
            scale = self.stored_scale if self.standardization is None else 1.0
            x, _ = self.encoding.apply(_scaled(x, scale), n_steps, self.augmentation.lengths(lengths, n_steps, bits))
        self.augmentation.lose(x, bits)
        return x

    def epoch_lengths(self, bits):
        """Lengths of the training samples of one epoch; `lengths_train` itself where they stay as they are. `bits` as for `epoch_samples`."""
        if not isinstance(self.augmentation, SequenceAugmentation) or not self.augmentation.stretch:
            return self.lengths_train
        lengths = self.augmentation.lengths(self._stored_lengths(), self.stored[0], bits)
        return lengths if self.encoding is None else self.encoding.lengths(lengths)

    def _stored_lengths(self):
        """Steps of the training samples before they became spikes: int32 array."""
        if self.lengths_train is None:
            return np.full(self.n_train, self.stored[0], np.int32)
        if self.encoding is None:
            return self.lengths_train
        return (self.lengths_train - self.encoding.silence) // np.int32(self.encoding.number("steps"))

    @property
    def class_names(self):
        """The label of each class in words: tuple of str."""
        return tuple(map(str, self.classes))


@dataclass
class Samples:
    """What a reader found, before it is checked as a whole.

    Attributes
    ----------
    arrays : dict of array
        `x_train` and `y_train`; `x_test`, `y_test`, `x_validation`, `y_validation`, `lengths_train`, ... where there are. x: uint8 or
        float32, shape (n_samples, ...), dimensions after the first are flattened; y: whole numbers or text.
    places : dict of str or Path
        For the same keys, the file (and array) that errors name.
    source : str
    scale : float
    n_classes : int, optional
        Classes promised beforehand, labels are then their numbers; without it, those of the training labels.
    n_steps : int
        Steps of a sequence, a divisor of the number of features; shorter sequences are padded with zeros in front.
    columns : tuple of str, optional
        Names of the features, of a table.
    notes : list of str
    is_spikes : bool
        Whether x are events: bytes of 0 and 1.
    """

    arrays: dict
    places: dict
    source: str
    scale: float = 1.0
    n_classes: int | None = None
    n_steps: int = 1
    columns: tuple[str, ...] | None = None
    notes: list[str] = field(default_factory=list)
    is_spikes: bool = False


def assemble(name, samples, preparation=None):
    """Check what a reader found, and choose, divide and scale it as asked for.

    Parameters
    ----------
    name : str
        As in `Dataset`.
    samples : Samples
    preparation : Preparation, optional

    Returns
    -------
    Dataset
        Classes come from all samples, so a trial with a `limit` has the network of the full run.

    Raises
    ------
    InputError
        Empty arrays, counts or shapes that do not agree, labels that are no classes, a test set where one is asked for and none where
        none is.
    """
    preparation = preparation or Preparation()
    arrays, places, notes = dict(samples.arrays), samples.places, list(samples.notes)
    for part in _parts_of(arrays):
        _check_part(arrays, places, part, samples.n_steps)
    if preparation.image_size is not None:
        resize_images(arrays, places, preparation.image_size, samples.n_steps)
    sample_shape = arrays["x_train"].shape[1:]
    classes = _number_classes(arrays, places, samples.n_classes)
    notes += filter(None, [mapping_note(classes)])
    _divide_test(arrays, places, preparation, classes)
    if preparation.limit is not None:
        _limit(arrays, preparation.limit, notes)
    _divide_validation(arrays, places, preparation, classes)
    notes += [note for part in _parts_of(arrays) for note in _note_absent(arrays[f"y_{part}"], classes, part)]

    kept, scale = {key: _as_kept(key, array) for key, array in arrays.items()}, float(samples.scale)
    notes += _note_constant(kept["x_train"], samples.columns)
    image_shape = sample_shape if len(sample_shape) > 1 else None
    augment, whole = preparation.augment, {}
    is_spikes = samples.is_spikes and not preparation.standardize
    if isinstance(augment, SequenceAugmentation):
        is_bytes = kept["x_train"].dtype == np.uint8 and preparation.standardize is False
        augment.check(
            kept["x_train"].shape[1] // samples.n_steps, samples.n_steps, "spikes" if is_spikes else "bytes" if is_bytes else "numbers", name
        )
        notes.append(augment.words)
    elif augment is not None:
        if preparation.encode is not None:
            raise refuse("dataset.augment", "augment beside dataset.encode", "one of them", "spikes are made once, of images that stay as they are")
        whole["whole_shape"], image_shape = image_shape, augment.new_shape(image_shape, name)
        check_augmented(augment, samples.n_steps, kept, name)
        if augment.crop or preparation.standardize:  # colours are brought to their scale after that, as they are in the test
            whole["x_whole"] = kept["x_train"]
            kept |= {f"x_{part}": augment.middle(kept[f"x_{part}"], whole["whole_shape"]) for part in _parts_of(kept)}
        notes.append(augment.words)
    standardization = None
    if preparation.standardize == "image":
        if any(f"lengths_{part}" in kept for part in PARTS):
            raise refuse("dataset.standardize", "image, for sequences of different lengths", "true or false", "standardize by features")
        standardization = ImageStandardization(scale)
        for part in _parts_of(kept):
            kept[f"x_{part}"] = standardization.apply(kept[f"x_{part}"])
        scale = 1.0
    elif preparation.standardize:
        standardization = Standardization.of(kept["x_train"], scale, samples.n_steps, kept.get("lengths_train"))
        for part in _parts_of(kept):
            kept[f"x_{part}"] = standardization.apply(kept[f"x_{part}"], samples.n_steps, kept.get(f"lengths_{part}"))
        scale = 1.0
    else:
        notes += filter(None, [note_on_values(kept["x_train"], scale)]) if preparation.encode is None else []
    encoding, n_steps, source = preparation.encode, samples.n_steps, samples.source
    stored = (n_steps, kept["x_train"].shape[1] // n_steps)
    if encoding is not None:
        if augment is not None:
            whole["x_whole"] = kept["x_train"]
        for number, part in enumerate(_parts_of(kept)):
            _encode(kept, part, number, encoding, n_steps, scale)
        scale, n_steps, source = 1.0, encoding.shape(stored[1], n_steps)[1], f"{source}, as spikes: {encoding.text}"
        notes += [] if kept["x_train"].any() else ["no training sample has a spike: nothing can be learned; see dataset.encode"]
    return Dataset(
        name=name,
        **kept,
        **whole,
        augmentation=augment,
        scale=scale,
        n_classes=len(classes),
        image_shape=image_shape,
        source=source,
        sha256=digest(kept | {key: array for key, array in whole.items() if key == "x_whole"}),
        n_steps=n_steps,
        classes=classes,
        notes=tuple(map(one_line, notes)),
        standardization=standardization,
        encoding=encoding,
        stored=stored,
        stored_scale=float(samples.scale),
        is_spikes=encoding is not None or is_spikes,
    )


def _encode(kept, part, number, encoding, n_steps, scale):
    """Replace the samples of one part by their spikes, and their lengths."""
    x, lengths = kept[f"x_{part}"], kept.get(f"lengths_{part}")
    kept[f"x_{part}"], lengths = encoding.apply(_scaled(x, scale), n_steps, lengths, number)
    if lengths is not None:
        kept[f"lengths_{part}"] = lengths


def _scaled(x, scale):
    """Values as a network would see them: float32 array."""
    return x if x.dtype == np.float32 and scale == 1.0 else x * np.float32(scale)


def check_augmented(augment, n_steps, arrays, name):
    """Refuse to move what lies one after the other in time."""
    if any(f"lengths_{part}" in arrays for part in PARTS) or (n_steps > 1 and augment.crop):
        raise refuse(
            "dataset.augment", f"data set {name}, whose samples are sequences", "images", "leave it out" if not augment.crop else "leave crop out"
        )


def _word(part):
    return "training" if part == "train" else part


def _parts_of(arrays):
    return [part for part in PARTS if f"x_{part}" in arrays]


def _check_part(arrays, places, part, n_steps):
    """Check samples, labels and lengths of one part against each other and the samples against those of training."""
    x, x_place, y_place = arrays[f"x_{part}"], places[f"x_{part}"], places[f"y_{part}"]
    check_samples(x.shape, arrays[f"y_{part}"].shape, x_place, y_place)
    arrays[f"y_{part}"] = check_labels(arrays[f"y_{part}"], y_place)
    check_same_sample(x.shape, x_place, arrays["x_train"].shape, places["x_train"])
    if x.dtype != arrays["x_train"].dtype:
        raise refuse(
            x_place,
            f"type {x.dtype}",
            f"{arrays['x_train'].dtype} as in {places['x_train']}, because one scale serves both",
            "give all parts the same type",
        )
    if f"lengths_{part}" in arrays:
        arrays[f"lengths_{part}"] = check_lengths(arrays[f"lengths_{part}"], len(x), n_steps, places[f"lengths_{part}"])


def _number_classes(arrays, places, n_classes):
    """Replace labels by class numbers; the classes."""
    if n_classes is None:
        classes, of = find_classes(arrays["y_train"], places["y_train"]), "training"
    else:
        classes, of = tuple(range(n_classes)), "this data set"
    for part in _parts_of(arrays):
        arrays[f"y_{part}"] = encode_labels(arrays[f"y_{part}"], classes, places[f"y_{part}"], of)
    return classes


def _divide_test(arrays, places, preparation, classes):
    if "x_test" in arrays:
        if preparation.test_fraction is not None:
            raise refuse(places["x_test"], "a test set", "none where dataset.test_fraction asks for one", "leave dataset.test_fraction out")
        return
    if preparation.test_fraction is None:
        raise refuse(
            places["x_train"], "no test set", "one, or dataset.test_fraction", "set dataset.test_fraction, such as 0.2, to keep a part for the test"
        )
    _divide(arrays, places, "test", preparation.test_fraction, preparation.split_seed, classes)


def _divide_validation(arrays, places, preparation, classes):
    if preparation.validation_fraction is None:
        return
    if "x_validation" in arrays:
        raise refuse(
            places["x_validation"],
            "a validation set",
            "none where dataset.validation_fraction asks for one",
            "leave dataset.validation_fraction out",
        )
    _divide(arrays, places, "validation", preparation.validation_fraction, preparation.split_seed + 1, classes)


def _divide(arrays, places, part, fraction, seed, classes):
    """Take a part away from the training samples."""
    y = arrays["y_train"]
    counts = np.bincount(y, minlength=len(classes))
    if (counts == 1).any():
        number = int((counts == 1).argmax())
        raise refuse(
            places["y_train"],
            f"1 sample of class {classes[number]}, at position {int((y == number).argmax())}",
            f"at least 2 of each class, one of them for the {part} set",
            f"add samples of this class or remove it, or leave dataset.{part}_fraction out",
        )
    is_part = draw_part(y, fraction, seed)
    for key in ("x", "y", "lengths"):
        if f"{key}_train" in arrays:
            whole = arrays[f"{key}_train"]
            arrays[f"{key}_{part}"], arrays[f"{key}_train"] = whole[is_part], whole[~is_part]
            places.setdefault(f"{key}_{part}", places[f"{key}_train"])


def _limit(arrays, limit, notes):
    """Keep `limit` samples of each part."""
    for part in _parts_of(arrays):
        chosen = first_samples(arrays[f"y_{part}"], limit)
        n_before = len(arrays[f"y_{part}"])
        for key in (f"x_{part}", f"y_{part}", f"lengths_{part}"):
            if key in arrays:
                # A copy, because a view would keep the full array in memory.
                arrays[key] = arrays[key][:limit].copy() if chosen is None else arrays[key][chosen]
        if chosen is not None:
            notes.append(f"the first {limit} of {n_before} {_word(part)} samples lack classes: taken are the first of every class, in their shares")


def _note_absent(y, classes, part):
    """What is said of classes without samples: list of str."""
    absent = np.flatnonzero(np.bincount(y, minlength=len(classes)) == 0)
    if not absent.size:
        return []
    names = list_classes(tuple(classes[number] for number in absent))
    return [f"no {_word(part)} sample of {absent.size} of {len(classes)} classes: {names}"]


def _note_constant(x, columns):
    """What is said of columns of a table that are constant: list of str. Pixels of images are often constant, and nobody wonders."""
    constant = constant_columns(x) if columns else ()
    if not len(constant):
        return []
    names = ", ".join(f"{columns[i]} ({x[0, i]:g})" for i in constant[:6]) + (", ..." if len(constant) > 6 else "")
    plural = "s" if len(constant) > 1 else ""
    return [
        f"constant column{plural} {names}: nothing can be learned from {'them' if plural else 'it'}; name {'them' if plural else 'it'} in dataset.drop"
    ]


def _as_kept(key, array):
    """One array as a `Dataset` keeps it: C-contiguous and writable (numba compiles a second version of every kernel for others)."""
    if key[0] == "x":
        array = array.reshape(len(array), -1)
    return np.require(array, None if key[0] == "x" else np.int32, ["C", "W"])


def digest(arrays):
    """SHA-256 hex digest over name, type, shape and bytes of each array, in key order."""
    hasher = hashlib.sha256()
    for key in sorted(arrays):
        array = arrays[key]
        # Byte order is fixed so that the digest names the data and not the machine.
        array = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        hasher.update(f"{key} {array.dtype.name} {array.shape}\n".encode())
        hasher.update(array.data)
    return hasher.hexdigest()
