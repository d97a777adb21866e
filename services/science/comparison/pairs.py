"""Pairs of arms on their common seeds, all at once."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import special

from services.science.comparison.arms import ArmData, bounds, number, sample_mean
from services.science.comparison.input import CiMethod
from services.science.comparison.models import ArmName, Bounds, Difference, PairResult
from services.science.statistics.intervals import bca_interval
from services.science.statistics.multiplicity import holm
from services.science.statistics.permutation import (
    DRAWS,
    EXACT_LIMIT,
    exact_sign_flip_p,
    min_attainable_p,
    monte_carlo_sign_flip_p,
)
from services.science.statistics.power import seeds_for_power, seeds_to_reach
from services.science.statistics.proportions import fisher_exact_p
from services.science.streams import Purpose, stream

Floats = NDArray[np.float64]

MOST_PAIRS = 435
"""All pairs of thirty arms. With more arms only the pairs with the best arm are listed."""
PAIR_STREAM = 2
"""Index of the resampling stream of the pairs' bootstrap; 0 flips signs, 1 resamples the arms."""
_MOST_SUMS = 50_000_000
"""Bound on Monte Carlo draws times listed pairs."""


class PairTests:
    """Paired tests between arms, adjusted for all pairs of arms whether or not they are listed.

    Args:
        arms: in the ranking's order, so that the best stands first.
        alpha: level of the family, 1 - confidence.
        lower_is_better: direction of the metric.
        seed: of the Monte Carlo sign patterns (above thirty common seeds).
    """

    def __init__(self, arms: Sequence[ArmData], alpha: float, lower_is_better: bool, seed: int) -> None:
        """Lay out one value per arm and seed, NaN where there is none."""
        self.arms = arms
        self.alpha = alpha
        self.lower_is_better = lower_is_better
        self.seed = seed
        seeds = sorted({int(seed) for arm in arms for seed in arm.seeds})
        column = {seed: index for index, seed in enumerate(seeds)}
        self.values = np.full((len(arms), len(seeds)), np.nan)
        for row, arm in enumerate(arms):
            self.values[row, [column[int(seed)] for seed in arm.seeds]] = arm.values
        count = len(arms)
        self.total = count * (count - 1) // 2
        rows, columns = np.triu_indices(count, 1)
        if self.total > MOST_PAIRS:
            with_best = rows == 0
            rows, columns = rows[with_best], columns[with_best]
        self.a, self.b = rows, columns
        present = (~np.isnan(self.values)).astype(np.int64)
        self.family = int(np.sum(np.triu(present @ present.T, 1) > 0))
        """Pairs with at least one common seed: the number of tests that the adjustment is for."""
        # Enough draws for the adjustment, within reason.
        most = max(DRAWS, _MOST_SUMS // max(rows.size, 1))
        self.draws = int(np.clip(np.ceil(2 * self.family / alpha), DRAWS, most))
        self.p = self._p_values(self.values[self.a] - self.values[self.b])
        self.p_holm = holm(self.p, total=self.family)
        shares = [
            fisher_exact_p(arms[a].diverged, arms[a].results, arms[b].diverged, arms[b].results)
            if arms[a].results and arms[b].results
            else np.nan
            for a, b in zip(rows.tolist(), columns.tolist(), strict=True)
        ]
        with_results = sum(arm.results > 0 for arm in arms)
        self.share_family = with_results * (with_results - 1) // 2
        """Pairs of arms with results: the number of tests that the adjustment of the diverged shares is for."""
        self.share_p = np.array(shares, dtype=np.float64)
        self.share_p_holm = holm(self.share_p, total=self.share_family)
        self._listed = {(int(a), int(b)): index for index, (a, b) in enumerate(zip(rows, columns, strict=True))}

    def worse(self, leader: int, arm: int) -> bool:
        """Whether a test finds that the arm diverged more than the leader, or that its mean is worse.

        Of a listed pair the adjusted p decides, of another Bonferroni's.
        """
        return self._diverged_more(leader, arm) or (self._means_apart(leader, arm) and self._ahead(leader, arm))

    def _ahead(self, leader: int, arm: int) -> bool:
        """Whether the leader is better on the common seeds."""
        gap = float(np.nansum(self.values[leader] - self.values[arm]))
        return gap < 0 if self.lower_is_better else gap > 0

    def _diverged_more(self, leader: int, arm: int) -> bool:
        one, other = self.arms[leader], self.arms[arm]
        if not one.results or not other.results or other.diverged * one.results <= one.diverged * other.results:
            return False
        index = self._listed.get((min(leader, arm), max(leader, arm)))
        if index is not None:
            return bool(self.share_p_holm[index] <= self.alpha)
        p = fisher_exact_p(one.diverged, one.results, other.diverged, other.results)
        return p * self.share_family <= self.alpha

    def _means_apart(self, a: int, b: int) -> bool:
        index = self._listed.get((min(a, b), max(a, b)))
        if index is not None:
            return bool(self.p_holm[index] <= self.alpha)
        difference = (self.values[a] - self.values[b])[None]
        floor = min_attainable_p(int(np.sum(~np.isnan(difference))), self.draws)
        if floor is None or floor * self.family > self.alpha:
            return False
        return bool(self._p_values(difference)[0] * self.family <= self.alpha)

    def results(self, confidence: float, ci_method: CiMethod = "t") -> list[PairResult]:
        """The listed pairs, in the ranking's order.

        Args:
            confidence: of the intervals of the mean differences.
            ci_method: how these are made; the tests and what they decide stay the same.
        """
        if self.a.size == 0:
            return []
        d = self.values[self.a] - self.values[self.b]
        both = ~np.isnan(d)
        n = both.sum(axis=1)
        filled = np.where(both, d, 0.0)
        mean = np.divide(filled.sum(axis=1), n, out=np.full(n.size, np.nan), where=n > 0)
        centred = np.where(both, d - mean[:, None], 0.0)
        spread = np.sqrt(np.divide((centred**2).sum(axis=1), n - 1, out=np.full(n.size, np.nan), where=n > 1))
        # What is only rounding of a constant difference is no spread.
        spread[spread <= 1e-12 * np.abs(filled).max(axis=1, initial=0.0)] = 0.0
        margin = special.stdtrit(np.maximum(n - 1, 1), (1 + confidence) / 2) * spread / np.sqrt(np.maximum(n, 1))
        size = np.divide(mean, spread, out=np.full(n.size, np.nan), where=spread > 0)
        corrected = np.where(n > 2, size * (1 - 3 / np.maximum(4 * n - 5, 1)), np.nan)
        better = np.where(both, (np.sign(filled) * (-1 if self.lower_is_better else 1) + 1) / 2, 0.0)
        improvement = np.divide(better.sum(axis=1), n, out=np.full(n.size, np.nan), where=n > 0)
        needed = self._seeds_needed(mean, spread, size)

        pairs: list[PairResult] = []
        for i in range(n.size):
            floor = min_attainable_p(int(n[i]), self.draws)
            pairs.append(
                PairResult(
                    a=self._name(int(self.a[i])),
                    b=self._name(int(self.b[i])),
                    n=int(n[i]),
                    difference=Difference(
                        mean=number(mean[i]),
                        ci=self._bca(d[i, both[i]], confidence)
                        if ci_method == "bca"
                        else Bounds(
                            low=number(mean[i] - margin[i]),
                            high=number(mean[i] + margin[i]),
                            method="t",
                            confidence=confidence,
                        ),
                    ),
                    p_value=number(self.p[i]),
                    p_holm=number(self.p_holm[i]),
                    method=_method(int(n[i])),
                    min_attainable_p=floor,
                    can_reach_alpha=floor is not None and floor * self.family <= self.alpha,
                    distinguishable=bool(self.p_holm[i] <= self.alpha),
                    effect_size=number(size[i]),
                    effect_size_corrected=number(corrected[i]),
                    probability_of_improvement=number(improvement[i]),
                    seeds_needed=int(needed[i]) if np.isfinite(needed[i]) else None,
                    diverged_p_value=number(self.share_p[i]),
                    diverged_p_holm=number(self.share_p_holm[i]),
                )
            )
        return pairs

    def _name(self, index: int) -> ArmName:
        source = self.arms[index].source
        return ArmName(key=source.key, label=source.label)

    def _bca(self, differences: Floats, confidence: float) -> Bounds:
        """Every pair from the same stream, so that its interval does not depend on which other pairs there are."""
        rng = stream(self.seed, Purpose.RESAMPLING, PAIR_STREAM)
        return bounds(bca_interval(differences, sample_mean, confidence, rng))

    def _p_values(self, differences: Floats) -> Floats:
        both = ~np.isnan(differences)
        n = both.sum(axis=1)
        p = np.full(n.size, np.nan)
        for i in np.flatnonzero((n > 0) & (n <= EXACT_LIMIT)):
            p[i] = exact_sign_flip_p(differences[i, both[i]])
        many = np.flatnonzero(n > EXACT_LIMIT)
        if many.size:
            # A seed that one of the arms lacks is a zero, which no sign changes.
            filled = np.where(both[many], differences[many], 0.0).T
            p[many] = monte_carlo_sign_flip_p(filled, stream(self.seed, Purpose.RESAMPLING, 0), self.draws)
        return p

    def _seeds_needed(self, mean: Floats, spread: Floats, size: Floats) -> Floats:
        tests = max(self.family, 1)
        # A constant difference is an effect without limit; no difference at all is none.
        effect = np.where((spread == 0) & (mean != 0), np.inf, np.where(spread == 0, 0.0, size))
        return np.maximum(seeds_for_power(effect, self.alpha / tests), seeds_to_reach(self.alpha, tests))


def _method(n: int) -> str:
    if n == 0:
        return "none"
    return "sign_flip_exact" if n <= EXACT_LIMIT else "sign_flip_monte_carlo"
