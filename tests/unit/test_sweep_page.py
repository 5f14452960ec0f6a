"""Figures and report.html of a sweep, made by hand: curves, fronts, ends, lower bounds, every point with its reason."""

import pytest
from test_reports_figures import words_of
from test_reports_records import make_record
from test_run_page import EVIL, Page

from neurosim.reports.figures import SWEEP_FIGURES, make_figure
from neurosim.reports.publish import publish_sweep
from neurosim.reports.sweep_facts import bindings_of, pareto_front, series_of
from neurosim.reports.sweep_page import SECTIONS, render_sweep_page
from neurosim.results import write_record
from neurosim.results.sweep import Axis, LimitUse, Metrics, Point, SweepRecord
from neurosim.results.sweep_files import summarize, write_sweep

#: Chip: bytes per synapse, bytes that it has, whether its energy is complete.
CHIPS = {"chip_a": (10, 60_000, False), "chip_b": (20, 300_000, True), "chip_c": (15, 50_000, None)}
BUDGETS = (0.02, 0.05, 0.1, 0.3, 1.0)
POSSIBLE = 10_000


def make_point(chip, budget, seed, status=None, extra=None):
    per_synapse, room, is_complete = CHIPS[chip]
    n = round(POSSIBLE * budget)
    used = 5_000 + per_synapse * n
    limits = [
        LimitUse(name="local_memory", where="core 0", core=0, used=used, limit=room, unit="B", source="a data sheet"),
        LimitUse(name="cores", where="chip", used=1, limit=4, unit="cores", source="a data sheet"),
    ]
    status = status or ("done" if used <= room else "unfit")
    metrics = {"n_active": n, "n_possible": POSSIBLE, "connectivity": budget, "synapses_per_core_max": n, "bytes_per_core_max": used}
    if status == "done":
        accuracy = 0.98 - 0.3 * 0.4 ** (1 + 40 * budget) - 0.01 * seed - (0.02 if chip == "chip_c" else 0)
        energy = None if is_complete is None else 1e-9 * n
        metrics |= {"test_accuracy": accuracy, "best_accuracy": accuracy, "traffic_per_sample_bytes": 50.0 * n, "n_cores": 1}
        metrics |= {"energy_per_sample_j": energy, "energy_is_complete": is_complete, "train_s": 1.0}
    overrides = {"hardware.profile": chip, "network.connectivity": budget, **(extra or {})}
    reason = {"unfit": f"does not fit {chip}: local_memory", "failed": "training diverged: loss is nan"}.get(status)
    number = f"{chip}-{budget}-{seed}-{extra}"
    return Point(
        id=number, group=f"{chip}-{budget}-{extra}", overrides=overrides, seed=seed, profile=chip, profile_title=f"The {chip}",
        status=status, reason=reason, violation=limits[0] if status == "unfit" else None, limits=[] if status == "missing" else limits,
        folder=f"points/{number}", metrics=Metrics() if status in ("failed", "missing") else Metrics(**metrics),
    )  # fmt: skip


def make_sweep(seeds=(0, 1, 2), points=None, **fields):
    if points is None:
        points = [make_point(chip, budget, seed) for chip in CHIPS for budget in BUDGETS for seed in seeds]
        points[1] = make_point("chip_a", BUDGETS[0], seeds[-1], "failed")
        points[-1] = make_point("chip_c", BUDGETS[-1], seeds[-1], "missing")
    axes = [
        Axis(keys=["hardware.profile"], values=[{"hardware.profile": chip} for chip in CHIPS]),
        Axis(keys=["network.connectivity"], values=[{"network.connectivity": budget} for budget in BUDGETS]),
    ]
    fields = {"name": "by_hand", "description": "Three chips.", "base": {"name": "base"}, "axes": axes, "environment": {"neurosim": "0"}} | fields
    return SweepRecord(seeds=list(seeds), points=points, summary=summarize(points), **fields)


CASES = {
    "three_chips": {},
    "one_seed": {"seeds": (4,)},
    "one_point": {"seeds": (0,), "points": [make_point("chip_a", 0.1, 0)]},
    "nothing_done": {"points": [make_point("chip_a", b, 0, "missing") for b in BUDGETS]},
    "nothing_fits": {"points": [make_point("chip_c", 1.0, s) for s in range(3)]},
    "many_series": {
        "points": [make_point(c, b, 0, extra={"rewiring.rule": f"rule_{k}"}) for c in CHIPS for k in range(4) for b in BUDGETS],
        "axes": [Axis(keys=["rewiring.rule"], values=[{"rewiring.rule": f"rule_{k}"} for k in range(4)])] + make_sweep().axes,
    },
}


