"""What figures and pages say against what the records hold, on wide and on narrow sheets."""

import re

import pytest
from test_reports_figures import words_of
from test_reports_records import CASES as RUNS
from test_reports_records import make_record
from test_reports_tables import printed
from test_run_page import Page
from test_sweep_page import BUDGETS, CHIPS, make_point, make_sweep
from test_sweep_page import CASES as SWEEPS

from neurosim.reports.facts import is_convolution, network_text
from neurosim.reports.figure_style import COLUMN, FILE, PAGE, Sheet, render
from neurosim.reports.figures import FIGURES, SWEEP_FIGURES, make_figure
from neurosim.reports.publish import publish_run
from neurosim.reports.run_page import render_run_page
from neurosim.reports.sweep_facts import bindings_of, chance_level, dense_group
from neurosim.reports.sweep_page import render_sweep_page
from neurosim.reports.sweep_table import print_sweep
from neurosim.results import RunRecord
from neurosim.results.metrics import fullest_of
from neurosim.results.sweep import LimitUse
from neurosim.results.sweep_files import summarize, write_sweep


def assert_inside(figure):
    """Nothing is cut off, and no legend covers data."""
    figure.draw_without_rendering()
    renderer, page = figure.canvas.get_renderer(), figure.bbox.padded(1)
    legends = [legend for axes in figure.axes if (legend := axes.get_legend())] + figure.legends
    boxes = [thing.get_window_extent(renderer) for thing in (*figure.texts, *legends)] + [axes.get_tightbbox(renderer) for axes in figure.axes]
    for box in boxes:
        assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), box
    for legend in legends:
        assert not any(legend.get_window_extent(renderer).overlaps(axes.bbox) for axes in figure.axes)


@pytest.mark.parametrize("sheet", [PAGE, COLUMN], ids=["page", "column"])
@pytest.mark.parametrize("name", FIGURES)
@pytest.mark.parametrize("case", RUNS)
def test_figures_of_a_run_fit_a_narrow_sheet(case, name, sheet):
    figure = make_figure(name, make_record(**RUNS[case]), sheet)
    assert figure.get_size_inches()[0] == sheet.width
    assert_inside(figure)


@pytest.mark.parametrize("sheet", [PAGE, COLUMN], ids=["page", "column"])
@pytest.mark.parametrize("name", SWEEP_FIGURES)
@pytest.mark.parametrize("case", SWEEPS)
def test_figures_of_a_sweep_fit_a_narrow_sheet(case, name, sheet):
    assert_inside(make_figure(name, make_sweep(**SWEEPS[case]), sheet))


@pytest.mark.parametrize("name", ["accuracy_synapses", "memory_per_core"])
def test_legends_stand_beside_on_a_wide_sheet_and_below_on_a_narrow_one(name):
    record = make_sweep() if name in SWEEP_FIGURES else make_record(n_cores=4)
    wide, narrow = make_figure(name, record), make_figure(name, record, PAGE)
    assert wide.axes[0].get_legend() and not wide.legends
    assert not narrow.axes[0].get_legend() and narrow.legends
    assert {t.get_text() for t in wide.axes[0].get_legend().get_texts()} == {t.get_text() for t in narrow.legends[0].get_texts()}


def test_accuracy_stands_against_all_synapses_of_the_network():
    points = [make_point("chip_a", b, s) for b in BUDGETS[:3] for s in range(3)]
    points = [p.model_copy(update={"metrics": p.metrics.model_copy(update={"synapses_per_core_max": 7})}) for p in points]
    (axes,) = make_figure("accuracy_synapses", make_sweep(points=points)).axes
    assert "whole network" in axes.get_xlabel()
    line = next(line for line in axes.lines if len(line.get_xdata()) == 3)
    assert list(line.get_xdata()) == [200, 500, 1000]


def with_limits(record, *limits):
    """A sweep whose points know further limits, fullest first."""
    points = [p.model_copy(update={"limits": sorted([*p.limits, *limits], key=lambda u: -u.used / u.limit)}) for p in record.points]
    points = [p.model_copy(update={"violation": p.limits[0] if p.status == "unfit" else None}) for p in points]
    return record.model_copy(update={"points": points, "summary": summarize(points)})


