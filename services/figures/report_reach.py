"""How far the outputs of a regression reach, as a table of a report."""

from dataclasses import dataclass

from services.figures.report_tables import NONE
from services.science.figures import Study
from services.science.figures.numerals import significant
from services.science.figures.study import LayerRecord

NAMES = ("output_min", "output_max", "target_min", "target_max")


@dataclass(frozen=True)
class ReachRow:
    """One arm's trained network on the rows that its layers are measured on."""

    label: str
    seed: int
    epoch: int
    outputs: str
    target: str
    covered: str


def reach_rows(study: Study) -> list[ReachRow]:
    """One row per arm with a measured regression, from its trial's last measurement."""
    last: dict[str, LayerRecord] = {}
    for record in study.diagnostics:
        known = last.get(record.arm_key)
        finite = all(record.values.get(name) is not None for name in NAMES)
        if finite and (known is None or record.epoch >= known.epoch):
            last[record.arm_key] = record
    return [_row(arm.label, last[arm.key]) for arm in study.arms if arm.key in last]


def _row(label: str, record: LayerRecord) -> ReachRow:
    low, high, least, most = (float(record.values[name]) for name in NAMES)
    width = most - least
    shared = max(0.0, min(high, most) - max(low, least))
    return ReachRow(
        label=label,
        seed=record.seed,
        epoch=record.epoch,
        outputs=_range(low, high),
        target=_range(least, most),
        covered=f"{100 * shared / width:.0f} %" if width > 0 else NONE,
    )


def _range(low: float, high: float) -> str:
    return f"{significant(low, 3)} to {significant(high, 3)}".replace("-", "−")
