"""What a scenario file says: the experiment, complete, in one page.

Every key has a default except the name, the data set, the sizes of the network and the profile.
"""

import sys
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from neurosim.documents import Called, Document, Strict, WrongKey, as_tuple, validate
from neurosim.networks import METHODS
from neurosim.networks.optimizers import NUMBERS, OPTIMIZERS
from neurosim.placement.programs import PROGRAMS
from neurosim.rewiring import RULES
from neurosim.scenario.formats import parse_weight_format
from neurosim.scenario.rules import RewiringChoice, keys_of
from neurosim.scenario.schema_network import DatasetChoice, Network
from neurosim.scenario.schema_phases import Phases, check_phases, with_epochs
from neurosim.scenario.schema_types import Decay, Positive, PositiveInt, PowerOfTwo


def _check_weight_format(name):
    parse_weight_format(name)
    return name


def _flatten(numbers):
    """Nested mappings as one with dotted keys, without what is null; a record is its value."""
    if not isinstance(numbers, dict):
        return {} if numbers is None else numbers
    flat = {}
    for key, value in numbers.items():
        value = value["value"] if isinstance(value, dict) and set(value) <= {"value", "unit"} and "value" in value else value
        below = {f"{key}.{name}": one for name, one in _flatten(value).items()} if isinstance(value, dict) else {key: value}
        if twice := next((name for name in below if name in flat), None):
            raise ValueError(f"{twice} stands twice")
        flat.update({name: one for name, one in below.items() if one is not None})
    return flat


class Hardware(Strict):
    """The chip and how the network lies on it.

    Attributes
    ----------
    profile : str
        Name of a bundled profile, or the path of a profile file.
    cores : int or 'auto'
        Cores used; ``auto`` takes the fewest that fit.
    placement : str
        How many neurons of each population a core holds: ``contiguous`` ranges of all over all cores, ``balanced`` to the fewest synapses on the
        fullest core, or for the least ``traffic`` between cores; see `neurosim.placement.arrange`.
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
    override : dict of str to number or text
        Numbers of the profile that are others here, by dotted key, such as ``{"storage.local_bytes": "32 KiB"}``; see
        `neurosim.hardware.numbers`.
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
    program : str, optional
        Of a spiking network: what the chip keeps so that it can learn (`neurosim.placement.programs`); that of its learning method when left out.
    trace_cutoff : int, optional
        Of program ``eprop_spike``: steps for which a trace is followed; until it has lost 99 % when left out.
    weight_range : float, tuple of float or 'auto'
        Of ``intN``: full scale of all matrices or of each, a power of two just above the largest strength.
    """

    profile: Annotated[str, Field(min_length=1)]
    cores: Annotated[int, Field(ge=1, le=10**6)] | Literal["auto"] = "auto"
    placement: Literal["contiguous", "balanced", "traffic"] = "contiguous"
    execution: Literal["scan", "event_driven"] = "scan"
    headroom: Annotated[float, Field(ge=0, le=10)] = 0.0
    code_bytes: PositiveInt | None = None
    price_set: Annotated[str, Field(min_length=1)] | None = None
    corner: Annotated[str, Field(min_length=1)] | None = None
    override: Annotated[dict[str, int | float | str], BeforeValidator(_flatten)] = {}
    learning: Literal["chip", "host"] = "chip"
    on_violation: Literal["refuse", "report"] = "refuse"
    weight_format: Annotated[str, AfterValidator(_check_weight_format)] = "float32"
    rounding: Literal["nearest", "stochastic"] = "nearest"
    master: Literal["none", "float32"] = "none"
    program: Literal[*PROGRAMS] | None = None
    trace_cutoff: PositiveInt | None = None
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
    """Course of the learning rate over the epochs; see `neurosim.training.Schedule`.

    `restart` says, of a scenario with phases, whether it begins anew in every ``phase``, which it does when left out, or runs over the ``run``.
    """

    kind: Literal["constant", "step", "exponential", "cosine"] = "constant"
    factor: Annotated[float, Field(gt=0, le=1)] | None = None
    milestones: Annotated[tuple[PositiveInt, ...], as_tuple] | None = None
    restart: Literal["phase", "run"] | None = None

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


def learning_of(training):
    """Keyword arguments of `neurosim.networks.Spiking` that the keys of the training decide: dict from dict."""
    keys = ("method", "feedback", "feedback_decay", "rate_cost", "rate_target")
    return {key: training[key] for key in keys if training.get(key) is not None}


