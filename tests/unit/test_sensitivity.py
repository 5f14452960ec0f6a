"""The total energy with one price changed, against pricing the same events again with a changed profile."""

import math

import numpy as np
import pytest

from neurosim.accounting.events import KIND, KINDS, PHASE, PHASES, Firing
from neurosim.accounting.pricing import price_energy
from neurosim.accounting.sensitivity import price_sensitivity
from neurosim.placement.sections import SECTIONS
from neurosim.hardware import load_profile
from neurosim.hardware.costs import Prices, StaticPower

SECONDS = 3.25
CASES = (
    ("spinnaker2_santos", "hoeppner2019_as_cited"),
    ("spinnaker2", "scholze2026_arm_300mhz"),
    ("spinnaker2", "scholze2026_arm_150mhz"),
    ("spinn5_board", "stromatias2013_marginal"),
    ("spinnaker1", "keras_spiking"),
    ("spinnaker1", "active_core_power"),
    ("loihi1", "davies2018_sim"),
    ("loihi1", "sanafe2025_fit"),
    ("truenorth", None),
    ("truenorth", "average_072mw"),
    ("odin", "frenkel2018_1mhz3"),
    ("cpu_45nm", None),
)


def lines_of(profile):
    """Every kind of event on two cores, 1000 to about 2000 times, with a third of the updates quiet."""
    events = np.zeros((2, len(PHASES), len(KINDS)), np.int64)
    events[:, PHASE["forward"]] = 1000 + 37 * np.arange(2 * len(KINDS)).reshape(2, -1)
    events[0, PHASE["update"]] = 41
    traffic = 5 + np.arange(2 * len(PHASES) * len(SECTIONS) * 2, dtype=np.int64).reshape(2, len(PHASES), len(SECTIONS), 2)
    quiet = events[:, :, KIND["neuron_update"]] // 3
    events[:, :, KIND["packet_local"]] = events[:, :, KIND["packet_sent"]] // 3
    events[:, :, KIND["packet_offchip"]] = events[:, :, KIND["packet_sent"]] // 4
    return price_energy(profile, events, traffic, SECONDS, Firing(spikes=quiet + 2, quiet=quiet))


def total_of(profile):
    return math.fsum(line.energy_j for line in lines_of(profile) if line.energy_j is not None)


def with_price(profile, name, value):
    """The profile with one price of the set in use, or one static power, changed."""
    energy, chosen = profile.energy, profile.energy.chosen
    level = name.removeprefix("static.")
    if level == name:
        prices = chosen.prices.model_copy(update={name: getattr(chosen.prices, name).model_copy(update={"value": value})})
        chosen = chosen.model_copy(update={"prices": prices})
    else:
        power = getattr(energy.static_power, level).model_copy(update={"value": value})
        chosen = chosen.model_copy(update={"static": chosen.static.model_copy(update={level: power})})
    sets = {**energy.price_sets, energy.price_set: chosen}
    return profile.model_copy(update={"energy": energy.model_copy(update={"price_sets": sets})})


@pytest.mark.parametrize(("name", "price_set"), CASES)
def test_the_total_follows_every_price(name, price_set):
    profile = load_profile(name).choose(price_set)
    rows = price_sensitivity(profile, lines_of(profile))
    total = total_of(profile)
    assert rows and math.isclose(math.fsum(row["energy_j"] for row in rows), total, rel_tol=1e-12)
    assert [row["share"] for row in rows] == sorted((row["share"] for row in rows), reverse=True)
    for row in rows:
        for factor, key in ((0.8, "total_low_j"), (1.2, "total_high_j")):
            again = total_of(with_price(profile, row["price"], factor * row["value"]))
            assert math.isclose(row[key], again, rel_tol=1e-12), (row, again)
        for other in row["published"]:
            assert math.isclose(other["total_j"], total_of(with_price(profile, row["price"], other["value"])), rel_tol=1e-12)


