import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.formula.api import ols
from statsmodels.stats.anova import anova_lm

from services.science.statistics.effects import two_way_effects
from services.science.streams import Purpose, stream


def grid(*sizes: int) -> list[np.ndarray]:
    return [axis.ravel() for axis in np.meshgrid(*(range(size) for size in sizes), indexing="ij")]


@pytest.mark.parametrize("dropped", [0, 7, 20])
def test_balanced_and_unbalanced_are_statsmodels_type_two(dropped: int) -> None:
    rng = stream(dropped, Purpose.RESAMPLING)
    a, b, seed = grid(3, 4, 5)
    y = rng.normal(size=60) + 0.5 * a + 0.2 * seed + 0.3 * (a == 1) * (b == 2)
    rows = rng.permutation(60)[dropped:]
    frame = pd.DataFrame({"y": y, "a": a, "b": b, "s": seed}).iloc[rows]
    theirs = anova_lm(ols("y ~ C(s) + C(a) * C(b)", frame).fit(), typ=2)
    table = two_way_effects(frame.y, {"a": list(frame.a), "b": list(frame.b)}, list(frame.s))
    assert [effect.axes for effect in table.effects] == [("a",), ("b",), ("a", "b")]
    for effect, row in zip(table.effects, ("C(a)", "C(b)", "C(a):C(b)"), strict=True):
        assert effect.df == theirs.loc[row, "df"]
        assert effect.sum_squares == pytest.approx(theirs.loc[row, "sum_sq"], rel=1e-8)
        assert effect.f == pytest.approx(theirs.loc[row, "F"], rel=1e-8)
        assert effect.p_value == pytest.approx(theirs.loc[row, "PR(>F)"], rel=1e-7)
        share = theirs.loc[row, "sum_sq"] / (theirs.loc[row, "sum_sq"] + theirs.loc["Residual", "sum_sq"])
        assert effect.partial_eta_squared == pytest.approx(share, rel=1e-8)
    assert table.residual_df == theirs.loc["Residual", "df"]
    assert table.residual_sum_squares == pytest.approx(theirs.loc["Residual", "sum_sq"], rel=1e-8)


def test_three_axes_are_statsmodels_too() -> None:
    rng = stream(3, Purpose.RESAMPLING)
    a, b, c, seed = grid(2, 3, 2, 3)
    y = rng.normal(size=36) + a * c
    frame = pd.DataFrame({"y": y, "a": a, "b": b, "c": c, "s": seed}).iloc[2:]
    theirs = anova_lm(ols("y ~ C(s) + (C(a) + C(b) + C(c))**2", frame).fit(), typ=2)
    table = two_way_effects(frame.y, {name: list(frame[name]) for name in "abc"}, list(frame.s))
    for effect in table.effects:
        assert effect.f == pytest.approx(theirs.loc[":".join(f"C({name})" for name in effect.axes), "F"], rel=1e-8)


def test_one_axis_with_seeds_is_the_repeated_measures_f() -> None:
    """With two levels and seeds as blocks, F is the square of the paired t."""
    rng = stream(4, Purpose.RESAMPLING)
    x, y = rng.normal(size=8), rng.normal(size=8)
    table = two_way_effects([*x, *y], {"arm": ["x"] * 8 + ["y"] * 8}, [*range(8), *range(8)])
    paired = stats.ttest_rel(x, y)
    assert table.effects[0].f == pytest.approx(paired.statistic**2, rel=1e-10)
    assert table.effects[0].p_value == pytest.approx(paired.pvalue, rel=1e-8)


def test_a_missing_cell_takes_its_degree_of_freedom() -> None:
    a, b, seed = grid(2, 2, 6)
    y = stream(5, Purpose.RESAMPLING).normal(size=24)
    present = ~((a == 1) & (b == 1))
    table = two_way_effects(y[present], {"a": list(a[present]), "b": list(b[present])}, list(seed[present]))
    # With three of four cells the interaction cannot be told from the main effects.
    assert [effect.axes for effect in table.effects] == [("a",), ("b",)]
    assert all(effect.p_value is not None for effect in table.effects)


def test_nothing_to_estimate_the_error_from() -> None:
    table = two_way_effects([1.0, 2.0, 3.0, 5.0], {"a": [0, 0, 1, 1], "b": [0, 1, 0, 1]})
    assert table.residual_df == 0
    assert all(effect.f is None and effect.p_value is None for effect in table.effects)
    flat = two_way_effects([1.0] * 8, {"a": [0, 0, 0, 0, 1, 1, 1, 1]}, [0, 1, 2, 3] * 2)
    assert flat.effects[0].f is None
    assert two_way_effects([], {"a": []}).effects == ()
    assert two_way_effects([1.0, 2.0], {"a": ["same", "same"]}).effects == ()


def test_levels_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="'a' has 1 levels for 2 values"):
        two_way_effects([1.0, 2.0], {"a": [1]})
    with pytest.raises(ValueError, match="'block' has 3 levels"):
        two_way_effects([1.0, 2.0], {"a": [1, 2]}, [1, 2, 3])
