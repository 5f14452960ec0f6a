"""How every figure looks: size, colours with hatches, frame, captions, scales.

Figures are `matplotlib.figure.Figure` with the Agg canvas; nothing global is read, or set for longer than a file takes. Colours are of
the colour-blind safe kind. Neighbours of a stack alternate between dark and light, and hatches tell
those of like luminance apart, so that a print in grey keeps its meaning.
"""

import io
import math
import textwrap
import warnings
from dataclasses import dataclass

from neurosim.reports import matplotlib_defaults  # noqa: F401  isort: skip  (before matplotlib)
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.text import Text

from neurosim.placement.sections import TABLE
from neurosim.reports.facts import words

DPI = 150
WIDTH, HEIGHT = 7.0, 4.2
INK, FAINT = "#222222", "#6b6b6b"
ALARM = "#b3261e"
#: From this many bars on, bars touch and have no labels of their own.
MANY_BARS = 16


@dataclass(frozen=True)
class Look:
    """Fill of one part; `ink` draws the hatch."""

    color: str
    hatch: str = ""
    ink: str = "white"

    def patch(self, label=None):
        """Key for a legend."""
        return Patch(label=label, **self.kwargs)

    @property
    def kwargs(self):
        """Arguments of a bar."""
        return {"facecolor": self.color, "hatch": self.hatch, "edgecolor": self.ink, "linewidth": 0}


_DARK = "#444444"
SECTION_LOOKS = {name: Look(*section.look) for name, section in TABLE.items()}
PHASE_LOOKS = {
    "input": Look("#c4c4c4"),
    "forward": Look("#124a7d"),
    "backward": Look("#9bd0ee", "////", _DARK),
    "gradient": Look("#c8501e", "\\\\\\\\"),
    "update": Look("#f3cf5b"),
    "rewire": Look("#0b7a5f", "...."),
    "evaluate": Look("#efb6d3", "----", _DARK),
    "static": Look("#e4e4e4", "xxxx", "#777777"),
}
#: Reads are dark, the writes of the same level light and hatched.
LEVEL_LOOKS = {
    "local_sram": (Look("#124a7d"), Look("#9bd0ee", "////", _DARK)),
    "sdram": (Look("#0b7a5f", "...."), Look("#bfe3d6", "////", _DARK)),
    "synapse_array": (Look("#c8501e", "...."), Look("#f9d0b4", "xxxx", _DARK)),
    "synapse_memory": (Look("#3d6b35", "\\\\\\\\"), Look("#c9e2b8", "----", _DARK)),
    "kernel_memory": (Look("#6a4c93", "++++"), Look("#d5c7e8", "oooo", _DARK)),
    "host": (Look("#bdbdbd"), Look("#bdbdbd")),
}
_OTHERS = (Look("#6f4e37"), Look("#d9d2b0", "||||", _DARK), Look("#3d6b35", "oooo"), Look("#e0c3fc", "++++", _DARK))


#: Key of something that happened and could not be drawn.
NOT_DRAWN = {"facecolor": "none", "edgecolor": "#8a8a8a", "linestyle": (0, (1.5, 1.5)), "linewidth": 0.8}


def look_of(name, looks):
    """Look of a part; a name that this module does not know gets the same one in every figure."""
    return looks.get(name) or _OTHERS[sum(name.encode()) % len(_OTHERS)]


def look_of_level(level):
    """Looks of the reads and of the writes of a memory level."""
    other = look_of(level, {})
    return LEVEL_LOOKS.get(level) or (other, Look(other.color, "////", "white"))


@dataclass(frozen=True)
class Sheet:
    """What a figure is drawn for: `width` in inches, and whether a caption at its foot says where it comes from.

    Below the width of a file of its own, legends stand below the axes and not beside them: nothing is cut off.
    """

    width: float = WIDTH
    has_caption: bool = True

    @property
    def is_narrow(self):
        return self.width < WIDTH


#: A file of its own; a page, readable at 400 pixels; a column of a paper.
FILE, PAGE, COLUMN = Sheet(), Sheet(4.4), Sheet(3.4)


class _Figure(Figure):
    sheet = FILE
    #: Its foot, below everything that is drawn, and the height of that in inches.
    caption, caption_height = None, 0.0


def new_figure(sheet=FILE):
    figure = _Figure(figsize=(sheet.width, HEIGHT), dpi=DPI, facecolor="white")
    figure.sheet = sheet
    FigureCanvasAgg(figure)
    return figure


def is_narrow(figure):
    """Whether a figure has no room beside its axes; one of the user's own is as wide as it is."""
    return _sheet(figure).is_narrow


