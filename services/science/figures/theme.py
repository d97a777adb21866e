"""How every figure looks: ink, sizes and the frame around a Vega-Lite body."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from services.science.figures.base import FigureData

SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
FONT = "Liberation Sans, Arial, Helvetica, sans-serif"

ThemeName = Literal["light", "dark", "page"]


@dataclass(frozen=True)
class Theme:
    """Colours of everything that is not data. `page` takes the colour of the text around it, for inline SVG."""

    name: ThemeName
    ink: str
    background: str | None
    soft: float
    faint: float


THEMES: Mapping[str, Theme] = {
    "light": Theme("light", "#1b1f24", "#ffffff", 0.72, 0.14),
    "dark": Theme("dark", "#e6edf3", "#0d1117", 0.78, 0.2),
    "page": Theme("page", "currentColor", None, 0.78, 0.18),
}


def config(theme: Theme) -> dict[str, Any]:
    """The Vega-Lite config of a theme. Nothing is smaller than 11 px."""
    ink = theme.ink
    return {
        "font": FONT,
        "background": theme.background,
        "padding": 14,
        "view": {"stroke": None},
        "axis": {
            "labelColor": ink,
            "labelFontSize": 12,
            "labelLimit": 320,
            "titleColor": ink,
            "titleFontSize": 13,
            "titleFontWeight": "bold",
            "titlePadding": 8,
            "gridColor": ink,
            "gridOpacity": theme.faint,
            "domainColor": ink,
            "domainOpacity": theme.soft,
            "tickColor": ink,
            "tickOpacity": theme.soft,
        },
        "legend": {
            "labelColor": ink,
            "labelFontSize": 12,
            "labelLimit": 420,
            "titleColor": ink,
            "titleFontSize": 13,
            "symbolStrokeWidth": 2.5,
            "symbolSize": 420,
            "symbolType": "stroke",
        },
        "header": {
            "labelColor": ink,
            "labelFontSize": 13,
            "labelFontWeight": "bold",
            "titleColor": ink,
            "labelLimit": 420,
        },
        "title": {
            "color": ink,
            "subtitleColor": ink,
            "fontSize": 17,
            "subtitleFontSize": 12.5,
            "anchor": "start",
            "frame": "group",
            "offset": 14,
            "subtitlePadding": 6,
            "subtitleLineHeight": 17,
        },
        "text": {"color": ink},
        "rule": {"color": ink},
    }


def framed(data: FigureData, theme: Theme, body: Mapping[str, Any], width: float = 620) -> dict[str, Any]:
    """Put title, subtitle (n, interval, what was left out), description and theme around a body.

    Args:
        data: the figure's numbers.
        theme: how it looks.
        body: the Vega-Lite composition without title and config.
        width: of the picture in pixels, so that subtitle lines are cut to it.
    """
    letters = max(44, int(width / 6.2))
    lines = [line for sentence in data.subtitle for line in _wrapped(sentence, letters)]
    return {
        "$schema": SCHEMA,
        "description": data.description,
        "title": {"text": textwrap.wrap(data.title, max(34, int(width / 8.8))), "subtitle": lines},
        **body,
        "config": config(theme),
        "usermeta": {"firstlight": {"figure": data.kind, **data.meta}},
    }


def _wrapped(sentence: str, letters: int) -> list[str]:
    """Lines of so many letters; no line begins with a percent sign."""
    lines = textwrap.wrap(sentence.replace(" %", "\u00a0%"), letters, break_on_hyphens=False)
    return [line.replace("\u00a0%", " %") for line in lines]
