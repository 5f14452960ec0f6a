import math

import matplotlib.image
import pytest
from matplotlib.colors import to_rgb
from test_reports_records import CASES, N_TRAIN, make_record

from neurosim.accounting.events import PHASES
from neurosim.errors import InputError
from neurosim.placement.sections import SECTIONS, list_levels
from neurosim.reports import figure_style as style
from neurosim.reports.facts import training_energy_by_core
from neurosim.reports.figure_cores import Grid
from neurosim.reports.figures import FIGURES, make_figure, write_figures

#: Height in pixels where it is not the usual one; the records have two matrices.
PIXELS = {"training": 810, "cores": 675, "inputs": 690, "weights": 637}
PNG = b"\x89PNG\r\n\x1a\n"


def words_of(figure):
    """All text of a figure, with the legends."""
    found = [text.get_text() for text in figure.texts]
    for axes in figure.axes:
        found += [text.get_text() for text in axes.texts]
        found += [axes.get_ylabel(), axes.get_xlabel()]
        if axes.get_legend():
            found += [text.get_text() for text in axes.get_legend().get_texts()]
    return " ".join("\n".join(found).split())


def heights_by_bar(axes):
    """Sum of the heights of the bars at each place."""
    total = {}
    for patch in axes.patches:
        place = round(patch.get_x() + patch.get_width() / 2, 3)
        total[place] = total.get(place, 0.0) + patch.get_height()
    return [total[place] for place in sorted(total)]


@pytest.mark.parametrize("case", ["one_core", "many_cores_priced", "nothing_priced", "one_epoch"])
def test_every_figure_is_a_png_of_the_right_size(case, tmp_path):
    paths = write_figures(make_record(**CASES[case]), tmp_path / "deep" / "figures", formats=("png",))
    assert [path.name for path in paths] == [f"{name}.png" for name in FIGURES]
    assert sorted(path.name for path in paths) == sorted(p.name for p in (tmp_path / "deep" / "figures").iterdir())
    for path in paths:
        assert path.read_bytes().startswith(PNG)
        height, width = matplotlib.image.imread(path).shape[:2]
        assert (width, height) == (1050, PIXELS.get(path.stem, 630))


def test_equal_records_give_equal_files_of_both_formats(tmp_path):
    record = make_record()
    first, second = (write_figures(record, tmp_path / name) for name in "ab")
    assert [a.read_bytes() for a in first] == [b.read_bytes() for b in second]
    assert all(path.read_bytes().startswith(PNG) for path in first[0::2])
    assert all(b"<svg" in path.read_bytes() for path in first[1::2])


def test_a_folder_that_cannot_be_made_is_bad_input(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match="cannot be created"):
        write_figures(make_record(), tmp_path / "file" / "figures")


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("name", FIGURES)
def test_nothing_covers_data_and_nothing_leaves_the_figure(case, name):
    figure = make_figure(name, make_record(**CASES[case]))
    figure.draw_without_rendering()
    renderer = figure.canvas.get_renderer()
    page = figure.bbox.padded(1)
    texts = [text for text in figure.texts if text.get_text()]
    boxes = [text.get_window_extent(renderer) for text in texts]
    for axes in figure.axes:
        legend = axes.get_legend()
        if legend:
            box = legend.get_window_extent(renderer)
            assert not any(box.overlaps(other.bbox) for other in figure.axes), "the legend covers an axis"
            assert not any(box.overlaps(other) for other in boxes), "the legend covers the title"
            boxes.append(box)
        boxes.append(axes.get_tightbbox(renderer, bbox_extra_artists=[axes.xaxis, axes.yaxis, *axes.texts]))
    for box in boxes:
        assert page.contains(box.x0, box.y0) and page.contains(box.x1, box.y1), "something is cut off"
    labels = [text.get_window_extent(renderer) for axes in figure.axes for text in axes.texts if text.get_text()]
    for i, box in enumerate(labels):
        assert not any(box.overlaps(other) for other in labels[:i]), "two labels cover each other"


