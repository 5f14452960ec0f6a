"""Runs side by side: what differs, the numbers, and the command."""

import io
import json

import pytest
from rich.console import Console
from test_reports_records import make_record

from neurosim.errors import InputError
from neurosim.reports.compare_table import metric_rows, print_comparison
from neurosim.results import write_record
from neurosim.results.comparison import compare, flatten


def with_scenario(record, **changes):
    return record.model_copy(update={"scenario": {**record.scenario, **changes}})


def rows_of(comparison):
    return {row[0]: row[1:] for row in metric_rows(comparison)}


def test_flatten():
    assert flatten({"a": {"b": 1, "c": {"d": [2]}}, "e": None}) == {"a.b": 1, "a.c.d": [2], "e": None}


def test_equal_runs_do_not_differ():
    comparison = compare(["a", "b"], [make_record(), make_record()])
    assert comparison["differences"] == []
    assert rows_of(comparison)["test accuracy"][0] == rows_of(comparison)["test accuracy"][1]


def test_names_descriptions_and_reports_are_no_difference():
    other = with_scenario(make_record(), name="other", description="x", report={"figures": False})
    assert compare(["a", "b"], [make_record(), other])["differences"] == []


def test_differences_of_scenarios_are_found_key_by_key():
    first = with_scenario(make_record(), hardware={"cores": 1, "profile": "a"})
    other = with_scenario(make_record(), hardware={"cores": 4, "profile": "a", "headroom": 0.5}, seed=8)
    found = {row["key"]: row["values"] for row in compare(["a", "b"], [first, other])["differences"]}
    assert found == {"hardware.cores": [1, 4], "hardware.headroom": [None, 0.5], "seed": [7, 8]}


def test_numbers_are_the_records_and_lower_bounds_are_marked():
    records = [make_record(), make_record(n_cores=4, priced="all"), make_record(priced="none")]
    comparison = compare(["a", "b", "c"], records)
    rows = rows_of(comparison)
    assert [m["test_accuracy"] for m in comparison["metrics"]] == [r.accuracy.test for r in records]
    assert [m["energy_per_sample_j"] for m in comparison["metrics"]] == [records[0].energy.per_sample_j, records[1].energy.per_sample_j, None]
    assert rows["energy per sample"][0].startswith(">= ") and not rows["energy per sample"][1].startswith(">")
    assert rows["energy per sample"][2] == "unknown"
    assert rows["cores"] == ["1", "4 (x 4)", "1"]
    assert "(x " not in rows["memory, fullest core"][2]


def printed(comparison, width=110):
    stream = io.StringIO()
    print_comparison(Console(file=stream, width=width), comparison)
    return stream.getvalue()


def test_tables_say_what_differs_and_what_bounds_are():
    text = printed(compare(["one", "two"], [make_record(), with_scenario(make_record(), seed=8)]))
    assert "seed" in text and "lower bound" in text and "one" in text and "two" in text
    text = printed(compare(["one", "two"], [make_record(n_cores=4, priced="all")] * 2))
    assert "no differences" in text and "lower bound" not in text


def test_one_run_is_refused():
    with pytest.raises(InputError, match="found 1 run; expected at least two"):
        compare(["a"], [make_record()])


@pytest.fixture
def folders(tmp_path):
    for name, record in (("a", make_record()), ("b", make_record(n_cores=4))):
        (tmp_path / name).mkdir()
        write_record(record, tmp_path / name)
    return tmp_path


def test_command_prints_table_and_json(folders, main_cli):
    result = main_cli("compare", "a", "b")
    assert result.code == 0 and "test accuracy" in result.out
    data = json.loads(main_cli("compare", "a", "b/result.json", "--json").out)
    assert data["runs"] == ["a", "b/result.json"] and [m["n_cores"] for m in data["metrics"]] == [1, 4]


def test_what_was_not_run_is_not_unknown(folders, main_cli):
    out = main_cli("compare", "a", "digits_brainscales2").out
    row = {line.split("  ")[0]: line for line in out.splitlines()}
    assert row["test accuracy"].endswith("not run") and "unknown" not in row["simulation time"] and row["its limit"].endswith(" -")


def test_a_result_in_the_usual_folder_is_offered(folders, main_cli):
    (folders / "runs").mkdir()
    (folders / "a").rename(folders / "runs" / "a")
    assert main_cli("report", "a").err == "neurosim: a: no such result; there is one in runs/a\n"


@pytest.mark.parametrize("arguments", [["a"], ["a", "missing"], ["a", "."]])
def test_command_refuses_in_one_line(folders, main_cli, arguments):
    result = main_cli("compare", *arguments)
    assert result.code == 2 and result.out == "" and len(result.err.splitlines()) == 1


def test_report_writes_figures_and_page_and_prints_its_path(folders, main_cli):
    result = main_cli("report", "a")
    assert (result.code, result.out, result.err) == (0, "a/report.html\n", "")
    written = {path.name for path in (folders / "a" / "figures").iterdir()}
    assert {"cores.png", "cores.svg", "memory_per_core.svg"} <= written and len(written) == 16
    assert main_cli("report", "a/result.json").out == "a/report.html\n"


def test_report_of_nothing_is_refused(folders, main_cli):
    result = main_cli("report", ".")
    assert result.code == 2 and "result.json: no such result" in result.err and len(result.err.splitlines()) == 1
