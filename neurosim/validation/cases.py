"""What a published result says and how it is predicted: the schema of the case files, and their loader.

A case holds the workload, the published figure, the band and the source. Prices, powers, sizes and clocks come from the
hardware profiles that it names: a case repeats none of their numbers.
"""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple, read_yaml, validate
from neurosim.hardware.quantities import Confidence, Text

FOLDER = Path(__file__).parent / "cases"
Factors = Annotated[tuple[Annotated[int | float, Field(gt=0)], ...], as_tuple, Field(min_length=1)]


class Published(Strict):
    """The figure to compare with, in `unit`, and who published it."""

    value: Annotated[float, Field(gt=0)]
    unit: Text
    source: Text
    confidence: Confidence


class Band(Strict):
    """Relative errors that are inside: (ours - published) / published from `low` to `high`."""

    low: float
    high: float

    @model_validator(mode="after")
    def _check(self):
        if not -1 <= self.low < self.high:
            raise WrongKey(["low"], f"found {self.low:g} to {self.high:g}; expected a range of relative errors, from -1 upwards")
        return self


class Workload(Strict):
    """What a chip did.

    Attributes
    ----------
    cores : int
        Cores that are powered, where cores have static power of their own.
    busy_cores : int
        Cores that work all the time, where a cycle has a price.
    chips : int
        How many of the profile's chips work together.
    seconds : float, optional
        How long; needed for power.
    events : dict of str to tuple of number
        Kind of event (`accounting.KINDS`) and the factors of its count.
    quiet : bool
        Whether the updated neurons stayed silent, where that has a price of its own.
    synapses : {'sparse', 'dense'}
        Format of the synapses, where the dense one has a price of its own.
    without : tuple of str
        Components that the measurement did not see, such as ``static_board``.
    """

    cores: Annotated[int, Field(ge=1, le=10**6)] = 1
    busy_cores: Annotated[int, Field(ge=0, le=10**6)] = 0
    chips: Annotated[int, Field(ge=1, le=10**6)] = 1
    seconds: Annotated[float, Field(gt=0)] | None = None
    events: dict[str, Factors] = {}
    quiet: bool = False
    synapses: Literal["sparse", "dense"] = "sparse"
    without: Annotated[tuple[Text, ...], as_tuple] = ()


class _Point(Strict):
    name: Text
    profile: Text
    price_set: Text | None = None
    corner: Text | None = None
    published: Published | None = None
    band: Band | None = None
    outside: bool = False  # a negative control: the case holds when the prediction misses the band
    note: Text | None = None

    @model_validator(mode="after")
    def _check_band(self):
        if self.band is not None and self.published is None:
            raise WrongKey(["published"], "missing beside band")
        if self.outside and self.band is None:
            raise WrongKey(["band"], "missing; a point that must be outside needs a band")
        return self


class PricedPoint(_Point):
    """Energy in J or power in W of a workload, priced as runs are.

    `alternatives` takes another published value of a number of the profile: its key, and a word of the note of that value.
    """

    kind: Literal["priced"]
    workload: Workload
    quantity: Literal["energy", "dynamic_energy", "power", "static_power"]
    alternatives: dict[str, Text] = {}

    @model_validator(mode="after")
    def _check_seconds(self):
        if self.quantity.endswith("power") and self.workload.seconds is None:
            raise WrongKey(["workload", "seconds"], f"missing; {self.quantity} needs it")
        return self


class RatioPoint(_Point):
    """Dynamic energy of one workload over that of another, on the same chip."""

    kind: Literal["ratio"]
    workload: Workload
    over: Workload


class RefusedPoint(_Point):
    """A profile with `changes` that the loader must refuse, or a `workload` that pricing must, with a message that contains `because`."""

    kind: Literal["refused"]
    changes: Annotated[tuple[Text, ...], as_tuple] = ()
    workload: Workload | None = None
    because: Text


class MemoryPoint(_Point):
    """Bytes of the given sections on one core (`placement`), and whether the network fits it."""

    kind: Literal["memory"]
    layers: Annotated[tuple[int, ...], as_tuple]
    connectivity: Annotated[tuple[float, ...], as_tuple]
    sections: Annotated[tuple[Text, ...], as_tuple, Field(min_length=1)]
    exact_bytes: int
    fits: bool


