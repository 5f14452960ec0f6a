"""docs/profiles.md against the profile files."""

import re
from pathlib import Path

from neurosim.hardware import list_profiles, load_profile
from neurosim.reports.profile_page import fill_page, make_tables

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "profiles.md").read_text(encoding="utf-8")


def rows(name):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in make_tables()[name].splitlines()[2:]]


def test_the_tables_are_those_of_the_files():
    assert fill_page(PAGE) == PAGE, "run python -m neurosim.reports.profile_page docs/profiles.md"


def test_every_chip_and_every_price_set_has_its_row():
    names = [f"`{name}`" for name in list_profiles()]
    assert [row[0] for row in rows("chips")] == [row[0] for row in rows("unknown")] == names
    sets = [(row[0].strip("`"), re.match(r"`(\w+)`", row[1])[1]) for row in rows("sets")]
    assert sets == [(name, key) for name in list_profiles() for key in load_profile(name).energy.price_sets]


def test_what_is_unknown_and_where_sources_disagree():
    unknown = {row[0].strip("`"): row[1:] for row in rows("unknown")}
    assert unknown["spinnaker2_santos"][0].split(", ") == ["packet", "host_byte"] and unknown["spinnaker2_santos"][1] == "of the program's loops"
    assert unknown["loihi2"][1] == "unknown" and unknown["brainscales2"][1] == "of whole forward pass alone"
    assert ["`spinnaker2_santos`", "hoeppner2019_as_cited: synaptic_op", "450 pJ", "1.50 nJ: same citation, likely another DVFS level"] in rows(
        "conflicts"
    )


def test_profiles_that_the_text_names_exist():
    text = re.sub(r"<!-- \w+ -->\n.*?<!-- end -->", "", PAGE, flags=re.DOTALL)
    named = set(re.findall(r"`([a-z]+\w*\d\w*|odin|truenorth|ese_fpga)`", text))
    assert len(named) >= 8 and named <= set(list_profiles())
