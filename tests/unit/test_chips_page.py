"""docs/chips.md and its scenarios, as far as they can be made without training."""

import re
from pathlib import Path

import pytest

from benchmarks import compare_chips
from neurosim.errors import InputError
from neurosim.hardware import list_profiles, load_profile

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "chips.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def found():
    return compare_chips.experiments()


def table(name):
    return re.search(rf"<!-- {name} -->\n(.*?)\n<!-- end -->", PAGE, re.DOTALL)[1]


def test_every_chip_that_learns_has_a_scenario():
    profiles = {name: load_profile(name).learning for name in list_profiles() if name not in compare_chips.MACHINES}
    assert set(compare_chips.MACHINES) < set(list_profiles())
    # A chip on which no synapse can be exchanged (SPOON, a fixed network) has no part in a comparison of rewiring networks.
    learns = [name for name, learning in profiles.items() if learning.where != "none" and learning.rewiring != "none"]
    assert len(learns) >= 10 and all(map(compare_chips.scenario_of, learns))


def test_the_scenarios_differ_from_the_first_in_their_hardware_alone(found):
    first = next(e for e in found if e.profile.name == "spinnaker2_santos").scenario
    for experiment in found:
        for part in ("seed", "dataset", "network", "training", "rewiring"):
            assert getattr(experiment.scenario, part) == getattr(first, part), (experiment.scenario.name, part)


def test_the_tables_are_those_of_the_verdicts(found):
    assert table("fit") == compare_chips.fit_table(found), "run python -m benchmarks.compare_chips docs/chips.md"
    assert table("refused") == compare_chips.refused_table(found)


def test_odin_is_refused_by_its_neurons_and_truenorth_by_its_targets(found):
    odin, reckon, truenorth = [e for e in found if not e.verdict.fits]
    assert reckon.profile.name == "reckon" and (reckon.verdict.worst.used, reckon.verdict.worst.limit) == (410, 272)
    assert odin.profile.name == "odin" and (odin.verdict.worst.used, odin.verdict.worst.limit) == (410, 256)
    assert truenorth.profile.name == "truenorth" and truenorth.verdict.worst.name == "targets_per_neuron"


def test_all_that_fits_has_its_figures(found):
    rows = [line.split("|")[1].strip(" `") for line in table("figures").splitlines()[2:]]
    assert sorted(rows) == sorted(e.profile.name for e in found if e.verdict.fits)


def test_a_page_without_a_place_is_refused():
    with pytest.raises(InputError, match="0 places for the table fit"):
        compare_chips.fill("# empty\n", {"fit": "x"})
