"""A cell and a data set, each defined in this file alone: they are checked, placed, trained, accounted, saved and predicted with.

Softsign (y = z / (1 + |z|), dy/dz = (1 - |y|)^2) keeps a copy of its sum beside its output, so that its memory and accesses are its own.
"""

import json

import numpy as np
import pytest

import neurosim as ns
from neurosim import datasets, networks
from neurosim.datasets.dataset import Samples
from neurosim.datasets.info import DatasetInfo
from neurosim.errors import InputError
from neurosim.kernels import cells
from neurosim.kernels.cells import add_cell
from neurosim.kernels.compile import inlined
from neurosim.kernels.marks import mark_rows, mark_samples
from neurosim.networks import NeuronModel
from neurosim.results.network import read_network
from neurosim.scenario import prepare, run_scenario
from neurosim.scenario.trainer import make_trainer

ONE = np.float32(1.0)


@inlined
def forward(values, start, stop, lanes):
    rows = values[start * len(lanes) : stop * len(lanes)]
    for k in range(rows.size):
        rows[k] /= ONE + abs(rows[k])


@inlined
def backward(errors, values, start, stop, live, live_place, wrong, wrong_place, n_samples, lanes):
    rows, y = errors[start * len(lanes) : stop * len(lanes)], values[start * len(lanes) : stop * len(lanes)]
    for k in range(rows.size):
        rows[k] *= (ONE - abs(y[k])) * (ONE - abs(y[k]))
    mark_samples(live, live_place, start, stop, n_samples, lanes)
    mark_rows(errors, start, stop, wrong, wrong_place, lanes)


SOFTSIGN = NeuronModel("softsign", values=2, forward=(1, 2), output=lambda z: z / (1 + np.abs(z)))


def read_rings(info, reading):
    """Points of two rings, by their distance from the middle: uint8 in 0..255, shape (n, 4), each coordinate and its opposite."""
    rng = np.random.default_rng(3)
    arrays = {}
    for part, n in (("train", 400), ("test", 100)):
        label = np.arange(n) % 2
        angle, radius = rng.uniform(0, 2 * np.pi, n), 0.4 + 0.5 * label + rng.normal(0, 0.05, n)
        x, y = (0.5 + 0.5 * np.clip(radius * f(angle), -1, 1) for f in (np.cos, np.sin))
        arrays |= {f"x_{part}": np.round(255 * np.column_stack((x, 1 - x, y, 1 - y))).astype(np.uint8), f"y_{part}": label.astype(np.int64)}
    return Samples(arrays, dict.fromkeys(arrays, "rings"), scale=info.scale, source="drawn", n_classes=info.n_classes)


RINGS = DatasetInfo("rings", 4, 2, None, 1 / 255, "points of two rings", "drawn", read_rings)


@pytest.fixture(scope="module", autouse=True)
def known():
    """The cell and the data set, which are forgotten afterwards."""
    networks.MODELS["softsign"] = SOFTSIGN
    add_cell("softsign", forward, backward)
    datasets.DATASETS["rings"] = RINGS
    yield
    del networks.MODELS["softsign"], cells._added["softsign"], datasets.DATASETS["rings"]


def scenario_of(**changes):
    return ns.Scenario(
        name="rings", dataset="rings", network={"layers": [4, 40, 2], "activation": "softsign", "bias": True, "connectivity": [0.8, 0.8]},
        hardware={"profile": "spinnaker2_santos", "cores": 2}, training={"epochs": 40, "batch_size": 10, "learning_rate": 2.0},
        rewiring={"l1": 1e-5, "noise_std": 1e-4}, report={"figures": False},
    ).with_(**changes)  # fmt: skip


def test_it_is_checked_and_placed_by_its_own_facts():
    placements = [prepare(scenario_of(network={"activation": name})).placement for name in ("softsign", "tanh")]
    own, other = (placement.cores[0].sections["neuron_state"] for placement in placements)
    assert own - other == 20 * 4, "one number more for each of the 20 hidden neurons of a core"
    with pytest.raises(InputError, match="network.activation: found 'softsing'; nearest: softsign"):
        scenario_of(network={"activation": "softsing"})
    with pytest.raises(InputError, match="network.layers: the first layer has 5 neurons, data set rings has 4 features"):
        prepare(scenario_of(network={"layers": [5, 40, 2]}))


@pytest.fixture(scope="module")
def run(known, tmp_path_factory):
    scenario = scenario_of(hardware={"execution": "event_driven"})
    return run_scenario(scenario, out=tmp_path_factory.mktemp("rings") / "run")


def test_it_trains(run):
    record, _ = run
    assert record.accuracy.test > 0.9, "two rings are no two half planes"
    assert record.connectivity.least_active == record.connectivity.most_active == record.connectivity.active == 192
    assert record.connectivity.rewired > 20


def test_it_is_accounted(run):
    """Every hidden value is sent and walked, since its zeros have errors."""
    record, folder = run
    rows = json.loads((folder / "result.json").read_text(encoding="utf-8"))["traffic_bytes"]["rows"]
    backward_words = [row["read_bytes"] for row in rows if (row["phase"], row["section"]) == ("backward", "synapses")]
    assert backward_words and min(backward_words) > 0
    experiment = prepare(scenario_of(hardware={"execution": "event_driven"}))
    trainer, _ = make_trainer(experiment, None)
    assert trainer.probe() == 10
    active, wrong = trainer.network.last_nonzero(10)
    assert active[1].all(), "hidden values count, whatever they are"
    assert trainer.store.tally.nonzero[4:44].tolist() == [10] * 40 and wrong[1].any()


def test_it_is_saved_and_predicts(run):
    record, folder = run
    network = ns.open_run(folder).network
    data = read_rings(RINGS, None).arrays
    assert network.cells == ("softsign",) and set(network.biases) == {1, 2}
    assert (network.predict(data["x_test"]) == data["y_test"]).mean() == record.accuracy.test
    network.to_npz(folder / "mine.npz")
    assert read_network(folder / "mine.npz").npz_bytes() == network.npz_bytes()
    row = networks.MODELS.pop("softsign")
    with pytest.raises(InputError, match="found 'softsign', which this neurosim does not compute"):
        read_network(folder / "mine.npz")
    networks.MODELS["softsign"] = row
