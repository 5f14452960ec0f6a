"""Events, packets, hops and energies of a real batch against SANA-FE, which counts them in its own way from exported files."""

import math
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

# A wheel that cannot be loaded on this machine is a reason to skip as well.
pytest.importorskip("sanafe", reason="SANA-FE is not installed: pip install 'neurosim[sanafe]'", exc_type=ImportError)

from sanafe_replay import replay

from neurosim.cli import main
from neurosim.datasets import load_dataset
from neurosim.documents import dump_yaml, find_document
from neurosim.scenario import load_scenario, run_scenario

N_CORES, N_SAMPLES = 4, 12
#: J; distinct, so that none stands in for another one.
PRICES = {"synaptic_op": 23.6e-12, "synaptic_update": 1.5e-12, "packet": 111e-12, "hop_east_west": 3e-12, "hop_north_south": 4.25e-12}
PACKETS = ("packet_sent", "packet_received", "hop_east_west", "hop_north_south")


def test_case_worked_by_hand():
    """Two inputs on core 0, three neurons on cores 1 and 2, three steps: 2551.6 pJ, part by part."""
    folder = Path(__file__).with_name("sanafe_case")
    found = replay(folder / "architecture.yaml", folder / "network.yaml", 3)
    assert (sum(found.synaptic_events.values()), found.messages, found.fired) == (6, 6, 4)
    assert (found.hop_north_south, found.hop_east_west) == (Counter({0: 4}), Counter({0: 2}))
    parts = {"synapse": 141.6, "dendrite": 9.0, "soma": 1694.0, "network": 707.0, "total": 2551.6}
    assert found.energy == pytest.approx({name: 1e-12 * value for name, value in parts.items()}, rel=1e-12)


def profile_with_grid(path, width, height, cores_per_tile):
    """Santos on a grid and with every price that is compared."""
    data = yaml.safe_load(find_document("spinnaker2_santos", "hardware_profiles", what="profile").read_text(encoding="utf-8"))
    count, energy = data["cores"], data["energy"]["price_sets"]["hoeppner2019_as_cited"]
    energy["prices"] = {
        name: {
            "value": price,
            "unit": "J",
            "kind": "assumed",
            "meaning": "marginal",
            "source": "neurosim",
            "confidence": "A",
            "note": "told apart",
        }
        for name, price in PRICES.items()
    }
    data["energy"]["price_set"] = "hoeppner2019_as_cited"
    sizes = {"width": width, "height": height, "cores_per_tile": cores_per_tile}
    data["network"] = {"mesh": {name: {**count, "value": n} for name, n in sizes.items()}}
    path.write_text(dump_yaml(data), encoding="utf-8")
    return path


GRIDS = {"mnist-2x2": (2, 2, 1), "mnist-2x1 of two cores": (2, 1, 2), "digits-2x2": (2, 2, 1)}


@pytest.fixture(scope="module", params=GRIDS)
def exported(request, tmp_path_factory):
    """A short run, exported by the command line, and replayed: its own account and SANA-FE's, per replay."""
    folder, is_mnist = tmp_path_factory.mktemp("sanafe"), request.param.startswith("mnist")
    # The digits are bundled: they stand in for MNIST where it is not at hand.
    data_dir = request.getfixturevalue("mnist_dir") if is_mnist else folder
    sizes = (784, 300, 100, 10) if is_mnist else (64, 120, 40, 10)
    shares = (0.01, 0.03, 0.3) if is_mnist else (0.2, 0.1, 0.5)
    overrides = (
        f"hardware.profile={profile_with_grid(folder / 'chip.yaml', *GRIDS[request.param])}", f"hardware.cores={N_CORES}",
        f"dataset.name={'mnist' if is_mnist else 'digits'}", f"network.layers={list(sizes)}", f"network.connectivity={list(shares)}",
        "dataset.limit=48", f"training.batch_size={N_SAMPLES}", "training.epochs=2", "report.figures=false",
    )  # fmt: skip
    run_scenario(load_scenario("mnist_spinnaker2_event", overrides), out=folder / "run", data_dir=data_dir)
    result = (folder / "run" / "result.json").read_bytes(), (folder / "run" / "checkpoint.npz").read_bytes()
    replays = folder / "replays"
    assert main(["export", str(folder / "run"), "--format", "sanafe", "--out", str(replays), "--data", str(data_dir)]) == 0
    assert result == ((folder / "run" / "result.json").read_bytes(), (folder / "run" / "checkpoint.npz").read_bytes())
    summary = yaml.safe_load((replays / "replay.yaml").read_text(encoding="utf-8"))
    counted = {row["network"]: replay(replays / "architecture.yaml", replays / row["network"], row["steps"]) for row in summary["replays"]}
    name = "mnist" if is_mnist else "digits"
    data = load_dataset(name, data_dir=data_dir, limit=48)
    return SimpleNamespace(
        data=data,
        sizes=sizes,
        shares=shares,
        folder=folder,
        replays=replays,
        counts=summary["counts"],
        energy=summary["energy_j"],
        rows=summary["replays"],
        counted=counted,
    )


