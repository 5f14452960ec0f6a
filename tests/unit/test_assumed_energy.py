"""A price that nobody published is said wherever the energy stands that counts with it."""

from neurosim.reports.facts import assumed_energy, energy_amounts
from neurosim.reports.run_page import answer
from neurosim.scenario import load_scenario, run_scenario

SAID = "core_cycle 15.0 pJ"


def run(tmp_path, price_set):
    keys = ["training.epochs=1", "dataset.limit=50", "report.figures=false", f"hardware.price_set={price_set}"]
    return run_scenario(load_scenario("digits_santos", keys), out=tmp_path / price_set)


def test_it_is_said_in_tables_and_sentences(tmp_path, main_cli):
    record, folder = run(tmp_path, "derived_from_program")
    assert assumed_energy(record) == SAID
    assert f"{SAID} is assumed" in energy_amounts(record) and f"with {SAID} assumed" in answer(record)
    main_cli("report", folder)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count(f"{SAID} is assumed") >= 2


def test_it_is_said_in_comparisons(tmp_path, main_cli):
    folders = [run(tmp_path, name)[1] for name in ("derived_from_program", "hoeppner2019_as_cited")]
    assert "energies count with prices that are assumed: core_cycle of spinnaker2_santos" in " ".join(main_cli("compare", *folders).out.split())


def test_published_prices_say_nothing(tmp_path):
    record, _ = run(tmp_path, "hoeppner2019_as_cited")
    assert assumed_energy(record) == "" and "assumed" not in energy_amounts(record) + answer(record)