def test_what_is_chosen_never_binds_first():
    width = LimitUse(name="weight_bits", where="chip", used=8, limit=8, unit="bit", source="a data sheet")
    cores = LimitUse(name="cores", where="chip", used=4, limit=4, unit="cores", source="a data sheet")
    record = with_limits(make_sweep(), width, cores)
    assert {b.limit.name for b in bindings_of(record)} == {"local_memory"}
    assert "weight bits" not in words_of(make_figure("limits", record))
    cores = cores.model_copy(update={"used": 40})
    record = with_limits(make_sweep(points=[make_point("chip_c", 1.0, s) for s in range(3)]), cores)
    assert [b.limit.name for b in bindings_of(record)] == ["local_memory"]
    page = Page(render_run_page(make_record(n_cores=8), {}))  # whose record says: 8 of 8 cores
    assert "The tightest limit is local memory" in page.text


def test_a_chip_of_too_few_cores_says_so():
    cores = LimitUse(name="cores", where="chip", used=8, limit=4, unit="cores", source="a data sheet")
    points = [make_point("chip_b", b, 0, status="unfit") for b in BUDGETS]
    points = [p.model_copy(update={"limits": [cores], "violation": cores}) for p in points]
    assert "cores asks for more than there is" in words_of(make_figure("limits", make_sweep(points=points)))


def test_panels_that_share_an_axis_share_its_scale():
    small = [make_point("chip_a", b, s) for b in BUDGETS[:2] for s in range(3)]
    record = make_sweep(points=[*small, *(make_point("chip_b", b, s) for b in BUDGETS for s in range(3))])
    panels = make_figure("limits", record).axes
    assert len({(axes.get_xlim(), axes.get_xscale()) for axes in panels}) == 1
    record = make_record()
    matrices = list(record.connectivity.matrices)
    matrices[1] = matrices[0].model_copy(update={"weights": matrices[0].weights.model_copy(update={"edges": [-9.0, -1.0, 0.0, 1.0, 3.0]})})
    record = record.model_copy(update={"connectivity": record.connectivity.model_copy(update={"matrices": matrices})})
    weights = make_figure("weights", record).axes[::2]
    assert {axes.get_xlim() for axes in weights} == {(-9.0, 3.0)}


def errors_of(axes):
    """Ends of all vertical bars, in percent."""
    return [float(y) for collection in axes.collections for segment in collection.get_segments() for _, y in segment]


def test_two_seeds_are_points_and_three_an_interval_that_is_possible():
    two = make_sweep(seeds=(0, 1), points=[make_point(c, b, s) for c in CHIPS for b in BUDGETS for s in (0, 1)])
    figure = make_figure("accuracy_synapses", two)
    assert not figure.axes[0].collections and "too few for an interval" in words_of(figure)
    drawn = {round(float(y), 6) for line in figure.axes[0].lines if line.get_markersize() == 3 for y in line.get_ydata()}
    assert drawn == {round(100 * p.metrics.test_accuracy, 6) for p in two.points if p.metrics.test_accuracy is not None}
    text = render_sweep_page(two, {})
    assert "too few for an interval" in text and "[" not in "".join(Page(text).tables["Settings, mean over seeds"][1][3])
    points = [p.model_copy(update={"metrics": p.metrics.model_copy(update={"test_accuracy": a})}) for p, a in
              zip((make_point("chip_a", 0.1, s) for s in range(3)), (0.9, 0.999, 1.0), strict=True)]  # fmt: skip
    high = make_sweep(points=points)
    assert high.summary[0].metrics["test_accuracy"].high > 1
    assert max(errors_of(make_figure("accuracy_synapses", high).axes[0])) <= 100
    (row,) = Page(render_sweep_page(high, {})).tables["Settings, mean over seeds"][1:]
    assert "100.00] %" in row[3]


