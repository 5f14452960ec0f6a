"""The storage families: what their profiles say, what fits, and what removing a synapse frees."""

from pathlib import Path

import pytest

from neurosim.errors import InputError
from neurosim.hardware import load_profile

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
