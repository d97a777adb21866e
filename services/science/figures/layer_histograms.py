"""Layer histograms: what the activations of each layer look like, by depth and by epoch, for one arm."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from services.science.diagnostics import HISTOGRAM_EDGES
from services.science.figures import palette
from services.science.figures.base import Figure, FigureData, NoFigureDataError, Part, Record, number_of, plural
from services.science.figures.layer_records import by_layer, depth_order, layer_records, spread_over
from services.science.figures.over_seeds import OverSeeds, bounds_of, interval_words, mean_over_seeds
from services.science.figures.study import Study
from services.science.figures.theme import THEMES, framed
from services.science.figures.ticks import PLAIN
from services.science.results import ArmResults, LayerRecord, LayerWish

MOST_EPOCHS = 4
MOST_LAYERS = 8


class LayerHistograms(Figure):
    """Densities of the activations of one arm over its seeds: layers from top to bottom, epochs across."""

    title: ClassVar[str] = "Layer histograms"
    description: ClassVar[str] = "Distribution of the activations by depth and epoch, for one arm."
    parts: ClassVar[frozenset[Part]] = frozenset({"diagnostics"})

    kind: Literal["layer_histograms"] = "layer_histograms"
    arm: str | None = Field(default=None, max_length=400, description="Label or key of the arm; default: the first.")

    confidence: float = Field(default=0.95, gt=0.0, lt=1.0, description="Of the intervals of the densities.")

    def layers(self) -> LayerWish:
        """The histograms of one arm at the shown epochs."""
        return LayerWish(("histogram",), _epochs, lambda measured: [self._arm(measured)])

    def numbers(self, study: Study) -> FigureData:
        """Density per bin of the shown layers at the shown epochs, every seed counting the same."""
        arm, own = self._own(study)
        epochs = _epochs([record.epoch for record in own])
        every = depth_order(own)
        layers = [every[place] for place in spread_over(range(len(every)), MOST_LAYERS)]
        drawn = [record for record in own if record.epoch in epochs and record.layer in layers]
        pooled = [pair for group in by_layer(drawn) if (pair := _pooled(group, len(arm.seeds), self.confidence))]
        if not pooled:
            raise NoFigureDataError(f"the histograms of {arm.label} are empty")
        records = [record for bins, _ in pooled for record in bins]
        summaries = [summary for _, bins in pooled for summary in bins]
        interval = interval_words(summaries, self.confidence, "mean density")
        counts = _seeds_by_epoch(records)
        every_n = [n for seeds in counts.values() for n in seeds]
        sure = f"thin lines: {interval}" if interval else "one seed gives no interval"
        lines = [
            (
                f"{study.heading()}. {arm.label}, mean over {_seeds(every_n, len(arm.seeds))}; {sure}. Layers from "
                "the input down, epochs across; square-root scale."
            ),
            *_left_out(arm, min(every_n), max(number_of(entry, "outside") for entry in records)),
        ]
        if len(layers) < len(every):
            lines.append(f"{len(layers)} of {len(every)} layers are shown.")
        panels = {epoch: f"{_words(epoch)}, n = {_ends(seeds)}" for epoch, seeds in counts.items()}
        return FigureData(
            kind=self.kind,
            title="Activations by layer and epoch",
            subtitle=tuple(lines),
            description=f"Histograms of the activations of {plural(len(layers), 'layer')} of {arm.label} after the "
            f"epochs {', '.join(map(str, epochs))}. {' '.join(lines)}",
            records=tuple({**r, "panel": panels[int(number_of(r, "epoch"))]} for r in records),
            meta={
                "arm": arm.label,
                "layers": layers,
                "epochs": list(panels.values()),
                "interval": interval,
                "n": {"min": min(every_n), "max": max(every_n)},
            },
        )

    def _own(self, study: Study) -> tuple[ArmResults, list[LayerRecord]]:
        """The arm that is shown, and what was measured of it."""
        records = layer_records(study, "histogram")
        keys = {record.arm_key for record in records}
        arm = self._arm([arm for arm in study.arms if arm.key in keys])
        return arm, [record for record in records if record.arm_key == arm.key]

    def _arm(self, measured: list[ArmResults]) -> ArmResults:
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
        filled = [r for r in data.records if number_of(r, "density") > 0]
        reach = [min(number_of(r, "from") for r in filled), max(number_of(r, "to") for r in filled)]
        every: list[dict[str, Any]] = data.values()
        values = [r for r in every if reach[0] <= r["from"] and r["to"] <= reach[1]]
        for record in values:
            record["middle"] = (record["from"] + record["to"]) / 2
        x = {
            "field": "from",
            "type": "quantitative",
            "title": "activation",
            "scale": {"domain": reach, "nice": False},
            "axis": {"format": PLAIN, "tickCount": 5},
        }
        # The square root keeps the rest visible beside the spike at zero of a relu.
        y = {
            "field": "density",
            "type": "quantitative",
            "title": "density",
            "scale": {"type": "sqrt"},
            "axis": {"tickCount": 4},
        }
        panel = {
            "layer": [
                {
                    "mark": {"type": "bar", "color": palette.BLUE, "binSpacing": 0},
                    "encoding": {"x": {**x, "bin": {"binned": True}}, "x2": {"field": "to"}, "y": y},
                },
                {
                    "transform": [{"filter": "isValid(datum.low) && datum.high > 0"}],
                    "mark": {"type": "rule", "strokeWidth": 1, "opacity": 0.8},
                    "encoding": {
                        "x": {**x, "field": "middle"},
                        "y": {**y, "field": "low"},
                        "y2": {"field": "high"},
                    },
                },
            ],
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


def _ends(counts: list[int]) -> str:
    return f"{counts[0]}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"


def _seeds(counts: list[int], trials: int) -> str:
    """How many of the arm's seeds count."""
    return plural(trials, "seed") if min(counts) == trials else f"{_ends(counts)} of {plural(trials, 'seed')}"


