"""Routing entries and targets before a run: bounds that hold for every draw, and means, against draws that are counted one by one."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from neurosim.hardware import load_profile
from neurosim.placement import Workload, judge, place
from neurosim.placement.layout import make_layout
from neurosim.placement.routes import count_entries, count_targets
from neurosim.scenario import load_scenario, prepare
from neurosim.synapses import CorePlan, MatrixPlan, SegmentPlan, StorePlan, SynapseStore

N_DRAWS = 400
#: Layers, synapses of each matrix, chip of each core.
CASES = (
    ((7, 9, 5), (20, 12), (0, 0)),
    ((7, 9, 5), (20, 44), (0, 0, 0)),
    ((6, 12, 8, 4), (30, 20, 10), (0, 0, 1, 1)),
    ((6, 12, 8, 4), (30, 90, 30), (0, 1, 2)),
    ((5, 3, 9, 2), (8, 20, 9), (0, 0, 1, 1, 2)),
)


def draw(layout, n_active, rng):
    """Rows of one uniform draw: set of (population, pre neuron, core)."""
    rows = set()
    for g, n in enumerate(n_active.tolist()):
        positions = rng.choice(layout.n_pre[g] * layout.n_post[g], n, replace=False)
        rows |= {(int(layout.pre[g]), int(p // layout.n_post[g]), int(layout.core[g])) for p in positions if layout.pre[g] > 0}
    return rows


def homes(layout):
    return [np.repeat(np.arange(layout.n_cores), own) for own in layout.own]


def entries_of(layout, rows, chip):
    home, entries = homes(layout), set()
    for population, neuron, core in rows:
        own = home[population][neuron]
        if own != core:
            entries |= {(population, neuron, chip[own]), (population, neuron, chip[core])}
    return np.bincount([k for *_, k in entries], minlength=max(chip) + 1)


@pytest.mark.parametrize(("layers", "synapses", "chip"), CASES)
def test_every_draw_lies_between_the_bounds_and_the_mean_is_expected(layers, synapses, chip):
    layout = make_layout(Workload(layers, synapses).topology, len(chip))
    n_active, rng = layout.divide(synapses), np.random.default_rng(0)
    bounds = count_entries(layout, np.array(chip), n_active, n_active)
    draws = [draw(layout, n_active, rng) for _ in range(N_DRAWS)]
    found = np.array([entries_of(layout, rows, chip) for rows in draws])
    assert (bounds.least <= found).all() and (found <= bounds.most).all() and found.max() > 0
    error = 5 * found.std(axis=0) / np.sqrt(N_DRAWS)
    assert (np.abs(bounds.expected - found.mean(axis=0)) <= error + 1).all(), "rounded up, so by less than one"
    assert (count_entries(layout, np.array(chip), n_active, n_active, with_expected=False).expected == bounds.most).all()
    for place_of in (np.arange(len(chip)), np.array(chip)):
        bounds = count_targets(layout, place_of, n_active, n_active)
        for k, population in enumerate(sorted(set(layout.pre.tolist()) - {0})):
            counts = np.zeros((N_DRAWS, layers[population]))
            for i, rows in enumerate(draws):
                for p, neuron, _ in {(p, neuron, int(place_of[core])) for p, neuron, core in rows}:
                    if p == population:
                        counts[i, neuron] += 1
            busiest, mean = counts.max(axis=1), counts.mean()
            assert (bounds.least[k] <= busiest).all() and (busiest <= bounds.most[k]).all()
            assert -0.1 <= bounds.expected[k] - mean <= 1.1


def test_the_least_number_of_targets_is_reached_by_dealing_rows_out():
    layout = make_layout(Workload((5, 6, 4), (9, 8)).topology, 4)  # each core one output with 2 synapses: 8 rows, 6 neurons
    assert count_targets(layout, np.arange(4), layout.divide((9, 8)), layout.divide((9, 8))).least.tolist() == [2]
    layout = make_layout(Workload((5, 8, 4), (9, 8)).topology, 4)
    assert count_targets(layout, np.arange(4), layout.divide((9, 8)), layout.divide((9, 8))).least.tolist() == [1]


@pytest.mark.parametrize("name", ["routing_entries", "targets_per_neuron"])
def test_a_limit_on_routes_is_sure_or_open_or_broken(name, tmp_path):
    document = yaml.safe_load(Path(load_profile("truenorth").path).read_text(encoding="utf-8"))
    del document["limits"]["in_axons_per_core"]
    document["storage"]["rows"]["value"] = 4096
    limit = {
        "max": {"value": 1, "unit": "1", "kind": "assumed", "source": "neurosim", "confidence": "A", "note": "test"},
        "kind": "wall",
        "action": "error",
    }
    document["limits"].pop("targets_per_neuron")
    document["limits"][name] = limit | ({"of": "core"} if name == "targets_per_neuron" else {})
    workload = Workload((6, 12, 8, 4), (30, 60, 12), host_learns=True)
    seen = set()
    for n in range(1, 21):
        limit["max"]["value"] = n
        (tmp_path / "chip.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
        placement = place(load_profile(tmp_path / "chip.yaml"), workload, 4)
        usages = [usage for usage in placement.usages if usage.name == name]
        assert placement.fits == all(usage.least <= n for usage in usages)
        texts = [line for line in judge(placement).storage if line.startswith(name)]
        seen |= {"broken"} if not placement.fits else {"sure" if "whichever" in text else "open" for text in texts}
    assert seen == {"broken", "open", "sure"}


def test_a_neuron_that_feeds_two_matrices_takes_its_routes_once():
    """Two matrices from the same 6 neurons, as in a recurrent layer, whose neurons have a number for each of them."""
    matrices = (MatrixPlan(4, 6, 0, 4), MatrixPlan(6, 6, 4, 4), MatrixPlan(6, 4, 10, 16))
    bounds = ((0, 0, 0, 3), (0, 1, 3, 6), (1, 0, 0, 3), (1, 1, 3, 6), (2, 0, 0, 2), (2, 1, 2, 4))
    segments = tuple(SegmentPlan(*b, 6, 6) for b in bounds)
    home = (-1,) * 4 + (0, 0, 0, 1, 1, 1) * 2 + (0, 0, 1, 1)
    limits = CorePlan(chip=(0, 0), routing_entries=(5, 5), targets=(2, 2), target_place=(0, 1))
    plan = StorePlan(matrices, segments, "core", home, 2, limits=limits, sender=(*range(10), *range(4, 10), *range(16, 20)))
    store = SynapseStore.random(plan, 1)
    assert store.segments.is_limited, "6 neurons may need 6 entries"
    for key in range(30):
        senders = set()
        for m in (1, 2):
            pre, post, _ = store.connections(m)
            senders |= {p for p, q in zip(pre.tolist(), post.tolist()) if (p >= 3) != (q >= (3, 2)[m - 1])}
        assert store.slots.routing_entries[0] == len(senders) <= 5 and store.violations() == []
        assert store.slots.targets.max() <= 2
        store.release(np.flatnonzero(store.slots.active)[key % 2 :: 2])
        store.fill(key)
    assert store.tally.peak[3, 0] == 5 and store.unfilled_by.keys() <= {"routing_entries"}
    apart = SynapseStore.random(replace(plan, sender=None), 1)
    assert apart.slots.routing_entries[0] == 5 and apart.segments.is_limited


def test_one_target_per_neuron_refuses_the_comparison_and_takes_groups():
    """TrueNorth: a neuron feeds one core. Ten outputs on ten cores, three of which every neuron would have to feed."""
    verdict = prepare(load_scenario("mnist_truenorth")).verdict
    worst = {usage.where: (usage.least, usage.limit) for usage in verdict.violations}
    assert {usage.name for usage in verdict.violations} == {"targets_per_neuron"}
    assert worst == {"each neuron of hidden 1": (2, 1), "each neuron of hidden 2": (3, 1)}
    assert all("truenorth_note" in usage.source for usage in verdict.violations)
    assert prepare(load_scenario("mnist_truenorth_groups")).verdict.fits


@pytest.mark.parametrize(("layers", "synapses", "chip"), CASES)
def test_idle_cores_and_chips_take_no_entries_and_change_none(layers, synapses, chip):
    """Chips in use lie between idle ones; cores that idle lie among the used ones of a chip, too."""
    topology, chip = Workload(layers, synapses).topology, np.array(chip)
    busy = make_layout(topology, len(chip))
    own = np.zeros((len(layers), 3 * len(chip) + 2), np.int64)
    own[:, 1 : 3 * len(chip) : 3] = busy.own
    among = make_layout(topology, own.shape[1], tuple(map(tuple, own[1:].tolist())))
    # Chip k is now chip 2k + 1; each core in use has an idle one on its own chip and one on the next.
    places = np.concatenate([np.stack([2 * chip, 2 * chip + 1, 2 * chip + 1], axis=1).ravel(), [2 * max(chip) + 2] * 2])
    for with_expected in (True, False):
        n_active = busy.divide(synapses)
        alone, found = (count_entries(layout, on, n_active, n_active, with_expected) for layout, on in ((busy, chip), (among, places)))
        for name in ("least", "expected", "most"):
            values = getattr(found, name)
            assert (values[1::2] == getattr(alone, name)).all() and not values[::2].any() and alone.most.any()
