"""What result.json holds: everything that tables, figures and pages say about a run.

Units stand in the names; times of the computer that ran the simulation stand only in `timing` and
`environment`, so two runs of one scenario agree in everything else.
"""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

SCHEMA = "neurosim.result/2"
#: Version 1 lacks the pictures of the connections: `MatrixUsed.weights`, `MatrixUsed.fan_in`, `Connectivity.inputs`.
READABLE = ("neurosim.result/1", SCHEMA)

#: What these cannot be is no result, whoever wrote it.
Fraction = Annotated[float, Field(ge=0, le=1)]
Loss = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ProfileUsed(_Part):
    """The hardware profile: `prices` and `cycles` are the records used, with unit, kind and source.

    `mesh` holds what is known of width and height in tiles, and of cores_per_tile.
    """

    name: str
    title: str
    sha256: str
    accounting: str
    price_set: str
    corner: str | None = None
    prices: list[dict[str, Any]]
    not_modelled: list[str]
    mesh: dict[str, int] | None = None


class DatasetUsed(_Part):
    """The samples; `sha256` is over their bytes.

    A value x enters the network as ``x * scale``, or as ``(x * scale - mean) / spread`` where inputs are standardized; with `per_image` mean and
    spread are those of each sample. `classes` are
    the labels in the order of the outputs. `notes` are what a user should know about the samples. Older records lack all of these.
    """

    name: str
    source: str
    sha256: str
    n_train: int
    n_test: int
    n_features: int
    n_classes: int
    n_validation: int = 0
    scale: float | None = None
    mean: list[float] | None = None
    spread: list[float] | None = None
    per_image: bool = False
    classes: list[str | int | bool] | None = None
    notes: list[str] = []


class Accuracy(_Part):
    """Fractions; `test` is of the weights at the end, `best` the highest of all epochs, reached in `best_epoch`.

    With a validation set choices are made on that: `best` and `best_epoch` are its figures, `validation` is that of the weights at the
    end, and the test set is seen once, at the end: `per_epoch` is None before. Without one, `best` is chosen on the test set itself.
    """

    test: Fraction
    best: Fraction
    per_epoch: list[Fraction | None]
    train_per_epoch: list[Fraction]
    best_epoch: int | None = None
    validation: Fraction | None = None
    validation_per_epoch: list[Fraction] | None = None


class ClassesUsed(_Part):
    """What the test samples of each class were taken for at the end.

    `confusion` has a row for each class and a column for what it was taken for, in the order of `names`; None beyond a few hundred
    classes. `accuracy` is None for a class without test samples. A tie of two outputs may fall either way, here and in `Accuracy.test`.
    """

    names: list[str]
    n_samples: list[int]
    accuracy: list[Fraction | None]
    n_predicted: list[int]
    confusion: list[list[int]] | None = None


class Epoch(_Part):
    """One epoch: losses in nats per sample, synapse counts over all matrices.

    `n_active_least` is the fewest after any rewiring of the epoch, None where there was none; `n_active_most` the most after any step.
    With a validation set, the test set is seen after the last epoch alone. `unmoved` is the part of the rounded weights that the epoch
    left as they were.
    """

    epoch: int
    learning_rate: float
    train_loss: Loss
    train_accuracy: Fraction
    test_loss: Loss | None
    test_accuracy: Fraction | None
    n_released: int
    n_arrived: int
    n_active: int
    n_active_least: int | None
    n_active_most: int
    n_unfilled: int
    validation_loss: Loss | None = None
    validation_accuracy: Fraction | None = None
    unmoved: Fraction | None = None


class Histogram(_Part):
    """`counts` of values between neighbours of `edges`, which are one more; a bin holds its lower edge, the last one both."""

    edges: list[float]
    counts: list[int]


class MatrixUsed(_Part):
    """One weight matrix at the end; `weights` over its active synapses, `fan_in` over its post neurons.

    Where the weights are narrower than float32: the least step and the largest value of a stored strength, and in how many
    (step, synapse) pairs of the run a strength was cut to it. `name` says what it connects.
    """

    name: str | None = None
    n_pre: int
    n_post: int
    active: int
    possible: int
    fraction: float
    weights: Histogram | None = None
    fan_in: Histogram | None = None
    weight_step: float | None = None
    weight_most: float | None = None
    saturated: int | None = None


