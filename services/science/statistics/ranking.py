"""Ranking with ties: arms that cannot be told apart share a rank, and divergence is never rewarded.

The rule, exactly:

1. An arm without a single result (no finished and no diverged trial) has no rank and is listed last.
2. The others are ordered by the share of their trials that diverged (less first), then by their mean (better first; an
   arm with nothing but diverged trials has none and comes last), then by their key.
3. The first arm leads rank 1. Going down the order, an arm shares its leader's rank unless it is told apart from that
   leader; otherwise it leads a new rank, which is its position. It is told apart where a test finds that it diverged
   more or that its mean is worse (`services.science.comparison.pairs`), or where none of its trials finished and
   some of the leader's did: then there is no mean to compare.

So the arms of one rank are those that cannot be told apart from the rank's best arm, which diverged no more than they
did. "Cannot be told apart" is not transitive: two neighbours in different ranks may be close to each other, and the
pairs say how close. Of two arms in one rank the second may have the better mean, if it diverged more.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Standing:
    """What the ranking needs to know of one arm: results are finished or diverged trials."""

    key: str
    mean: float | None
    diverged: int
    results: int

    @property
    def diverged_share(self) -> float:
        """Share of the results that diverged; 0 without results."""
        return self.diverged / self.results if self.results else 0.0


def standing_order(standings: Sequence[Standing], lower_is_better: bool) -> list[int]:
    """Positions of the arms from best to worst, by rules 1 and 2."""

    def badness(index: int) -> tuple[bool, float, bool, float, str]:
        arm = standings[index]
        value = 0.0 if arm.mean is None else arm.mean if lower_is_better else -arm.mean
        return arm.results == 0, arm.diverged_share, arm.mean is None, value, arm.key

    return sorted(range(len(standings)), key=badness)


def shared_ranks(
    standings: Sequence[Standing], order: Sequence[int], told_apart: Callable[[int, int], bool]
) -> list[int | None]:
    """Rank of every arm, in the order of `standings`, by rule 3.

    Args:
        standings: the arms.
        order: what `standing_order` gave.
        told_apart: whether the arm is worse than the leader; asked as `(leader, arm)`, at most once for each arm.
    """
    ranks: list[int | None] = [None] * len(standings)
    leader: int | None = None
    rank = 0
    for position, index in enumerate(order, start=1):
        arm = standings[index]
        if arm.results == 0:
            break
        if leader is None or _without_mean(standings[leader], arm) or told_apart(leader, index):
            leader, rank = index, position
        ranks[index] = rank
    return ranks


def _without_mean(leader: Standing, arm: Standing) -> bool:
    return arm.mean is None and leader.mean is not None
