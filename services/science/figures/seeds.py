"""Strip plot: every trial as a dot beside the mean and interval of its arm."""

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
from services.science.figures.compared import diverged_sentence
from services.science.figures.metric_titles import lower_is_better, metric_title
from services.science.figures.palette import ORANGE
from services.science.figures.rows import MOST_ROWS, rows_drawing
from services.science.figures.study import Study
from services.science.figures.theme import THEMES
from services.science.figures.values import AT_WORDS, At, trial_values
from services.science.results import ArmResults
from services.science.statistics.intervals import t_interval


class Seeds(Figure):
    """One dot per trial, arm by arm: what the means are made of."""

    title: ClassVar[str] = "Seeds"
    description: ClassVar[str] = "Every trial as a dot, beside the mean and interval of its arm."
    parts: ClassVar[frozenset[Part]] = frozenset({"curves"})

    kind: Literal["seeds"] = "seeds"
    metric: str = Field(default="val_loss", pattern="^[a-z][a-z0-9_]{0,63}$", description="An epoch row's metric.")
    at: At = Field(default="final", description="Which epoch of each trial counts.")
    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="Of the intervals.")

    def metrics(self) -> tuple[str, ...]:
        """The metric shown, and the one that chooses the best epoch."""
        return (self.metric, "val_loss") if self.at == "best" and self.metric != "val_loss" else (self.metric,)

    def numbers(self, study: Study) -> FigureData:
        """The arms' means and intervals as marks, the value of every trial as records; best arm first."""
        by_arm = [(arm, trial_values(arm, self.metric, self.at)) for arm in study.arms]
        if not any(np.isfinite(values).any() for _, values in by_arm):
            raise NoFigureDataError(f"no finished trial has a value of {self.metric!r} yet")
        marks = [self._mark(arm, values) for arm, values in by_arm]
        sign = 1 if lower_is_better(self.metric) else -1
        order = sorted(
            range(len(by_arm)), key=lambda i: np.inf if marks[i]["mean"] is None else sign * number_of(marks[i], "mean")
        )[:MOST_ROWS]
        records: list[Record] = [
            {"row": by_arm[i][0].label, "seed": str(seed), "state": state, "value": finite(value)}
            for i in order
            for seed, state, value in zip(by_arm[i][0].seeds, by_arm[i][0].states, by_arm[i][1], strict=True)
        ]
        title = metric_title(self.metric, study)
        percent = f"{100 * self.confidence:g} %"
        counts = [int(number_of(marks[i], "n")) for i in order if marks[i]["mean"] is not None]
        bars = f"blue: their mean and its {percent} t interval" if max(counts) > 1 else "one seed gives no interval"
        lines = [
            (
                f"{study.heading()}. {title[0].upper()}{title[1:]}, {AT_WORDS[self.at]}. "
                f"Small dots: {span(counts, 'seed')} "
                f"per arm; {bars}."
            ),
            *diverged_sentence(study),
        ]
        if len(by_arm) > MOST_ROWS:
            lines.append(f"The first {MOST_ROWS} of {len(by_arm)} arms are shown.")
        spread = max((number_of(marks[i], "sd") for i in order if marks[i]["sd"] is not None), default=None)
        widest = "" if spread is None else f" The widest spread between seeds is a standard deviation of {spread:.3g}."
        return FigureData(
            kind=self.kind,
            title="Every trial, arm by arm",
            subtitle=tuple(lines),
            description=f"Strip plot of {title} of {plural(study.trials, 'trial')}.{widest} {' '.join(lines)}",
            records=tuple(records),
            marks=tuple(marks[i] for i in order),
            meta={
                "metric": self.metric,
                "at": self.at,
                "axis_title": title,
                "interval": f"{percent} t interval of the mean over seeds",
                "n": {"min": min(counts), "max": max(counts), "diverged": study.diverged},
            },
        )

    def _mark(self, arm: ArmResults, values: np.ndarray) -> Record:
        finite_values = values[np.isfinite(values)]
        interval = t_interval(finite_values, self.confidence)
        return {
            "row": arm.label,
            "mean": float(finite_values.mean()) if finite_values.size else None,
            "sd": float(finite_values.std(ddof=1)) if finite_values.size > 1 else None,
            "low": interval.low,
            "high": interval.high,
            "n": int(finite_values.size),
            "note": f"{arm.diverged} of {len(arm.seeds)} diverged" if arm.diverged else "",
            "solid": True,
        }

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """The trials as small dots under the arms' means."""
        rows = [str(mark["row"]) for mark in data.marks]
        trials = {
            "data": {"values": [record for record in data.values() if record["value"] is not None]},
            "mark": {"type": "point", "filled": True, "size": 42, "opacity": 0.75, "color": ORANGE, "yOffset": 6},
            "encoding": {
                "y": {"field": "row", "type": "nominal", "sort": rows},
                "x": {"field": "value", "type": "quantitative"},
                "tooltip": [{"field": "row"}, {"field": "seed"}, {"field": "value"}],
            },
        }
        means = FigureData(data.kind, data.title, data.subtitle, data.description, data.marks, (), data.meta)
        return rows_drawing(means, THEMES[theme], rows, str(data.meta["axis_title"]), before=[trials])
