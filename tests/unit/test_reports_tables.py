import io
import json
import re
import subprocess
import sys

import pytest
from rich.console import Console
from test_reports_records import CASES, make_record

from neurosim.accounting.events import PHASES
from neurosim.hardware import KNOWN_LIMITS, check_profile, list_profiles, load_profile
from neurosim.placement import Workload, judge, place, synapse_counts
from neurosim.reports import facts
from neurosim.reports.rich_parts import quantity_text
from neurosim.reports.tables import print_profile, print_profile_list, print_run, print_verdict
from neurosim.units import format_bytes, format_si

VERDICTS = {
    "fits": ("spinnaker2_santos", (784, 300, 100, 10), 0.013, 1, {}),
    "dense": ("spinnaker2_santos", (784, 300, 100, 10), 1.0, 1, {}),
    "crossbar": ("brainscales2", (784, 300, 10), 1.0, 2, {"batch_size": 10}),
    "event_driven": ("spinnaker2", (784, 300, 100, 10), 0.05, 8, {"execution": "event_driven", "batch_size": 32}),
    "all_cores": ("spinnaker2", (784, 3000, 1000, 10), 1.0, 152, {"execution": "event_driven", "batch_size": 10}),
}


def printed(function, *arguments, width=80, **options):
    """What a table looks like in a pipe."""
    file = io.StringIO()
    function(Console(file=file, width=width), *arguments, **options)
    return file.getvalue()


def one_line(text):
    return " ".join(text.split())


def make_verdict(case):
    """Verdict as it stands in result.json."""
    profile, layers, connectivity, n_cores, options = VERDICTS[case]
    workload = Workload(layers, synapse_counts(layers, connectivity), **options)
    return json.loads(json.dumps(judge(place(load_profile(profile), workload, n_cores)).to_dict()))


def expand(cell):
    """Cores of ``core 3`` or ``cores 0-2, 5``."""
    cores = set()
    for part in cell.removeprefix("cores ").removeprefix("core ").split(", "):
        first, _, last = part.partition("-")
        cores |= set(range(int(first), int(last or first) + 1))
    return cores


@pytest.mark.parametrize("case", VERDICTS)
def test_a_verdict_starts_with_its_answer(case):
    verdict = make_verdict(case)
    first = one_line(printed(print_verdict, verdict, name="my_network")).split("limits exceeded")[0]
    assert first.startswith("fits my_network:" if verdict["fits"] else "does not fit my_network:")
    for part in (f"{sum(verdict['n_active']):,d} synapses", f"{verdict['n_cores']} core", verdict["profile"]):
        assert part in first


@pytest.mark.parametrize("case", ["dense", "crossbar", "all_cores"])
def test_all_violations_are_listed(case):
    verdict = make_verdict(case)
    text = printed(print_verdict, verdict, width=1000)
    block = text.split("limits exceeded\n")[1].split("\n[1]")[0].splitlines()[2:]
    listed = set()
    for row in block:
        where, name, used, allowed, over, unit, cited = re.split(r"\s{2,}", row.strip())
        where, _, matrix = where.partition(", matrix ")
        assert re.fullmatch(r"\[\d+\]", cited)
        for core in expand(where):
            listed.add((name, core, int(matrix) if matrix else None, used, allowed, over, unit))
    expected = {
        (u["name"], u["core"], u["matrix"], f"{u['used']:,d}", f"{u['limit']:,d}", f"{u['used'] - u['limit']:,d}", u["unit"])
        for u in verdict["violations"]
    }
    assert listed == expected and len(expected) == len(verdict["violations"]) > 0
    assert all(u["source"] in text for u in verdict["violations"])
    assert all(hint in text for hint in verdict["hints"]) and verdict["hints"]


def test_the_section_that_breaks_the_limit_is_named_with_its_bytes():
    text = one_line(printed(print_verdict, make_verdict("dense")))
    assert "core 0: the memory limit breaks at section synapses, 2,116,099 B over" in text
    assert "does not fit 266,200 synapses on 1 core of spinnaker2_santos; 1 limit exceeded" in text
    assert "[1] storage.local_bytes (liu2018: Liu et al. 2018" in text and "what would help - at most 5,756 synapses" in text
    many = one_line(printed(print_verdict, make_verdict("all_cores")))
    assert "cores 0-151: the memory limit breaks at section synapses, 335,588 to 403,632 B over; largest in B on core 75" in many


