"""Acceptance on MNIST: the figures of the main scenarios, by the bars of the project. Minutes, not seconds.

Runs are bit-reproducible, so a figure moves only with the code. When first measured, test accuracy of
mnist_santos_64kb was 0.9667, 0.9680, 0.9642 for seeds 0, 1, 2 (mean 0.9663), and 0.9669 as the mean of seeds 0 to 9 with a
standard deviation of 0.0018: three seeds pass the bar of 0.966 by less than their standard error of 0.0010, and a
change of the order of additions may move them below it without a defect.
"""

import statistics

import pytest

from neurosim.scenario import load_scenario, run_scenario

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def run(mnist_dir, tmp_path_factory):
    """Call ``run(name, seed)``: record of a bundled scenario, trained once in this module."""
    known = {}

    def record(name, seed=0):
        if (name, seed) not in known:
            scenario = load_scenario(name, [f"seed={seed}", "report.figures=false"])
            out = tmp_path_factory.mktemp(name) / "run"
            known[name, seed], _ = run_scenario(scenario, out=out, data_dir=mnist_dir)
        return known[name, seed]

    return record


@pytest.fixture(scope="module", autouse=True)
def compiled(run, mnist_dir, tmp_path_factory):
    """Compile the kernels on a few samples, so that the times below are times of training."""
    for name in ("mnist_santos_64kb", "mnist_santos_online"):
        scenario = load_scenario(name, ["dataset.limit=100", "training.epochs=1", "report.figures=false"])
        run_scenario(scenario, out=tmp_path_factory.mktemp("compile") / "run", data_dir=mnist_dir)


def sent_and_received(record):
    packets = [core.packets for core in record.cores]
    return sum(p["sent"] for p in packets), sum(p["received"] for p in packets)


def test_lenet_in_one_core_of_64_kb(run):
    records = [run("mnist_santos_64kb", seed) for seed in (0, 1, 2)]
    for record in records:
        connectivity, (core,) = record.connectivity, record.cores
        assert connectivity.least_active == connectivity.most_active == connectivity.active == 3552
        assert connectivity.rewired > 1000
        assert core.memory_bytes.used <= core.memory_bytes.limit == 65_536
        assert len(record.timing.epoch_s) == 10
        assert sum(record.timing.epoch_s) <= 20, "10 epochs within 20 s on 2 cores, accounting on"
        assert record.traffic_bytes.read > 0 and record.energy.total_j > 0
    assert statistics.fmean(record.accuracy.test for record in records) >= 0.966


def test_the_same_network_on_four_cores(run):
    one, four = run("mnist_santos_64kb"), run("mnist_santos_4core")
    assert four.accuracy.test >= 0.962
    sent, received = sent_and_received(four)
    assert sent == received > 0
    assert sent_and_received(one) == (0, 0)
    assert len(four.cores) == 4
    assert sum(core.synapses.used for core in four.cores) == one.cores[0].synapses.used == 3552
    of_one = one.cores[0].memory_bytes.sections["synapses"]
    for core in four.cores:
        assert 0.20 <= core.memory_bytes.sections["synapses"] / of_one <= 0.32
        assert core.memory_bytes.used < one.cores[0].memory_bytes.used


def test_online_as_on_the_chip(run):
    records = [run("mnist_santos_online", seed) for seed in (0, 1)]
    for record in records:
        assert record.scenario["training"]["batch_size"] == 1
        assert record.connectivity.most_active == 3552
        assert statistics.median(record.timing.epoch_s) < 3
    assert statistics.fmean(record.accuracy.test for record in records) >= 0.963


def test_the_best_recipe_for_64_kb(run):
    """0.9840, 0.9849, 0.9858 for seeds 3, 4, 5 when first measured; 0.982 is what moved images are there for."""
    record = run("mnist_santos_best", 3)
    (core,) = record.cores
    assert record.connectivity.most_active == 4653
    assert core.memory_bytes.used <= core.memory_bytes.limit == 65_536
    assert record.accuracy.test >= 0.982
