from hypothesis import given, settings
from hypothesis import strategies as st

from services.science.statistics.ranking import Standing, shared_ranks, standing_order

STANDINGS = st.lists(
    st.builds(
        lambda mean, diverged, finished: Standing(
            key="", mean=mean if finished else None, diverged=diverged, results=diverged + finished
        ),
        st.floats(-5, 5),
        st.integers(0, 3),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=12,
).map(lambda arms: [Standing(str(i), a.mean, a.diverged, a.results) for i, a in enumerate(arms)])


def ranked(standings: list[Standing], lower: bool, apart: float) -> list[int | None]:
    def told_apart(a: int, b: int) -> bool:
        first, second = standings[a].mean, standings[b].mean
        if standings[b].diverged_share - standings[a].diverged_share > 0.5:
            return True
        return first is not None and second is not None and (second - first if lower else first - second) > apart

    return shared_ranks(standings, standing_order(standings, lower), told_apart)


@given(STANDINGS, st.booleans(), st.floats(0, 4))
@settings(max_examples=200, deadline=None)
def test_who_diverges_more_never_ranks_above(standings: list[Standing], lower: bool, apart: float) -> None:
    ranks = ranked(standings, lower, apart)
    for arm, rank in zip(standings, ranks, strict=True):
        assert (rank is None) == (arm.results == 0)
        for other, other_rank in zip(standings, ranks, strict=True):
            if rank is None or other_rank is None:
                continue
            if arm.diverged_share > other.diverged_share:
                assert rank >= other_rank
            elif arm.diverged_share == other.diverged_share and arm.mean is not None and other.mean is not None:
                better = arm.mean < other.mean if lower else arm.mean > other.mean
                assert not better or rank <= other_rank


@given(STANDINGS, st.booleans(), st.floats(0, 4), st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_of_listing_does_not_matter(
    standings: list[Standing], lower: bool, apart: float, random: object
) -> None:
    shuffled = list(standings)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    first = dict(zip([arm.key for arm in standings], ranked(standings, lower, apart), strict=True))
    second = dict(zip([arm.key for arm in shuffled], ranked(shuffled, lower, apart), strict=True))
    assert first == second


def test_the_rule_by_hand() -> None:
    arms = [
        Standing("far", 3.0, 0, 5),
        Standing("best", 1.0, 0, 5),
        Standing("near", 1.5, 0, 5),
        Standing("wild", 0.1, 2, 5),
        Standing("lost", None, 5, 5),
        Standing("gone", None, 0, 0),
    ]
    assert [arms[i].key for i in standing_order(arms, True)] == ["best", "near", "far", "wild", "lost", "gone"]
    assert ranked(arms, True, 1.0) == [3, 1, 1, 3, 5, None]


def test_each_arm_is_asked_about_once() -> None:
    arms = [Standing(str(i), float(i), 0, 5) for i in range(20)]
    pairs: list[tuple[int, int]] = []
    shared_ranks(arms, range(20), lambda a, b: pairs.append((a, b)) or b % 3 == 0)
    assert len(pairs) == 19
