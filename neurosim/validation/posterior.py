"""Hard DEEP R under constant drift: the store and kernels that train, against the exact stationary law."""

import math
import time
from dataclasses import dataclass

import numpy as np

from neurosim.errors import InputError
from neurosim.kernels.drift import walk
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.train import StepRule
from neurosim.random import Stream, stream_key
from neurosim.rewiring import DeepR
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore
from neurosim.validation.laws import STEP_CORRECTION, finite_step_law, limit_law

#: Independent copies: the standard error of a mean over them needs no guess about correlation times.
N_REPLICAS = 128
#: Distance from the small-step limit that counts as the same algorithm, at the largest scaled drift of the documented
#: case (mu = 8, eta = 1e-3, T = 1), where the step size alone makes 0.0122 of it. That bias is proportional to
#: beta = mu sqrt(eta / 2T) in first order, so the band grows with beta beyond it, and never shrinks.
BAND = 0.015
_DOCUMENTED_BETA = 8 * math.sqrt(1e-3 / 2)
#: Distance from the law of the finite step, in standard errors.
SIGMAS = 5
#: Relaxation times of the slowest position before counting, and counted, unless the user says how many steps.
_BURN_IN, _COUNTED = 10, 100
_LEAST_STEPS = 20_000
#: (step, active connection) pairs of all copies, about 20 ns each: without --steps, and at most.
_MOST_WORK, _MOST_WORK_ASKED = 3e9, 5e10
_MOST_POSITIONS, _MOST_RATIO = 100, 1000.0
_SECONDS_A_CALL = 0.2


def parse_drift(text):
    """Numbers of a list such as ``1,2,4,8``: tuple of float. Raises `InputError`."""
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--drift: found {text!r}; expected numbers with commas between them, such as 1,2,4,8") from None


@dataclass(frozen=True)
class PosteriorPlan:
    """What is simulated.

    Attributes
    ----------
    drift : tuple of float
        mu = dE/dtheta + alpha of each position, above 0.
    n_active : int
        K, 1 to the number of positions.
    temperature, step_size : float
        T and eta, above 0.
    seed : int
    n_steps : int, optional
        Counted steps of each copy; without it, 100 relaxation times of the slowest position.

    Raises
    ------
    InputError
        On construction: one line that names the option.
    """

    drift: tuple
    n_active: int
    temperature: float = 1.0
    step_size: float = 1e-3
    seed: int = 0
    n_steps: int | None = None

    def __post_init__(self):
        n = len(self.drift)
        if not 2 <= n <= _MOST_POSITIONS:
            raise InputError(f"--drift: found {n} numbers; expected 2 to {_MOST_POSITIONS}, one per position")
        for name, value in (*(("drift", mu) for mu in self.drift), ("temperature", self.temperature), ("step-size", self.step_size)):
            if not (math.isfinite(value) and 1e-12 <= value <= 1e6):
                raise InputError(f"--{name}: found {value:g}; expected a number above 0, 1e-12 to 1e6")
        if max(self.drift) > _MOST_RATIO * min(self.drift):
            raise InputError(f"--drift: found {min(self.drift):g} and {max(self.drift):g}; expected a ratio of at most {_MOST_RATIO:g}")
        if not 1 <= self.n_active <= n:
            raise InputError(f"--active: found {self.n_active}; expected 1 to {n}, the number of drifts")
        if not 0 <= self.seed < 2**64:
            raise InputError(f"--seed: found {self.seed}; expected 0 or more, at most 64 bits")
        if self.n_steps is not None and self.n_steps < 1:
            raise InputError(f"--steps: found {self.n_steps}; expected at least 1")
        work = (self.counted + self.burn_in) * N_REPLICAS * self.n_active
        most = _MOST_WORK if self.n_steps is None else _MOST_WORK_ASKED
        if work > most:
            least = min(self.drift)
            why = "give --steps, or " if self.n_steps is None else ""
            raise InputError(
                f"--step-size {self.step_size:g}: a connection of drift {least:g} forgets its past in {self.relaxation:.3g} steps, so "
                f"{work:.2g} updates are needed, limit {most:g}; {why}take a larger step or drift, or a lower temperature"
            )

    @property
    def relaxation(self):
        """Steps in which the slowest position forgets: 4 T / (eta mu^2), of reflected Brownian motion with drift."""
        return 4 * self.temperature / (self.step_size * min(self.drift) ** 2)

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
        """Allowed distance of an inclusion probability from the small-step limit."""
        beta = max(self.drift) * math.sqrt(self.step_size / (2 * self.temperature))
        return BAND * max(1.0, beta / _DOCUMENTED_BETA)


