"""A given network on every chip: what the verdict says is what a count of its connections gives, made in another way here."""

import json
import math
import time
import warnings
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from networks_given import make_convolutional, make_perceptron, make_recurrent
from scipy import sparse

import neurosim as ns
from neurosim.errors import InputError, UnsuitableChipError
from neurosim.hardware import load_profile
from neurosim.interchange.onnx_in import read_onnx
from neurosim.interchange.onnx_out import onnx_bytes
from neurosim.placement import Positions, Workload
from neurosim.placement.families import family_of
from neurosim.results.metrics import limits_of
from neurosim.scenario.deploy import deploy, native_format, read_hardware, survey_network
from neurosim.scenario import load_scenario
from neurosim.scenario.experiment import prepare
from neurosim.scenario.inference import round_weights
from neurosim.scenario.network import make_plan
from neurosim.synapses import CorePlan, Grid, SynapseStore


def pruned(seed=0, sizes=(784, 300, 10)):
    """What pruning by a mask leaves: some inputs keep no connection, and rows are of many lengths."""
    rng, matrices = np.random.default_rng(seed), []
    for n_pre, n_post in zip(sizes, sizes[1:]):
        weight = rng.normal(size=(n_pre, n_post)).astype(np.float32)
        keep = rng.random(weight.shape) < rng.beta(0.3, 6, size=n_pre)[:, None]
        matrices.append(np.where(keep, weight, 0).astype(np.float32))
    return ns.load_network(matrices)


NETWORKS = {
    "pruned": pruned(),
    "three layers": make_perceptron(sizes=(50, 40, 30, 5), cells="relu", biases=(), density=0.3),
    "lstm": make_recurrent(units=(12, 8), n_inputs=10),
    "maps": make_convolutional(layers=((12, 3, 1, 1), (9, 3, 2, 0)), dense=(14, 7), density=0.2),
}


