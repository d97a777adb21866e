"""The tables of a report: a comparison's numbers as the texts of cells."""

from dataclasses import dataclass

from services.science.comparison.models import ArmResult, Bounds, Comparison, PairResult
from services.science.figures.numerals import significant, with_halfwidth

PAIRS_SHOWN = 60
NONE = "–"


@dataclass(frozen=True)
class RankingRow:
    """One arm in the ranking."""

    rank: str
    label: str
    trials: str
    mean: str
    interval: str
    std: str
    best: str
    epochs: str
    gap: str
    energy: str


@dataclass(frozen=True)
class PairRow:
    """One paired difference."""

    a: str
    b: str
    n: int
    difference: str
    interval: str
    p_holm: str
    effect: str
    improvement: str
    seeds_needed: str
    apart: str


@dataclass(frozen=True)
class PairTable:
    """The pairs that are shown, and in words what is left out."""

    rows: tuple[PairRow, ...]
    apart: int
    tested: int
    note: str


@dataclass(frozen=True)
class EffectTableRow:
    """One main effect or interaction."""

    term: str
    df: int
    f: str
    p: str
    share: str


def ranking_rows(comparison: Comparison) -> list[RankingRow]:
    """The arms from best to worst with the numbers a study of initializers is judged by."""
    by_key = {arm.key: arm for arm in comparison.arms}
    return [_ranking_row(by_key[row.key], row.rank) for row in comparison.ranking]


def pair_table(comparison: Comparison) -> PairTable:
    """The pairs with the first arm of the ranking, then the others, most certain first; no more than fit a page."""
    leader = comparison.ranking[0].key if comparison.ranking else ""
    ordered = sorted(
        comparison.pairs,
        key=lambda pair: (pair.n == 0, leader not in (pair.a.key, pair.b.key), _or_one(pair.p_holm)),
    )
    rows = ordered[:PAIRS_SHOWN]
    note = ""
    if len(rows) < comparison.pairs_total:
        note = (
            f"{len(rows)} of {comparison.pairs_total} pairs are shown: those with the first arm of the ranking, then "
            "those with the smallest p. The p-values are adjusted for all pairs with common seeds."
        )
    return PairTable(
        rows=tuple(_pair_row(pair) for pair in rows),
        apart=sum(pair.distinguishable for pair in comparison.pairs),
        tested=sum(pair.n > 0 for pair in comparison.pairs),
        note=note,
    )


def effect_rows(comparison: Comparison) -> list[EffectTableRow]:
    """Main effects and interactions of the axes."""
    if comparison.effects is None:
        return []
    return [
        EffectTableRow(
            term=" × ".join(axis.replace("_", " ") for axis in term.axes),
            df=term.df,
            f=_number(term.f, 3),
            p=p_text(term.p_value),
            share=NONE if term.partial_eta_squared is None else f"{100 * term.partial_eta_squared:.1f} %",
        )
        for term in comparison.effects.terms
    ]


def p_text(value: float | None) -> str:
    """A p-value as it is printed: never as zero."""
    if value is None:
        return NONE
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def _ranking_row(arm: ArmResult, rank: int | None) -> RankingRow:
    best, convergence, gap = arm.accuracy.best, arm.convergence, arm.generalization
    mean, _ = _mean_and_margin(arm.mean, arm.ci)
    return RankingRow(
        rank=NONE if rank is None else str(rank),
        label=arm.label,
        trials=_trials(arm),
        mean=mean,
        interval=_interval(arm.ci),
        std=_number(arm.std, 2),
        best=NONE if best is None or best.mean is None else _mean_and_margin(best.mean, best.ci)[0],
        epochs=NONE
        if convergence is None or convergence.restricted_mean is None
        else f"{convergence.restricted_mean:.1f}"
        + (f" ({convergence.reached} of {convergence.n} reach it)" if convergence.censored else ""),
        gap=NONE if gap is None else _number(gap.gap.mean, 2),
        energy=NONE
        if arm.environment is None or arm.environment.joules_per_trial is None
        else f"{_number(arm.environment.joules_per_trial, 3)} J",
    )


def _trials(arm: ArmResult) -> str:
    parts = [str(arm.n)]
    if arm.diverged:
        parts.append(f"{arm.diverged} diverged")
    if arm.missing:
        parts.append(f"{arm.missing} missing")
    return ", ".join(parts)


def _pair_row(pair: PairResult) -> PairRow:
    difference, _ = _mean_and_margin(pair.difference.mean, pair.difference.ci, signed=True)
    return PairRow(
        a=pair.a.label,
        b=pair.b.label,
        n=pair.n,
        difference=difference,
        interval=_interval(pair.difference.ci),
        p_holm=p_text(pair.p_holm),
        effect=_number(pair.effect_size_corrected, 2),
        improvement=NONE
        if pair.probability_of_improvement is None
        else f"{100 * pair.probability_of_improvement:.0f} %",
        seeds_needed=NONE if pair.seeds_needed is None else str(pair.seeds_needed),
        apart=NONE if pair.n == 0 else "yes" if pair.distinguishable else "no",
    )


def _mean_and_margin(mean: float | None, ci: Bounds, *, signed: bool = False) -> tuple[str, str]:
    if mean is None:
        return NONE, ""
    half = None if ci.low is None or ci.high is None else (ci.high - ci.low) / 2
    text, margin = with_halfwidth(mean, half)
    return (f"+{text}" if signed and mean > 0 else text).replace("-", "−"), margin


def _interval(ci: Bounds) -> str:
    if ci.low is None or ci.high is None:
        return NONE
    half = (ci.high - ci.low) / 2
    low, high = with_halfwidth(ci.low, half)[0], with_halfwidth(ci.high, half)[0]
    return f"{low} to {high}".replace("-", "−")


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else significant(value, digits).replace("-", "−")


def _or_one(value: float | None) -> float:
    return 1.0 if value is None else value
