"""One place that owns every compiler option of the kernels.

The fast-math set leaves out ``nnan`` and ``ninf``, so that a NaN or an infinity is still seen, and
``nsz``, because the sign of a zero weight is the sign of its synapse (see `neurosim.synapses`).
"""

from functools import partial

import numba

FAST_MATH = {"reassoc", "arcp", "contract"}

#: Compile a kernel: cached on disk, without the interpreter lock, NumPy's rules for division.
kernel = partial(numba.njit, cache=True, nogil=True, fastmath=FAST_MATH, error_model="numpy")

#: The same with parallel loops (``prange``).
parallel_kernel = partial(kernel, parallel=True)

#: For arithmetic whose exact order is part of a contract: no fast-math at all.
exact_kernel = partial(numba.njit, cache=True, nogil=True, error_model="numpy")

#: A function that is always inlined into the kernels that call it.
inlined = partial(kernel, inline="never", forceinline=True)