@pytest.mark.parametrize("case", CASES)
def test_memory_bars_are_the_bytes_of_the_record(case):
    record = make_record(**CASES[case])
    (axes,) = make_figure("memory_per_core", record).axes
    assert heights_by_bar(axes) == pytest.approx([core.memory_bytes.used / 1024 for core in record.cores])
    assert len(axes.patches) == sum(len(core.memory_bytes.sections) for core in record.cores)
    (limit,) = {tuple(line.get_ydata()) for line in axes.lines}
    assert limit == (64.0, 64.0)
    assert "limit 64.0 KB" in words_of(axes.figure)


@pytest.mark.parametrize("case", [case for case in CASES if CASES[case].get("priced") != "none"])
def test_energy_bars_are_the_energy_of_a_trained_sample(case):
    record = make_record(**CASES[case])
    (axes,) = make_figure("energy_per_core", record).axes
    unit = axes.get_ylabel().split("(")[1][:-2]
    factor = {"n": 1e9, "µ": 1e6, "m": 1e3}[unit]
    by_core = training_energy_by_core(record)
    chip = sum(by_core.pop(-1, {}).values())
    assert heights_by_bar(axes) == pytest.approx([sum(phases.values()) * factor for phases in by_core.values()])
    # The parts that are drawn, and the chip's in the subtitle, are all that a trained sample takes.
    assert sum(heights_by_bar(axes)) / factor + chip == pytest.approx(record.energy.per_sample_j)
    dynamic = sum(j for phase, j in record.cores[0].energy_by_phase_j.items() if phase not in ("static", "evaluate"))
    assert sum(j for phase, j in by_core[0].items() if phase != "static") == pytest.approx(dynamic / N_TRAIN / len(record.epochs))
    assert ("beside its cores" in words_of(axes.figure)) == (chip > 0)


@pytest.mark.parametrize("case", CASES)
def test_the_energy_figure_says_when_it_is_not_complete(case):
    record = make_record(**CASES[case])
    figure = make_figure("energy_per_core", record)
    shown = words_of(figure)
    if CASES[case].get("priced") == "none":
        assert not figure.axes and "unknown, and not zero" in shown and "Not priced: host_byte" in shown
    else:
        assert ("lower bound, not priced: host_byte" in shown) == (not record.energy.complete)
        assert ("update: not priced" in shown) == ("at least" in shown) == (not record.energy.complete)


def test_a_chip_with_nothing_but_static_power_says_so_in_words():
    record = make_record(priced="none")
    static = {"core": -1, "phase": "static", "component": "static_chip", "count": 1, "price_j": 0.6, "energy_j": 0.6}
    rows = [*(row.model_dump() for row in record.energy.rows), static]
    update = {"rows": rows, "total_j": 0.6, "per_sample_j": 1e-4, "by_phase_j": {"static": 0.6}, "by_component_j": {"static_chip": 0.6}}
    record = type(record).model_validate(record.model_dump(by_alias=True) | {"energy": record.energy.model_dump() | update})
    figure = make_figure("energy_per_core", record)
    assert not figure.axes and "takes 100 µJ (static power)" in words_of(figure)


@pytest.mark.parametrize("case", ["one_core", "four_cores", "nothing_priced"])
def test_traffic_bars_are_the_bytes_of_a_trained_sample(case):
    record = make_record(**CASES[case])
    (axes,) = make_figure("traffic", record).axes
    traffic = record.traffic_bytes
    trained = sum(n for p, n in traffic.by_phase.items() if p != "evaluate") + traffic.by_level_and_phase["host"]["input"]
    assert sum(heights_by_bar(axes)) == pytest.approx(trained / N_TRAIN / len(record.epochs) / 1024)
    assert ("synapse array, read" in words_of(axes.figure)) == ("synapse_array" in traffic.by_level)
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [p for p in PHASES if p != "evaluate"]


