from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.science.grid import size
from services.science.seed_rounds import MOST_ROUNDS, PreciseUntil, SeedRounds
from services.science.spec import ExperimentSpec

BASE = {"dataset": "digits", "activation": ["relu", "tanh"], "initializer": "he_uniform", "epochs": 2}


def spec(seeds: Any, **more: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate({**BASE, "seeds": seeds, **more})


WANTED = PreciseUntil(ci_halfwidth=1.0)


@given(st.integers(2, 300), st.integers(0, 300), st.one_of(st.none(), st.integers(1, 300)))
def test_rounds_lead_from_the_least_to_the_most(least: int, more: int, step: int | None) -> None:
    if step is not None and more / step > MOST_ROUNDS - 1:
        with pytest.raises(ValidationError, match="at most 50"):
            SeedRounds(min=least, max=least + more, step=step, until=WANTED)
        return
    rounds = SeedRounds(min=least, max=least + more, step=step, until=WANTED)
    counts = [rounds.seeds_after(number) for number in range(1, rounds.rounds + 1)]
    assert (counts[0], counts[-1]) == (least, least + more)
    assert counts == sorted(set(counts))
    if step is None:
        assert rounds.rounds <= 8


def test_rounds_given_as_seeds_are_kept_beside_the_first_seeds() -> None:
    parsed = spec({"min": 3, "max": 12, "step": 3, "until": "ranked"})
    assert parsed.seeds == (0, 1, 2)
    assert parsed.rounds is not None
    assert parsed.rounds.rounds == 4
    assert size(parsed) == 24
    again = ExperimentSpec.model_validate(parsed.canonical())
    assert again == parsed.resolved()
    assert again.digest() == parsed.digest()
    assert parsed.digest() != spec(3).digest()
    assert "rounds" not in spec(3).canonical()


@pytest.mark.parametrize(
    ("seeds", "words"),
    [
        ({"min": 5, "max": 3, "until": "ranked"}, "less than min"),
        ({"min": 5, "max": 900, "step": 1, "until": "ranked"}, "at most 50"),
        ({"min": 5, "max": 30}, "Field required"),
        ({"min": 1, "max": 30, "until": "ranked"}, "greater than or equal to 2"),
        ({"max": 30, "until": {"ci_halfwidth": 0}}, "greater than 0"),
        ({"max": 30, "until": {"ci_halfwidth": 0.1}, "metric": "colour"}, "no known direction"),
        ({"max": 30, "until": "ranked", "often": True}, "Extra inputs"),
    ],
)
def test_refusals(seeds: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        spec(seeds)


def test_seeds_and_rounds_must_agree() -> None:
    rounds = {"min": 3, "max": 12, "until": "ranked"}
    with pytest.raises(ValidationError, match="not both"):
        spec(rounds, rounds=rounds)
    with pytest.raises(ValidationError, match="first round: 0 to 2"):
        spec([1, 2, 3], rounds=rounds)
    assert spec(3, rounds=rounds) == spec(rounds)
