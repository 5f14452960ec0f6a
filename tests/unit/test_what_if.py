"""Other numbers for a chip: in a scenario, on the command line, along a sweep; nothing pretends to be sourced."""

import json

import pytest

from neurosim.documents import WrongKey
from neurosim.errors import InputError
from neurosim.hardware import HardwareProfile, audit_profile, check_profile, list_profiles, load_profile, override_profile
from neurosim.hardware.numbers import find_number, list_numbers, parse_number
from neurosim.hardware.quantities import Within, iter_quantities
from neurosim.scenario.load import chosen_profile, load_scenario
from neurosim.sweeps import expand, load_sweep

SPINNAKER2 = load_profile("spinnaker2")


def numbers_of(profile):
    return {row["key"]: row for row in check_profile(profile)}


@pytest.mark.parametrize("name", list_profiles())
def test_every_number_of_every_profile_can_be_named_and_changed(name):
    profile = load_profile(name)
    data = profile.model_dump()
    places = list_numbers(HardwareProfile, data)
    stated = {".".join(map(str, path)): quantity for path, quantity in iter_quantities(profile)}
    assert set(stated) <= set(places)
    assert all(find_number(places, key, data).key == key for key in stated if not key.startswith(("time.clock", "clock")))
    # To the same values: all still goes together.
    zero = [key for key, quantity in stated.items() if quantity.value == 0]  # which only a source may state
    for key in zero:
        with pytest.raises(WrongKey, match="leave an unknown number out"):
            override_profile(profile, {key: 0})
    changed = override_profile(profile, {key: quantity.value for key, quantity in stated.items() if key not in zero})
    rows = [row for row in check_profile(changed) if not row["key"].startswith("programs.") and row["key"] not in zero]
    assert {(row["kind"], row["source"]) for row in rows} == {("assumed", "changed by the scenario")}
    assert audit_profile(changed)["ok"]
    assert {key: row["value"] for key, row in numbers_of(changed).items()} == {key: row["value"] for key, row in numbers_of(profile).items()}


def test_a_changed_number_says_what_it_was_and_who_said_so():
    changed = override_profile(SPINNAKER2, {"storage.local_bytes": "64 KiB", "chip.cores": 16, "limits.fan_in_per_neuron": 64})
    row = numbers_of(changed)["storage.local_bytes"]
    assert (row["value"], row["kind"], row["confidence"], row["source"]) == (65536, "assumed", "A", "changed by the scenario")
    assert row["note"].startswith("changed from 131,072 B (Secondary notes") and not row["alternatives"]
    assert changed.cores.value == 16 and changed.limits.fan_in_per_neuron.max.value == 64
    assert [change.text.partition(" (")[0] for change in changed.changes] == ["changed from 131,072 B", "changed from 152", "not stated before"]
    assert (changed.sha256, changed.path, SPINNAKER2.changes) == (SPINNAKER2.sha256, SPINNAKER2.path, ())


def test_short_keys_mean_the_price_set_and_the_corner_in_use():
    changed = override_profile(
        SPINNAKER2.choose(corner="0.5V"), {"prices.core_cycle": "12 pJ", "static.core": "1 mW", "clock": "100 MHz", "cycles.packet": 7}
    )
    chosen = changed.energy.chosen
    assert changed.energy.price_set == "derived_from_program_150mhz"
    assert (chosen.prices.core_cycle.value, chosen.static.core.value, changed.clock.value, changed.cycles.packet.value) == (12e-12, 1e-3, 1e8, 7)
    assert changed.energy.price_sets["derived_from_program"].prices.core_cycle.value == 15e-12


def test_a_simulated_set_with_another_number_is_simulated_no_more():
    loihi = load_profile("loihi1")
    assert loihi.energy.chosen.kind == "simulated"
    chosen = override_profile(loihi, {"prices.synaptic_op": "1 pJ"}).energy.chosen
    assert (chosen.kind, chosen.source, chosen.prices.synaptic_op.value) == ("assumed", "changed_by_scenario", 1e-12)


def test_cores_of_a_board_follow_its_chips():
    assert override_profile(load_profile("spinnaker1"), {"cores": 40}).chips[0].n_cores == 40
    board = load_profile("spinn5_board")
    chips = board.chips[0].chips.value
    changed = override_profile(board, {"chips.0.chips": 2 * chips})
    assert changed.cores.value == board.cores.value + chips * board.chips[0].n_cores // chips


@pytest.mark.parametrize(
    ("text", "unit", "whole", "value"),
    [
        ("32 KiB", "B", True, 32768), ("32KB", "B", True, 32768), ("1.5 MiB", "B", True, 1572864), ("12.7 pJ", "J", False, 12.7e-12),
        ("200 MHz", "Hz", False, 2e8), ("3 µs", "s", False, 3e-6), ("6.4 GB/s", "B/s", False, 6.4e9), ("1e-12", "J", False, 1e-12),
        ("7 cycles", "cycle", False, 7), ("16", "1", True, 16), (16.0, "1", True, 16),
    ],
)  # fmt: skip
def test_units(text, unit, whole, value):
    found = parse_number(text, Within(unit, 0, 1e18, whole=whole))
    assert found == pytest.approx(value, rel=1e-15) and (not whole or isinstance(found, int))