@pytest.mark.parametrize("case", ["one_core", "one_epoch"])
def test_training_shows_every_epoch_with_a_marker(case):
    record = make_record(**CASES[case])
    top, middle, bottom = make_figure("training", record).axes
    n = len(record.epochs)
    train, test = top.lines
    assert list(test.get_ydata()) == pytest.approx([100 * a for a in record.accuracy.per_epoch])
    assert list(train.get_ydata()) == pytest.approx([100 * a for a in record.accuracy.train_per_epoch])
    assert list(middle.lines[1].get_ydata()) == [epoch.test_loss for epoch in record.epochs]
    assert list(bottom.lines[0].get_ydata()) == pytest.approx([100 * e.n_arrived / e.n_active for e in record.epochs])
    for line in (*top.lines, *middle.lines, *bottom.lines):
        assert list(line.get_xdata()) == list(range(1, n + 1)) and line.get_marker()
    assert train.get_linestyle() != test.get_linestyle()


@pytest.mark.parametrize("name", FIGURES)
def test_captions_name_scenario_profile_prices_and_seed(name):
    shown = words_of(make_figure(name, make_record()))
    for part in ("digits_by_hand", "profile spinnaker2_santos", "price set by_hand", "seed 7"):
        assert part in shown


def test_dollars_are_no_formula():
    record = make_record()
    odd = record.model_copy(update={"profile": record.profile.model_copy(update={"price_set": "10$ and $x_{"})})
    figure = make_figure("memory_per_core", odd)
    figure.draw_without_rendering()
    assert "10$ and $x_{" in words_of(figure)


