"""What a rewiring rule is: who leaves, and who arrives."""

from dataclasses import dataclass
from typing import Annotated, Callable, ClassVar

import numpy as np
from pydantic import BeforeValidator, Field

# Types of hyper-parameters. Upper ends: far above any use, and far below the end of float32.
PositiveInt = Annotated[int, Field(ge=1)]
NonNegative = Annotated[float, Field(ge=0, le=1e9)]
Fraction = Annotated[float, Field(gt=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]
#: One number for all weight matrices, or one for each.
ByMatrix = NonNegative | Annotated[tuple[NonNegative, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]


@dataclass(frozen=True)
class Moment:
    """One moment of rewiring, as a rule sees it.

    Attributes
    ----------
    step, n_steps : int
        Steps done, the one just made included, and steps of the whole run.
    learning_rate : float
        Of that step.
    key : int
        Key of the proposals of this moment, uint64.
    noise_key : int
        Key of further noise of this moment, uint64.
    state : dict of str to ndarray
        What `Rule.first_state` returned; written in place by the rule, and kept in checkpoints.
    dense_gradient : callable
        ``dense_gradient(segment)``: mean dE/dweight over the batch of the step just made, of every position of a segment: float32
        array, shape (positions,), in the order of `SynapseStore.place`. Each call is charged.
    """

    step: int
    n_steps: int
    learning_rate: float
    key: int
    noise_key: int
    state: dict
    dense_gradient: Callable


@dataclass(frozen=True)
class Rule:
    """A rewiring rule; its fields are its hyper-parameters, and their defaults live here alone.

    A rule answers two questions, `leaving` and `arriving`, every `period` steps. What else a simulator and a chip must
    know about it are the plain class attributes below.

    A field's type may carry its range: ``Annotated[float, pydantic.Field(ge=0)]``. A ``__post_init__`` that raises
    ``ValueError("key: what is wrong")`` refuses values that contradict each other.

    Attributes
    ----------
    period : int
        Steps between rewirings.
    theta_born : float
        Strength of an arrival.
    l1 : float or tuple of float
        Strength of a constant pull of every weight towards zero, of all matrices or of each.
    signs : {'free', 'constant'}
        Whether weights learn their signs or keep that of their position.
    rewires : bool
        Whether anybody ever leaves. A rule that does not rewire needs no random numbers on the chip.
    is_compiled : bool
        Whether both questions are answered inside the compiled step, as DEEP R does it; `rewire` is then not called.
    searches : bool
        Whether smallest or largest values are searched for; the counters of the search are charged.
    has_places : bool
        Whether every possible connection has a slot of its own, charged for all of them and without indices.
    starts_dense : bool
        Whether all possible connections are active at the start. Needs `has_places`.
    has_dense_gradient : bool
        Whether gradients of all possible connections are taken; one accumulator each is charged.
    is_strict : bool
        Whether there are never more active connections than promised.
    picks_matrices : bool
        Whether it can leave some weight matrices alone (`SynapseStore.plan.free_matrices`).
    """

    # Without types: no fields yet, and a rule that makes one of them a field decides its place.
    period = 1
    theta_born = 0.0
    l1 = 0.0
    signs: ClassVar[str] = "free"
    rewires: ClassVar[bool] = True
    is_compiled: ClassVar[bool] = False
    searches: ClassVar[bool] = False
    has_places: ClassVar[bool] = False
    starts_dense: ClassVar[bool] = False
    has_dense_gradient: ClassVar[bool] = False
    is_strict: ClassVar[bool] = True
    picks_matrices: ClassVar[bool] = False

    def step_noise(self, learning_rate):
        """Standard deviation of the noise of one step."""
        return 0.0

    def next_rewiring(self, step, n_steps):
        """Number of steps after which connections move next, when `step` are done; None for never."""
        if self.is_compiled or not self.rewires:
            return None
        return (step // self.period + 1) * self.period

    def first_state(self, store, learning_rate, key):
        """Arrays that the rule keeps between its moments: dict of str to ndarray.

        `learning_rate` is that of the first epoch, `key` an uint64 key for first draws.
        """
        return {}

    def rewire(self, store, moment):
        """Exchange connections; returns how many slots found no feasible position."""
        store.release(self.leaving(store, moment))
        return self.arriving(store, moment)

    def leaving(self, store, moment):
        """Slots that are given up: int64 array."""
        return np.empty(0, np.int64)

    def arriving(self, store, moment):
        """Put new connections into free slots; returns how many slots stay free. By default anywhere, uniformly."""
        return store.fill(moment.key, self.theta_born)
