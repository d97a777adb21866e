"""Decide claims from what was measured: paired over seeds, and adjusted for how many claims there are."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from services.science.comparison.arms import bounds, number
from services.science.comparison.models import Difference
from services.science.hypotheses.ast import Relation
from services.science.hypotheses.binding import BoundHypothesis, BoundTerm
from services.science.hypotheses.decision import Decision, decide, decide_share
from services.science.hypotheses.models import ClaimQuantity, ClaimResult, ClaimResults, Test, Verdict
from services.science.hypotheses.quantities import quantity_values, smaller_is_better
from services.science.hypotheses.sentences import sentence
from services.science.results import ExperimentResults, Outcome
from services.science.statistics.intervals import t_interval
from services.science.statistics.multiplicity import holm
from services.science.statistics.paired import cohen_dz
from services.science.statistics.power import seeds_for_power, seeds_to_reach

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Measured:
    """A claim's numbers before the adjustment."""

    claim: BoundHypothesis
    quantities: list[ClaimQuantity]
    differences: Floats
    decision: Decision
    notes: list[str]


def evaluate(
    claims: Sequence[BoundHypothesis],
    data: ExperimentResults,
    confidence: float = 0.95,
    test: Test = "sign_flip",
    seed: int = 0,
) -> ClaimResults:
    """Decide every claim of an experiment.

    Both sides are taken seed by seed. A claim is upheld, or refuted, where the difference lies on its side, or on the
    other, and a two-sided test of it survives Holm's adjustment over all claims; else it is undecided. `within` is
    upheld where the difference is told apart from both ends of the tolerance.

    Args:
        claims: in the order of the spec.
        data: arms in the order of the grid that the claims were bound to, with the curves of the claims' metrics.
        confidence: of the intervals; 1 - confidence is the level of the whole family.
        test: the sign-flip test assumes nothing about the distribution; the t test assumes normal differences, and can
            decide with fewer seeds.
        seed: of the Monte Carlo tests above thirty seeds.
    """
    alpha = round(1 - confidence, 12)
    measured = [_measure(claim, data, confidence, test, seed) for claim in claims]
    raw = np.array([np.nan if m.decision.p is None else m.decision.p for m in measured], dtype=np.float64)
    adjusted = holm(raw)
    family = max(1, int(np.sum(~np.isnan(raw))))
    return ClaimResults(
        confidence=confidence,
        test=test,
        items=[
            _result(index, item, number(p), alpha, confidence, family)
            for index, (item, p) in enumerate(zip(measured, adjusted, strict=True))
        ],
    )


def _measure(claim: BoundHypothesis, data: ExperimentResults, confidence: float, test: Test, seed: int) -> _Measured:
    seeds = len(data.seeds)
    total = np.full(seeds, claim.constant)
    # Two that are both not there yet have no order: the seed says nothing, as little as one at which both diverged.
    nobody = np.full(seeds, len(claim.terms) > 1)
    quantities: list[ClaimQuantity] = []
    for term in claim.terms:
        values, quantity = _per_seed(term, data)
        quantities.append(quantity)
        nobody &= (term.quantity.statistic == "epochs_to") & (values > data.epochs)
        # Worse than any number on both sides is no difference that can be named.
        with np.errstate(invalid="ignore"):
            total = total + term.factor * values
    differences = total[~np.isnan(total) & ~nobody]
    relation, tolerance = claim.claim.relation, claim.claim.tolerance
    if len(claim.terms) == 1 and claim.terms[0].quantity.statistic == "diverged":
        decision = _share(claim, quantities[0], confidence)
    else:
        decision = decide(differences, relation, tolerance, test, seed)
    return _Measured(
        claim, quantities, differences, decision, [*_notes(claim, data, quantities, differences), *decision.notes]
    )


def _per_seed(term: BoundTerm, data: ExperimentResults) -> tuple[Floats, ClaimQuantity]:
    """The term's quantity at every seed, over its arms or of the one it picks."""
    values = quantity_values(term.quantity, term.arms, data)
    used = list(term.arms)
    if term.quantity.selector.pick is not None:
        place = _picked(values, term)
        values, used = values[place : place + 1], [used[place]]
    merged = values.mean(axis=0)
    finite = merged[np.isfinite(merged)]
    return merged, ClaimQuantity(
        text=str(term.quantity),
        arms=[data.arms[arm].label for arm in term.arms],
        chosen=data.arms[used[0]].label if term.quantity.selector.pick is not None else None,
        mean=number(finite.mean()) if finite.size else None,
        trials=len(used) * values.shape[1],
        diverged=int(data.having(Outcome.DIVERGED)[used].sum()),
        missing=int(data.having(Outcome.MISSING)[used].sum()),
    )


