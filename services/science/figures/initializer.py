"""The initializers of a study: weights drawn from each, beside what theory says of them."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.figures import palette
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Record, number_of, plural
from services.science.figures.facets import columns_for, in_panels
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import PLAIN
from services.science.initializers import BaseInitializer, LayerContext
from services.science.streams import Purpose, stream

BINS = 41


class InitializerSamples(Figure):
    """Histogram of one weight of every initializer of the experiment, drawn as the trials of that seed draw theirs."""

    title: ClassVar[str] = "Initializer samples"
    description: ClassVar[str] = "A weight drawn from every initializer, beside its theoretical standard deviation."

    kind: Literal["initializer"] = "initializer"
    fan_in: int = Field(default=50, ge=1, le=2_000, description="Inputs of the dense layer.")
    fan_out: int = Field(default=50, ge=1, le=2_000, description="Its outputs.")
    seed: int = Field(default=0, ge=0, lt=2**63, description="The weights are those of this seed's trials.")
    layer: int = Field(default=0, ge=0, le=10_000, description="Number of the weight layer from the input.")

    def numbers(self, study: Study) -> FigureData:
        """Density per bin, and sample against theory, for every initializer."""
        records: list[Record] = []
        marks: list[Record] = []
        refused: list[str] = []
        shape = (self.fan_in, self.fan_out)
        for arm in study.arms:
            label = arm.axes["initializer"]
            member: BaseInitializer | None = arm.members.get("initializer")
            if member is None or label in refused or any(mark["initializer"] == label for mark in marks):
                continue
            context = LayerContext.of(
                shape, layer=self.layer, depth=self.layer + 2, activation=arm.members.get("activation")
            )
            try:
                drawn = member.draw(shape, stream(self.seed, Purpose.WEIGHTS, self.layer), context).astype(np.float32)
                theory = member.theory(shape, context)
            except ValueError:
                refused.append(label)
                continue
            values = drawn.astype(np.float64).ravel()
            spread = float(values.std())
            expected = "unknown" if theory.std is None else f"{theory.std:.4g}"
            panel = f"{label}: sd {spread:.4g}, theory {expected}"
            marks.append({"initializer": label, "panel": panel, "std": spread, "theory_std": theory.std})
            counts, edges = np.histogram(values, bins=BINS)
            widths = np.diff(edges)
            for i, count in enumerate(counts):
                records.append(
                    {
                        "panel": panel,
                        "initializer": label,
                        "from": float(edges[i]),
                        "to": float(edges[i + 1]),
                        "count": int(count),
                        "density": float(count / (values.size * widths[i])),
                        "std": spread,
                        "theory_std": theory.std,
                    }
                )
        if not records:
            raise NoFigureDataError(f"no initializer of this experiment has a dense weight of shape {shape}")
        lines = [
            (
                f"{study.heading()}. Density of {self.fan_in * self.fan_out} weights of shape {self.fan_in} × "
                f"{self.fan_out}, seed {self.seed}, weight layer {self.layer}; lines: ± one theoretical standard "
                "deviation."
            )
        ]
        if refused:
            lines.append(f"Not shown, because they have no such weight: {', '.join(refused)}.")
        return FigureData(
            kind=self.kind,
            title="Weights as the initializers draw them",
            subtitle=tuple(lines),
            description=f"Histograms of weights of {plural(len(marks), 'initializer')}. "
            + " ".join(f"{mark['panel']}." for mark in marks)
            + f" {' '.join(lines)}",
            records=tuple(records),
            marks=tuple(marks),
            meta={"panels": [mark["panel"] for mark in marks], "interval": None, "n": self.fan_in * self.fan_out},
        )

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """One histogram per initializer, on one scale."""
        look = THEMES[theme]
        x = {"field": "from", "type": "quantitative", "title": "weight", "scale": {"nice": False, "zero": False}}
        lines = [
            {"panel": mark["panel"], "at": sign * number_of(mark, "theory_std")}
            for mark in data.marks
            if mark["theory_std"] is not None
            for sign in (-1.0, 1.0)
        ]
        layered = {
            "layer": [
                {
                    "transform": [{"filter": "isValid(datum.density)"}],
                    "mark": {"type": "bar", "color": palette.BLUE, "binSpacing": 0},
                    "encoding": {
                        "x": {**x, "bin": {"binned": True}, "axis": {"format": PLAIN, "tickCount": 6}},
                        "x2": {"field": "to"},
                        "y": {"field": "density", "type": "quantitative", "title": "density", "axis": {"tickCount": 5}},
                    },
                },
                {
                    "transform": [{"filter": "isValid(datum.at)"}],
                    "mark": {"type": "rule", "strokeWidth": 2, "strokeDash": [6, 3], "color": palette.VERMILLION},
                    "encoding": {"x": {"field": "at", "type": "quantitative"}},
                },
            ],
            "width": 300,
            "height": 150,
        }
        columns = columns_for(len(data.meta["panels"]))
        body = in_panels(layered, [*data.values(), *lines], "panel", data.meta["panels"], columns, own_y=True)
        return framed(data, look, body, width=max(620, columns * 340))
