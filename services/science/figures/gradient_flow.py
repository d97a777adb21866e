"""Gradient flow: how large the gradient of each layer's weights is, from the input to the output."""

import textwrap
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, plural, span
from services.science.figures.facets import CROWDED, in_panels, line_signs
from services.science.figures.layer_records import by_layer, depth_order, layer_records, number, spread_over
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

Quantity = Literal["gradient_norm", "gradient_variance", "backward_second_moment", "update_ratio"]

TITLES = {
    "gradient_norm": "norm of the weights' gradient",
    "gradient_variance": "variance of the weights' gradient",
    "backward_second_moment": "mean square of the gradient at the pre-activations",
    "update_ratio": "change of the weights over their size, per epoch",
}


class GradientFlow(Figure):
    """A gradient's size by depth, on a logarithmic axis: a falling line vanishes, a rising one explodes.

    Each mark is the geometric mean over the arm's seeds, with the t interval that the logarithms have.
    """

    title: ClassVar[str] = "Gradient flow"
    description: ClassVar[str] = "Size of the gradient of every layer, from the input to the output."
    parts: ClassVar[frozenset[Part]] = frozenset({"diagnostics"})

    kind: Literal["gradient_flow"] = "gradient_flow"
    quantity: Quantity = Field(default="gradient_norm", description="Which of the layers' numbers.")
    epoch: int | None = Field(default=None, ge=0, description="Only after this epoch; default: the first and the last.")
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="Of the intervals.")

    def layers(self) -> LayerWish:
        """The quantity where it is above zero, at the shown epochs."""
        return LayerWish((self.quantity,), self._shown, positive=True)

    def _shown(self, measured: list[int]) -> list[int]:
        if self.epoch is None:
            return spread_over(measured, 2)
        if self.epoch not in measured:
            listed = ", ".join(map(str, measured)) or "none"
            raise NoFigureDataError(f"the layers were not measured after epoch {self.epoch}, but after: {listed}")
        return [self.epoch]

    def numbers(self, study: Study) -> FigureData:
        """The quantity of every layer of every arm, over its seeds, at the chosen epochs."""
        every = layer_records(study, self.quantity)
        positive = [record for record in every if (number(record.values, self.quantity) or 0.0) > 0]
        epochs = self._shown(sorted({record.epoch for record in positive}))
        zeros = sum(record.epoch in epochs and number(record.values, self.quantity) == 0 for record in every)
        positive = [record for record in positive if record.epoch in epochs]
        if not positive:
            raise NoFigureDataError(f"no layer has a {self.quantity!r} above zero")
        arms = {arm.key: arm for arm in study.arms}
        crowded = len({record.arm_key for record in positive}) > CROWDED
        facet = "activation" if crowded and len(study.order("activation")) > 1 else None
        records: list[Record] = []
        summaries: list[OverSeeds] = []
        for group in by_layer(positive):
            record, arm = group[0], arms[group[0].arm_key]
            words = f"after epoch {record.epoch}" if record.epoch else "untrained"
            summary = geometric_mean_over_seeds([float(one.values[self.quantity]) for one in group], self.confidence)
            summaries.append(summary)
            records.append(
                {
                    "arm": arm.label,
                    "series": study.series(arm, facet),
                    "panel": f"{arm.axes[facet]}, {words}" if facet else words,
                    "epoch": record.epoch,
                    "layer": record.layer,
                    "layer_index": record.layer_index,
                    "value": summary.mean,
                    **bounds_of(summary, len(arm.seeds)),
                }
            )
        return self._data(study, positive, epochs, records, summaries, zeros)

    def _data(
        self,
        study: Study,
        positive: list[LayerRecord],
        epochs: list[int],
        records: list[Record],
        summaries: list[OverSeeds],
        zeros: int,
    ) -> FigureData:
        title = TITLES[self.quantity]
        count = len({record.arm_key for record in positive})
        interval = interval_words(summaries, self.confidence, "geometric mean")
        counts = [summary.n for summary in summaries]
        lines = [
            (
                f"{study.heading()}. {title[0].upper()}{title[1:]}, log scale. Mark: geometric mean over "
                f"{span(counts, 'seed')}; {f'band: {interval}' if interval else 'one seed gives no interval'}."
            ),
            *layer_sentences(study, whole=self._whole(study, positive, epochs), zeros=zeros),
        ]
        return FigureData(
            kind=self.kind,
            title="Gradient flow",
            subtitle=tuple(lines),
            description=f"Lines of the {title} by layer for {plural(count, 'arm')}, "
            f"{' and '.join(f'epoch {epoch}' if epoch else 'untrained' for epoch in epochs)}. {' '.join(lines)}",
            records=tuple(records),
            meta={
                "quantity": self.quantity,
                "axis_title": title,
                "layers": depth_order(positive),
                "panels": list(dict.fromkeys(str(r["panel"]) for r in records)),
                "series_order": list(dict.fromkeys(str(r["series"]) for r in records)),
                "interval": interval,
                "n": {"min": min(counts), "max": max(counts), "diverged": study.diverged},
                "left_out": list(study.layers_left_out),
            },
        )

    def _whole(self, study: Study, positive: list[LayerRecord], epochs: list[int]) -> bool:
        arms = {record.arm_key for record in positive}
        trials = sum(len(arm.seeds) for arm in study.arms if arm.key in arms)
        return len(positive) == trials * len(epochs) * len({record.layer for record in positive})

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """One line with its band per arm, one panel per epoch."""
        look = THEMES[theme]
        colour, dash = line_signs(data.meta["series_order"], look.ink, below=True)
        low, high = log_window(data.records, ("value",))
        values, cut = cut_to(data.values(), low, high)
        x = {
            "field": "layer",
            "type": "ordinal",
            "sort": data.meta["layers"],
            "title": "layer, from the input to the output",
            "axis": {"labelAngle": 0 if len(data.meta["layers"]) < 6 else -40, "labelOverlap": True},
        }
        y = {
            "field": "value",
            "type": "quantitative",
            "title": textwrap.wrap(f"{data.meta['axis_title']}, log scale", 30),
            "scale": {"type": "log", "domain": [low, high], "nice": False},
            "axis": {"values": log_ticks(low, high), "format": log_format(low, high)},
        }
        bounds = {"y": {**y, "field": "low_drawn"}, "y2": {"field": "high_drawn"}, "color": colour}
        # A band needs two layers to lie between.
        band = (
            {"type": "area", "opacity": 0.16}
            if len(data.meta["layers"]) > 1
            else {"type": "rule", "strokeWidth": 2, "opacity": 0.6}
        )
        tooltip = ("arm", "layer", "epoch", "value", "low", "high", "n", "trials")
        layered = {
            "encoding": {"x": x},
            "layer": [
                {"transform": [{"filter": "isValid(datum.low_drawn)"}], "mark": band, "encoding": bounds},
                {
                    "mark": {"type": "line", "point": {"size": 45, "filled": True}, "strokeWidth": 2.2},
                    "encoding": {
                        "y": y,
                        "color": colour,
                        "strokeDash": dash,
                        "tooltip": [{"field": name} for name in tooltip],
                    },
                },
            ],
            "width": 320,
            "height": 220,
        }
        columns = 2
        body = in_panels(layered, values, "panel", data.meta["panels"], columns)
        noted = replace(data, subtitle=(*data.subtitle, CUT)) if cut else data
        return framed(noted, look, body, width=columns * 360)
