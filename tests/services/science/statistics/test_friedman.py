import numpy as np
import pytest
from scipy import stats

from services.science.statistics.friedman import critical_difference, friedman_test, nemenyi_p_values
from services.science.streams import Purpose, stream

# Demsar (2006), JMLR 7, table 6: AUC of four variants of C4.5 on fourteen data sets. In the row of "voting" the last
# two are printed alike and ranked 2 and 3: the third is raised by what rounding hides.
AUC = np.array(
    [
        [0.763, 0.768, 0.771, 0.798],
        [0.599, 0.591, 0.590, 0.569],
        [0.954, 0.971, 0.968, 0.967],
        [0.628, 0.661, 0.654, 0.657],
        [0.882, 0.888, 0.886, 0.898],
        [0.936, 0.931, 0.916, 0.931],
        [0.661, 0.668, 0.609, 0.685],
        [0.583, 0.583, 0.563, 0.625],
        [0.775, 0.838, 0.866, 0.875],
        [1.000, 1.000, 1.000, 1.000],
        [0.940, 0.962, 0.965, 0.962],
        [0.619, 0.666, 0.614, 0.669],
        [0.972, 0.981, 0.9751, 0.975],
        [0.957, 0.978, 0.946, 0.970],
    ]
)


def test_demsars_numbers() -> None:
    test = friedman_test(AUC)
    assert test.mean_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    assert test.chi_square == pytest.approx(9.28, abs=0.005)
    assert test.f == pytest.approx(3.69, abs=0.005)
    assert stats.f.ppf(0.95, 3, 39) == pytest.approx(2.85, abs=0.006)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(4, 14, 0.10) == pytest.approx(1.12, abs=0.005)


def test_ties_are_corrected_as_scipy_does() -> None:
    theirs = stats.friedmanchisquare(*AUC.T)
    test = friedman_test(AUC)
    assert test.tie_corrected == pytest.approx(theirs.statistic, rel=1e-12)
    assert test.tie_corrected == pytest.approx(10.2283, abs=1e-4)
    assert test.tie_corrected_p == pytest.approx(theirs.pvalue, rel=1e-9)


def test_nemenyi() -> None:
    p = nemenyi_p_values(friedman_test(AUC))
    upper = p[np.triu_indices(4, 1)]
    assert upper == pytest.approx([0.0887, 0.9562, 0.0742, 0.2592, 0.9999, 0.2267], abs=1e-4)
    assert np.array_equal(p, p.T)


@pytest.mark.parametrize(
    ("arms", "q_05", "q_10"),
    [(2, 1.960, 1.645), (3, 2.344, 2.052), (4, 2.569, 2.291), (5, 2.728, 2.459), (6, 2.850, 2.589), (10, 3.164, 2.920)],
)
def test_demsars_table_of_critical_values(arms: int, q_05: float, q_10: float) -> None:
    unit = np.sqrt(arms * (arms + 1) / 6)
    # The published table is rounded from one that was itself rounded.
    assert critical_difference(arms, 1) / unit == pytest.approx(q_05, abs=1.1e-3)
    assert critical_difference(arms, 1, 0.1) / unit == pytest.approx(q_10, abs=1.1e-3)


def test_direction_and_edges() -> None:
    x = stream(3, Purpose.RESAMPLING).normal(size=(6, 3))
    assert friedman_test(x).mean_ranks == pytest.approx(friedman_test(-x, lower_is_better=True).mean_ranks)
    unanimous = friedman_test(np.tile([1.0, 2.0, 3.0], (5, 1)))
    assert unanimous.f is None
    assert unanimous.mean_ranks.tolist() == [3.0, 2.0, 1.0]
    flat = friedman_test(np.ones((4, 3)))
    assert (flat.tie_corrected, flat.chi_square) == (None, pytest.approx(0.0))
    with pytest.raises(ValueError, match="finite table"):
        friedman_test([[1.0, 2.0]])
