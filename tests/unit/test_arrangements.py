"""Where neurons lie: the expected traffic against a count by hand and against runs; the least of it against contiguous ranges."""

import importlib.util
import itertools
import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from neurosim.errors import InputError
from neurosim.hardware import load_profile
from neurosim.placement import Workload, place
from neurosim.placement.arrange import ARRANGEMENTS, arrange, compare_arrangements, expected_traffic
from neurosim.placement.partition import best_order
from neurosim.scenario import load_scenario
from neurosim.scenario.experiment import prepare
from neurosim.scenario.network import make_store
from neurosim.scenario.runner import run_scenario

needs_partitioner = pytest.mark.skipif(importlib.util.find_spec("mtkahypar") is None, reason="mtkahypar is not installed (extra: placement)")
LOIHI, SPIN2 = load_profile("loihi1"), load_profile("spinnaker2")
MLP = Workload((784, 300, 100, 10), (2352, 900, 300))


def check_own(workload, n_cores):
    assert workload.own is None or np.array(workload.own).sum(axis=1).tolist() == list(workload.topology.sizes[1:])
    placement = place(LOIHI, workload, n_cores)
    assert sum(placement.n_active) == workload.n_synapses and len(placement.home) == sum(workload.topology.sizes)
    for p, counts in enumerate(placement.layout.own):
        assert np.bincount(placement.homes[p][placement.homes[p] >= 0], minlength=n_cores).tolist() == counts.tolist()
    return placement


