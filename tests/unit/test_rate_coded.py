"""Rate-coded copies: balanced without changing the network, measured as their file says, refused where there is none."""

import json
import warnings
from dataclasses import replace

import nir
import numpy as np
import pytest
from networks_given import make_perceptron, make_recurrent

import neurosim as ns
from neurosim.errors import InputError
from neurosim.interchange.nir_out import rate_coded_graph
from neurosim.interchange.rate_coded import PERCENTILE, TRIED, make_rate_coded, simulate


def rectified(**about):
    return make_perceptron(**({"cells": ("relu", "relu"), "sizes": (64, 40, 30, 10)} | about))


def samples(network, n=200, seed=0):
    """Samples with the labels that the network itself gives them."""
    x = np.random.default_rng(seed).integers(0, 17, (n, network.n_inputs)).astype(np.float32)
    return x, network.logits(x).argmax(axis=1)


VARIANTS = {
    "plain": rectified(biases=()),
    "biases and a scale": rectified(biases=(1, 2, 3), scale=1 / 16),
    "standardized": rectified(mean=np.linspace(-1, 1, 64), spread=np.linspace(0.5, 2, 64)),
}


@pytest.mark.parametrize("name", VARIANTS)
def test_balancing_changes_no_class_and_brings_values_to_one(name):
    network = VARIANTS[name]
    x, y = samples(network)
    copy = make_rate_coded(network, (x, y), (x, y), 4)
    value = x.astype(np.float64)
    for i, (weight, bias) in enumerate(zip(copy.weights, copy.biases, strict=True)):
        value = value @ weight + bias
        if i < len(copy.weights) - 1:
            value = np.maximum(value, 0)
            assert np.percentile(value, PERCENTILE) == pytest.approx(1, rel=1e-4)
    want = network.logits(x)
    assert np.allclose(value / np.abs(value).max(), want / np.abs(want).max(), atol=1e-5)
    assert copy.accuracy_of_network == 1.0


def step_by_step(graph, x, n_steps, step_s):
    """Sums of the outputs, from the nodes of a file alone: Euler's method on the equations of the format, in float64."""
    nodes, name, total = graph.nodes, "input", 0
    chain = []
    while name != "output":
        (name,) = [b for a, b in graph.edges if a == name]
        chain.append(nodes[name])
    v = {}
    for _ in range(n_steps):
        value = x.astype(np.float64)
        for i, node in enumerate(chain[:-1]):
            if isinstance(node, nir.LIF):
                before = v.get(i, 0.0)
                now = before + step_s / node.tau * (node.v_leak - before + node.r * value)
                value = (now > node.v_threshold).astype(np.float64)
                v[i] = np.where(value > 0, node.v_reset, now)
            else:
                value = value @ node.weight.T + getattr(node, "bias", 0)
        total = total + value
    return total


@pytest.mark.parametrize("name", VARIANTS)
def test_what_is_measured_is_what_the_file_says(name, tmp_path):
    network = VARIANTS[name]
    train, test = samples(network), samples(network, 150, seed=1)
    copy = make_rate_coded(network, train, test)
    assert copy.n_steps in TRIED and 0.5 < copy.accuracy <= 1 and copy.spikes_per_sample > 10
    nir.write(tmp_path / "net.nir", rate_coded_graph(network, copy))
    graph = nir.read(tmp_path / "net.nir")
    told = json.loads(graph.metadata["neurosim.rate_coded"])
    assert told == json.loads(json.dumps(copy.facts())) and told["n_samples"] == 150
    sums = step_by_step(graph, test[0], copy.n_steps, float(graph.metadata["neurosim.step_s"]))
    # A membrane within rounding of its threshold may spike a step later in float32: one sample of 150.
    assert abs((sums.argmax(axis=1) == test[1]).mean() - copy.accuracy) <= 1 / 150
    (mine,), _ = simulate(copy.weights, copy.biases, test[0], (copy.n_steps,))
    assert (mine.argmax(axis=1) == sums.argmax(axis=1)).mean() >= 0.99


def test_more_steps_say_more():
    network = VARIANTS["biases and a scale"]
    train, test = samples(network), samples(network, 400, seed=1)
    few, many = (make_rate_coded(network, train, test, n).accuracy for n in (2, 256))
    assert few < many


