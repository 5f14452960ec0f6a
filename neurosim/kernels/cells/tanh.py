"""Hyperbolic tangent: y = tanh(z), dy/dz = 1 - y^2."""

import numpy as np

from neurosim.kernels.cells.gated import tanh
from neurosim.kernels.compile import inlined
from neurosim.kernels.marks import mark_rows, mark_samples


@inlined
def forward(values, start, stop, lanes):
    rows = values[start * len(lanes) : stop * len(lanes)]
    for k in range(rows.size):
        rows[k] = tanh(rows[k])


@inlined
def backward(errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes):
    rows, y = errors[start * len(lanes) : stop * len(lanes)], values[start * len(lanes) : stop * len(lanes)]
    for k in range(rows.size):
        rows[k] *= np.float32(1.0) - y[k] * y[k]
    mark_samples(live, live_place, start, stop, n_samples, lanes)
    mark_rows(errors, start, stop, wrong, wrong_place, lanes)
