"""The sentence of a comparison: what the numbers say, and no more."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from services.science.comparison.models import ArmResult, PairResult, RankRow
from services.science.statistics.directions import Direction
from services.science.statistics.power import seeds_to_reach

_NAMED = 4
_ROUNDING = 1e-12
"""Means closer than this share of them are equal: what parts them is the order in which they were summed."""


@dataclass(frozen=True)
class Question:
    """The question that the sentence answers.

    Attributes:
        metric: such as ``val_loss``.
        direction: which end of it is better.
        at: final, best or auc.
        confidence: of the intervals; the level of the tests is 1 minus it.
        tested: pairs that the p-values are adjusted for.
        unlike: in what the arms' experiments differ beside the arms.
    """

    metric: str
    direction: Direction
    at: str
    confidence: float
    tested: int
    unlike: Sequence[str] = ()

    @property
    def what(self) -> str:
        """The number of each trial."""
        metric = self.metric
        words = {
            "final": f"final {metric}",
            "best": f"best-epoch {metric}",
            "auc": f"{metric} averaged over the epochs",
        }
        return words[self.at]

    @property
    def best(self) -> str:
        """The superlative."""
        return "lowest" if self.direction == "lower" else "highest"

    @property
    def sign(self) -> int:
        """What makes a better number the larger one."""
        return -1 if self.direction == "lower" else 1

    @property
    def percent(self) -> str:
        """The confidence, as it is said."""
        return f"{100 * self.confidence:.4g} %"

    @property
    def alpha(self) -> float:
        """The level of the tests."""
        return round(1 - self.confidence, 12)

    @property
    def level(self) -> str:
        """The level of the tests, as it is said."""
        return f"{self.alpha:.3g}"


def verdict_sentence(
    question: Question, arms: Sequence[ArmResult], ranking: Sequence[RankRow], pairs: Sequence[PairResult]
) -> str:
    """One plain sentence, true to the numbers: a tie has no winner."""
    by_key = {arm.key: arm for arm in arms}
    ranked = [by_key[row.key] for row in ranking if row.rank is not None]
    if not ranked:
        return "No trial has a result yet, so there is nothing to compare."
    leader, others = ranked[0], ranked[1:]
    if leader.mean is None:
        total = sum(arm.n for arm in arms)
        return f"Every trial with a result diverged ({total} of {total}), so no arm has a {question.metric} to compare."
    pair_of = {pair.b.key: pair for pair in pairs if pair.a.key == leader.key}
    first = {row.key for row in ranking if row.rank == 1}
    peers = [arm for arm in others if arm.key in first]
    below = others[len(peers) :]
    if len(arms) == 1:
        body = f"There is only one arm, {leader.label}, with {_level(question, leader)}, and nothing to compare it with"
    elif not others:
        body = f"{leader.label} is the only arm with results, with {_level(question, leader)}, so nothing is compared"
    elif not peers:
        body = _winner(question, leader, others, pair_of)
    else:
        body = _tie(question, leader, peers, below, pair_of)
    return f"{body}{_left_out(arms)}{_unlike(question)}."


def _winner(question: Question, leader: ArmResult, others: Sequence[ArmResult], pair_of: dict[str, PairResult]) -> str:
    """One arm stands alone on the first rank: by its mean, or because it diverged less."""
    runner = others[0]
    pair = pair_of[runner.key]
    if pair.distinguishable and runner.mean is not None and _gap(question, pair) > 0:
        diverged = " among the arms that diverged least" if _better(question, leader, others) else ""
        return (
            f"{leader.label} has the {question.best} {question.what}{diverged}, {_level(question, leader)}, "
            f"{_ahead(question, pair, leader, runner, True)}{_others(question, others, pair_of)}"
        )
    return (
        f"{leader.label} ranks first because the smallest share of its trials diverged ({leader.diverged} of "
        f"{leader.n}, against {runner.diverged} of {runner.n} of {runner.label}; {_fisher(pair)}), with "
        f"{_level(question, leader)}{_better_but_diverged(question, leader, others)}"
        f"{_others(question, others, pair_of)}"
    )


def _tie(
    question: Question,
    leader: ArmResult,
    peers: Sequence[ArmResult],
    below: Sequence[ArmResult],
    pair_of: dict[str, PairResult],
) -> str:
    """Several arms share the first rank."""
    if better := _better(question, leader, peers):
        shared = _shared_with_better(question, leader, better[0], [leader, *peers], pair_of[better[0].key])
        return f"{shared}{_ranks_below(below, '; ')}"
    where = " among the arms of the first rank" if _better(question, leader, below) else ""
    head = f"{leader.label} has the {question.best} {question.what}{where}"
    equal = [arm for arm in peers if _equal(leader, arm)]
    shares = _shares(leader, peers, pair_of)
    if equal:
        return f"{_exactly(question, leader, equal, peers, pair_of)}{_ranks_below(below, '; ')}{shares}"
    runner = max(peers, key=lambda arm: question.sign * (arm.mean or 0.0))
    pair = pair_of[runner.key]
    tests = sum(1 for arm in (leader, *peers, *below) if arm.mean is not None)
    needed = seeds_to_reach(question.alpha, max(1, tests * (tests - 1) // 2))
    if pair.n < 2 or not pair.can_reach_alpha:
        return f"{_too_few_seeds(question, head, leader, runner, pair, needed)}{shares}"
    seeds = _common(pair, leader, runner)
    return (
        f"{_names([leader, *peers])} cannot be told apart with {seeds} at the {question.level} level"
        f"{_ranks_below(below, ', and ')}: {head}, {_level(question, leader)}, "
        f"{_ahead(question, pair, leader, runner, False)}{_repeated(leader, runner) or _seeds(pair)}{shares}"
    )


def _too_few_seeds(
    question: Question, head: str, leader: ArmResult, runner: ArmResult, pair: PairResult, needed: int
) -> str:
    """No test can tell the two apart; more seeds are asked for where they could help."""
    if pair.n == 0:
        return f"{head}, {_level(question, leader)}, but shares no finished seed with {runner.label} to compare them on"
    ahead = _ahead(question, pair, leader, runner, False)
    if pair.n == 1 and _all_common(pair, leader, runner):
        return (
            f"One seed cannot tell arms apart: {head} in a single run, {ahead}, and at least {needed} seeds are needed"
        )
    if pair.n == 1:
        return (
            f"{leader.label} and {runner.label} share only one finished seed, which cannot tell them apart: {head}, "
            f"{_level(question, leader)}, {ahead}, and at least {needed} common seeds are needed"
        )
    repeated = _repeated(leader, runner)
    more = f"; at least {needed} are needed" if needed > pair.n and not repeated else ""
    return (
        f"{_common(pair, leader, runner)} cannot show a difference at the {question.level} level, because the smallest "
        f"p that they can give is {_p(pair.min_attainable_p)} before adjustment{more}: {head}, "
        f"{_level(question, leader)}, {ahead}{repeated}"
    )


def _all_common(pair: PairResult, leader: ArmResult, runner: ArmResult) -> bool:
    """Whether the two arms finished the same seeds, so that their means are those of the pair."""
    return pair.n == _finished(leader) == _finished(runner)


def _common(pair: PairResult, leader: ArmResult, runner: ArmResult) -> str:
    return f"{pair.n} {'' if _all_common(pair, leader, runner) else 'common '}seeds"


def _shared_with_better(
    question: Question, leader: ArmResult, best: ArmResult, group: Sequence[ArmResult], pair: PairResult
) -> str:
    """An arm with the better mean diverged more, and no test finds that it does: none of the two is above the other."""
    return (
        f"{_names(group)} share the first rank: {best.label} has the {question.best} {question.what} of them, "
        f"{_level(question, best)}, but {best.diverged} of its {best.n} trials diverged, against {leader.diverged} of "
        f"{leader.n} of {leader.label} ({_fisher(pair)}), which has {_level(question, leader)}, "
        f"{_ahead(question, pair, leader, best, pair.distinguishable)}"
    )


def _exactly(
    question: Question,
    leader: ArmResult,
    equal: Sequence[ArmResult],
    peers: Sequence[ArmResult],
    pair_of: dict[str, PairResult],
) -> str:
    """The best mean belongs to several arms: it is nobody's victory."""
    tied = [leader, *equal]
    pairs = [pair_of[arm.key] for arm in equal]
    every = "both" if len(tied) == 2 else "all"
    text = (
        f"{_names(tied)} tie exactly: {every} have the {question.best} {question.what}, {_level(question, leader)}, "
        "so none of them is the better one"
    )
    if all(pair.n > 1 and pair.difference.mean == 0 and pair.effect_size is None for pair in pairs):
        text += f", and on each of their {pairs[0].n} common seeds they are equal, so that more seeds promise nothing"
    elif all(pair.n == 1 for pair in pairs):
        text += ", and one seed could not tell them apart"
    others = [arm for arm in peers if arm not in equal]
    return f"{text}; {_names(others)} cannot be told apart from {leader.label}" if others else text


