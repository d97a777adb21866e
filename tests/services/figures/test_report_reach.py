"""The table of a regression's reach, from made-up layers."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from services.figures.report_reach import reach_rows
from services.science.figures import ArmRuns, Study
from services.science.figures.study import LayerRecord


def arm(key: str) -> ArmRuns:
    return ArmRuns(
        key=key, label=f"arm {key}", axes={}, seeds=(0,), states=("succeeded",), curves={},
        diverged_at=(None,), joules=np.array([np.nan]), members={},
    )  # fmt: skip


def record(key: str, epoch: int, low: float | None, high: float | None, **more: Any) -> LayerRecord:
    values = {"output_min": low, "output_max": high, "target_min": -1.0, "target_max": 3.0, **more}
    return LayerRecord(arm_key=key, seed=7, epoch=epoch, layer="dense_1", layer_index=1, values=values)


@pytest.fixture
def study() -> Study:
    return Study(
        name=None, dataset="diamonds", task="regression", loss="mae", epochs=4, arms=(arm("a"), arm("b"), arm("c")),
        varying=(),
        diagnostics=(
            record("b", 4, 2.0, 9.0),
            record("a", 0, -9.0, 9.0),
            LayerRecord("a", 7, 4, "dense_0", 0, {"units": 5}),
            record("a", 4, -0.5, 1.5),
            record("c", 4, None, None),
        ),
    )  # fmt: skip


def test_the_last_measurement_counts_and_diverged_arms_are_left_out(study: Study) -> None:
    rows = reach_rows(study)
    assert [(row.label, row.epoch, row.covered) for row in rows] == [("arm a", 4, "50 %"), ("arm b", 4, "25 %")]
    assert (rows[0].outputs, rows[0].target) == ("−0.500 to 1.50", "−1.00 to 3.00")
    assert rows[0].seed == 7


def test_nothing_is_covered_where_the_ranges_do_not_meet_and_classes_have_no_rows(study: Study) -> None:
    (row,) = reach_rows(replace(study, diagnostics=(record("a", 1, 5.0, 6.0),)))
    assert row.covered == "0 %"
    (row,) = reach_rows(replace(study, diagnostics=(record("a", 1, 0.0, 1.0, target_max=-1.0),)))
    assert row.covered == "–"
    assert reach_rows(replace(study, diagnostics=(LayerRecord("a", 7, 4, "dense_1", 1, {"units": 5}),))) == []
