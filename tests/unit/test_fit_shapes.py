"""``fit`` that weighs matrices and widens layers, held against placing one more by hand."""

from dataclasses import replace

import pytest

from neurosim.errors import DoesNotFitError, InputError
from neurosim.placement import place
from neurosim.scenario import load_scenario
from neurosim.scenario.experiment import prepare

# Chips that stop networks in different ways: memory, fan-in of a crossbar, fan-in and axons, cells of neurons.
CHIPS = ("spinnaker2_santos", "mnist_brainscales1", "mnist_truenorth", "mnist_chen2018", "mnist_spinnaker2")


def scenario_of(name):
    return load_scenario("mnist_santos_64kb" if name == "spinnaker2_santos" else name)


def is_sure(placement):
    return all(usage.is_guaranteed for usage in placement.usages)


def fit(name, how=None):
    scenario = scenario_of(name).with_(network={"connectivity": "fit", "fit": how})
    n_cores = None if scenario.hardware.cores == "auto" else scenario.hardware.cores
    return prepare(scenario), n_cores


@pytest.mark.parametrize("name", CHIPS)
def test_filled_matrices_cannot_grow_and_hold_no_less_than_equal_fractions(name):
    experiment, n_cores = fit(name, "fill")
    equal, _ = fit(name)
    workload = experiment.placement.workload
    assert all(a >= b for a, b in zip(workload.n_active, equal.placement.workload.n_active))
    assert len(experiment.verdict.fit) == len(workload.n_active) and experiment.verdict.fits
    cores = n_cores or experiment.profile.cores.value
    assert is_sure(place(experiment.profile, workload, cores))
    for i, (stop, n, possible) in enumerate(zip(experiment.verdict.fit, workload.n_active, workload.n_positions)):
        assert stop.what.endswith(f"{n:,d} of {possible:,d} connections")
        if n == possible:
            assert stop.usage is None
            continue
        more = replace(workload, n_active=tuple(m + (i == j) for j, m in enumerate(workload.n_active)))
        # The remainders of a division among cores may leave room for a single one; a whole row of them never.
        row = replace(
            workload, n_active=tuple(min(m + 2 * cores * (i == j), p) for j, (m, p) in enumerate(zip(workload.n_active, workload.n_positions)))
        )
        assert not is_sure(place(experiment.profile, more, cores)) or not is_sure(place(experiment.profile, row, cores))
        assert stop.usage.used > stop.usage.limit


def test_filling_gains_where_one_matrix_meets_its_fan_in_first():
    full, half = fit("mnist_brainscales1", "fill")[0].placement.workload, fit("mnist_brainscales1")[0].placement.workload
    assert full.n_synapses > half.n_synapses and full.n_active != half.n_active


@pytest.mark.parametrize("name", CHIPS)
def test_equal_fan_in_is_equal_where_no_matrix_is_full(name):
    experiment, _ = fit(name, "fan_in")
    workload = experiment.placement.workload
    fan_ins = [n / n_post for n, (_, n_post), p in zip(workload.n_active, workload.topology.shapes, workload.n_positions) if n < p]
    if not fan_ins:
        assert name == "mnist_spinnaker2"  # which holds the whole network
        return
    assert max(fan_ins) - min(fan_ins) <= 1
    full = [n / n_post for n, (_, n_post), p in zip(workload.n_active, workload.topology.shapes, workload.n_positions) if n == p]
    assert all(f <= min(fan_ins) for f in full)


@pytest.mark.parametrize("layers", [["in", "fit", "out"], ["in", "fit", 20, "fit", "out"]])
@pytest.mark.parametrize("change", [{"connectivity": 0.05}, {"synapses": 3000, "connectivity": None}])
@pytest.mark.parametrize("chip", [{"profile": "spinnaker2_santos", "cores": 1}, {"profile": "spinnaker2", "cores": 3}])
def test_widest_layers_fit_and_one_neuron_more_does_not(layers, change, chip):
    sizes = [{"in": 64, "out": 10}.get(n, n) for n in layers]
    scenario = load_scenario("digits_santos").with_(network={"layers": sizes, **change}, hardware=chip)
    experiment = prepare(scenario)
    found = experiment.scenario.network.layers
    (width,) = {n for n, wanted in zip(found, sizes) if wanted == "fit"}
    assert experiment.verdict.fits and is_sure(experiment.placement)
    assert experiment.placement.workload.topology.sizes == found
    (stop,) = experiment.verdict.fit
    assert f"{width:,d} neurons in layer 1" in stop.what and stop.usage.used > stop.usage.limit
    wider = prepare(scenario.with_(network={"layers": [width + 1 if n == "fit" else n for n in sizes]}), with_remedies=False)
    assert not is_sure(wider.placement)


def test_a_widened_network_trains_and_its_record_holds_its_sizes(tmp_path):
    from neurosim.results import read_record
    from neurosim.scenario.runner import run_scenario

    scenario = load_scenario("digits_santos", {"network.layers": [64, "fit", 10], "network.connectivity": 0.2, "training.epochs": 2})
    _, folder = run_scenario(scenario, out=tmp_path / "run", n_threads=1)
    record = read_record(folder)
    width = record.scenario["network"]["layers"][1]
    assert isinstance(width, int) and f"{width:,d} neurons in layer 1" in record.verdict["fit"]["text"]
    run_scenario(scenario, out=folder, resume=True, n_threads=1)  # nothing is left to do, and it is the same scenario


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        ({"network.layers": ["fit", 100, 10]}, "inputs and outputs have the sizes of the data"),
        ({"network.layers": [64, 100, "fit"]}, "inputs and outputs have the sizes of the data"),
        ({"network.layers": [64, "fit", 10], "network.connectivity": "fit"}, "give a number here"),
        ({"network.fit": "fan_in"}, "set connectivity to fit"),
        ({"network.connectivity": "fit", "network.fit": "fanin"}, "fan_in"),
        ({"network.layers": [64, "wide", 10]}, "network.layers"),
    ],
)
def test_bad_input_is_one_line(overrides, words):
    with pytest.raises(InputError, match=words) as caught:
        load_scenario("digits_santos", overrides)
    assert "\n" not in str(caught.value)


def test_not_even_one_neuron():
    scenario = load_scenario("digits_santos", {"network.layers": [64, "fit", 10], "hardware.code_bytes": 65_500, "network.connectivity": 0.1})
    with pytest.raises(DoesNotFitError, match="network.layers fit: not even 1 neuron fit"):
        prepare(scenario)
