"""What a figure is computed from: the results of an experiment, with what its axes are called and what was learned."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from services.science.results import ArmResults, ExperimentResults, LayerRecord


@dataclass(frozen=True, eq=False, kw_only=True)
class Study(ExperimentResults):
    """One experiment as a figure sees it: its results, with the axes and members of each arm.

    Attributes:
        dataset, task, loss, standardized: what was learned.
        varying: axes with more than one value.
        comparison: the comparison's answer as plain JSON values, where a figure asked for it.
        diagnostics: what was read of the layers, of every seed.
        layers_left_out: labels of the arms whose layers were too many to be read.
    """

    dataset: str
    task: str
    loss: str
    varying: tuple[str, ...]
    standardized: bool = True
    comparison: Mapping[str, Any] | None = None
    diagnostics: tuple[LayerRecord, ...] = ()
    layers_left_out: tuple[str, ...] = ()

    def heading(self) -> str:
        """The study's name and data set, for a subtitle."""
        name = shown(self.name or "", 80)
        return f"{name} · {self.dataset}" if name else self.dataset

    def series(self, arm: ArmResults, without: str | None = None) -> str:
        """The arm's label without one axis."""
        axes = [axis for axis in arm.axes if axis != without and (axis in self.varying or not self.varying)]
        return " · ".join(arm.axes[axis] for axis in axes) or arm.label

    def order(self, axis: str) -> list[str]:
        """The values of an axis in the order of the grid."""
        return list(dict.fromkeys(arm.axes[axis] for arm in self.arms))


def shown(text: str, limit: int) -> str:
    """User text as a picture can carry it: no control characters (XML has no place for them), one line, cut."""
    line = " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", text).split())
    return line if len(line) <= limit else f"{line[: limit - 1]}…"
