"""When the lines of many arms are spread over panels, and how the lines are told apart."""

from collections.abc import Sequence
from typing import Any, Literal

from services.science.figures import palette
from services.science.results import ArmResults

Facet = Literal["auto", "activation", "initializer", "none"]

CROWDED = 8
"""More lines than this in one panel are spread over panels, if the facet is left to us."""

LEGEND_WIDTH = 760
"""Of a legend below the panels, in pixels: two wide panels, so that long labels do not stick out."""
SIGN_WIDTH, LETTER_WIDTH = 45, 7
"""A legend's entry in pixels: what its sign takes, and every letter."""


def chosen_facet(choice: Facet, arms: Sequence[ArmResults]) -> str | None:
    """The axis whose values get a panel each; None for one panel."""
    if choice != "auto":
        return None if choice == "none" else choice
    several = [axis for axis in ("activation", "initializer") if len({arm.axes[axis] for arm in arms}) > 1]
    return several[0] if len(arms) > CROWDED and several else None


def line_signs(
    series: Sequence[str], ink: str, *, below: bool, overlapping: bool = False
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Encodings of colour and dash with one legend, below the panels or at the right; a single line needs none.

    Lines that may lie on one another are dashed even if they are few, so that the lower ones show.
    """
    columns = max(1, min(4, LEGEND_WIDTH // (SIGN_WIDTH + LETTER_WIDTH * max(map(len, series), default=1))))
    legend = {"orient": "bottom" if below else "right", "columns": columns if below else 1, "symbolOpacity": 1}
    colour = {
        "field": "series",
        "type": "nominal",
        "title": None,
        "scale": palette.scale(series, ink),
        "legend": legend if len(series) > 1 else None,
    }
    return colour, {**colour, "scale": palette.dash_scale(series, always=overlapping)}


def in_panels(
    layered: dict[str, Any],
    values: list[dict[str, Any]],
    facet: str | None,
    order: Sequence[str],
    columns: int,
    *,
    own_y: bool = False,
) -> dict[str, Any]:
    """The body of a drawing: one panel, or one per value of `panel`; `own_y` gives each its own vertical scale."""
    body: dict[str, Any] = {"data": {"values": values}}
    if not facet:
        return {**body, **layered}
    header = {"title": None, "labelAnchor": "start"}
    panel = {"field": "panel", "type": "nominal", "sort": list(order), "header": header}
    resolve: dict[str, Any] = {"scale": {"y": "independent"}} if own_y else {}
    if len({value["panel"] for value in values}) % columns:
        # A shared axis is drawn below the last row, also where that row has no panel.
        resolve["axis"] = {"x": "independent"}
    return {**body, "facet": panel, "columns": columns, "spec": layered, **({"resolve": resolve} if resolve else {})}


def columns_for(panels: int, most: int = 3) -> int:
    """How many panels stand side by side: as many as fit, but four are two by two."""
    return 2 if panels == 4 else max(1, min(most, panels))
