"""Learning curves: the mean over seeds of one metric by epoch, with a t band, arm by arm."""

import textwrap
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures.base import (
    Figure,
    FigureData,
    NoFigureDataError,
    Part,
    Record,
    finite,
    number_of,
    plural,
    span,
)
from services.science.figures.epochs import band, drawn_epochs
from services.science.figures.facets import Facet, chosen_facet, columns_for, in_panels, line_signs
from services.science.figures.log_window import SPREAD_RATIO
from services.science.figures.metric_titles import lower_is_better, metric_title
from services.science.figures.numerals import significant
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import PLAIN, log_format, log_ticks
from services.science.results import ArmResults


class Curves(Figure):
    """One metric by epoch: a line per arm (mean over seeds) and a band (Student's t interval of that mean).

    Diverged trials are left out of every mean and marked with a cross at the epoch of their divergence.
    """

    title: ClassVar[str] = "Learning curves"
    description: ClassVar[str] = "A metric by epoch, mean and interval over seeds for every arm."
    parts: ClassVar[frozenset[Part]] = frozenset({"curves"})

    kind: Literal["curves"] = "curves"
    metric: str = Field(default="val_loss", pattern="^[a-z][a-z0-9_]{0,63}$", description="An epoch row's metric.")
    facet: Facet = Field(
        default="auto", description="One panel per value of this axis; auto decides by the number of arms."
    )
    scale: Literal["auto", "linear", "log"] = Field(default="auto", description="Of the vertical axis.")
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="Of the band.")
    activation: str | None = Field(default=None, max_length=200, description="Only the arms of this activation.")
    initializer: str | None = Field(default=None, max_length=200, description="Only the arms of this initializer.")
    epoch_from: int = Field(default=0, ge=0, description="First epoch shown; 0 is the untrained network.")

    def metrics(self) -> tuple[str, ...]:
        """The one metric shown."""
        return (self.metric,)

    def numbers(self, study: Study) -> FigureData:
        """Mean, band and n of every arm at every drawn epoch."""
        arms = self._chosen(study)
        facet = chosen_facet(self.facet, arms)
        last = max(arm.curve(self.metric).shape[1] - 1 for arm in arms)
        epochs = drawn_epochs(min(self.epoch_from, last), last, len(arms))
        records: list[Record] = []
        for arm in arms:
            bands = band(arm, self.metric, epochs, self.confidence)
            records.extend(
                {
                    "arm": arm.label,
                    "panel": arm.axes[facet] if facet else "",
                    "series": study.series(arm, facet),
                    "epoch": int(bands.epochs[i]),
                    "mean": finite(bands.mean[i]),
                    "low": finite(bands.low[i]),
                    "high": finite(bands.high[i]),
                    "n": int(bands.n[i]),
                }
                for i in np.flatnonzero(bands.n)
            )
        if not records:
            raise NoFigureDataError(f"no trial has a value of {self.metric!r} yet")
        return self._data(study, arms, facet, records, thinned=epochs.size < last - epochs[0] + 1)

    def _chosen(self, study: Study) -> list[ArmResults]:
        arms = list(study.arms)
        for axis in ("activation", "initializer"):
            label = getattr(self, axis)
            if label is not None:
                arms = [arm for arm in arms if label in (arm.axes[axis], arm.axes[axis].partition("(")[0])]
                if not arms:
                    legal = ", ".join(study.order(axis))
                    raise NoFigureDataError(f"no arm has the {axis} {label!r}; this experiment has: {legal}")
        if not arms:
            raise NoFigureDataError("the experiment has no arms")
        return arms

    def _data(
        self, study: Study, arms: list[ArmResults], facet: str | None, records: list[Record], thinned: bool
    ) -> FigureData:
        title = metric_title(self.metric, study)
        marks: list[Record] = [
            {
                "arm": arm.label,
                "panel": arm.axes[facet] if facet else "",
                "series": study.series(arm, facet),
                "seed": str(seed),
                "epoch": epoch,
            }
            for arm in arms
            for seed, epoch in zip(arm.seeds, arm.diverged_at, strict=True)
            if epoch is not None and epoch >= self.epoch_from
        ]
        counts = [int(number_of(record, "n")) for record in records]
        percent = f"{100 * self.confidence:g} %"
        band_of = f"band: {percent} t interval of the mean." if max(counts) > 1 else "one seed gives no interval."
        lines = [f"{study.heading()}. Line: mean over {span(counts, 'seed')} per arm; {band_of}"]
        diverged, trials = sum(arm.diverged for arm in arms), sum(len(arm.seeds) for arm in arms)
        if diverged:
            crosses = " (× marks the epoch)" if marks else ""
            lines.append(f"{diverged} of {plural(trials, 'trial')} diverged and are in no mean{crosses}.")
        if study.unfinished:
            lines.append(
                f"{study.unfinished} of {plural(study.trials, 'trial')} have not finished: the ends may still move."
            )
        if thinned:
            lines.append("Long curves are drawn at evenly spaced epochs.")
        return FigureData(
            kind=self.kind,
            title=f"{title[0].upper()}{title[1:]} by epoch",
            subtitle=tuple(lines),
            description=self._sentence(title, records, lines),
            records=tuple(records),
            marks=tuple(marks),
            meta={
                "metric": self.metric,
                "axis_title": title,
                "facet": facet,
                "facet_order": study.order(facet) if facet else [],
                "series_order": list(dict.fromkeys(study.series(arm, facet) for arm in arms)),
                "interval": f"{percent} t interval of the mean over seeds" if max(counts) > 1 else None,
                "n": {"min": min(counts), "max": max(counts), "diverged": diverged, "trials": trials},
            },
        )

    def _sentence(self, title: str, records: list[Record], lines: list[str]) -> str:
        last: dict[str, float] = {str(r["arm"]): float(r["mean"]) for r in records if r["mean"] is not None}
        if not last:
            return f"{title} by epoch. {' '.join(lines)}"
        low = lower_is_better(self.metric)
        best = (min if low else max)(last, key=lambda arm: last[arm])
        word = "lowest" if low else "highest"
        return (
            f"Line chart of {title} by epoch for {plural(len(last), 'arm')}. The {word} last mean is "
            f"{significant(last[best], 4)}, of {best}. {' '.join(lines)}"
        )

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """Lines and bands, in panels if there is a facet; crosses at the top where trials diverged."""
        look = THEMES[theme]
        low, high, log = self._window(data)
        values: list[dict[str, Any]] = data.values()
        for record in values:
            # Only the drawing is cut to the frame: on a log axis a lower bound at or below zero has no place.
            if record["low"] is not None and record["high"] is not None:
                record["low_drawn"] = max(float(record["low"]), low)
                record["high_drawn"] = min(float(record["high"]), high)
        cut = sum(r.get("low_drawn") != r["low"] or r.get("high_drawn") != r["high"] for r in values)
        series = data.meta["series_order"]
        facet = data.meta["facet"]
        # The bands share the legend of the lines; `symbolOpacity` keeps them from lending it their faintness.
        colour, dash = line_signs(series, look.ink, below=bool(facet))
        axis = {
            "field": "mean",
            "type": "quantitative",
            "title": textwrap.wrap(
                data.meta["axis_title"] + (", log scale" if log else ""), 26 if facet else 48, break_on_hyphens=False
            ),
            "scale": {"type": "log" if log else "linear", "domain": [low, high], "nice": False, "zero": False},
            "axis": {"values": log_ticks(low, high), "format": log_format(low, high)}
            if log
            else {"format": PLAIN, "tickCount": 6},
        }
        epoch = {
            "field": "epoch",
            "type": "quantitative",
            "title": "epoch",
            "scale": {"nice": False},
            "axis": _ticks(values),
        }
        layers: list[dict[str, Any]] = [
            {
                "transform": [{"filter": "isValid(datum.low_drawn)"}],
                "mark": {"type": "area", "opacity": 0.16, "clip": True},
                "encoding": {
                    "y": {**axis, "field": "low_drawn"},
                    "y2": {"field": "high_drawn"},
                    "color": colour,
                },
            },
            {
                "transform": [{"filter": "isValid(datum.mean)"}],
                "mark": {
                    "type": "line",
                    "strokeWidth": 2.2,
                    "clip": True,
                    "point": len({r["epoch"] for r in values}) == 1,
                },
                "encoding": {
                    "y": axis,
                    "color": colour,
                    "strokeDash": dash,
                    "tooltip": [{"field": name} for name in ("arm", "epoch", "mean", "low", "high", "n")],
                },
            },
        ]
        if data.marks:
            layers.append(
                {
                    "transform": [{"filter": "datum.seed != null"}],
                    "mark": {"type": "text", "text": "×", "fontSize": 18, "fontWeight": "bold", "clip": True},
                    "encoding": {
                        "y": {"value": 10},
                        "color": colour,
                        "tooltip": [{"field": "arm"}, {"field": "seed"}],
                    },
                }
            )
        width, height, columns = (270, 190, columns_for(len(data.meta["facet_order"]))) if facet else (560, 360, 1)
        layered = {"encoding": {"x": epoch}, "layer": layers, "width": width, "height": height}
        # The crosses share the lines' data source: one of their own would be drawn in every panel.
        marked = [*values, *(dict(mark) for mark in data.marks)]
        body = in_panels(layered, marked, facet, data.meta["facet_order"], columns)
        noted = data if not cut else _with_line(data, "A band that reaches beyond the frame is cut there.")
        return framed(noted, look, body, width=columns * (width + 40))

    def _window(self, data: FigureData) -> tuple[float, float, bool]:
        """Ends of the vertical axis: the means with room for their bands, but not more than the means span again."""
        means = np.array([r["mean"] for r in data.records if r["mean"] is not None], dtype=float)
        bounds = [(r["low"], r["high"]) for r in data.records if r["low"] is not None and r["high"] is not None]
        lows = np.array([low for low, _ in bounds] or [means.min()], dtype=float)
        highs = np.array([high for _, high in bounds] or [means.max()], dtype=float)
        wide = means.min() > 0 and means.max() / means.min() > SPREAD_RATIO
        log = means.min() > 0 and (self.scale == "log" or (self.scale == "auto" and wide))
        if log:
            reach = max(means.max() / means.min(), 1.1)
            lowest = lows[lows > 0].min(initial=means.min())
            low = max(lowest, means.min() / reach**0.3) / 1.05
            return float(low), float(min(highs.max(), means.max() * reach**0.3) * 1.05), True
        reach = max(means.max() - means.min(), 0.02 * abs(means.max()), 1e-9)
        low = max(lows.min(), means.min() - 0.3 * reach) - 0.03 * reach
        return float(low), float(min(highs.max(), means.max() + 0.3 * reach) + 0.03 * reach), False


def _ticks(values: list[dict[str, Any]]) -> dict[str, Any]:
    last = max(int(record["epoch"]) for record in values)
    return {"format": "d", "tickMinStep": 1, "tickCount": min(last, 6) or 1, "grid": False}


def _with_line(data: FigureData, line: str) -> FigureData:
    return FigureData(
        data.kind, data.title, (*data.subtitle, line), data.description, data.records, data.marks, data.meta
    )
