"""Networks that were trained elsewhere, or in an earlier run: read, placed, evaluated."""

from pathlib import Path
from typing import Any

from neurosim.datasets import Dataset, make_dataset
from neurosim.errors import InputError
from neurosim.hardware import HardwareProfile
from neurosim.interchange import holds_network, network_of
from neurosim.results.network import TrainedNetwork
from neurosim.scenario.deploy import Deployment, deploy, read_dataset_choice, read_hardware, read_trained
from neurosim.scenario.schema import Scenario


def load_network(source, steps: int | None = None, **about: Any) -> TrainedNetwork:
    """A network from a file or an object.

    Parameters
    ----------
    source : path-like, onnx.ModelProto, scikit-learn MLPClassifier, or list of matrices
        Files end in .onnx, .npz (of `Run.to_npz` or one matrix of `scipy.sparse.save_npz`), .nir, .h5 or .hdf5. Matrices are arrays or
        SciPy sparse arrays of shape (pre, post), inputs first. The folder of a finished run, or its result.json, is what the run learned.
    steps : int, optional
        Steps of a sample, where the source leaves them open.
    **about
        Of matrices: `activation`, `biases`, `scale`.

    Returns
    -------
    TrainedNetwork

    Raises
    ------
    InputError
        One line that names the node or layer that cannot be expressed.

    Examples
    --------
    >>> import numpy as np
    >>> load_network([np.eye(4, 3), np.eye(3, 2)], activation="tanh").sizes
    (4, 3, 2)
    """
    return _read(source, steps, **about)


def _read(source, steps=None, **about):
    return read_trained(source, steps) if isinstance(source, (str, Path)) else network_of(source, steps, **about)


def evaluate(network, data, *, profile, hardware=None, inputs="auto", steps=None, data_dir=None, threads=None):
    """Run a given network on a chip over test samples: accuracy, traffic and energy of inference alone.

    Parameters
    ----------
    network : TrainedNetwork, Run, or what `load_network` takes
    data : str, Dataset, or (x, y)
        Name or path of a data set, whose test samples are used; or samples, all of which are.
    profile : str, path-like or HardwareProfile
    hardware : dict, optional
        Keys of a scenario's ``hardware``, such as ``{"cores": 4, "weight_format": "int4"}``; weights are as wide as the chip stores them without.
    inputs : {'auto', 'raw', 'unit'}
        In which units the network takes samples; see `neurosim.scenario.inference.evaluate`.
    steps : int, optional
    data_dir : path-like, optional
        Where to look for data sets first.
    threads : int, optional

    Returns
    -------
    Inference

    Raises
    ------
    DoesNotFitError
    InputError
    """
    from neurosim.scenario.inference import evaluate as run_inference

    found = deployed(network, profile, steps, hardware)
    if isinstance(data, str | Path):
        data = read_dataset_choice(data).load(data_dir)
    elif not isinstance(data, Dataset):
        if not isinstance(data, (tuple, list)) or len(data) != 2:
            raise InputError(f"data: found a {type(data).__name__}; expected a name, (x, y) or what neurosim.make_dataset returns")
        data = make_dataset(*data, *data, name="samples")
    return run_inference(found, data, inputs, threads)


def is_network(thing) -> bool:
    """Whether something is a network, the path of one or a finished run, and not a scenario."""
    if isinstance(thing, (str, Path)):
        return holds_network(thing)
    return not isinstance(thing, Scenario)


def deployed(source, profile, steps=None, hardware=None) -> Deployment:
    """A network on a chip."""
    if profile is None:
        raise InputError("profile: missing; a network is on no chip yet, name one such as profile='loihi1'")
    network = getattr(source, "network", None) if not isinstance(source, (str, Path, TrainedNetwork)) else None
    network = network if isinstance(network, TrainedNetwork) else _read(source, steps)
    keys = {f"hardware.{key}": value for key, value in (hardware or {}).items()}
    if isinstance(profile, HardwareProfile):
        changed = {change.key: change.value for change in profile.changes}
        chip = {"price_set": profile.energy.price_set, "corner": profile.corner, "override": changed or None}
        keys = {f"hardware.{key}": value for key, value in chip.items() if value is not None} | keys
        profile = profile.path
    return deploy(network, read_hardware(str(profile), keys))
