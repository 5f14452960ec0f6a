"""A chip of one's own: the file to begin with, numbers under one source, all errors at once, and the page that explains it."""

import json
import re
import shlex
from pathlib import Path

import pytest

from neurosim.errors import InputError, InputErrors
from neurosim.hardware import audit_profile, check_profile, list_profiles, load_profile
from neurosim.hardware.template import diff_profiles, new_profile

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "your-chip.md").read_text(encoding="utf-8")


def written(tmp_path, text):
    path = tmp_path / "chip.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", list_profiles())
def test_a_copy_says_the_same_and_every_number_of_it_can_be_taken(name, tmp_path):
    base, text = load_profile(name), new_profile("mine", name)
    copy = load_profile(written(tmp_path, text))
    assert copy.name == "mine" and check_profile(copy) == check_profile(base)
    # The user takes every # away: all values stay, and none has the old source.
    taken = load_profile(written(tmp_path, re.sub(r"(?m)^    # (\S+: .*)$", r"    \1", text)))
    assert {row["key"]: row["value"] for row in check_profile(taken)} == {row["key"]: row["value"] for row in check_profile(base)}
    assumed = [row for row in check_profile(taken) if row["kind"] == "assumed" and row["source"].startswith("Design of mine")]
    assert len(assumed) == text.split("numbers:", 1)[1].split("\nsources:")[0].count("\n    # ")
    assert all("changed from" in row["note"] for row in assumed)


def test_the_blank_chip_is_whole_and_assumed(tmp_path):
    profile = load_profile(written(tmp_path, new_profile("mine")))
    assert audit_profile(profile)["ok"] and {row["kind"] for row in check_profile(profile)} == {"assumed"}
    assert {row["source"] for row in check_profile(profile)} == {"Design of mine, nobody's measurement"}
    assert profile.clock.value == 2e8 and profile.energy.chosen.prices.synaptic_op.value == 20e-12


@pytest.mark.parametrize("name", ["Mine", "spinnaker2", "", "a b"])
def test_names_that_cannot_be(name):
    with pytest.raises(InputError, match="NAME: "):
        new_profile(name)


def test_all_errors_of_a_file_at_once(tmp_path, main_cli):
    text = new_profile("mine").replace("cores: 16", "coress: 16").replace("64 KiB", "64 kHz").replace("weight_bits: 32", "weight_bits: 99")
    path = written(tmp_path, text.replace("where: same_core", "where: somewhere").replace("learning:", "lerning: 3\nlearning:"))
    with pytest.raises(InputErrors) as caught:
        load_profile(path)
    words = (
        "coress: is no number of the profile; nearest: cores",
        "found '64 kHz'; expected a number in B",
        "weight_bits: found 99",
        "lerning is not a key",
        "where: found 'somewhere'",
        "cores: this key is required",
    )
    for word in words:
        assert sum(word in line for line in caught.value.lines) == 1, (word, caught.value.lines)
    lines = text.splitlines()
    number = next(int(re.search(r":(\d+): ", line)[1]) for line in caught.value.lines if "coress" in line)
    assert "coress" in lines[number - 1]
    result = main_cli("profiles", "check", str(path))
    assert result.code == 2 and len(result.err.splitlines()) == len(caught.value.lines)
    assert all(line.startswith(f"neurosim: {path}:") for line in result.err.splitlines())


def test_all_that_does_not_go_together_at_once(tmp_path):
    text = (
        new_profile("mine")
        .replace("synapse_word.sign_bits: 1\n", "# \n")
        .replace("synapse_word.pre_index_bits: 16 ", "# ")
        .replace("source: assumed}\nenergy", "source: nobody}\nenergy")
    )
    with pytest.raises(InputErrors) as caught:
        load_profile(written(tmp_path, text))
    assert len(caught.value.lines) == 3


def test_one_number_twice_under_assume(tmp_path):
    text = new_profile("mine").replace("    cores: 16\n", "    cores: 16\n    chip.cores: 8\n")
    with pytest.raises(InputErrors, match="assume.numbers.chip.cores: is cores, which stands there, too"):
        load_profile(written(tmp_path, text))


def test_differences_of_profiles(tmp_path, main_cli):
    text = new_profile("mine", "spinnaker2").replace("    # storage.local_bytes: 131072", "    storage.local_bytes: 64 KiB")
    path = written(tmp_path, text)
    base, mine = load_profile("spinnaker2"), load_profile(path)
    assert diff_profiles(base, base) == []
    assert diff_profiles(base, mine) == [{"key": "storage.local_bytes", "unit": "B", "values": [131072, 65536], "ratio": 0.5}]
    assert "x 0.5" in main_cli("profiles", "diff", "spinnaker2", str(path)).out
    assert "prices.core_cycle" in main_cli("profiles", "diff", "spinnaker2", "loihi1").out  # as hardware.override takes it
    assert json.loads(main_cli("profiles", "diff", "spinnaker2", "loihi1", "--json").out)["differences"]


def test_a_name_without_its_ending_is_answered_with_the_file(tmp_path, main_cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    main_cli("profiles", "new", "mine")
    result = main_cli("check", "digits_santos", "--profile", "mine")
    assert (
        result.code == 2 and result.err == "neurosim: 'mine': no such hardware profile; the file here is 'mine.yaml': give its name with the ending\n"
    )


def test_an_existing_file_is_never_touched(tmp_path, main_cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main_cli("profiles", "new", "mine").code == 0
    before = (tmp_path / "mine.yaml").read_bytes()
    again = main_cli("profiles", "new", "mine", "--from", "loihi1")
    assert again.code == 2 and "is there already" in again.err and (tmp_path / "mine.yaml").read_bytes() == before


def test_the_page_builds_a_chip_in_less_than_ten_commands(tmp_path, main_cli, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (block,) = [text for text in re.findall(r"(?ms)^```sh\n(.*?)^```", PAGE) if "profiles new" in text]
    commands = [shlex.split(line) for line in block.splitlines()]
    assert 5 < len(commands) < 10
    for command in commands:
        if command[0] == "sed":
            path = tmp_path / command[-1]
            text = path.read_text(encoding="utf-8")
            for rule in command[2].split("; "):
                _, old, new, _ = rule.split("/")
                assert text.count(old) == 1, old
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
        else:
            result = main_cli(*command[1:])
            assert result.code == 0, (command, result.err)
    profile = json.loads((tmp_path / "mychip_run" / "result.json").read_text(encoding="utf-8"))["profile"]
    assert profile["name"] == "mychip" and {row["source"] for row in profile["prices"]} == {"Design of mychip, nobody's measurement"}
