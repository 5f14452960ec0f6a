"""Sections that move to the memory which the cores of a chip share: which ones, what check says, and what the traffic costs.

Integers of whole runs with spilled sections are those of the slow counter: tests/validation/test_reference_counter.py.
"""

from itertools import combinations

import numpy as np
import pytest

from neurosim.accounting.events import KIND, KINDS, PHASE, PHASES
from neurosim.accounting.pricing import model_time, price_energy
from neurosim.accounting.sections import Spill
from neurosim.errors import DoesNotFitError
from neurosim.hardware import load_profile
from neurosim.placement import Workload, judge, largest_fit, place, refuse_unless_fits, smallest_cores
from neurosim.placement.sections import SECTIONS, level_of, movable_sections
from neurosim.placement.spill import choose_spill
from neurosim.scenario import load_scenario, prepare
from neurosim.scenario.trainer import make_trainer
from neurosim.scenario.record import settle

MOVABLE = movable_sections()
SPIN1, SANTOS, SPIN2 = (
    load_profile(name).choose(prices)
    for name, prices in (("spinnaker1", "stromatias2013_marginal"), ("spinnaker2_santos", None), ("spinnaker2", "scholze2026_arm_300mhz"))
)
LIMIT = SPIN1.storage.local_bytes.value
LARGE = Workload((784, 300, 100, 10), (23_520, 9_000, 1_000), batch_size=10, theta_bits=15)


def with_storage(profile, **changes):
    """The profile with other values of `storage`; a number replaces the value of its record."""
    storage, found = profile.storage, {}
    for key, value in changes.items():
        old = getattr(storage, key)
        found[key] = old.model_copy(update={"value": value}) if hasattr(old, "value") else value
    return profile.model_copy(update={"storage": storage.model_copy(update=found)})


def best_by_trying(sections, n_bytes):
    """Sections of one core that move, by trying all sets in the order of size and preference."""
    best = None
    for n in range(len(MOVABLE) + 1):
        for chosen in combinations(MOVABLE, n):
            moved = sum(sections[name] for name in chosen)
            if n_bytes - moved <= LIMIT and (best is None or moved < best[0]):
                best = (moved, set(chosen))
    return set(MOVABLE) if best is None else best[1]


def test_the_fewest_bytes_that_make_the_core_fit_move():
    rng, n_cores = np.random.default_rng(0), 500
    sections = {name: rng.integers(0, 12, n_cores) * 5_000 for name in MOVABLE}
    n_bytes = sum(sections.values()) + rng.integers(0, 14, n_cores) * 6_000
    spilled = choose_spill(SPIN1, sections, n_bytes)
    sizes = set()
    for core in range(n_cores):
        want = {name for name in best_by_trying({k: int(v[core]) for k, v in sections.items()}, n_bytes[core]) if sections[name][core]}
        have = {name for name in spilled if spilled[name][core]}
        assert sum(sections[name][core] for name in want) == sum(sections[name][core] for name in have)
        assert have == want and all(spilled[name][core] == sections[name][core] for name in have)
        sizes.add(len(have))
    assert sizes == set(range(len(MOVABLE) + 1))
    assert choose_spill(SANTOS, sections, n_bytes) == {} == choose_spill(SPIN1, sections, np.full(n_cores, LIMIT))


def test_of_equal_sums_the_synapse_words_move_first():
    sections = {name: np.array([9_000]) for name in MOVABLE}
    assert list(choose_spill(SPIN1, sections, np.array([LIMIT + 1]))) == ["synapses"]
    assert list(choose_spill(SPIN1, sections, np.array([LIMIT + 9_001]))) == ["synapses", "gradients"]


