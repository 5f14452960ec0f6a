"""The parts of a scenario that say what is learned, and by which network."""

from functools import cached_property
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator

from neurosim.datasets import (
    DATASETS,
    Augmentation,
    Encoding,
    EventChoice,
    SequenceAugmentation,
    SpeechFeatures,
    dataset_shape,
    load_dataset,
)
from neurosim.documents import Strict, WrongKey, as_tuple
from neurosim.errors import InputError, nearest
from neurosim.networks import MODELS, READOUTS, SURROGATES, Convolution, Convolve, Pool, Topology
from neurosim.scenario.schema_types import Fraction, LayerSize, Positive, PositiveInt

#: Samples of a frame: what a table of all mel filters is good for.
MOST_FRAME = 65_536
#: Keys that only some types of network use.
_DYNAMICS = ("tau_m", "tau_a", "tau_out", "v_th", "beta", "refractory", "adaptive", "surrogate", "gamma", "slope")
_KEYS_OF_TYPE = {
    "mlp": ("layers", "activation", "bias"),
    "conv": ("layers", "input_shape", "activation", "bias"),
    "lstm": ("units", "readout"),
    "rnn": ("units", "readout"),
    "lif": ("units", "readout", "readout_steps", "recurrent", *(key for key in _DYNAMICS if key not in ("tau_a", "beta", "adaptive"))),
    "alif": ("units", "readout", "readout_steps", "recurrent", *_DYNAMICS),
}
_KEYS_OF_SOME = tuple(dict.fromkeys(key for keys in _KEYS_OF_TYPE.values() for key in keys))
#: Types whose neurons spike.
SPIKING = ("lif", "alif")


def _check_activation(name):
    known = [key for key, model in MODELS.items() if not model.is_recurrent and key != "softmax"]
    if name not in known:
        raise ValueError(nearest(name, known))
    return name


#: A cell of feed-forward layers.
Activation = Annotated[str, AfterValidator(_check_activation)]


def _as_sizes(value):
    return (value,) if isinstance(value, int) else tuple(value) if isinstance(value, list) else value


#: A time constant in steps: below one step nothing of a state would be left after it.
TimeConstant = Annotated[float, Field(ge=1, le=1e6)]
Units = Annotated[tuple[LayerSize, ...], BeforeValidator(_as_sizes, json_schema_input_type=LayerSize | tuple[LayerSize, ...])]


def dynamics_of(network):
    """Keyword arguments of `neurosim.networks.Spiking` that the keys of a spiking network decide: dict from dict."""
    given = {key: network[key] for key in (*_DYNAMICS, "readout", "readout_steps") if network.get(key) is not None}
    return ({"adaptive": 1.0, "beta": 1.8} if network["type"] == "alif" else {}) | given


#: Rows or columns of an image.
Side = Annotated[int, Field(ge=1, le=4096)]


class ConvLayer(Strict):
    """A convolution: ``conv`` output maps with square kernels, one for each input map.

    Attributes
    ----------
    conv, kernel, stride : int
    padding : int or 'same'
        Zeros around each input map; ``same`` keeps its size at stride 1 and needs a kernel of odd size.
    """

    conv: LayerSize
    kernel: Annotated[int, Field(ge=1, le=1024)]
    stride: Annotated[int, Field(ge=1, le=1024)] = 1
    padding: Annotated[int, Field(ge=0, le=1024)] | Literal["same"] = 0

    @model_validator(mode="after")
    def _check(self):
        if self.padding == "same" and self.kernel % 2 == 0:
            raise WrongKey(["padding"], f"found same with a kernel of even size, {self.kernel}; give a number, or an odd kernel")
        return self

    @property
    def layer(self):
        """As `networks.Topology.convolutional` takes it."""
        padding = self.kernel // 2 if self.padding == "same" else self.padding
        return Convolve(self.conv, Convolution(self.kernel, self.stride, padding))


class PoolLayer(Strict):
    """Pooling behind a convolution: the ``max`` or the ``average`` of square windows; a stride of ``window`` without one."""

    pool: Literal["max", "average"]
    window: Annotated[int, Field(ge=1, le=1024)]
    stride: Annotated[int, Field(ge=1, le=1024)] | None = None
    padding: Annotated[int, Field(ge=0, le=1024)] = 0

    @property
    def layer(self):
        """As `networks.Topology.convolutional` takes it."""
        return Pool(self.pool, self.window, self.stride or self.window, self.padding)


