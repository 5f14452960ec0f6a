"""Rules from the command line: runs that only report a misfit, a user's own rule, and what is refused."""

import json
import sys

import pytest

RULE = '''
"""A rule of a user: the oldest slots leave, whatever they weigh."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from neurosim.rewiring import Rule


@dataclass(frozen=True)
class Carousel(Rule):
    n: Annotated[int, Field(ge=1)] = 2
    period: Annotated[int, Field(ge=1)] = 20

    def first_state(self, store, learning_rate, key):
        return {"turn": np.zeros(1, np.int64)}

    def leaving(self, store, moment):
        active = np.flatnonzero(store.slots.active)
        turn = moment.state["turn"]
        turn += self.n
        return active[(turn[0] + np.arange(self.n)) % active.size]


class NoRule:
    pass
'''
SMALL = ("digits_santos", "--set", "training.epochs=3", "--set", "report.figures=false")
MINE = ("--set", "rewiring={rule: mypackage.rules:Carousel, n: 3}")
PLUGIN = ("--plugin", "mypackage.rules")


@pytest.fixture
def user_module(tmp_path):
    """A package of a user beside the scenarios."""
    folder = tmp_path / "mypackage"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "rules.py").write_text(RULE)
    return folder


def lasting(folder):
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    return {key: value for key, value in record.items() if key not in ("timing", "environment")}


def test_a_rule_from_a_users_module(main_cli, user_module, tmp_path):
    """Nothing but a module and an option; the rule's own keys are checked, and the run rewires as the rule says."""
    assert main_cli("check", *SMALL, *MINE, *PLUGIN).code == 0
    assert main_cli("run", *SMALL, *MINE, *PLUGIN, "--out", "mine", "--quiet").code == 0
    record = lasting(tmp_path / "mine")
    n_rewirings = 3 * 144 // 20
    assert record["connectivity"]["rewired"] == 3 * n_rewirings
    assert record["connectivity"]["active"] == record["connectivity"]["most_active"] == 940
    assert record["scenario"]["rewiring"] == {"rule": "mypackage.rules:Carousel", "scope": "core", "n": 3, "period": 20}
    wrong = main_cli("check", *SMALL, "--set", "rewiring={rule: mypackage.rules:Carousel, m: 3}", *PLUGIN)
    assert wrong.code == 2 and "rewiring.m: rule mypackage.rules:Carousel does not use it" in wrong.err


def test_a_users_rule_resumes(main_cli, user_module, tmp_path, monkeypatch):
    """Stopped after some calls and resumed: the same result. A changed rule is another run."""
    from neurosim.training import Trainer

    assert main_cli("run", *SMALL, *MINE, *PLUGIN, "--out", "whole", "--quiet").code == 0
    run, calls = Trainer.run, []
    with monkeypatch.context() as patch:

        def stopped(self, *, should_stop, **others):
            return run(self, should_stop=lambda: calls.append(0) or len(calls) >= 9, **others)

        patch.setattr(Trainer, "run", stopped)
        assert main_cli("run", *SMALL, *MINE, *PLUGIN, "--out", "half", "--quiet").code == 130
    assert not (tmp_path / "half" / "result.json").exists()
    without = main_cli("run", *SMALL, *MINE, "--out", "half", "--resume", "--quiet")
    assert without.code == 2 and "--plugin mypackage.rules" in without.err
    assert main_cli("run", *SMALL, *MINE, *PLUGIN, "--out", "half", "--resume", "--quiet").code == 0
    assert lasting(tmp_path / "half") == lasting(tmp_path / "whole")


def test_a_scenario_alone_imports_nothing(main_cli, user_module):
    (user_module / "rules.py").write_text("raise SystemExit('this was imported')")
    result = main_cli("check", *SMALL, *MINE)
    assert result.code == 2 and len(result.err.splitlines()) == 1
    assert "--plugin mypackage.rules" in result.err and "mypackage" not in sys.modules


@pytest.mark.parametrize(
    ("arguments", "fragments"),
    [
        ((*MINE, "--plugin", "mypackage.rulez"), ["--plugin", "mypackage.rulez", "No module named"]),
        (("--plugin", "mypackage.broken"), ["--plugin", "mypackage.broken", "ZeroDivisionError"]),
        (("--set", "rewiring={rule: mypackage.rules:Caroussel}", *PLUGIN), ["rewiring.rule", "nearest: Carousel"]),
        (("--set", "rewiring={rule: mypackage.rules:NoRule}", *PLUGIN), ["rewiring.rule", "neurosim.rewiring.Rule"]),
        (("--set", "rewiring={rule: os:system}",), ["rewiring.rule", "--plugin os"]),
        (("--set", "rewiring={rule: mypackage.rules:Carousel, n: 0}", *PLUGIN), ["rewiring.n", "found 0"]),
    ],
)  # fmt: skip
def test_what_is_refused(main_cli, user_module, arguments, fragments):
    (user_module / "broken.py").write_text("1 / 0")
    result = main_cli("check", *SMALL, *arguments)
    assert result.code == 2 and len(result.err.splitlines()) == 1, result.err
    assert [fragment for fragment in fragments if fragment not in result.err] == [], result.err


def test_a_misfit_is_refused_or_reported(main_cli, tmp_path):
    """Dense needs more than a Santos core: code 3, or a run that says everywhere that it does not fit."""
    dense = (*SMALL, "--set", "rewiring={rule: dense}")
    refused = main_cli("run", *dense, "--out", "refused")
    assert refused.code == 3 and not (tmp_path / "refused").exists()
    reported = main_cli("run", *dense, "--set", "hardware.on_violation=report", "--out", "reported")
    assert reported.code == 0
    lines = [line for line in reported.out.splitlines() if "DOES NOT FIT" in line]
    assert len(lines) == 2 and all("local" in line for line in lines)
    assert "DOES NOT FIT" in (tmp_path / "reported" / "log.txt").read_text(encoding="utf-8")
    record = lasting(tmp_path / "reported")
    assert record["verdict"]["fits"] is False
    assert {usage["name"] for usage in record["verdict"]["violations"]} == {"local_memory"}
    assert record["connectivity"]["active"] == record["connectivity"]["possible"] == 7400
    assert main_cli("check", *dense, "--set", "hardware.on_violation=report").code == 3
    fits = (*SMALL, "--set", "hardware.on_violation=report")
    plain = main_cli("run", *fits, "--out", "fits")
    assert plain.code == 0 and "DOES NOT FIT" not in plain.out + (tmp_path / "fits" / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("rule", ["dense", "prune", "soft_deep_r, noise_std: 1e-3"])
def test_a_fixed_place_needs_scan(main_cli, rule):
    result = main_cli("check", *SMALL, "--set", f"rewiring={{rule: {rule}}}", "--set", "hardware.execution=event_driven")
    assert result.code == 2 and "hardware.execution" in result.err and "use execution scan" in result.err