class InputsUsed(_Part):
    """Active synapses of the inputs at the end, each number of `per` neighbouring inputs together."""

    per: int
    synapses: list[int]


class Connectivity(_Part):
    """Synapses; `rewired` counts arrivals.

    `least_active` is the fewest after any rewiring of the run, None where there was none; `most_active` the most after any step.
    `active` is at the end; with a period above 1 it may be lower, as some slots wait for the next rewiring.
    `unplaced` planned connections found no place at the start, `unplaced_by` says which limits bound. `unfilled` slots found
    no position in the last rewiring, or at the start where there was none; `unfilled_by` says which limits kept slots from the free
    positions, over all rewirings: (rewiring, slot) pairs, several limits may bind at once.
    """

    active: int
    possible: int
    fraction: float
    rewired: int
    least_active: int | None
    most_active: int
    unplaced: int = 0
    unplaced_by: dict[str, int] = {}
    unfilled: int
    unfilled_by: dict[str, int] = {}
    matrices: list[MatrixUsed]
    inputs: InputsUsed | None = None


class UsedOfLimit(_Part):
    used: int
    limit: int | None


class RowsUsed(UsedOfLimit):
    """A count of rows that the run keeps within its limit at every step; `used` is at the end, `peak` the most."""

    peak: int


class MemoryUsed(UsedOfLimit):
    """Bytes of local memory, in sections that add up to `used`; `spilled` are sections that moved to shared memory, beside them."""

    sections: dict[str, int]
    spilled: dict[str, int] = {}


class Core(_Part):
    """One core. `energy_j` is the priced part; `traffic_bytes` are reads plus writes.

    `packets` has ``sent`` and ``received``; ``hops`` of those sent, where the profile states a grid, and those that went ``offchip``.

    `rows` holds what the chip limits of ``in_axons``, ``out_axons`` and ``words``. `stored_bytes` is all that the core keeps by itself: its local memory, and
    its synapses in cells, lists or words of neurons; `events` are counts by phase and kind. Both are None in records of earlier versions.
    """

    id: int
    n_neurons: int
    synapses: UsedOfLimit
    memory_bytes: MemoryUsed
    stored_bytes: int | None = None
    events: dict[str, dict[str, int]] | None = None
    energy_j: float
    energy_by_phase_j: dict[str, float]
    traffic_bytes: int
    traffic_by_phase_bytes: dict[str, int]
    packets: dict[str, int]
    busy_s: float
    rows: dict[str, RowsUsed] = {}


class EnergyRow(_Part):
    """`count` events at `price_j` each; None: not priced. Core -1 is the chip beside its cores."""

    core: int
    phase: str
    component: str
    count: int
    price_j: float | None
    energy_j: float | None


class PublishedPrice(_Part):
    """Another published value of a price, in the unit of the row, and the total energy with it."""

    value: float
    source: str
    note: str
    total_j: float


class Sensitivity(_Part):
    """What the total would be with one price changed: 20 % lower, 20 % higher, or as published elsewhere."""

    price: str
    value: float
    unit: str
    energy_j: float
    share: float
    total_low_j: float
    total_high_j: float
    published: list[PublishedPrice]


class Energy(_Part):
    """Energy of the modelled chip. With `complete` false, `total_j` is a lower bound and `unpriced` says why.

    `by_phase_range_j` is least and most of the loops of a program over the settings of the compiler.
    """

    total_j: float
    complete: bool
    unpriced: list[str]
    by_phase_j: dict[str, float]
    by_component_j: dict[str, float]
    by_phase_range_j: dict[str, list[float]] = {}
    per_sample_j: float
    rows: list[EnergyRow]
    sensitivity: list[Sensitivity] = []


class TrafficRow(_Part):
    core: int
    phase: str
    section: str
    level: str
    read_bytes: int
    write_bytes: int


