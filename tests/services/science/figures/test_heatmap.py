"""The cells of the heat map, against NumPy and SciPy."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.science.figures import Heatmap
from services.science.figures.numerals import significant, with_halfwidth


def test_every_cell_has_mean_interval_and_n(make_study: Any) -> None:
    study = make_study(diverged={("relu", "he_uniform"): (1,)})
    data = Heatmap(confidence=0.9).numbers(study)
    for record, arm in zip(data.records, study.arms, strict=True):
        values = arm.curves["val_loss"][arm.kept, -1]
        low, high = stats.t.interval(0.9, values.size - 1, values.mean(), stats.sem(values))
        assert (record["mean"], record["low"], record["high"]) == pytest.approx((values.mean(), low, high))
        assert (record["n"], record["trials"]) == (values.size, 4)
    assert data.records[0]["note"] == "1 of 4 diverged"
    means = [float(str(r["mean"])) for r in data.records]
    assert [r["best"] for r in data.records] == [mean == min(means) for mean in means]


def test_the_best_epoch_is_that_of_the_lowest_validation_loss(make_study: Any) -> None:
    study = make_study()
    data = Heatmap(metric="train_loss", at="best").numbers(study)
    arm = study.arms[0]
    epochs = np.argmin(arm.curves["val_loss"], axis=1)
    expected = arm.curves["train_loss"][np.arange(4), epochs]
    assert data.records[0]["mean"] == pytest.approx(expected.mean())


def test_a_cell_without_a_mean_says_why(make_study: Any) -> None:
    study = make_study(diverged={("tanh", "he_uniform"): (0, 1, 2, 3)})
    record = Heatmap().numbers(study).records[2]
    assert (record["mean"], record["n"], record["note"]) == (None, 0, "4 of 4 diverged")


def test_trials_that_have_not_finished_do_not_count(make_study: Any) -> None:
    study = make_study()
    arm = study.arms[0]
    states = ("running", "cancelled", "succeeded", "succeeded")
    trials = tuple(replace(trial, state=state) for trial, state in zip(arm.trials, states, strict=True))
    cut = replace(arm, trials=trials)
    record = Heatmap().numbers(make_study(arms=(cut, *study.arms[1:]))).records[0]
    assert record["n"] == 2
    assert record["mean"] == pytest.approx(arm.curves["val_loss"][2:, -1].mean())


@pytest.mark.parametrize(
    ("mean", "half", "texts"),
    [
        (0.14839, 0.00791, ("0.1484", "±0.0079")),
        (12.3456, 1.26, ("12.3", "±1.3")),
        (1234.5, 210.0, ("1234", "±210")),
        (0.5, None, ("0.5000", "")),
        (0.5, 0.0, ("0.5000", "±0")),
        (-3.14159, 0.0262, ("-3.142", "±0.026")),
        (1.5e7, 1e3, ("1.500e+07", "±1.0e+03")),
    ],
)
def test_a_mean_has_as_many_digits_as_its_interval_allows(
    mean: float, half: float | None, texts: tuple[str, str]
) -> None:
    assert with_halfwidth(mean, half) == texts


@pytest.mark.parametrize("value", [0.0, 1.0, -2.5, 1e-9, 123456.7, 1e300, 5e-324])
def test_significant_digits_lose_no_more_than_they_say(value: float) -> None:
    assert float(significant(value, 4)) == pytest.approx(value, rel=1e-3)
