"""Events, packets and energies of a real batch against SANA-FE, which counts them in its own way."""

import math

import numpy as np
import pytest

pytest.importorskip("sanafe", reason="SANA-FE is not installed: pip install 'neurosim[sanafe]'")

from sanafe_replay import EAST, NORTH, PRICES, replay

from neurosim.accounting.events import KIND, PHASE
from neurosim.accounting.pricing import price_energy
from neurosim.hardware import load_profile
from neurosim.placement import refuse_unless_fits
from neurosim.scenario.experiment import prepare
from neurosim.scenario.load import load_scenario
from neurosim.scenario.record import settle
from neurosim.scenario.runner import _make_trainer

N_CORES, N_SAMPLES = 4, 12
#: The host, which sends the inputs and is no core of ours, in the grid behind the four cores.
HOST = 4


def test_case_worked_by_hand(tmp_path):
    """Two inputs on core 0, three neurons on cores 1 and 2, three steps: 2551.6 pJ, part by part."""
    inputs = [(0, train) for train in ((1, 0, 1), (0, 1, 1))]
    found = replay(
        tmp_path / "arch.yaml", {"in": inputs, "hidden": [(1, ()), (1, ()), (2, ())]}, [("in", "hidden", [(0, 0), (0, 2), (1, 1)])],
        n_steps=3, n_cores=4, width=2, quiet={"hidden"},
    )  # fmt: skip
    assert (sum(found.synaptic_events.values()), found.messages, found.fired) == (6, 6, 4)
    assert found.hops == {"north_south": 4, "east_west": 2}
    parts = {"synapse": 141.6, "dendrite": 9.0, "soma": 1694.0, "network": 707.0, "total": 2551.6}
    assert found.energy == pytest.approx({name: 1e-12 * value for name, value in parts.items()}, rel=1e-12)


@pytest.fixture(scope="module")
def batch(mnist_dir):
    """One training step on four cores, by neurosim: ledger, connections before it, activations and errors of its samples."""
    overrides = (
        "hardware.profile=spinnaker2_santos", f"hardware.cores={N_CORES}", "network.connectivity=[0.01, 0.03, 0.3]",
        f"dataset.limit={N_SAMPLES}", f"training.batch_size={N_SAMPLES}", "training.epochs=1", "training.learning_rate=1e-9",
    )  # fmt: skip
    experiment = prepare(load_scenario("mnist_spinnaker2_event", overrides))
    refuse_unless_fits(experiment.placement)
    trainer, _ = _make_trainer(experiment, mnist_dir)
    assert trainer.dataset.n_train == N_SAMPLES
    connections = [trainer.store.connections(m) for m in range(3)]
    weights = [trainer.store.dense(m).astype(float) for m in range(3)]
    activations = [trainer.dataset.x_train.reshape(N_SAMPLES, -1) * float(trainer.dataset.scale)]
    for i, w in enumerate(weights):
        z = activations[-1] @ w
        activations.append(np.maximum(z, 0) if i < 2 else z)
    chance = np.exp(activations[-1] - activations[-1].max(1, keepdims=True))
    errors = [chance / chance.sum(1, keepdims=True) - np.eye(10)[trainer.dataset.y_train]]
    for i in (2, 1):
        errors.insert(0, (errors[0] @ weights[i].T) * (activations[i] > 0))
    assert trainer.run()
    home = np.asarray(experiment.placement.home)
    homes = np.split(np.where(home < 0, HOST, home), np.cumsum([784, 300, 100]))
    return settle(experiment, trainer), connections, [a != 0 for a in activations[:3]], [e != 0 for e in errors], homes


def events(ledger, phase, kind):
    return ledger.events[:, PHASE[phase], KIND[kind]].tolist()


def per_core(counter):
    return [counter[core] for core in range(N_CORES)]


def neurons(homes, fires):
    return [(int(core), fires[:, i]) for i, core in enumerate(homes)]


def energy_of(ledger, phase, component):
    """Energy of each core by the code that prices runs, at SANA-FE's prices: list of float, J."""
    profile = load_profile("spinnaker2_santos")
    name, energy = profile.energy.price_set, profile.energy
    known = energy.prices.synaptic_op
    prices = {key: known.model_copy(update={"value": PRICES[ours]}) for key, ours in (("synaptic_op", "synapse"), ("packet", "out"))}
    chosen = energy.chosen.model_copy(update={"prices": energy.prices.model_copy(update=prices)})
    profile = profile.model_copy(update={"energy": energy.model_copy(update={"price_sets": {name: chosen}})})
    lines = price_energy(profile, ledger.events, ledger.traffic, None)
    found = [[x.energy_j for x in lines if (x.core, x.phase, x.component) == (core, phase, component)] for core in range(N_CORES)]
    return [math.fsum(values) for values in found]


