"""Help, completion, and commands that know each other's files."""

import os
import subprocess
import sys

import pytest
from test_malformed import SCENARIO, SWEEP
from typer.main import get_command

from neurosim.cli import app


def every_command(command, name=""):
    """Names of a command and of all below it."""
    for word, part in getattr(command, "commands", {}).items():
        yield from every_command(part, f"{name} {word}".strip())
    yield name


HELPS = sorted(every_command(get_command(app)))


@pytest.mark.parametrize("command", HELPS)
def test_help_has_no_stray_blanks_and_no_lost_words(command, main_cli):
    lines = main_cli(*command.split(), "--help").out.split("\n")
    assert lines[0].startswith("Usage: neurosim") and not [line for line in lines if line != line.rstrip()]
    assert not [line for line in lines if " ." in line.replace(" ...", "") or "[[" in line]
    commands = lines[lines.index("Commands:") :] if "Commands:" in lines else []
    assert not [line for line in commands if line.endswith("...")]


def test_every_command_is_found():
    assert len(HELPS) > 25 and {"", "warmup", "profiles new", "data fetch", "validate posterior"} <= set(HELPS)


def test_an_error_of_use_names_the_help_of_its_command(main_cli):
    assert main_cli("check").err == "neurosim: Missing argument 'SCENARIO'; see neurosim check --help\n"
    assert main_cli("profiles", "show", "--all").err.endswith("; see neurosim profiles show --help\n")
    assert main_cli("chek").err.endswith("; see neurosim --help\n")


def test_placements_belong_to_one_scenario_on_one_chip(main_cli):
    assert "all on one core: nothing travels between cores" in main_cli("check", "digits_santos", "--placements").out
    result = main_cli("check", "digits_santos", "--placements", "--profile", "all")
    assert (result.code, result.err) == (2, "neurosim: --placements: goes with one scenario on one chip\n")


def test_help_says_defaults_in_brackets(main_cli):
    assert "[default: runs/NAME]" in main_cli("run", "--help").out
    assert "[default: cores]" in main_cli("sweep", "--help").out


def test_a_group_without_a_command_shows_its_help(main_cli):
    result = main_cli("profiles")
    assert result.code == 2 and result.out.startswith("Usage: neurosim profiles") and result.err == ""


COMPLETIONS = [
    ("check digits_s", {"digits_santos"}),
    ("run mnist_truenorth", {"mnist_truenorth", "mnist_truenorth_groups"}),
    ("sweep digits_q", {"digits_quick"}),
    ("profiles show spinnaker2", {"spinnaker2", "spinnaker2_board", "spinnaker2_santos"}),
    ("check digits_santos --set training.ep", {"training.epochs=", "training.epoch_samples=", "training.epsilon="}),
    ("check digits_santos --set hardware.profile=loihi", {"hardware.profile=loihi1", "hardware.profile=loihi2"}),
    ("sweep digits_quick --engine d", {"dask"}),
    ("schema s", {"scenario", "search-result", "sweep", "sweep-result"}),
    ("export runs/x --format action", {"action-counts", "action-counts-csv"}),
    ("va", {"validate"}),
]


@pytest.mark.parametrize(("words", "offered"), COMPLETIONS, ids=[row[0] for row in COMPLETIONS])
def test_completion(words, offered, cli_environment, tmp_path):
    environment = {"_NEUROSIM_COMPLETE": "complete_bash", "COMP_WORDS": f"neurosim {words}", "COMP_CWORD": str(len(words.split()))}
    result = subprocess.run(
        [sys.executable, "-m", "neurosim.cli"], cwd=tmp_path, env=cli_environment | environment, capture_output=True, text=True, timeout=60
    )
    assert set(result.stdout.split()) == offered and result.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_of_a_shell(shell, main_cli, monkeypatch):
    monkeypatch.setitem(os.environ, "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION", "1")
    result = main_cli("--show-completion", shell)
    assert "_NEUROSIM_COMPLETE" in result.out


OTHERS = [
    (["run", "digits_quick"], ["digits_quick: is a sweep", "neurosim sweep digits_quick"]),
    (["check", "digits_quick"], ["neurosim sweep digits_quick"]),
    (["scenarios", "show", "digits_quick"], ["neurosim sweep digits_quick"]),
    (["sweep", "digits_santos"], ["digits_santos: is a scenario", "neurosim run digits_santos"]),
    (["run", "trial.yaml"], ["trial.yaml:2: base is not a key of the scenario", "neurosim sweep trial.yaml"]),
    (["check", "trial.yaml"], ["trial.yaml:2: base", "neurosim sweep trial.yaml"]),
    (["sweep", "small.yaml"], ["small.yaml:3: dataset is not a key of the sweep", "neurosim run small.yaml"]),
]


@pytest.mark.parametrize(("arguments", "fragments"), OTHERS, ids=[" ".join(row[0]) for row in OTHERS])
def test_sweeps_and_scenarios_are_told_apart(arguments, fragments, main_cli, tmp_path):
    (tmp_path / "small.yaml").write_text(SCENARIO, encoding="utf-8")
    (tmp_path / "trial.yaml").write_text(SWEEP, encoding="utf-8")
    result = main_cli(*arguments)
    assert result.code == 2 and result.out == "" and len(result.err.splitlines()) == 1
    assert all(fragment in result.err for fragment in fragments), result.err
