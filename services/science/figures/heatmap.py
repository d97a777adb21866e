"""Heat map: initializer by activation, with the mean, its interval and n written in each cell."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures import palette
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, number_of, plural, span
from services.science.figures.metric_titles import lower_is_better, metric_title
from services.science.figures.numerals import significant, with_halfwidth
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.values import AT_WORDS, At, trial_values
from services.science.results import ArmResults
from services.science.statistics.intervals import t_interval

LOG_RATIO = 20.0
"""Means that differ by more than this factor are coloured by their logarithm."""
DARK_BELOW = 0.55
"""Cells below this share of the colour scale are dark and carry white text."""


class Heatmap(Figure):
    """Initializer (down) by activation (across): mean over seeds, half-width of its t interval, n, and divergence."""

    title: ClassVar[str] = "Initializer by activation"
    description: ClassVar[str] = "The metric of every pair, with interval, number of seeds and divergence in each cell."
    parts: ClassVar[frozenset[Part]] = frozenset({"curves"})

    kind: Literal["heatmap"] = "heatmap"
    metric: str = Field(default="val_loss", pattern="^[a-z][a-z0-9_]{0,63}$", description="An epoch row's metric.")
    at: At = Field(default="final", description="Which epoch of each trial counts.")
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="Of the interval in each cell.")

    def metrics(self) -> tuple[str, ...]:
        """The metric shown, and the one that chooses the best epoch."""
        return (self.metric, "val_loss") if self.at == "best" and self.metric != "val_loss" else (self.metric,)

    def numbers(self, study: Study) -> FigureData:
        """Mean, interval, n and divergence of every arm, with the text of its cell."""
        records: list[Record] = [self._cell(study, arm) for arm in study.arms]
        means = [float(r["mean"]) for r in records if r["mean"] is not None]
        if not means and not study.diverged:
            raise NoFigureDataError(f"no trial has a value of {self.metric!r} yet")
        title = metric_title(self.metric, study)
        low = lower_is_better(self.metric)
        best = (min(means) if low else max(means)) if means else None
        percent = f"{100 * self.confidence:g} %"
        counts = [int(number_of(r, "n")) for r in records if r["mean"] is not None]
        lines = [f"{study.heading()}. {title[0].upper()}{title[1:]}, {AT_WORDS[self.at]}."]
        if counts:
            interval = f"± half of the {percent} t interval." if max(counts) > 1 else "One seed gives no interval."
            lines.append(f"Each cell: mean over {span(counts, 'seed')}. {interval}")
            lines.append(f"Outlined: the {'lowest' if low else 'highest'} mean; neighbours may be as good.")
        if study.diverged:
            lines.append(f"{study.diverged} of {plural(study.trials, 'trial')} diverged and are in no mean.")
        if study.unfinished:
            lines.append(f"{study.unfinished} of {plural(study.trials, 'trial')} have not finished.")
        positive = bool(means) and min(means) > 0 and max(means) / min(means) > LOG_RATIO
        return FigureData(
            kind=self.kind,
            title="Initializer by activation",
            subtitle=tuple(lines),
            description=self._sentence(title, records, best, lines),
            records=tuple({**r, "best": r["mean"] is not None and r["mean"] == best} for r in records),
            meta={
                "metric": self.metric,
                "at": self.at,
                "axis_title": title,
                "log": positive,
                "lower_is_better": low,
                "activations": study.order("activation"),
                "initializers": study.order("initializer"),
                "interval": f"{percent} t interval of the mean over seeds",
                "n": {"min": min(counts, default=0), "max": max(counts, default=0), "diverged": study.diverged},
            },
        )

    def _cell(self, study: Study, arm: ArmResults) -> dict[str, Any]:
        values = trial_values(arm, self.metric, self.at)
        values = values[np.isfinite(values)]
        interval = t_interval(values, self.confidence)
        mean = float(values.mean()) if values.size else None
        mean_text, margin_text = ("", "") if mean is None else with_halfwidth(mean, interval.halfwidth)
        others = [axis for axis in arm.axes if axis in study.varying and axis not in ("activation", "initializer")]
        return {
            "arm": arm.label,
            "activation": arm.axes["activation"],
            "initializer": arm.axes["initializer"],
            "panel": " · ".join(arm.axes[axis] for axis in others),
            "mean": mean,
            "low": interval.low,
            "high": interval.high,
            "halfwidth": interval.halfwidth,
            "n": int(values.size),
            "diverged": arm.diverged,
            "trials": len(arm.seeds),
            "mean_text": mean_text,
            "margin_text": margin_text,
            "note": f"{arm.diverged} of {len(arm.seeds)} diverged"
            if arm.diverged
            else ""
            if values.size
            else "no result",
        }

    def _sentence(self, title: str, records: list[Record], best: float | None, lines: list[str]) -> str:
        if best is None:
            return f"Heat map of {title}: no arm has a mean. {' '.join(lines)}"
        arm = next(str(r["arm"]) for r in records if r["mean"] == best)
        word = "lowest" if lower_is_better(self.metric) else "highest"
        return f"Heat map of {title}. The {word} mean is {significant(best, 4)}, of {arm}. {' '.join(lines)}"

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """Coloured cells with three lines of text; the best cell is outlined, a cell without a mean is grey."""
        look = THEMES[theme]
        values = data.values()
        means = np.array([r["mean"] for r in values if r["mean"] is not None], dtype=float)
        log = bool(data.meta["log"])
        ends = [float(means.min()), float(means.max())] if means.size else [0.0, 1.0]
        for record in values:
            record["position"] = None if record["mean"] is None else _position(float(record["mean"]), ends, log)
            record["dark"] = record["position"] is not None and float(record["position"]) < DARK_BELOW
        columns, rows = data.meta["activations"], data.meta["initializers"]
        # Wide enough for "5 of 5 diverged" at 11 px, high enough for three lines.
        width, height = 112 * len(columns), 62 * len(rows)
        colour = {
            "field": "mean",
            "type": "quantitative",
            "scale": {"type": "log" if log else "linear", "domain": ends, "scheme": palette.SEQUENTIAL, "nice": False},
            "legend": {
                "title": _legend_title(data),
                "gradientLength": max(120, min(220, height)),
                "format": ".4~g",
                "titleLimit": 220,
            },
        }
        panels = list(dict.fromkeys(str(r["panel"]) for r in values))
        text_colour = {"condition": {"test": "datum.dark", "value": "#ffffff"}, "value": "#101418"}
        cell = {
            "x": {
                "field": "activation",
                "type": "nominal",
                "sort": columns,
                "title": "activation",
                "axis": {
                    "orient": "bottom" if len(panels) > 1 else "top",
                    "labelAngle": 0 if len(columns) < 12 else -30,
                },
            },
            "y": {"field": "initializer", "type": "nominal", "sort": rows, "title": "initializer"},
        }
        layers: list[dict[str, Any]] = [
            {
                "transform": [{"filter": "!isValid(datum.mean)"}],
                "mark": {"type": "rect", "cornerRadius": 3, "color": "#c9ced4"},
            },
            {
                "transform": [{"filter": "isValid(datum.mean)"}],
                "mark": {"type": "rect", "cornerRadius": 3},
                "encoding": {
                    "color": colour,
                    "tooltip": [{"field": name} for name in ("arm", "mean", "low", "high", "n", "diverged")],
                },
            },
            {
                "transform": [{"filter": "datum.best"}],
                "mark": {
                    "type": "rect",
                    "filled": False,
                    "stroke": palette.VERMILLION,
                    "strokeWidth": 3.5,
                    "cornerRadius": 3,
                },
            },
            _text("mean_text", -16, 15, text_colour, bold=True),
            _text("margin_text", 1, 12, text_colour),
            _text("note", 18, 11, text_colour, bold=True),
        ]
        layered = {"encoding": cell, "layer": layers, "width": width, "height": height}
        body: dict[str, Any] = {"data": {"values": values}}
        across = 1
        if len(panels) > 1:
            across = max(1, min(len(panels), 1200 // (width + 140)))
            header = {"title": None, "labelAnchor": "start"}
            facet = {"field": "panel", "type": "nominal", "sort": panels, "header": header}
            body |= {"facet": facet, "columns": across, "spec": layered}
        else:
            body |= layered
        return framed(data, look, body, width=max(430, across * (width + 220)))


def _position(mean: float, ends: list[float], log: bool) -> float:
    low, high, value = (np.log(ends[0]), np.log(ends[1]), np.log(mean)) if log else (*ends, mean)
    return 0.5 if high <= low else float((value - low) / (high - low))


def _legend_title(data: FigureData) -> list[str]:
    words = str(data.meta["axis_title"]).partition(" (")
    return [words[0], *([f"({words[2]}"] if words[2] else []), *(["log scale"] if data.meta["log"] else [])]


def _text(field: str, offset: int, size: int, colour: dict[str, Any], bold: bool = False) -> dict[str, Any]:
    mark = {
        "type": "text",
        "dy": offset,
        "fontSize": size,
        "fontWeight": "bold" if bold else "normal",
        "baseline": "middle",
    }
    return {"mark": mark, "encoding": {"text": {"field": field, "type": "nominal"}, "color": colour}}