def close(energies, counter, price):
    """Each core and the total to 1e-12."""
    assert energies == pytest.approx([counter[core] * price for core in range(N_CORES)], rel=1e-12)
    assert min(energies) > 0


def test_forward(batch, tmp_path):
    """Pre neurons fire where they are not zero; edges are the synapses."""
    ledger, connections, active, _, homes = batch
    groups = {f"layer{i}": neurons(homes[i], active[i] if i < 3 else np.zeros((N_SAMPLES, 10), bool)) for i in range(4)}
    edges = [(f"layer{i}", f"layer{i + 1}", list(zip(*(c.tolist() for c in connections[i][:2])))) for i in range(3)]
    found = replay(tmp_path / "arch.yaml", groups, edges, N_SAMPLES, n_cores=6, width=3)
    assert events(ledger, "forward", "synaptic_op") == per_core(found.synaptic_events)
    assert min(events(ledger, "forward", "synaptic_op")) > 500
    assert found.fired == sum(int(a.sum()) for a in active)
    assert found.energy["synapse"] == pytest.approx(sum(energy_of(ledger, "forward", "synaptic_op")), rel=1e-12)
    close(energy_of(ledger, "forward", "synaptic_op"), found.synaptic_events, PRICES["synapse"])
    # Activations; output cores send each other their logits besides, which is no firing.
    logits = [N_SAMPLES * int((homes[3] == core).sum()) * (len(set(homes[3].tolist())) - 1) for core in range(N_CORES)]
    hidden_sent = np.subtract(events(ledger, "forward", "packet_sent"), logits).tolist()
    assert hidden_sent == per_core(found.sent) and sum(hidden_sent) > 500
    received = np.subtract(events(ledger, "forward", "packet_received"), _logits_received(homes))
    host = _inputs_received(connections, active, homes)
    assert (received + host).tolist() == per_core(found.received)


def _logits_received(homes):
    cores = set(homes[3].tolist())
    return [N_SAMPLES * int((homes[3] != core).sum()) if core in cores else 0 for core in range(N_CORES)]


def _inputs_received(connections, active, homes):
    """Messages of the host: non-zero inputs, once for each core that holds a synapse of theirs."""
    pre, post = connections[0][:2]
    targets = {(int(i), int(homes[1][j])) for i, j in zip(pre, post)}
    return np.array([sum(int(active[0][:, i].sum()) for i, core in targets if core == c) for c in range(N_CORES)])


def test_backward(batch, tmp_path):
    """A partial error is a neuron on the core of the synapses; it answers each activation that came from another core."""
    ledger, connections, active, _, homes = batch
    partial, targets = [], []
    for i in (1, 2):
        pre, post = connections[i][:2]
        for neuron, core in sorted({(int(a), int(homes[i + 1][b])) for a, b in zip(pre, post)}):
            if core != homes[i][neuron]:
                targets.append((len(partial), neuron + (300 if i == 2 else 0)))
                partial.append((core, active[i][:, neuron]))
    still = np.zeros((N_SAMPLES, 300), bool)
    groups = {"partial": partial, "hidden": neurons(homes[1], still) + neurons(homes[2], still)}
    found = replay(tmp_path / "arch.yaml", groups, [("partial", "hidden", targets)], N_SAMPLES, n_cores=6, width=3)
    assert events(ledger, "backward", "packet_sent") == per_core(found.sent)
    assert events(ledger, "backward", "packet_received") == per_core(found.received)
    assert sum(events(ledger, "backward", "packet_sent")) == found.fired > 500
    sent = energy_of(ledger, "backward", "packet_sent")
    close(sent, found.sent, PRICES["out"])
    hops = found.hops["north_south"] * NORTH + found.hops["east_west"] * EAST
    assert found.energy["network"] == pytest.approx(sum(sent) + found.messages * PRICES["in"] + hops, rel=1e-12)


@pytest.mark.parametrize(("phase", "first"), [("gradient", 0), ("backward", 1)])
def test_products_with_two_factors(phase, first, batch, tmp_path):
    """One neuron per slot on its core, which fires where its activation and its error are both not zero."""
    ledger, connections, active, errors, homes = batch
    slots = [
        (int(homes[i + 1][post]), active[i][:, pre] & errors[i][:, post])
        for i in range(first, 3)
        for pre, post in zip(*(c.tolist() for c in connections[i][:2]))
    ]
    found = replay(tmp_path / "arch.yaml", {"slot": slots}, [("slot", "slot", [(k, k) for k in range(len(slots))])], N_SAMPLES, n_cores=6, width=3)
    assert events(ledger, phase, "synaptic_op") == per_core(found.synaptic_events)
    assert found.fired == sum(events(ledger, phase, "synaptic_op")) > 500
    assert found.energy["synapse"] == pytest.approx(sum(energy_of(ledger, phase, "synaptic_op")), rel=1e-12)
    close(energy_of(ledger, phase, "synaptic_op"), found.synaptic_events, PRICES["synapse"])
