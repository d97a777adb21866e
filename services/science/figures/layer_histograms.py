"""Layer histograms: what the activations of each layer look like, by depth and by epoch, for one arm."""

from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.diagnostics import HISTOGRAM_EDGES
from services.science.figures import palette
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record
from services.science.figures.layers import depth_order, layer_records, spread_over
from services.science.figures.study import ArmRuns, LayerRecord, Study
from services.science.figures.theme import THEMES, framed

MOST_EPOCHS = 4
MOST_LAYERS = 8


class LayerHistograms(Figure):
    """Densities of the activations of one arm's first finished seed: layers from top to bottom, epochs across."""

    title: ClassVar[str] = "Layer histograms"
    description: ClassVar[str] = "Distribution of the activations by depth and epoch, for one arm."
    parts: ClassVar[frozenset[Part]] = frozenset({"diagnostics"})

    kind: Literal["layer_histograms"] = "layer_histograms"
    arm: str | None = Field(default=None, max_length=400, description="Label or key of the arm; default: the first.")

    def numbers(self, study: Study) -> FigureData:
        """Density per bin of the shown layers at the shown epochs."""
        found = layer_records(study, "histogram")
        arm = self._arm(study, {record.arm_key for record in found})
        own = [record for record in found if record.arm_key == arm.key]
        epochs = spread_over((record.epoch for record in own), MOST_EPOCHS)
        every = depth_order(own)
        places = spread_over(range(len(every)), MOST_LAYERS)
        layers = [every[place] for place in places]
        shown = [record for record in own if record.epoch in epochs and record.layer in layers]
        records = [entry for record in shown for entry in _bins(record)]
        if not records:
            raise NoFigureDataError(f"the histograms of {arm.label} are empty")
        outside = max(float(str(entry["outside"])) for entry in records)
        lines = [
            (
                f"{study.heading()}. {arm.label}, seed {shown[0].seed}: one trial, so without an interval. Layers from "
                "the input down, epochs across; square-root scale."
            )
        ]
        if outside >= 0.0005:
            lines.append(f"Up to {100 * outside:.1f} % of a layer's values lie outside the axis.")
        if len(layers) < len(every):
            lines.append(f"{len(layers)} of {len(every)} layers are shown.")
        return FigureData(
            kind=self.kind,
            title="Activations by layer and epoch",
            subtitle=tuple(lines),
            description=f"Histograms of the activations of {len(layers)} layers of {arm.label} after the epochs "
            f"{', '.join(map(str, epochs))}. {' '.join(lines)}",
            records=tuple(records),
            meta={
                "arm": arm.label,
                "layers": layers,
                "epochs": [_words(epoch) for epoch in epochs],
                "interval": None,
                "n": {"trials": 1},
            },
        )

    def _arm(self, study: Study, known: set[str]) -> ArmRuns:
        measured = [arm for arm in study.arms if arm.key in known]
        if self.arm is None:
            return measured[0]
        for arm in measured:
            if self.arm in (arm.key, arm.label):
                return arm
        listed = ", ".join(arm.label for arm in measured[:12])
        raise NoFigureDataError(f"no arm {self.arm[:80]!r} has histograms; there are: {listed}")

    def draw(self, data: FigureData, theme: str = "light") -> dict[str, Any]:
        """A grid of small histograms on one horizontal axis."""
        look = THEMES[theme]
        filled = [r for r in data.records if float(str(r["density"])) > 0]
        reach = [min(float(str(r["from"])) for r in filled), max(float(str(r["to"])) for r in filled)]
        values = [r for r in data.values() if reach[0] <= float(str(r["from"])) and float(str(r["to"])) <= reach[1]]
        panel = {
            "mark": {"type": "bar", "color": palette.BLUE, "binSpacing": 0},
            "encoding": {
                "x": {
                    "field": "from",
                    "type": "quantitative",
                    "bin": {"binned": True},
                    "title": "activation",
                    "scale": {"domain": reach, "nice": False},
                    "axis": {"format": "~g", "tickCount": 5},
                },
                "x2": {"field": "to"},
                # The square root keeps the rest visible beside the spike at zero of a relu.
                "y": {
                    "field": "density",
                    "type": "quantitative",
                    "title": "density",
                    "scale": {"type": "sqrt"},
                    "axis": {"tickCount": 4},
                },
            },
            "width": 190,
            "height": 80,
        }
        header = {"title": None}
        body = {
            "data": {"values": values},
            "facet": {
                "row": {"field": "layer", "type": "nominal", "sort": data.meta["layers"], "header": header},
                "column": {"field": "panel", "type": "nominal", "sort": data.meta["epochs"], "header": header},
            },
            "spec": panel,
            "resolve": {"scale": {"y": "independent"}},
        }
        return framed(data, look, body, width=max(520, 230 * len(data.meta["epochs"])))


def _words(epoch: int) -> str:
    return f"after epoch {epoch}" if epoch else "untrained"


def _bins(record: LayerRecord) -> list[Record]:
    histogram = record.values["histogram"]
    counts = np.asarray(histogram["counts"], dtype=np.float64)
    outside = float(histogram["below"]) + float(histogram["above"])
    total = float(counts.sum()) + outside
    if total <= 0:
        return []
    widths = np.diff(np.asarray(HISTOGRAM_EDGES))
    return [
        {
            "layer": record.layer,
            "panel": _words(record.epoch),
            "epoch": record.epoch,
            "from": HISTOGRAM_EDGES[i],
            "to": HISTOGRAM_EDGES[i + 1],
            "count": int(count),
            "density": float(count / (total * widths[i])),
            "outside": outside / total,
        }
        for i, count in enumerate(counts)
    ]
