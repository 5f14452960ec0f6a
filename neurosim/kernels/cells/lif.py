"""Leaky integrate-and-fire neurons on one tile: one step forward and one step back, element by element.

    v = alpha v - v_th z + sums       a = rho a + z                 (z: spike of the step before; a: only where some adapt)
    x = (v - v_th - beta a) / v_th    z = 1 where x > 0 and not refractory
    psi = gamma / v_th * surrogate(x), 0 while refractory

    dv = alpha dv' + psi dz           da = rho da' - beta psi dz    (dv', da': of the step after; dz has da' in it)

(Bellec et al. 2020; reset by subtraction, through which no gradient goes.) All arrays are flat and of one length: neurons of a
layer, each with its lanes.
"""

import numpy as np

from neurosim.kernels.compile import inlined
from neurosim.kernels.softmax import fast_exp

TRIANGULAR, SUPERSPIKE, EXPONENTIAL, ARCTAN = 0, 1, 2, 3

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)


@inlined
def _triangular(x, slope):
    return max(_ZERO, _ONE - slope * abs(x))


@inlined
def _superspike(x, slope):
    """Zenke and Ganguli 2018."""
    d = _ONE + slope * abs(x)
    return _ONE / (d * d)


@inlined
def _exponential(x, slope):
    return fast_exp(-slope * abs(x))


@inlined
def _arctan(x, slope):
    d = slope * x
    return _ONE / (_ONE + d * d)


@inlined
def take_surrogate(kind, height, slope, rows):
    """Distances x to psi, in place. One loop for each kind: none of them tests it in each element."""
    if kind == TRIANGULAR:
        for k in range(rows.size):
            rows[k] = height * _triangular(rows[k], slope)
    elif kind == SUPERSPIKE:
        for k in range(rows.size):
            rows[k] = height * _superspike(rows[k], slope)
    elif kind == EXPONENTIAL:
        for k in range(rows.size):
            rows[k] = height * _exponential(rows[k], slope)
    else:
        for k in range(rows.size):
            rows[k] = height * _arctan(rows[k], slope)


@inlined
def _move(rows, v, wait, spike, alpha, v_th, inverse):
    for k in range(rows.size):
        new = alpha * v[k] + rows[k] - v_th * spike[k]
        v[k] = new
        x = (new - v_th) * inverse
        rows[k] = x
        spike[k] = _ONE if (x > _ZERO) & (wait[k] <= _ZERO) else _ZERO


@inlined
def _move_adapting(rows, v, a, wait, spike, beta, alpha, rho, v_th, inverse):
    for k in range(rows.size):
        before = spike[k]
        new = alpha * v[k] + rows[k] - v_th * before
        tired = rho * a[k] + before
        v[k] = new
        a[k] = tired
        x = (new - v_th - beta[k] * tired) * inverse
        rows[k] = x
        spike[k] = _ONE if (x > _ZERO) & (wait[k] <= _ZERO) else _ZERO


@inlined
def _wait(rows, wait, spike, refractory):
    for k in range(rows.size):
        left = wait[k]
        rows[k] = _ZERO if left > _ZERO else rows[k]
        wait[k] = refractory if spike[k] > _ZERO else max(left - _ONE, _ZERO)


@inlined
def step_forward(shape, rows, v, a, wait, spike, beta):
    """One step. `rows` holds sums and then psi, `spike` those of the step before and then of this one; all are written but `beta`."""
    inverse = _ONE / shape.v_th
    if shape.adapts:
        _move_adapting(rows, v, a, wait, spike, beta, shape.alpha, shape.rho, shape.v_th, inverse)
    else:
        _move(rows, v, wait, spike, shape.alpha, shape.v_th, inverse)
    take_surrogate(shape.surrogate, shape.height, shape.slope, rows)
    if shape.refractory > _ZERO:
        _wait(rows, wait, spike, shape.refractory)


@inlined
def _go_back(dz, psi, after, errors, alpha):
    for k in range(dz.size):
        errors[k] = alpha * after[k] + psi[k] * dz[k]


@inlined
def _go_back_adapting(dz, da, psi, after, errors, beta, alpha, rho):
    for k in range(dz.size):
        d = psi[k] * (dz[k] + da[k])
        errors[k] = alpha * after[k] + d
        da[k] = rho * da[k] - beta[k] * d


@inlined
def step_back(shape, dz, da, psi, after, errors, beta, is_cut):
    """One step back. Writes `errors`, dE/dv, and `da`; `after` are the errors of the step after, from which none comes if it `is_cut`."""
    alpha, rho = (_ZERO, _ZERO) if is_cut else (shape.alpha, shape.rho)
    if shape.adapts:
        if is_cut:
            da[:] = _ZERO
        _go_back_adapting(dz, da, psi, after, errors, beta, alpha, rho)
    else:
        _go_back(dz, psi, after, errors, alpha)
