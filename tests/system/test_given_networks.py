"""Networks from elsewhere on the command line and in runs: check, evaluate, export, start_from."""

import json
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
from typer.testing import CliRunner

import neurosim as ns
from neurosim.cli import app
from neurosim.errors import InputError
from neurosim.scenario import load_scenario, run_scenario
from neurosim.scenario.experiment import prepare
from neurosim.scenario.trainer import make_trainer

QUICK = ["training.epochs=1", "report.figures=false"]
WIDE = "hardware.override.storage.local_bytes=1048576"
#: Runs whose last evaluation must cost what `evaluate` counts: scenario, its keys, those of the chip.
RUNS = {
    "one core": ("digits_santos", [], []),
    "rows behind pointers": ("digits_santos", ["hardware.cores=3"], ["hardware.execution=event_driven"]),
    "lists and hops": ("digits_santos", ["hardware.cores=2"], ["hardware.profile=loihi1"]),
    "biases, three cells": ("digits_santos", ["network.layers=[64, 40, 30, 20, 10]", "network.activation=[tanh, relu, leaky_relu]", "network.bias=true", "network.connectivity=0.3"], ["hardware.cores=2"]),
    "maps, four cores": ("digits_conv_spinnaker2", [], []),
    "circuits, rounded": ("digits_brainscales2", [], ["hardware.weight_format=int7", "hardware.weight_range=4.0"]),
}  # fmt: skip