def test_the_sweep_page_says_chance_dense_and_best():
    record = make_sweep(base={"name": "base", "network": {"layers": [64, 20, 10]}})
    assert chance_level(record) == 0.1 and dense_group(record).profile == "chip_b"
    head = render_sweep_page(record, {}).split("<main")[0]
    assert "Best setting: hardware.profile chip_b, network.connectivity 1.0." in head
    assert "Dense reference: 97.00 % on chip_b." in head and "Chance: 10.00 %." in head
    best = Page(render_sweep_page(record, {})).tables["Best setting of each series"]
    assert best[1][0] == "chip_b" and best[1][2] == "10,000" and best[1][-2:] == ["connectivity 1.0", "nothing in this sweep"]
    assert [row[-1] for row in best[2:]] == ["local memory", "local memory"]
    assert "dense: 97.00 %" in words_of(make_figure("accuracy_memory", record))
    sparse = make_sweep(points=[make_point("chip_a", 0.1, s) for s in range(3)])
    assert dense_group(sparse) is None and "dense" not in words_of(make_figure("accuracy_memory", sparse)) and chance_level(sparse) is None


def with_idle_cores(n_idle):
    data = make_record(n_cores=4 + n_idle).model_dump(by_alias=True)
    for core in data["cores"][4:]:
        core.update(n_neurons=0, energy_j=0.0, energy_by_phase_j={})
        core["synapses"]["used"] = 0
        core["memory_bytes"].update(used=12288, sections={"code": 12288})
    return RunRecord.model_validate(data)


def test_idle_cores_are_folded_away():
    record = with_idle_cores(100)
    rows = next(t for name, t in Page(render_run_page(record, {})).tables.items() if name.startswith("Memory of each core"))[1:]
    assert len(rows) == 5 and rows[-1][0] == "4-103 (idle, each)"
    figure = make_figure("memory_per_core", record)
    assert "100 idle cores with 12.0 KB each are not drawn" in words_of(figure)
    assert len({round(bar.get_x(), 3) for bar in figure.axes[0].patches}) == 4
    assert len({round(bar.get_x(), 3) for bar in make_figure("energy_per_core", record).axes[0].patches}) == 4
    assert "idle" not in words_of(make_figure("memory_per_core", with_idle_cores(1)))


@pytest.mark.parametrize("case", RUNS)
def test_columns_of_a_table_are_headed_differently(case):
    for name, table in Page(render_run_page(make_record(**RUNS[case]), {})).tables.items():
        assert len(set(table[0])) == len(table[0]), name


def test_unrun_is_not_failed():
    points = [make_point("chip_b", b, s, "missing" if s else None) for b in BUDGETS for s in range(3)]
    text = render_sweep_page(make_sweep(points=points), {})
    assert 'class="bad"' not in text and text.count('class="todo"') == 10 + 5
    head = text.split("<main")[0]
    assert re.search(r"<dt>Failed</dt><dd><span class=\"value\">0</span><span class=\"note\">none", head)
    assert "10 not run yet" in head


# --- files for papers ---


def test_report_writes_what_a_paper_needs(main_cli, tmp_path):
    write_sweep(make_sweep(), tmp_path)
    assert main_cli("report", ".", "--format", "pdf,png", "--width", "column", "--plain").code == 0
    files = {path.name for path in (tmp_path / "figures").iterdir()}
    assert files == {f"{name}.{kind}" for name in SWEEP_FIGURES for kind in ("pdf", "png")}
    assert all(path.read_bytes().startswith(b"%PDF") for path in (tmp_path / "figures").glob("*.pdf"))
    figure = make_figure("accuracy_synapses", make_sweep(), Sheet(COLUMN.width, has_caption=False))
    assert "sweep by_hand" not in words_of(figure) and "sweep by_hand" in words_of(make_figure("accuracy_synapses", make_sweep(), FILE))
    assert render(figure, "pdf") == render(make_figure("accuracy_synapses", make_sweep(), Sheet(COLUMN.width, has_caption=False)), "pdf")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--format", "jpg"], ["--format", "'jpg'", "nearest: png"]),
        (["--format", ""], ["--format"]),
        (["--width", "colum"], ["--width", "nearest: column"]),
    ],
)
def test_unknown_options_of_a_report(options, words, main_cli, tmp_path):
    write_sweep(make_sweep(), tmp_path)
    result = main_cli("report", ".", *options)
    assert result.code == 2 and all(word in result.err for word in words) and not (tmp_path / "figures").exists()