class Traffic(_Part):
    """Bytes read and written by the chip; host transfer is under `by_level` as ``host``."""

    read: int
    write: int
    by_phase: dict[str, int]
    by_level: dict[str, int]
    by_level_and_phase: dict[str, dict[str, int]]
    rows: list[TrafficRow]


class Timing(_Part):
    """`epoch_s`, `evaluation_s`: this computer. `model_*`: the modelled chip, a lower bound unless complete.

    `model_by_phase_s` has ``packets`` and ``barriers`` beside the phases; `model_by_phase_range_s` is least and most over the settings of the
    compiler, where cycles are derived from a program.
    """

    epoch_s: list[float]
    evaluation_s: list[float]
    model_s_per_sample: float | None
    model_training_s: float | None
    model_complete: bool
    model_unmodelled: list[str]
    model_by_phase_s: dict[str, float] = {}
    model_by_phase_range_s: dict[str, list[float]] = {}


class Recovery(_Part):
    """What a phase took until its accuracy was `accuracy`: 95 % of that at the end of the ``first`` phase, or of its ``own`` at its end.

    All but `n_arrived` are counted in whole epochs; energy and bytes are those of the phase in the proportion of its samples. None: it never was.
    """

    of: str
    accuracy: Fraction
    n_epochs: int | None
    n_samples: int | None
    energy_j: float | None
    traffic_bytes: int | None
    n_arrived: int | None


class Likeness(_Part):
    """How alike the connections of a matrix at the end of a phase are to those at the end of the phase before, and of the first one.

    `overlap` is the part of the connections then that are still there; `correlation` Pearson's, of the weights of all possible connections.
    """

    overlap_before: Fraction | None = None
    correlation_before: float | None = None
    overlap_first: Fraction | None = None
    correlation_first: float | None = None


class PhaseUsed(_Part):
    """One phase. Its counts, bytes and joules are those between its ends: the phases add up to the run, evaluation after each epoch included."""

    name: str
    task: dict[str, Any]
    dataset: str
    sha256: str
    first_epoch: int
    n_epochs: int
    n_steps: int
    n_samples: int
    n_arrived: int
    n_released: int
    energy_j: float
    training_energy_j: float
    traffic_bytes: int
    model_training_s: float | None
    events: dict[str, dict[str, int]]
    recovery: list[Recovery]
    weights: list[Likeness]


class ControlUsed(_Part):
    """The same epochs from the same start with the first task in all phases, trained beside the run and not charged."""

    per_epoch: list[Fraction]
    accuracy: list[list[Fraction]]
    weights: list[list[Likeness]]


class PhasesUsed(_Part):
    """A run over several tasks: ``accuracy[i][j]`` is that on the samples of task j at the end of phase i, measured beside the run and not charged.

    `average_accuracy` is over the tasks seen, at the end; `forgetting` and `backward_transfer` over those before the last.
    """

    names: list[str]
    accuracy: list[list[Fraction]]
    average_accuracy: Fraction
    forgetting: float | None
    backward_transfer: float | None
    phases: list[PhaseUsed]
    control: ControlUsed | None = None


class RunRecord(_Part):
    """One finished run; `n_trained` are samples that it was trained on, with repetition."""

    schema_: str = Field(default=SCHEMA, alias="schema")
    scenario: dict[str, Any]
    seed: int
    profile: ProfileUsed
    dataset: DatasetUsed
    accuracy: Accuracy
    epochs: list[Epoch]
    connectivity: Connectivity
    cores: list[Core]
    energy: Energy
    traffic_bytes: Traffic
    events: dict[str, dict[str, int]]
    metrics: dict[str, Any]
    verdict: dict[str, Any]
    timing: Timing
    environment: dict[str, Any]
    classes: ClassesUsed | None = None
    warnings: list[str] = []
    phases: PhasesUsed | None = None
    n_trained: int | None = None

    @property
    def n_samples_trained(self):
        """Samples that the run trained on, with repetition; older records do not say it, their epochs were whole ones."""
        return self.dataset.n_train * len(self.epochs) if self.n_trained is None else self.n_trained

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)