class SpikingPoint(_Point):
    """Memory of a spiking network that learns, through `placement`: bytes of sections of all cores, or their part of the rest of the chip's memory.

    Attributes
    ----------
    inputs, units, classes, steps : int
        Of one recurrent layer with all connections.
    network : dict
        Keyword arguments of `networks.Spiking`.
    program, optimizer : str
    cores : int
    sections : tuple of str, optional
        Those that are added up; all but the program's code without.
    exact_bytes : int, optional
        What they are by the formula.
    quantity : {'bytes', 'overhead'}
        ``overhead``: these sections over the rest of the SRAM that the profile states: of the array, and of its neurons.
    """

    kind: Literal["spiking"]
    inputs: Annotated[int, Field(ge=1)]
    units: Annotated[int, Field(ge=2)]
    classes: Annotated[int, Field(ge=2)]
    steps: Annotated[int, Field(ge=2)]
    network: dict[str, float | str] = {}
    program: Text
    optimizer: Text = "sgd"
    cores: Annotated[int, Field(ge=1)] = 1
    sections: Annotated[tuple[Text, ...], as_tuple] = ()
    exact_bytes: int | None = None
    quantity: Literal["bytes", "overhead"] = "bytes"


class ThroughputPoint(_Point):
    """Operations per second of all cores in the time model, with `cycles` per event instead of the profile's."""

    kind: Literal["throughput"]
    event: Literal["synaptic_op"] = "synaptic_op"
    cycles: Annotated[float, Field(gt=0)]
    operations: Annotated[int, Field(ge=1)]  # per event


class CyclesPoint(_Point):
    """Cycles of a turn of a loop of the training program, as its table says, for one setting of the compiler."""

    kind: Literal["cycles"]
    program: Text
    loop: Text
    setting: Text


class RunPoint(_Point):
    """A dense network on a chip, placed and booked as runs are: training or inference of one sample.

    Attributes
    ----------
    layers : tuple of int
    cores : int
    active : (float, float)
        Fraction of inputs, and of hidden neurons, that are not zero. Spikes of the measurement; where they are not published an assumption.
    mode : {'training', 'inference'}
    host_learns, shares_signs : bool
        As `hardware.learning: host` and `network.signs: pre` of a scenario.
    quantity : {'energy', 'dynamic_energy', 'time'}
    """

    kind: Literal["run"]
    layers: Annotated[tuple[Annotated[int, Field(ge=1)], ...], as_tuple, Field(min_length=2)]
    cores: Annotated[int, Field(ge=1)]
    active: Annotated[tuple[float, float], as_tuple]
    mode: Literal["training", "inference"]
    host_learns: bool = False
    shares_signs: bool = False
    quantity: Literal["energy", "dynamic_energy", "time"]


class ConvLayer(Strict):
    """So many maps with square kernels, as `networks.Convolve`."""

    conv: Annotated[int, Field(ge=1)]
    kernel: Annotated[int, Field(ge=1)]
    stride: Annotated[int, Field(ge=1)] = 1
    padding: Annotated[int, Field(ge=0)] = 0


class PoolLayer(Strict):
    """Averages of windows side by side, as `networks.Pool`."""

    average: Annotated[int, Field(ge=1)]


class FitPoint(_Point):
    """Whether a network fits the chip, by the limits that `check` states.

    Attributes
    ----------
    layers : tuple
        Numbers of neurons, inputs first; with `input_shape`, maps and pooling before them, and no inputs.
    input_shape : (int, int, int), optional
        Maps, rows and columns of a sample.
    connectivity : tuple of float
        Of each matrix, or one of all.
    limit : str, optional
        Names the one that decides.
    use : str, optional
        A limit whose largest use is compared with the published number.
    """

    kind: Literal["fit"]
    layers: Annotated[tuple[int | ConvLayer | PoolLayer, ...], as_tuple]
    input_shape: Annotated[tuple[int, int, int], as_tuple] | None = None
    connectivity: Annotated[tuple[float, ...], as_tuple]
    cores: Annotated[int, Field(ge=1)]
    host_learns: bool = False
    shares_signs: bool = False
    fits: bool
    limit: Text | None = None
    use: Text | None = None


Point = Annotated[
    PricedPoint | RatioPoint | RefusedPoint | MemoryPoint | SpikingPoint | ThroughputPoint | CyclesPoint | RunPoint | FitPoint,
    Field(discriminator="kind"),
]


class Case(Strict):
    """One published result, or one thing that must be refused.

    Attributes
    ----------
    number : int
        Order in the report.
    independent : str
        Whether the prices were obtained without the total that is predicted.
    not_covered : str, optional
        What of the chip or of the measurement the case says nothing about.
    """

    schema_version: Literal[1]
    number: Annotated[int, Field(ge=1)]
    title: Text
    claim: Text
    independent: Literal["yes", "partly", "no", "negative control"]
    explanation: Text | None = None
    not_covered: Text | None = None
    points: Annotated[tuple[Point, ...], as_tuple, Field(min_length=1)]


def load_cases(folder=FOLDER):
    """All cases of a folder, in the order of their numbers.

    Raises
    ------
    InputError
        One line with file, line and key.
    """
    cases = [validate(Case, read_yaml(path), what="validation case") for path in sorted(Path(folder).glob("*.yaml"))]
    return sorted(cases, key=lambda case: case.number)
