"""How far the outputs of a regression reach, as a table of a report."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from services.db.tables import DiagnosticRow
from services.reports.tables import NONE
from services.results.layer_loader import last_layers
from services.science.figures.numerals import significant
from services.science.figures.over_seeds import OverSeeds, mean_over_seeds
from services.science.results import ArmResults


@dataclass(frozen=True)
class Outputs:
    """The ends of one trial's outputs and of their target, when they were last measured."""

    arm_key: str
    seed: int
    epoch: int
    low: float
    high: float
    target_low: float
    target_high: float

    @property
    def covered(self) -> float | None:
        """Share of the target's range that the outputs' range covers; None where the target has no range."""
        width = self.target_high - self.target_low
        return (
            max(0.0, min(self.high, self.target_high) - max(self.low, self.target_low)) / width if width > 0 else None
        )


@dataclass(frozen=True)
class ReachRow:
    """One arm's networks on all validation rows, mean over the seeds."""

    label: str
    n: int
    epoch: str
    outputs: str
    target: str
    covered: str


def last_outputs(session: Session, arms: Sequence[ArmResults]) -> list[Outputs]:
    """The last measurement of every trial that has one, in the order of the grid."""
    names = ("output_min", "output_max", "target_min", "target_max")
    present = [DiagnosticRow.values[name].as_float().is_not(None) for name in names]
    return [
        Outputs(record.arm_key, record.seed, record.epoch, *(record.values[name] for name in names))
        for record in last_layers(session, arms, names, present, *present)
    ]


def reach_rows(arms: Sequence[ArmResults], outputs: Sequence[Outputs], confidence: float) -> list[ReachRow]:
    """One row per arm with a measured regression: of its trials that did not diverge, where there are such."""
    rows: list[ReachRow] = []
    for arm in arms:
        healthy = {seed for seed, healthy_one in zip(arm.seeds, arm.kept, strict=True) if healthy_one}
        every = [output for output in outputs if output.arm_key == arm.key]
        counted = [output for output in every if output.seed in healthy] or every
        if counted:
            rows.append(_row(arm.label, counted, confidence))
    return rows


def _row(label: str, outputs: Sequence[Outputs], confidence: float) -> ReachRow:
    epochs = sorted({one.epoch for one in outputs})
    low, high = (float(np.mean([getattr(one, name) for one in outputs])) for name in ("low", "high"))
    shares = [one.covered for one in outputs if one.covered is not None]
    return ReachRow(
        label=label,
        n=len(outputs),
        epoch=str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}",
        outputs=_range(low, high),
        target=_range(outputs[0].target_low, outputs[0].target_high),
        covered=_percent(mean_over_seeds(shares, confidence)) if shares else NONE,
    )


def _percent(share: OverSeeds) -> str:
    if share.low is None or share.high is None:
        return f"{100 * share.mean:.0f} %"
    # A share lies between none and all, whatever the interval's formula says.
    return f"{100 * share.mean:.0f} % ({100 * max(0.0, share.low):.0f} to {100 * min(1.0, share.high):.0f} %)"


def _range(low: float, high: float) -> str:
    return f"{significant(low, 3)} to {significant(high, 3)}".replace("-", "−")
