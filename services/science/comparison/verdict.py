"""The sentence of a comparison: what the numbers say, and no more."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.science.comparison.models import ArmResult, PairResult, RankRow
from services.science.statistics.directions import Direction
from services.science.statistics.power import seeds_to_reach

_NAMED = 4


@dataclass(frozen=True)
class _Words:
    """Words that depend on the question."""

    what: str
    best: str
    better: str
    sign: int
    percent: str
    alpha: float

    @property
    def level(self) -> str:
        """The level of the tests, as it is said."""
        return f"{self.alpha:.3g}"


def verdict_sentence(
    metric: str,
    direction: Direction,
    at: str,
    confidence: float,
    arms: Sequence[ArmResult],
    ranking: Sequence[RankRow],
    pairs: Sequence[PairResult],
) -> str:
    """One plain sentence, true to the numbers."""
    words = _Words(
        what={"final": f"final {metric}", "best": f"best-epoch {metric}", "auc": f"{metric} averaged over the epochs"}[
            at
        ],
        best="lowest" if direction == "lower" else "highest",
        better="lower" if direction == "lower" else "higher",
        sign=-1 if direction == "lower" else 1,
        percent=f"{100 * confidence:.4g} %",
        alpha=round(1 - confidence, 12),
    )
    by_key = {arm.key: arm for arm in arms}
    ranked = [by_key[row.key] for row in ranking if row.rank is not None]
    if not ranked:
        return "No trial has a result yet, so there is nothing to compare."
    leader = ranked[0]
    if leader.mean is None:
        total = sum(arm.n for arm in arms)
        return f"Every trial with a result diverged ({total} of {total}), so no arm has a {metric} to compare."
    if len(arms) == 1:
        body = f"There is only one arm, {leader.label}, with {_level(leader, words)}, and nothing to compare it with"
    else:
        body = _compared(words, leader, ranked, ranking, [pair for pair in pairs if pair.a.key == leader.key])
    return f"{body}{_left_out(arms)}."


def _compared(
    words: _Words,
    leader: ArmResult,
    ranked: Sequence[ArmResult],
    ranking: Sequence[RankRow],
    pairs: Sequence[PairResult],
) -> str:
    pair_of = {pair.b.key: pair for pair in pairs}
    rank_of = {row.key: row.rank for row in ranking}
    share = leader.diverged / leader.n
    rivals = [arm for arm in ranked[1:] if arm.diverged / arm.n == share and arm.mean is not None]
    behind = [arm for arm in ranked[1:] if arm not in rivals]
    if not rivals:
        return _without_rival(words, leader, behind)
    runner = rivals[0]
    pair = pair_of[runner.key]
    peers = [arm for arm in rivals if rank_of[arm.key] == 1]
    head = f"{leader.label} has the {words.best} {words.what}{_among(words, leader, behind)}"
    if not peers:
        return f"{head}, {_level(leader, words)}, {_ahead(words, pair, runner, True)}{_others(rivals, behind, pair_of)}"
    if pair.n == 0:
        return f"{head}, {_level(leader, words)}, but shares no finished seed with {runner.label} to compare them on"
    tests = sum(1 for other in ranked if other.mean is not None)
    needed = seeds_to_reach(words.alpha, max(1, tests * (tests - 1) // 2))
    if pair.n == 1:
        return (
            f"One seed cannot tell arms apart: {head} in a single run, {_ahead(words, pair, runner, False)}, "
            f"and at least {needed} seeds are needed"
        )
    if not pair.can_reach_alpha:
        more = f"; at least {needed} are needed" if needed > pair.n else ""
        return (
            f"{pair.n} seeds cannot show a difference at the {words.level} level, because the smallest p that they can "
            f"give is {_p(pair.min_attainable_p)} before adjustment{more}: {head}, {_level(leader, words)}, "
            f"{_ahead(words, pair, runner, False)}"
        )
    below = len(ranked) - 1 - len(peers)
    others = "the other arm ranks" if below == 1 else f"the other {below} arms rank"
    rest = f", and {others} below them" if below else ""
    return (
        f"{_names([leader, *peers])} cannot be told apart with {pair.n} seeds at the {words.level} level{rest}: "
        f"{head}, {_level(leader, words)}, {_ahead(words, pair, runner, False)}{_seeds(pair)}"
    )


def _without_rival(words: _Words, leader: ArmResult, behind: Sequence[ArmResult]) -> str:
    if not behind:
        return f"{leader.label} is the only arm with results, with {_level(leader, words)}, so nothing is compared"
    runner = behind[0]
    return (
        f"{leader.label} ranks first because the smallest share of its trials diverged ({leader.diverged} of "
        f"{leader.n}, against {runner.diverged} of {runner.n} of {runner.label}), with {_level(leader, words)}"
        f"{_better_but_diverged(words, leader, behind)}"
    )


def _better_but_diverged(words: _Words, leader: ArmResult, behind: Sequence[ArmResult]) -> str:
    rivals = [arm for arm in behind if _beats(words, arm, leader)]
    if not rivals:
        return ""
    best = max(rivals, key=lambda arm: words.sign * (arm.mean or 0.0))
    return (
        f", although the trials of {best.label} that finished have a {words.better} mean ({_n(best.mean)}, "
        f"{best.diverged} of {best.n} diverged)"
    )


def _among(words: _Words, leader: ArmResult, behind: Sequence[ArmResult]) -> str:
    return " among the arms that diverged least" if any(_beats(words, arm, leader) for arm in behind) else ""


def _beats(words: _Words, arm: ArmResult, leader: ArmResult) -> bool:
    return arm.mean is not None and leader.mean is not None and words.sign * (arm.mean - leader.mean) > 0


def _level(arm: ArmResult, words: _Words) -> str:
    finished = arm.n - arm.diverged
    if finished == 1:
        return f"{_n(arm.mean)} with one seed, which gives no interval"
    interval = f"{words.percent} interval {_n(arm.ci.low)} to {_n(arm.ci.high)}"
    return f"{_n(arm.mean)} on average over {finished} seeds ({interval})"


def _ahead(words: _Words, pair: PairResult, runner: ArmResult, tested: bool) -> str:
    """How far the leader is ahead of the next arm, on their common seeds."""
    difference = pair.difference
    if difference.mean is None:
        return f"not comparable with {runner.label}"
    gap = words.sign * difference.mean
    if gap == 0:
        size = f"equal to {runner.label} on their {pair.n} common seeds"
    else:
        size = f"{_n(abs(gap))} {words.better if gap > 0 else _opposite(words)} than {runner.label}"
    notes: list[str] = []
    if difference.ci.low is not None and difference.ci.high is not None:
        ends = sorted(words.sign * end for end in (difference.ci.low, difference.ci.high))
        notes.append(f"{words.percent} interval of this difference {_n(ends[0])} to {_n(ends[1])}")
    if tested and pair.p_holm is not None:
        notes.append(f"Holm-adjusted p {_p_relation(pair.p_holm)}")
    return f"{size} ({', '.join(notes)})" if notes else size


def _opposite(words: _Words) -> str:
    return "higher" if words.better == "lower" else "lower"


def _others(rivals: Sequence[ArmResult], behind: Sequence[ArmResult], pair_of: dict[str, PairResult]) -> str:
    if len(rivals) == 1:
        return ""
    unsure = [arm for arm in rivals if not pair_of[arm.key].distinguishable]
    if unsure:
        return f", though it cannot be told apart from {_names(unsure)}"
    which = f"{len(rivals)} arms that diverged no more than it" if behind else f"other {len(rivals)} arms"
    return f", and it is told apart from each of the {which}"


def _seeds(pair: PairResult) -> str:
    if pair.seeds_needed is None:
        return ", a difference too small for any practical number of seeds"
    if pair.seeds_needed <= pair.n:
        return ""
    return f", for which about {pair.seeds_needed} seeds would be needed"


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
