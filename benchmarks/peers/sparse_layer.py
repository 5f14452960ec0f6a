"""The work of one sparse layer, as arrays that every contestant starts from."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class SparseLayer:
    """Weights in CSR by output neuron, and one batch in each direction.

    Features come first and samples last, the layout in which the CSR products are fastest.

    Attributes
    ----------
    post_ptr : int32 array, shape (n_post + 1,)
    pre_index : int32 array, shape (n_active,)
        Sorted and distinct within each output neuron.
    value : float32 array, shape (n_active,)
    x : float32 array, shape (n_pre, batch_size)
    delta : float32 array, shape (n_post, batch_size)
        Derivative of the loss by the layer's sums.
    """

    post_ptr: np.ndarray
    pre_index: np.ndarray
    value: np.ndarray
    x: np.ndarray
    delta: np.ndarray

    @property
    def shape(self):
        """(n_post, n_pre)."""
        return len(self.delta), len(self.x)

    def post_index(self):
        """Output neuron of each weight, int32 array, shape (n_active,)."""
        return np.repeat(np.arange(self.shape[0], dtype=np.int32), np.diff(self.post_ptr))

    def transposed(self):
        """CSR by input neuron: (pre_ptr, post_index, value), what the backward product reads."""
        slots = np.argsort(self.pre_index, kind="stable")
        counts = np.bincount(self.pre_index, minlength=self.shape[1])
        pre_ptr = np.concatenate(([0], np.cumsum(counts))).astype(np.int32)
        return pre_ptr, self.post_index()[slots], self.value[slots]


def make_layer(n_pre, n_post, density, batch_size, *, seed=0):
    """Layer with ``round(density * n_pre * n_post)`` weights at uniformly random positions."""
    rng = np.random.default_rng(seed)
    n_active = round(density * n_pre * n_post)
    positions = np.sort(rng.choice(n_pre * n_post, n_active, replace=False))
    counts = np.bincount(positions // n_pre, minlength=n_post)
    return SparseLayer(
        post_ptr=np.concatenate(([0], np.cumsum(counts))).astype(np.int32),
        pre_index=(positions % n_pre).astype(np.int32),
        value=rng.standard_normal(n_active, dtype=np.float32),
        x=rng.standard_normal((n_pre, batch_size), dtype=np.float32),
        delta=rng.standard_normal((n_post, batch_size), dtype=np.float32),
    )


def reference(layer):
    """Results by dense products in float64, and the size of the summed terms.

    Returns
    -------
    dict of (result, magnitude, n_terms)
        Keys `forward`, `backward`, `gradient`. A float32 sum may differ from `result` by
        ``(n_terms + 1) * eps * magnitude``, with `magnitude` the same sum over absolute values.
    """
    post, pre = layer.post_index(), layer.pre_index
    weight = np.zeros(layer.shape)
    weight[post, pre] = layer.value
    x, delta = layer.x.astype(np.float64), layer.delta.astype(np.float64)
    n_terms = {
        "forward": int(np.diff(layer.post_ptr).max()),
        "backward": int(np.bincount(pre).max()),
        "gradient": x.shape[1],
    }

    def compute(weight, x, delta):
        return {
            "forward": weight @ x,
            "backward": weight.T @ delta,
            "gradient": (delta @ x.T)[post, pre],
        }

    results = compute(weight, x, delta)
    magnitudes = compute(np.abs(weight), np.abs(x), np.abs(delta))
    return {key: (results[key], magnitudes[key], n_terms[key]) for key in results}
