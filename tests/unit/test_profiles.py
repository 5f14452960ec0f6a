import json
import math

import pydantic
import pytest

from neurosim.documents import bundled_folder, read_yaml
from neurosim.errors import InputError
from neurosim.hardware import KNOWN_LIMITS, HardwareProfile, Quantity, audit_profile, check_profile, iter_quantities, list_profiles, load_profile

PROFILES = list_profiles()


def records(data, key_path=()):
    """Every mapping with a value and a unit in plain data: an independent walk beside `iter_quantities`."""
    if isinstance(data, dict):
        if "value" in data and "unit" in data:
            yield key_path, data
        for key, value in data.items():
            yield from records(value, (*key_path, str(key)))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            yield from records(value, (*key_path, str(index)))


def test_the_bundled_profiles_are_found():
    assert {"brainscales2", "spinnaker2", "spinnaker2_santos"} <= set(PROFILES)


@pytest.mark.parametrize("name", PROFILES)
def test_bundled_profile_loads_with_a_source_on_every_number(name):
    profile = load_profile(name)
    document = read_yaml(bundled_folder("hardware_profiles") / f"{name}.yaml")
    assert profile.name == name
    assert profile.path == document.path and profile.sha256 == document.sha256 and len(profile.sha256) == 64
    found = {".".join(key_path): record for key_path, record in records(document.data)}
    rows = {row["key"]: row for row in check_profile(profile) if not row["key"].startswith("programs.")}  # those have a file of their own
    assert len(rows) > 10 and set(rows) == set(found)
    for key, row in rows.items():
        assert row["value"] == found[key]["value"] and row["unit"] == found[key]["unit"]
        assert row["source"] == document.data["sources"][found[key]["source"]]
        assert row["confidence"] in "VSDA" and (row["confidence"] == "A") == (row["kind"] == "assumed")
        assert len(row["alternatives"]) == len(found[key].get("alternatives", []))
    json.dumps(list(rows.values()))


@pytest.mark.parametrize("name", PROFILES)
def test_every_source_of_a_bundled_profile_is_cited(name):
    profile = load_profile(name)
    cited = {profile.learning.source, *(prices.source for prices in profile.energy.price_sets.values())}
    for _, quantity in iter_quantities(profile):
        cited |= {quantity.source, *(other.source for other in quantity.alternatives)}
    assert cited == set(profile.sources)


@pytest.mark.parametrize("name", PROFILES)
def test_no_number_of_a_bundled_profile_is_zero_unless_its_source_says_so(name):
    for key_path, quantity in iter_quantities(load_profile(name)):
        assert quantity.value > 0 or ("prices" in key_path and "source states 0" in quantity.note)


@pytest.mark.parametrize("name", PROFILES)
def test_profiles_are_frozen(name):
    with pytest.raises(pydantic.ValidationError):
        load_profile(name).cores.value = 1


def test_santos_has_the_published_budget_and_the_authors_word():
    profile = load_profile("spinnaker2_santos")
    assert profile.cores.value == 4 and profile.storage.local_bytes.value == 64 * 1024
    word = profile.synapse_word
    bits = sum(q.value for q in (word.pre_index_bits, word.post_index_bits, word.weight_bits, word.sign_bits))
    # 3552 connections x 8.125 B is the first part of the 35 316 B of hardware.md, test 10.
    assert bits == 65 and 3552 * bits // 8 == 28860
    prices = profile.choose("hoeppner2019_as_cited").energy.prices
    assert prices.synaptic_op.value == 0.45e-9 and prices.synaptic_op.alternatives[0].value == 1.5e-9
    assert prices.synaptic_update is None and prices.packet is None  # unknown, not 0