def test_expected_traffic_is_that_of_drawn_connections():
    """Packets and hops of many draws, counted one by one, against the closed form."""
    n_cores, generator = 9, np.random.default_rng(3)
    workload = arrange("balanced", LOIHI, Workload((20, 30, 12, 5), (200, 60, 20)), n_cores)
    placement = check_own(workload, n_cores)
    homes, geometry = placement.homes, placement.geometry
    packets, hops, n_draws = [], [], 400
    for _ in range(n_draws):
        n_packets = n_hops = 0
        reached = set()
        for s in placement.segments:
            if s.matrix == 0:
                continue
            chosen = generator.choice(s.n_positions, s.n_active, replace=False)
            reached |= {(s.matrix, int(c) // s.n_post, s.core) for c in chosen}
        for matrix, pre, core in reached:
            home = int(homes[matrix][pre])
            if home != core:
                n_packets += 2  # forward, and the partial error back
                n_hops += 2 * int(abs(geometry.x[home] - geometry.x[core]) + abs(geometry.y[home] - geometry.y[core]))
        outputs = sorted(set(homes[-1].tolist()))
        for home, core in itertools.product(homes[-1].tolist(), outputs):
            n_packets += home != core
            n_hops += int(abs(geometry.x[home] - geometry.x[core]) + abs(geometry.y[home] - geometry.y[core]))
        packets.append(n_packets)
        hops.append(n_hops)
    found = expected_traffic(LOIHI, workload, n_cores)
    for expected, counts in ((found.packets, packets), (found.hops, hops)):
        assert abs(expected - np.mean(counts)) < 5 * np.std(counts) / np.sqrt(n_draws)  # 5 standard errors of the mean
    assert found.offchip == 0 and np.std(packets) > 0


def test_packets_between_chips_of_a_board():
    board = load_profile("spinn5_board")
    n_cores = board.cores.value // board.n_chips * 2  # two chips
    workload = Workload((10, 4 * n_cores, 2), (400, 200))
    found = expected_traffic(board, workload, n_cores)
    assert 0 < found.offchip < found.packets and found.hops is None
    # By symmetry about half of what leaves a core goes to the other chip, of which no core is its own.
    assert found.offchip / found.packets == pytest.approx(0.5 * n_cores / (n_cores - 1), rel=0.1)


def test_balanced_lowers_the_fullest_core():
    for n_cores in (3, 7, 16):
        even, balanced = (check_own(arrange(kind, LOIHI, MLP, n_cores), n_cores) for kind in ("contiguous", "balanced"))
        slots = [np.bincount(p.layout.core, p.slots, n_cores).max() for p in (even, balanced)]
        assert slots[1] <= slots[0]
    assert slots[1] < slots[0]


@needs_partitioner
def test_least_traffic_has_fewer_packets_and_hops_and_fits():
    rows = {row["kind"]: row for row in compare_arrangements(LOIHI, MLP, 16)}
    assert set(rows) == set(ARRANGEMENTS) and all(row["fits"] for row in rows.values())
    assert rows["traffic"]["packets"] < 0.7 * rows["contiguous"]["packets"] and rows["traffic"]["hops"] < 0.6 * rows["contiguous"]["hops"]
    check_own(arrange("traffic", LOIHI, MLP, 16), 16)


@needs_partitioner
def test_it_is_the_same_in_another_process():
    code = (
        "import json; from neurosim.hardware import load_profile; from neurosim.placement import Workload; from neurosim.placement.arrange import arrange;"
        "print(json.dumps(arrange('traffic', load_profile('loihi1'), Workload((784, 300, 100, 10), (2352, 900, 300)), 16).own))"
    )
    found = json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()[-1])
    assert found == [list(row) for row in arrange("traffic", LOIHI, MLP, 16).own]


@needs_partitioner
def test_what_does_not_fit_is_not_taken():
    """Cores that hold hardly more than their even share leave no room to gather layers on few of them."""
    from neurosim.hardware import override_profile

    santos = load_profile("spinnaker2_santos")
    most = int(place(santos, MLP, 4).n_bytes.max())
    tight = override_profile(santos, {"storage.local_bytes": most})
    free, bound = (arrange("traffic", profile, MLP, 4) for profile in (santos, tight))
    assert place(tight, bound, 4).fits and not place(tight, free, 4).fits
    assert expected_traffic(santos, free, 4).packets < expected_traffic(tight, bound, 4).packets


def test_order_gains_by_swaps_alone():
    generator = np.random.default_rng(1)
    for n in (2, 5, 6):
        flow, at = generator.random((n, n)), generator.random(n)
        flow, distance = flow + flow.T, np.abs(at[:, None] - at)
        np.fill_diagonal(flow, 0)

        def cost(order, flow=flow, distance=distance):
            order = np.array(order)
            return (flow * distance[order][:, order]).sum()

        order = best_order(flow, distance)
        swapped = []
        for a, b in itertools.combinations(range(n), 2):
            other = order.copy()
            other[[a, b]] = other[[b, a]]
            swapped.append(cost(other))
        assert sorted(order) == list(range(n)) and cost(order) <= min(swapped) + 1e-9 and cost(order) <= cost(range(n)) + 1e-9


@pytest.mark.parametrize("kind", [kind if kind != "traffic" else pytest.param(kind, marks=needs_partitioner) for kind in ARRANGEMENTS])
def test_runs_count_what_was_expected(kind, tmp_path):
    """Every value of tanh travels, so that a run without rewiring sends what its own connections need; the ledger closes, or the run fails."""
    changes = {
        "hardware.profile": "loihi1", "hardware.cores": 6, "hardware.placement": kind, "training.epochs": 1, "dataset.limit": 200,
        "network.activation": "tanh", "rewiring": {"rule": "static"}, "network.layers": [64, 60, 40, 10], "network.connectivity": 0.2,
    }  # fmt: skip
    record, folder = run_scenario(load_scenario("digits_santos", changes), out=tmp_path / "run", n_threads=1)
    sent = sum(record.events[phase].get("packet_sent", 0) for phase in ("forward", "backward"))
    hops = sum(record.events[phase].get(f"hop_{way}", 0) for phase in ("forward", "backward") for way in ("east_west", "north_south"))
    expected = record.verdict["arrangement"]
    assert sent / record.dataset.n_train == pytest.approx(expected["packets"], rel=0.05)
    assert hops / record.dataset.n_train == pytest.approx(expected["hops"], rel=0.1)
    assert sum(core.packets["sent"] for core in record.cores) == sum(core.packets["received"] for core in record.cores)
    assert sum(core.packets["hops"] for core in record.cores) == sum(
        record.events[p].get(f"hop_{w}", 0) for p in record.events for w in ("east_west", "north_south")
    )
    # The homes of neurons are those of the placement, as a file, too.
    from neurosim.scenario.weights import read_run_network

    homes = read_run_network(folder).homes
    placement = prepare(load_scenario("digits_santos", changes)).placement
    assert all(homes[p].tolist() == placement.homes[p].tolist() for p in range(1, 4))


def test_a_run_of_maps_counts_what_was_expected(tmp_path):
    """A map sends all of its values to each core that reads any of them."""
    scenario = load_scenario("digits_conv_spinnaker2", ["training.epochs=1", "report.figures=false", "rewiring={rule: static}"])
    record, _ = run_scenario(scenario, out=tmp_path / "run")
    sent = sum(record.events[phase]["packet_sent"] for phase in ("forward", "backward"))
    assert sent / record.dataset.n_train == pytest.approx(record.verdict["arrangement"]["packets"], rel=0.01)


@pytest.mark.parametrize("rule", ["prune", "prune_retrain", "l1_shrinkage"])
def test_what_starts_dense_sends_at_the_start_what_all_connections_need(rule, tmp_path):
    changes = {
        "hardware.profile": "spinnaker2", "hardware.cores": 4, "training.epochs": 1, "dataset.limit": 60, "network.activation": "tanh",
        "network.layers": [64, 40, 30, 10], "network.connectivity": 0.02, "rewiring": {"rule": rule}, "report.figures": False,
    }  # fmt: skip
    experiment = prepare(load_scenario("digits_santos", changes))
    dense = place(experiment.profile, Workload(experiment.placement.workload.topology, experiment.placement.workload.n_positions), 4)
    expected = experiment.verdict.to_dict()["arrangement"]["packets"]
    assert expected == expected_traffic(dense.profile, dense.workload, 4).packets > 250  # 40 + 30 neurons to three other cores and back, and logits


def test_rows_of_what_starts_dense_are_those_of_all_connections():
    """A chip that holds what is left in the end, but not the start, is refused: otherwise most connections would find no place."""
    changes = {
        "hardware.profile": "odin", "hardware.cores": 1, "hardware.learning": "host", "network.layers": [64, 100, 60, 10],
        "network.connectivity": 0.02, "rewiring": {"rule": "prune"},
    }  # fmt: skip
    experiment = prepare(load_scenario("digits_santos", changes))
    (rows,) = [use for use in experiment.placement.usages if use.name == "in_axons_per_core"]
    assert (rows.least, rows.used, rows.most) == (224, 224, 224) and not experiment.verdict.fits
    sparse = prepare(load_scenario("digits_santos", {**changes, "rewiring": {"rule": "set"}}))
    assert sparse.verdict.fits


def test_output_axons_are_the_mean_of_draws():
    """Of many cores with a neuron or none each; of maps the rows of their kernels, as the run counts them."""
    plain = {"hardware.profile": "loihi1", "hardware.cores": 100, "network.layers": [64, 70, 10], "network.connectivity": 0.0168}
    maps = {
        "hardware.profile": "spinnaker2", "hardware.cores": 3, "network.connectivity": [0.5, 0.05, 0.05, 1.0], "hardware.on_violation": "report",
        "hardware.override": {"limits.out_axons_per_core": 10**6},
    }  # fmt: skip
    for base, changes in (("digits_santos", plain), ("digits_conv_spinnaker2", maps)):
        draws = []
        for seed in range(40):
            experiment = prepare(load_scenario(base, {**changes, "seed": seed}))
            draws.append(make_store(experiment).slots.out_axons.copy())
        draws = np.array(draws)
        uses = [use for use in experiment.placement.usages if use.name == "out_axons_per_core"]
        assert len(uses) == draws.shape[1] and draws.std(axis=0).max() > 0
        for use, found in zip(uses, draws.T, strict=True):
            assert use.least <= found.min() and found.max() <= use.most
            assert use.used - 1 - 5 * found.std() / 40**0.5 <= found.mean() <= use.used + 5 * found.std() / 40**0.5 + 1e-9


def test_routing_entries_of_maps_lie_within_their_bounds():
    """An entry is for a whole map, however many elements of kernels read it: what is drawn against the bounds, and their mean against many draws."""
    changes = {
        "hardware.profile": "spinn5_board", "hardware.cores": 30, "hardware.on_violation": "report", "hardware.weight_format": "float32",
        "network.connectivity": [1.0, 0.02, 0.02, 1.0],
    }  # fmt: skip
    found, n_draws = [], 60
    for seed in range(n_draws):
        experiment = prepare(load_scenario("digits_conv_spinnaker2", {**changes, "seed": seed}))
        found.append(make_store(experiment).slots.routing_entries[:2].copy())
    uses = [use for use in experiment.placement.usages if use.name == "routing_entries"]
    for chip, entries in enumerate(np.array(found).T):
        use = uses[chip]
        assert use.least <= entries.min() and entries.max() <= use.most and use.least <= use.used <= use.most
        assert use.used - 1 - 5 * np.std(entries) / np.sqrt(n_draws) < np.mean(entries) < use.used + 5 * np.std(entries) / np.sqrt(n_draws)
        assert np.std(entries) > 0


@needs_partitioner
def test_least_traffic_of_maps():
    experiment = prepare(load_scenario("digits_conv_spinnaker2", {"hardware.cores": 6}))
    rows = {row["kind"]: row for row in compare_arrangements(experiment.profile, replace(experiment.placement.workload, own=None), 6)}
    assert rows["traffic"]["packets"] < rows["contiguous"]["packets"]


def test_placement_goes_with_a_size_of_fit_on_fixed_cores():
    changes = {
        "hardware.cores": 2,
        "hardware.placement": "balanced",
        "network.connectivity": "fit",
        "hardware.override": {"storage.local_bytes": 40_000},
    }
    experiment = prepare(load_scenario("digits_santos", changes))
    workload = experiment.placement.workload
    assert experiment.verdict.fits and workload.own is not None
    more = replace(workload, n_active=tuple(min(n + 2, p) for n, p in zip(workload.n_active, workload.n_positions)))
    assert not all(use.is_guaranteed for use in place(experiment.profile, more, 2).usages)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"hardware.placement": "trafic", "hardware.cores": 2}, "traffic"),
        ({"hardware.placement": "balanced", "hardware.cores": "auto", "network.connectivity": "fit"}, "give a number of cores"),
    ],
)
def test_bad_input_is_one_line(changes, words):
    with pytest.raises(InputError, match=words) as caught:
        load_scenario("digits_santos", changes)
    assert "\n" not in str(caught.value)


def test_without_the_partitioner_it_is_one_line(monkeypatch):
    monkeypatch.setattr("neurosim.placement.arrange.is_available", lambda: False)
    with pytest.raises(InputError, match=r"pip install 'neurosim\[placement\]'"):
        arrange("traffic", LOIHI, MLP, 4)
    assert [row["kind"] for row in compare_arrangements(LOIHI, MLP, 4)] == ["contiguous", "balanced"]
