"""What pages and figures say of changing tasks is what the record says; nothing of it stands where there are no phases."""

import re

import numpy as np
import pytest

from neurosim.reports.figure_style import COLUMN, FILE, PAGE
from neurosim.reports.figures import FIGURES, PHASE_FIGURES, figures_of, make_figure
from neurosim.reports.publish import run_page
from neurosim.reports.tasks_text import tasks_text
from neurosim.scenario import load_scenario
from neurosim.scenario.runner import train_scenario


@pytest.fixture(scope="module")
def records():
    """With a control, and without one and a single phase."""
    phases = [{"name": "first", "epochs": 2}, {"name": "other labels", "epochs": 3, "relabel": 1}, {"name": "pair", "epochs": 1, "classes": [0, 1]}]
    scenario = load_scenario("digits_tasks").with_(phases=phases)
    return {
        "control": train_scenario(scenario)[0],
        "alone": train_scenario(scenario.with_(control=False))[0],
        "plain": train_scenario(load_scenario("digits_santos").with_(training={"epochs": 2}))[0],
    }


def test_only_runs_with_phases_have_these_figures(records):
    assert figures_of(records["plain"]) == FIGURES
    assert figures_of(records["alone"]) == {**FIGURES, **PHASE_FIGURES}


@pytest.mark.parametrize("case", ["control", "alone"])
def test_lines_are_the_numbers_of_the_record(records, case):
    record = records[case]
    (axes,) = make_figure("phases", record).axes
    own = next(line for line in axes.lines if line.get_label() == "this run")
    assert list(own.get_ydata()) == pytest.approx([100 * a for a in record.accuracy.per_epoch])
    changes = [line.get_xdata()[0] for line in axes.lines if len(line.get_xdata()) == 2 and line.get_xdata()[0] == line.get_xdata()[1]]
    assert changes == [2.5, 5.5]
    (axes,) = make_figure("weights_moved", record).axes
    phases, control = record.phases.phases, record.phases.control
    expected = [[phase.weights[m].correlation_before for phase in phases[1:]] for m in range(2)]
    if control:
        expected = [line for m in range(2) for line in (expected[m], [of_phase[m].correlation_before for of_phase in control.weights[1:]])]
    assert [list(line.get_ydata()) for line in axes.lines] == expected
    assert (control is not None) == (case == "control")


@pytest.mark.parametrize("sheet", [FILE, PAGE, COLUMN], ids=["file", "page", "column"])
@pytest.mark.parametrize("name", PHASE_FIGURES)
def test_nothing_is_cut_off(records, name, sheet):
    for case in ("control", "alone"):
        figure = make_figure(name, records[case], sheet)
        figure.draw_without_rendering()
        renderer, page = figure.canvas.get_renderer(), figure.bbox.padded(1)
        legends = [legend for axes in figure.axes if (legend := axes.get_legend())] + figure.legends
        boxes = [thing.get_window_extent(renderer) for thing in (*figure.texts, *legends)] + [axes.get_tightbbox(renderer) for axes in figure.axes]
        for box in boxes:
            assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), box
        for legend in legends:
            assert not any(legend.get_window_extent(renderer).overlaps(axes.bbox) for axes in figure.axes)


def test_the_page_and_the_table_say_it(records):
    record = records["control"]
    page = run_page(record)
    assert 'id="tasks"' in page and "labels permuted (seed 1)" in page and "classes (0, 1)" in page
    assert page.count("<svg") == len(figures_of(record))
    text = re.sub(r"\s+", " ", tasks_text(record))
    assert f"{100 * record.phases.average_accuracy:.2f}"[:4] in text and f"forgetting {100 * record.phases.forgetting:.1f} points" in text
    assert np.isfinite(record.phases.backward_transfer) and "Changing tasks" in page
    assert 'id="tasks"' not in run_page(records["plain"])