def _better(question: Question, leader: ArmResult, arms: Sequence[ArmResult]) -> list[ArmResult]:
    """Those with a better mean than the leader, which all diverged more; the best first."""
    mean = leader.mean or 0.0
    better = [
        arm
        for arm in arms
        if arm.mean is not None and not _equal(leader, arm) and question.sign * (arm.mean - mean) > 0
    ]
    return sorted(better, key=lambda arm: -question.sign * (arm.mean or 0.0))


def _equal(a: ArmResult, b: ArmResult) -> bool:
    return a.mean is not None and b.mean is not None and math.isclose(a.mean, b.mean, rel_tol=_ROUNDING)


def _finished(arm: ArmResult) -> int:
    return arm.n - arm.diverged


def _better_but_diverged(question: Question, leader: ArmResult, others: Sequence[ArmResult]) -> str:
    better = _better(question, leader, others)
    if not better:
        return ""
    best = better[0]
    word = "lower" if question.sign < 0 else "higher"
    return (
        f", although the trials of {best.label} that finished have a {word} mean ({_n(best.mean)}, "
        f"{best.diverged} of {best.n} diverged)"
    )


def _level(question: Question, arm: ArmResult) -> str:
    if _finished(arm) == 1:
        return f"{_n(arm.mean)} with one seed, which gives no interval"
    interval = f"{question.percent} interval {_n(arm.ci.low)} to {_n(arm.ci.high)}"
    return f"{_n(arm.mean)} on average over {_finished(arm)} seeds ({interval})"


