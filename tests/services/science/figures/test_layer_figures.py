"""Figures of layers: all seeds of an arm, against SciPy, and what they say of those that are missing."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.science.diagnostics import HISTOGRAM_EDGES
from services.science.figures import GradientFlow, LayerHistograms, NoFigureDataError, Prediction, Study
from services.science.results import LayerRecord


def interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float]:
    return stats.t.interval(confidence, values.size - 1, values.mean(), stats.sem(values))


def changed(study: Study, where: Any, **values: Any) -> Study:
    """The study with other values in those records for which `where` holds."""
    records = [
        replace(record, values={**record.values, **values}) if where(record) else record for record in study.diagnostics
    ]
    return replace(study, diagnostics=tuple(records))


def test_gradients_are_geometric_means_over_the_seeds_with_the_interval_of_their_logarithms(make_study: Any) -> None:
    study = make_study()
    data = GradientFlow(confidence=0.9).numbers(study)
    assert {r["epoch"] for r in data.records} == {0, 6}
    assert data.meta["layers"] == ["dense_1", "dense_2", "output"]
    assert len(data.records) == 4 * 2 * 3
    labels = [arm.label for arm in study.arms]
    for record in data.records:
        exponent = int(str(record["layer_index"])) + 0.1 * labels.index(str(record["arm"]))
        logs = np.log(10.0) * -exponent + 0.1 * np.arange(4)
        low, high = np.exp(interval(logs, 0.9))
        assert record["value"] == pytest.approx(stats.gmean(np.exp(logs)))
        assert (record["low"], record["high"]) == pytest.approx((low, high))
        assert (record["n"], record["trials"], record["interval"]) == (4, 4, "t")
    assert "geometric mean over 4 seeds; band: 90 % t interval" in data.subtitle[0]
    with pytest.raises(NoFigureDataError, match="but after: 0, 1, 6"):
        GradientFlow(epoch=4).numbers(study)
    assert {r["epoch"] for r in GradientFlow(quantity="update_ratio").numbers(study).records} == {1, 6}


def test_a_trial_that_diverged_counts_as_long_as_it_was_measured(make_study: Any) -> None:
    study = make_study(diverged={("relu", "he_uniform"): (0, 3), ("tanh", "he_uniform"): (1, 2, 3)})
    for figure in (GradientFlow(), LayerHistograms()):
        data = figure.numbers(study)
        records = {(r["arm"] if "arm" in r else data.meta["arm"], r["epoch"]): r for r in data.records}
        assert records["relu · he_uniform", 0]["n"] == 4
        assert records["relu · he_uniform", 6]["n"] == 2
        assert records["relu · he_uniform", 6]["interval"] == "range"
    first = records["relu · he_uniform", 6]
    low, density, high = (float(str(first[name])) for name in ("low", "density", "high"))
    assert low <= density <= high
    data = GradientFlow().numbers(study)
    alone = next(r for r in data.records if r["arm"] == "tanh · he_uniform" and r["epoch"] == 6)
    assert (alone["n"], alone["low"], alone["high"], alone["interval"]) == (1, None, None, None)
    words = " ".join(data.subtitle)
    assert "geometric mean over 1 to 4 seeds" in words
    assert "(of two seeds their range)" in words
    assert "5 of 16 trials diverged; their layers count as long as they were measured" in words


def test_divergence_is_not_spoken_of_where_nothing_is_missing(make_study: Any) -> None:
    study = make_study(diverged={("tanh", "glorot_uniform"): (0,)})
    assert "diverged" not in " ".join(Prediction().numbers(study).subtitle)
    assert "diverged" not in " ".join(GradientFlow(epoch=0).numbers(study).subtitle)
    assert "1 of 16 trials diverged" in " ".join(GradientFlow(epoch=6).numbers(study).subtitle)
    assert "diverged" not in " ".join(LayerHistograms().numbers(study).subtitle)


def test_long_labels_get_fewer_columns_of_legend(make_study: Any) -> None:
    def columns(*initializers: str) -> int:
        spec = GradientFlow().draw(GradientFlow().numbers(make_study(("relu", "tanh"), initializers)))
        return spec["spec"]["layer"][1]["encoding"]["color"]["legend"]["columns"]

    assert columns("he_uniform", "lecun_uniform") == 4
    assert columns("truncated_normal", "variance_scaling") < 4


def test_two_seeds_have_a_range_and_one_has_nothing(make_study: Any) -> None:
    two = GradientFlow().numbers(make_study(seeds=2))
    first = two.records[0]
    assert (first["low"], first["high"]) == pytest.approx((1.0, np.exp(0.1)))
    assert first["value"] == pytest.approx(np.exp(0.05))
    assert "band: range of the two seeds" in two.subtitle[0]
    for figure in (GradientFlow(), Prediction(), LayerHistograms()):
        data = figure.numbers(make_study(seeds=1))
        assert {(r["n"], r["low"], r["high"]) for r in data.records} == {(1, None, None)}
        assert "one seed gives no interval" in data.subtitle[0]
        assert data.meta["interval"] is None


def test_what_is_not_above_zero_is_in_no_mean_and_said(make_study: Any) -> None:
    lost = changed(make_study(), lambda r: r.seed == 0 and r.layer == "output", gradient_norm=0.0)
    lost = changed(lost, lambda r: r.seed == 1 and r.layer == "dense_1", gradient_norm=None)
    lost = changed(lost, lambda r: r.seed == 2 and r.layer == "dense_1", gradient_norm=float("nan"))
    data = GradientFlow(epoch=0).numbers(lost)
    assert {(r["layer"], r["n"]) for r in data.records} == {("dense_1", 2), ("dense_2", 4), ("output", 3)}
    assert "4 numbers of zero are in no mean" in " ".join(data.subtitle)
    assert all(np.isfinite(float(str(r["value"]))) for r in data.records)


def test_spreads_beyond_any_float_stay_numbers(make_study: Any) -> None:
    study = changed(make_study(seeds=3), lambda r: r.seed == 0, gradient_norm=1e-300)
    data = GradientFlow().numbers(changed(study, lambda r: r.seed == 1, gradient_norm=1e300))
    assert all(0 < float(str(r["low"])) < float(str(r["value"])) < float(str(r["high"])) for r in data.records)
    assert all(np.isfinite(float(str(r["high"]))) for r in data.records)
    spec = GradientFlow().draw(data)
    assert spec["title"]["subtitle"][-1] == "An interval that reaches beyond the frame is cut there."


def test_arms_left_out_are_named(make_study: Any) -> None:
    study = make_study(layers_left_out=("a · x", "b · x", "c · x", "d · x", "e · x"))
    for figure in (GradientFlow(), Prediction()):
        data = figure.numbers(study)
        assert "Left out: a · x; b · x; c · x and 2 more." in " ".join(data.subtitle)
        assert data.meta["left_out"] == list(study.layers_left_out)


def test_histograms_are_the_pooled_densities_of_the_seeds(make_study: Any) -> None:
    study = make_study()
    data = LayerHistograms(arm="tanh · he_uniform").numbers(study)
    assert data.meta["epochs"] == ["untrained, n = 4", "after epoch 1, n = 4", "after epoch 6, n = 4"]
    assert data.meta["layers"] == ["dense_1", "dense_2"]
    assert "mean over 4 seeds; thin lines: 95 % t interval" in data.subtitle[0]
    widths = np.diff(HISTOGRAM_EDGES)
    own: list[LayerRecord] = [r for r in study.diagnostics if r.arm_key == "key2" and r.epoch == 1]
    for layer in data.meta["layers"]:
        rows = [r for r in data.records if (r["layer"], r["epoch"]) == (layer, 1)]
        inside = sum(float(str(r["density"])) * width for r, width in zip(rows, widths, strict=True))
        assert inside + float(str(rows[0]["outside"])) == pytest.approx(1.0)
        counts = np.array([r.values["histogram"]["counts"] for r in own if r.layer == layer])
        assert [r["count"] for r in rows] == counts.sum(axis=0).tolist()
        total = counts.sum() + 4 * 3
        assert [r["density"] for r in rows] == pytest.approx(counts.sum(axis=0) / total / widths)
        densities = counts / (counts.sum(axis=1, keepdims=True) + 3) / widths
        mean, margin = densities.mean(axis=0), stats.t.ppf(0.975, 3) * stats.sem(densities, axis=0)
        assert [r["low"] for r in rows] == pytest.approx(np.maximum(mean - margin, 0.0), abs=1e-12)
        assert [r["high"] for r in rows] == pytest.approx(mean + margin, abs=1e-12)
    with pytest.raises(NoFigureDataError, match=r"there are: relu · he_uniform"):
        LayerHistograms(arm="none").numbers(study)


def test_histograms_name_the_seeds_of_each_epoch(make_study: Any) -> None:
    data = LayerHistograms().numbers(make_study(diverged={("relu", "he_uniform"): (0, 3)}))
    assert data.meta["epochs"] == ["untrained, n = 4", "after epoch 1, n = 4", "after epoch 6, n = 2"]
    assert "mean over 2 to 4 of 4 seeds" in data.subtitle[0]
    assert "2 of its trials diverged" in " ".join(data.subtitle)


def test_predictions_stand_beside_what_was_measured_over_the_seeds(make_study: Any) -> None:
    data = Prediction().numbers(make_study())
    assert len(data.records) == 12
    first = data.records[0]
    logs = np.log(0.5) + 0.1 * np.arange(4)
    assert (first["predicted"], first["measured"]) == pytest.approx((0.6, np.exp(logs.mean())))
    assert (first["low"], first["high"]) == pytest.approx(tuple(np.exp(interval(logs))))
    assert {(r["n"], r["trials"]) for r in data.records} == {(4, 4)}
    for record in data.records:
        assert record["ratio"] == pytest.approx(float(str(record["measured"])) / float(str(record["predicted"])))
    factors = np.exp(np.median(np.abs(np.log([float(str(r["ratio"])) for r in data.records]))))
    assert f"within a factor {factors:.3g} of" in data.subtitle[1]
    with pytest.raises(NoFigureDataError, match="predicted_backward_ratio"):
        Prediction(direction="backward").numbers(make_study())


def test_backward_predictions_are_held_against_each_seeds_own_output_layer(make_study: Any) -> None:
    study = make_study()
    records = [
        replace(r, values={**r.values, "predicted_backward_ratio": 2.0, "backward_second_moment": 3.0**-r.seed * scale})
        for r in study.diagnostics
        for scale in [
            {"dense_1": 4.0, "dense_2": 2.0, "output": 1.0}[r.layer] * (1 + 0.1 * r.seed * (r.layer_index < 1))
        ]
    ]
    data = Prediction(direction="backward").numbers(replace(study, diagnostics=tuple(records)))
    first = data.records[0]
    assert first["measured"] == pytest.approx(stats.gmean(4.0 * (1 + 0.1 * np.arange(4))))
    assert data.records[2]["measured"] == pytest.approx(1.0)
