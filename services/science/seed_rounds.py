"""Seeds until sure: how many to start with, when to stop, and what the stopping promises."""

import math
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from services.science.base import Strict
from services.science.statistics.directions import metric_direction

MOST_SEEDS = 1_000
MOST_ROUNDS = 50
USUAL_ROUNDS = 8
"""Rounds of the default step: every further look costs a little of the confidence."""


class PreciseUntil(Strict):
    """Stop when every arm's mean is known this precisely."""

    ci_halfwidth: float = Field(gt=0, description="Wanted half width of every arm's interval, in units of the metric.")


class RankedUntil(Strict):
    """Stop when the best arm, or the whole order, is settled by paired differences."""

    ranked: Literal["best", "order"] = "best"
    tolerance: float = Field(
        0.0, ge=0, description="A difference that does not matter: a pair within it is settled as equivalent."
    )


class SeedRounds(Strict):
    """Begin with `min` seeds and add `step` at a time, up to `max`, until the question is settled.

    The intervals at the stop hold with `confidence` over all arms (or pairs) and all rounds together, although the
    time of stopping depends on the data: each of the rounds spends an equal part of the level (the union bound; see
    `services.science.statistics.sequential`).
    """

    min: int = Field(default=5, ge=2, le=MOST_SEEDS)
    max: int = Field(ge=2, le=MOST_SEEDS)
    step: int | None = Field(
        default=None, ge=1, le=MOST_SEEDS, description="Default: at most eight rounds in equal steps."
    )
    until: PreciseUntil | RankedUntil = Field(description='{"ci_halfwidth": 0.01}, "ranked", or {"ranked": "order"}.')
    metric: str = Field(
        default="val_loss", min_length=1, max_length=64, description="Its value after the last epoch counts."
    )
    confidence: float = Field(default=0.95, ge=0.5, le=0.9999)

    @field_validator("until", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if isinstance(value, str) and value != "ranked":
            message = (
                f'unknown rule {value[:60]!r}; legal: "ranked", {{"ranked": "best"}}, {{"ranked": "order"}}, '
                '{"ci_halfwidth": 0.01}'
            )
            raise ValueError(message)
        return {"ranked": "best"} if value == "ranked" else value

    @field_validator("metric")
    @classmethod
    def _known(cls, value: str) -> str:
        metric_direction(value)
        return value

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.max < self.min:
            raise ValueError(f"max is {self.max}, less than min, {self.min}")
        if self.rounds > MOST_ROUNDS:
            raise ValueError(f"{self.rounds} rounds; at most {MOST_ROUNDS}: choose a larger step")
        return self

    @property
    def seeds_per_round(self) -> int:
        """How many seeds every round but the first adds."""
        return self.step or max(1, math.ceil((self.max - self.min) / (USUAL_ROUNDS - 1)))

    @property
    def rounds(self) -> int:
        """The most rounds there will be, the first included."""
        return 1 + math.ceil((self.max - self.min) / self.seeds_per_round)

    def seeds_after(self, number: int) -> int:
        """How many seeds every arm has in round `number`, from 1."""
        return min(self.max, self.min + (number - 1) * self.seeds_per_round)