#: The cases of docs/validation.md.
DOCUMENTED = (
    PosteriorPlan((1.0, 2.0, 4.0, 8.0), 1),
    PosteriorPlan((1.0, 2.0, 4.0, 8.0), 2),
    PosteriorPlan((2.0, 2.0, 3.0, 5.0, 5.0, 7.0), 4, temperature=2.0),
)


@dataclass(frozen=True)
class Walked:
    """What a simulation counted: `n_active` int64 and `theta` float64, shape (copies, positions), and exchanges."""

    n_active: np.ndarray
    theta: np.ndarray
    n_steps: int
    n_exchanged: int

    def inclusion(self):
        """Mean over copies of the fraction of steps in which a position is active, and its standard error."""
        return mean_and_error(self.n_active / self.n_steps)

    def mean_theta(self):
        """Mean theta given active, and its standard error (delta method for the ratio of two means).

        NaN for a position that was never active.
        """
        return ratio_and_error(self.theta, self.n_active)


def mean_and_error(values):
    """Mean over copies, the first axis, and its standard error."""
    return values.mean(0), values.std(0, ddof=1) / math.sqrt(len(values))


def ratio_and_error(sums, counts):
    """Sum over copies of `sums` per `counts`, NaN without any, and its standard error by the delta method."""
    n = counts.sum(0)
    seen = np.where(n > 0, n, 1)
    ratio = np.where(n > 0, sums.sum(0) / seen, np.nan)
    _, error = mean_and_error(sums - ratio * counts)
    return ratio, error / (seen / len(counts))


def simulate(plan, *, shape=None, rule=None, kernel=walk):
    """Run `N_REPLICAS` copies through a real store.

    Parameters
    ----------
    plan : PosteriorPlan
    shape : (int, int), optional
        n_pre and n_post of each copy's matrix; their product is the number of positions.
    rule : DeepR, optional
        Without it, algorithm 1 with half of the smallest drift as L1.
    kernel : callable
        What runs the steps, with the arguments of `kernels.drift.walk`.

    Returns
    -------
    Walked

    Raises
    ------
    RuntimeError
        The store is not in canonical form afterwards, or not exactly K connections were active after every step.
    """
    n_pre, n_post = shape or (len(plan.drift), 1)
    rule = rule or DeepR(l1=min(plan.drift) / 2, temperature=plan.temperature)
    store = _make_store(plan, n_pre, n_post)
    steps = StepRule(
        eta=np.float32(plan.step_size),
        l1=np.float32(rule.l1),
        noise_std=np.float32(rule.step_noise(plan.step_size)),
        theta_born=np.float32(rule.theta_born),
        period=1,
        noise_key=np.uint64(stream_key(plan.seed, Stream.NOISE)),
        proposal_key=np.uint64(stream_key(plan.seed, Stream.PROPOSAL)),
    )
    drift = np.asarray(plan.drift, np.float32)
    n_active, theta = np.zeros((N_REPLICAS, drift.size), np.int64), np.zeros((N_REPLICAS, drift.size))
    for first, n in ((0, plan.burn_in), (plan.burn_in, plan.counted)):
        n_active[:], theta[:] = 0, 0.0
        for start, length in prompt_calls(first, n):
            kernel(store.slots, store.segments, store.matrices, store.tally, drift, steps, start, length, n_active, theta)
    wrong = store.violations()
    if wrong or np.any(n_active.sum(1) != plan.n_active * plan.counted):
        raise RuntimeError(f"the store breaks its promise: {wrong[0] if wrong else 'not K active connections after every step'}")
    booked = store.tally.by_segment.sum(0)
    return Walked(n_active, theta, plan.counted, int(booked[SegmentEvent.ACCEPTED] + booked[SegmentEvent.EXACT]))


