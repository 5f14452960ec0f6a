"""soft DEEP R without a loss: its rule, store and kernels against the exact stationary law of one connection."""

import math
from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError
from neurosim.kernels.drift import walk_soft
from neurosim.kernels.train import StepRule
from neurosim.random import Stream, stream_key
from neurosim.rewiring import SoftDeepR
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore
from neurosim.validation import laws
from neurosim.validation.posterior import BAND, SIGMAS, mean_and_error, prompt_calls, ratio_and_error

#: Connections, each a copy: without a loss they do not know of each other.
_SIDE = 48
#: p^2 alpha sqrt(eta / 2T), to which the bias of the step is proportional, of the documented case with the largest step: p = 0.2,
#: alpha = 0.1, T = 0.01, eta = 0.1. There the step makes 0.009 of the band.
_DOCUMENTED_BIAS = 0.2**2 * 0.1 * math.sqrt(0.1 / 0.02)
_BURN_IN, _COUNTED, _LEAST_STEPS = 10, 100, 2_000
#: (step, connection) pairs, about 15 ns each.
_MOST_WORK = 5e10


@dataclass(frozen=True)
class SoftPlan:
    """What is simulated: expected active fraction p, alpha, T, eta, seed, and counted steps (100 relaxation times without).

    Raises
    ------
    InputError
        On construction: one line that names the option.
    """

    fraction: float = 0.2
    l1: float = 0.1
    temperature: float = 0.01
    step_size: float = 0.03
    seed: int = 0
    n_steps: int | None = None

    def __post_init__(self):
        if not 0 < self.fraction < 1:
            raise InputError(f"--fraction: found {self.fraction:g}; expected a number between 0 and 1")
        for name, value in (("l1", self.l1), ("temperature", self.temperature), ("step-size", self.step_size)):
            if not (math.isfinite(value) and 1e-12 <= value <= 1e6):
                raise InputError(f"--{name}: found {value:g}; expected a number above 0, 1e-12 to 1e6")
        if not 0 <= self.seed < 2**64:
            raise InputError(f"--seed: found {self.seed}; expected 0 or more, at most 64 bits")
        if self.n_steps is not None and self.n_steps < 1:
            raise InputError(f"--steps: found {self.n_steps}; expected at least 1")
        n_nodes = laws.soft_n_nodes(self.l1, self.temperature, self.step_size, self.theta_min)
        work = (self.counted + self.burn_in) * _SIDE**2
        if n_nodes > laws.SOFT_MOST_NODES or work > _MOST_WORK:
            raise InputError(
                f"--step-size {self.step_size:g}: a connection forgets its past in {self.relaxation:.3g} steps; "
                "take a larger step, more l1, a lower temperature or a larger fraction"
            )

    @property
    def theta_min(self):
        """-T (1 - p) / (alpha p): Bellec et al. 2018, algorithm 2."""
        return -self.temperature * (1 - self.fraction) / (self.l1 * self.fraction)

    @property
    def relaxation(self):
        """Steps in which a connection forgets: the slower of the pull above 0, 4 T / alpha^2, and of the walk below it."""
        above = 4 * self.temperature / self.l1**2
        below = 4 * self.theta_min**2 / (math.pi**2 * self.temperature)
        return max(above, below) / self.step_size

    @property
    def burn_in(self):
        """Steps of each copy before counting."""
        return math.ceil(_BURN_IN * self.relaxation)

    @property
    def counted(self):
        """Counted steps of each copy."""
        return self.n_steps or max(math.ceil(_COUNTED * self.relaxation), _LEAST_STEPS)

    @property
    def band(self):
        """Allowed distance of the probability from the small-step limit; it grows with the known bias of the step."""
        bias = self.fraction**2 * self.l1 * math.sqrt(self.step_size / (2 * self.temperature))
        return BAND * max(1.0, bias / _DOCUMENTED_BIAS)


#: The cases of docs/validation.md.
DOCUMENTED_SOFT = (SoftPlan(step_size=0.1), SoftPlan(step_size=0.03))


