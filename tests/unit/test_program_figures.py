"""Figures of training programs, drawn from verdicts and records."""

from types import SimpleNamespace

import pytest
from test_programs import place_network

from neurosim.placement.compare_programs import describe_programs
from neurosim.placement.programs import PROGRAMS
from neurosim.reports import figure_style as style
from neurosim.reports.figure_programs import LOOKS, draw_program_bytes, draw_program_traffic

STEPS = [4, 40, 400]


def test_every_program_has_a_look():
    assert set(LOOKS) == set(PROGRAMS)


def test_bytes_are_drawn_as_the_rows_say():
    rows = describe_programs(place_network(), STEPS)
    figure = style.new_figure()
    draw_program_bytes([("sparse", rows, STEPS)], figure)
    (axes,) = figure.axes
    lines = [line for line in axes.lines if len(line.get_xdata()) == len(STEPS)]
    drawn = sorted(tuple(line.get_ydata()) for line in lines)
    assert drawn == sorted(tuple(n / 1024 for n in row["by_steps"]) for row in rows if not row["refused"]) and len(lines) == 4
    assert any(set(line.get_ydata()) == {128.0} for line in axes.lines)  # the limit


def test_traffic_is_stacked_by_section():
    def record(**sections):
        rows = [SimpleNamespace(phase="gradient", section=name, read_bytes=n, write_bytes=n) for name, n in sections.items()]
        rows.append(SimpleNamespace(phase="evaluate", section="synapses", read_bytes=10**9, write_bytes=0))
        return SimpleNamespace(traffic_bytes=SimpleNamespace(rows=rows), n_samples_trained=10)

    figure = style.new_figure()
    draw_program_traffic({"bptt": record(synapses=20_480, history=10_240), "eprop_clock": record(eligibility=102_400)}, figure)
    heights = sorted(patch.get_height() for patch in figure.axes[0].patches)
    assert heights == pytest.approx([2.0, 4.0, 20.0])  # KB of each of ten trained samples, read and written
