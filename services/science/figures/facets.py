"""When the lines of many arms are spread over panels, and how the lines are told apart."""

from collections.abc import Sequence
from typing import Any, Literal

from services.science.figures import palette
from services.science.figures.study import ArmRuns

Facet = Literal["auto", "activation", "initializer", "none"]

CROWDED = 8
"""More lines than this in one panel are spread over panels, if the facet is left to us."""


def chosen_facet(wanted: Facet, arms: Sequence[ArmRuns]) -> str | None:
    """The axis whose values get a panel each; None for one panel."""
    if wanted != "auto":
        return None if wanted == "none" else wanted
    several = [axis for axis in ("activation", "initializer") if len({arm.axes[axis] for arm in arms}) > 1]
    return several[0] if len(arms) > CROWDED and several else None


def line_signs(series: Sequence[str], ink: str, *, below: bool) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encodings of colour and dash with one legend, below the panels or at the right.

    A single line needs no legend.
    """
    legend = {"orient": "bottom" if below else "right", "columns": 4 if below else 1, "symbolOpacity": 1}
    colour = {
        "field": "series",
        "type": "nominal",
        "title": None,
        "scale": palette.scale(series, ink),
        "legend": legend if len(series) > 1 else None,
    }
    return colour, {**colour, "scale": palette.dash_scale(series)}


def in_panels(
    layered: dict[str, Any], values: list[dict[str, Any]], facet: str | None, order: Sequence[str], columns: int
) -> dict[str, Any]:
    """The body of a drawing: one panel, or one per value of `panel`."""
    body: dict[str, Any] = {"data": {"values": values}}
    if not facet:
        return {**body, **layered}
    header = {"title": None, "labelAnchor": "start"}
    panel = {"field": "panel", "type": "nominal", "sort": list(order), "header": header}
    return {**body, "facet": panel, "columns": columns, "spec": layered}