def _seeds_by_epoch(records: Sequence[Record]) -> dict[int, list[int]]:
    """How many seeds each bin of a shown epoch has, epochs in the order of the records."""
    counts: dict[int, list[int]] = {}
    for record in records:
        counts.setdefault(int(number_of(record, "epoch")), []).append(int(number_of(record, "n")))
    return dict(sorted(counts.items()))


def _left_out(arm: ArmResults, fewest: int, outside: float) -> list[str]:
    """Sentences about what the pictures do not show: seeds that diverged, and the share of values beyond the axis."""
    lines: list[str] = []
    if arm.diverged and fewest < len(arm.seeds):
        lines.append(f"{arm.diverged} of its trials diverged and are counted as long as they were measured.")
    if outside >= 0.0005:
        lines.append(f"Up to {100 * outside:.1f} % of a layer's values lie outside the axis.")
    return lines


def _epochs(measured: list[int]) -> list[int]:
    return spread_over(measured, MOST_EPOCHS)


def _pooled(
    group: Sequence[LayerRecord], trials: int, confidence: float
) -> tuple[list[Record], list[OverSeeds]] | None:
    """The bins of one layer over its seeds; None where nothing was counted.

    A mean of densities: with as many values from every seed, as from trials of one arm, that is the pooled histogram.
    """
    counts = np.array([record.values["histogram"]["counts"] for record in group], dtype=np.float64)
    outside = np.array([sum(record.values["histogram"][end] for end in ("below", "above")) for record in group])
    total = counts.sum(axis=1) + outside
    counts, outside, total = counts[total > 0], outside[total > 0], total[total > 0]
    if not total.size:
        return None
    densities = counts / (total[:, None] * np.diff(np.asarray(HISTOGRAM_EDGES)))
    record, means = group[0], [mean_over_seeds(of_bin, confidence) for of_bin in densities.T]
    bins: list[Record] = [
        {
            "layer": record.layer,
            "panel": "",
            "epoch": record.epoch,
            "from": HISTOGRAM_EDGES[i],
            "to": HISTOGRAM_EDGES[i + 1],
            "count": int(counts[:, i].sum()),
            "density": summary.mean,
            **bounds_of(summary, trials),
            # No density is below zero, whatever the interval's formula says.
            "low": None if summary.low is None else max(0.0, summary.low),
            "outside": float(np.mean(outside / total)),
        }
        for i, summary in enumerate(means)
    ]
    return bins, means