def luminance(look):
    """Relative luminance of the fill, 0 to 1."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(look.color)]
    return math.fsum(weight * c for weight, c in zip((0.2126, 0.7152, 0.0722), linear))


def lightness(look):
    return (116 * luminance(look) ** (1 / 3) - 16) / 100


@pytest.mark.parametrize("names, looks", [(SECTIONS, style.SECTION_LOOKS), ((*PHASES, "static"), style.PHASE_LOOKS)])
def test_looks_are_complete_and_told_apart_in_grey(names, looks):
    assert set(names) == set(looks)
    stack = list(looks.values())
    for a, b in zip(stack, stack[1:]):
        assert abs(lightness(a) - lightness(b)) > 0.15 or a.hatch != b.hatch
    for i, a in enumerate(stack):
        for b in stack[:i]:
            assert a.hatch != b.hatch or abs(lightness(a) - lightness(b)) > 0.03


def test_levels_have_looks():
    assert {*list_levels(), "host"} == set(style.LEVEL_LOOKS)


@pytest.mark.parametrize("value, text", [(0, "0"), (0.003124, "0.00312"), (3.1, "3.10"), (24, "24.0"), (312.4, "312"), (1020, "1020")])
def test_short_numbers(value, text):
    assert style.short(value) == text


@pytest.mark.parametrize("value, scale", [(2.1e-6, (1e6, "µ")), (1e-9, (1e9, "n")), (0, (1.0, "")), (5e-22, (1e18, "a")), (12, (1.0, ""))])
def test_energy_scales(value, scale):
    factor, prefix = style.si_scale(value)
    assert prefix == scale[1] and factor == pytest.approx(scale[0])


@pytest.mark.parametrize("case", ["one_core", "four_cores", "many_cores_priced", "nothing_priced"])
def test_the_core_map_shows_every_core_once_and_idle_ones_as_outlines(case):
    record = make_record(**CASES[case])
    memory, energy = make_figure("cores", record).axes[0::2][:2] if case != "nothing_priced" else make_figure("cores", record).axes[:1] * 2
    filled = [patch for patch in memory.patches if patch.get_facecolor()[3]]
    assert len(filled) == len(record.cores)
    assert len(memory.patches) == max(4, len(record.cores))
    shades = {patch.get_facecolor() for patch in filled}
    fills = {core.memory_bytes.used for core in record.cores}
    assert len(shades) == 1 if len(fills) == 1 else len(shades) > 1
    assert ("unknown: no price" in words_of(memory.figure)) == (case == "nothing_priced")
    assert ("lower bound" in words_of(memory.figure)) == (case == "one_core")


def test_the_input_picture_has_the_shape_of_the_data_and_marks_unused_ones():
    record = make_record()
    (axes,) = make_figure("inputs", record).axes
    assert len(axes.patches) == 64 and axes.get_xlim() == (0, 8)
    colors = [patch.get_facecolor() for patch in axes.patches]
    assert len(set(colors[0::2])) == 1 and len(set(colors[1::2])) == 1 and colors[0] != colors[1]
    assert "32 of 64 inputs keep connections" in words_of(axes.figure)


def with_inputs(record, **inputs):
    connectivity = record.connectivity.model_copy(update={"inputs": type(record.connectivity.inputs)(**inputs)})
    return record.model_copy(update={"connectivity": connectivity})


@pytest.mark.parametrize("per, n", [(1, 13), (3, 4096), (1, 1000)])
def test_other_inputs_have_a_profile(per, n):
    record = with_inputs(make_record(), per=per, synapses=[i % 5 for i in range(n)])
    (axes,) = make_figure("inputs", record).axes
    assert [patch.get_height() for patch in axes.patches] == [i % 5 for i in range(n)]
    assert [patch.get_x() + patch.get_width() / 2 for patch in axes.patches][:2] == pytest.approx([per / 2 - 0.5, 1.5 * per - 0.5])
    assert ("neighbouring" in words_of(axes.figure)) == (per > 1)


def test_histograms_are_those_of_the_record():
    record = make_record()
    axes = make_figure("weights", record).axes
    assert len(axes) == 4
    for panel, histogram in zip(axes, [h for m in record.connectivity.matrices for h in (m.weights, m.fan_in)]):
        assert [patch.get_height() for patch in panel.patches] == (histogram.counts if histogram else [])


def test_of_many_matrices_the_first_and_the_last_are_drawn():
    record = make_record()
    matrices = [record.connectivity.matrices[0]] * 11
    record = record.model_copy(update={"connectivity": record.connectivity.model_copy(update={"matrices": matrices})})
    figure = make_figure("weights", record)
    assert len(figure.axes) == 12 and "5 matrices between are not drawn" in words_of(figure) and "matrix 10" in words_of(figure)


def test_turnover_counts_arrivals():
    record = make_record()
    top, low = make_figure("turnover", record).axes
    released, arrived = (list(line.get_ydata()) for line in top.lines)
    assert released == [e.n_released for e in record.epochs] and arrived == [e.n_arrived for e in record.epochs]
    assert low.lines[0].get_ydata()[-1] == pytest.approx(record.connectivity.rewired / 740)


def test_records_of_version_1_say_what_they_lack():
    record = make_record()
    matrices = [m.model_copy(update={"weights": None, "fan_in": None}) for m in record.connectivity.matrices]
    record = record.model_copy(update={"connectivity": record.connectivity.model_copy(update={"matrices": matrices, "inputs": None})})
    for name in ("weights", "inputs"):
        figure = make_figure(name, record)
        assert not figure.axes and "does not hold it" in words_of(figure)


@pytest.mark.parametrize(
    "n_cells, mesh, shape, positions",
    [
        (1, {}, (1, 1), {0: (0, 0)}),
        (2, {}, (2, 1), {1: (1, 0)}),
        (152, {}, (13, 12), {13: (0, 1), 151: (8, 11)}),
        (8, {"width": 2, "height": 4}, (2, 4), {7: (1, 3)}),
        (8, {"width": 1, "height": 4}, (3, 3), {7: (1, 2)}),
        (152, {"cores_per_tile": 4}, (14, 12), {1: (1, 0), 2: (0, 1), 3: (1, 1), 4: (2, 0), 28: (0, 2)}),
    ],
)
def test_cores_lie_on_the_mesh_of_the_profile_or_on_a_square(n_cells, mesh, shape, positions):
    grid = Grid.of(n_cells, mesh)
    assert (grid.n_columns, grid.n_rows) == shape
    assert {core: grid.position(core) for core in positions} == positions
    places = [grid.position(core) for core in range(n_cells)]
    assert len(set(places)) == n_cells and all(x < grid.n_columns and y < grid.n_rows for x, y in places)