def test_fronts():
    points = [(3, 5, "c"), (1, 1, "a"), (2, 1, "beaten"), (1, 0, "beaten"), (2, 4, "b"), (4, 5, "beaten")]
    assert [what for *_, what in pareto_front(points)] == ["a", "b", "c"]
    assert pareto_front([]) == []


def test_series_are_chips_along_the_budget():
    series = series_of(make_sweep())
    assert [s.label for s in series] == list(CHIPS)
    assert all([g.overrides["network.connectivity"] for g in s.groups] == list(BUDGETS) for s in series)
    assert len(series_of(make_sweep(**CASES["many_series"]))) == 12
    assert series_of(make_sweep(**CASES["many_series"]))[1].label == "chip_a, rule rule_1"


def test_an_axis_of_chips_may_set_their_cores():
    record = make_sweep()
    axis = Axis(keys=["hardware.profile", "hardware.cores"], values=[{"hardware.profile": chip, "hardware.cores": 2} for chip in CHIPS])
    assert [s.label for s in series_of(record.model_copy(update={"axes": [axis, record.axes[1]]}))] == list(CHIPS)


def test_what_binds_first():
    a, b, c = bindings_of(make_sweep())
    assert (a.limit.name, a.is_reached, a.group.overrides["network.connectivity"], a.last.overrides["network.connectivity"]) == (
        "local_memory", True, 1.0, 0.3,
    )  # fmt: skip
    assert (b.limit.name, b.is_reached) == ("local_memory", False) and b.limit.used == 205_000
    assert c.is_reached and bindings_of(make_sweep(**CASES["nothing_done"])) == []


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", SWEEP_FIGURES)
def test_nothing_leaves_the_figure(case, name):
    figure = make_figure(name, make_sweep(**CASES[case]))
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    page = figure.bbox.padded(1)
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    for axes in figure.axes:
        boxes.append(axes.get_tightbbox(renderer))
        if axes.get_legend():
            boxes.append(axes.get_legend().get_window_extent(renderer))
            assert not boxes[-1].overlaps(axes.bbox), "the legend covers the data"
    for box in boxes:
        assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), "something is cut off"


@pytest.mark.parametrize("name, metric", [("accuracy_synapses", "synapses_per_core_max"), ("accuracy_traffic", "traffic_per_sample_bytes")])
def test_curves_are_the_means(name, metric):
    record = make_sweep()
    (axes,) = make_figure(name, record).axes
    assert axes.get_xscale() == "log"
    factor = 1 / 1024 if "bytes" in metric else 1
    for series, color in zip(series_of(record), ("#124a7d", "#d1691b", "#0b7a5f")):
        line = next(line for line in axes.lines if line.get_color() == color and len(line.get_xdata()) == len(series.done))
        assert list(line.get_xdata()) == pytest.approx([g.metrics[metric].mean * factor for g in series.done])
        assert list(line.get_ydata()) == pytest.approx([100 * g.metrics["test_accuracy"].mean for g in series.done])


def test_ends_and_fronts_are_in_the_key():
    record = make_sweep()
    shown = words_of(make_figure("accuracy_synapses", record))
    assert "does not fit any more" in shown and "Pareto front" in shown and "95 % confidence" in shown and "of the lower" not in shown
    (axes,) = make_figure("accuracy_synapses", record).axes
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert [line.get_xdata()[0] for line in crosses] == [10_000, 10_000]
    assert "no interval" in words_of(make_figure("accuracy_synapses", make_sweep(**CASES["one_seed"])))


def test_lower_bounds_are_hollow_with_an_arrow_and_said_in_words():
    figure = make_figure("accuracy_energy", make_sweep())
    (axes,) = figure.axes
    assert "lower bound" in words_of(figure) and "at least so much" in words_of(figure)
    hollow = [line for line in axes.lines if line.get_marker() == "o" and line.get_markerfacecolor() == "white"]
    solid = [line for line in axes.lines if line.get_marker() == "s" and line.get_markerfacecolor() != "white"]
    assert len(hollow) == 4 and len(solid) == 5
    assert len(axes.texts) == 4  # one arrow each
    assert "lower" not in words_of(make_figure("accuracy_traffic", make_sweep()))


def test_figures_without_data_say_so():
    assert "No point has finished yet" in words_of(make_figure("accuracy_synapses", make_sweep(**CASES["nothing_done"])))
    points = [make_point("chip_c", b, s) for b in BUDGETS[:3] for s in range(2)]
    assert "nothing has a price" in words_of(make_figure("accuracy_energy", make_sweep(points=points)))


