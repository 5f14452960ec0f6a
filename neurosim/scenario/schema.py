"""What a scenario file says: the experiment, complete, in one page.

Every key has a default except the name, the data set, the layers and the profile.
"""

import math
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple
from neurosim.rewiring import RULES
from neurosim.scenario.rules import RewiringChoice, keys_of
from neurosim.scenario.formats import parse_weight_format

PositiveInt = Annotated[int, Field(ge=1)]
# Far above any use, and far below the end of float32.
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
Fraction = Annotated[float, Field(gt=0, le=1)]
# Below 1 in float32 as well, so that 1 - beta is not 0.
Decay = Annotated[float, Field(ge=0, le=0.99999)]
_OPTIMIZER_KEYS = {"sgd": (), "momentum": ("momentum",), "adam": ("beta1", "beta2", "epsilon")}


def _check_power_of_two(value):
    if math.frexp(value)[0] != 0.5:
        below = 2.0 ** math.floor(math.log2(value))
        raise ValueError(f"expected a power of two, so that scaling is a shift: {below:g} or {2 * below:g}")
    return value


PowerOfTwo = Annotated[float, Field(ge=2**-20, le=2**20), AfterValidator(_check_power_of_two)]


def _check_weight_format(name):
    parse_weight_format(name)
    return name


class DatasetChoice(Strict):
    """Which samples are learned.

    Attributes
    ----------
    name : str
        ``digits`` (bundled with scikit-learn), ``mnist``, the path of an ``.npz`` file with x_train,
        y_train, x_test and y_test, or a folder of IDX files.
    limit : int, optional
        Use only the first samples of the training and of the test set.
    """

    name: Annotated[str, Field(min_length=1)]
    limit: PositiveInt | None = None


class Network(Strict):
    """The network, the same on every chip.

    Attributes
    ----------
    layers : tuple of int
        Neurons of each layer, inputs first.
    activation : str
        Of the hidden layers.
    connectivity : float, tuple of float or 'fit'
        Fraction of the possible connections, for all matrices or for each; ``fit`` takes the most that
        the chip's budgets allow, in equal fractions.
    synapses : int, optional
        Total number of connections instead, shared by the matrices in equal fractions.
    """

    layers: Annotated[tuple[Annotated[int, Field(ge=1, le=10**6)], ...], as_tuple]
    activation: Literal["relu"] = "relu"
    connectivity: Fraction | Annotated[tuple[Fraction, ...], as_tuple] | Literal["fit"] | None = None
    synapses: PositiveInt | None = None

    @model_validator(mode="after")
    def _check(self):
        if len(self.layers) < 2:
            raise WrongKey(["layers"], f"found {len(self.layers)} layers; expected at least inputs and outputs, such as [784, 10]")
        if self.layers[-1] < 2:
            raise WrongKey(["layers", len(self.layers) - 1], f"found {self.layers[-1]} outputs; expected at least 2 classes")
        n = len(self.layers) - 1
        if (self.connectivity is None) == (self.synapses is None):
            raise WrongKey(["connectivity"], "expected exactly one of connectivity and synapses")
        if isinstance(self.connectivity, tuple) and len(self.connectivity) != n:
            raise WrongKey(
                ["connectivity"], f"found {len(self.connectivity)} fractions; expected one number or {n}, one per weight matrix"
            )
        possible = sum(a * b for a, b in zip(self.layers, self.layers[1:]))
        if self.synapses is not None and not n <= self.synapses <= possible:
            raise WrongKey(["synapses"], f"found {self.synapses}; expected {n} to {possible}, the possible connections of these layers")
        return self


class Hardware(Strict):
    """The chip and how the network lies on it.

    Attributes
    ----------
    profile : str
        Name of a bundled profile, or the path of a profile file.
    cores : int or 'auto'
        Cores used; ``auto`` takes the fewest that fit.
    execution : str
        ``scan``: a core walks all its slots for each sample. ``event_driven``: slots are sorted by
        row, and only non-zero activations and errors cause work.
    headroom : float
        Free slots per segment, as a fraction of its synapses; they cost memory. Needed when synapses
        may move between segments (scopes layer and network).
    code_bytes : int, optional
        Bytes reserved for the program on each core, instead of the profile's figure.
    price_set, corner : str, optional
        Price set and operating point (voltage, clock) of the profile, instead of its defaults.
    learning : str
        ``chip``: the chip learns, where it can. ``host``: the host learns, and the chip runs the forward pass; what travels between
        them is counted.
    on_violation : str
        Whether a network that does not fit is refused, or trained all the same and reported as not fitting.
    weight_format : str
        How the chip stores strengths: ``float32``, ``float16``, fixed point ``sM.N``, ``intN``; see
        `neurosim.scenario.formats`. Forward, backward and evaluation use the stored weights.
    rounding : str
        Of a new strength to the format: to the nearest value, or up or down at random without bias.
    master : str
        ``float32``: a wide copy of the weights, used by updates only, learns, and takes memory. ``none``: the
        stored weight itself learns.
    weight_range : float, tuple of float or 'auto'
        Of ``intN``: full scale of all matrices or of each, a power of two just above the largest strength.
    """

    profile: Annotated[str, Field(min_length=1)]
    cores: Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"] = "auto"
    execution: Literal["scan", "event_driven"] = "scan"
    headroom: Annotated[float, Field(ge=0, le=10)] = 0.0
    code_bytes: PositiveInt | None = None
    price_set: Annotated[str, Field(min_length=1)] | None = None
    corner: Annotated[str, Field(min_length=1)] | None = None
    learning: Literal["chip", "host"] = "chip"
    on_violation: Literal["refuse", "report"] = "refuse"
    weight_format: Annotated[str, AfterValidator(_check_weight_format)] = "float32"
    rounding: Literal["nearest", "stochastic"] = "nearest"
    master: Literal["none", "float32"] = "none"
    weight_range: PowerOfTwo | Annotated[tuple[PowerOfTwo, ...], as_tuple] | Literal["auto"] = "auto"

    @property
    def format(self):
        """The parsed weight format."""
        return parse_weight_format(self.weight_format)

    @model_validator(mode="after")
    def _check(self):
        if not self.format.is_rounded:
            for key, plain in (("rounding", "nearest"), ("master", "none")):
                if getattr(self, key) != plain:
                    raise WrongKey([key], f"found {getattr(self, key)} with weight_format float32, which is not rounded; leave it out")
        if not self.format.has_scale and self.weight_range != "auto":
            raise WrongKey(["weight_range"], f"weight_format {self.weight_format} has no scale to choose; leave it out")
        return self