class Training(Strict):
    """How the weights learn.

    Attributes
    ----------
    epochs, batch_size : int
    epoch_samples : int, optional
        Samples of an epoch, instead of all: the shuffled training set is passed through in such parts, so that it is evaluated more often.
    optimizer : str
        Stochastic gradient descent, plain, with momentum, or with Adam; see `neurosim.training.Optimizer`.
    momentum : float, optional
        Of ``momentum``; 0.9 when left out.
    beta1, beta2, epsilon : float, optional
        Of ``adam``; 0.9, 0.999 and 1e-8 when left out.
    learning_rate : float, tuple of float or 'auto'
        Of epoch 0, for the mean gradient of a batch: for all weight matrices, or for each, and then biases take the first; ``auto`` takes
        what suits the mean fan-in, see `neurosim.scenario.learning`.
    keep : str
        Weights at the end: those of the ``last`` epoch, or of the ``best`` one on the validation set.
    schedule : ScheduleChoice
    window : int, optional
        Of a recurrent network: steps through which errors flow back; all when left out.
    method : str
        Of a spiking network: how it learns (`neurosim.networks.METHODS`); ``bptt`` when left out, as of all other networks.
    feedback : str, optional
        Of a method that is not ``bptt``: what leads errors of the outputs to the neurons: ``symmetric`` the weights of the read-out, which it is when
        left out, ``random`` fixed numbers, ``adaptive`` ones that take the updates of the read-out.
    feedback_decay : float, optional
        Of ``adaptive`` feedback: part of it, and of the read-out, that decays with each update; 0 when left out.
    rate_cost, rate_target : float, optional
        Of a spiking network: see `neurosim.networks.Spiking`; no cost when left out.
    clip : float, optional
        Largest norm of the mean gradient of a batch; not clipped when left out.
    """

    epochs: PositiveInt = 10
    batch_size: Annotated[int, Field(ge=1, le=2**20)] = 10
    epoch_samples: PositiveInt | None = None
    optimizer: Literal[*OPTIMIZERS] = "sgd"
    momentum: Decay | None = None
    beta1: Decay | None = None
    beta2: Decay | None = None
    epsilon: Annotated[float, Field(ge=1e-30, le=1)] | None = None
    learning_rate: Positive | Annotated[tuple[Positive, ...], as_tuple] | Literal["auto"] = 0.5
    keep: Literal["last", "best"] = "last"
    schedule: ScheduleChoice = ScheduleChoice()
    window: PositiveInt | None = None
    clip: Positive | None = None
    method: Literal[*METHODS] | None = None
    feedback: Literal["symmetric", "random", "adaptive"] | None = None
    feedback_decay: Annotated[float, Field(ge=0, lt=1)] | None = None
    rate_cost: Positive | None = None
    rate_target: Annotated[float, Field(ge=0, le=1)] | None = None

    @property
    def optimizer_numbers(self):
        """The numbers of the optimizer that are given, by name."""
        return {key: getattr(self, key) for key in OPTIMIZERS[self.optimizer].keys if getattr(self, key) is not None}

    @property
    def spiking_keys(self):
        """See `learning_of`."""
        return learning_of(self.model_dump())

    @model_validator(mode="after")
    def _check(self):
        known = METHODS[self.method or "bptt"].feedbacks
        if self.feedback is not None and self.feedback not in known:
            raise WrongKey(
                ["feedback"], f"found {self.feedback} with method {self.method or 'bptt'}, whose errors go back along the weights; leave it out"
            )
        if self.feedback_decay is not None and self.feedback != "adaptive":
            raise WrongKey(["feedback_decay"], f"found with feedback {self.feedback or 'symmetric'}, which does not learn; leave it out")
        if (self.rate_cost is None) != (self.rate_target is None):
            raise WrongKey(["rate_cost" if self.rate_cost is None else "rate_target"], "missing; the other of rate_cost and rate_target is given")
        for key in NUMBERS:
            if key not in OPTIMIZERS[self.optimizer].keys and getattr(self, key) is not None:
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


#: Keys whose change begins a part anew, as its other keys belong to the old value; and keys of which only one may stand.
_KINDS = ("rule", "type")
_ALTERNATIVES = ({"connectivity", "synapses"},)


def _merged(part, changes):
    """A part of a scenario with some keys changed; see `Scenario.with_`."""
    if any(key in changes and changes[key] != part.get(key) for key in _KINDS):
        return {key: value for key, value in changes.items() if value is not None}
    gone = {other for group in _ALTERNATIVES if group & set(changes) for other in group - set(changes)}
    gone |= {key for key, value in changes.items() if value is None}
    return {key: value for key, value in {**part, **changes}.items() if key not in gone}


