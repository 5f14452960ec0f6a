"""What a user would pick instead: the same work written with PyTorch and SciPy.

Nothing here uses neurosim's kernels; only the check reads data through `neurosim.datasets`.
Arrays have the layout in which each library is fastest, threads are set by the caller
(`timing.on_torch_threads`), and every module says which forms were tried.
"""
