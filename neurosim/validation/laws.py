"""Exact stationary laws of DEEP R under constant drift, in the limit of small steps and at a finite step.

K of N positions are active and position k drifts down by eta * mu_k per step, mu_k = dE/dtheta_k + alpha > 0,
under noise of variance 2 eta T. In the limit of small steps P(active set) is proportional to the product of 1/mu
over the set, and theta given active is exponential with mean T/mu (Bellec et al. 2018, algorithm 1).

At a finite step the law is known as well. With sigma = sqrt(2 eta T) and beta = eta mu / sigma, a connection born
at 0 lives N steps on average, the mean first descent of a Gaussian random walk with drift -beta. For uniform
proposals the product of the N over the set is stationary exactly, also when several slots are freed in one step.
theta given active is distributed as the maximum M of that walk:

    E[N] = exp(sum over n >= 1 of P(S_n >= 0) / n)        E[M] = sum over n >= 1 of E[max(S_n, 0)] / n

(Spitzer, "A combinatorial lemma and its application to probability theory", Trans. AMS 82, 1956.) For small beta

    E[N] = exp(-(beta / sqrt(2 pi)) (zeta(1/2) - zeta(-1/2) beta^2 / 6 + zeta(-3/2) beta^4 / 40)) / (sqrt(2) beta)
    E[M] = 1 / (2 beta) + zeta(1/2) / sqrt(2 pi) + beta / 4 + zeta(-1/2) beta^2 / (2 sqrt(2 pi)) + O(beta^4)

Sources: Chang, Peres, "Ladder heights, Gaussian random walks and the Riemann zeta function", Ann. Probab. 25,
1997; Janssen, van Leeuwaarden, "On Lerch's transcendent and the Gaussian random walk", Ann. Appl. Probab. 17, 2007.
"""

import math

import numpy as np

_Z12, _Z_12, _Z_32 = -1.4603545088095868, -0.2078862249773546, -0.0254852018898330
_ROOT = math.sqrt(2 * math.pi)
#: First correction of the mean for the step size, in units of the step's noise: 0.5826.
STEP_CORRECTION = -_Z12 / _ROOT
#: Below, the series are good to 1e-5 relative; above, the sums have few terms.
_SERIES_BELOW = 0.3


def inclusion(weights, n_active):
    """Probability of each position to be in the active set, when P(set) is proportional to the product of its weights.

    Parameters
    ----------
    weights : float array, shape (N,)
        Above 0: 1/mu, or the mean life of a connection.
    n_active : int
        K, 1 to N.

    Returns
    -------
    float64 array, shape (N,)
        Their sum is K.
    """
    weights = np.asarray(weights, float)
    weights = weights / np.exp(np.log(weights).mean())
    everyone = _sums_of_products(weights, n_active)[n_active]
    others = [_sums_of_products(np.delete(weights, i), n_active - 1)[n_active - 1] for i in range(len(weights))]
    return weights * np.array(others) / everyone


def _sums_of_products(weights, most):
    """Elementary symmetric polynomials of degree 0 to `most`: float64, shape (most + 1,)."""
    sums = np.zeros(most + 1)
    sums[0] = 1.0
    for weight in weights:
        sums[1:] += weight * sums[:-1]
    return sums


def mean_life(beta):
    """E[N]: steps until a Gaussian walk from 0 with drift -beta and unit variance is first below 0."""
    if beta < _SERIES_BELOW:
        series = _Z12 - _Z_12 * beta**2 / 6 + _Z_32 * beta**4 / 40
        return math.exp(-beta / _ROOT * series) / (math.sqrt(2) * beta)
    return math.exp(math.fsum(_upper_tail(beta * math.sqrt(n)) / n for n in _terms(beta)))


def mean_maximum(beta):
    """E[M]: mean of the maximum of that walk, the start included."""
    if beta < _SERIES_BELOW:
        return 1 / (2 * beta) + _Z12 / _ROOT + beta / 4 + _Z_12 * beta**2 / (2 * _ROOT)
    return math.fsum(math.exp(-(beta**2) * n / 2) / (_ROOT * math.sqrt(n)) - beta * _upper_tail(beta * math.sqrt(n)) for n in _terms(beta))


def _upper_tail(x):
    return math.erfc(x / math.sqrt(2)) / 2