def _kind_of_layer(value):
    if isinstance(value, ConvLayer) or (isinstance(value, dict) and "conv" in value):
        return "ConvLayer"
    if isinstance(value, PoolLayer) or (isinstance(value, dict) and "pool" in value):
        return "PoolLayer"
    return "word" if isinstance(value, str) else "size"  # none of these names is a key of a file


def _check_keys_of_layer(value):
    if isinstance(value, dict) and not {"conv", "pool"} & set(value):
        raise ValueError(f"found a layer with keys {', '.join(map(str, value)) or 'none'}; expected conv or pool among them, or a number of neurons")
    return value


#: A layer: a number of neurons, or of a ``conv`` network a convolution, pooling, or a word: ``flatten`` between maps and
#: neurons, ``fit`` for a hidden layer of an ``mlp`` as wide as the chip allows.
Layer = Annotated[
    Annotated[LayerSize, Tag("size")]
    | Annotated[ConvLayer, Tag("ConvLayer")]
    | Annotated[PoolLayer, Tag("PoolLayer")]
    | Annotated[Literal["flatten", "fit"], Tag("word")],
    Discriminator(_kind_of_layer),
    BeforeValidator(_check_keys_of_layer),
]


class FeatureChoice(Strict):
    """How recordings become sequences; see `neurosim.datasets.SpeechFeatures`."""

    sample_rate: Annotated[int, Field(ge=1000, le=10**6)] = SpeechFeatures.sample_rate
    frame_ms: Annotated[float, Field(gt=0, le=10_000)] = SpeechFeatures.frame_ms
    hop_ms: Annotated[float, Field(gt=0, le=10_000)] = SpeechFeatures.hop_ms
    bands: Annotated[int, Field(ge=1, le=1024)] = SpeechFeatures.bands

    @model_validator(mode="after")
    def _check(self):
        frame = SpeechFeatures(**dict(self)).frame
        if frame > MOST_FRAME:
            raise WrongKey(["frame_ms"], f"found {self.frame_ms:g}, {frame} samples at {self.sample_rate} Hz; expected at most {MOST_FRAME}")
        return self


class EncodeChoice(Strict):
    """How values become spikes; see `neurosim.datasets.Encoding`."""

    kind: Literal["latency", "integrate", "level_crossing", "rate"]
    steps: Annotated[int, Field(ge=1, le=10**4)] | None = None
    range: Annotated[tuple[float, float], as_tuple] | None = None
    tau: Positive | None = None
    threshold: Positive | None = None
    leak: Annotated[float, Field(ge=0, le=1)] | None = None
    levels: Annotated[int, Field(ge=1, le=1000)] | None = None
    polarities: Literal[1, 2] | None = None
    rate: Fraction | None = None
    seed: Annotated[int, Field(ge=0, lt=2**63)] | None = None
    silence: Annotated[int, Field(ge=0, le=10**4)] = 0

    @property
    def encoding(self):
        """The `Encoding`."""
        return Encoding(**dict(self))

    @model_validator(mode="after")
    def _check(self):
        try:
            Encoding(**dict(self))
        except InputError as error:  # "encode.KEY: what"
            key, _, what = str(error).removeprefix("encode.").partition(": ")
            raise WrongKey([key], what) from None
        return self


class EventFileChoice(Strict):
    """How events become steps; see `neurosim.datasets.EventChoice`."""

    units: Annotated[int, Field(ge=1, le=10**5)] | None = None
    step_ms: Annotated[float, Field(gt=0, le=10**6)] = EventChoice.step_ms
    steps: Annotated[int, Field(ge=1, le=10**4)] | None = None


class LateChoice(Strict):
    """Another probability for the end of a training: from the fraction `after` of its epochs on."""

    after: Annotated[float, Field(gt=0, lt=1)]
    probability: Annotated[float, Field(ge=0, le=1)]


