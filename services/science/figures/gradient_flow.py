"""Gradient flow: how large the gradient of each layer's weights is, from the input to the output."""

import textwrap
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, plural
from services.science.figures.facets import CROWDED, in_panels, line_signs
from services.science.figures.layers import ONE_TRIAL, depth_order, layer_records, number, spread_over
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import log_ticks

Quantity = Literal["gradient_norm", "gradient_variance", "backward_second_moment", "update_ratio"]

TITLES = {
    "gradient_norm": "norm of the weights' gradient",
    "gradient_variance": "variance of the weights' gradient",
    "backward_second_moment": "mean square of the gradient at the pre-activations",
    "update_ratio": "change of the weights over their size, per epoch",
}


class GradientFlow(Figure):
    """A gradient's size by depth, on a logarithmic axis: a falling line vanishes, a rising one explodes."""

    title: ClassVar[str] = "Gradient flow"
    description: ClassVar[str] = "Size of the gradient of every layer, from the input to the output."
    parts: ClassVar[frozenset[Part]] = frozenset({"diagnostics"})

    kind: Literal["gradient_flow"] = "gradient_flow"
    quantity: Quantity = Field(default="gradient_norm", description="Which of the layers' numbers.")
    epoch: int | None = Field(default=None, ge=0, description="Only after this epoch; default: the first and the last.")

    def numbers(self, study: Study) -> FigureData:
        """The quantity of every layer of one trial per arm, at the chosen epochs."""
        found = [record for record in layer_records(study, self.quantity) if _positive(record.values, self.quantity)]
        known = sorted({record.epoch for record in found})
        if self.epoch is not None and self.epoch not in known:
            listed = ", ".join(map(str, known))
            raise NoFigureDataError(f"the layers were not measured after epoch {self.epoch}, but after: {listed}")
        epochs = [self.epoch] if self.epoch is not None else spread_over(known, 2)
        found = [record for record in found if record.epoch in epochs]
        if not found:
            raise NoFigureDataError(f"no layer has a {self.quantity!r} above zero")
        arms = {arm.key: arm for arm in study.arms}
        crowded = len({record.arm_key for record in found}) > CROWDED
        facet = "activation" if crowded and len(study.order("activation")) > 1 else None
        records: list[Record] = []
        for record in found:
            arm = arms[record.arm_key]
            words = f"after epoch {record.epoch}" if record.epoch else "untrained"
            records.append(
                {
                    "arm": arm.label,
                    "series": study.series(arm, facet),
                    "panel": f"{arm.axes[facet]}, {words}" if facet else words,
                    "epoch": record.epoch,
                    "layer": record.layer,
                    "layer_index": record.layer_index,
                    "seed": record.seed,
                    "value": number(record.values, self.quantity),
                }
            )
        title = TITLES[self.quantity]
        count = len({record.arm_key for record in found})
        lines = [f"{study.heading()}. {title[0].upper()}{title[1:]}, log scale; {ONE_TRIAL}, so without an interval."]
        return FigureData(
            kind=self.kind,
            title="Gradient flow",
            subtitle=tuple(lines),
            description=f"Lines of the {title} by layer for {plural(count, 'arm')}, "
            f"{' and '.join(f'epoch {epoch}' for epoch in epochs)}. {' '.join(lines)}",
            records=tuple(records),
            meta={
                "quantity": self.quantity,
                "axis_title": title,
                "layers": depth_order(found),
                "panels": list(dict.fromkeys(str(r["panel"]) for r in records)),
                "series_order": list(dict.fromkeys(str(r["series"]) for r in records)),
                "interval": None,
                "n": {"trials_per_arm": 1},
            },
        )

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """One line per arm, one panel per epoch."""
        look = THEMES[theme]
        colour, dash = line_signs(data.meta["series_order"], look.ink, below=True)
        values = np.array([r["value"] for r in data.records], dtype=float)
        low, high = float(values.min()) / 1.3, float(values.max()) * 1.3
        layered = {
            "mark": {"type": "line", "point": {"size": 45, "filled": True}, "strokeWidth": 2.2},
            "encoding": {
                "x": {
                    "field": "layer",
                    "type": "ordinal",
                    "sort": data.meta["layers"],
                    "title": "layer, from the input to the output",
                    "axis": {"labelAngle": 0 if len(data.meta["layers"]) < 6 else -40, "labelOverlap": True},
                },
                "y": {
                    "field": "value",
                    "type": "quantitative",
                    "title": textwrap.wrap(f"{data.meta['axis_title']}, log scale", 30),
                    "scale": {"type": "log", "domain": [low, high], "nice": False},
                    "axis": {"values": log_ticks(low, high), "format": ".0e" if low < 1e-3 or high > 1e4 else "~g"},
                },
                "color": colour,
                "strokeDash": dash,
                "tooltip": [{"field": name} for name in ("arm", "layer", "epoch", "value", "seed")],
            },
            "width": 320,
            "height": 220,
        }
        columns = 2
        body = in_panels(layered, data.values(), "panel", data.meta["panels"], columns)
        return framed(data, look, body, width=columns * 360)


def _positive(values: Any, name: str) -> bool:
    found = number(values, name)
    return found is not None and found > 0
