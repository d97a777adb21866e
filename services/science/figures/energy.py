"""Energy against quality: what each arm costs, and what it gives."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures import palette
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, number_of, plural, span
from services.science.figures.compared import diverged_sentence
from services.science.figures.log_window import SPREAD_RATIO, cut_to, log_window
from services.science.figures.metric_titles import lower_is_better, metric_title
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import PLAIN, log_format, log_ticks
from services.science.figures.values import AT_WORDS, At, trial_values
from services.science.results import ArmResults, Floats
from services.science.statistics.intervals import t_interval

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
ALIKE = 1e-9
"""Energies closer than this share of each other are the same."""


class Energy(Figure):
    """Joules of one trial (across) against a metric (up), one mark per arm with both intervals."""

    title: ClassVar[str] = "Energy against quality"
    description: ClassVar[str] = "Energy of a trial against a metric, one mark per arm with both intervals."
    parts: ClassVar[frozenset[Part]] = frozenset({"curves", "energy"})

    kind: Literal["energy"] = "energy"
    metric: str = Field(default="val_loss", pattern="^[a-z][a-z0-9_]{0,63}$", description="An epoch row's metric.")
    at: At = Field(default="final", description="Which epoch of each trial counts.")
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="Of the intervals.")

    def metrics(self) -> tuple[str, ...]:
        """The metric shown, and the one that chooses the best epoch."""
        return (self.metric, "val_loss") if self.at == "best" and self.metric != "val_loss" else (self.metric,)

    def numbers(self, study: Study) -> FigureData:
        """Means and intervals of both, over the trials of each arm that have both."""
        records = [r for r in (self._record(study, arm) for arm in study.arms) if r is not None]
        if not records:
            raise NoFigureDataError(f"no finished trial has both its energy and a value of {self.metric!r}")
        title = metric_title(self.metric, study)
        percent = f"{100 * self.confidence:g} %"
        counts = [int(number_of(r, "n")) for r in records]
        bars = f"bars: {percent} t intervals of both" if max(counts) > 1 else "one seed gives no interval"
        better = "lower" if lower_is_better(self.metric) else "higher"
        lines = [
            (
                f"{study.heading()}. Mark: mean over {span(counts, 'seed')}; {bars}. Energy of a cohort is divided "
                "equally among its trials."
            ),
            f"{title[0].upper()}{title[1:]}, {AT_WORDS[self.at]}; {better} is better, and so is further left.",
            *diverged_sentence(study),
        ]
        joules = [number_of(r, "joules") for r in records]
        alike = len(records) > 1 and max(joules) - min(joules) <= ALIKE * max(joules)
        if alike:
            lines.append(
                "All arms trained in cohorts that cost the same per trial, so energy does not tell them apart."
            )
        cheapest = min(records, key=lambda r: number_of(r, "joules"))
        return FigureData(
            kind=self.kind,
            title="Energy against quality",
            subtitle=tuple(lines),
            description=f"Scatter plot of joules per trial against {title} for {plural(len(records), 'arm')}. Least "
            f"energy is {number_of(cheapest, 'joules'):.3g} J, of {cheapest['arm']}. {' '.join(lines)}",
            records=tuple(records),
            meta={
                "metric": self.metric,
                "axis_title": title,
                "alike": alike,
                "reach": 1.15 * max(*joules, *(number_of(r, "joules_high", 0.0) for r in records)),
                "activations": list(dict.fromkeys(str(r["activation"]) for r in records)),
                "initializers": list(dict.fromkeys(str(r["initializer"]) for r in records)),
                "interval": f"{percent} t intervals of the means over seeds",
                "n": {"min": min(counts), "max": max(counts), "diverged": study.diverged},
            },
        )

    def _record(self, study: Study, arm: ArmResults) -> Record | None:
        values = trial_values(arm, self.metric, self.at)
        joules = arm.joules
        both = np.isfinite(values) & np.isfinite(joules)
        if not both.any():
            return None
        value, energy = self._interval(values[both]), self._interval(joules[both])
        return {
            "arm": arm.label,
            "activation": arm.axes["activation"],
            "initializer": study.series(arm, "activation") if len(study.varying) > 1 else arm.axes["initializer"],
            "joules": energy[0],
            "joules_low": energy[1],
            "joules_high": energy[2],
            "mean": value[0],
            "low": value[1],
            "high": value[2],
            "n": int(both.sum()),
        }

    def _interval(self, values: Floats) -> tuple[float, float | None, float | None]:
        interval = t_interval(values, self.confidence)
        return float(values.mean()), interval.low, interval.high

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """Colour for the activation, shape for the initializer."""
        look = THEMES[theme]
        activations, initializers = data.meta["activations"], data.meta["initializers"]
        scale = {"domain": [0, float(data.meta["reach"]) or 1.0]} if data.meta["alike"] else {"zero": False}
        x = {
            "field": "joules",
            "type": "quantitative",
            "title": "energy of one trial (J)",
            "scale": scale,
            "axis": {"format": PLAIN, "tickCount": 7},
        }
        vertical = self._vertical(data)
        y = {"field": "mean", "type": "quantitative", **vertical}
        values: list[dict[str, Any]] = data.values()
        if "domain" in vertical["scale"]:
            values, _ = cut_to(values, *vertical["scale"]["domain"])
        else:
            for record in values:
                record["low_drawn"], record["high_drawn"] = record["low"], record["high"]
        legend = {"symbolType": "circle", "symbolSize": 110, "symbolOpacity": 1}
        colour = {
            "field": "activation",
            "type": "nominal",
            "title": "activation",
            "scale": palette.scale(activations, look.ink),
            "legend": legend,
        }
        shape = {
            "field": "initializer",
            "type": "nominal",
            "title": "initializer",
            "scale": {"domain": initializers, "range": [SHAPES[i % len(SHAPES)] for i in range(len(initializers))]},
            "legend": {"symbolSize": 110, "symbolFillColor": look.ink, "symbolStrokeColor": look.ink},
        }
        thin = {"type": "rule", "strokeWidth": 1.4, "opacity": 0.6}
        layers: list[dict[str, Any]] = [
            {
                "transform": [{"filter": "isValid(datum.low_drawn)"}],
                "mark": thin,
                "encoding": {"x": x, "y": {**y, "field": "low_drawn"}, "y2": {"field": "high_drawn"}, "color": colour},
            },
            {
                "transform": [{"filter": "isValid(datum.joules_low)"}],
                "mark": thin,
                "encoding": {
                    "x": {**x, "field": "joules_low"},
                    "x2": {"field": "joules_high"},
                    "y": y,
                    "color": colour,
                },
            },
            {
                "mark": {"type": "point", "filled": True, "size": 120, "opacity": 1},
                "encoding": {
                    "x": x,
                    "y": y,
                    "color": colour,
                    "shape": shape,
                    "tooltip": [{"field": name} for name in ("arm", "joules", "mean", "low", "high", "n")],
                },
            },
        ]
        body = {"data": {"values": values}, "layer": layers, "width": 520, "height": 360}
        return framed(data, look, body, width=620)

    def _vertical(self, data: FigureData) -> dict[str, Any]:
        """Title, scale and axis of the metric: logarithmic where means are far apart, and then with ends."""
        title, means = data.meta["axis_title"], [number_of(r, "mean") for r in data.records]
        if min(means) <= 0 or max(means) / min(means) <= SPREAD_RATIO:
            return {"title": title, "scale": {"zero": False}, "axis": {"format": PLAIN, "tickCount": 7}}
        ends = log_window(data.records, ("mean",))
        axis = {"values": log_ticks(*ends), "format": log_format(*ends)}
        return {
            "title": f"{title}, log scale",
            "scale": {"type": "log", "domain": list(ends), "nice": False},
            "axis": axis,
        }