def test_steps_are_chosen_on_training_samples():
    network = VARIANTS["plain"]
    train, test = samples(network), samples(network, 50, seed=1)
    copy = make_rate_coded(network, train, (test[0], (test[1] + 1) % 10))  # whatever the test set says
    assert set(copy.training) == set(TRIED) and copy.n_steps == make_rate_coded(network, train, test).n_steps
    best = max(copy.training.values())
    assert all(copy.training[n] < best - 0.005 for n in TRIED if n < copy.n_steps) and copy.training[copy.n_steps] >= best - 0.005


@pytest.mark.parametrize(
    ("network", "line"),
    [
        (make_perceptron(), "hidden 1 has cells tanh.*--format onnx"),
        (rectified(cells=("relu", "leaky_relu")), "hidden 2 has cells leaky_relu"),
        (make_recurrent(), "type lstm"),
        (make_perceptron(sizes=(12, 4), cells=(), biases=()), "no hidden neuron.*leave --rate-coded out"),
        (replace(rectified(), per_image=True), "standardized by itself"),
        (rectified(biases=(1, 2), scale=0.0), None),
    ],
)
def test_what_has_no_copy(network, line):
    x = np.ones((4, network.n_features), np.float32)
    if line is None:  # nothing enters, and no bias lets a neuron spike
        network = replace(network, biases={p: -np.abs(b) for p, b in network.biases.items()})
        line = "hidden 1 is silent for all 4"
    with pytest.raises(InputError, match=line) as caught:
        make_rate_coded(network, (x, np.zeros(4)), (x, np.zeros(4)))
    assert "\n" not in str(caught.value)


def test_a_run_through_the_command_line(tiny_run, main_cli, tmp_path):
    done = main_cli("export", tiny_run.folder, "--format", "nir", "--rate-coded", "--out", "net.nir")
    assert done.code == 0, done.err
    told = json.loads(nir.read(tmp_path / "net.nir").metadata["neurosim.rate_coded"])
    assert f"{100 * told['accuracy']:.2f} % of 360 test samples" in done.out
    assert told["accuracy_of_network"] == pytest.approx(tiny_run.record.accuracy.test, abs=1e-9)
    assert f"itself {100 * told['accuracy_of_network']:.2f} %" in done.out and told["accuracy"] > 0.5
    network = ns.load_network(tmp_path / "net.nir")
    assert network.n_steps == told["n_steps"] and "approximates" in network.origin
    assert main_cli("check", "net.nir", "--profile", "spinnaker1").code == 0
    with pytest.raises(InputError, match="NIR resets"):
        ns.evaluate(network, "digits", profile="loihi1")
    assert main_cli("export", tiny_run.folder, "--format", "nir", "--rate-coded", "--steps", "3", "--out", "few.nir").code == 0
    assert json.loads(nir.read(tmp_path / "few.nir").metadata["neurosim.rate_coded"])["n_steps"] == 3
    for wrong in (("onnx", "--rate-coded"), ("nir", "--rate-coded", "--lossy"), ("npz", "--steps", "4")):
        refused = main_cli("export", tiny_run.folder, "--format", *wrong, "--out", "x")
        assert (refused.code, refused.err.count("\n")) == (2, 1)
    refused = main_cli("export", tiny_run.folder, "--format", "nir", "--out", "x.nir")
    assert refused.code == 2 and "--format onnx" in refused.err and "--rate-coded" in refused.err and not (tmp_path / "x.nir").exists()


def test_other_tools_compute_the_same():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch = pytest.importorskip("torch", reason="PyTorch is for development, not for CI")
        norse = pytest.importorskip("norse", reason="norse is for development, not for CI")
        pytest.importorskip("snntorch", reason="snnTorch is for development, not for CI")
        from snntorch.import_nir import import_from_nir

        network = VARIANTS["plain"]
        train, (x, y) = samples(network), samples(network, 300, seed=1)
        copy = make_rate_coded(network, train, (x, y), 64)
        graph = rate_coded_graph(network, copy)
        want = step_by_step(graph, x, 64, 1e-4).argmax(axis=1)
        for module in (norse.torch.from_nir(graph, dt=1e-4), import_from_nir(graph)):
            state, total = None, 0
            with torch.no_grad():
                for _ in range(64):
                    values, state = module(torch.tensor(x), state)
                    total = total + values
            assert (total.numpy().argmax(axis=1) == want).mean() >= 0.99
