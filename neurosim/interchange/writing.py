"""A trained network into a file of another format, by the name of the format."""

from pathlib import Path

from neurosim.documents import write_atomic
from neurosim.errors import InputError, nearest
from neurosim.results.network import TrainedNetwork


def write_network(network: TrainedNetwork, what: str, out: str | Path, dense: bool = False, lossy: bool = False) -> None:
    """Write a network.

    Parameters
    ----------
    network : TrainedNetwork
    what : {'npz', 'onnx', 'nir', 'pynn', 'torch'}
    out : path-like
        A file; of ``pynn`` a folder.
    dense : bool
        Of ``onnx``: weights as dense arrays.
    lossy : bool
        Of ``nir`` and ``pynn``: write spiking neurons though they reset in another way there.

    Raises
    ------
    InputError
        A format that cannot say what the network is; the message names one that can.
    """
    out = Path(out)
    if network.type == "conv" and what not in ("npz", "onnx"):
        raise InputError(
            f"export --format {what}: {network.matrices[0].name} is a convolution with shared sparse weights, which is not written there; use --format onnx"
        )
    if network.per_image and what not in ("npz", "onnx"):
        raise InputError(
            f"export --format {what}: each sample is standardized over its own values (dataset.standardize: image), which is not written there; use "
            "--format onnx"
        )
    if what == "npz":
        network.to_npz(out)
    elif what == "onnx":
        from neurosim.interchange.onnx_out import onnx_bytes

        write_atomic(out, onnx_bytes(network, dense))
    elif what == "nir":
        from neurosim.interchange.nir_out import write_nir

        write_nir(network, out, lossy)
    elif what == "torch":
        from neurosim.interchange.torch_out import write_torch

        write_torch(network, out)
    elif what == "pynn":
        from neurosim.interchange.pynn_out import write_pynn

        write_pynn(network, out, lossy)
    else:
        raise InputError(f"--format: found {what!r}; {nearest(what, ('npz', 'onnx', 'nir', 'pynn', 'torch'))}")
