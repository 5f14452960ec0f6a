"""The storage families: what their profiles say, what fits, and what removing a synapse frees."""

import json
from pathlib import Path

import pytest

from neurosim.errors import DoesNotFitError, InputError
from neurosim.hardware import load_profile
from neurosim.placement import Workload, judge, largest_fit, place, refuse_unless_fits
from neurosim.placement.memory import theta_bits

PROFILES = Path(__file__).parents[1] / "profiles"
RELEASES = {
    "packed_lists": "whole_words",
    "cam_per_neuron": "one_word_of_its_neuron",
    "crossbar_binary": "none_until_row_is_empty",
}


@pytest.mark.parametrize("family", RELEASES)
def test_a_family_says_what_a_release_frees(family):
    profile = load_profile(PROFILES / f"{family}.yaml")
    assert profile.storage.family == family and profile.storage.release == RELEASES[family]


@pytest.mark.parametrize(
    "family, old, new, key, words",
    [
        ("packed_lists", "family: packed_lists", "family: packed_list", "storage.family", "nearest: packed_lists"),
        ("packed_lists", "index_bits_least: {value: 6,", "index_bits_least: {value: 13,", "storage.index_bits_least.value", "at most index_bits_most, 12"),
        ("packed_lists", "{value: 65536, unit: bit", "{value: -65536, unit: bit", "storage.synapse_bits.value", "expected 1 to"),
        ("packed_lists", "{value: 65536, unit: bit", "{value: 65536, unit: B", "storage.synapse_bits.unit", "expected 'bit'"),
        ("packed_lists", "  block_synapses:", "  block_synapse:", "storage.block_synapse", "nearest: block_synapses"),
        ("packed_lists", "  weight_bits:", "  sign_bits:", "synapse_word.weight_bits", "packed_lists needs it"),
        ("cam_per_neuron", "{value: 16,", "{value: 0,", "storage.words_per_neuron.value", "expected 1 to"),
        ("cam_per_neuron", "words_per_neuron", "rows", "storage.rows", "known: code_bytes, family, local_bytes, release, words_per_neuron"),
        ("crossbar_binary", "rows_per_signed_weight: {value: 2,", "rows_per_signed_weight: {value: 257,", "storage.rows_per_signed_weight.value", "at most rows, 256"),
    ],
)  # fmt: skip
def test_a_malformed_family_is_refused_in_one_line(tmp_path, family, old, new, key, words):
    text = (PROFILES / f"{family}.yaml").read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "chip.yaml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(InputError) as caught:
        load_profile(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:") and f" {key}" in message and words in message and "\n" not in message


# Verdicts


def placed(name, layers, n_active, n_cores=1):
    return place(load_profile(name), Workload(layers, n_active), n_cores)


def loihi_without(*fields):
    """Loihi 1 with synapses that lack some fields."""
    profile = load_profile("loihi1")
    return profile.model_copy(update={"synapse_word": profile.synapse_word.model_copy(update=dict.fromkeys(fields))})


def test_a_lone_synapse_takes_a_full_word_and_the_verdict_says_so():
    """Row by row: Loihi's synapse that learns has 8 + 6 + 9 bits and an index of 6 to 12."""
    (text, *_) = judge(placed("loihi1", (64, 100, 10), (640, 300))).storage
    assert "a synapse takes 30 bits and its block 10 more, in words of 64: a lone synapse costs a full word (64 bits)" in text
    assert "releasing one of 3 in 2 full words frees nothing" in text
    plain = loihi_without("delay_bits", "tag_bits")
    (text, *_) = judge(place(plain, Workload((64, 100, 10), (640, 300)), 1)).storage
    assert "a lone synapse costs a full word (64 bits); releasing one of 2 in a full word frees nothing" in text


def test_a_narrower_weight_that_the_chip_takes_packs_more_synapses_in_a_word():
    """Loihi's lists have fields of the chosen width; 7 bits are refused by the command, see tests/system/test_malformed.py."""

    def bits(weight_bits):
        workload = Workload((64, 100, 10), (640, 300), theta_bits=None if weight_bits is None else weight_bits - 1)
        placement = place(load_profile("loihi1"), workload, 1)
        return placement.row_limits["synapse_bits"], theta_bits(placement.profile, workload)

    assert bits(None) == bits(8) == ((30,), 8) and bits(4) == ((26,), 4) and bits(1) == ((23,), 1)
    narrow = place(load_profile("loihi2"), Workload((64, 100, 10), (640, 300), theta_bits=3), 1)
    assert theta_bits(narrow.profile, narrow.workload) == narrow.profile.synapse_word.weight_bits.value, "it states no set of widths"


def test_words_are_refused_open_or_sure():
    """600 inputs with 6 neurons each to choose from: as many words as rows, while a row fits one word."""
    plain = loihi_without("delay_bits", "tag_bits")  # 14 bits and 10 of a header: 3 synapses a word, 6 take 2
    words = plain.storage.synapse_bits.model_copy(update={"value": 64 * 300})
    small = plain.model_copy(update={"storage": plain.storage.model_copy(update={"synapse_bits": words})})
    for n, fits, is_sure in ((300, True, True), (301, True, False), (900, True, False), (906, False, False)):
        placement = place(small, Workload((600, 6), (n,)), 1)
        (usage,) = [u for u in placement.usages if u.name == "synapse_words"]
        assert (usage.fits, usage.is_guaranteed) == (fits, is_sure), usage
    assert "needs at least 302 of 300 words" in str(pytest.raises(DoesNotFitError, refuse_unless_fits, placement).value)
    (n,) = largest_fit(small, Workload((600, 6), (1,)), 1)
    assert n == 300, "fit takes what every draw can place"


def test_129_synapses_of_a_neuron_are_refused_with_the_source(main_cli, tmp_path):
    """A crossbar with 256 rows and two rows per signed weight: 128 fit, 129 do not, twice that where circuits merge; through the command line."""
    for profile, source, where, most in (
        ("brainscales2", "halco", "chip", 256), ("truenorth", "truenorth_note", "host", 128), ("odin", "frenkel2018", "chip", 128),
    ):  # fmt: skip
        for n_inputs, code in ((most, 0), (most + 1, 3)):
            path = tmp_path / "scenario.yaml"
            path.write_text(
                f"name: wide\ndataset: {{name: nowhere.npz}}\nnetwork: {{layers: [{n_inputs}, 10], connectivity: 1.0}}\n"
                f"hardware: {{profile: {profile}, cores: 1, learning: {where}}}\ntraining: {{batch_size: 1}}\n",
                encoding="utf-8",
            )
            result = main_cli("check", path)
            assert result.code == code, result.out + result.err
        said = " ".join((result.out + result.err).split())
        assert str(most + 1) in said and str(most) in said and "storage.rows // storage.rows_per_signed_weight" in said and source in said


def test_what_a_removed_synapse_frees_is_said():
    cases = {"dynap_se2": "one word, for its own neuron", "truenorth": "128 of 256 remain", "spinnaker2_santos": ""}
    for name, text in cases.items():
        lines = judge(placed(name, (20, 10), (20,))).storage
        assert any(text in line for line in lines) if text else lines == []


@pytest.mark.parametrize("profile", ["truenorth", "dynap_se2", "tpu_v1", "ese_fpga"])
def test_a_chip_that_does_not_learn_needs_a_host_that_does(main_cli, profile):
    source = load_profile(profile).learning.source
    for command in (("run", "--out", "run"), ("check",)):
        result = main_cli(command[0], "digits_santos", "--set", f"hardware.profile={profile}", *command[1:])
        assert result.code == 2 and len(result.err.strip().splitlines()) == 1, result.err
        for words in ("hardware.learning: found chip", "learning.where none", source, "set hardware.learning to host"):
            assert words in result.err


def test_a_host_that_learns_takes_no_memory_of_the_chip():
    profile = load_profile("spinnaker2_santos")
    common = {"topology": (64, 20, 10), "n_active": (300, 50), "batch_size": 4, "execution": "event_driven", "optimizer": "adam"}
    own, by_host = (place(profile, Workload(**common, host_learns=flag), 2).cores[0].sections for flag in (False, True))
    learning = {"gradients", "optimizer_state", "random_state", "rewiring", "label_buffer"}
    assert set(own) - set(by_host) == learning and set(by_host) <= set(own)
    assert by_host["synapses"] == own["synapses"] and by_host["row_pointers"] == own["row_pointers"]
    # 15 neurons of its own; activations of 10 others.
    assert by_host["neuron_state"] == 4 * (15 + 10) < own["neuron_state"]


def test_dormant_slots_are_reported_with_the_limit_that_binds(main_cli, tmp_path):
    """560 words where 1,110 synapses of 30 bits are expected to take 640: in result.json, the tables and the log."""
    text = (PROFILES / "packed_lists.yaml").read_text(encoding="utf-8").replace("value: 65536", "value: 35840")
    (tmp_path / "chip.yaml").write_text(text, encoding="utf-8")
    result = main_cli(
        "run", "digits_santos", "--set", "hardware.profile=chip.yaml", "--set", "network.connectivity=0.15", "--set", "training.epochs=1",
        "--set", "dataset.limit=200", "--set", "report.figures=false", "--out", "run",
    )  # fmt: skip
    assert result.code == 0, result.err
    record = json.loads((tmp_path / "run" / "result.json").read_text(encoding="utf-8"))
    net, words = record["connectivity"], record["cores"][0]["rows"]["words"]
    assert net["unfilled"] > 0 and net["unfilled_by"].keys() == {"words"} and net["unfilled_by"]["words"] >= net["unfilled"]
    assert net["active"] + net["unfilled"] == sum(record["verdict"]["n_active"]) and words["limit"] == 560
    assert words["used"] <= words["peak"] <= 560
    said = " ".join(result.out.split())
    assert f"{net['unfilled']:,d} slots dormant without a feasible position; limits that bound: words" in said
    assert f"{words['used']:,d} of 560 on core 0" in said
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert f"{net['unfilled']} slots dormant, limits: words" in log
