"""DEEP R on constant drifts, through the real store and kernels, against the exact stationary law.

Four positions with drifts mu = (1, 2, 4, 8) and no data; K of them are active. In the limit of small
steps P(active set) is proportional to the product of 1/mu over the set, and theta given active is
exponential with mean T/mu (Bellec et al. 2018 and `facts/deep_rewiring.md`, section 4).

At a finite step the law is known as well. With sigma = sqrt(2 eta T) and beta = eta mu / sigma, a
connection born at 0 lives N steps on average, the mean first descent of a Gaussian random walk with
drift -beta, and for uniform proposals the product of the N over the set is stationary exactly, also
when several slots are freed in one step. theta given active is distributed as the maximum of that walk.

    N    = exp(-(beta / sqrt(2 pi)) (zeta(1/2) - zeta(-1/2) beta^2 / 6 + zeta(-3/2) beta^4 / 40)) / (sqrt(2) beta)
    E[M] = 1 / (2 beta) + zeta(1/2) / sqrt(2 pi) + beta / 4 + zeta(-1/2) beta^2 / (2 sqrt(2 pi)) + O(beta^4)

Sources: Chang, Peres, "Ladder heights, Gaussian random walks and the Riemann zeta function", Ann.
Probab. 25, 1997; Janssen, van Leeuwaarden, "On Lerch's transcendent and the Gaussian random walk", Ann.
Appl. Probab. 17, 2007. -zeta(1/2) / sqrt(2 pi) is the 0.5826 of the facts.

Independent replicas give the standard error of every mean without a guess about correlation times.
"""

from functools import cache
from itertools import combinations

import numpy as np
import pytest

from neurosim.kernels.compile import kernel
from neurosim.kernels.exchange import fill_scope
from neurosim.kernels.layout import SegmentEvent
from neurosim.kernels.random import fold
from neurosim.kernels.update import CHUNK, release_marked, update_chunk
from neurosim.synapses import MatrixPlan, SegmentPlan, StorePlan, SynapseStore

MU = np.array((1.0, 2.0, 4.0, 8.0), np.float32)
ALPHA = np.float32(0.5)
N_REPLICAS = 128
#: Steps before counting, as a fraction of those counted: some ten relaxation times of the slowest position.
BURN_IN = 0.1
#: Steps of each replica, by eta: a coarse step mixes ten times faster and exchanges three times as often.
N_STEPS = {1e-3: 400_000, 1e-2: 50_000}
LIMIT = {1: np.array((8, 4, 2, 1)) / 15, 2: np.array((0.8000, 0.6286, 0.3714, 0.2000))}
#: Quoted in the facts at K = 2, from another program.
SIMULATED = {1e-3: (0.7921, 0.6211, 0.3746, 0.2122), 2.5e-4: (0.7979, 0.6239, 0.3721, 0.2061)}
#: Distance from the small-step limit that counts as the same algorithm at eta = 1e-3.
BAND = 0.015
Z12, Z_12, Z_32 = -1.4603545088095868, -0.2078862249773546, -0.0254852018898330


def exact_law(k, eta, temperature=1.0):
    """Inclusion probabilities and mean theta of the active, float64 (4,) each."""
    sigma = np.sqrt(2 * eta * temperature)
    beta = eta * MU.astype(float) / sigma
    series = Z12 - Z_12 * beta**2 / 6 + Z_32 * beta**4 / 40
    life = np.exp(-beta / np.sqrt(2 * np.pi) * series) / (np.sqrt(2) * beta)
    weights = {c: np.prod(life[list(c)]) for c in combinations(range(4), k)}
    inclusion = np.array([sum(w for c, w in weights.items() if i in c) for i in range(4)]) / sum(weights.values())
    maximum = 1 / (2 * beta) + Z12 / np.sqrt(2 * np.pi) + beta / 4 + Z_12 * beta**2 / (2 * np.sqrt(2 * np.pi))
    return inclusion, sigma * maximum


