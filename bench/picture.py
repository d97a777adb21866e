"""The picture of cost against width."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import vl_convert

from bench.race import Result


def cost_against_width(results: Sequence[Result]) -> dict[str, Any]:
    """Vega-Lite: microseconds per trial and step against trials trained together, a line for each contender."""
    rows = [
        {
            "contender": result.name,
            "trials": result.trials,
            "microseconds": min(result.wall),
            "median": result.median,
        }
        for result in results
    ]
    x = {
        "field": "trials",
        "type": "quantitative",
        "title": "trials trained together",
        "scale": {"type": "log", "domain": [1, max(row["trials"] for row in rows)]},
        "axis": {"values": sorted({row["trials"] for row in rows}), "grid": False},
    }
    y = {
        "field": "microseconds",
        "type": "quantitative",
        "title": "µs per trial and step (wall: least; bars to median)",
        "scale": {"type": "log"},
    }
    colour = {"field": "contender", "type": "nominal", "title": None}
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "title": "What a step of one trial costs",
        "width": 560,
        "height": 340,
        "data": {"values": rows},
        "encoding": {"x": x, "color": colour},
        "layer": [
            {"mark": {"type": "line", "point": {"filled": True, "size": 50}}, "encoding": {"y": y}},
            {"mark": {"type": "rule", "opacity": 0.5}, "encoding": {"y": y, "y2": {"field": "median"}}},
        ],
    }


def draw(spec: dict[str, Any], path: Path) -> None:
    """Write a PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(vl_convert.vegalite_to_png(spec, scale=2))