class ScheduleChoice(Strict):
    """Course of the learning rate over the epochs; see `neurosim.training.Schedule`."""

    kind: Literal["constant", "step", "exponential", "cosine"] = "constant"
    factor: Annotated[float, Field(gt=0, le=1)] | None = None
    milestones: Annotated[tuple[PositiveInt, ...], as_tuple] | None = None

    @model_validator(mode="after")
    def _check(self):
        needs = {"constant": (), "step": ("factor", "milestones"), "exponential": ("factor",), "cosine": ()}[self.kind]
        for key in needs:
            if getattr(self, key) is None:
                raise WrongKey([key], f"missing; a schedule of kind {self.kind} needs it")
        takes = (*needs, "factor") if self.kind == "cosine" else needs
        for key in ("factor", "milestones"):
            if key not in takes and getattr(self, key) is not None:
                raise WrongKey([key], f"a schedule of kind {self.kind} does not use it; leave it out")
        return self


class Training(Strict):
    """How the weights learn.

    Attributes
    ----------
    epochs, batch_size : int
    optimizer : str
        Stochastic gradient descent, plain, with momentum, or with Adam; see `neurosim.training.Optimizer`.
    momentum : float, optional
        Of ``momentum``; 0.9 when left out.
    beta1, beta2, epsilon : float, optional
        Of ``adam``; 0.9, 0.999 and 1e-8 when left out.
    learning_rate : float
        Of epoch 0, for the mean gradient of a batch.
    schedule : ScheduleChoice
    """

    epochs: PositiveInt = 10
    batch_size: Annotated[int, Field(ge=1, le=2**20)] = 10
    optimizer: Literal["sgd", "momentum", "adam"] = "sgd"
    momentum: Decay | None = None
    beta1: Decay | None = None
    beta2: Decay | None = None
    epsilon: Annotated[float, Field(ge=1e-30, le=1)] | None = None
    learning_rate: Positive = 0.5
    schedule: ScheduleChoice = ScheduleChoice()

    @property
    def optimizer_numbers(self):
        """The numbers of the optimizer that are given, by name."""
        return {key: getattr(self, key) for key in _OPTIMIZER_KEYS[self.optimizer] if getattr(self, key) is not None}

    @model_validator(mode="after")
    def _check(self):
        for key in ("momentum", "beta1", "beta2", "epsilon"):
            if key not in _OPTIMIZER_KEYS[self.optimizer] and getattr(self, key) is not None:
                raise WrongKey([key], f"optimizer {self.optimizer} does not use it; leave it out")
        return self


class Report(Strict):
    """What a run writes besides result.json and the tables; `neurosim report` writes both of them later, too.

    Attributes
    ----------
    figures : bool
        PNG files in ``figures/``.
    html : bool
        The page report.html; it costs about a second.
    """

    figures: bool = True
    html: bool = False


class Scenario(Strict):
    """One experiment: what is learned, by which network, on which chip, how."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    dataset: DatasetChoice
    network: Network
    hardware: Hardware
    training: Training = Training()
    rewiring: RewiringChoice = keys_of("deep_r", RULES["deep_r"])()
    report: Report = Report()

    @model_validator(mode="after")
    def _check(self):
        if self.rewiring.scope != "core" and self.hardware.headroom == 0:
            raise WrongKey(
                ["hardware", "headroom"],
                f"found 0 with rewiring.scope {self.rewiring.scope}: synapses cannot move to a full segment; try 0.25",
            )
        n = len(self.network.layers) - 1
        if isinstance(self.hardware.weight_range, tuple) and len(self.hardware.weight_range) != n:
            found = len(self.hardware.weight_range)
            raise WrongKey(["hardware", "weight_range"], f"found {found} numbers; expected one number or {n}, one per weight matrix")
        rule = self.rewiring.rule_class
        if self.hardware.format.is_rounded and rule.has_places and not rule.starts_dense:
            raise WrongKey(
                ["hardware", "weight_format"],
                f"found {self.hardware.weight_format} with rule {self.rewiring.rule}, whose dormant parameters have no format here; use float32",
            )
        return self
