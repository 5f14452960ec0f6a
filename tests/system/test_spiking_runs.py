"""Runs of spiking networks from scenario to files: what they learned is predicted without kernels, and comes back from the folder."""

import numpy as np
import pytest

from neurosim.errors import InputError
from neurosim.results.network import read_network
from neurosim.scenario import Scenario, run_scenario
from neurosim.scenario.runner import train_scenario
from neurosim.scenario.weights import read_run_network


def scenario_of(recordings, network, training):
    return Scenario.model_validate(
        {
            "name": "spikes",
            "dataset": {
                "name": str(recordings), "max_steps": 9, "features": {"bands": 8}, "encode": {"kind": "integrate", "threshold": 0.5},
            },
            "network": {"units": 20, "connectivity": 0.5, "v_th": 0.4, **network},
            "hardware": {"profile": "spinnaker2", "cores": 2},
            "training": {"epochs": 6, "batch_size": 8, "optimizer": "adam", "learning_rate": 0.02, **training},
            "report": {"figures": False},
        }
    )  # fmt: skip


@pytest.mark.parametrize(
    "network, training",
    [
        ({"type": "lif", "readout": "mean"}, {"method": "eprop"}),
        ({"type": "alif", "adaptive": 0.5, "refractory": 1, "readout": "every"}, {"method": "bptt"}),
        ({"type": "lif", "recurrent": False, "readout": "mean", "readout_steps": 3}, {"method": "eprop", "feedback": "random"}),
    ],
)
def test_a_run_is_predicted_without_kernels_and_comes_back_from_its_folder(network, training, recordings, tmp_path):
    scenario = scenario_of(recordings, network, training)
    record, folder = run_scenario(scenario, out=tmp_path / "run")
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    found = read_run_network(folder)
    data = scenario.dataset.load()
    predicted = found.sums(data.x_test.astype(np.float32), data.lengths_test).argmax(axis=1)
    # A sum in another order may move a spike where a membrane lies on its threshold.
    assert (predicted == data.y_test).mean() == pytest.approx(record.accuracy.test, abs=1.01 / len(predicted))
    found.to_npz(tmp_path / "network.npz")
    again = read_network(tmp_path / "network.npz")
    assert again.spiking == found.spiking and again.type == network["type"]
    assert np.array_equal(
        again.sums(data.x_test.astype(np.float32), data.lengths_test), found.sums(data.x_test.astype(np.float32), data.lengths_test)
    )
    assert [m.is_recurrent for m in found.matrices] == ([False, True, False] if network.get("recurrent", True) else [False, False])
    assert all((found.homes[p] >= 0).all() for p in (1, 2)) and found.homes[1].max() == 1


def test_two_layers_learn_by_errors_within_each_step_from_recordings_that_change(recordings, tmp_path):
    scenario = scenario_of(recordings, {"type": "lif", "units": [20, 15], "readout": "every"}, {"method": "ottt"})
    record, _ = run_scenario(scenario, out=tmp_path / "run")
    assert record.epochs[-1].train_loss < record.epochs[0].train_loss
    # The program has loops for all of it.
    assert all(record.timing.model_by_phase_s[phase] > 0 for phase in ("forward", "backward", "gradient", "update"))
    assert not any("loop" in text for text in record.timing.model_unmodelled), record.timing.model_unmodelled
    moved, _ = train_scenario(scenario.with_(dataset={"augment": {"shift_inputs": 1, "stretch": 0.3, "gain": 0.2, "drop": 0.1}}))
    assert moved.epochs[0].train_loss != record.epochs[0].train_loss and moved.epochs[-1].train_loss < moved.epochs[0].train_loss
    assert [core.memory_bytes for core in moved.cores] == [core.memory_bytes for core in record.cores]


def test_training_without_files_gives_the_same_network(recordings, tmp_path):
    scenario = scenario_of(recordings, {"type": "lif"}, {"method": "eprop", "epochs": 1})
    _, folder = run_scenario(scenario, out=tmp_path / "run")
    _, trained = train_scenario(scenario)
    for ours, theirs in zip(trained.matrices, read_run_network(folder).matrices, strict=True):
        assert (ours.weight != theirs.weight).nnz == 0


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"network": {"tau_m": 0.5}}, "network.tau_m: found 0.5; should be greater than or equal to 1"),
        ({"network": {"type": "lif", "beta": 1.0}}, "a network of type lif does not use it"),
        ({"training": {"feedback": "random"}}, "whose errors go back along the weights"),
        ({"training": {"method": "eprop", "window": 3}}, "method eprop keeps no past steps"),
        ({"training": {"method": "epropp"}}, "epropp"),
        ({"training": {"rate_cost": 0.1}}, "rate_target"),
        ({"network": {"units": [10, 10]}, "training": {"method": "eprop"}}, "of which only the last has weights to the outputs"),
        ({"network": {"readout": "last", "readout_steps": 2}}, "which is one step"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(changes, words, recordings):
    good = scenario_of(recordings, {"type": "lif"}, {})
    with pytest.raises(InputError) as error:
        good.with_(**changes)
    assert words in str(error.value) and "\n" not in str(error.value)
