"""The numbers of learning curves, against NumPy and SciPy."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from services.science.figures import Curves, NoFigureDataError
from services.science.figures.epochs import drawn_epochs
from services.science.figures.ticks import log_ticks


def test_means_and_bands_are_those_of_student(make_study: Any) -> None:
    study = make_study(diverged={("relu", "he_uniform"): (1,)})
    data = Curves(confidence=0.9).numbers(study)
    records = {(r["arm"], r["epoch"]): r for r in data.records}
    assert len(records) == 4 * 7
    for arm in study.arms:
        values = arm.curves["val_loss"][arm.kept]
        for epoch in range(7):
            record = records[arm.label, epoch]
            column = values[:, epoch]
            low, high = stats.t.interval(0.9, column.size - 1, column.mean(), stats.sem(column))
            assert record["n"] == column.size
            assert (record["mean"], record["low"], record["high"]) == pytest.approx((column.mean(), low, high))


def test_a_diverged_trial_is_marked_and_in_no_mean(make_study: Any) -> None:
    data = Curves().numbers(make_study(diverged={("relu", "he_uniform"): (1, 3)}))
    assert [(mark["arm"], mark["seed"], mark["epoch"]) for mark in data.marks] == [
        ("relu · he_uniform", "1", 2),
        ("relu · he_uniform", "3", 2),
    ]
    assert "2 of 16 trials diverged" in " ".join(data.subtitle)
    assert {r["n"] for r in data.records if r["arm"] == "relu · he_uniform"} == {2}


def test_one_seed_has_no_band(make_study: Any) -> None:
    data = Curves().numbers(make_study(seeds=1))
    assert all(r["low"] is None and r["high"] is None for r in data.records)
    assert "one seed gives no interval" in data.subtitle[0]
    assert data.meta["interval"] is None


def test_many_arms_are_spread_over_panels(make_study: Any) -> None:
    many = make_study(("relu", "tanh", "sigmoid"), ("he_uniform", "glorot_uniform", "lecun_uniform"))
    assert Curves().numbers(many).meta["facet"] == "activation"
    assert Curves(facet="none").numbers(many).meta["facet"] is None
    assert Curves(facet="initializer").numbers(many).meta["facet_order"] == [
        "he_uniform",
        "glorot_uniform",
        "lecun_uniform",
    ]
    assert Curves().numbers(make_study()).meta["facet"] is None
    spec = Curves().draw(Curves().numbers(many))
    assert spec["facet"]["field"] == "panel"


def test_arms_are_chosen_by_activation(make_study: Any) -> None:
    data = Curves(activation="tanh").numbers(make_study())
    assert {r["arm"] for r in data.records} == {"tanh · he_uniform", "tanh · glorot_uniform"}
    with pytest.raises(NoFigureDataError, match=r"no arm has the activation 'gelu'.*relu, tanh"):
        Curves(activation="gelu").numbers(make_study())


def test_the_first_epochs_can_be_left_out(make_study: Any) -> None:
    data = Curves(epoch_from=3).numbers(make_study())
    assert {r["epoch"] for r in data.records} == {3, 4, 5, 6}


def test_training_loss_starts_at_epoch_one(make_study: Any) -> None:
    assert {r["epoch"] for r in Curves(metric="train_loss").numbers(make_study()).records} == set(range(1, 7))


def test_an_unfinished_study_says_so(make_study: Any) -> None:
    assert "16 of 16 trials have not finished" in " ".join(Curves().numbers(make_study(states="running")).subtitle)


def test_a_band_never_leaves_a_logarithmic_frame(make_study: Any) -> None:
    study = make_study(seeds=2)
    data = Curves(scale="log").numbers(study)
    spec = Curves(scale="log").draw(data)
    scale = spec["layer"][1]["encoding"]["y"]["scale"]
    assert scale["type"] == "log"
    assert scale["domain"][0] > 0
    drawn = [r for r in spec["data"]["values"] if r.get("low_drawn") is not None]
    assert drawn
    assert all(r["low_drawn"] >= scale["domain"][0] and r["high_drawn"] <= scale["domain"][1] for r in drawn)
    assert not any("low_drawn" in record for record in data.records)


def test_crosses_stand_in_the_panel_of_their_arm(make_study: Any) -> None:
    study = make_study(diverged={("tanh", "he_uniform"): (0,)})
    figure = Curves(facet="activation")
    spec = figure.draw(figure.numbers(study))
    crosses = [value for value in spec["data"]["values"] if value.get("seed") is not None]
    assert [cross["panel"] for cross in crosses] == ["tanh"]
    # A layer with data of its own would be drawn in every panel.
    assert all("data" not in layer for layer in spec["spec"]["layer"])


@pytest.mark.parametrize(("last", "lines"), [(10, 1), (1_000, 3), (10_000, 80)])
def test_long_curves_keep_their_ends(last: int, lines: int) -> None:
    epochs = drawn_epochs(0, last, lines)
    assert (epochs[0], epochs[-1]) == (0, last)
    assert (np.diff(epochs) > 0).all()
    assert epochs.size <= 401


@pytest.mark.parametrize(("low", "high"), [(0.15, 0.9), (1e-6, 1e6), (0.5, 0.6), (3.0, 4e9), (1e-300, 1e300)])
def test_logarithmic_ticks_are_few_and_inside(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert 2 <= len(ticks) <= 8
    assert ticks == sorted(ticks)
    assert all(low * 0.99 <= tick <= high * 1.01 for tick in ticks)