def run(*words):
    """Invoke the command line; what it raises is `exception` of the result, an exit code its `return_value`."""
    return CliRunner().invoke(app, [str(word) for word in words], standalone_mode=False)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of digits_santos: its folder."""
    folder = tmp_path_factory.mktemp("run") / "digits"
    run_scenario(load_scenario("digits_santos", QUICK), out=folder)
    return folder


@pytest.mark.parametrize("name", RUNS)
def test_evaluate_counts_what_the_run_counted(name, tmp_path):
    base, keys, of_chip = RUNS[name]
    scenario = load_scenario(base, [*QUICK, *keys, *of_chip])
    record, folder = run_scenario(scenario, out=tmp_path / "run")
    assert run("export", folder, "--format", "onnx", "--out", tmp_path / "net.onnx").exit_code == 0
    hardware = scenario.hardware.model_dump(mode="json", exclude_unset=True)
    chosen = {k: hardware[k] for k in ("execution", "weight_format", "weight_range", "price_set", "corner") if k in hardware}
    if record.profile.name == "loihi1":
        chosen["weight_format"] = "float32"  # what the run trained
    cores = len(record.cores)
    found = ns.evaluate(tmp_path / "net.onnx", "digits", profile=scenario.hardware.profile, hardware={"cores": cores, **chosen})
    assert found.accuracy == record.accuracy.test
    assert found.n_rounded == found.n_saturated == 0
    assert found.events == record.events["evaluate"]
    assert found.events["synaptic_op"] > 0
    assert cores == 1 or found.events["packet_sent"] > 0
    rows = {(r.core, r.section): (r.read_bytes, r.write_bytes) for r in record.traffic_bytes.rows if r.phase == "evaluate"}
    assert {(r["core"], r["section"]): (r["read_bytes"], r["write_bytes"]) for r in found.traffic_bytes["rows"]} == rows
    again = ns.evaluate(ns.open_run(folder), "digits", profile=scenario.hardware.profile, hardware={"cores": cores, **chosen})
    assert again.events == found.events


def test_images_that_are_standardized_by_themselves_enter_so_again(tmp_path):
    record, folder = run_scenario(load_scenario("digits_santos", [*QUICK, "dataset.standardize=image"]), out=tmp_path / "run")
    found = ns.evaluate(folder, "digits", profile="spinnaker2_santos")
    assert found.accuracy == found.accuracy_given == record.accuracy.test
    assert found.events == record.events["evaluate"]
    ns.open_run(folder).network.to_npz(tmp_path / "net.npz")
    keys = [*QUICK, f"start_from={tmp_path / 'net.npz'}"]
    trainer, _ = make_trainer(prepare(load_scenario("digits_santos", [*keys, "dataset.standardize=image"])))
    assert trainer.network.evaluate_on(trainer.dataset).accuracy == record.accuracy.test
    ns.load_network([np.eye(64, 100), np.eye(100, 10)]).to_npz(tmp_path / "plain.npz")
    for wrong, line in (
        (keys, "standardized by itself, and this run does not; set dataset.standardize to image"),
        ([*QUICK, f"start_from={tmp_path / 'plain.npz'}", "dataset.standardize=image"], "this run does; set dataset.standardize to false"),
    ):
        with pytest.raises(InputError, match=line):
            make_trainer(prepare(load_scenario("digits_santos", wrong)))


def test_a_run_of_maps_starts_from_a_file(tmp_path):
    done = ns.run(load_scenario("digits_conv_spinnaker2", QUICK), out=tmp_path / "run")
    done.to_onnx(tmp_path / "net.onnx")
    keys = [*QUICK, f"start_from={tmp_path / 'net.onnx'}"]
    scenario = load_scenario("digits_conv_spinnaker2", keys)
    trainer, _ = make_trainer(prepare(scenario))
    assert trainer.store.violations() == []
    for m, matrix in enumerate(done.network.matrices):
        pre, post, weight = trainer.store.connections(m)
        assert np.array_equal(weight, matrix.weight.toarray()[pre, post])
    assert trainer.network.evaluate_on(trainer.dataset).accuracy == done.accuracy.test
    assert ns.run(scenario).accuracy.test > done.accuracy.test - 0.1
    # A convolution takes over what its inputs are multiplied with, map by map; a shift would be missing in the padding.
    network = ns.load_network(tmp_path / "net.onnx")
    for change, line in (
        ({"scale": network.scale * 2}, None),
        ({"mean": np.full(64, 0.5), "spread": np.full(64, 2.0)}, "of which the padding of its first convolution takes no part"),
        ({"mean": np.zeros(64), "spread": np.linspace(1, 2, 64)}, "scaled or shifted one by one"),
    ):
        replace(network, **change).to_npz(tmp_path / "net.npz")
        keys = [*QUICK, f"start_from={tmp_path / 'net.npz'}"]
        if line is None:
            doubled, _ = make_trainer(prepare(load_scenario("digits_conv_spinnaker2", keys)))
            assert np.array_equal(doubled.store.connections(0)[2], 2 * trainer.store.connections(0)[2])
            continue
        with pytest.raises(InputError, match=line):
            make_trainer(prepare(load_scenario("digits_conv_spinnaker2", keys)))
    with pytest.raises(InputError, match=r"sizes \[1x8x8, 12 of kernel 3 stride 1 padding 1 max 2.*network\.layers is \[1x8x8, 12 of kernel 5"):
        load = load_scenario("digits_conv_spinnaker2", keys)
        layers = [{"conv": 12, "kernel": 5, "padding": "same"}, *load.model_dump(exclude_unset=True)["network"]["layers"][1:]]
        prepare(load.with_(network={"layers": layers}))


def test_onnx_of_a_run_in_onnxruntime(finished, tmp_path):
    assert run("export", finished, "--format", "onnx", "--out", tmp_path / "net.onnx").exit_code == 0
    assert run("export", finished, "--format", "onnx", "--dense", "--out", tmp_path / "dense.onnx").exit_code == 0
    done, data = ns.open_run(finished), load_scenario("digits_santos").dataset.load()
    x = data.x_test.astype(np.float32)
    for path in ("net.onnx", "dense.onnx"):
        logits = onnxruntime.InferenceSession(tmp_path / path).run(None, {"input": x})[0]
        want = done.network.logits(data.x_test)
        assert np.abs(logits - want).max() <= 1e-5 * np.abs(want).max()
        assert (logits.argmax(axis=1) == data.y_test).mean() == done.accuracy.test
    assert (tmp_path / "net.onnx").stat().st_size < (tmp_path / "dense.onnx").stat().st_size


def test_onnx_of_a_recurrent_run(tmp_path, recordings):
    scenario = ns.Scenario(
        name="words", dataset={"name": str(recordings), "max_steps": 9, "features": {"bands": 6}}, network={"type": "lstm", "units": [7, 5], "connectivity": 0.4},
        hardware={"profile": "spinnaker2", "cores": 2}, training={"epochs": 1, "batch_size": 8, "optimizer": "adam", "learning_rate": 0.02},
        rewiring={"rule": "deep_r", "l1": 1e-4, "noise_std": 1e-4, "theta_born": 1e-3}, report={"figures": False},
    )  # fmt: skip
    record, folder = run_scenario(scenario, out=tmp_path / "run")
    done, data = ns.open_run(folder), scenario.dataset.load()
    done.to_onnx(tmp_path / "net.onnx")
    n_steps, n_inputs = data.n_steps, data.n_features // data.n_steps
    lengths = np.full(data.n_test, n_steps, np.int32) if data.lengths_test is None else np.asarray(data.lengths_test, np.int32)
    x = np.zeros((data.n_test, n_steps, n_inputs), np.float32)
    for row, steps, n in zip(x, data.x_test.reshape(x.shape), lengths, strict=True):
        row[:n] = steps[n_steps - n :]  # recordings are padded in front, ONNX wants that behind
    logits = onnxruntime.InferenceSession(tmp_path / "net.onnx").run(None, {"input": x, "lengths": lengths})[0]
    want = done.network.logits(x, lengths)
    assert np.abs(logits - want).max() <= 1e-5 * np.abs(want).max()
    assert (logits.argmax(axis=1) == data.y_test).mean() == record.accuracy.test
    back = ns.load_network(tmp_path / "net.onnx")
    found = ns.evaluate(back, data, profile="spinnaker2", hardware={"cores": 2})
    assert found.accuracy == record.accuracy.test
    assert found.events == record.events["evaluate"]


def test_check_and_evaluate_on_the_command_line(finished, tmp_path):
    net = tmp_path / "net.onnx"
    assert run("export", finished, "--format", "onnx", "--out", net).exit_code == 0
    one = run("check", net, "--profile", "loihi1", "--json")
    assert one.exit_code == 0 and json.loads(one.stdout)["routes"]["packets"] == 0
    assert "positions as given" in run("check", net, "--profile", "loihi1", "--set", "hardware.cores=2").stdout
    many = json.loads(run("check", net, "--profile", "all", "--json").stdout)
    assert {row["profile"] for row in many} == set(ns.profiles())
    refused = run("check", net, "--profile", "truenorth", "--set", "hardware.cores=4")
    assert refused.return_value == 3 and "targets_per_neuron" in refused.stdout
    found = json.loads(run("evaluate", net, "--data", "digits", "--profile", "loihi1", "--set", "hardware.weight_format=int3", "--json").stdout)
    assert found["n_rounded"] > 0 and found["accuracy"] < found["accuracy_given"] + 0.05
    assert "accuracy" in run("evaluate", finished, "--data", "digits", "--profile", "loihi1", "--set", "dataset.limit=200").stdout
    assert isinstance(run("check", net).exception, InputError)
    assert isinstance(run("evaluate", net, "--data", "mnist_of_nobody", "--profile", "loihi1").exception, InputError)
    assert isinstance(run("check", "digits_santos", "--steps", "3").exception, InputError)


def test_inputs_from_0_to_1(finished):
    data = load_scenario("digits_santos").dataset.load()
    raw = ns.open_run(finished).network
    elsewhere = ns.load_network([m.weight for m in raw.matrices])  # as trained on values from 0 to 1
    unit = ns.evaluate(elsewhere, data, profile="spinnaker2_santos")
    assert unit.accuracy == ns.evaluate(raw, data, profile="spinnaker2_santos").accuracy
    assert ns.evaluate(elsewhere, data, profile="spinnaker2_santos", inputs="raw").loss != unit.loss


@pytest.mark.parametrize("rule", ["deep_r", "set", "rigl", "static", "prune"])
def test_a_run_starts_from_given_weights(rule, tmp_path):
    rng = np.random.default_rng(0)
    dense = ns.load_network([rng.normal(size=s).astype(np.float32) / 8 for s in ((64, 100), (100, 10))], biases=[np.ones(100), np.zeros(10)])
    dense.to_npz(tmp_path / "dense.npz")
    keys = [*QUICK, WIDE, f"start_from={tmp_path / 'dense.npz'}", "network.bias=true", "hardware.cores=2", "training.learning_rate=0.05"]
    scenario = load_scenario("digits_santos", keys).with_(rewiring={"rule": rule})
    experiment = prepare(scenario)
    trainer, identity = make_trainer(experiment)
    store = trainer.store
    assert store.violations() == []
    assert trainer.network.biases.tolist() == [1.0] * 100 + [0.0] * 10
    for g, segment in enumerate(store.plan.segments):
        start, stop = store.segments.slot_start[g : g + 2]
        held = np.sort(np.abs(store.slots.weight[start:stop][store.slots.active[start:stop] == 1]))[::-1]
        given = dense.matrices[segment.matrix].weight.toarray()[:, segment.post_start : segment.post_stop]
        assert np.array_equal(held, np.sort(np.abs(given).ravel())[::-1][: held.size])
        assert held.size == store.plan.n_start[g] > 0
    for m, matrix in enumerate(dense.matrices):
        pre, post, weight = store.connections(m)
        assert np.array_equal(weight, matrix.weight.toarray()[pre, post])  # signs, too
    done = ns.run(scenario)
    want = [sum(s.n_active for s in store.plan.segments if s.matrix == m) for m in range(2)]
    assert [m.active for m in done.record.connectivity.matrices] == want
    dense.to_npz(tmp_path / "dense.npz")
    changed = ns.load_network([m.weight * 2 for m in dense.matrices], biases=[np.ones(100), np.zeros(10)])
    changed.to_npz(tmp_path / "dense.npz")
    assert make_trainer(experiment)[1] != identity


def test_a_run_goes_on_from_another(finished, tmp_path):
    scenario = load_scenario("digits_santos", [*QUICK, f"start_from={finished}"])
    trainer, _ = make_trainer(prepare(scenario))
    before = ns.open_run(finished)
    data = scenario.dataset.load()
    assert trainer.network.evaluate_on(data).accuracy == before.accuracy.test
    assert trainer.store.n_active == before.network.n_synapses
    record, folder = run_scenario(scenario, out=tmp_path / "more")
    assert record.accuracy.test > 0.5 and record.scenario["start_from"] == str(finished)


@pytest.mark.parametrize("profile", ["loihi1", "spinnaker2"])
def test_a_run_goes_on_where_the_chip_counts_rows(profile, tmp_path):
    keys = [*QUICK, f"hardware.profile={profile}", "hardware.cores=3", "rewiring={rule: static}"]
    record, folder = run_scenario(load_scenario("digits_santos", keys), out=tmp_path / "first")
    more, _ = run_scenario(load_scenario("digits_santos", [*keys, f"start_from={folder}"]), out=tmp_path / "more")
    assert more.connectivity.active == record.connectivity.active
    for core, before in zip(more.cores, record.cores, strict=True):
        assert {name: (rows.used, rows.peak) for name, rows in core.rows.items()} == {
            name: (rows.used, rows.peak) for name, rows in before.rows.items()
        }
        assert core.rows


def test_too_few_given_connections_are_filled_up(tmp_path):
    few = ns.load_network([np.eye(64, 100), np.eye(100, 10)])
    few.to_npz(tmp_path / "few.npz")
    trainer, _ = make_trainer(prepare(load_scenario("digits_santos", [*QUICK, f"start_from={tmp_path / 'few.npz'}"])))
    store = trainer.store
    assert store.violations() == []
    assert store.n_active == sum(s.n_active for s in store.plan.segments)
    assert (store.slots.weight != 0).sum() == 74


def test_inputs_of_another_scale_go_into_the_first_weights(tmp_path):
    rng = np.random.default_rng(1)
    matrices = [rng.normal(size=s).astype(np.float32) for s in ((64, 100), (100, 10))]
    network = ns.load_network(matrices, biases=[np.zeros(100), np.zeros(10)])
    data = load_scenario("digits_santos").dataset.load()
    odd = replace(network, scale=0.5, mean=np.linspace(0, 1, 64), spread=np.linspace(1, 2, 64))
    odd.to_npz(tmp_path / "odd.npz")
    keys = [*QUICK, WIDE, f"start_from={tmp_path / 'odd.npz'}", "network.bias=true", "network.connectivity=1.0"]
    trainer, _ = make_trainer(prepare(load_scenario("digits_santos", keys)))
    want = (odd.logits(data.x_test.astype(float) * data.scale).argmax(axis=1) == data.y_test).mean()
    assert trainer.network.evaluate_on(data).accuracy == pytest.approx(want, abs=1.5 / data.n_test)
    with pytest.raises(InputError, match=r"network\.bias to true"):
        replace(odd, biases={}).to_npz(tmp_path / "odd.npz")
        make_trainer(prepare(load_scenario("digits_santos", [*keys[:-2], keys[-1]])))


def test_starts_that_are_refused(tmp_path):
    network = ns.load_network([np.eye(64, 90), np.eye(90, 10)])
    network.to_npz(tmp_path / "net.npz")
    for keys, line in (
        ([f"start_from={tmp_path / 'net.npz'}"], r"sizes \[64, 90, 10\]"),
        ([f"start_from={tmp_path / 'gone.npz'}"], "no such file"),
        ([f"start_from={tmp_path / 'net.npz'}", "network.layers=[64, 90, 10]", "network.activation=tanh"], "cells relu"),
    ):
        with pytest.raises(InputError, match=line):
            prepare(load_scenario("digits_santos", [*QUICK, *keys]))


@pytest.mark.parametrize("profile", ["spinnaker2", "loihi1"])
def test_a_spiking_run_and_its_evaluation(profile, tmp_path):
    scenario = ns.Scenario(
        name="spikes", dataset={"name": "digits", "encode": {"kind": "rate", "steps": 12}}, network={"type": "lif", "units": [20], "connectivity": 0.4},
        hardware={"profile": profile, "cores": 2, "learning": "host"}, training={"epochs": 1, "batch_size": 32, "optimizer": "adam", "learning_rate": 0.01},
        rewiring={"rule": "static"}, report={"figures": False},
    )  # fmt: skip
    record, folder = run_scenario(scenario, out=tmp_path / "run")
    network = ns.open_run(folder).network
    found = ns.evaluate(network, scenario.dataset.load(), profile=profile, hardware={"cores": 2, "weight_format": "float32"})
    assert found.accuracy == record.accuracy.test
    assert found.events == record.events["evaluate"]
    assert found.events["synaptic_op"] > 0 and found.events["packet_sent"] > 0
    for what in ("torch", "npz"):
        assert run("export", folder, "--format", what, "--out", tmp_path / f"net.{'py' if what == 'torch' else what}").exception is None
    assert "--lossy" in str(run("export", folder, "--format", "nir", "--out", tmp_path / "net.nir").exception)
    assert run("export", folder, "--format", "nir", "--lossy", "--out", tmp_path / "net.nir").exception is None
    assert ns.load_network(tmp_path / "net.nir").n_synapses <= network.n_synapses


def test_values_that_enter_a_spiking_network_are_charged_as_values(tmp_path, recordings):
    scenario = ns.Scenario(
        name="values", dataset={"name": str(recordings), "max_steps": 9, "features": {"bands": 6}}, network={"type": "lif", "units": [8], "connectivity": 0.5},
        hardware={"profile": "spinnaker2", "cores": 1, "learning": "host"}, training={"epochs": 1, "batch_size": 8, "learning_rate": 0.02},
        rewiring={"rule": "static"}, report={"figures": False},
    )  # fmt: skip
    record, folder = run_scenario(scenario, out=tmp_path / "run")
    found = ns.evaluate(folder, scenario.dataset.load(), profile="spinnaker2", hardware={"cores": 1})
    assert found.accuracy == record.accuracy.test and found.events == record.events["evaluate"]
    rows = {(r.core, r.section): (r.read_bytes, r.write_bytes) for r in record.traffic_bytes.rows if r.phase == "evaluate"}
    assert {(r["core"], r["section"]): (r["read_bytes"], r["write_bytes"]) for r in found.traffic_bytes["rows"]} == rows


def test_weights_of_a_run_are_those_of_its_grid(tmp_path):
    """No weight is cut by a full scale at which it lies: the run's own weights are values of the evaluation's grid."""
    keys = [*QUICK, "hardware.profile=spinnaker2", "network.layers=[64, 20, 10]", "hardware.weight_format=int4"]
    for seed in range(3):
        record, folder = run_scenario(load_scenario("digits_santos", [*keys, f"seed={seed}"]), out=tmp_path / f"run{seed}")
        found = ns.evaluate(folder, "digits", profile="spinnaker2", hardware={"weight_format": "int4"})
        assert found.n_saturated == found.n_rounded == 0 and found.accuracy == record.accuracy.test


def test_the_folder_of_a_run_is_a_network(finished, main_cli):
    network = ns.load_network(finished)
    assert network.n_synapses == ns.open_run(finished).network.n_synapses and network.origin["scenario"] == "digits_santos"
    for place in (finished, finished / "result.json"):
        verdict = ns.check(place, profile="loihi1")
        assert verdict and verdict.to_dict() == ns.check(network, profile="loihi1").to_dict()
        done = main_cli("check", place, "--profile", "loihi1", "--json")
        assert done.code == 0 and json.loads(done.out)["n_active"] == json.loads(json.dumps(verdict.to_dict()))["n_active"]
        many = main_cli("check", place, "--profile", "all", "--json")
        assert many.code == 0 and all("state" in row for row in json.loads(many.out))
    assert ns.evaluate(finished, "digits", profile="loihi1").accuracy > 0.5
    alone = main_cli("check", finished)
    assert (alone.code, alone.err.count("\n")) == (2, 1) and "--profile" in alone.err
    (empty := finished.parent / "empty").mkdir()
    for refused in (main_cli("check", empty, "--profile", "loihi1"), main_cli("evaluate", empty, "--data", "digits", "--profile", "loihi1")):
        assert (refused.code, refused.err.count("\n")) == (2, 1)
    with pytest.raises(InputError, match="no such file|no finished run|result.json"):
        ns.load_network(empty)
