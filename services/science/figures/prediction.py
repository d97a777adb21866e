"""Prediction against measurement: signals and gradients of untrained layers, beside what theory expects of them."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures import palette
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, plural
from services.science.figures.energy import SHAPES
from services.science.figures.layers import ONE_TRIAL, layer_records, number
from services.science.figures.study import LayerRecord, Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import log_ticks

Direction = Literal["forward", "backward"]

WORDS = {
    "forward": "mean square of a layer's pre-activations",
    "backward": "mean square of a layer's gradient over the output's",
}


class Prediction(Figure):
    """Predicted (across) and measured (up) of every layer of the untrained networks; on the line, theory is right."""

    title: ClassVar[str] = "Prediction against measurement"
    description: ClassVar[str] = "What signal propagation predicts of untrained layers, against what was measured."
    parts: ClassVar[frozenset[Part]] = frozenset({"diagnostics"})

    kind: Literal["prediction"] = "prediction"
    direction: Direction = Field(default="forward", description="Signals going forward, or gradients going backward.")

    def numbers(self, study: Study) -> FigureData:
        """Both numbers of every layer that has both, with their ratio."""
        name = "predicted_second_moment" if self.direction == "forward" else "predicted_backward_ratio"
        found = [record for record in layer_records(study, name) if record.epoch == 0]
        arms = {arm.key: arm for arm in study.arms}
        outputs: dict[str, float | None] = {}
        for record in found:
            outputs[record.arm_key] = number(record.values, "backward_second_moment")
        records: list[Record] = []
        for record in found:
            predicted, measured = number(record.values, name), self._measured(record, outputs[record.arm_key])
            if predicted is None or measured is None or predicted <= 0 or measured <= 0:
                continue
            arm = arms[record.arm_key]
            records.append(
                {
                    "arm": arm.label,
                    "activation": arm.axes["activation"],
                    "initializer": arm.axes["initializer"],
                    "layer": record.layer,
                    "seed": record.seed,
                    "predicted": predicted,
                    "measured": measured,
                    "ratio": measured / predicted,
                }
            )
        if not records:
            raise NoFigureDataError("no untrained layer has both a predicted and a measured number above zero")
        ratios = np.array([r["ratio"] for r in records], dtype=float)
        off = float(np.exp(np.median(np.abs(np.log(ratios)))))
        lines = [
            (
                f"{study.heading()}. {WORDS[self.direction][0].upper()}{WORDS[self.direction][1:]}, log scales; "
                f"{ONE_TRIAL}, so without an interval. On the line theory is right."
            ),
            f"Half of the {plural(len(records), 'layer')} lie within a factor {off:.3g} of the prediction.",
        ]
        return FigureData(
            kind=self.kind,
            title="Prediction against measurement, before training",
            subtitle=tuple(lines),
            description=f"Scatter plot of predicted and measured {WORDS[self.direction]}. {' '.join(lines)}",
            records=tuple(records),
            meta={
                "direction": self.direction,
                "activations": list(dict.fromkeys(str(r["activation"]) for r in records)),
                "initializers": list(dict.fromkeys(str(r["initializer"]) for r in records)),
                "interval": None,
                "n": {"layers": len(records), "trials_per_arm": 1},
            },
        )

    def _measured(self, record: LayerRecord, output: float | None) -> float | None:
        if self.direction == "backward":
            own = number(record.values, "backward_second_moment")
            return None if own is None or not output else own / output
        mean, variance = (number(record.values, f"pre_activation_{name}") for name in ("mean", "variance"))
        return None if mean is None or variance is None else mean**2 + variance

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """Dots beside the line on which both are equal."""
        look = THEMES[theme]
        both = np.array([[r["predicted"], r["measured"]] for r in data.records], dtype=float)
        ends = [float(both.min()) / 1.3, float(both.max()) * 1.3]
        axis = {"values": log_ticks(*ends), "format": ".0e" if ends[0] < 1e-3 or ends[1] > 1e4 else "~g"}
        shared = {"type": "quantitative", "scale": {"type": "log", "domain": ends, "nice": False}, "axis": axis}
        activations, initializers = data.meta["activations"], data.meta["initializers"]
        shapes = [SHAPES[i % len(SHAPES)] for i in range(len(initializers))]
        fine = {"symbolSize": 110, "symbolOpacity": 1}
        dots = {
            "mark": {"type": "point", "filled": True, "size": 90, "opacity": 0.85},
            "encoding": {
                "x": {**shared, "field": "predicted", "title": "predicted"},
                "y": {**shared, "field": "measured", "title": "measured"},
                "color": {
                    "field": "activation",
                    "type": "nominal",
                    "title": "activation",
                    "scale": palette.scale(activations, look.ink),
                    "legend": {**fine, "symbolType": "circle"},
                },
                "shape": {
                    "field": "initializer",
                    "type": "nominal",
                    "title": "initializer",
                    "scale": {"domain": initializers, "range": shapes},
                    "legend": {**fine, "symbolFillColor": look.ink, "symbolStrokeColor": look.ink},
                },
                "tooltip": [{"field": name} for name in ("arm", "layer", "predicted", "measured", "ratio")],
            },
        }
        line = {
            "data": {"values": [{"predicted": end, "measured": end} for end in ends]},
            "mark": {"type": "line", "strokeDash": [6, 4], "strokeWidth": 1.5, "color": look.ink, "opacity": look.soft},
            "encoding": {
                "x": {**shared, "field": "predicted"},
                "y": {**shared, "field": "measured"},
            },
        }
        body = {"data": {"values": data.values()}, "layer": [line, dots], "width": 400, "height": 400}
        return framed(data, look, body, width=560)