def _terms(beta):
    """Terms until S_n >= 0 is as rare as 10 standard deviations."""
    return range(1, math.ceil((10 / beta) ** 2) + 2)


def limit_law(drift, n_active, temperature):
    """Inclusion probabilities and mean theta of the active for small steps: two float64 arrays, shape (N,)."""
    drift = np.asarray(drift, float)
    return inclusion(1 / drift, n_active), temperature / drift


def finite_step_law(drift, n_active, temperature, step_size):
    """Inclusion probabilities and mean theta of the active at a finite step: two float64 arrays, shape (N,)."""
    sigma = math.sqrt(2 * step_size * temperature)
    beta = [step_size * float(mu) / sigma for mu in drift]
    return inclusion([mean_life(b) for b in beta], n_active), sigma * np.array([mean_maximum(b) for b in beta])


def soft_limit_law(l1, temperature, theta_min):
    """Probability of being active, and mean theta of the active, of soft DEEP R without a loss and with small steps.

    theta falls at speed alpha above 0 and walks freely between theta_min and 0: P = (T/alpha) / (T/alpha + |theta_min|), and theta
    given active is exponential with mean T/alpha (Bellec et al. 2018, algorithm 2).
    """
    above = temperature / l1
    return above / (above + abs(theta_min)), above


def soft_step_correction(l1, temperature, step_size, theta_min):
    """P of `soft_limit_law`, with the first correction for clamping at theta_min: |theta_min| grows by 0.5826 sqrt(2 eta T)."""
    above = temperature / l1
    return above / (above + abs(theta_min) + STEP_CORRECTION * math.sqrt(2 * step_size * temperature))


#: Nodes of the quadrature: per standard deviation of a step, in panels, and at most.
_NODES_A_SIGMA, _PANEL, SOFT_MOST_NODES = 4, 16, 3000


def soft_n_nodes(l1, temperature, step_size, theta_min):
    """Nodes that `soft_finite_step_law` takes; its cost grows with their third power."""
    return sum(n for _, n in _soft_ranges(l1, temperature, step_size, theta_min)) * _PANEL


def _soft_ranges(l1, temperature, step_size, theta_min):
    """(end, panels) of the dormant and of the active side; above 30 T/alpha and 10 steps lies less than 1e-12."""
    sigma = math.sqrt(2 * step_size * temperature)
    ends = (theta_min, 30 * temperature / l1 + 10 * sigma)
    return [(end, math.ceil(abs(end) / sigma * _NODES_A_SIGMA / _PANEL)) for end in ends]


def soft_finite_step_law(l1, temperature, step_size, theta_min):
    """Probability of being active, and mean theta of the active, of soft DEEP R without a loss at a finite step.

    One step is theta <- theta - eta alpha [theta >= 0] + sigma nu, not below theta_min. Its stationary law is a point mass at
    theta_min and a density above, smooth on either side of 0; Gauss-Legendre nodes turn the balance of both into
    linear equations (the method of Nystroem), exact to about 1e-8.
    """
    sigma = math.sqrt(2 * step_size * temperature)
    nodes, weights = np.polynomial.legendre.leggauss(_PANEL)
    points, masses = [np.array([theta_min])], [np.array([1.0])]
    for end, n_panels in _soft_ranges(l1, temperature, step_size, theta_min):
        edges = np.linspace(0.0, end, n_panels + 1)
        for low, high in zip(edges, edges[1:]):
            points.append((low + high) / 2 + (high - low) / 2 * nodes)
            masses.append(abs(high - low) / 2 * weights)
    x, w = np.concatenate(points), np.concatenate(masses)
    after = x - step_size * l1 * (x >= 0)
    # Row j: what flows into point j from a unit of density (or of mass, in column 0) at each point.
    flow = np.exp(-(((x[:, None] - after[None, :]) / sigma) ** 2) / 2) / (sigma * _ROOT) * w[None, :]
    flow[0] = [_upper_tail((a - theta_min) / sigma) * m for a, m in zip(after, w)]
    balance = flow - np.eye(len(x))
    balance[0] = w
    density = np.linalg.solve(balance, np.eye(len(x))[0]) * w
    active = density[x >= 0]
    return float(active.sum()), float(active @ x[x >= 0] / active.sum())