def _gap(question: Question, pair: PairResult) -> float:
    """How much better the first arm is on the common seeds."""
    return question.sign * (pair.difference.mean or 0.0)


def _ahead(question: Question, pair: PairResult, leader: ArmResult, other: ArmResult, tested: bool) -> str:
    """How far the leader is ahead of another arm, on their common seeds, and what test and interval say of it."""
    difference = pair.difference
    if difference.mean is None:
        return f"not comparable with {other.label}"
    common = f" on their {pair.n} common seed{'s' if pair.n > 1 else ''}"
    if difference.mean == 0:
        size = f"equal to {other.label}{common}"
    else:
        word = "lower" if difference.mean < 0 else "higher"
        size = f"{_n(abs(difference.mean))} {word} than {other.label}"
        size += "" if _all_common(pair, leader, other) else common
    notes: list[str] = []
    if difference.ci.low is not None and difference.ci.high is not None:
        ends = sorted(_towards(difference.mean) * end for end in (difference.ci.low, difference.ci.high))
        alone = "unadjusted " if question.tested > 1 else ""
        notes.append(f"{alone}{question.percent} interval of this difference {_n(ends[0])} to {_n(ends[1])}")
    why = _disagreement(question, pair)
    if (tested or why) and pair.p_holm is not None:
        notes.append(f"Holm-adjusted p {_p_relation(pair.p_holm)}")
    return f"{size} ({', '.join(notes)}{why})" if notes else size


def _towards(difference: float) -> int:
    """The sign that makes the difference positive, as its size is said."""
    return -1 if difference < 0 else 1