def test_santos_by_hand():
    profile = load_profile("spinnaker2_santos").choose("hoeppner2019_as_cited")
    lines = [line for line in lines_of(profile) if line.component in ("synaptic_op", "neuron_update")]
    ops, updates = (sum(line.count for line in lines if line.component == name) for name in ("synaptic_op", "neuron_update"))
    first, second = price_sensitivity(profile, lines)
    assert (first["price"], second["price"]) == ("neuron_update", "synaptic_op")
    assert math.isclose(second["total_high_j"], 1.2 * 0.45e-9 * ops + 2.19e-9 * updates, rel_tol=1e-12)
    assert [other["value"] for other in second["published"]] == [1.5e-9] and not first["published"]
    assert math.isclose(second["published"][0]["total_j"], 1.5e-9 * ops + 2.19e-9 * updates, rel_tol=1e-12)


def test_what_has_no_price_moves_nothing():
    profile = load_profile("ese_fpga")
    energy = profile.energy
    nothing = energy.chosen.model_copy(update={"prices": Prices(), "static": StaticPower()})
    profile = profile.model_copy(update={"energy": energy.model_copy(update={"price_sets": {energy.price_set: nothing}, "static": StaticPower()})})
    assert price_sensitivity(profile, lines_of(profile)) == []


def test_quiet_neurons_and_spikes_have_prices_of_their_own():
    lines = {set_: lines_of(load_profile("loihi1").choose(set_)) for set_ in ("davies2018_sim", "sanafe2025_fit")}
    prices = {set_: {line.component: line.price_j for line in found} for set_, found in lines.items()}
    assert prices["davies2018_sim"]["neuron_update"] == 81e-12 and prices["davies2018_sim"]["neuron_update_inactive"] == 52e-12
    fit = prices["sanafe2025_fit"]
    assert math.isclose(fit["neuron_update"], 51.2e-12 + 21.6e-12, rel_tol=1e-12) and fit["spike_generate"] == 69.3e-12
    assert fit["synaptic_update"] is None and "neuron_update_inactive" not in fit and "spike_generate" not in prices["davies2018_sim"]
    assert prices["davies2018_sim"]["packet_local"] == 1.7e-12 and "packet_local" not in fit
    for set_, north in (("davies2018_sim", 4.0e-12), ("sanafe2025_fit", 4.2e-12)):
        assert prices[set_]["hop_east_west"] == 3.0e-12 and prices[set_]["hop_north_south"] == north and "hop" not in prices[set_]
    # Without a grid, hops have a price and cannot be counted, so the total is said to be a lower bound.
    found = [line for line in lines_of(load_profile("truenorth").choose("parts")) if line.component == "hop"]
    assert found and all(line.price_j is None for line in found)
    updates = [sum(line.count for line in found if line.component.startswith("neuron_update")) for found in lines.values()]
    assert updates[0] == updates[1] > 0


def test_what_is_inside_another_price_is_neither_charged_nor_unknown():
    lines = {name: lines_of(load_profile(name)) for name in ("odin", "truenorth", "dynap_se2")}
    found = {name: {line.component for line in of_chip if line.price_j is None} for name, of_chip in lines.items()}
    assert "neuron_update" in found["dynap_se2"] and not {"neuron_update", "packet_sent"} & (found["odin"] | found["truenorth"])
    assert {"synaptic_update", "host_byte"} <= found["odin"]
    assert not any(line.component in ("neuron_update", "packet_sent") for line in lines["odin"] + lines["truenorth"])


def test_a_board_powers_all_its_chips_and_pays_packets_by_the_bit():
    lines = {line.component: line for line in lines_of(load_profile("spinn5_board"))}
    assert lines["static_chip"].count == 48 and math.isclose(lines["static_chip"].energy_j, 48 * 0.35 * SECONDS, rel_tol=1e-12)
    assert math.isclose(lines["static_board"].energy_j, (26.84 - 16.82) * SECONDS, rel_tol=1e-12)
    assert math.isclose(lines["packet_sent"].price_j, 40 * 25e-12, rel_tol=1e-12)
