"""Prediction against measurement: signals and gradients of untrained layers, beside what theory expects of them."""

from dataclasses import replace
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures import palette
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, number_of, plural, span
from services.science.figures.energy import SHAPES
from services.science.figures.layer_records import by_layer, layer_records, number
from services.science.figures.log_window import CUT, cut_to, log_window
from services.science.figures.over_seeds import (
    OverSeeds,
    bounds_of,
    geometric_mean_over_seeds,
    interval_words,
    layer_sentences,
)
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import log_format, log_ticks
from services.science.results import LayerRecord, LayerWish

Direction = Literal["forward", "backward"]

WORDS = {
    "forward": "mean square of a layer's pre-activations",
    "backward": "mean square of a layer's gradient over the output's",
}


class Prediction(Figure):
    """Predicted (across) and measured (up) of every layer of the untrained networks; on the line, theory is right.

    Measured is the geometric mean over the arm's seeds, with the t interval that the logarithms have.
    """

    title: ClassVar[str] = "Prediction against measurement"
    description: ClassVar[str] = "What signal propagation predicts of untrained layers, against what was measured."
    parts: ClassVar[frozenset[Part]] = frozenset({"diagnostics"})

    kind: Literal["prediction"] = "prediction"
    direction: Direction = Field(default="forward", description="Signals going forward, or gradients going backward.")

    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="Of the intervals.")

    def layers(self) -> LayerWish:
        """The predicted number and what the measured one is made of, in the untrained networks."""
        forward = ("pre_activation_mean", "pre_activation_variance")
        names = (self._name(), *(forward if self.direction == "forward" else ("backward_second_moment",)))
        return LayerWish(names, lambda measured: [epoch for epoch in measured if epoch == 0])

    def numbers(self, study: Study) -> FigureData:
        """Both numbers of every layer that has both, over the seeds of its arm, with their ratio."""
        untrained = [record for record in layer_records(study, self._name()) if record.epoch == 0]
        arms = {arm.key: arm for arm in study.arms}
        # The output layer comes last of its trial's records.
        outputs = {(r.arm_key, r.seed): number(r.values, "backward_second_moment") for r in untrained}
        records: list[Record] = []
        summaries: list[OverSeeds] = []
        zeros = 0
        for group in by_layer(untrained):
            both = [
                (predicted, measured)
                for record in group
                if (predicted := number(record.values, self._name())) is not None
                and (measured := self._measured(record, outputs[record.arm_key, record.seed])) is not None
            ]
            positive = [(predicted, measured) for predicted, measured in both if predicted > 0 and measured > 0]
            zeros += len(both) - len(positive)
            if not positive:
                continue
            arm = arms[group[0].arm_key]
            expected, summary = (
                geometric_mean_over_seeds(values, self.confidence) for values in zip(*positive, strict=True)
            )
            summaries.append(summary)
            records.append(
                {
                    "arm": arm.label,
                    "activation": arm.axes["activation"],
                    "initializer": arm.axes["initializer"],
                    "layer": group[0].layer,
                    "predicted": expected.mean,
                    "measured": summary.mean,
                    "ratio": summary.mean / expected.mean,
                    **bounds_of(summary, len(arm.seeds)),
                }
            )
        if not records:
            raise NoFigureDataError("no untrained layer has both a predicted and a measured number above zero")
        return self._data(study, records, summaries, zeros)

    def _name(self) -> str:
        return "predicted_second_moment" if self.direction == "forward" else "predicted_backward_ratio"

    def _data(self, study: Study, records: list[Record], summaries: list[OverSeeds], zeros: int) -> FigureData:
        off = float(np.exp(np.median([abs(np.log(number_of(r, "ratio"))) for r in records])))
        counts = [summary.n for summary in summaries]
        interval = interval_words(summaries, self.confidence, "geometric mean")
        lines = [
            (
                f"{study.heading()}. {WORDS[self.direction][0].upper()}{WORDS[self.direction][1:]}, log scales. Mark: "
                f"geometric mean over {span(counts, 'seed')}; "
                f"{f'bar: {interval}' if interval else 'one seed gives no interval'}. On the line theory is right."
            ),
            f"Half of the {plural(len(records), 'layer')} lie within a factor {off:.3g} of the prediction.",
            *layer_sentences(study, whole=all(r["n"] == r["trials"] for r in records), zeros=zeros),
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
                "interval": interval,
                "n": {"layers": len(records), "min": min(counts), "max": max(counts)},
                "left_out": list(study.layers_left_out),
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
        window = log_window(data.records, ("predicted", "measured"))
        ends = [window[0] / 1.2, window[1] * 1.2]
        values, cut = cut_to(data.values(), *ends)
        axis = {"values": log_ticks(*ends), "format": log_format(*ends)}
        shared = {"type": "quantitative", "scale": {"type": "log", "domain": ends, "nice": False}, "axis": axis}
        activations, initializers = data.meta["activations"], data.meta["initializers"]
        shapes = [SHAPES[i % len(SHAPES)] for i in range(len(initializers))]
        columns = ("arm", "layer", "predicted", "measured", "low", "high", "ratio", "n", "trials")
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
                "tooltip": [{"field": name} for name in columns],
            },
        }
        bars = {
            "transform": [{"filter": "isValid(datum.low_drawn)"}],
            "mark": {"type": "rule", "strokeWidth": 1.6, "opacity": 0.7},
            "encoding": {
                "x": dots["encoding"]["x"],
                "y": {**shared, "field": "low_drawn"},
                "y2": {"field": "high_drawn"},
                "color": dots["encoding"]["color"],
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
        body = {"data": {"values": values}, "layer": [line, bars, dots], "width": 400, "height": 400}
        noted = replace(data, subtitle=(*data.subtitle, CUT)) if cut else data
        return framed(noted, look, body, width=560)
