"""Many tests at once: Holm's step-down adjustment."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p_values: ArrayLike, total: int | None = None) -> NDArray[np.float64]:
    """Holm-adjusted p-values: rejecting where one is at most alpha keeps the family-wise error at most alpha.

    Args:
        p_values: shape `(m,)`. NaN marks a test that could not be made: it stays NaN and does not count.
        total: size of the family when only some of its tests are at hand; the absent ones are taken as coming last,
            which can only raise the adjusted values. None means the tests given.

    Source: Holm (1979), A simple sequentially rejective multiple test procedure, Scand. J. Statistics 6.
    """
    p, made = _checked(p_values)
    family = int(made.sum()) if total is None else total
    if family < made.sum():
        raise ValueError(f"total must be at least the number of tests made, {int(made.sum())}, not {total}")
    ascending = np.argsort(p[made], kind="stable")
    factors = family - np.arange(ascending.size)
    stepped = np.maximum.accumulate(p[made][ascending] * factors)
    return _put_back(p, made, ascending, stepped)


def _checked(p_values: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1:
        raise ValueError(f"p_values must be one-dimensional, not of shape {p.shape}")
    made = ~np.isnan(p)
    if np.any((p[made] < 0) | (p[made] > 1)):
        raise ValueError("every p-value must lie between 0 and 1")
    return p, made


def _put_back(
    p: NDArray[np.float64], made: NDArray[np.bool_], ascending: NDArray[np.intp], stepped: NDArray[np.float64]
) -> NDArray[np.float64]:
    adjusted = np.full(p.shape, np.nan)
    within = np.empty(ascending.size)
    within[ascending] = np.minimum(stepped, 1.0)
    adjusted[made] = within
    return adjusted
