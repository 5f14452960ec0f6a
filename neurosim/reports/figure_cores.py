"""Map of the cores: how full the memory of each is, and what it spends."""

import math
import textwrap
from dataclasses import dataclass

from matplotlib.colors import LinearSegmentedColormap, Normalize
from matplotlib.patches import Rectangle

from neurosim.reports import figure_style as style
from neurosim.reports.facts import is_priced, missing_energy, n_cores_text, training_energy_by_core
from neurosim.units import format_bytes

HEIGHT = 4.5
FILL = LinearSegmentedColormap.from_list("fill", ["#e3eef7", "#9bd0ee", "#3a7fb8", "#124a7d", "#0a2c4d"])
SPENT = LinearSegmentedColormap.from_list("spent", ["#fdeee2", "#f6c79d", "#e0843f", "#a8440f", "#5e2305"])
#: Ink on dark cells; not white, which in a dark page turns dark with the paper.
LIGHT_INK = "#fefefe"
#: Cells hold words, or only their number, up to so many; a chip of more cores than the last is drawn without its idle ones.
_EXPLAINED, _LABELLED, _MOST_CELLS = 9, 36, 4096
_GAP = 0.08


@dataclass(frozen=True)
class Grid:
    """`width` x `height` tiles of `per_tile` cores each; the cores of a tile lie in a square of `side` x `side`."""

    width: int
    height: int
    per_tile: int
    is_stated: bool

    @classmethod
    def of(cls, n_cells, mesh):
        """Grid of a chip: the profile's mesh where it states one that holds all cores, else nearly square."""
        per_tile = mesh.get("cores_per_tile") or 1
        n_tiles = math.ceil(n_cells / per_tile)
        width, height = mesh.get("width"), mesh.get("height")
        if width and height and width * height >= n_tiles:
            return cls(width, height, per_tile, True)
        width = math.ceil(math.sqrt(n_tiles))
        return cls(width, math.ceil(n_tiles / width), per_tile, False)

    @property
    def side(self):
        return math.ceil(math.sqrt(self.per_tile))

    @property
    def n_columns(self):
        return self.width * self.side

    @property
    def n_rows(self):
        return self.height * math.ceil(self.per_tile / self.side)

    def position(self, core):
        """(column, row) of a core."""
        (tile_row, tile_column), (row, column) = divmod(core // self.per_tile, self.width), divmod(core % self.per_tile, self.side)
        return tile_column * self.side + column, tile_row * math.ceil(self.per_tile / self.side) + row


def draw_cores(record, figure):
    """Two maps of one grid, row by row from the top left; idle cores of the chip are outlines."""
    style.resize(figure, HEIGHT)
    cores, n_cells = record.cores, _n_cells(record)
    grid = Grid.of(n_cells, record.profile.mesh or {})
    idle = n_cells - len(cores)
    title = f"Cores: {n_cores_text(len(cores))} used" + (f", {idle:,d} idle" if idle else "")
    order = f"numbered from the top left, row by row{f', in tiles of {grid.per_tile}' if grid.per_tile > 1 else ''}"
    shape = f"the profile's mesh of {grid.width} x {grid.height}" if grid.is_stated else "a near-square grid, as the profile states no shape"
    subtitle = f"{order}; {shape}" if n_cells > 1 else "the only core"
    left, bottom, width, height = style.frame(figure, record, title, subtitle, right=0.98, left=0.02)
    half = (width - 0.05) / 2
    panels = [_panel(figure, (left + i * (half + 0.05), bottom, half, height), range(len(cores), n_cells), grid) for i in (0, 1)]
    labelled = 2 if n_cells <= _EXPLAINED else 1 if n_cells <= _LABELLED else 0
    _draw_memory(panels[0], cores, grid, labelled)
    _draw_energy(panels[1], record, grid, labelled)


def _n_cells(record):
    """Cores of the chip, as its limit says; the used ones where the profile states none."""
    limits = [use["limit"] for use in record.verdict.get("headroom", ()) if use["name"] == "cores"]
    return max([len(record.cores), *(n for n in limits if n <= _MOST_CELLS)])


def _panel(figure, room, idle, grid):
    """Axes of one map with outlines of the idle cells, and the axes of its scale below."""
    left, bottom, width, height = room
    axes = figure.add_axes((left, bottom + 0.04, width, height - 0.1))
    axes.set_axis_off()
    axes.set_xlim(0, grid.n_columns)
    axes.set_ylim(grid.n_rows, 0)
    axes.set_aspect("equal", anchor="C")
    for core in idle:
        axes.add_patch(_cell(core, grid, facecolor="none", edgecolor="#8a8a8a", linewidth=0.6, linestyle=(0, (1.5, 1.5))))
    scale = figure.add_axes((left + 0.1 * width, bottom - 0.01, 0.8 * width, 0.025))
    return axes, scale


def _cell(core, grid, **looks):
    column, row = grid.position(core)
    return Rectangle((column + _GAP / 2, row + _GAP / 2), 1 - _GAP, 1 - _GAP, **looks)


def _draw_memory(panel, cores, grid, labelled):
    limited = [core for core in cores if core.memory_bytes.limit]
    _heading(panel[0], "memory used, of the limit" if limited else "memory used")
    if limited:
        values = {core.id: 100 * core.memory_bytes.used / core.memory_bytes.limit for core in limited}
        _paint(panel, values, grid, labelled, FILL, 100, "% of the core's memory", lambda v: f"{v:.1f} %")
        return
    values = {core.id: core.memory_bytes.used / 1024 for core in cores}
    _paint(panel, values, grid, labelled, FILL, max(values.values()), "KB", lambda v: format_bytes(v * 1024))


def _draw_energy(panel, record, grid, labelled):
    by_core = {core: math.fsum(phases.values()) for core, phases in training_energy_by_core(record).items() if core >= 0}
    most = max(by_core.values(), default=0.0)
    is_known = is_priced(record) and most > 0
    is_bound = is_known and missing_energy(record)
    _heading(panel[0], f"energy per trained sample{', lower bound' if is_bound else ''}")
    if not is_known:
        panel[1].remove()
        x, y = (sum(axis) / 2 for axis in (panel[0].get_xlim(), panel[0].get_ylim()))
        style.write_above(panel[0], x, y, "unknown: no price", color=style.FAINT)
        return
    factor, prefix = style.si_scale(most)
    values = {core: energy * factor for core, energy in by_core.items()}
    unit = f"{prefix}J{' or more' if is_bound else ''}"
    _paint(panel, values, grid, labelled, SPENT, most * factor, unit, lambda v: f"{style.short(v)} {prefix}J")


def _heading(axes, text):
    size, per_line = (7.5, 24) if style.is_narrow(axes.figure) else (9, 80)
    style.write(axes, 0.5, 1.03, textwrap.fill(text, per_line), transform=axes.transAxes, fontsize=size, ha="center", va="bottom", color=style.INK)


def _paint(panel, values, grid, labelled, colors, top, unit, label):
    axes, scale = panel
    norm = Normalize(0, top)
    for core, value in values.items():
        axes.add_patch(_cell(core, grid, facecolor=colors(norm(value)), edgecolor="#8a8a8a", linewidth=0.5))
        if labelled:
            column, row = grid.position(core)
            words = f"core {core}\n{label(value)}" if labelled == 2 else str(core)
            ink = LIGHT_INK if norm(value) > 0.42 else "#111111"
            size = 6 if style.is_narrow(axes.figure) else 8
            style.write(axes, column + 0.5, row + 0.5, words, fontsize=size, ha="center", va="center", color=ink, linespacing=1.4)
    n = 64
    for i in range(n):  # rectangles, not an image: they stay sharp and small in every format
        scale.add_patch(Rectangle((top * i / n, 0), top / n, 1, facecolor=colors((i + 0.5) / n), edgecolor="none"))
    scale.set_xlim(0, top)
    scale.set_ylim(0, 1)
    scale.set_yticks([])
    scale.spines[:].set_visible(False)
    scale.tick_params(labelsize=7, length=0, colors=style.INK)
    scale.locator_params(axis="x", nbins=5)
    scale.set_xlabel(unit, fontsize=7.5, color=style.INK, labelpad=1)