def test_names_that_no_font_can_show_are_drawn_without_a_word(tmp_path):
    record = make_record()
    record = record.model_copy(update={"scenario": {**record.scenario, "name": "\x1b[31m 漢字 $x_{"}})
    assert publish_run(record, tmp_path, formats=("png",))


CONVOLUTIONAL = {
    "input_shape": [1, 8, 8],
    "layers": [{"conv": 20, "kernel": 3, "stride": 1, "padding": "same"}, {"pool": "max", "window": 2, "padding": 0}, 10],
}


def with_network(network):
    record = make_record()
    return record.model_copy(update={"scenario": {**record.scenario, "network": network}})


def test_layers_of_a_convolution_are_said_in_words():
    record = with_network(CONVOLUTIONAL)
    assert network_text(record) == "1x8x8 - conv 20 (3x3) - max pool 2x2 - 10"
    assert is_convolution(record, 0) and not is_convolution(record, 1)
    figure = make_figure("inputs", record)
    assert figure.texts[0].get_text().startswith("First kernels:") and "kernels" in figure.axes[0].get_xlabel()
    page = render_run_page(record, {})
    assert "{&#39;conv" not in page and "possible fan-in" in page
    strided = {**CONVOLUTIONAL["layers"][0], "stride": 2}
    assert "conv 20 (3x3, stride 2)" in network_text(with_network({**CONVOLUTIONAL, "layers": [strided, 10]}))


def test_curves_that_lie_on_each_other_are_named():
    assert "lie on each other" not in words_of(make_figure("accuracy_synapses", make_sweep()))
    same = {(b, seed): make_point("chip_a", b, seed) for b in BUDGETS for seed in range(3)}
    others = [make_point("chip_b", b, seed) for b, seed in same]
    others = [p.model_copy(update={"metrics": same[p.overrides["network.connectivity"], p.seed].metrics}) for p in others]
    record = make_sweep(points=[*same.values(), *others])
    assert "chip_a and chip_b lie on each other" in " ".join(words_of(make_figure("accuracy_synapses", record)).split())


@pytest.mark.parametrize("sheet", [PAGE, COLUMN])
def test_a_legend_stands_between_axes_and_caption(sheet):
    figure = make_figure("memory_per_core", make_record(n_cores=4), sheet)
    figure.draw_without_rendering()
    (legend,) = figure.legends
    box, caption = legend.get_window_extent(), figure.caption.get_window_extent()
    assert caption.y1 <= box.y0 and box.y1 <= min(axes.get_window_extent().y0 for axes in figure.axes)


@pytest.mark.parametrize("sheet", [PAGE, COLUMN])
def test_no_words_of_the_figure_of_limits_lie_on_others(sheet):
    figure = make_figure("limits", make_sweep(), sheet)
    figure.draw_without_rendering()
    for axes in figure.axes:
        label = axes.xaxis.label.get_window_extent()
        assert not axes.get_xlabel() or label.y0 >= axes.get_legend().get_window_extent().y1
    assert figure.axes[-1].get_xlabel()


def test_two_seeds_have_no_interval_in_tables_either():
    record = make_sweep(seeds=(0, 1), points=[make_point("chip_b", b, seed) for b in BUDGETS for seed in (0, 1)])
    assert all(group.metrics["test_accuracy"].low is not None for group in record.summary)
    table = printed(print_sweep, record).split("Student")[1]
    assert f"{100 * record.summary[0].metrics['test_accuracy'].mean:.2f}" in table and "±" not in table
    assert "±" in printed(print_sweep, make_sweep()).split("Student")[1]


def test_a_chosen_limit_is_not_the_fullest():
    cores, words = (
        LimitUse(name="cores", used=4, limit=4, unit="cores", source="x", where="chip"),
        LimitUse(name="words", used=1, limit=9, unit="words", source="x", where="core 0"),
    )
    assert fullest_of([cores, words]) is words and fullest_of([cores]) is None
    beyond = cores.model_copy(update={"used": 5})
    assert fullest_of([beyond, words]) is beyond