class AugmentChoice(Strict):
    """What may happen to a training image or sequence; see `neurosim.datasets.Augmentation` and `SequenceAugmentation`."""

    shift: PositiveInt | None = None
    probability: Fraction | None = None
    late: LateChoice | None = None
    flip: bool = False
    crop: PositiveInt | None = None
    shift_inputs: PositiveInt | None = None
    stretch: Annotated[float, Field(gt=0, le=1)] | None = None
    gain: Annotated[float, Field(gt=0, le=100)] | None = None
    drop: Annotated[float, Field(gt=0, lt=1)] | None = None

    @property
    def _of_sequences(self):
        return {key: value for key in ("shift_inputs", "stretch", "gain", "drop") if (value := getattr(self, key)) is not None}

    @property
    def augmentation(self):
        """The `Augmentation` or `SequenceAugmentation`."""
        if self._of_sequences:
            return SequenceAugmentation(**self._of_sequences)
        return Augmentation(
            shift=self.shift or 0,
            probability=1.0 if self.probability is None else self.probability,
            late_after=self.late and self.late.after,
            late_probability=self.late and self.late.probability,
            flip=self.flip,
            crop=self.crop,
        )

    @model_validator(mode="after")
    def _check(self):
        of_images = [key for key in ("shift", "flip", "crop") if getattr(self, key)]
        if not of_images and not self._of_sequences:
            raise WrongKey(
                ["shift"], "found none of shift, flip and crop, nor of shift_inputs, stretch, gain and drop of sequences; give at least one of them"
            )
        if of_images and self._of_sequences:
            raise WrongKey([of_images[0]], f"found beside {', '.join(self._of_sequences)}, which are of sequences; leave one of the two kinds out")
        for key in ("probability", "late"):
            if getattr(self, key) is not None and not self.shift:
                raise WrongKey([key], "it is that of shift, which is missing; leave it out")
        return self


class DatasetChoice(Strict):
    """Which samples are learned.

    Attributes
    ----------
    name : str
        Name of a known data set (`neurosim.datasets.DATASETS`), the path of an NPZ, CSV or Parquet file, or a folder of IDX or of
        WAV files.
    limit : int, optional
        Use only the first samples of the training and of the test set; where these lack classes, the first ones of every class.
    label : str, optional
        Of a table: column of the labels; without it the one called label, class, target or y, or the only one that holds text.
    drop : tuple of str, optional
        Of a table: columns that are left out.
    test_fraction : float, optional
        Part of the samples that becomes the test set, of data without one; every class gives its share.
    validation_fraction : float, optional
        Part of the training samples that becomes the validation set; every class gives its share.
    split_seed : int
        Decides which samples these are. It is a key of its own, so that runs of several seeds have the same test set.
    standardize : bool or 'image'
        Shift and scale each feature to mean 0 and standard deviation 1 over the training samples; ``image``: each sample over its own values.
    image_size : (int, int), optional
        (rows, columns) to which images are brought, each new pixel the average of the area that it covers.
    augment : AugmentChoice, optional
        Training images are moved, mirrored and cropped.
    max_steps : int, optional
        Of recordings: the longest sequence, for which the network is laid out; a longer recording is refused.
    features : FeatureChoice, optional
        Of recordings.
    encode : EncodeChoice, optional
        Turn values into spikes, in steps; without it a network takes them as they are.
    events : EventFileChoice, optional
        Of files of events.
    task : dict of str to number, optional
        Of data that are made: their numbers that are not the defaults.
    """

    name: Annotated[str, Field(min_length=1)]
    limit: PositiveInt | None = None
    label: Annotated[str, Field(min_length=1)] | None = None
    drop: Annotated[tuple[str, ...], as_tuple] | None = None
    test_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    validation_fraction: Annotated[float, Field(gt=0, lt=1)] | None = None
    split_seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    standardize: bool | Literal["image"] = False
    image_size: Annotated[tuple[Side, Side], as_tuple] | None = None
    augment: AugmentChoice | None = None
    max_steps: Annotated[int, Field(ge=1, le=10**4)] | None = None
    features: FeatureChoice | None = None
    encode: EncodeChoice | None = None
    events: EventFileChoice | None = None
    task: dict[str, int | float] | None = None

    @property
    def encoding(self):
        """The `Encoding`, or None."""
        return self.encode and self.encode.encoding

    @property
    def speech(self):
        """The `SpeechFeatures`, or None where nothing is said about recordings."""
        if self.max_steps is None and self.features is None:
            return None
        return SpeechFeatures(**(self.features or FeatureChoice()).model_dump(), max_steps=self.max_steps or SpeechFeatures.max_steps)

    @property
    def _options(self):
        plain = ("limit", "label", "test_fraction", "validation_fraction", "split_seed", "standardize", "image_size")
        events = None if self.events is None else EventChoice(**dict(self.events))
        special = {"speech": self.speech, "drop": self.drop or (), "encode": self.encoding, "events": events, "task": self.task}
        return {key: getattr(self, key) for key in plain} | special | {"augment": self.augment and self.augment.augmentation}

    def load(self, data_dir=None):
        """The `Dataset`; see `neurosim.datasets.load_dataset`."""
        return load_dataset(self.name, data_dir=data_dir, **self._options)

    def shape(self):
        """The `DataShape`, or None where there are no files yet; see `neurosim.datasets.dataset_shape`."""
        return dataset_shape(self.name, **self._options)

    @model_validator(mode="after")
    def _check(self):
        info = DATASETS.get(self.name)
        if info and not info.has_recordings:
            for key in ("max_steps", "features"):
                if getattr(self, key) is not None:
                    raise WrongKey([key], f"data set {self.name} holds no recordings; leave it out")
        if info and info.n_steps != 1 and self.image_size is not None:
            raise WrongKey(["image_size"], f"data set {self.name} holds sequences; leave it out")
        if self.augment is not None and self.standardize is True:
            raise WrongKey(["standardize"], "found true beside augment, which moves pixels to places of another scale; use image, or false")
        for key, reason in (("label", "is no table"), ("drop", "is no table"), ("test_fraction", "has a test set")) if info else ():
            if getattr(self, key) is not None:
                raise WrongKey([key], f"data set {self.name} {reason}; leave it out")
        if info and self.events is not None:
            raise WrongKey(["events"], f"data set {self.name} is no file of events; leave it out")
        if self.task is not None and not (info and info.make_task):
            made = ", ".join(name for name, one in DATASETS.items() if one.make_task)
            raise WrongKey(["task"], f"data set {self.name} is read and not made; leave it out, or choose one of {made}")
        return self