def simulate_soft(plan, kernel=walk_soft):
    """Run independent connections through the store and the rule.

    Returns
    -------
    n_active, theta : int64 and float64 arrays, shape (copies,)

    Raises
    ------
    RuntimeError
        The store is not in canonical form afterwards.
    """
    n = _SIDE**2
    n_first = round(plan.fraction * n)
    segment = SegmentPlan(0, 0, 0, _SIDE, n_first, n)
    home = (-1,) * _SIDE + (0,) * _SIDE
    rule = SoftDeepR(l1=plan.l1, temperature=plan.temperature, theta_min=plan.theta_min)
    matrix = MatrixPlan(_SIDE, _SIDE, 0, _SIDE)
    store = SynapseStore.random(StorePlan((matrix,), (segment,), "core", home, 1, signs=rule.signs, is_strict=rule.is_strict), plan.seed)
    dormant = rule.first_state(store, plan.step_size, stream_key(plan.seed, Stream.INITIAL_THETA))["dormant"]
    steps = StepRule(
        eta=np.float32(plan.step_size),
        l1=np.float32(rule.l1),
        noise_std=np.float32(rule.step_noise(plan.step_size)),
        theta_born=np.float32(rule.theta_born),
        period=rule.period,
        noise_key=np.uint64(stream_key(plan.seed, Stream.NOISE)),
        proposal_key=np.uint64(stream_key(plan.seed, Stream.PROPOSAL)),
        has_free_signs=not rule.is_compiled,
    )
    lowest = rule.lowest(store, plan.step_size)
    n_active, theta = np.zeros(n, np.int64), np.zeros(n)
    for first, length in ((0, plan.burn_in), (plan.burn_in, plan.counted)):
        n_active[:], theta[:] = 0, 0.0
        for start, n_steps in prompt_calls(first, length):
            kernel(store.slots, store.segments, store.matrices, store.tally, dormant, lowest, steps, start, n_steps, n_active, theta)
    wrong = store.violations()
    if wrong:
        raise RuntimeError(f"the store breaks its promise: {wrong[0]}")
    return n_active, theta


def validate_soft(plan, *, kernel=walk_soft):
    """Simulate and compare.

    Parameters
    ----------
    plan : SoftPlan
    kernel : callable
        What runs the steps, with the arguments of `kernels.drift.walk_soft`.

    Returns
    -------
    dict
        Plain data: the plan, ``band``, ``active`` and ``theta`` with theory, correction, finite step, simulation and standard error, and
        ``verdict``: ``inside``, ``outside`` or ``not resolved``. Source: Bellec et al. 2018, algorithm 2; see `validation.laws`.
    """
    n_active, theta = simulate_soft(plan, kernel)
    numbers = (plan.l1, plan.temperature, plan.step_size, plan.theta_min)
    limit = laws.soft_limit_law(plan.l1, plan.temperature, plan.theta_min)
    exact = laws.soft_finite_step_law(*numbers)
    found = mean_and_error(n_active / plan.counted), ratio_and_error(theta, n_active)
    inside = [abs(value - exact[i]) <= SIGMAS * error + 1e-6 for i, (value, error) in enumerate(found)]
    inside[0] = inside[0] and abs(found[0][0] - limit[0]) <= plan.band
    active, mean = (
        {
            "theory": limit[i],
            "finite_step": exact[i],
            "simulated": float(found[i][0]),
            "standard_error": float(found[i][1]),
            "inside": bool(inside[i]),
        }
        for i in range(2)
    )
    verdict = "outside"
    if all(inside):
        verdict = "not resolved" if active["standard_error"] > plan.band / SIGMAS else "inside"
    return {
        "case": "soft_deep_r",
        "source": "Bellec et al. 2018, algorithm 2",
        "fraction": plan.fraction,
        "l1": plan.l1,
        "temperature": plan.temperature,
        "step_size": plan.step_size,
        "theta_min": plan.theta_min,
        "seed": plan.seed,
        "copies": len(n_active),
        "steps": plan.counted,
        "burn_in": plan.burn_in,
        "band": plan.band,
        "sigmas": SIGMAS,
        "active": {**active, "corrected": laws.soft_step_correction(*numbers[:3], plan.theta_min)},
        "theta": mean,
        "verdict": verdict,
    }