@kernel
def walk(slots, segments, matrices, tally, pre_of, mu, alpha, eta, noise_std, born, first, n_steps, n_active, theta):
    """Steps of all replicas (one matrix each) with dE/dtheta = mu - alpha.

    `pre_of` : bool, whether the position is the pre index (4 x 1) or the post index (1 x 4).
    `n_active` int64, `theta` float64, shape (replicas, 4): added to after every step.
    """
    n_slots = slots.pre.size
    below = np.zeros((n_slots + CHUNK - 1) // CHUNK, np.int32)
    for step in range(first, first + n_steps):
        for k in range(n_slots):
            g = mu[slots.pre[k] if pre_of else slots.post[k]] - alpha
            slots.gradient[k] = -g if np.signbit(slots.weight[k]) else g
        key = fold(np.uint64(1), step)
        for chunk in range(below.size):
            start, stop = chunk * CHUNK, min((chunk + 1) * CHUNK, n_slots)
            below[chunk] = update_chunk(slots, start, stop, eta, alpha, noise_std, key)
        release_marked(slots, segments, matrices, tally, below)
        for r in range(segments.matrix.size):
            if slots.n_free[r] > 0:
                fill_scope(slots, segments, matrices, tally, r, segments.n_wanted[r], fold(np.uint64(2), step), born)
            for k in range(segments.slot_start[r], segments.slot_start[r + 1]):
                position = slots.pre[k] if pre_of else slots.post[k]
                n_active[r, position] += 1
                theta[r, position] += np.abs(slots.weight[k])


@kernel
def plain_walk(seed, k, mu, eta, temperature, slides, n_steps, n_active, theta):
    """The algorithm on four plain numbers per replica, with NumPy's generator; `slides` breaks uniformity.

    A slide takes the next free position when the drawn one is taken, as the authors' C program does.
    """
    np.random.seed(seed)
    sigma = np.sqrt(2.0 * eta * temperature)
    for r in range(n_active.shape[0]):
        x = np.full(4, -1.0)
        x[:k] = 0.1
        for step in range(-20_000, n_steps):
            n = 0
            for i in range(4):
                if x[i] >= 0:
                    x[i] += -eta * mu[i] + sigma * np.random.normal()
                    n += x[i] >= 0
            while n < k:
                i = np.random.randint(4)
                while slides and x[i] >= 0:
                    i = (i + 1) % 4
                if x[i] < 0:
                    x[i] = 0.0
                    n += 1
            if step >= 0:
                for i in range(4):
                    if x[i] >= 0:
                        n_active[r, i] += 1
                        theta[r, i] += x[i]


def summary(n_active, theta, n_steps):
    """Means and standard errors over replicas: inclusion (4,), its error, theta given active, its error."""
    inclusion = n_active / n_steps
    n = len(inclusion)
    ratio = theta.sum(0) / n_active.sum(0)
    # Delta method for the ratio of two means.
    ratio_error = (theta - ratio * n_active).std(0, ddof=1) / np.sqrt(n) / n_active.mean(0)
    return inclusion.mean(0), inclusion.std(0, ddof=1) / np.sqrt(n), ratio, ratio_error


def make_store(k, shape):
    matrices = tuple(MatrixPlan(*shape, 0, shape[0]) for _ in range(N_REPLICAS))
    segments = tuple(SegmentPlan(i, 0, 0, shape[1], k, k) for i in range(N_REPLICAS))
    return SynapseStore.random(StorePlan(matrices, segments, "core", (-1,) * shape[0] + (0,) * shape[1], 1), 0)


@cache
def simulate(k, eta, shape, born):
    """Run the store; returns `summary` of it."""
    n_steps, n_burn = N_STEPS[eta], int(BURN_IN * N_STEPS[eta])
    store = make_store(k, shape)
    n_active, theta = np.zeros((N_REPLICAS, 4), np.int64), np.zeros((N_REPLICAS, 4))
    for first, n in ((0, n_burn), (n_burn, n_steps)):
        n_active[:], theta[:] = 0, 0.0
        walk(
            store.slots, store.segments, store.matrices, store.tally, shape[0] == 4, MU, ALPHA, np.float32(eta),
            np.float32(np.sqrt(2 * eta)), np.float32(born), first, n, n_active, theta,
        )  # fmt: skip
    assert store.violations() == []
    assert np.all(n_active.sum(1) == k * n_steps), "exactly K active after every step"
    booked = store.tally.by_segment.sum(0)
    assert booked[SegmentEvent.RELEASED] == booked[SegmentEvent.ACCEPTED] + booked[SegmentEvent.EXACT] > 300_000
    return summary(n_active, theta, n_steps)


@cache
def simulate_plain(k, eta, n_steps, slides):
    n_active, theta = np.zeros((N_REPLICAS, 4), np.int64), np.zeros((N_REPLICAS, 4))
    plain_walk(3, k, MU, eta, 1.0, slides, n_steps, n_active, theta)
    return summary(n_active, theta, n_steps)


def test_limit_of_the_exact_law():
    """The law used here goes to the limit of the facts and agrees with the values simulated there."""
    for k in (1, 2):
        np.testing.assert_allclose(exact_law(k, 1e-10)[0], LIMIT[k], atol=6e-5)
    for eta, values in SIMULATED.items():
        np.testing.assert_allclose(exact_law(2, eta)[0], values, atol=2e-3)
    assert np.sum(LIMIT[1]) == pytest.approx(1) and np.sum(LIMIT[2]) == pytest.approx(2)


@pytest.mark.parametrize("k", [1, 2])
def test_inclusion_in_the_small_step_limit(k):
    """eta = 1e-3: within 0.015 of the limit, of which up to 0.0122 is the step size (facts, section 4)."""
    inclusion, error, _, _ = simulate(k, 1e-3, (4, 1), 0.0)
    assert error.max() < 0.003
    assert np.abs(inclusion - LIMIT[k]).max() < BAND
    assert np.abs((inclusion - exact_law(k, 1e-3)[0]) / error).max() < 5
    if k == 2:
        # The quoted run states no error; 0.002 for it, 5 sigma for ours.
        assert np.all(np.abs(inclusion - SIMULATED[1e-3]) < 5 * error + 0.002)


@pytest.mark.parametrize(("k", "shape"), [(1, (4, 1)), (1, (1, 4)), (2, (4, 1)), (2, (1, 4)), (3, (4, 1))])
def test_inclusion_at_a_coarse_step(k, shape):
    """eta = 1e-2 mixes ten times faster: standard errors of 0.002 or less, 5 sigma of the exact law."""
    inclusion, error, _, _ = simulate(k, 1e-2, shape, 0.0)
    assert error.max() < 0.003
    assert np.abs((inclusion - exact_law(k, 1e-2)[0]) / error).max() < 5


@pytest.mark.parametrize(("k", "eta"), [(1, 1e-3), (2, 1e-3), (2, 1e-2)])
def test_theta_of_the_active(k, eta):
    """T/mu - 0.5826 sqrt(2 eta T) and the next two terms: 5 sigma. The first two alone: eta mu / 4 is left."""
    _, _, theta, error = simulate(k, eta, (4, 1), 0.0)
    assert np.all(error < 0.03 / MU)
    assert np.abs((theta - exact_law(k, eta)[1]) / error).max() < 5
    assert np.all(np.abs(theta - (1 / MU - 0.5826 * np.sqrt(2 * eta))) < 5 * error + eta * MU / 4)


def test_plain_program_agrees():
    """The same algorithm written on plain numbers, with another generator."""
    inclusion, error, theta, theta_error = simulate_plain(2, 1e-2, 100_000, False)
    law = exact_law(2, 1e-2)
    assert np.abs((inclusion - law[0]) / error).max() < 5
    assert np.abs((theta - law[1]) / theta_error).max() < 5


def test_proposals_that_slide_leave_the_band():
    """Negative control: non-uniform proposals."""
    inclusion, error, _, _ = simulate_plain(2, 1e-3, 100_000, True)
    assert np.abs(inclusion - LIMIT[2]).max() > BAND + 5 * error.max()
    coarse, error, _, _ = simulate_plain(2, 1e-2, 100_000, True)
    assert np.abs((coarse - exact_law(2, 1e-2)[0]) / error).max() > 20


def test_a_wrong_start_of_theta_is_noticed():
    """Negative control: arrivals at 0.1 instead of 0.

    It hardly shows in the inclusion probabilities (life times stay proportional to 1/mu), but theta is
    too large by about half of it.
    """
    _, _, theta, error = simulate(2, 1e-2, (4, 1), 0.1)
    assert np.abs((theta - exact_law(2, 1e-2)[1]) / error).min() > 5
