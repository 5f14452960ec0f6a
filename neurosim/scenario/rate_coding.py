"""The rate-coded copy of a finished run: its network, balanced and measured with the data that it learned from."""

from pathlib import Path

import numpy as np

from neurosim.documents import validate_data
from neurosim.errors import InputError
from neurosim.interchange.rate_coded import make_rate_coded, refuse_unless_rectified
from neurosim.results import read_record
from neurosim.scenario.schema_network import DatasetChoice
from neurosim.scenario.weights import read_run_network


def rate_coded_of(run, n_steps=None, data_dir=None):
    """The network of a run and its copy.

    Parameters
    ----------
    run : path-like
        Folder of a run, or its result.json.
    n_steps : int, optional
        Of a sample; without, chosen on training samples.
    data_dir : path-like, optional
        Where to look for data sets first.

    Returns
    -------
    network : TrainedNetwork
    copy : RateCoded

    Raises
    ------
    InputError
        No run, a network that has no such copy, or data that are not there or not those of the run.
    """
    record = read_record(Path(run))
    network = read_run_network(run, record)
    refuse_unless_rectified(network)
    # The network says itself how samples enter, so they are taken as they are stored.
    chosen = {key: value for key, value in record.scenario["dataset"].items() if value is not None} | {"standardize": False}
    if "encode" in chosen:
        raise InputError("export --rate-coded: its samples are spikes already (dataset.encode), and a copy takes constant currents")
    dataset = validate_data(DatasetChoice, chosen, name="dataset", what="data").load(data_dir)
    if not dataset.n_test:
        raise InputError(f"export --rate-coded: {dataset.name} has no test samples, on which the copy is to be measured")
    # Every class among the first samples, also of a sorted file.
    order = np.random.default_rng(0).permutation(dataset.n_train)
    x_train, y_train = dataset.x_train[order], dataset.y_train[order]
    return network, make_rate_coded(network, (x_train, y_train), (dataset.x_test, dataset.y_test), n_steps)
