"""Rectified linear cell: y = max(z, 0). A value of zero has no error."""

from neurosim.kernels.compile import inlined
from neurosim.kernels.marks import mask_rows, rectify_rows


@inlined
def forward(values, start, stop, lanes):
    rectify_rows(values, start, stop, lanes)


@inlined
def backward(errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes):
    mask_rows(errors, values, start, stop, live, live_place, wrong, wrong_place, lanes)
