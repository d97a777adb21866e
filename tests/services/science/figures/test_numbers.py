"""The numbers of the other figures, against SciPy, closed forms and the comparison."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.science.activations import ACTIVATIONS
from services.science.figures import (
    ActivationShape,
    Convergence,
    Differences,
    Energy,
    InitializerSamples,
    NoFigureDataError,
    Ranking,
    Seeds,
)
from services.science.results import ArmResults
from services.science.streams import stream


def costing(arm: ArmResults, joules: float | None) -> ArmResults:
    """The arm with this energy of every trial."""
    return replace(arm, trials=tuple(replace(trial, joules=joules) for trial in arm.trials))


def test_the_ranking_is_that_of_the_comparison(make_study: Any) -> None:
    study = make_study(diverged={("relu", "he_uniform"): (0,)})
    data = Ranking().numbers(study)
    ranking = study.comparison["ranking"]
    assert [(r["arm"], r["rank"]) for r in data.records] == [(row["label"], row["rank"]) for row in ranking]
    assert data.records[-1]["note"] == "1 of 4 diverged"
    arm = next(arm for arm in study.arms if arm.label == data.records[0]["arm"])
    values = arm.curves["val_loss"][:, -1]
    low, high = stats.t.interval(0.95, 3, values.mean(), stats.sem(values))
    first = data.records[0]
    assert (first["mean"], first["low"], first["high"]) == pytest.approx((values.mean(), low, high))


def test_means_far_apart_are_ranked_on_a_logarithmic_axis(make_study: Any) -> None:
    study = make_study()
    study.comparison["arms"][0]["mean"] = 1e6
    study.comparison["arms"][0]["ci"]["low"] = -1e5
    figure = Ranking()
    spec = figure.draw(figure.numbers(study))
    dots = next(layer for layer in spec["layer"] if layer["mark"].get("filled"))
    assert dots["encoding"]["x"]["scale"]["type"] == "log"
    assert all(value["low_drawn"] > 0 for value in spec["data"]["values"])


def test_differences_are_paired_on_seed(make_study: Any) -> None:
    study = make_study(diverged={("tanh", "glorot_uniform"): (2,)}, seeds=6)
    data = Differences(pairs="all").numbers(study)
    assert len(data.records) == 6
    finals = {arm.label: arm.curves["val_loss"][:, -1] for arm in study.arms}
    for record in data.records:
        difference = finals[str(record["a"])] - finals[str(record["b"])]
        difference = difference[np.isfinite(difference)]
        low, high = stats.t.interval(0.95, difference.size - 1, difference.mean(), stats.sem(difference))
        assert record["n"] == difference.size
        assert (record["mean"], record["low"], record["high"]) == pytest.approx((difference.mean(), low, high))
        test = stats.permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=2**20)
        assert float(str(record["p_holm"])) >= test.pvalue - 1e-12
    best = Differences().numbers(study).records
    assert {record["a"] for record in best} == {study.comparison["ranking"][0]["label"]}


def test_every_trial_is_a_dot(make_study: Any) -> None:
    study = make_study(diverged={("relu", "glorot_uniform"): (3,)})
    data = Seeds().numbers(study)
    values = {(r["row"], r["seed"]): r["value"] for r in data.records}
    assert len(values) == 16
    for arm in study.arms:
        for seed in range(4):
            expected = arm.curves["val_loss"][seed, -1]
            value = values[arm.label, str(seed)]
            assert value == (None if np.isnan(expected) else pytest.approx(expected))
    means = [float(str(mark["mean"])) for mark in data.marks]
    assert means == sorted(means)
    drawn = [value for layer in Seeds().draw(data)["layer"] if "data" in layer for value in layer["data"]["values"]]
    assert len(drawn) == 15


def test_the_share_that_has_converged_counts_those_that_never_do(make_study: Any) -> None:
    study = make_study(diverged={("relu", "he_uniform"): (0,)})
    threshold = 0.5
    data = Convergence(threshold=threshold).numbers(study)
    for arm in study.arms:
        curve = arm.curves["val_loss"]
        times = np.array(
            [
                np.inf if lost else next((e for e, v in enumerate(row) if v <= threshold), np.inf)
                for row, lost in zip(curve, ~arm.kept, strict=True)
            ]
        )
        reference = stats.ecdf(stats.CensoredData.right_censored(np.minimum(times, 6), times > 6))
        for record in (r for r in data.records if r["arm"] == arm.label):
            epoch = int(str(record["epoch"]))
            assert record["share"] == pytest.approx(np.mean(times <= epoch))
            assert record["share"] == pytest.approx(1 - reference.sf.evaluate(epoch))
            if record["low"] is not None:
                assert float(str(record["low"])) <= float(str(record["share"])) <= float(str(record["high"]))
    assert "0.5000" in data.subtitle[0]


def test_the_default_threshold_is_that_of_the_comparison(make_study: Any) -> None:
    study = make_study()
    expected = study.comparison["arms"][0]["convergence"]["threshold"]
    assert Convergence().numbers(study).meta["threshold"] == expected
    arms = [{**arm, "convergence": None} for arm in study.comparison["arms"]]
    with pytest.raises(NoFigureDataError, match="threshold"):
        Convergence().numbers(make_study(comparison={**study.comparison, "arms": arms}))


def test_energy_is_averaged_over_the_same_trials_as_the_metric(make_study: Any) -> None:
    study = make_study(diverged={("relu", "he_uniform"): (1,)})
    first = study.arms[0]
    record = Energy().numbers(study).records[0]
    healthy = first.kept
    low, high = stats.t.interval(0.95, 2, first.joules[healthy].mean(), stats.sem(first.joules[healthy]))
    assert record["n"] == 3
    assert (record["joules"], record["joules_low"], record["joules_high"]) == pytest.approx(
        (first.joules[healthy].mean(), low, high)
    )
    assert record["mean"] == pytest.approx(first.curves["val_loss"][healthy, -1].mean())
    unknown = make_study(arms=tuple(costing(arm, None) for arm in study.arms))
    with pytest.raises(NoFigureDataError, match="energy"):
        Energy().numbers(unknown)


def test_arms_of_equal_energy_are_said_to_be_so(make_study: Any) -> None:
    arms = tuple(costing(arm, 0.25) for arm in make_study().arms)
    data = Energy().numbers(make_study(arms=arms))
    assert "does not tell them apart" in data.subtitle[-1]
    low, high = Energy().draw(data)["layer"][-1]["encoding"]["x"]["scale"]["domain"]
    assert low < 0.25 < high
    assert not Energy().numbers(make_study()).meta["alike"]


def test_activations_are_those_of_the_study(make_study: Any) -> None:
    data = ActivationShape(reach=2.0).numbers(make_study(("tanh", "sigmoid")))
    for name in ("tanh", "sigmoid"):
        x = np.array([r["x"] for r in data.records if (r["series"], r["panel"]) == (name, "derivative")], dtype=float)
        y = np.array([r["y"] for r in data.records if (r["series"], r["panel"]) == (name, "derivative")], dtype=float)
        assert (x.min(), x.max()) == (-2.0, 2.0)
        expected = 1 - np.tanh(x) ** 2 if name == "tanh" else np.exp(-x) / (1 + np.exp(-x)) ** 2
        assert y == pytest.approx(expected)


def test_gated_activations_are_left_out_and_named(make_study: Any) -> None:
    study = make_study()
    gated = next(cls for cls in ACTIVATIONS.values() if cls.width_factor == 2).model_validate({})
    arms = [replace(arm, members={**arm.members, "activation": gated}) for arm in study.arms[:2]]
    renamed = [replace(arm, axes={**arm.axes, "activation": gated.label()}) for arm in arms]
    data = ActivationShape().numbers(make_study(arms=(*renamed, *study.arms[2:])))
    assert {r["series"] for r in data.records} == {"tanh"}
    assert f"gated: {gated.label()}" in data.subtitle[1]
    with pytest.raises(NoFigureDataError, match="gated"):
        ActivationShape().numbers(make_study(arms=tuple(renamed)))


def test_weights_are_those_that_a_trial_draws(make_study: Any) -> None:
    data = InitializerSamples(fan_in=30, fan_out=20, seed=3, layer=1).numbers(make_study())
    drawn = stream(3, 1, 1).uniform(-np.sqrt(6 / 30), np.sqrt(6 / 30), (30, 20)).astype(np.float32).astype(float)
    rows = [r for r in data.records if r["initializer"] == "he_uniform"]
    counts, _ = np.histogram(drawn, bins=41)
    assert [r["count"] for r in rows] == counts.tolist()
    assert rows[0]["std"] == pytest.approx(drawn.std())
    assert rows[0]["theory_std"] == pytest.approx(np.sqrt(2 / 30))
    area = sum(float(str(r["density"])) * (float(str(r["to"])) - float(str(r["from"]))) for r in rows)
    assert area == pytest.approx(1.0)