@pytest.mark.parametrize(
    ("text", "unit"),
    [("3 kHz", "B"), ("3 J", "W"), ("4 kB", "B"), ("3 KiB", "bit"), ("16 cores", "1"), ("x", "J"), (True, "1"), ("1e999999999", "x")],
)
def test_other_units_are_refused(text, unit):
    with pytest.raises(ValueError, match="expected"):
        parse_number(text, Within(unit, 0, 1e18))


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ({"storage.local_bites": 3}, "is no number of the profile; nearest: storage.local_bytes"),
        ({"storage.local_bytes": "32 kHz"}, "found '32 kHz'; expected a number in B"),
        ({"cores": 0}, "found 0; expected 1 to"),
        ({"cores": 10**13}, "expected 1 to 1e\\+12"),
        ({"cores": 1.5}, "expected a whole number"),
        ({"cores": 3, "chip.cores": 4}, "changes cores, as cores does"),
        ({"storage.local_bytes": 32768}, "code_bytes.*expected less than local_bytes"),
        ({"prices.synaptic_op": 1e-12}, "charged twice"),
    ],
)
def test_what_no_chip_has_is_one_line(numbers, words):
    with pytest.raises(WrongKey, match=words) as caught:
        override_profile(SPINNAKER2, numbers)
    assert "\n" not in str(caught.value)


def test_a_file_and_the_command_line_say_the_same(tmp_path, main_cli):
    path = tmp_path / "o.yaml"
    path.write_text(
        "name: o\ndataset: {name: digits}\nnetwork: {layers: [64, 100, 10], connectivity: 0.13}\nhardware:\n  profile: spinnaker2\n"
        "  override:\n    storage.local_bytes: 65536\n    storage:\n      code_bytes: {value: 8192, unit: B}\n",
        encoding="utf-8",
    )
    scenario = load_scenario(path)
    assert scenario.hardware.override == {"storage.local_bytes": 65536, "storage.code_bytes": 8192}
    assert chosen_profile(scenario).storage.code_bytes.value == 8192
    # The command line wins, however the file wrote it; null takes a change back.
    changed = load_scenario(path, ["hardware.override.storage.local_bytes=40960", "hardware.override.storage.code_bytes=null"])
    assert changed.hardware.override == {"storage.local_bytes": 40960}


def test_the_line_of_a_wrong_number_is_named(tmp_path):
    path = tmp_path / "o.yaml"
    path.write_text(
        "name: o\ndataset: {name: digits}\nnetwork: {layers: [64, 100, 10], connectivity: 0.13}\nhardware:\n  profile: spinnaker2\n"
        "  override:\n    cores: 4\n    clock: 1 J\n",
        encoding="utf-8",
    )
    with pytest.raises(InputError, match=r"o.yaml:8: hardware.override.clock: found '1 J'"):
        load_scenario(path)
    with pytest.raises(InputError, match=r"^--set: hardware.override.storage.local_bites: is no number"):
        load_scenario("digits_santos", ["hardware.override.storage.local_bites=3"])


def test_check_counts_with_the_number_and_says_so(main_cli):
    plain = json.loads(main_cli("check", "digits_santos", "--json").out)
    result = main_cli("check", "digits_santos", "--json", "--set", "hardware.override.storage.local_bytes=49152")
    verdict = json.loads(result.out)
    (use,) = [use for use in verdict["headroom"] if use["name"] == "local_memory"]
    assert use["limit"] == 49152 and "changed by the scenario" in use["source"] and plain["changed"] == []
    assert verdict["changed"][0]["text"].startswith("changed from 65,536 B")
    text = " ".join(main_cli("check", "digits_santos", "--set", "hardware.override.storage.local_bytes=24 KiB").out.split())
    assert "does not fit" in text and "changed from 65,536 B" in text


def test_a_sweep_has_it_as_an_axis(tmp_path):
    plan = expand(*load_sweep("digits_what_if"))
    assert len(plan.points) == 27 and len({point.id for point in plan.points}) == 27
    assert {chosen_profile(point.scenario).storage.local_bytes.value for point in plan.points} == {49152, 65536, 131072}
    wrong = tmp_path / "w.yaml"
    wrong.write_text("name: w\nbase: digits_santos\naxes:\n  - grid:\n      hardware.override.storage.local_bites: [1, 2]\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"w.yaml:5: hardware.override.storage.local_bites: is no number of the profile; nearest"):
        expand(*load_sweep(wrong))
