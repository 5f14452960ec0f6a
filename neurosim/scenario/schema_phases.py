"""The parts of a scenario that say how what is learned changes, and what a run starts from."""

from typing import Annotated

from pydantic import BeforeValidator, Field, model_validator

from neurosim.documents import Strict, WrongKey, as_tuple
from neurosim.scenario.schema_network import DatasetChoice
from neurosim.scenario.schema_types import Positive, PositiveInt

TaskSeed = Annotated[int, Field(ge=0, lt=2**63)]


def _written_out(value):
    return {"name": value} if isinstance(value, str) else value


class PhaseChoice(Strict):
    """One phase: a task, which inherits all that it does not say.

    Attributes
    ----------
    name : str
    epochs : int
    learning_rate : float, optional
        Of its first epoch, instead of `training.learning_rate`; where that is one for each matrix, of the first one, in their proportion.
    relabel : int, optional
        Seed of a permutation of the classes.
    permute_inputs : int, optional
        Seed of a permutation of the features.
    classes : tuple of int, optional
        Numbers of the classes whose samples are learned.
    dataset : DatasetChoice, optional
        Other samples of the same sizes.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_. -]{0,39}$")]
    epochs: PositiveInt
    learning_rate: Positive | None = None
    relabel: TaskSeed | None = None
    permute_inputs: TaskSeed | None = None
    classes: Annotated[tuple[Annotated[int, Field(ge=0)], ...], as_tuple] | None = None
    dataset: Annotated[DatasetChoice, BeforeValidator(_written_out)] | None = None

    @property
    def change(self):
        """What makes its task another one: dict, without what is not said."""
        return {key: value for key in ("relabel", "permute_inputs", "classes") if (value := getattr(self, key)) is not None}

    @model_validator(mode="after")
    def _check(self):
        if self.classes is not None and (not self.classes or len(set(self.classes)) < len(self.classes)):
            raise WrongKey(["classes"], f"found {list(self.classes)}; expected class numbers, each once, such as [0, 1]")
        return self


Phases = Annotated[tuple[PhaseChoice, ...], as_tuple]


def with_epochs(data):
    """A scenario as it was written, with the epochs of all its phases as `training.epochs`, unless something else stands there."""
    phases, training = data.get("phases"), data.get("training")
    if not isinstance(phases, (list, tuple)) or not (training is None or isinstance(training, dict)) or "epochs" in (training or {}):
        return data
    counts = [phase.get("epochs") if isinstance(phase, dict) else getattr(phase, "epochs", None) for phase in phases]
    if not counts or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in counts):
        return data
    return {**data, "training": {**(training or {}), "epochs": sum(counts)}}


def check_phases(scenario):
    """Refuse phases that contradict the rest of a scenario.

    Raises
    ------
    WrongKey
    """
    phases, training = scenario.phases, scenario.training
    if phases is None:
        for keys, value in ((["rewiring", "horizon"], scenario.rewiring.horizon), (["training", "schedule", "restart"], training.schedule.restart)):
            if value is not None:
                raise WrongKey(keys, f"found {value} in a scenario without phases; leave it out")
        if scenario.control:
            raise WrongKey(["control"], "found true in a scenario without phases, which has nothing to control for; leave it out")
        return
    if not phases:
        raise WrongKey(["phases"], "found no phase; expected at least one, or leave it out")
    names = [phase.name for phase in phases]
    if twice := next((i for i, name in enumerate(names) if name in names[:i]), None):
        raise WrongKey(["phases", twice, "name"], f"found {names[twice]} twice; give each phase a name of its own")
    total = sum(phase.epochs for phase in phases)
    if training.epochs != total:
        raise WrongKey(["training", "epochs"], f"found {training.epochs} beside phases of {total} epochs; leave it out: phases say how long they are")
    if training.keep == "best":
        raise WrongKey(["training", "keep"], "found best beside phases, whose epochs learn different tasks; use last")
    for i, phase in enumerate(phases):
        choice = phase.dataset or scenario.dataset
        if phase.permute_inputs is not None and choice.augment is not None:
            raise WrongKey(
                ["phases", i, "permute_inputs"], "found beside dataset.augment: pixels that are permuted are no image; leave one of them out"
            )