def prompt_calls(first, n):
    """(first step, steps) of each compiled call: short ones, so that Ctrl-C is prompt. The results do not depend on it."""
    done, length = 0, 100
    while done < n:
        length = min(length, n - done)
        begin = time.perf_counter()
        yield first + done, length
        done += length
        seconds = time.perf_counter() - begin
        length = max(1, int(length * min(4.0, _SECONDS_A_CALL / max(seconds, 1e-6))))


def _make_store(plan, n_pre, n_post):
    matrices = tuple(MatrixPlan(n_pre, n_post, 0, n_pre) for _ in range(N_REPLICAS))
    segments = tuple(SegmentPlan(i, 0, 0, n_post, plan.n_active, plan.n_active) for i in range(N_REPLICAS))
    return SynapseStore.random(StorePlan(matrices, segments, "core", (-1,) * n_pre + (0,) * n_post, 1), plan.seed)


def validate_posterior(plan, *, kernel=walk):
    """Simulate and compare, position by position.

    Parameters
    ----------
    plan : PosteriorPlan
    kernel : callable
        See `simulate`.

    Returns
    -------
    dict
        Plain data: the plan, ``band``, ``positions`` and ``verdict``, one of ``inside``, ``outside`` and ``not resolved``
        (the standard error is too large for the band). Source: Bellec et al. 2018, algorithm 1; see `validation.laws`.
    """
    walked = simulate(plan, kernel=kernel)
    theory, theory_theta = limit_law(plan.drift, plan.n_active, plan.temperature)
    exact, exact_theta = finite_step_law(plan.drift, plan.n_active, plan.temperature, plan.step_size)
    inclusion, error = walked.inclusion()
    theta, theta_error = walked.mean_theta()
    corrected = theory_theta - STEP_CORRECTION * math.sqrt(2 * plan.step_size * plan.temperature)
    rounding = 1e-6
    is_near = np.abs(inclusion - theory) <= plan.band
    is_exact = np.abs(inclusion - exact) <= SIGMAS * error + rounding
    is_mean = np.isnan(theta) | (np.abs(theta - exact_theta) <= SIGMAS * theta_error + rounding * exact_theta)
    positions = [
        {
            "drift": float(plan.drift[i]),
            "theory": float(theory[i]),
            "finite_step": float(exact[i]),
            "simulated": float(inclusion[i]),
            "standard_error": float(error[i]),
            "inside": bool(is_near[i] and is_exact[i]),
            "theta": {
                "theory": float(theory_theta[i]),
                "corrected": float(corrected[i]),
                "finite_step": float(exact_theta[i]),
                "simulated": None if math.isnan(theta[i]) else float(theta[i]),
                "standard_error": None if math.isnan(theta[i]) else float(theta_error[i]),
                "inside": bool(is_mean[i]),
            },
        }
        for i in range(len(plan.drift))
    ]
    if not (is_near & is_exact & is_mean).all():
        verdict = "outside"
    else:
        verdict = "not resolved" if error.max() > plan.band / SIGMAS else "inside"
    return {
        "case": "posterior",
        "source": "Bellec et al. 2018, algorithm 1; Spitzer 1956 for the finite step",
        "drift": [float(mu) for mu in plan.drift],
        "active": plan.n_active,
        "temperature": plan.temperature,
        "step_size": plan.step_size,
        "seed": plan.seed,
        "copies": N_REPLICAS,
        "steps": plan.counted,
        "burn_in": plan.burn_in,
        "exchanged": walked.n_exchanged,
        "band": plan.band,
        "sigmas": SIGMAS,
        "positions": positions,
        "verdict": verdict,
    }