class Scenario(Called):
    """One experiment: what is learned, by which network, on which chip, how.

    Parts may be written short: a data set and a chip by their names, a perceptron by its layers, which then takes as many connections as
    the chip's budgets allow.

    Attributes
    ----------
    start_from : str, optional
        Weights to start from, instead of drawn ones: a file with a network (.onnx, .npz, .nir) or the folder of a finished run. The largest
        weights that the budgets hold are taken.

    Examples
    --------
    >>> scenario = Scenario(name="mine", dataset="digits", network=[64, 100, 10], hardware="loihi1")
    >>> scenario.network.connectivity, scenario.with_(training={"epochs": 3}).training.epochs
    ('fit', 3)
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,79}$")]
    description: str = ""
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    dataset: DatasetChoice
    network: Network
    hardware: Hardware
    training: Training = Training()
    rewiring: RewiringChoice = keys_of("deep_r", RULES["deep_r"])()
    phases: Phases | None = None
    control: bool = False
    start_from: Annotated[str, Field(min_length=1)] | None = None
    report: Report = Report()

    @model_validator(mode="before")
    @classmethod
    def _write_out(cls, data):
        """The short forms of parts, written out."""
        if not isinstance(data, dict):
            return data
        forms = {
            "dataset": (str, lambda name: {"name": name}),
            "hardware": (str, lambda profile: {"profile": profile}),
            "network": ((list, tuple), lambda layers: {"layers": list(layers), "connectivity": "fit"}),
        }
        short = {key: form(data[key]) for key, (kind, form) in forms.items() if isinstance(data.get(key), kind)}
        return with_epochs({**data, **short} if short else data)

    def with_(self, **changes):
        """A copy with some keys changed, validated again.

        Parameters
        ----------
        **changes
            Values by key. The keys of a part are merged into it: ``training={"epochs": 3}`` keeps its other keys, and None puts a key back to
            its default. Another rule or another type of network begins its part anew; `connectivity` and `synapses` replace each other.

        Returns
        -------
        Scenario

        Raises
        ------
        InputError
            One line.

        Examples
        --------
        >>> Scenario(name="a", dataset="digits", network=[64, 10], hardware="loihi1").with_(seed=3).seed
        3
        """
        data = self.model_dump(mode="json", exclude_unset=True)
        if (changes.get("phases") or self.phases) and isinstance(data.get("training"), dict):
            data["training"].pop("epochs", None)  # it is the sum of those of the phases
        for key, value in changes.items():
            part = data.get(key)
            data[key] = _merged(part, value) if isinstance(part, dict) and isinstance(value, dict) else value
        module = sys.modules.get(self.rewiring.rule_class.__module__)
        document = Document(data=data, path=self.name, text="", is_text=False)
        return validate(type(self), document, what="scenario", context={"plugins": [module]})

    @model_validator(mode="after")
    def _check(self):
        if self.hardware.placement != "contiguous" and self.hardware.cores == "auto":
            if self.network.connectivity == "fit" or self.network.has_open_layers:
                raise WrongKey(
                    ["hardware", "cores"], f"found auto with placement {self.hardware.placement} and a size of fit; give a number of cores"
                )
        if self.rewiring.scope != "core" and self.hardware.headroom == 0:
            raise WrongKey(
                ["hardware", "headroom"],
                f"found 0 with rewiring.scope {self.rewiring.scope}: synapses cannot move to a full segment; try 0.25",
            )
        self._check_recurrence()
        check_phases(self)
        if self.training.keep == "best" and self.dataset.validation_fraction is None:
            raise WrongKey(
                ["training", "keep"],
                "found best without a validation set, on which epochs are compared; set dataset.validation_fraction, such as 0.1",
            )
        n = len(self.network.matrices)
        if isinstance(self.hardware.weight_range, tuple) and len(self.hardware.weight_range) != n:
            found = len(self.hardware.weight_range)
            raise WrongKey(["hardware", "weight_range"], f"found {found} numbers; expected one number or {n}, one per weight matrix")
        rule = self.rewiring.rule_class
        self._check_matrices(n)
        self._check_signs()
        if self.hardware.format.is_rounded and rule.has_places and not rule.starts_dense:
            raise WrongKey(
                ["hardware", "weight_format"],
                f"found {self.hardware.weight_format} with rule {self.rewiring.rule}, whose dormant parameters have no format here; use float32",
            )
        return self

    def _check_matrices(self, n):
        """What is said matrix by matrix."""
        rewiring, rule = self.rewiring, self.rewiring.rule_class
        for part, key, value in (("training", "learning_rate", self.training.learning_rate), ("rewiring", "l1", getattr(rewiring, "l1", None))):
            if isinstance(value, tuple) and len(value) != n:
                raise WrongKey([part, key], f"found {len(value)} numbers; expected one number or {n}, one per weight matrix")
        if isinstance(self.training.learning_rate, tuple) and rule.has_places and not rule.starts_dense:
            raise WrongKey(
                ["training", "learning_rate"], f"found {n} numbers with rule {rewiring.rule}, whose dormant parameters have one rate; use one number"
            )
        if rewiring.matrices is None:
            return
        if not (rule.is_compiled or rule.picks_matrices):
            raise WrongKey(["rewiring", "matrices"], f"rule {rewiring.rule} works on all weight matrices; leave it out, or use deep_r or set")
        if not rewiring.matrices:
            raise WrongKey(["rewiring", "matrices"], "found no matrix; expected at least one, or choose rule static, under which none rewires")
        if rewiring.scope == "network":
            raise WrongKey(["rewiring", "matrices"], "found beside scope network, where a connection may move to any matrix; use scope core or layer")
        if wrong := [m for m in rewiring.matrices if m >= n]:
            raise WrongKey(["rewiring", "matrices"], f"found {wrong[0]}; expected numbers from 0 to {n - 1}, of {', '.join(self.network.matrices)}")

    def _check_signs(self):
        """Signs that neurons share must stay as they are."""
        if self.network.signs != "pre":
            return
        if self.rewiring.rule_class.signs != "constant":
            kept = [name for name, rule in RULES.items() if rule.signs == "constant"]
            raise WrongKey(
                ["network", "signs"], f"found pre with rule {self.rewiring.rule}, under which weights learn their signs; use rule {' or '.join(kept)}"
            )
        if self.rewiring.free_matrices(len(self.network.matrices)):
            raise WrongKey(["network", "signs"], "found pre beside rewiring.matrices: the others learn their signs; leave one of them out")

    def _check_recurrence(self):
        """What makes no sense with, or without, steps."""
        kind = self.network.type
        if self.network.is_spiking:
            self._check_spiking()
            return
        for key in ("program", "trace_cutoff"):
            if getattr(self.hardware, key) is not None:
                raise WrongKey(["hardware", key], f"a network of type {kind} does not spike; leave it out")
        for key in self.training.spiking_keys:
            raise WrongKey(["training", key], f"a network of type {kind} does not spike; leave it out")
        if not self.network.is_recurrent:
            if self.training.window is not None:
                raise WrongKey(["training", "window"], f"a network of type {kind} takes a sample in one step; leave it out, or choose lstm or rnn")
            if not self.network.has_maps:
                return
        by_maps = self.network.has_maps
        scan = (
            "an element of a kernel is used at every place, zero or not"
            if by_maps
            else "a state of zero still has an error, so its row cannot be left out"
        )
        rules = [("execution", "scan", scan)]
        if not by_maps:
            rules.append(("learning", "chip", "its states would have to reach the host at every step"))
        for key, plain, reason in rules:
            found = getattr(self.hardware, key)
            if found != plain:
                raise WrongKey(["hardware", key], f"found {found} with a network of type {kind}: {reason}; use {plain}")

    def _check_spiking(self):
        """What does not go together with spikes."""
        training, hardware = self.training, self.hardware
        method, feedback = METHODS[training.method or "bptt"], training.feedback or "symmetric"
        if hardware.trace_cutoff is not None and hardware.program != "eprop_spike":
            raise WrongKey(
                ["hardware", "trace_cutoff"], f"program {hardware.program or 'of the method'} does not use it; leave it out, or use eprop_spike"
            )
        if hardware.program is not None and hardware.learning == "host":
            raise WrongKey(["hardware", "program"], "found beside learning host, where the chip keeps nothing to learn by; leave it out")
        if training.window is not None and method.is_online:
            raise WrongKey(["training", "window"], f"method {method.name} keeps no past steps; leave it out, or use method bptt")
        if len(self.network.units) > 1 and not method.layer_errors and feedback != "random":
            raise WrongKey(
                ["training", "feedback"],
                f"found {feedback} with method {method.name} and {len(self.network.units)} layers, of which only the last has weights to the outputs; "
                "use random, one layer, or method bptt",
            )
        if method.instant_layers and self.network.readout != "every":
            raise WrongKey(
                ["network", "readout"],
                f"found {self.network.readout or 'mean'} with method {method.name}, which takes the errors of each step as they come; use every",
            )
        if method.instant_layers and len(self.network.units) > 1 and training.rate_cost is not None:
            raise WrongKey(
                ["training", "rate_cost"],
                f"found with method {method.name} and several layers, whose errors come from the outputs alone; leave it out",
            )
        if training.feedback_decay and hardware.format.is_rounded:
            raise WrongKey(["training", "feedback_decay"], f"found with weight_format {hardware.weight_format}, too narrow to decay; use float32")
