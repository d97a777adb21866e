"""Convergence: the share of trials that have reached a threshold, epoch by epoch (a survival curve upside down)."""

import textwrap
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, finite, plural, span
from services.science.figures.compared import compared
from services.science.figures.facets import Facet, chosen_facet, columns_for, in_panels, line_signs
from services.science.figures.metric_titles import lower_is_better, metric_title
from services.science.figures.numerals import significant
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.results import ArmResults, Floats, Outcome
from services.science.statistics.convergence import epochs_to_threshold, kaplan_meier


class Convergence(Figure):
    """One minus the Kaplan-Meier estimate of the epochs to a threshold, a step line per arm.

    A trial that never reaches the threshold, or diverges, waits to the end and is never left out.
    """

    title: ClassVar[str] = "Convergence"
    description: ClassVar[str] = "Share of each arm's trials that have reached a threshold, by epoch."
    references: ClassVar[tuple[str, ...]] = ("Kaplan and Meier 1958, Nonparametric estimation, JASA 53",)
    parts: ClassVar[frozenset[Part]] = frozenset({"curves", "comparison"})

    kind: Literal["convergence"] = "convergence"
    metric: str = Field(default="val_loss", pattern="^[a-z][a-z0-9_]{0,63}$", description="An epoch row's metric.")
    threshold: float | None = Field(default=None, description="Value to reach; default: the comparison's.")
    confidence: float = Field(default=0.95, ge=0.5, le=0.9999, description="Of the intervals in the numbers.")
    facet: Facet = Field(default="auto", description="One panel per value of this axis; auto decides by their number.")

    def metrics(self) -> tuple[str, ...]:
        """The one metric that has to reach the threshold."""
        return (self.metric,)

    def numbers(self, study: Study) -> FigureData:
        """Share, interval and n of every arm after every epoch."""
        threshold, rule = self._threshold(study)
        done = [(arm, _times(arm, self.metric, threshold)) for arm in study.arms]
        arms = [(arm, times) for arm, times in done if times.size]
        if not arms:
            raise NoFigureDataError(f"no finished trial has a value of {self.metric!r} yet")
        facet = chosen_facet(self.facet, [arm for arm, _ in arms])
        horizon = max(arm.curve(self.metric).shape[1] for arm, _ in arms) - 1
        records: list[Record] = []
        for arm, times in arms:
            records += self._steps(study, arm, times, horizon, facet)
        title = metric_title(self.metric, study)
        percent = f"{100 * self.confidence:g} %"
        counts = [times.size for _, times in arms]
        reached = sum(int(np.isfinite(times).sum()) for _, times in arms)
        side = "at or below" if lower_is_better(self.metric) else "at or above"
        lines = [
            (
                f"{study.heading()}. Share of {span(counts, 'seed')} per arm whose {title} has been {side} "
                f"{significant(threshold, 4)}."
            ),
            (
                f"Threshold: {rule}. {reached} of {plural(sum(counts), 'trial')} reach it; others, and diverged ones, "
                f"count to the end. The numbers behind the picture carry {percent} intervals (log-log)."
            ),
        ]
        if study.unfinished:
            lines.append(f"{study.unfinished} of {plural(study.trials, 'trial')} have not finished and do not count.")
        return FigureData(
            kind=self.kind,
            title="Trials that have reached the threshold",
            subtitle=tuple(lines),
            description=f"Step lines of the share of trials that have reached {significant(threshold, 4)} of {title}, "
            f"by epoch, for {plural(len(arms), 'arm')}. {' '.join(lines)}",
            records=tuple(records),
            meta={
                "metric": self.metric,
                "threshold": threshold,
                "facet": facet,
                "facet_order": study.order(facet) if facet else [],
                "series_order": list(dict.fromkeys(study.series(arm, facet) for arm, _ in arms)),
                "horizon": horizon,
                "interval": f"{percent} log-log interval of the Kaplan-Meier estimate",
                "n": {"min": min(counts), "max": max(counts), "reached": reached},
            },
        )

    def _threshold(self, study: Study) -> tuple[float, str]:
        if self.threshold is not None:
            return self.threshold, "given"
        summaries = [arm["convergence"] for arm in compared(study)["arms"] if arm["convergence"]]
        if not summaries:
            raise NoFigureDataError("no arm ends better than it began, so there is no threshold; give one")
        return float(summaries[0]["threshold"]), str(summaries[0]["rule"])

    def _steps(self, study: Study, arm: ArmResults, times: Floats, horizon: int, facet: str | None) -> list[Record]:
        reached = np.isfinite(times)
        curve = kaplan_meier(np.where(reached, times, horizon), reached)
        low, high = curve.log_log_interval(self.confidence)
        epochs = sorted({0, horizon, *(int(time) for time in curve.times)})
        records: list[Record] = []
        for epoch in epochs:
            place = int(np.searchsorted(curve.times, epoch, side="right")) - 1
            records.append(
                {
                    "arm": arm.label,
                    "panel": arm.axes[facet] if facet else "",
                    "series": study.series(arm, facet),
                    "epoch": epoch,
                    "share": 0.0 if place < 0 else 1.0 - float(curve.survival[place]),
                    "low": None if place < 0 else _complement(high[place]),
                    "high": None if place < 0 else _complement(low[place]),
                    "n": int(times.size),
                }
            )
        return records

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """Step lines, in panels if there is a facet."""
        look, facet = THEMES[theme], data.meta["facet"]
        colour, dash = line_signs(data.meta["series_order"], look.ink, below=bool(facet), overlapping=True)
        width, height, columns = (270, 170, columns_for(len(data.meta["facet_order"]))) if facet else (560, 320, 1)
        # The last step gets a tread, so that it can be told from the frame.
        horizon = int(data.meta["horizon"])
        end = horizon + max(0.4, 0.04 * horizon)
        treads = [{**record, "epoch": end} for record in data.values() if record["epoch"] == horizon]
        ticks = {"format": "d", "tickMinStep": 1, "tickCount": 6, "grid": False}
        layered = {
            "mark": {"type": "line", "interpolate": "step-after", "strokeWidth": 2.4},
            "encoding": {
                "x": {
                    "field": "epoch",
                    "type": "quantitative",
                    "title": "epoch",
                    "scale": {"domain": [0, end], "nice": False},
                    "axis": ticks,
                },
                "y": {
                    "field": "share",
                    "type": "quantitative",
                    "title": textwrap.wrap("share of trials that have reached it", 24 if facet else 48),
                    "scale": {"domain": [0, 1]},
                    "axis": {"format": ".0%", "tickCount": 5},
                },
                "color": colour,
                "strokeDash": dash,
                "tooltip": [{"field": name} for name in ("arm", "epoch", "share", "low", "high", "n")],
            },
            "width": width,
            "height": height,
        }
        body = in_panels(layered, [*data.values(), *treads], facet, data.meta["facet_order"], columns)
        return framed(data, look, body, width=columns * (width + 40))


def _times(arm: ArmResults, metric: str, threshold: float) -> Floats:
    """Epochs to the threshold of the arm's trials that are done; NaN for those that never reach it."""
    curve = arm.curve(metric)[arm.having(Outcome.FINISHED)]
    usable = curve[np.isfinite(curve).any(axis=1)] if curve.size else curve
    times = epochs_to_threshold(usable, threshold, lower_is_better(metric)) if usable.size else np.empty(0)
    return np.concatenate([times, np.full(arm.diverged, np.nan)])


def _complement(value: Any) -> float | None:
    share = finite(value)
    return None if share is None else 1.0 - share