def test_spinnaker2_derived_numbers_follow_from_the_measured_powers():
    asleep, busy = {"0.8V": 564.7e-3, "0.5V": 235.4e-3}, {"0.8V": 1247.9e-3, "0.5V": 424.6e-3}
    rounding = 6e-3  # the profile keeps two or three digits
    for corner, hertz in (("0.8V", 300e6), ("0.5V", 150e6)):
        profile = load_profile("spinnaker2").choose(corner=corner)
        static, cores = profile.energy.static_power, profile.cores.value
        assert profile.corner == profile.energy.chosen.corner == corner and profile.clock.value == hertz
        cycle = (busy[corner] - asleep[corner]) / cores / hertz
        assert math.isclose(profile.energy.prices.core_cycle.value, cycle, rel_tol=rounding)
        assert math.isclose(static.core.value, (asleep[corner] - static.chip.value) / cores, rel_tol=rounding)


def test_brainscales2_is_a_crossbar_whose_limits_are_its_array():
    profile = load_profile("brainscales2")
    assert profile.storage.family == "crossbar_multibit" and profile.storage.release == "none_until_row_is_empty"
    assert profile.limits.synapses_per_core.max.value == profile.storage.rows.value * profile.storage.columns.value
    assert profile.limits.fan_in_per_neuron.max.value == profile.storage.rows.value
    assert math.isclose(profile.time.forward_latency.value, 1 / 85_000, rel_tol=6e-3)
    assert not any(True for _ in iter_quantities(profile.energy.prices))


def test_known_limits_tell_what_a_profile_leaves_open():
    limits = load_profile("spinnaker2").limits
    assert [key for key in KNOWN_LIMITS if getattr(limits, key) is not None] == ["routing_entries"]


def test_load_by_path(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_bytes((bundled_folder("hardware_profiles") / "spinnaker2.yaml").read_bytes())
    assert load_profile(path) == load_profile(str(path))
    assert load_profile(path).path == str(path)


@pytest.mark.parametrize(
    "name, words", [("spinaker2", "nearest: spinnaker2"), ("zzz", "known: anp_i"), ("no/such.yaml", "no such file"), ("", "known")]
)
def test_unknown_profile(name, words):
    with pytest.raises(InputError) as caught:
        load_profile(name)
    assert words in str(caught.value) and "\n" not in str(caught.value)


def test_json_schema_for_editors():
    schema = HardwareProfile.model_json_schema()
    assert schema["additionalProperties"] is False and "Quantity" in str(schema["$defs"].keys())


def test_the_room_does_not_import_kernels_or_figures():
    import subprocess
    import sys

    code = "import sys, neurosim.hardware; sys.exit(bool({'numba', 'matplotlib', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_price_of_zero_is_kept_when_the_source_states_it():
    from neurosim.documents import validate
    from neurosim.hardware.schema import HardwareProfile

    document = read_yaml(bundled_folder("hardware_profiles") / "spinnaker2_santos.yaml")
    price = document.data["energy"]["price_sets"]["hoeppner2019_as_cited"]["prices"]["neuron_update"]
    price["value"], price["note"] = 0, "the source states 0 in its table"
    checked = validate(HardwareProfile, document, what="profile")
    assert checked.choose("hoeppner2019_as_cited").energy.prices.neuron_update.value == 0


def test_quantity_is_exported():
    assert isinstance(load_profile("spinnaker2").cores, Quantity)


def test_the_audit_counts_every_number_and_the_zero_that_its_source_states():
    rows = {name: audit_profile(load_profile(name)) for name in PROFILES}
    assert all(row["ok"] and not row["problems"] and row["numbers"] == sum(row["by_confidence"].values()) > 10 for row in rows.values())
    zeros = {name: row["zero_prices"] for name, row in rows.items() if row["zero_prices"]}
    assert zeros == {"loihi1": ["energy.price_sets.sanafe2025_fit.prices.packet_received"]}


def test_the_audit_finds_what_a_profile_made_by_hand_hides():
    profile = load_profile("spinnaker2_santos")
    cores = profile.cores.model_copy(update={"value": 0, "unit": ""})
    row = audit_profile(profile.model_copy(update={"cores": cores}))
    assert not row["ok"] and row["problems"] == ["cores: no unit", "cores: 0, and its note does not say 'source states 0'"]