def _sheet(figure):
    return getattr(figure, "sheet", FILE)


def resize(figure, height):
    """Set the height of a figure, in inches."""
    figure.set_size_inches(_sheet(figure).width, height)


def render(figure, file_format="png"):
    """Bytes of a figure; equal figures give equal bytes."""
    stream = io.BytesIO()
    metadata = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(file_format)
    for text in figure.findobj(Text):  # names of the user's: what steers a terminal has no shape, what no font holds gets a box
        text.set_text("".join(c if c.isprintable() or c == "\n" else " " for c in text.get_text()))
    with rc_context({"svg.hashsalt": "neurosim"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"Glyph \d+")
        figure.savefig(stream, format=file_format, dpi=DPI, facecolor="white", bbox_inches=None, metadata=metadata)
    return stream.getvalue()


def frame(figure, record, title, subtitle="", right=0.77, left=0.105, caption=None):
    """Write title, subtitle and caption, that of a run unless given; returns (left, bottom, width, height) of the room between.

    Long lines are wrapped and take their room from the axes; nothing is cut off.
    """
    width, height = figure.get_size_inches()
    share = width / WIDTH
    if is_narrow(figure):
        left, right = min(left / share, 0.2), max(right, 0.96)
    y = 1 - 0.14 / height
    for content, size, weight, color, per_line in ((title, 11, "bold", INK, 76), (subtitle, 8, "normal", FAINT, 112)):
        lines = textwrap.wrap(content, max(int(per_line * share * (0.92 if is_narrow(figure) else 1)), 20))
        if lines:
            write(figure, 0.02, y, "\n".join(lines), fontsize=size, fontweight=weight, color=color, va="top", linespacing=1.25)
            y -= (len(lines) * size * 1.25 / 72 + 0.06) / height
    lines = textwrap.wrap(caption or run_caption(record), max(int(128 * share), 20)) if _sheet(figure).has_caption else []
    figure.caption = write(figure, 0.02, 0.07 / height, "\n".join(lines), fontsize=6.5, color=FAINT, va="bottom")
    figure.caption_height = (0.07 + 0.13 * len(lines)) * bool(lines)
    bottom = (0.56 + 0.11 * len(lines) + 0.1 * is_narrow(figure)) / height
    return left, bottom, right - left, y - 0.12 / height - bottom


def say_not_recorded(figure, record, title):
    """Words where a record of an older version lacks what a figure shows."""
    frame(figure, record, title)
    say(figure, "This record does not hold it; run the scenario again.")


def say(figure, *paragraphs):
    """Words in the middle of a figure that has nothing to draw; an empty paragraph is an empty line."""
    per_line, size = (int(13 * figure.sheet.width), 8) if is_narrow(figure) else (80, 10)
    lines = [line for paragraph in paragraphs for line in textwrap.wrap(paragraph, per_line) or [""]]
    write(figure, 0.5, 0.5, "\n".join(lines), fontsize=size, ha="center", va="center", color=INK, linespacing=1.5)


def write(where, x, y, content, **kwargs):
    """Text that is taken as it is: a dollar sign starts no formula."""
    return where.text(x, y, content, parse_math=False, **kwargs)


def write_above(axes, x, y, content, lines=0, **kwargs):
    """Text a little above a point, `lines` lines higher; the grid does not cross it."""
    kwargs = {"fontsize": 8, "ha": "center", "color": INK} | kwargs
    kwargs["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 0.4}
    offset = (0, 2 + 1.2 * lines * kwargs["fontsize"])
    return axes.annotate(content, (x, y), offset, textcoords="offset points", va="bottom", parse_math=False, **kwargs)


def write_below(axes, x, y, content, **kwargs):
    """Text a little below a point, on a white ground: inside a bar whose top has no room above."""
    kwargs = {"fontsize": 8, "ha": "center", "color": INK} | kwargs
    kwargs["bbox"] = {"facecolor": "white", "edgecolor": "none", "pad": 1.2}
    return axes.annotate(content, (x, y), (0, -5), textcoords="offset points", va="top", parse_math=False, **kwargs)


def run_caption(record):
    name, profile = record.scenario.get("name", "run"), record.profile
    return f"scenario {name}  ·  profile {profile.name}  ·  price set {profile.price_set}  ·  seed {record.seed}"


def plain_axes(figure, room, ylabel, xlabel):
    """Axes with a faint horizontal grid behind the data and no box around it."""
    axes = figure.add_axes(room)
    axes.set_axisbelow(True)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color("#999999")
    axes.tick_params(labelsize=8, length=0, colors=INK)
    size = 7.5 if is_narrow(figure) else 9
    axes.set_xlabel(textwrap.fill(xlabel, int(11 * figure.sheet.width)) if is_narrow(figure) else xlabel, fontsize=size, color=INK)
    axes.set_ylabel(ylabel, fontsize=size, color=INK)
    return axes


def legend_beside(axes, handles):
    """Legend to the right of the axes, or below where there is no room, in the order of a stack: the top part on top."""
    looks = {"borderaxespad": 0, "frameon": False, "fontsize": 8, "handlelength": 1.6, "handleheight": 1.1, "labelspacing": 0.55}
    if is_narrow(axes.figure):
        _legend_below(axes.figure, handles[::-1], looks)
    else:
        axes.legend(handles=handles[::-1], loc="upper left", bbox_to_anchor=(1.02, 1.0), **looks)


def _legend_below(figure, handles, looks):
    """Legend at the foot of a figure and above its caption; the figure grows by its height."""
    longest = max((len(line) for handle in handles for line in str(handle.get_label()).split("\n")), default=0)
    n_columns = max(1, min(len(handles), int(figure.get_size_inches()[0] / (0.45 + 0.065 * max(longest, 1)))))
    n_rows = -(-len(handles) // n_columns)
    lines = [str(handle.get_label()).count("\n") + 1 for handle in handles]  # column by column
    _grow(figure, 0.08 + 0.185 * sum(max(lines[row::n_rows]) for row in range(n_rows)))
    foot = (getattr(figure, "caption_height", 0.0) + 0.07) / figure.get_size_inches()[1]
    figure.legend(handles=handles, loc="lower left", bbox_to_anchor=(0.02, foot), ncols=n_columns, columnspacing=1.2, **looks)


def _grow(figure, more):
    """Add room at the foot of a figure, in inches, above its caption; what is drawn keeps its size and place."""
    width, height = figure.get_size_inches()
    share = height / (height + more)
    figure.set_size_inches(width, height + more)
    for text in figure.texts:
        x, y = text.get_position()
        text.set_position((x, y * share if text is getattr(figure, "caption", None) else 1 - (1 - y) * share))
    for axes in figure.axes:
        left, bottom, wide, tall = axes.get_position(original=True).bounds
        axes.set_position((left, 1 - (1 - bottom) * share, wide, tall * share))


def draw_stacks(axes, labels, stacks, looks):
    """Stacked bars.

    Parameters
    ----------
    axes : Axes
    labels : list of str
        One per bar.
    stacks : dict of str to list of float
        Heights of each part over all bars, from the bottom up.
    looks : dict of str to Look

    Returns
    -------
    list of float
        Height of each bar.
    """
    n = len(labels)
    base = [0.0] * n
    width = 0.62 if n < MANY_BARS else 1.0
    for name, heights in stacks.items():
        axes.bar(range(n), heights, width, bottom=base, label=words(name), **look_of(name, looks).kwargs)
        base = [a + b for a, b in zip(base, heights)]
    half = max(n / 2, 1.4) if n < MANY_BARS else n / 2
    axes.set_xlim((n - 1) / 2 - half - 0.1, (n - 1) / 2 + half + 0.1)
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, n) if n / s <= MANY_BARS)
    axes.set_xticks(range(0, n, step), labels[::step])
    return base


def nice_limit(axes, top, unit_steps=(1, 2, 2.5, 5, 10)):
    """Set the y axis from 0 to a little above `top`, with four to eight round ticks."""
    if top <= 0:
        axes.set_ylim(0, 1)
        axes.set_yticks([0])
        return
    power = 10.0 ** math.floor(math.log10(top / 4))
    step = next(s * power for s in unit_steps if top / (s * power) <= 7)
    axes.set_ylim(0, top)
    axes.set_yticks([i * step for i in range(int(top / step) + 1)])


def si_scale(value):
    """Factor and prefix that bring joules to 1 to 1000: ``2.1e-6 -> (1e6, "µ")``."""
    if not value > 0:
        return 1.0, ""
    power = min(max(3 * math.floor(math.log10(value) / 3 + 1e-9), -18), 0)
    return 10.0**-power, {-18: "a", -15: "f", -12: "p", -9: "n", -6: "µ", -3: "m", 0: ""}[power]


def byte_scale(value):
    """Bytes of one unit and its name, KB = 1024 B: ``250_000 -> (1024, "KB")``."""
    for size, unit in ((2**30, "GB"), (2**20, "MB"), (2**10, "KB")):
        if value >= size:
            return size, unit
    return 1, "B"


def short(value):
    """Three digits without an exponent, for labels at bars: 0.00312, 3.10, 312, 1020."""
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"