def _share(claim: BoundHypothesis, quantity: ClaimQuantity, confidence: float) -> Decision:
    """A share of diverged trials against a number."""
    factor = claim.terms[0].factor
    turned: dict[Relation, Relation] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "within": "within"}
    relation = claim.claim.relation if factor > 0 else turned[claim.claim.relation]
    return decide_share(
        quantity.diverged,
        quantity.trials - quantity.missing,
        relation,
        bound=-claim.constant / factor,
        tolerance=claim.claim.tolerance / abs(factor),
        confidence=confidence,
    )


def _picked(values: Floats, term: BoundTerm) -> int:
    """The best or worst arm by its mean; an arm that diverges more is worse, one without results is never picked."""
    sign = 1.0 if smaller_is_better(term.quantity) else -1.0
    keys: list[tuple[int, float]] = []
    for row in values:
        finite = row[np.isfinite(row)]
        keys.append((int(np.isinf(row).sum()), sign * float(finite.mean()) if finite.size else np.inf))
    there = [place for place, row in enumerate(values) if not np.isnan(row).all()] or [0]
    pick = min if term.quantity.selector.pick == "best" else max
    return pick(there, key=lambda place: keys[place])


def _notes(
    claim: BoundHypothesis, data: ExperimentResults, quantities: Sequence[ClaimQuantity], differences: Floats
) -> list[str]:
    notes: list[str] = []
    if any(quantity.chosen for quantity in quantities):
        notes.append("the arm that best or worst picks is chosen by the seeds that judge it, which flatters it")
    infinite = int(np.isinf(differences).sum())
    if infinite:
        notes.append(
            f"at {infinite} seed{'s' if infinite > 1 else ''} one side diverged and counts as the worse one; the "
            "difference and its interval leave these seeds out"
        )
    for term, quantity in zip(claim.terms, quantities, strict=True):
        if term.quantity.statistic == "spread" and quantity.diverged:
            notes.append(f"{quantity.text}: {quantity.diverged} diverged trials are left out of the spread")
        if term.quantity.statistic == "epochs_to":
            values = quantity_values(term.quantity, term.arms, data)
            late = int(np.sum(values > data.epochs))
            if late:
                notes.append(
                    f"{quantity.text}: {late} of {int(np.sum(~np.isnan(values)))} trials are not there after "
                    f"{data.epochs} epochs and count as {data.epochs + 1}"
                )
    return notes


def _result(
    index: int, item: _Measured, p_holm: float | None, alpha: float, confidence: float, family: int
) -> ClaimResult:
    decision = item.decision
    finite = item.differences[np.isfinite(item.differences)]
    floor = decision.floor
    verdict: Verdict = "undecided"
    if decision.certain is not None:
        verdict = decision.certain
    elif p_holm is not None and p_holm <= alpha:
        verdict = decision.leaning
    interval = decision.interval or t_interval(finite, confidence)
    result = ClaimResult(
        index=index,
        claim=item.claim.claim.text,
        verdict=verdict,
        sentence="",
        quantities=item.quantities,
        n=item.differences.size,
        difference=Difference(mean=number(finite.mean()) if finite.size else None, ci=bounds(interval)),
        tolerance=item.claim.claim.tolerance or None,
        p_value=number(decision.p),
        p_holm=p_holm,
        method=decision.method,
        min_attainable_p=floor,
        can_reach_alpha=floor is not None and floor * family <= alpha,
        effect_size=number(cohen_dz(finite)) if finite.size else None,
        seeds_needed=_needed(finite, decision, alpha, family),
        notes=item.notes,
    )
    return result.model_copy(update={"sentence": sentence(result, item.claim.claim, alpha)})


def _needed(finite: Floats, decision: Decision, alpha: float, family: int) -> int | None:
    """Seeds that decide an effect of the observed size, for the test that was made."""
    if finite.size < 2 or decision.nearest is None:
        return None
    effect = cohen_dz(finite - decision.nearest)
    if effect is None:
        # Differences that do not vary are an effect without limit, or none.
        effect = np.inf if abs(float(finite.mean()) - decision.nearest) > 0 else 0.0
    needed = float(seeds_for_power([effect], alpha / family)[0])
    if not np.isfinite(needed):
        return None
    return int(needed) if decision.method == "t" else int(max(needed, seeds_to_reach(alpha, family)))