def recount(network, placement):
    """Rows, words, entries, targets and fan-in of a placement, synapse by synapse, with sets; a map is one neuron that sends all of its values."""
    topology, profile, n_cores = network.topology, placement.profile, placement.n_cores
    homes = [home.tolist() for home in placement.homes]
    chip = placement.geometry.chip.tolist()
    rows, fan_in = {}, {}
    for m, matrix in enumerate(network.matrices):
        projection = topology.projections[m]
        sums = topology.populations[projection.post].sums
        coo = matrix.weight.tocoo()
        for i, j in zip(coo.row.tolist(), coo.col.tolist()):
            core = homes[projection.post][j // sums]
            rows[m, core, i] = rows.get((m, core, i), 0) + 1
            fan_in[m, core, j] = fan_in.get((m, core, j), 0) + 1
    found = {
        "in_axons_per_core": [0] * n_cores,
        "out_axons_per_core": [0] * n_cores,
        "synapse_words": [0] * n_cores,
        "routing_entries": [set() for _ in range(max(chip) + 1)],
        "synapses_per_core": [0] * n_cores,
        "hops": 0,
    }
    reached, sent = {}, set()
    own = placement.layout.own.sum(axis=0).tolist()
    for (m, core, i), n in rows.items():
        p = topology.projections[m].pre
        found["in_axons_per_core"][core] += 1
        found["synapses_per_core"][core] += n
        if profile.storage.family == "packed_lists":
            packing = family_of(profile).packing(profile, placement.workload, own[core])
            full, rest = divmod(n, packing.block_synapses)
            blocks = [packing.block_synapses] * full + [rest] * (rest > 0)
            found["synapse_words"][core] += sum(math.ceil((k * packing.synapse_bits + packing.header_bits) / packing.word_bits) for k in blocks)
        if p == 0:
            continue
        neuron = i * topology.sizes[p] // topology.shapes[m][0]
        home = homes[p][neuron]
        reached.setdefault((p, neuron), set()).add(core)
        if home != core:
            found["out_axons_per_core"][home] += 1
            found["routing_entries"][chip[home]].add((p, neuron))
            found["routing_entries"][chip[core]].add((p, neuron))
            sent.add((p, neuron, home, core))
    geometry = placement.geometry
    values = [population.sent for population in topology.populations]
    found["packets"] = sum(values[p] for p, *_ in sent)
    found["packets_offchip"] = sum(values[p] for p, _, a, b in sent if chip[a] != chip[b])
    if geometry.x is not None:
        found["hops"] = int(
            sum(values[p] * (abs(geometry.x[a] - geometry.x[b]) + abs(geometry.y[a] - geometry.y[b])) for p, _, a, b in sent if chip[a] == chip[b])
        )
    found["routing_entries"] = [len(taken) for taken in found["routing_entries"]]
    stated = profile.limits.targets_per_neuron
    place = (lambda core: chip[core]) if stated is not None and stated.of == "chip" else lambda core: core
    found["targets"] = {}
    for (p, _), cores in reached.items():
        found["targets"][p] = max(found["targets"].get(p, 0), len({place(core) for core in cores}))
    found["fan_in"] = {}
    for (m, core, _), n in fan_in.items():
        found["fan_in"][m, core] = max(found["fan_in"].get((m, core), 0), n)
    return found


@pytest.mark.parametrize("n_cores", [None, 3, 7])
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("chip", ns.profiles())
def test_all_counts_are_those_of_the_connections(chip, name, n_cores):
    network = NETWORKS[name]
    try:
        found = deploy(network, read_hardware(chip, [] if n_cores is None else [f"hardware.cores={n_cores}"]), with_remedies=False)
    except UnsuitableChipError:
        pytest.skip(f"{chip} computes no such cells")
    placement, want = found.placement, recount(network, found.placement)
    n_checked = 0
    for usage in placement.usages:
        assert usage.least is None and usage.most is None, f"{usage.name} is a bound"
        if usage.name in ("in_axons_per_core", "out_axons_per_core", "synapse_words") and usage.n_places == 1:
            assert usage.used == want[usage.name][usage.core], usage
            n_checked += 1
        elif usage.name == "synapses_per_core" and usage.n_places == 1:
            assert usage.used == want[usage.name][usage.core], usage
        elif usage.name == "routing_entries":
            number = int(usage.where.split()[1]) if usage.where != "chip" else 0
            assert usage.used == want["routing_entries"][number], usage
            n_checked += 1
        elif usage.name == "fan_in_per_neuron" and usage.n_places == 1:
            assert usage.used == want["fan_in"].get((usage.matrix, usage.core), 0), usage
            n_checked += 1
        elif usage.name == "targets_per_neuron":
            p = next(i for i, population in enumerate(network.topology.populations) if usage.where == f"each neuron of {population.name}")
            assert usage.used == want["targets"].get(p, 0), usage
            n_checked += 1
    routes = found.to_dict()["routes"]
    assert {key: routes[key] for key in ("packets", "packets_offchip")} == {key: want[key] for key in ("packets", "packets_offchip")}
    assert routes.get("hops", 0) == want["hops"]
    stated = ("in_axons_per_core", "out_axons_per_core", "routing_entries", "targets_per_neuron", "fan_in_per_neuron")
    assert n_checked or all(getattr(placement.profile.limits, limit) is None for limit in stated)
    json.dumps(found.to_dict(), allow_nan=False)


@pytest.mark.parametrize("chip", ["loihi1", "truenorth", "brainscales1"])
def test_the_store_of_a_run_counts_the_same(chip):
    network = NETWORKS["three layers"]
    found = deploy(network, read_hardware(chip, ["hardware.cores=4", "hardware.weight_format=float32", "hardware.on_violation=report"]), False)
    placement = found.placement
    connections = round_weights(network, found.hardware)[0]
    limits = dict(placement.row_limits)
    wide = {key: (10**9,) * 4 for key in ("in_axons", "out_axons", "words", "routing_entries", "targets") if key in limits}
    plan = make_plan(placement, [Grid()] * 3, keeps_fan_in=False, limits=CorePlan(**(limits | wide)), scope="core", signs="free", is_strict=False)
    store = SynapseStore.of(plan, [c[:3] for c in connections])
    names = {"in_axons": "in_axons_per_core", "out_axons": "out_axons_per_core", "words": "synapse_words"}
    n_checked = 0
    for core in range(4):
        used = store.rows_used(core)
        for usage in placement.usages:
            for ours, theirs in names.items():
                if usage.name == theirs and usage.core == core and ours in used:
                    assert used[ours][0] == usage.used
                    n_checked += 1
    assert n_checked >= 4


def test_all_chips_take_less_than_two_seconds():
    network = NETWORKS["pruned"]
    survey_network(network, ["loihi1"])  # imports
    begin = time.process_time()
    rows = survey_network(network, ns.profiles())
    seconds = time.process_time() - begin
    assert {row.profile for row in rows} == set(ns.profiles())
    assert {row.state for row in rows} >= {"fits", "does not fit"}
    assert seconds < 2, f"{seconds:.1f} s of CPU"


def test_out_and_in_again_gives_the_same_verdict(tmp_path):
    network = make_perceptron(sizes=(64, 40, 10), cells="relu", biases=())
    (tmp_path / "net.onnx").write_bytes(onnx_bytes(network))
    network.to_npz(tmp_path / "net.npz")
    for chip in ("loihi1", "spinnaker2_santos", "brainscales2", "truenorth"):
        verdicts = [
            ns.check(source, profile=chip, hardware={"cores": 2}).to_dict() for source in (network, tmp_path / "net.onnx", tmp_path / "net.npz")
        ]
        assert verdicts[0] == verdicts[1] == verdicts[2]


def test_a_network_that_does_not_fit_gets_hints():
    verdict = ns.check(pruned(sizes=(784, 400, 10)), profile="odin")
    assert not verdict
    assert any("not even one synapse" in hint or "synapses" in hint for hint in verdict.hints)


def test_circuits_that_add_no_biases_refuse_them():
    for network in (make_perceptron(cells="relu", biases=(1,)), make_perceptron(cells="tanh", biases=())):
        verdict = ns.check(network, profile="truenorth")
        assert not verdict and "circuits" in verdict.reason
    assert {row.state for row in survey_network(make_recurrent(), ["truenorth", "spinnaker2"])} == {"cannot run", "fits"}


def test_weights_are_as_wide_as_the_chip_stores_them():
    assert native_format(load_profile("loihi1")) == "int8"
    assert native_format(load_profile("spinnaker2_santos")) == "float32"
    assert native_format(load_profile("spinnaker1")) == "int17"  # 16 bits beside the sign
    for chip in ns.profiles():
        found = deploy(NETWORKS["three layers"], read_hardware(chip), with_remedies=False)
        assert not [u for u in found.verdict.violations if u.name == "weight_bits"], chip


def test_what_does_not_learn_has_all_input_axons():
    """`storage.axon_slots_when_learning`: input axons with synapses that learn take two slots, others one."""
    profile = load_profile("loihi1")
    n = profile.limits.in_axons_per_core.max.value
    assert (profile.storage.axon_slots_when_learning.value, n) == (2, 4096)
    wide = [sparse.csr_array((np.ones(n, np.float32), np.arange(n) % 2, np.arange(n + 1)), shape=(n, 2))]
    found = deploy(ns.load_network(wide), read_hardware("loihi1", ["hardware.cores=1"]), with_remedies=False)
    (use,) = [use for use in limits_of(found.to_dict()) if use.name == "in_axons_per_core"]
    assert (use.used, use.limit) == (n, n) and found.placement.row_limits["in_axons"] == (n,)
    for who, limit in (("chip", n // 2), ("host", n)):
        placement = prepare(load_scenario("digits_santos", ["hardware.profile=loihi1", "hardware.cores=1", f"hardware.learning={who}"])).placement
        assert placement.row_limits["in_axons"] == (limit,)


def test_rounding_is_to_the_nearest_value_of_the_grid():
    grid = Grid(0.25, 0.75, 2.0**-23)
    rounded, n_over = grid.round(np.array([0.1, 0.125, 0.2, -0.375, 0.76, -3.0, -0.01], np.float32))
    assert rounded.tolist() == [0, 0, 0.25, -0.5, 0.75, -0.75, -0.0]
    assert np.signbit(rounded).tolist() == [False, False, False, True, False, True, True]
    assert n_over == 1
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    half = Grid(2.0**-24, 65504.0, 2.0**-10)
    assert np.array_equal(half.round(values)[0], values.astype(np.float16).astype(np.float32))


def test_the_full_scale_lies_above_the_largest_weight():
    hardware = read_hardware("spinnaker2", ["hardware.weight_format=int4"])
    for most in (0.5, 0.75, 1.0, 2.0**-30):
        weights = np.float32([[most, most / 2], [most / 2, -most / 4]])
        found, n_saturated, n_rounded = round_weights(ns.load_network([weights]), hardware)
        assert (n_saturated, n_rounded) == (0, int(most == 0.75)) and np.abs(found[0][2]).max() == most


def test_keys_that_are_refused(tmp_path):
    (tmp_path / "net.onnx").write_bytes(onnx_bytes(NETWORKS["three layers"]))
    for key, line in (("learning", "does not learn"), ("headroom", "does not learn"), ("corse", "nearest: cores|cores")):
        with pytest.raises(InputError, match=line):
            ns.check(tmp_path / "net.onnx", profile="loihi1", hardware={key: 1})
    with pytest.raises(InputError, match="profile: missing"):
        ns.check(tmp_path / "net.onnx")
    with pytest.raises(InputError, match="weight_range"):
        ns.check(tmp_path / "net.onnx", profile="loihi1", hardware={"weight_range": [1.0, 2.0]})
    with pytest.raises(InputError, match="steps or hardware with a scenario"):
        ns.check("digits_santos", steps=3)


def test_positions_must_be_as_many_as_synapses():
    positions = Positions((np.array([0, 1]),), (np.array([0, 1]),))
    with pytest.raises(InputError, match="positions"):
        Workload((2, 2), (3,), positions=positions)


def test_from_scikit_learn():
    from sklearn.datasets import load_digits
    from sklearn.neural_network import MLPClassifier

    x, y = load_digits(return_X_y=True)
    for labels, activation in ((y, "tanh"), (np.array(["even", "odd"])[y % 2], "relu")):
        model = MLPClassifier((20,), activation, max_iter=3, random_state=0)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it has not converged
            model.fit(x / 16, labels)
        network = ns.load_network(model)
        assert np.allclose(network.predict_proba(x / 16), model.predict_proba(x / 16), atol=1e-5)
        assert (network.predict(x / 16) == model.predict(x / 16)).all()
        assert ns.check(network, profile="loihi1")
    model = SimpleNamespace(coefs_=[1], intercepts_=[1], activation="logistic")
    with pytest.raises(InputError, match="activation 'logistic'"):
        ns.load_network(model)
    assert read_onnx(onnx_bytes(network)).classes.tolist() == ["even", "odd"]


def test_maps_of_another_size_are_refused():
    network = make_convolutional()
    last = network.matrices[2]
    broken = replace(network, matrices=(*network.matrices[:2], replace(last, weight=last.weight[:-1]), *network.matrices[3:]))
    with pytest.raises(InputError, match=r"weights of shape \(\d+, 12\); what stands before them sends \d+ values"):
        ns.check(broken, profile="spinnaker2")
    with pytest.raises(InputError, match=r"execution: found event_driven with a network of type conv"):
        ns.check(network, profile="spinnaker2", hardware={"execution": "event_driven"})
    assert "one copy for each place" in ns.check(network, profile="brainscales2").reason


def test_of_maps_that_learn_nothing_no_errors_are_kept():
    network = make_convolutional(
        shape=(3, 32, 32), layers=((32, 3, 1, 1), (64, 3, 1, 1)), pools=(("max", 2, 2, 0), ("max", 2, 2, 0)), dense=(128, 10), density=0.1
    )
    verdict = ns.check(network, profile="spinnaker2_santos")
    assert "98,304 B of them feature maps, whatever the connectivity" in verdict.hints[0]
    assert not any("error" in hint for hint in verdict.hints)


def test_a_reason_of_many_chips_is_said_once():
    from neurosim.reports.survey_table import refusals

    rows = [row for row in survey_network(make_convolutional(), ns.profiles()) if row.state == "cannot run"]
    said = refusals(rows)
    assert len(said) < len(rows) / 2 and all(sum(row.profile in line.partition(" cannot")[0].split(", ") for line in said) == 1 for row in rows)
    assert any(line.startswith("brainscales1, brainscales2, ") and "the chip (storage.family crossbar_multibit)" in line for line in said)
    assert any(line.startswith("dynap_se2 cannot run it: network.type: found conv, but dynap_se2") for line in said)
