"""Draws a figure of a record on axes that somebody else has made."""


class AxesFigure:
    """What a drawing function takes for its figure: its axes lie on the given ones, its title is theirs.

    A drawing of one panel is drawn on the axes themselves. One of several gets insets, each where it lies in the figure of its
    own. Subtitles and captions are left out: whoever has axes has a caption.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    rooms : list of (left, bottom, width, height)
        Of the panels in a figure of their own, as fractions.
    """

    def __init__(self, axes, rooms):
        self.axes = axes
        self._is_alone = len(rooms) == 1
        self._has_title = False
        self._left, self._bottom = (min(room[i] for room in rooms) for i in (0, 1)) if rooms else (0, 0)
        self._width, self._height = (
            (max(room[i] + room[i + 2] for room in rooms) - low for i, low in enumerate((self._left, self._bottom))) if rooms else (1, 1)
        )
        if not self._is_alone:
            axes.set_axis_off()

    def get_size_inches(self):
        return self.axes.get_figure(root=True).get_size_inches()

    def set_size_inches(self, *size):
        """The figure is the user's."""

    def text(self, x, y, content, **kwargs):
        """The first text is the title; further ones beside the panels have no place, those without panels take the middle."""
        if not self._has_title:
            self._has_title = True
            return self.axes.set_title(content.replace("\n", " "), loc="left", fontsize=10, fontweight="bold", parse_math=False)
        if self._is_alone or kwargs.get("ha") != "center":
            return None
        return self.axes.text(0.5, 0.5, content, ha="center", va="center", transform=self.axes.transAxes, fontsize=9, parse_math=False)

    def add_axes(self, room):
        if self._is_alone:
            return self.axes
        left, bottom, width, height = room
        return self.axes.inset_axes(
            ((left - self._left) / self._width, (bottom - self._bottom) / self._height, width / self._width, height / self._height)
        )
