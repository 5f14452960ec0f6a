"""One sparse layer in PyTorch: CSR products (MKL) and the sampled dense-dense product.

Tried and dropped, 2048 x 2048 at 1 % and 5 %, batch 128: 64-bit indices (up to 1.6 times as
slow), batches with samples first (`A @ x.t()`, up to twice as slow), gathering both rows and
multiplying (`einsum`, `vecdot`; 20 times as slow as `sampled_addmm` and worse), the dense
product followed by a look-up (5-30 times as slow). `torch.sparse.mm(..., reduce="sum")` is
PyTorch's own product, without MKL: within 15 % of it either way, so both are here.
"""

import warnings

import numpy as np
import torch


def prepare(layer, *, product="mkl"):
    """Functions that do the layer's work, on tensors made beforehand.

    The transposed matrix is prepared with its values, although training would have to permute
    the new values into it after every step: the peer is charged less than it would cost.

    Parameters
    ----------
    layer : SparseLayer
    product : {"mkl", "native"}
        CSR product of MKL into a given output, or PyTorch's own, which allocates its output.

    Returns
    -------
    dict of callable
        `forward` and `backward` return float32 tensors of shape (n_post, batch_size) and
        (n_pre, batch_size); `gradient` returns shape (n_active,) in CSR order. Outputs of
        the "mkl" products are overwritten by the next call.
    """
    n_post, n_pre = layer.shape
    x, delta = torch.from_numpy(layer.x), torch.from_numpy(layer.delta)
    matrix = _csr(layer.post_ptr, layer.pre_index, layer.value, (n_post, n_pre))
    transposed = _csr(*layer.transposed(), (n_pre, n_post))
    pattern = _csr(layer.post_ptr, layer.pre_index, np.zeros_like(layer.value), (n_post, n_pre))
    multiply = {"mkl": _mkl_product, "native": _native_product}[product]
    x_by_sample = x.t()

    def gradient():
        # The pattern's zeros are scaled by 0, so only the sampled product remains.
        return torch.sparse.sampled_addmm(pattern, delta, x_by_sample, beta=0.0).values()

    return {
        "forward": multiply(matrix, x),
        "backward": multiply(transposed, delta),
        "gradient": gradient,
    }


def _csr(ptr, index, value, shape):
    with warnings.catch_warnings():
        # PyTorch announces once per process that its CSR layout is in beta.
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support", category=UserWarning)
        return torch.sparse_csr_tensor(
            torch.from_numpy(ptr), torch.from_numpy(index), torch.from_numpy(value), shape,
            check_invariants=True,
        )  # fmt: skip


def _mkl_product(matrix, dense):
    out = torch.zeros(matrix.shape[0], dense.shape[1])
    return lambda: torch.addmm(out, matrix, dense, beta=0.0, out=out)


def _native_product(matrix, dense):
    return lambda: torch.sparse.mm(matrix, dense, reduce="sum")
