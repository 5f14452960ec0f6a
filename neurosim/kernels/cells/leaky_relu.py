"""Leaky rectified linear cell: y = z where z > 0, else 0.01 z (Maas, Hannun, Ng, "Rectifier nonlinearities improve neural network acoustic
models", ICML workshop 2013)."""

import numpy as np

from neurosim.kernels.compile import inlined
from neurosim.kernels.marks import mark_rows, mark_samples

SLOPE = np.float32(0.01)


@inlined
def forward(values, start, stop, lanes):
    rows = values[start * len(lanes) : stop * len(lanes)]
    for k in range(rows.size):
        rows[k] = rows[k] if rows[k] > np.float32(0.0) else SLOPE * rows[k]


@inlined
def backward(errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes):
    rows, y = errors[start * len(lanes) : stop * len(lanes)], values[start * len(lanes) : stop * len(lanes)]
    for k in range(rows.size):
        rows[k] *= np.float32(1.0) if y[k] > np.float32(0.0) else SLOPE
    mark_samples(live, live_place, start, stop, n_samples, lanes)
    mark_rows(errors, start, stop, wrong, wrong_place, lanes)