def _disagreement(question: Question, pair: PairResult) -> str:
    """Why test and interval part, where one sees a difference and the other does not."""
    low, high = pair.difference.ci.low, pair.difference.ci.high
    if low is None or high is None or pair.p_value is None or pair.n < 2:
        return ""
    if (low > 0 or high < 0) == pair.distinguishable:
        return ""
    if not pair.distinguishable and pair.p_value <= question.alpha:
        return f"; the interval is of this pair alone, the p is adjusted for {question.tested} pairs"
    if pair.difference.ci.method == "t":
        return "; the interval takes the differences for normally distributed, the test does not"
    return "; the interval is a bootstrap, the test counts the signs that the differences could have had"


def _repeated(leader: ArmResult, runner: ArmResult) -> str:
    """Where every seed gives the same number, more of them are no evidence."""
    if leader.std != 0 or runner.std != 0:
        return ""
    return ", and every seed of each gave the same number, so that more seeds would only repeat it"


def _others(question: Question, others: Sequence[ArmResult], pair_of: dict[str, PairResult]) -> str:
    rivals = [arm for arm in others if arm.mean is not None]
    if len(rivals) < 2:
        return ""
    unsure = [arm for arm in rivals if not _apart(question, pair_of[arm.key])]
    if unsure:
        return f", though it cannot be told apart from {_names(unsure)}"
    which = f"other {len(rivals)} arms" if len(rivals) == len(others) else f"{len(rivals)} others that have a mean"
    return f", and it is told apart from each of the {which}"


def _apart(question: Question, pair: PairResult) -> bool:
    by_share = pair.diverged_p_holm is not None and pair.diverged_p_holm <= question.alpha
    return by_share or (pair.distinguishable and _gap(question, pair) > 0)


def _shares(leader: ArmResult, peers: Sequence[ArmResult], pair_of: dict[str, PairResult]) -> str:
    """That arms of one rank diverged unequally, where they did."""
    unequal = [arm for arm in peers if arm.diverged * leader.n != leader.diverged * arm.n]
    if not unequal:
        return ""
    worst = max(unequal, key=lambda arm: arm.diverged / arm.n)
    return (
        f"; of {worst.label} {worst.diverged} of {worst.n} trials diverged and of {leader.label} {leader.diverged} of "
        f"{leader.n}, which are not told apart ({_fisher(pair_of[worst.key])})"
    )


def _fisher(pair: PairResult) -> str:
    p = pair.diverged_p_holm
    return "Fisher's test, Holm-adjusted p " + ("unknown" if p is None else _p_relation(p))


def _seeds(pair: PairResult) -> str:
    if pair.seeds_needed is None:
        # Without any difference on the common seeds there is nothing that seeds could be counted for.
        return ", a difference too small for any practical number of seeds" if pair.difference.mean else ""
    if pair.seeds_needed <= pair.n:
        return ""
    return f", for which about {pair.seeds_needed} seeds would be needed"


def _ranks_below(below: Sequence[ArmResult], joint: str) -> str:
    if not below:
        return ""
    return f"{joint}{'the other arm ranks' if len(below) == 1 else f'the other {len(below)} arms rank'} below them"


def _left_out(arms: Sequence[ArmResult]) -> str:
    diverged, missing = sum(arm.diverged for arm in arms), sum(arm.missing for arm in arms)
    total = sum(arm.n + arm.missing for arm in arms)
    notes: list[str] = []
    if diverged:
        where = _names([arm for arm in arms if arm.diverged])
        notes.append(f"{diverged} of {total} trials diverged ({where}) and count against their arms but in no mean")
    if missing:
        notes.append(f"{missing} of {total} trials have no result and are left out")
    return "".join(f"; {note}" for note in notes)


def _unlike(question: Question) -> str:
    if not question.unlike:
        return ""
    return f"; the experiments differ also in {', '.join(question.unlike)}, so that a difference need not be the arms'"


def _names(arms: Sequence[ArmResult]) -> str:
    labels = [arm.label for arm in arms]
    if len(labels) > _NAMED:
        return f"{', '.join(labels[:_NAMED])} and {len(labels) - _NAMED} more"
    return labels[0] if len(labels) == 1 else f"{', '.join(labels[:-1])} and {labels[-1]}"


def _n(value: float | None) -> str:
    return "unknown" if value is None else f"{value + 0.0:.4g}"


def _p(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3g}"


def _p_relation(value: float) -> str:
    return "< 0.0001" if value < 0.0001 else f"= {value:.2g}"
