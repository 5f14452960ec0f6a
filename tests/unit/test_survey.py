"""Many chips at once, what stops the largest network, and scenarios side by side."""

import json
from dataclasses import replace

import pytest

from neurosim.errors import InputError
from neurosim.hardware import list_profiles, load_profile
from neurosim.placement import place
from neurosim.placement.search import scale_counts
from neurosim.results.comparison import compare
from neurosim.scenario.experiment import prepare
from neurosim.scenario.load import load_scenario
from neurosim.scenario.survey import survey
from neurosim.sweeps.subjects import compared_scenario, read_subject

DIGITS = load_scenario("digits_santos")


def test_every_chip_has_a_row_that_says_what_check_says():
    rows = {row.profile: row for row in survey(DIGITS, list_profiles())}
    assert list(rows) == list_profiles() and rows["spinnaker2_santos"].n_cores == 1
    for name in ("spinnaker2", "loihi1", "brainscales2"):
        chosen = DIGITS.with_(hardware={"profile": name, "cores": "auto"})
        alone = prepare(chosen)
        assert (rows[name].state == "fits", rows[name].n_cores) == (alone.verdict.fits, alone.placement.n_cores)
        fit = prepare(chosen.with_(network={"connectivity": "fit"}))
        assert rows[name].largest == fit.placement.workload.n_synapses
    assert rows["truenorth"].learning == "host" and rows["spinnaker2"].learning == "chip"


def test_cores_that_are_asked_for_hold_on_every_chip(main_cli):
    rows = json.loads(main_cli("check", "digits_santos", "--profile", "loihi1", "--profile", "spinnaker2", "--set", "hardware.cores=2", "--json").out)
    assert [row["n_cores"] for row in rows] == [2, 2]


def test_a_chip_that_cannot_run_it_says_why(main_cli):
    rows = json.loads(main_cli("check", "mnist_rows_lstm", "--profile", "loihi1", "--profile", "spinnaker2", "--json").out)
    assert rows[0]["state"] == "cannot run" and "no LSTM" in rows[0]["reason"] and rows[1]["state"] == "fits"


def test_the_table_is_one_screen_and_one_profile_is_a_whole_verdict(main_cli):
    result = main_cli("check", "mnist_santos_64kb", "--profile", "all")
    assert result.code == 0 and len(result.out.splitlines()) <= len(list_profiles()) + 6 and max(map(len, result.out.splitlines())) <= 110
    assert all(name in result.out for name in list_profiles())
    assert "what would help" in main_cli("check", "mnist_santos_dense", "--profile", "spinnaker2_santos").out
    assert main_cli("check", "mnist_santos_dense", "--profile", "spinnaker2_santos", "--profile", "odin").code == 3
    wrong = main_cli("check", "digits_santos", "--profile", "loihi1", "--profile", "loihi9")
    assert wrong.code == 2 and "loihi" in wrong.err and len(wrong.err.splitlines()) == 1


@pytest.mark.parametrize(("profile", "limit"), [("spinnaker2_santos", "local_memory"), ("brainscales2", None), ("loihi1", None), ("dynap_se2", None)])
def test_fit_says_which_limit_stopped_it(profile, limit):
    learning = "host" if profile == "dynap_se2" else "chip"
    scenario = load_scenario("mnist_santos_64kb").with_(
        network={"connectivity": "fit"}, hardware={"profile": profile, "cores": "auto", "learning": learning}
    )
    experiment = prepare(scenario)
    (fit,), workload = experiment.verdict.fit, experiment.placement.workload
    assert fit.what == f"{workload.n_synapses:,d} synapses"
    if fit.usage is None:
        assert workload.n_synapses == sum(workload.n_positions) and "every possible connection" in fit.text
        return
    assert limit in (None, fit.usage.name) and fit.usage.used > fit.usage.limit and fit.usage.name in fit.text
    # One more breaks that limit when it is placed, for some draw at the least.
    more = replace(workload, n_active=scale_counts(workload.n_positions, workload.n_positions, workload.n_synapses + 1))
    uses = [use for use in place(load_profile(profile), more, fit.n_cores).usages if use.name == fit.usage.name]
    assert any(not use.is_guaranteed for use in uses)


def test_check_prints_it(main_cli):
    assert "one more would need" in " ".join(main_cli("check", "mnist_santos_64kb", "--set", "network.connectivity=fit").out.split())
    assert json.loads(main_cli("check", "mnist_santos_64kb", "--json").out)["fit"] is None


def test_scenarios_are_named_by_what_differs(main_cli):
    one = DIGITS.with_(network={"connectivity": 0.1})
    other = one.with_(network={"connectivity": 0.2}, hardware={"weight_format": "s0.7"})
    facts = compare(["a", "b"], [compared_scenario(one), compared_scenario(other)])
    assert facts["labels"] == ["connectivity 0.1, weight_format float32", "connectivity 0.2, weight_format s0.7"]
    assert facts["not_run"] == ["a", "b"] and facts["metrics"][1]["n_active"] == 2 * facts["metrics"][0]["n_active"]
    assert {row["key"] for row in facts["differences"]} == {"network.connectivity", "hardware.weight_format"}
    text = main_cli("compare", "digits_santos", "mnist_santos_dense").out
    assert "DOES NOT FIT" in text and "digits_santos" in text


def test_what_cannot_be_compared(tmp_path):
    for name, words in (("digits_quick", "is a sweep"), (tmp_path / "none", "none")):
        with pytest.raises(InputError, match=words):
            read_subject(name)