class Network(Strict):
    """The network, the same on every chip.

    Attributes
    ----------
    type : str
        ``mlp``: multilayer perceptron. ``conv``: convolutions and pooling, then dense layers; chosen by itself where `layers` has any.
        ``lstm``, ``rnn``: recurrent layers, which take a sample step by step, and a read-out; sizes of inputs and outputs come from the data.
        ``lif``, ``alif``: layers of leaky integrate-and-fire neurons, all or some of which adapt, and a leaky read-out.
    layers : tuple, optional
        Of an ``mlp``: neurons of each layer, inputs first. Hidden layers of ``fit`` are as wide as the chip's budgets allow, all alike. Of a
        ``conv`` network: its layers without the inputs, each a `ConvLayer`, a `PoolLayer` or a number of neurons, outputs last; ``flatten``
        may stand between maps and neurons and changes nothing.
    input_shape : (int, int, int), optional
        Of a ``conv`` network: maps (colours), rows and columns of a sample.
    activation : str or tuple of str, optional
        Of both: of the hidden layers, all or each (`neurosim.networks.MODELS`); relu when left out.
    bias : bool, optional
        Of both: whether all layers but the inputs have biases, one for each neuron or map, which are charged and never rewired; none when left
        out. Recurrent networks have them.
    units : tuple of int, optional
        Of the others: units of each recurrent layer. A file may give one number for one layer.
    readout : str, optional
        Of the others: whether the outputs see the ``last`` state of a sample, which they do when left out, or the ``mean`` of all. Of spiking
        ones: whether the loss is of the ``last`` read-out, of their ``mean``, which it is when left out, or of ``every`` one.
    readout_steps : int, optional
        Of spiking networks: steps at the end of a sample that ``mean`` and ``every`` are about; all when left out.
    recurrent : bool, optional
        Of spiking networks: whether the neurons of a layer project to each other, which they do when left out.
    tau_m, tau_a, tau_out, v_th, beta, refractory, adaptive, surrogate, gamma, slope : optional
        Of spiking networks: see `neurosim.networks.Spiking`. Of an ``alif`` all neurons adapt when left out, with a beta of 1.8.
    connectivity : float, tuple of float or 'fit'
        Fraction of the possible connections, for all matrices or for each; ``fit`` takes the most that
        the chip's budgets allow.
    fit : str, optional
        Of ``connectivity: fit``: how the matrices share them. ``fractions``, when left out: in equal fractions. ``fan_in``: each neuron
        as many, in whichever matrix. ``fill``: in equal fractions until a limit stops a matrix, and the others grow on.
    signs : str, optional
        Whether the weights of a neuron that it sends by have signs ``each`` of their own, as when left out, or share one, ``pre``: on a crossbar whose rows have
        signs a weight then takes one row. They are constant, so the rule must keep signs.
    synapses : int, optional
        Total number of connections instead, shared by the matrices in equal fractions.
    """

    type: Literal["mlp", "conv", "lstm", "rnn", "lif", "alif"] = "mlp"
    layers: Annotated[tuple[Layer, ...], as_tuple] | None = None
    input_shape: Annotated[tuple[LayerSize, LayerSize, LayerSize], as_tuple] | None = None
    activation: Activation | Annotated[tuple[Activation, ...], as_tuple] | None = None
    bias: bool | None = None
    units: Units | None = None
    readout: Literal[*READOUTS] | None = None
    readout_steps: PositiveInt | None = None
    recurrent: bool | None = None
    tau_m: TimeConstant | None = None
    tau_a: TimeConstant | None = None
    tau_out: TimeConstant | None = None
    v_th: Positive | None = None
    beta: Positive | None = None
    refractory: Annotated[int, Field(ge=0, le=1000)] | None = None
    adaptive: Fraction | None = None
    surrogate: Literal[*SURROGATES] | None = None
    gamma: Positive | None = None
    slope: Positive | None = None
    connectivity: Fraction | Annotated[tuple[Fraction, ...], as_tuple] | Literal["fit"] | None = None
    fit: Literal["fractions", "fan_in", "fill"] | None = None
    synapses: PositiveInt | None = None
    signs: Literal["each", "pre"] | None = None

    @property
    def has_open_layers(self):
        """Whether some layers are as wide as the chip allows."""
        return "fit" in (self.layers or ())

    @model_validator(mode="before")
    @classmethod
    def _choose_type(cls, data):
        """Layers that only convolutional networks have say what the network is."""
        if not isinstance(data, dict) or "type" in data:
            return data
        layers = data.get("layers")
        has_maps = isinstance(layers, (list, tuple)) and any(
            layer == "flatten" or isinstance(layer, (dict, ConvLayer, PoolLayer)) for layer in layers
        )
        return {**data, "type": "conv"} if has_maps or data.get("input_shape") is not None else data

    @property
    def is_recurrent(self):
        """Whether a sample is taken step by step."""
        return self.type in ("lstm", "rnn", *SPIKING)

    @property
    def has_maps(self):
        """Whether it has convolutions."""
        return self.type == "conv"

    @property
    def is_spiking(self):
        """Whether its neurons spike."""
        return self.type in SPIKING

    @property
    def has_recurrent_matrices(self):
        """Whether the neurons of a layer project to each other."""
        return self.is_recurrent and self.recurrent is not False

    @property
    def dynamics(self):
        """See `dynamics_of`."""
        return dynamics_of(self.model_dump())

    @property
    def cells(self):
        """Cell of each hidden layer of an ``mlp``, or of each with weights of a ``conv`` network."""
        given = self.activation or "relu"
        n_hidden = sum(not isinstance(layer, (PoolLayer, str)) for layer in self.layers) - (1 if self.has_maps else 2)
        return (given,) * n_hidden if isinstance(given, str) else given

    @cached_property
    def convolutional(self):
        """The `Topology` of a ``conv`` network.

        Raises
        ------
        InputError
            Layers whose sizes do not meet.
        """
        layers = [getattr(layer, "layer", layer) for layer in self.layers if layer != "flatten"]
        return Topology.convolutional(self.input_shape, layers, self.cells, bool(self.bias))

    @property
    def matrices(self):
        """Names of the weight matrices in their order: between what and what."""
        if self.has_maps:
            populations = [population.name for population in self.convolutional.populations]
            return tuple(f"{pre} to {post}" for pre, post in zip(populations, populations[1:]))
        if not self.is_recurrent:
            return tuple(f"layer {i} to layer {i + 1}" for i in range(len(self.layers) - 1))
        names, before = [], "inputs"
        for i in range(1, len(self.units) + 1):
            names += [f"{before} to {self.type} {i}"] + [f"{self.type} {i} to itself"] * self.has_recurrent_matrices
            before = f"{self.type} {i}"
        return (*names, f"{before} to outputs")

    @model_validator(mode="after")
    def _check(self):
        takes = _KEYS_OF_TYPE[self.type]
        for key in _KEYS_OF_SOME:
            if key not in takes and getattr(self, key) is not None:
                raise WrongKey([key], f"a network of type {self.type} does not use it, it has {' and '.join(takes)}; leave it out")
        if self.readout == "every" and not self.is_spiking:
            raise WrongKey(["readout"], f"found every with a network of type {self.type}, whose outputs come once a sample; use last or mean")
        if self.readout_steps is not None and self.readout == "last":
            raise WrongKey(["readout_steps"], "found beside readout last, which is one step; leave it out, or use readout mean or every")
        if getattr(self, takes[0]) is None:
            raise WrongKey([takes[0]], f"this key is required and missing; a network of type {self.type} needs it")
        if self.is_recurrent and not self.units:
            raise WrongKey(["units"], "found no layer; expected at least one, such as [128]")
        if self.has_maps:
            self._check_maps()
        elif not self.is_recurrent:
            self._check_layers()
        if (self.connectivity is None) == (self.synapses is None):
            raise WrongKey(["connectivity"], "expected exactly one of connectivity and synapses")
        if self.fit is not None and self.connectivity != "fit":
            raise WrongKey(["fit"], "says how matrices share what connectivity: fit gives; leave it out, or set connectivity to fit")
        n = len(self.matrices)
        if isinstance(self.connectivity, tuple) and len(self.connectivity) != n:
            which = f" ({', '.join(self.matrices)})" if self.is_recurrent or self.has_maps else ""
            raise WrongKey(["connectivity"], f"found {len(self.connectivity)} fractions; expected one number or {n}, one per weight matrix{which}")
        return self

    def _check_maps(self):
        if self.input_shape is None:
            raise WrongKey(["input_shape"], "this key is required and missing; a network of type conv needs it, such as [3, 32, 32]")
        if "fit" in self.layers:
            raise WrongKey(["layers", self.layers.index("fit")], "found fit in a network of type conv, whose layers have the sizes that are given")
        numbers = [i for i, layer in enumerate(self.layers) if layer != "flatten"]
        try:
            topology = self.convolutional
        except InputError as error:
            raise WrongKey(*_place_of(str(error), numbers)) from None
        if not topology.projections[0].pattern:
            raise WrongKey(["layers"], "found no convolution; a network of dense layers alone has type mlp and begins with its inputs")
        if topology.sizes[-1] < 2:
            raise WrongKey(["layers", len(self.layers) - 1], f"found {topology.sizes[-1]} outputs; expected at least 2 classes")
        n, possible = len(topology.projections), sum(topology.n_positions)
        if self.synapses is not None and not n <= self.synapses <= possible:
            raise WrongKey(["synapses"], f"found {self.synapses}; expected {n} to {possible}, the possible connections of these layers")

    def _check_layers(self):
        strange = next((i for i, layer in enumerate(self.layers) if not isinstance(layer, int) and layer != "fit"), None)
        if strange is not None:
            raise WrongKey(["layers", strange], "found no number of neurons in a network of type mlp; leave type out, or set it to conv")
        if len(self.layers) < 2:
            raise WrongKey(["layers"], f"found {len(self.layers)} layers; expected at least inputs and outputs, such as [784, 10]")
        for i in (0, len(self.layers) - 1):
            if self.layers[i] == "fit":
                raise WrongKey(["layers", i], "found fit; inputs and outputs have the sizes of the data, only layers between them can be widened")
        if self.has_open_layers and self.connectivity == "fit":
            raise WrongKey(["connectivity"], "found fit beside a layer of fit: one of them can follow from the chip; give a number here, such as 0.1")
        if self.layers[-1] < 2:
            raise WrongKey(["layers", len(self.layers) - 1], f"found {self.layers[-1]} outputs; expected at least 2 classes")
        if isinstance(self.activation, tuple) and len(self.activation) != len(self.layers) - 2:
            found = len(self.activation)
            raise WrongKey(["activation"], f"found {found} names; expected one or {len(self.layers) - 2}, one per hidden layer")
        if self.has_open_layers:
            return
        n, possible = len(self.layers) - 1, sum(a * b for a, b in zip(self.layers, self.layers[1:]))
        if self.synapses is not None and not n <= self.synapses <= possible:
            raise WrongKey(["synapses"], f"found {self.synapses}; expected {n} to {possible}, the possible connections of these layers")


def _place_of(text, numbers):
    """Keys of the layer that an error of a topology names, and the rest of its text."""
    if text.startswith("cell: "):
        return ["activation"], text.removeprefix("cell: ")
    place, _, rest = text.partition(": ")
    words = place.replace(",", "").split()
    if words[:2] != ["layers", "layer"]:
        return ["layers"], rest
    number = int(words[2])
    return ["layers", numbers[number - 1]], f"layer {number}{', ' + words[3] if len(words) > 3 else ''}: {rest}"