@pytest.mark.parametrize("case", VERDICTS)
@pytest.mark.parametrize("width", [80, 100])
def test_verdicts_keep_every_number_whole(case, width):
    verdict = make_verdict(case)
    text = printed(print_verdict, verdict, width=width)
    assert "…" not in text and "\x1b" not in text
    assert max(map(len, text.splitlines())) <= width
    for usage in verdict["violations"]:
        assert usage["name"] in text and f"{usage['used']:,d}" in text
    fullest = max(verdict["cores"], key=lambda core: core["n_bytes"])
    for section, n_bytes in fullest["sections"].items():
        assert re.search(rf"^{facts.words(section)} .*\b{n_bytes:,d}\b", text, re.MULTILINE)
    assert all(name in text for name in verdict["unstated"])
    assert all(note in one_line(text) for note in verdict["not_modelled"])


def test_headroom_starts_with_the_tightest_limit():
    verdict = make_verdict("crossbar")
    block = printed(print_verdict, verdict, width=120).split("room on the other limits")[1].split("\n\n")[0]
    shares = [float(share) for share in re.findall(r"([\d.]+) %", block)]
    assert shares == sorted(shares, reverse=True) and len(shares) == 2 and shares[0] == 100.0  # two columns a neuron are too many


def test_many_cores_are_summarized_and_few_printed_in_full():
    many = printed(print_verdict, make_verdict("all_cores")).split("memory per core")[1].split("\n\n")[0]
    assert "core 75" in many and "core 151" in many and "core 0 " not in many
    assert re.search(r"least +mean +most", many) and re.search(r"^used .*466,660 +496,186 +534,704$", many, re.MULTILINE)
    few = printed(print_verdict, make_verdict("event_driven"), width=100).split("memory per core")[1].split("\n\n")[0]
    assert all(f"core {i}" in few for i in range(8)) and "mean" not in few


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("width", [80, 120])
def test_a_run_says_its_key_numbers(case, width):
    record = make_record(**CASES[case])
    text = printed(print_run, record, width=width)
    flat = one_line(text)
    assert "…" not in text and "\x1b" not in text and max(map(len, text.splitlines())) <= width
    accuracy, traffic, energy = record.accuracy, record.traffic_bytes, record.energy
    assert f"test {100 * accuracy.test:.2f} %, best {100 * accuracy.best:.2f} %" in flat
    assert f"train {100 * accuracy.train_per_epoch[-1]:.2f} %" in flat
    assert f"740 of 7,400 possible (10.00 %), {record.connectivity.rewired:,d} rewired, 740 active" in flat
    assert f"{format_bytes(traffic.read - sum(r.read_bytes for r in traffic.rows if r.phase == 'evaluate'))} " in text
    for phase, n_bytes in traffic.by_phase.items():
        assert re.search(rf"^{phase} .* {re.escape(format_bytes(n_bytes))}\b", text, re.MULTILINE)
    assert re.search(r"^evaluate .* 0 B ", text, re.MULTILINE)
    for part in ("spinnaker2_santos", "by_hand", "seed 7", "64-100-10", "accounting by event"):
        assert part in flat
    if facts.is_priced(record):
        assert f"{format_si(energy.per_sample_j, 'J')} per trained sample" in flat
        assert f"{format_si(energy.total_j, 'J')} in all" in flat
        assert "specified" in text and "marginal" in text and "[1] Written by hand [sic], 2024" in text
        assert "also published: 1.50 nJ [2]" in flat


@pytest.mark.parametrize("case", CASES)
def test_lower_bound_is_said_exactly_when_something_is_missing(case):
    record = make_record(**CASES[case])
    text = one_line(printed(print_run, record))
    assert ("lower bound" in text) == (">= " in text or "unknown" in text) == (not record.energy.complete)
    if not record.energy.complete:
        assert f"not priced: {', '.join(record.energy.unpriced)}" in text
        assert "not modelled: neuron_update, transfer from and to the host" in text


def test_an_energy_without_any_price_is_unknown_and_not_zero():
    text = one_line(printed(print_run, make_record(**CASES["nothing_priced"])))
    assert "energy unknown, not even a lower bound: not priced: host_byte" in text
    assert "time unknown, not even a lower bound: not modelled:" in text
    assert "0 J" not in text and "accounting by event: none" in text


def test_an_unpriced_phase_is_not_free():
    text = printed(print_run, make_record())
    assert re.search(r"^update +not priced", text, re.MULTILINE)
    assert re.search(r"^forward +>= ", text, re.MULTILINE) and re.search(r"^gradient +[\d.]+ ", text, re.MULTILINE)


