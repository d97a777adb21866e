import numpy as np
import pytest

from services.science.comparison.input import ArmInput, EnergyInput, pool_arms
from services.science.results import Outcome


def grid() -> list[ArmInput]:
    arms: list[ArmInput] = []
    for i, activation in enumerate(("relu", "tanh")):
        for j, initializer in enumerate(("he", "glorot", "lecun")):
            results = {seed: 10.0 * i + j + 0.1 * seed for seed in range(4)}
            arms.append(
                ArmInput.of(f"{i}{j}", results, {"activation": {"kind": activation}, "initializer": initializer})
            )
    return arms


def test_pooling_averages_the_other_axes_within_each_seed() -> None:
    pooled = pool_arms(grid(), ["activation"])
    assert [arm.label for arm in pooled] == ["relu", "tanh"]
    assert pooled[0].arm == {"activation": {"kind": "relu"}}
    assert pooled[1].values is not None
    assert pooled[1].values == pytest.approx([11.0, 11.1, 11.2, 11.3])


def test_pooling_by_every_axis_changes_nothing() -> None:
    pooled = pool_arms(grid(), ["activation", "initializer"])
    assert [arm.key for arm in pooled] == [arm.key for arm in grid()]


def test_one_diverged_cell_makes_its_seed_diverged() -> None:
    arms = grid()
    arms[1] = ArmInput.of("01", {0: "diverged", 1: "missing", 2: 1.0, 3: 1.0}, arms[1].arm)
    pooled = pool_arms(arms, ["activation"])
    assert list(pooled[0].outcomes) == [Outcome.DIVERGED, Outcome.MISSING, Outcome.FINISHED, Outcome.FINISHED]


def test_only_cells_that_all_have_are_used() -> None:
    pooled = pool_arms(grid()[:-1], ["activation"])
    assert pooled[0].values is not None
    # he and glorot only: tanh was not run with lecun.
    assert pooled[0].values[0] == pytest.approx(0.5)
    disjoint = [ArmInput.of("a", {0: 1.0}, {"x": 0, "y": 0}), ArmInput.of("b", {0: 1.0}, {"x": 1, "y": 1})]
    with pytest.raises(ValueError, match="in common"):
        pool_arms(disjoint, ["x"])


def test_curves_and_energy_are_pooled_too() -> None:
    def arm(x: int, y: int) -> ArmInput:
        curve = np.full((2, 3), float(x + 10 * y))
        energy = EnergyInput(np.array([1.0, 3.0]) * (1 + y), method="measured", share_rule="equal")
        done = [Outcome.FINISHED] * 2
        return ArmInput(f"{x}{y}", "", {"x": x, "y": y}, (0, 1), done, curve=curve, train_curve=curve, energy=energy)

    pooled = pool_arms([arm(x, y) for x in range(2) for y in range(2)], ["x"])
    assert pooled[1].curve is not None
    assert pooled[1].curve[0, 0] == pytest.approx(6.0)
    assert pooled[1].energy is not None
    assert pooled[1].energy.joules.tolist() == [1.5, 4.5]
    assert (pooled[1].energy.method, pooled[1].energy.share_rule) == ("measured", "equal")


def test_an_unknown_axis_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match="no axis 'optimizer'; the axes are activation, initializer"):
        pool_arms(grid(), ["optimizer"])
    assert pool_arms([], []) == []


def test_what_does_not_fit_together_is_refused() -> None:
    done = [Outcome.FINISHED]
    with pytest.raises(ValueError, match="values has 2 entries for 1 seeds"):
        ArmInput("a", "a", {}, (0,), done, values=np.ones(2))
    with pytest.raises(ValueError, match="twice"):
        ArmInput("a", "a", {}, (0, 0), done * 2, values=np.ones(2))
    with pytest.raises(ValueError, match="need values or a curve"):
        ArmInput("a", "a", {}, (0,), done)
    with pytest.raises(ValueError, match="outcomes has 1"):
        ArmInput("a", "a", {}, (0, 1), done, values=np.ones(2))