def test_limits_draw_the_one_that_binds_in_the_colour_of_an_alarm():
    figure = make_figure("limits", make_sweep())
    assert len(figure.axes) == 3
    binding = figure.axes[0].lines[0]
    assert binding.get_label() == "local memory" and binding.get_color() == "#b3261e"
    assert list(binding.get_ydata()) == pytest.approx([100 * (5_000 + 10 * 10_000 * b) / 60_000 for b in BUDGETS])
    assert "3,000 synapses fit, 10,000 do not" in words_of(figure)


@pytest.mark.parametrize("case", CASES)
def test_every_section_and_every_point_stands_on_the_page(case):
    record = make_sweep(**CASES[case])
    page = Page(render_sweep_page(record, {}))
    names = [name for name, _ in SECTIONS]
    assert [i for i in page.ids if i in names] == names
    rows = page.tables["Every point with its status"][1:]
    assert [row[0] for row in rows] == [point.id[:12] for point in record.points]
    for row, point in zip(rows, record.points):
        assert (point.reason or "") == row[-1]
        assert ("" if point.metrics.test_accuracy is None else f"{100 * point.metrics.test_accuracy:.2f} %") in row
    assert len(page.tables["Settings, mean over seeds"]) == len(record.summary) + 1


def test_the_first_screen_answers():
    head = render_sweep_page(make_sweep(), {}).split("<main")[0]
    assert "chip_b: up to 97.00 % with 10,000 synapses" in head and "local memory stops it" in head
    assert "nothing stops it in this sweep" in head
    assert "No point fits: chip_c." in render_sweep_page(make_sweep(**CASES["nothing_fits"]), {})
    assert "No point of 5 has finished" in render_sweep_page(make_sweep(**CASES["nothing_done"]), {})


def test_user_strings_are_escaped():
    points = [make_point("chip_a", 0.1, 0), make_point("chip_a", 0.2, 0, "failed").model_copy(update={"reason": EVIL})]
    text = render_sweep_page(make_sweep(points=points, description=EVIL, base={"name": EVIL}), {})
    assert text.count("<script") == 1 and EVIL in Page(text).text


def test_publishing_takes_prices_from_a_run_of_each_chip(tmp_path):
    record = make_sweep()
    point = next(point for point in record.points if point.status == "done")
    (tmp_path / point.folder).mkdir(parents=True)
    write_record(make_record(), tmp_path / point.folder)
    write_sweep(record, tmp_path)
    paths = publish_sweep(record, tmp_path)
    assert paths[-1] == tmp_path / "report.html"
    assert {path.name for path in paths} == {"report.html", *(f"{n}.{f}" for n in SWEEP_FIGURES for f in ("png", "svg"))}
    text = paths[-1].read_text(encoding="utf-8")
    page = Page(text)
    assert "Written by hand [sic], 2024" in page.text and text.count("<svg") == 5
    assert "≥" in "".join(page.tables["Settings, mean over seeds"][1])
    assert len(page.ids) == len(set(page.ids))


def test_report_command_knows_a_sweep(tmp_path, main_cli):
    write_sweep(make_sweep(), tmp_path)
    assert main_cli("report", ".").out == "report.html\n"
    (tmp_path / "sweep.json").write_text('{"schema": "neurosim.sweep/99"}')
    result = main_cli("report", ".")
    assert result.code == 2 and "neurosim.sweep/99" in result.err and len(result.err.splitlines()) == 1


def test_a_list_of_rules_and_budgets_has_a_curve_for_each_rule():
    from types import SimpleNamespace

    from neurosim.reports.sweep_facts import series_of

    def group(rule, k):
        overrides = {"rewiring.rule": rule, "network.connectivity": k, "rewiring.l1": 1e-5}
        return SimpleNamespace(overrides=overrides, profile="chip", metrics={"n_active": SimpleNamespace(mean=1000 * k)})

    groups = [group(rule, k) for rule in ("deep_r", "set") for k in (0.2, 0.1)]
    axis = SimpleNamespace(keys=tuple(groups[0].overrides), values=groups)
    series = series_of(SimpleNamespace(axes=[axis], summary=groups))
    assert [s.label for s in series] == ["chip, rule deep_r", "chip, rule set"]
    assert [[g.overrides["network.connectivity"] for g in s.groups] for s in series] == [[0.1, 0.2]] * 2
