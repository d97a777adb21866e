"""The drawing that ranking, paired differences and seeds share: one row per thing, a number and its interval across."""

from collections.abc import Sequence
from typing import Any

from services.science.figures.base import FigureData
from services.science.figures.log_window import SPREAD_RATIO
from services.science.figures.palette import BLUE, VERMILLION
from services.science.figures.theme import Theme, framed
from services.science.figures.ticks import PLAIN

ROW_HEIGHT = 24
TWO_LINES_HEIGHT = 40
LONG_NAME = 64
"""Letters; a longer name of two parts is set in two lines."""
WIDTH = 520
MOST_ROWS = 80


def rows_drawing(
    data: FigureData,
    look: Theme,
    rows: Sequence[str],
    x_title: str,
    *,
    before: Sequence[dict[str, Any]] = (),
    zero: bool = False,
    note_colour: str = VERMILLION,
    break_at: str = "",
) -> dict[str, Any]:
    """A Vega-Lite object: per record of `data` (`row`, `mean`, `low`, `high`, `note`, `solid`) a dot and its interval.

    Args:
        data: the numbers.
        look: the theme.
        rows: the rows from top to bottom.
        x_title: of the axis.
        before: layers drawn under the dots.
        zero: draw a line at zero and include it.
        note_colour: of the words at the right.
        break_at: between the two parts of a row's name; where names are long, the second gets a line of its own.
    """
    values: list[dict[str, Any]] = data.values()
    in_two = bool(break_at) and max(map(len, rows), default=0) > LONG_NAME
    low = None if zero else _log_start(values)
    for record in values:
        # Only the drawing is cut: on a logarithmic axis a bound at or below zero has no place.
        record["low_drawn"] = record["low"] if low is None or record["low"] is None else max(record["low"], low)
    y = {
        "field": "row",
        "type": "nominal",
        "sort": list(rows),
        "title": None,
        "axis": {
            **({"labelExpr": _two_lines(break_at)} if in_two else {}),
            "labelLimit": 560,
            "labelPadding": 8,
            "grid": True,
            "ticks": False,
            "domain": False,
        },
    }
    x = {
        "field": "mean",
        "type": "quantitative",
        "title": x_title if low is None else f"{x_title}, log scale",
        "scale": {"zero": zero, "nice": True} if low is None else {"type": "log", "nice": False},
        "axis": {"format": PLAIN, "tickCount": 7},
    }
    dot = {"type": "point", "filled": True, "size": 80, "opacity": 1, "color": BLUE}
    tooltip = [
        {"field": name} for name in data.records[0] if name not in ("row", "note", "solid", "mean_text", "margin_text")
    ]
    layers: list[dict[str, Any]] = [
        *([{"mark": {"type": "rule", "strokeDash": [5, 4]}, "encoding": {"x": {"datum": 0}}}] if zero else []),
        *before,
        {
            "transform": [{"filter": "isValid(datum.low_drawn)"}],
            "mark": {"type": "rule", "strokeWidth": 2.2, "color": BLUE},
            "encoding": {"y": y, "x": {**x, "field": "low_drawn"}, "x2": {"field": "high"}},
        },
        {
            "transform": [{"filter": "isValid(datum.mean) && datum.solid"}],
            "mark": dot,
            "encoding": {"y": y, "x": x, "tooltip": tooltip},
        },
        {
            "transform": [{"filter": "isValid(datum.mean) && !datum.solid"}],
            # Filled with the page, so that the interval does not show through the ring.
            "mark": {**dot, "fill": look.background or "Canvas", "stroke": BLUE, "strokeWidth": 2},
            "encoding": {"y": y, "x": x, "tooltip": tooltip},
        },
        {
            "mark": {"type": "text", "align": "left", "fontSize": 11.5, "fontWeight": "bold", "color": note_colour},
            "encoding": {"y": y, "x": {"value": WIDTH + 10}, "text": {"field": "note", "type": "nominal"}},
        },
    ]
    body = {
        "data": {"values": values},
        "layer": layers,
        "width": WIDTH,
        "height": max(1, len(rows)) * (TWO_LINES_HEIGHT if in_two else ROW_HEIGHT),
    }
    return framed(data, look, body, width=WIDTH + 180)


def _two_lines(break_at: str) -> str:
    """A Vega expression that breaks a label before `break_at`, which begins the second line."""
    place = f"indexof(datum.label, '{break_at}')"
    return f"[substring(datum.label, 0, {place}), trim(substring(datum.label, {place}))]"


def _log_start(values: Sequence[dict[str, Any]]) -> float | None:
    """Where a logarithmic axis would begin; None where a linear one serves."""
    means = [float(record["mean"]) for record in values if record["mean"] is not None]
    if not means or min(means) <= 0 or max(means) / min(means) <= SPREAD_RATIO:
        return None
    positive = [float(r["low"]) for r in values if r["low"] is not None and r["low"] > 0]
    return max(min([*positive, *means]), min(means) / 3)