def test_check_shows_local_and_spilled_bytes_and_both_limits():
    placement = place(SPIN1, LARGE, 2)
    assert placement.fits and place(with_storage(SPIN1, overflow="refuse"), LARGE, 2).fits is False
    for core in placement.cores:
        assert core.spilled.keys() == {"synapses", "gradients"} and not core.sections.keys() & core.spilled.keys()
        assert core.spilled["gradients"] == 4 * core.n_slots and core.n_bytes == sum(core.sections.values()) <= LIMIT
    uses = {(usage.name, usage.where): usage for usage in placement.usages}
    assert uses["shared_memory", "chip"].used == sum(sum(core.spilled.values()) for core in placement.cores)
    assert uses["shared_memory", "chip"].limit == SPIN1.storage.shared_bytes.value
    assert uses["local_memory", "core 0"].used == placement.cores[0].n_bytes
    verdict = judge(placement).to_dict()
    assert verdict["cores"][0]["spilled"] == placement.cores[0].spilled
    assert any(text.startswith("spilled to sdram from 2 of 2 cores: synapses, gradients, 301,680 B") for text in verdict["storage"])


def test_each_chip_has_its_own_shared_memory():
    board = load_profile("spinn5_board")
    placement = place(board, LARGE, 20)
    assert not any(core.spilled for core in placement.cores) and "shared_memory" not in {u.name for u in placement.usages}
    small = with_storage(board, local_bytes=9_000)
    placement = place(small, LARGE, 20)
    on_chip = np.bincount(placement.geometry.chip, [sum(core.spilled.values()) for core in placement.cores])
    found = {usage.where: usage.used for usage in placement.usages if usage.name == "shared_memory"}
    assert found == {"chip 0": on_chip[0], "chip 1": on_chip[1]} and on_chip.min() > 0
    full = place(with_storage(small, shared_bytes=int(on_chip.max()) - 1), LARGE, 20)
    (violation,) = [usage for usage in judge(full).violations if usage.name == "shared_memory"]
    assert violation.over == 1 and "storage.shared_bytes (spinnmachine" in violation.source


def test_what_cannot_move_is_refused():
    placement = place(with_storage(SPIN1, local_bytes=8_000), LARGE, 2)
    (usage, _) = [usage for usage in judge(placement).violations if usage.name == "local_memory"]
    assert usage.used == sum(placement.cores[0].sections.values()) > usage.limit
    assert set(placement.cores[0].spilled) == {"synapses", "gradients"}, "everything that can move has moved"


def test_santos_must_not_spill():
    workload = Workload((784, 300, 100, 10), (23_520, 9_000, 1_000), batch_size=10)
    assert SANTOS.storage.overflow == "refuse"
    placement = place(SANTOS, workload, 4)
    assert not any(core.spilled for core in placement.cores) and not placement.fits
    with pytest.raises(DoesNotFitError, match="local_memory needs .* of 65,536 B"):
        refuse_unless_fits(placement)


def test_auto_and_fit_stay_in_local_memory_while_they_can():
    fewest = smallest_cores(SPIN1, LARGE)
    assert fewest > 2 and not any(core.spilled for core in place(SPIN1, LARGE).cores) and place(SPIN1, LARGE).n_cores == fewest
    counts = largest_fit(SPIN1, LARGE, 2)
    assert counts == largest_fit(with_storage(SPIN1, overflow="refuse"), LARGE, 2) and sum(counts) < LARGE.n_synapses
    huge = Workload((784, 300, 100, 10), (235_200, 30_000, 1_000), batch_size=10)
    placement = place(SPIN1, huge)
    assert placement.fits and placement.n_cores == 2 and all(core.spilled for core in placement.cores)
    assert smallest_cores(with_storage(SPIN1, overflow="refuse"), huge) is None


def spilled_ledger():
    """A run on digits, two cores, that spills: its placement and ledger."""
    scenario = load_scenario(
        "digits_santos", ["hardware.profile=spinnaker1", "hardware.cores=2", "network.connectivity=1.0", "training.epochs=1", "dataset.limit=50",
                          "network.layers=[64, 200, 10]", "hardware.code_bytes=20000", "hardware.weight_format=int16"]
    )  # fmt: skip
    experiment = prepare(scenario)
    assert experiment.verdict.fits
    trainer, _ = make_trainer(experiment, None)
    assert trainer.run()
    return experiment, settle(experiment, trainer)


