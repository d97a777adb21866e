"""A decided claim in one plain sentence, true to its numbers."""

from services.science.hypotheses.ast import Hypothesis
from services.science.hypotheses.models import ClaimResult


def sentence(result: ClaimResult, claim: Hypothesis, alpha: float) -> str:
    """Say what became of a claim, and why.

    Args:
        result: everything but the sentence.
        claim: as it was read.
        alpha: level of the whole family of claims.
    """
    if result.n == 0 or result.difference.mean is None:
        return f"{result.verdict.capitalize()}: {_without_numbers(result)}."
    interval = result.difference.ci
    measured = _measured(result, claim)
    if interval.low is not None and interval.high is not None:
        percent = f"{100 * interval.confidence:g}"
        measured += (
            f" ({percent} % interval of the difference {interval.low:.4g} to {interval.high:.4g}, {_seeds(result.n)})"
        )
    else:
        measured += f" ({_seeds(result.n)})"
    return f"{result.verdict.capitalize()}: {measured}{_why(result, alpha)}."


def _measured(result: ClaimResult, claim: Hypothesis) -> str:
    mean = result.difference.mean or 0.0
    if not claim.right.terms and len(claim.left.terms) == 1 and result.quantities[0].mean is not None:
        value = f"{claim.left} is {result.quantities[0].mean:.4g}"
        if mean == 0:
            return f"{value}, no more and no less than {claim.right}"
        return f"{value}, {abs(mean):.4g} {'above' if mean > 0 else 'below'} {claim.right}"
    if mean == 0:
        return f"{claim.left} and {claim.right} have the same mean"
    return f"{claim.left} is {abs(mean):.4g} {'more' if mean > 0 else 'less'} than {claim.right}"


def _why(result: ClaimResult, alpha: float) -> str:
    if result.method == "equal":
        return ", equal at every seed"
    if result.p_holm is None:
        return ", and no test can be made"
    adjusted = f"adjusted p {result.p_holm:.3g}"
    if result.verdict != "undecided":
        return f", {adjusted}"
    needed = f"about {_seeds(result.seeds_needed)} would decide it" if result.seeds_needed else ""
    if not result.can_reach_alpha:
        reason = f"{_seeds(result.n)} cannot reach {alpha:.3g} with so many claims"
    else:
        reason = f"{adjusted} is above {alpha:.3g}"
    return f"; {reason}" + (f", {needed}" if needed else "")


def _without_numbers(result: ClaimResult) -> str:
    if result.n == 0:
        return "no seed has a result on both sides"
    reason = f"{_seeds(result.n)}, and at each of them one side diverged"
    return reason if result.p_holm is None else f"{reason}, adjusted p {result.p_holm:.3g}"


def _seeds(count: int) -> str:
    return f"{count} seed{'' if count == 1 else 's'}"
