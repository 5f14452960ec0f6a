"""Figures inside a page: SVG whose ink follows the page's light or dark colours."""

import re
from dataclasses import dataclass

import markupsafe

# Colours of `figure_style` and the variables of page.css that replace them. Lighter fills are readable on both grounds.
_VARIABLES = {
    "#ffffff": "--paper",
    "#222222": "--ink",
    "#6b6b6b": "--faint",
    "#dddddd": "--line",
    "#999999": "--axis",
    **{f"#{color}": f"--s-{color}" for color in ("124a7d", "0b7a5f", "5b3486", "c8501e", "b3261e", "f2dede", "f2b98a", "8c4a9e", "6f4e37", "5b6b23")},
}
_COLOR = re.compile("|".join(_VARIABLES))
_ID = re.compile(r'(\bid="|\bhref="#|url\(#)')
_LONG_NUMBER = re.compile(r"(\d+\.\d{2})\d+")


@dataclass(frozen=True)
class Drawing:
    """One figure: `title` says what it shows in words, `svg` is markup for a page."""

    name: str
    title: str
    svg: markupsafe.Markup


def make_drawing(name, figure, svg):
    """Drawing of a figure.

    Parameters
    ----------
    name : str
        Prefix of the ids, so that several drawings live in one page.
    figure : matplotlib.figure.Figure
    svg : bytes
        The figure as matplotlib wrote it.
    """
    title = " ".join(". ".join(text.get_text() for text in figure.texts[:2] if text.get_text()).split())
    text = svg.decode("utf-8")
    text = text[text.index("<svg") :]
    text = re.sub(r"<!--.*?-->|<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'\bd="[^"]*"', lambda path: _LONG_NUMBER.sub(r"\1", path[0]), text)
    text = _ID.sub(rf"\g<1>{name}-", text)
    text = _COLOR.sub(lambda found: f"var({_VARIABLES[found[0]]})", text)
    text = re.sub(r'\bfill="(var[^"]*)"', r'style="fill: \1"', text)  # variables work in styles only
    head, rest = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)[0]
    label = markupsafe.escape(title)
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" {view} role="img" aria-label="{label}">{rest}'
    return Drawing(name, title, markupsafe.Markup(re.sub(r"\n\s*", "\n", svg)))