def theirs(exported):
    """What SANA-FE counted, per phase and kind: list of int, one per core."""
    found = {}

    def add(phase, kind, counter):
        values = [counter[core] for core in range(N_CORES)]
        if any(values):
            kinds = found.setdefault(phase, {})
            kinds[kind] = np.add(kinds.get(kind, 0), values).tolist()

    for row in exported.rows:
        counted = exported.counted[row["network"]]
        if row["synaptic_events"]:
            add(row["phase"], row["synaptic_events"], counted.synaptic_events)
        if row["packets"]:
            for kind, counter in zip(PACKETS, (counted.sent, counted.received, counted.hop_east_west, counted.hop_north_south)):
                add(row["phase"], kind, counter)
    return found


def test_all_events_packets_and_hops(exported):
    """Equal as integers, per phase, kind and core; nothing is counted by one of the two alone."""
    assert theirs(exported) == exported.counts
    assert {phase: set(kinds) - set(PACKETS) for phase, kinds in exported.counts.items()} == {
        "forward": {"synaptic_op"}, "backward": {"synaptic_op"}, "gradient": {"synaptic_op"}, "update": {"synaptic_update"},
    }  # fmt: skip
    for kinds in exported.counts.values():
        for kind, values in kinds.items():
            assert kind == "hop_north_south" or sum(values) > 100, (kind, values)
    least = [min(exported.counts[phase]["synaptic_op"]) for phase in ("forward", "backward", "gradient")]
    assert min(least) > 20, "every core has work"


def test_energies(exported):
    """Per core and in total to 1e-12, ours by the ledger of the step, SANA-FE's by its own sums."""
    price = dict(PRICES, packet_sent=PRICES["packet"])
    expected = {
        phase: {kind: [n * price[kind] for n in values] for kind, values in kinds.items() if kind in price}
        for phase, kinds in theirs(exported).items()
    }
    assert {phase: set(kinds) for phase, kinds in exported.energy.items()} == {phase: set(kinds) for phase, kinds in expected.items()}
    for phase, kinds in expected.items():
        for kind, values in kinds.items():
            assert exported.energy[phase][kind] == pytest.approx(values, rel=1e-12)

    def ours(phase, *kinds):
        return math.fsum(joules for kind in kinds for joules in exported.energy[phase].get(kind, ()))

    for phase in exported.counts:
        of_phase = [row for row in exported.rows if row["phase"] == phase]
        found = math.fsum(exported.counted[row["network"]].energy["synapse"] for row in of_phase if row["synaptic_events"])
        assert found > 0 and found == pytest.approx(ours(phase, "synaptic_op", "synaptic_update"), rel=1e-12)
        with_packets = [exported.counted[row["network"]] for row in of_phase if row["packets"]]
        # SANA-FE charges a message to the own core too; ours is no packet.
        own = sum(counted.messages - sum(counted.sent.values()) for counted in with_packets)
        network = math.fsum(counted.energy["network"] for counted in with_packets)
        packets = ours(phase, "packet_sent", "hop_east_west", "hop_north_south")
        assert network == pytest.approx(packets + own * PRICES["packet"], rel=1e-12)


def test_trains_follow_from_the_saved_weights(exported):
    """Activations and errors of the batch, computed here in float64 from the checkpoint, are not zero where neurons fire."""
    run = exported.folder / "run"
    with np.load(run / "checkpoint.npz") as archive:
        pre, post, weight, active = (archive[f"slots.{name}"] for name in ("pre", "post", "weight", "active"))
    sizes, data = exported.sizes, exported.data
    n_firings, values, first = [], data.x_train[:N_SAMPLES].reshape(N_SAMPLES, -1) * float(data.scale), 0
    for n_pre, n_post, share in zip(sizes, sizes[1:], exported.shares):
        rows = slice(first, first := first + round(share * n_pre * n_post))
        dense = np.zeros((n_pre, n_post))
        np.add.at(dense, (pre[rows], post[rows]), np.where(active[rows], weight[rows], 0))
        n_firings.append([int((values[:, i] != 0).sum()) for i in range(n_pre)])
        values = np.maximum(values @ dense, 0)
    groups = {}
    for line in (exported.replays / "forward.yaml").read_text(encoding="utf-8").splitlines():
        if line.startswith("    - name: "):
            fired = groups.setdefault(line.split()[-1], [])
        elif "spikes: " in line:
            fired.append(line.partition("spikes: ")[2].count("1"))
    assert groups["layer1"] == n_firings[1] and groups["layer2"] == n_firings[2] and not any(groups["layer3"])
    assert sum(n_firings[1]) > 500 and set(groups["layer0"]) <= set(n_firings[0])