def test_a_complete_energy_over_an_incomplete_time_is_a_lower_bound():
    record = make_record(**CASES["four_cores"])
    timing = record.timing.model_copy(update={"model_complete": False, "model_unmodelled": ["packets between cores"]})
    record = record.model_copy(update={"timing": timing, "energy": record.energy.model_copy(update={"complete": False})})
    text = one_line(printed(print_run, record))
    assert "lower bound: static power counts over a time that leaves out: packets between cores" in text
    assert "static >= 72.0 mJ" in text


def test_a_run_of_one_core_fits_one_and_a_half_screens():
    assert printed(print_run, make_record()).count("\n") <= 66  # of 44 lines
    assert "limit 65,536, 18,245 free" in printed(print_run, make_record())


def test_many_components_are_shortened_without_losing_energy():
    record = make_record()
    names = [f"local_read_byte:section_{i}" for i in range(14)]
    rows = [record.energy.rows[1].model_copy(update={"component": name, "energy_j": 1e-3}) for name in names]
    energy = record.energy.model_copy(update={"rows": rows, "by_component_j": dict.fromkeys(names, 1e-3), "total_j": 14e-3})
    text = printed(print_run, record.model_copy(update={"energy": energy}))
    assert text.count("1.00 mJ") == 9 and re.search(r"5 others +5.00 mJ +35.7 %", text)
    assert "…" not in text and max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("name", list_profiles())
@pytest.mark.parametrize("width", [80, 120])
def test_a_profile_shows_every_number_with_its_source(name, width):
    profile = load_profile(name)
    text = printed(print_profile, profile, width=width)
    assert "…" not in text and "\x1b" not in text and max(map(len, text.splitlines())) <= width
    flat = one_line(text)
    rows = check_profile(profile)
    for row in (row for row in rows if row["key"].startswith("programs.")):  # the loops of a program: every setting in one row
        cells = " +".join(f"{value:.1f}" for value in (row["value"], *(other["value"] for other in row["alternatives"])))
        assert re.search(rf"^{row['key'].rpartition('.')[2]} +{cells} *$", text, re.MULTILINE) and one_line(row["source"]) in flat
    for row in (row for row in rows if not row["key"].startswith("programs.")):
        key = re.sub(r"^corners\.(.*)\.(\w+)$", r"\2 at \1", re.sub(r"^(energy\.(price_sets\.\w+\.(prices\.)?)?|time\.)", "", row["key"]))
        cell = re.escape(quantity_text(row["value"], row["unit"]))
        numbers = re.findall(rf"^{re.escape(key)} +{cell} +{row['kind']} .*\[(\d+)\] *$", text, re.MULTILINE)
        assert any(f"[{number}] {one_line(row['source'])}" in flat for number in numbers)
        assert not row["note"] or one_line(row["note"]) in flat
    for limit in KNOWN_LIMITS:
        assert limit in text


def test_the_list_has_a_row_for_every_profile():
    text = printed(print_profile_list, [load_profile(name) for name in list_profiles()])
    assert all(re.search(rf"^{name} ", text, re.MULTILINE) for name in list_profiles()) and "…" not in text


def test_a_narrow_terminal_folds_numbers_and_never_cuts_them():
    text = printed(print_verdict, make_verdict("dense"), width=40)
    assert "…" not in text
    # Folded digits stand below each other, all of them.
    assert "2,116,099 B over" in one_line(text)


def test_colours_only_on_a_terminal():
    file = io.StringIO()
    print_verdict(Console(file=file, force_terminal=True, color_system="standard", width=80, no_color=False), make_verdict("dense"))
    assert "\x1b[1;31mdoes not fit" in file.getvalue()


def test_text_of_a_profile_cannot_steer_the_terminal():
    profile = load_profile("spinnaker2_santos").model_copy(update={"description": "red \x1b[31m [bold]text[/bold] :smile:"})
    text = printed(print_profile, profile)
    assert "\x1b" not in text and "[bold]text[/bold] :smile:" in text


def test_phases_are_those_of_the_accounting():
    assert set(facts.PHASES) == {*PHASES, facts.STATIC}


@pytest.mark.parametrize("numbers, text", [([0], "0"), ([2, 0, 1, 5], "0-2, 5"), ([3, 4], "3-4"), ([], "")])
def test_spans(numbers, text):
    assert facts.span(numbers) == text


def test_tables_import_neither_numba_nor_matplotlib():
    code = "import sys, neurosim.reports.tables; print(sorted({'numba', 'matplotlib', 'sklearn', 'scipy'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