def test_traffic_of_what_has_moved_is_that_of_the_shared_level_and_has_a_price_of_its_own():
    experiment, ledger = spilled_ledger()
    moved = {(core.id, name) for core in experiment.placement.cores for name in core.spilled}
    assert moved
    for core, _, section, level, *_ in ledger.traffic_rows():
        assert level == ("sdram" if (core, section) in moved else "local_sram")
    components = {line.component for line in ledger.energy if line.energy_j is None}
    assert {f"shared_{way}_byte:{name}" for _, name in moved for way in ("read", "write")} <= components and not ledger.is_complete
    assert not any(line.component.startswith("local_") for line in ledger.energy), "an event's price contains its local accesses"
    inside = price_energy(experiment.profile.choose("stromatias2013_total"), ledger.events, ledger.traffic, None, None, ledger.spill.sections)
    assert not any(line.component.startswith("shared_") for line in inside)
    priced = price_energy(
        with_shared_prices(experiment.profile.choose("stromatias2013_marginal")), ledger.events, ledger.traffic, None, None, ledger.spill.sections
    )
    found = {name: sum(line.energy_j for line in priced if line.component.startswith(f"shared_{name}")) for name in ("read", "write")}
    bytes_moved = (ledger.traffic * ledger.spill.sections[:, None, :, None]).sum(axis=(0, 1, 2))
    assert found == {"read": pytest.approx(bytes_moved[0] * 2e-10, rel=1e-12), "write": pytest.approx(bytes_moved[1] * 3e-10, rel=1e-12)}


def with_shared_prices(profile):
    energy = profile.energy
    price = energy.prices.synaptic_op
    prices = energy.prices.model_copy(
        update={f"shared_{way}_byte": price.model_copy(update={"value": n}) for way, n in (("read", 2e-10), ("write", 3e-10))}
    )
    chosen = energy.chosen.model_copy(update={"prices": prices})
    return profile.model_copy(update={"energy": energy.model_copy(update={"price_sets": {energy.price_set: chosen}})})


def test_all_cores_of_a_chip_share_the_bandwidth_and_transfers_overlap_with_work():
    """SpiNNaker 2: 6.4 GB/s. Two chips of two cores; the busier chip's bytes decide, where they take longer than the slowest core."""
    events = np.zeros((4, len(PHASES), len(KINDS)), np.int64)
    events[:, PHASE["forward"], KIND["synaptic_op"]] = (100, 400, 300, 200)
    traffic = np.zeros((4, len(PHASES), len(SECTIONS), 2), np.int64)
    traffic[:, PHASE["forward"], SECTIONS.index("synapses")] = [[640, 0], [1_000_000, 280_000], [3_000_000, 200_000], [3_200_000, 0]]
    traffic[:, PHASE["update"], SECTIONS.index("synapses"), 1] = 64_000
    traffic[:, :, SECTIONS.index("gradients")] = 10**9  # local
    spill = Spill(np.array([[name == "synapses" for name in SECTIONS]] * 4), np.array([0, 0, 1, 1]))
    shared = spill.bytes_by_chip(traffic)
    assert shared[:, PHASE["forward"]].tolist() == [1_280_640, 6_400_000]
    alone, both = model_time(SPIN2, events, 10, 0), model_time(SPIN2, events, 10, 0, shared_bytes=shared)
    work = alone.training_s
    assert 0 < work < 1e-3 and both.training_s == pytest.approx(1e-3 + 128_000 / 6.4e9, rel=1e-12)
    few = model_time(SPIN2, events, 10, 0, shared_bytes=shared // 10**6)
    assert few.training_s == pytest.approx(work + shared[1, PHASE["update"]] // 10**6 / 6.4e9, rel=1e-12)
    unknown = model_time(SPIN1, events, 10, 0, shared_bytes=shared)
    assert "transfer from and to shared memory" in unknown.unmodelled and unknown.training_s is None
    assert "transfer from and to shared memory" not in model_time(SPIN1, events, 10, 0, shared_bytes=np.zeros_like(shared)).unmodelled


def test_levels():
    assert level_of("synapses") == "local_sram" and level_of("synapses", True) == "sdram" and level_of("synapse_lists") == "synapse_memory"
