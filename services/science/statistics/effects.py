"""Main effects and two-way interactions of the axes, with the seed as block, by least squares F tests.

Model: value = seed + every axis + every pair of axes + error, all as categories. Sums of squares are of type II: an
axis is tested against the model of everything that does not contain it, a pair of axes against everything else. In a
balanced grid these are the classical ones. Diverged and missing trials are simply absent; what the remaining cells
cannot estimate loses its degrees of freedom, and a term left with none is not reported.

Source: Searle (1971), Linear models, chapter 7; Langsrud (2003), Statistics and Computing 13 (type II).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
_RANK_TOLERANCE = 1e-9


@dataclass(frozen=True)
class Effect:
    """One term. F and p are None where nothing is left to estimate the error from, or the error is zero."""

    axes: tuple[str, ...]
    df: int
    sum_squares: float
    f: float | None
    p_value: float | None
    partial_eta_squared: float | None


@dataclass(frozen=True)
class EffectTable:
    """All terms, in the order of the axes (main effects, then pairs), and the error term."""

    effects: tuple[Effect, ...]
    residual_df: int
    residual_sum_squares: float
    n: int


def two_way_effects(
    values: ArrayLike,
    axes: Mapping[str, Sequence[object]],
    block: Sequence[object] | None = None,
    interactions: bool = True,
) -> EffectTable:
    """Test every axis and every pair of axes.

    Args:
        values: one finite number per trial, shape `(n,)`.
        axes: for each axis the level of every trial, length n. An axis with one level is left out.
        block: the seed of every trial, or None for no blocking.
        interactions: whether pairs of axes enter the model.

    Raises:
        ValueError: lengths that differ.
    """
    y = np.asarray(values, dtype=np.float64)
    lengths = {name: len(levels) for name, levels in axes.items()} | ({} if block is None else {"block": len(block)})
    for name, length in lengths.items():
        if length != y.size:
            raise ValueError(f"axis {name!r} has {length} levels for {y.size} values")
    mains = {name: coded for name, levels in axes.items() if (coded := _contrasts(levels)).shape[1]}
    terms: dict[tuple[str, ...], Floats] = {(name,): coded for name, coded in mains.items()}
    if interactions:
        terms |= {(a, b): _products(mains[a], mains[b]) for a, b in combinations(mains, 2)}
    base = [np.ones((y.size, 1))] + ([_contrasts(block)] if block is not None else [])
    if y.size == 0:
        return EffectTable((), 0, 0.0, 0)

    # One QR of the whole design; each smaller model is then a small problem in the columns of R.
    widths = [part.shape[1] for part in [*base, *terms.values()]]
    edges = np.cumsum([0, *widths])
    q, r = np.linalg.qr(np.concatenate([*base, *terms.values()], axis=1))
    projected = q.T @ y
    outside = float(np.sum((y - q @ projected) ** 2))
    columns = {term: np.arange(edges[i], edges[i + 1]) for i, term in enumerate(terms, start=len(base))}
    always = np.arange(int(edges[len(base)]))

    def fit(factors: Sequence[tuple[str, ...]]) -> tuple[float, int]:
        return _fit(r[:, np.concatenate([always, *(columns[term] for term in factors)])], projected, outside)

    full_rss, full_rank = fit(list(terms))
    residual_df = y.size - full_rank
    # A residual that is rounding only is no error estimate.
    scale = float(np.sum((y - y.mean()) ** 2))
    full_rss = full_rss if full_rss > 1e-20 * max(scale, float(np.sum(y**2)) * 1e-6) else 0.0
    effects: list[Effect] = []
    for term in terms:
        others = [other for other in terms if not set(term) <= set(other)]
        without, rank_without = fit(others)
        with_it, rank_with = fit([*others, term])
        if rank_with > rank_without:
            gain = max(0.0, without - with_it)
            effects.append(_effect(term, rank_with - rank_without, gain, full_rss, residual_df))
    return EffectTable(tuple(effects), residual_df, full_rss, y.size)


def _effect(term: tuple[str, ...], df: int, gain: float, error: float, error_df: int) -> Effect:
    if error_df < 1 or error <= 0:
        return Effect(term, df, gain, None, None, None)
    f = (gain / df) / (error / error_df)
    return Effect(term, df, gain, f, float(special.fdtrc(df, error_df, f)), gain / (gain + error))


def _fit(design: Floats, target: Floats, outside: float) -> tuple[float, int]:
    """Residual sum of squares and rank; columns that the cells at hand cannot tell apart are harmless."""
    solution, _, rank, _ = np.linalg.lstsq(design, target, rcond=_RANK_TOLERANCE)
    return float(np.sum((target - design @ solution) ** 2)) + outside, int(rank)


def _contrasts(levels: Sequence[object]) -> Floats:
    """Sum-to-zero columns of a category, shape `(n, levels - 1)`."""
    names: dict[object, int] = {}
    codes = np.array([names.setdefault(level, len(names)) for level in levels], dtype=np.intp)
    columns = np.eye(len(names))[:, :-1]
    columns[-1:] = -1.0
    return columns[codes]


def _products(a: Floats, b: Floats) -> Floats:
    return (a[:, :, None] * b[:, None, :]).reshape(a.shape[0], -1)
